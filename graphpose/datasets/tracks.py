"""Where the rows of windows come from: arrays in memory, or the files of a store (`stored_tracks`).

A *track* is one clip seen by one camera. `PoseWindows` decides which frames of which track make a window, and whether it is
mirrored; a `Tracks` gives them. `address` turns (track, first frame, mirrored) of many windows into the numbers that `gather`
needs, once an epoch; `gather` gives the stacked frames of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from graphpose.datasets.augmentation import flip_points
from graphpose.datasets.views import Views, view_all
from graphpose.errors import DataError
from graphpose.geometry import Camera
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["MemoryTracks", "Tracks", "refuse_mixture"]


class Tracks(Protocol):
    """What `PoseWindows` needs of a source of rows.

    Attributes:
        lengths: int64 `[tracks]` frames of each; clip, view: int64 `[tracks]` where it comes from.
        cameras: camera of each track, None for bare keypoints.
        in_features: C, numbers a node: 2, or 3 with confidence.
        nbytes: bytes kept in memory.
        at_once: frames that are best gathered together; 0 where it makes no difference.
    """

    lengths: np.ndarray
    clip: np.ndarray
    view: np.ndarray
    in_features: int
    at_once: int

    @property
    def cameras(self) -> Sequence[Camera | None]: ...

    @property
    def nbytes(self) -> int: ...

    def address(self, track: np.ndarray, start: np.ndarray, mirrored: np.ndarray) -> list[np.ndarray]:
        """int64 columns `[n]` for windows of `track` from frame `start` (may be below 0), mirror image where `mirrored` is 1."""

    def gather(self, address: Sequence[Tensor], place: Tensor) -> dict[str, Tensor]:
        """`x [B, T, J, C]`, where known `y [B, T, J, 3]` and `root [B, T, 3]`, and `visible [B, T, J]` where one may be missing.

        `address` has the columns `[B, 1]`, `place` is 0..T - 1. Frames before the first and after the last of a track repeat these.
        """


class MemoryTracks:
    """Tracks in memory, one after the other: frame t of track k is row `begin(k) + t` of each array.

    A batch is three gathers, padding included. Memory: 4 R (J (C + 3) + 3) bytes for R rows, that is 352 bytes a frame and view
    for 17 joints; twice that where windows are mirrored, because the mirror images are kept beside the originals.

    Args:
        clips: on `skeleton`.
        views: the cameras.
        confidence: give confidence as third input feature.
        mirrored: whether windows are mirrored.

    Raises:
        DataError: what `view_clip` refuses, and clips with positions among others without.
    """

    at_once = 0

    def __init__(
        self, clips: Sequence[MotionClip], skeleton: Skeleton, views: Views, *, confidence: bool, mirrored: bool
    ) -> None:
        seen = view_all(clips, views)
        tracks = [(number, view, one) for number, of_clip in enumerate(seen) for view, one in enumerate(of_clip)]
        self.cameras: list[Camera | None] = [one.camera for _, _, one in tracks]
        self.clip = np.array([clip for clip, _, _ in tracks], dtype=np.int64)
        self.view = np.array([view for _, view, _ in tracks], dtype=np.int64)
        self.lengths = np.array([len(one.x) for _, _, one in tracks], dtype=np.int64)
        self.begins = np.cumsum(self.lengths) - self.lengths
        self.in_features = 3 if confidence else 2
        self.x = torch.cat([one.x[..., : self.in_features] for _, _, one in tracks]).contiguous()
        refuse_mixture(clips, [(clip, one.y is not None) for clip, _, one in tracks])
        with_y = tracks[0][2].y is not None
        self.y = torch.cat([one.y for _, _, one in tracks if one.y is not None]) if with_y else None
        self.root = torch.cat([one.root for _, _, one in tracks if one.root is not None]) if with_y else None
        visible = torch.cat([one.visible for _, _, one in tracks])
        self.visible = None if bool(visible.all()) else visible  # None: every keypoint is there, nothing to carry
        if mirrored:
            self._append_mirror_images(skeleton)
        named = (("x", self.x), ("y", self.y), ("root", self.root), ("visible", self.visible))
        self._arrays = [(name, values) for name, values in named if values is not None]

    def _append_mirror_images(self, skeleton: Skeleton) -> None:
        """A second half of the arrays, R rows further on: gathering it costs nothing, exchanging joints in batches would."""
        mirror = torch.from_numpy(skeleton.mirror.copy())
        self.x = torch.cat([self.x, flip_points(self.x, mirror)])
        if self.y is not None and self.root is not None:
            self.y = torch.cat([self.y, flip_points(self.y, mirror)])
            self.root = torch.cat([self.root, self.root * torch.tensor([-1.0, 1.0, 1.0])])
        if self.visible is not None:
            self.visible = torch.cat([self.visible, self.visible[:, mirror]])

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(value.numel() * value.element_size() for _, value in self._arrays)

    def address(self, track: np.ndarray, start: np.ndarray, mirrored: np.ndarray) -> list[np.ndarray]:
        """First row, lowest and highest row of each window."""
        begin = self.begins[track] + int(self.lengths.sum()) * mirrored
        return [begin + start, begin, begin + self.lengths[track] - 1]

    def gather(self, address: Sequence[Tensor], place: Tensor) -> dict[str, Tensor]:
        """See `Tracks.gather`."""
        start, low, high = address
        rows = (start + place).clamp_(low, high).view(-1)
        shape = (len(start), len(place))
        return {name: values.index_select(0, rows).view(*shape, *values.shape[1:]) for name, values in self._arrays}


def refuse_mixture(clips: Sequence[MotionClip], tracks: Sequence[tuple[int, bool]]) -> None:
    """Raises DataError when some of the tracks (number of the clip, has 3D) have 3D and others do not."""
    bare = [clip for clip, has in tracks if not has]
    if bare and len(bare) < len(tracks):
        raise DataError(f"clip {clips[bare[0]].name!r} has no positions while others have: keep the two kinds apart")
