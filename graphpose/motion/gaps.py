"""Gap filling: a joint missing between two frames moves on the straight line (rotations: shortest arc) between them."""

from __future__ import annotations

import torch
from torch import Tensor

from graphpose.errors import DataError
from graphpose.motion.resampling import interpolate_rotations

__all__ = ["fill_gaps", "fill_rotation_gaps"]


def _bounds(missing: Tensor, max_gap: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """For `missing [T, N]`: the known frame before, the known frame after, and which entries to fill; all `[T, N]`."""
    if max_gap is not None and max_gap < 0:
        raise DataError(f"expected max_gap of 0 frames or more (got {max_gap})")
    frames = missing.shape[0]
    time = torch.arange(frames)[:, None].expand_as(missing)
    before = time.masked_fill(missing, -1).cummax(0).values
    after = time.masked_fill(missing, frames).flip(0).cummin(0).values.flip(0)
    fill = missing & (before >= 0) & (after < frames)
    if max_gap is not None:
        fill &= after - before - 1 <= max_gap
    return before, after, fill


def fill_gaps(values: Tensor, max_gap: int | None = None) -> Tensor:
    """Fill the NaN of `values [T, J, C]` where at most `max_gap` frames (None: any number) lie between two known ones.

    Every coordinate of a joint counts as missing when one of them is. Leading and trailing gaps stay NaN.
    """
    missing = values.isnan().any(-1)
    before, after, fill = _bounds(missing, max_gap)
    frame, joint = fill.nonzero(as_tuple=True)
    first, last = before[frame, joint], after[frame, joint]
    weight = ((frame - first) / (last - first)).to(values.dtype)[:, None]
    filled = values.clone()
    filled[frame, joint] = torch.lerp(values[first, joint], values[last, joint], weight.expand(-1, values.shape[-1]))
    return filled


def fill_rotation_gaps(rotations: Tensor, max_gap: int | None = None) -> Tensor:
    """The same for `rotations [T, J, 3, 3]`."""
    missing = rotations.isnan().flatten(-2).any(-1)
    before, after, fill = _bounds(missing, max_gap)
    frame, joint = fill.nonzero(as_tuple=True)
    first, last = before[frame, joint], after[frame, joint]
    weight = ((frame - first) / (last - first)).to(rotations.dtype)
    filled = rotations.clone()
    filled[frame, joint] = interpolate_rotations(rotations[first, joint], rotations[last, joint], weight)
    return filled
