"""How the joints move: errors of first and second differences along the frame axis of each clip, never across clips.

    MPJVE = mean |(p_t+1 - p_t) - (y_t+1 - y_t)|,    acceleration error = mean |(p - y)_t+2 - 2 (p - y)_t+1 + (p - y)_t|

Symbols: `p` pred, `y` target. Shapes: see `functional.py`; metres a frame (a frame squared) unless `fps` is given. A
difference counts when the joint is visible in all of its frames. A clip too short to have one contributes nothing, and
alone gives NaN.

Pavllo et al., CVPR 2019 (MPJVE); Kanazawa et al., "Learning 3D human dynamics from video", CVPR 2019 (acceleration
error).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphpose.errors import ConfigError
from graphpose.metrics.arrays import Array, Measured, Poses, masked, measure

__all__ = ["acceleration_error", "acceleration_errors", "mpjve", "velocity_errors"]


def mpjve(
    pred: Array, target: Array, *, visible: Array | None = None, reduction: str = "mean", fps: float = 1.0
) -> Any:
    """Mean error of the joints' velocities: metres a frame, or metres a second with `fps`.

    Raises:
        DataError: shapes that do not fit. ConfigError: an unknown reduction, an fps that is not positive.
    """
    return measure(lambda poses: velocity_errors(poses, fps), pred, target, visible, reduction)


def acceleration_error(
    pred: Array, target: Array, *, visible: Array | None = None, reduction: str = "mean", fps: float = 1.0
) -> Any:
    """Mean error of the joints' accelerations: metres a frame squared, or metres a second squared with `fps`.

    Raises:
        DataError: shapes that do not fit. ConfigError: an unknown reduction, an fps that is not positive.
    """
    return measure(lambda poses: acceleration_errors(poses, fps), pred, target, visible, reduction)


def velocity_errors(poses: Poses, fps: float = 1.0) -> Measured:
    """Errors of first differences `[..., T - 1, J]`."""
    return _differences(poses, 1, fps)


def acceleration_errors(poses: Poses, fps: float = 1.0) -> Measured:
    """Errors of second differences `[..., T - 2, J]`."""
    return _differences(poses, 2, fps)


def _differences(poses: Poses, order: int, fps: float) -> Measured:
    if not fps > 0:
        raise ConfigError(f"expected a positive fps (got {fps})")
    pred, target = masked(poses)
    change, counted = pred - target, poses.visible  # differences are linear, so one pass over p - y does for both
    for _ in range(order):
        change = change[..., 1:, :, :] - change[..., :-1, :, :]
        counted = _both(counted)
    return Measured(torch.linalg.vector_norm(change, dim=-1) * fps**order, counted)


def _both(visible: Tensor | None) -> Tensor | None:
    return None if visible is None else visible[..., 1:, :] & visible[..., :-1, :]
