"""The windows of many tracks, computed from their number when they are asked for, so that no list of them is kept.

    grid:      window k of a track starts at k * stride,              k = 0 .. max(ceil((L - T) / stride), 0)
    published: window k starts at k * T - floor((n * T - L) / 2),     k = 0 .. n - 1,  n = ceil(L / T)

Same windows, in the same order, as `window_bounds`, `published_train_bounds` and `counted_frames`, at 8 bytes a track in place
of 56 a window.
"""

from __future__ import annotations

import numpy as np

from graphpose.datasets.windows import check_lengths, check_stride
from graphpose.errors import DataError

__all__ = ["RECORD", "WindowTable"]

RECORD = np.dtype([(name, np.int64) for name in ("clip", "view", "track", "start", "end", "first", "stop")])
"""One window: frames start..end of a clip and view; those at places first..stop count, each frame of the track once."""


class WindowTable:
    """Windows of `frames` frames on tracks.

    Args:
        lengths: `[tracks]` frames of each track; clip, view: `[tracks]` where it comes from.
        frames: T.
        stride: frames between windows, 1..T; default T.
        published: the windows of the published training scripts, which have no stride.

    Raises:
        DataError: a track without frames, `frames` < 1, a stride outside 1..T or together with `published`.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        clip: np.ndarray,
        view: np.ndarray,
        frames: int,
        stride: int | None = None,
        *,
        published: bool = False,
    ) -> None:
        self.lengths, self.clip, self.view, self.frames = check_lengths(lengths, frames), clip, view, frames
        if published and stride not in (None, frames):
            raise DataError(f"published sampling has no stride: expected {frames} or none (got {stride})")
        self.stride = check_stride(stride, frames)
        if published:
            counts = -(-self.lengths // frames)
            self.shift = (counts * frames - self.lengths) // 2
        else:
            counts = np.maximum(-(-(self.lengths - frames) // self.stride), 0) + 1
            self.shift = np.zeros_like(counts)
        self.ends = np.cumsum(counts)
        self.begins = self.ends - counts
        self._windows = int(counts.sum())

    def __len__(self) -> int:
        return self._windows

    def rows(self, index: np.ndarray) -> np.ndarray:
        """`[n]` of dtype `RECORD`: the windows numbered `index [n]`, each in 0..len - 1."""
        index = np.asarray(index, dtype=np.int64)
        if len(index) and not (index.min() >= 0 and index.max() < len(self)):
            raise IndexError(f"expected windows in 0..{len(self) - 1} (got {index.min()} to {index.max()})")
        track = np.searchsorted(self.ends, index, side="right")
        number = index - self.begins[track]
        start = number * self.stride - self.shift[track]
        before = np.where(number > 0, start - self.stride + self.frames, 0)  # the end of the window before
        out = np.empty(len(index), dtype=RECORD)
        out["clip"], out["view"], out["track"] = self.clip[track], self.view[track], track
        out["start"], out["end"] = start, start + self.frames
        out["first"] = np.maximum(np.maximum(before, 0) - start, 0)
        out["stop"] = np.maximum(np.minimum(out["end"], self.lengths[track]) - start, out["first"])
        return out
