"""Where the joints are: mean per-joint position errors, as they stand, after similarity alignment and after scaling.

    MPJPE = mean |p - y|,    P-MPJPE = mean |s R p + t - y|,    N-MPJPE = mean |a p - y|,  a = sum_j p.y / sum_j p.p

Symbols: `p` pred, `y` target; `(s, R, t)` and `a` fitted to each frame. Shapes: see `functional.py`; metres in and out.

Ionescu et al., "Human3.6M", PAMI 2014; Rhodin et al., "Unsupervised geometry-aware representation for 3D human pose
estimation", ECCV 2018 (N-MPJPE).
"""

from __future__ import annotations

from typing import Any

import torch

from graphpose.geometry.alignment import similarity_align
from graphpose.metrics.arrays import Array, Measured, Poses, masked, measure

__all__ = ["aligned_errors", "mpjpe", "n_mpjpe", "p_mpjpe", "position_errors", "scaled_errors"]


def mpjpe(pred: Array, target: Array, *, visible: Array | None = None, reduction: str = "mean") -> Any:
    """Mean distance between predicted and true joints, metres ("protocol 1").

    Raises:
        DataError: shapes that do not fit. ConfigError: an unknown reduction.
    """
    return measure(position_errors, pred, target, visible, reduction)


def p_mpjpe(pred: Array, target: Array, *, visible: Array | None = None, reduction: str = "mean") -> Any:
    """Mean distance after the rotation, scale and translation that fit each frame best, metres ("protocol 2").

    Reflections are excluded: a mirrored pose has an error. A frame whose counted joints, predicted or true, all
    coincide or lie on one line (fewer than three joints always do) has no unique alignment: it is NaN, and so is an
    average over it.

    Raises:
        DataError: shapes that do not fit. ConfigError: an unknown reduction.
    """
    return measure(aligned_errors, pred, target, visible, reduction)


def n_mpjpe(pred: Array, target: Array, *, visible: Array | None = None, reduction: str = "mean") -> Any:
    """Mean distance after the scale about the origin that fits each frame best, metres; NaN for a frame of zeros.

    Raises:
        DataError: shapes that do not fit. ConfigError: an unknown reduction.
    """
    return measure(scaled_errors, pred, target, visible, reduction)


def position_errors(poses: Poses) -> Measured:
    """`|p - y|` `[..., T, J]`."""
    pred, target = masked(poses)
    return Measured(torch.linalg.vector_norm(pred - target, dim=-1), poses.visible)


def aligned_errors(poses: Poses) -> Measured:
    """`|s R p + t - y|` `[..., T, J]`."""
    pred, target = masked(poses)
    aligned = similarity_align(pred, target, poses.visible)
    return Measured(torch.linalg.vector_norm(aligned - target, dim=-1), poses.visible)


def scaled_errors(poses: Poses) -> Measured:
    """`|a p - y|` `[..., T, J]`."""
    pred, target = masked(poses)
    scale = (pred * target).sum((-2, -1), keepdim=True) / (pred * pred).sum((-2, -1), keepdim=True)
    return Measured(torch.linalg.vector_norm(scale * pred - target, dim=-1), poses.visible)
