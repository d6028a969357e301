"""How many joints are near enough: the percentage of correct keypoints in 3D and the area under its curve.

    PCK(d) = mean [ |p - y| < d ],    AUC = mean of PCK(d) over d = 0, 5, ..., 150 mm  (31 thresholds)

Symbols: `p` pred, `y` target. Shapes: see `functional.py`; fractions in [0, 1]. The comparison is strict and the first
threshold is 0, as published with MPI-INF-3DHP: a perfect prediction has an AUC of 30/31. A NaN error is NaN, not a
miss.

Mehta et al., "Monocular 3D human pose estimation in the wild using improved CNN supervision", 3DV 2017.
"""

from __future__ import annotations

from typing import Any

import torch

from graphpose.errors import ConfigError
from graphpose.metrics.arrays import Array, Measured, Poses, measure
from graphpose.metrics.position import position_errors

__all__ = ["AUC_STEP", "AUC_THRESHOLDS", "auc", "correct", "curve_areas", "pck"]

AUC_STEP = 0.005
"""Metres between two thresholds."""
AUC_THRESHOLDS = 31
"""Number of thresholds, the first of them 0."""


def pck(
    pred: Array, target: Array, *, threshold: float = 0.15, visible: Array | None = None, reduction: str = "mean"
) -> Any:
    """Fraction of joints nearer than `threshold` metres to the truth; MPI-INF-3DHP has 0.15 on root-relative ones.

    Raises:
        DataError: shapes that do not fit. ConfigError: an unknown reduction, a threshold that is not positive.
    """
    return measure(lambda poses: correct(poses, threshold), pred, target, visible, reduction)


def auc(pred: Array, target: Array, *, visible: Array | None = None, reduction: str = "mean") -> Any:
    """Mean of `pck` over the 31 thresholds 0, 5, ..., 150 mm of MPI-INF-3DHP.

    Raises:
        DataError: shapes that do not fit. ConfigError: an unknown reduction.
    """
    return measure(curve_areas, pred, target, visible, reduction)


def correct(poses: Poses, threshold: float = 0.15) -> Measured:
    """1 where a joint is nearer than `threshold` metres, else 0 `[..., T, J]`; NaN where the distance is."""
    if not threshold > 0:
        raise ConfigError(f"expected a positive threshold in metres (got {threshold})")
    errors, counted = position_errors(poses)
    near = (errors < threshold).to(errors.dtype)
    return Measured(torch.where(errors.isnan(), errors, near), counted)


def curve_areas(poses: Poses) -> Measured:
    """The fraction of the thresholds that each joint is nearer than `[..., T, J]`; NaN where the distance is."""
    errors, counted = position_errors(poses)
    thresholds = torch.arange(AUC_THRESHOLDS, dtype=errors.dtype, device=errors.device) * AUC_STEP
    reached = torch.searchsorted(thresholds, errors.detach().contiguous(), right=True)
    area = (AUC_THRESHOLDS - reached).to(errors.dtype) / AUC_THRESHOLDS
    return Measured(torch.where(errors.isnan(), errors, area), counted)
