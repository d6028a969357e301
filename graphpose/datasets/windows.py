"""Windows of T frames on clips of any length; beyond the ends the first or last frame is repeated (edge padding).

    evaluation: start_k = k * stride, k = 0, 1, ... until the end of the clip is covered
    published:  n = ceil(L / T) windows side by side, centred on the clip: start_k = k * T - floor((n * T - L) / 2)

Bounds are int64 `[n, 3]` rows (clip, start, end) with end - start = T; start may be negative and end beyond the clip. The
published form is the training sampler of VideoPose3D (Pavllo et al., CVPR 2019), which MixSTE and KTPFormer use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphpose.errors import DataError

__all__ = [
    "check_lengths",
    "check_stride",
    "counted_frames",
    "published_train_bounds",
    "window_bounds",
    "window_frames",
]


def window_bounds(lengths: Sequence[int] | np.ndarray, frames: int, stride: int | None = None) -> np.ndarray:
    """int64 `[n, 3]` (clip, start, end): windows from frame 0 every `stride` frames (default `frames`), the last one padded.

    Every frame of every clip is in a window; none lies wholly in another's padding.

    Raises:
        DataError: a clip without frames, `frames` < 1, or a stride outside 1..frames (frames would be skipped).
    """
    lengths, stride = check_lengths(lengths, frames), check_stride(stride, frames)
    counts = np.maximum(-(-(lengths - frames) // stride), 0) + 1
    clip, number = _enumerate(counts)
    return np.stack([clip, number * stride, number * stride + frames], axis=1)


def published_train_bounds(lengths: Sequence[int] | np.ndarray, frames: int) -> np.ndarray:
    """int64 `[n, 3]` (clip, start, end) of the published training sampler: padding shared between both ends of a clip."""
    lengths = check_lengths(lengths, frames)
    counts = -(-lengths // frames)
    clip, number = _enumerate(counts)
    start = number * frames - ((counts * frames - lengths) // 2)[clip]
    return np.stack([clip, start, start + frames], axis=1)


def window_frames(bounds: np.ndarray, lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """int64 `[n, T]`: the clip's frame at each place of each window, clamped to the clip (that is the edge padding)."""
    size = int(bounds[0, 2] - bounds[0, 1]) if len(bounds) else 0
    last = np.asarray(lengths, dtype=np.int64)[bounds[:, 0]] - 1
    return np.clip(bounds[:, 1:2] + np.arange(size), 0, last[:, None])


def counted_frames(bounds: np.ndarray, lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """int64 `[n, 2]`: the places [first, stop) of each window that count, so that each frame of a clip counts once.

    Padding never counts; a frame in several windows counts in the first of them. `bounds` are sorted by clip and start.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    clip, start, end = bounds.T
    before = np.zeros(len(bounds), dtype=np.int64)
    same = clip[1:] == clip[:-1]
    before[1:][same] = end[:-1][same]
    first = np.maximum(before, 0) - start
    stop = np.minimum(end, lengths[clip]) - start
    return np.stack([np.maximum(first, 0), np.maximum(stop, np.maximum(first, 0))], axis=1)


def check_stride(stride: int | None, frames: int) -> int:
    """The stride, by default `frames`; raises DataError for one outside 1..frames."""
    stride = frames if stride is None else stride
    if not 1 <= stride <= frames:
        raise DataError(f"expected a stride in 1..{frames}, the window length (got {stride}): frames would be skipped")
    return stride


def check_lengths(lengths: Sequence[int] | np.ndarray, frames: int) -> np.ndarray:
    """int64 lengths; raises DataError for a clip without frames or windows without."""
    lengths = np.asarray(lengths, dtype=np.int64)
    if frames < 1:
        raise DataError(f"expected windows of at least 1 frame (got {frames})")
    if lengths.ndim != 1 or (lengths < 1).any():
        raise DataError(f"expected the lengths of the clips, each at least 1 frame (got {lengths.tolist()})")
    return lengths


def _enumerate(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The group and the number within it of each of `counts` members."""
    group = np.repeat(np.arange(len(counts)), counts)
    return group, np.arange(len(group)) - (np.cumsum(counts) - counts)[group]
