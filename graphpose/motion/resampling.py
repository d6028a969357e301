"""Resampling in time: `x(s) = (1 - w) x[floor s] + w x[floor s + 1]` at frame coordinates `s`, `w = s - floor s`.

Rotations go along the shortest arc (spherical linear interpolation of unit quaternions, Shoemake 1985).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import roma
import torch
from torch import Tensor

from graphpose.motion.cameras import change_frames

if TYPE_CHECKING:
    from graphpose.geometry import Camera

__all__ = ["frame_grid", "interpolate_rotations", "resample", "resample_camera", "resample_rotations"]


def frame_grid(frames: int, fps: float, target_fps: float) -> Tensor:
    """`[T']` float64: where the frames at the new rate lie on the old frame axis; the last one is at most T - 1."""
    # the small addition keeps the last frame when (T - 1) * ratio is a whole number up to rounding
    count = int((frames - 1) * target_fps / fps + 1e-6) + 1
    return (torch.arange(count, dtype=torch.float64) * (fps / target_fps)).clamp(max=frames - 1)


def _neighbours(grid: Tensor, frames: int, dims: int) -> tuple[Tensor, Tensor, Tensor]:
    before = grid.floor().long().clamp(0, frames - 1)
    after = (before + 1).clamp(max=frames - 1)
    weight = (grid - before).clamp(0, 1)
    # frame coordinates that are whole up to rounding are that frame: no neighbour, and no neighbour's NaN
    near = weight > 1 - 1e-6
    before, weight = torch.where(near, after, before), torch.where(near | (weight < 1e-6), 0.0, weight)
    return before, after, weight.reshape(-1, *[1] * (dims - 1))


def resample(values: Tensor, grid: Tensor) -> Tensor:
    """Linear interpolation of `values [T, ...]` at frame coordinates `grid [T']`, giving `[T', ...]`; NaN spreads."""
    before, after, weight = _neighbours(grid, values.shape[0], values.ndim)
    weight = weight.to(values.dtype)
    mixed = torch.lerp(values[before], values[after], weight.expand(-1, *values.shape[1:]))
    return torch.where(weight == 0, values[before], mixed)


def interpolate_rotations(first: Tensor, last: Tensor, weight: Tensor) -> Tensor:
    """From `first [..., 3, 3]` (weight 0) to `last` (weight 1) along the shortest arc; `weight [...]`; NaN spreads."""
    unknown = (first.isnan() | last.isnan()).flatten(-2).any(-1)[..., None, None]
    # a NaN matrix has no quaternion: the identity stands in, and the NaN is put back afterwards
    identity = torch.eye(3, dtype=first.dtype)
    start = roma.rotmat_to_unitquat(torch.where(unknown, identity, first))
    end = roma.rotmat_to_unitquat(torch.where(unknown, identity, last))
    # roma.unitquat_slerp takes one list of steps for all; here each element has its own
    arc = roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(start), end), shortest_arc=True)
    mixed = roma.quat_product(start, roma.rotvec_to_unitquat(arc * weight[..., None]))
    return roma.unitquat_to_rotmat(mixed).masked_fill(unknown, torch.nan)


def resample_rotations(rotations: Tensor, grid: Tensor) -> Tensor:
    """Shortest-arc interpolation of `rotations [T, ..., 3, 3]` at frame coordinates `grid [T']`; NaN spreads."""
    before, after, weight = _neighbours(grid, rotations.shape[0], rotations.ndim - 2)
    weight = weight.to(rotations.dtype)
    mixed = interpolate_rotations(rotations[before], rotations[after], weight)
    return torch.where(weight[..., None, None] == 0, rotations[before], mixed)


def resample_camera(camera: Camera | None, grid: Tensor, frames: int) -> Camera | None:
    """A camera that moves, at other frame coordinates."""

    def change(name: str, values: Tensor) -> Tensor:
        return resample_rotations(values, grid) if name == "rotation" else resample(values, grid)

    return change_frames(camera, frames, change)
