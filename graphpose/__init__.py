"""graphpose: 3D human pose from 2D keypoints by graph priors and attention, on any skeleton.

The names below are loaded when they are first used (PEP 562), so that `import graphpose` and `graphpose --help` need
neither torch nor PyTorch Geometric.

>>> import graphpose
>>> clip = graphpose.read("walk.bvh")                       # doctest: +SKIP
>>> model = graphpose.load("runs/demo/best.safetensors")    # doctest: +SKIP
>>> poses = graphpose.predict(model, clip.keypoints)        # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpose.lazy_names import lazy

if TYPE_CHECKING:
    from graphpose import analysis, metrics, models
    from graphpose.engine import evaluate, predict, train
    from graphpose.formats import read, read_all
    from graphpose.geometry import Camera
    from graphpose.graph import PoseGraph, SpatioTemporalGraph
    from graphpose.models import load
    from graphpose.motion import MotionClip
    from graphpose.skeleton import Skeleton

__version__ = "0.1.0"

__all__ = [
    "Camera",
    "MotionClip",
    "PoseGraph",
    "Skeleton",
    "SpatioTemporalGraph",
    "__version__",
    "analysis",
    "evaluate",
    "load",
    "metrics",
    "models",
    "predict",
    "read",
    "read_all",
    "train",
]

_WHERE = {
    "Camera": "geometry",
    "MotionClip": "motion",
    "PoseGraph": "graph",
    "Skeleton": "skeleton",
    "SpatioTemporalGraph": "graph",
    "evaluate": "engine",
    "load": "models",
    "predict": "engine",
    "read": "formats",
    "read_all": "formats",
    "train": "engine",
}

__getattr__, __dir__ = lazy(__name__, _WHERE, modules=("analysis", "metrics", "models"))
