"""All metrics as functions, gathered from the files of their ideas.

Common to all: `pred` and `target` are `[..., T, J, 3]` in metres, torch or NumPy, and the answer is of the same kind (a
Python float or an array for NumPy). `visible` (bool `[..., T, J]`, or `[..., T]` for whole frames) leaves joints out,
whatever they hold; what counts and is NaN makes the answer NaN. `reduction` is

- `"mean"` (default): one number, each counted joint of each frame once;
- `"clip"`: `[...]`, one for each clip;
- `"none"`: `[..., T]`, one for each frame (T - 1 for velocities, T - 2 for accelerations);
- `"joint"`: `[J]`, one for each joint (bone, or pair of bones, for the body metrics);
- `"all"`: `[..., T, J]`, nothing averaged.

An average over nothing is NaN.
"""

from __future__ import annotations

from graphpose.metrics.body import bone_length_error, bone_length_variance, symmetry_error
from graphpose.metrics.detection import auc, pck
from graphpose.metrics.position import mpjpe, n_mpjpe, p_mpjpe
from graphpose.metrics.velocity import acceleration_error, mpjve

__all__ = [
    "acceleration_error",
    "auc",
    "bone_length_error",
    "bone_length_variance",
    "mpjpe",
    "mpjve",
    "n_mpjpe",
    "p_mpjpe",
    "pck",
    "symmetry_error",
]
