"""How far a predicted motion is from the true one: pure functions, torchmetrics accumulators and error tables.

Everything takes joints in metres `[..., T, J, 3]`; root-relative protocols are root-relative arrays, made by the
caller.

Adding a new metric: write its values function (`Measured` per frame and joint) and its public function in the file of
its idea (`position.py`, `velocity.py`, `detection.py`, `body.py`), and enter it in `catalogue.py`; accumulators, tables
and their tests then pick it up by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpose.lazy_names import lazy
from graphpose.metrics.catalogue import Quantity, available, quantity
from graphpose.metrics.functional import (
    acceleration_error,
    auc,
    bone_length_error,
    bone_length_variance,
    mpjpe,
    mpjve,
    n_mpjpe,
    p_mpjpe,
    pck,
    symmetry_error,
)
from graphpose.metrics.hypotheses import j_best, mean_pose, p_best
from graphpose.metrics.scaling import ALIGNMENTS, scale_to
from graphpose.metrics.tables import ErrorTable

if TYPE_CHECKING:
    from graphpose.metrics.accumulators import PoseMetric, PoseMetrics

__all__ = [
    "ALIGNMENTS",
    "ErrorTable",
    "PoseMetric",
    "PoseMetrics",
    "Quantity",
    "acceleration_error",
    "auc",
    "available",
    "bone_length_error",
    "bone_length_variance",
    "j_best",
    "mean_pose",
    "mpjpe",
    "mpjve",
    "n_mpjpe",
    "p_best",
    "p_mpjpe",
    "pck",
    "quantity",
    "scale_to",
    "symmetry_error",
]

# On first use: torchmetrics takes seconds, the functions need none of it.
__getattr__, __dir__ = lazy(__name__, {"PoseMetric": "accumulators", "PoseMetrics": "accumulators"})
