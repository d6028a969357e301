"""Windows of clips, seen by cameras, as pose graphs or stacked arrays; everything in memory, gathered by index.

A *track* is one clip seen by one camera. All tracks lie one after the other in three arrays, `[R, J, 2 or 3]` (2D), `[R, J, 3]`
and `[R, 3]` with R the frames of all tracks; frame i of window w is row

    r = begin(track of w) + clamp(start(w) + i, 0, length - 1)

so a batch is three gathers, padding included. Memory: 4 R (J (C + 3) + 3) bytes, that is 352 bytes a frame and view for 17 joints;
twice that where windows are flipped, because the mirror images are kept beside the originals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from graphpose.datasets.augmentation import Augmentation, flip_points
from graphpose.datasets.draws import uniform
from graphpose.datasets.views import Views, view_all
from graphpose.datasets.windows import counted_frames, published_train_bounds, window_bounds
from graphpose.errors import DataError, unknown_name
from graphpose.geometry import Camera
from graphpose.graph import PoseGraph, SpatioTemporalGraph
from graphpose.graph.spatio_temporal import DEFAULT_RELATIONS
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["RECORD", "PoseWindows"]

RECORD = np.dtype([(name, np.int64) for name in ("clip", "view", "track", "start", "end", "first", "stop")])
"""One window: frames start..end of a clip and view; those at places first..stop count, each frame of the track once."""

_SAMPLING = ("grid", "published", "random")


class PoseWindows(Dataset[PoseGraph]):
    """Windows of T frames of clips that share one skeleton.

    Args:
        clips: with positions (seen by the cameras of `views`) or with keypoints.
        frames: T.
        stride: frames between windows, 1..T; default T. With "random" it only decides how many windows an epoch has.
        views: the cameras.
        confidence: give confidence as third input feature.
        sampling: "grid" from frame 0 (evaluation: every frame counts once), "published" (that of the published training
            scripts), "random" (each draw starts anywhere in the clip; a new place every epoch).
        augmentation: changes to training windows; none by default.
        relations: of the graph.
        seed: of every draw; a draw depends on (seed, epoch, window) only, never on workers or batch size.

    Attributes:
        records: `[W]` array of dtype `RECORD`; the batch's `window` numbers its rows.
        graph: the topology all windows share.
        cameras: camera of each track, None for bare keypoints.

    Raises:
        DataError: no clips, different skeletons, or what `view_clip` and `window_bounds` refuse.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        frames: int = 27,
        *,
        stride: int | None = None,
        views: Views | None = None,
        confidence: bool = False,
        sampling: str = "grid",
        augmentation: Augmentation | None = None,
        relations: Sequence[str] = DEFAULT_RELATIONS,
        seed: int = 0,
    ) -> None:
        self.clips = list(clips)
        if sampling not in _SAMPLING:
            raise DataError(unknown_name("sampling", sampling, _SAMPLING))
        self.skeleton = _one_skeleton(self.clips)
        self.graph = SpatioTemporalGraph.shared(self.skeleton, frames, relations)
        self.frames, self.confidence, self.sampling, self.seed, self.epoch = frames, confidence, sampling, seed, 0
        self.augmentation = augmentation or Augmentation()
        seen = view_all(self.clips, views or Views())
        tracks = [(number, view, one) for number, of_clip in enumerate(seen) for view, one in enumerate(of_clip)]
        self.cameras: list[Camera | None] = [one.camera for _, _, one in tracks]
        self.track_clip = np.array([clip for clip, _, _ in tracks], dtype=np.int64)
        self.track_view = np.array([view for _, view, _ in tracks], dtype=np.int64)
        self.lengths = np.array([len(one.x) for _, _, one in tracks], dtype=np.int64)
        self.begins = np.cumsum(self.lengths) - self.lengths
        features = 3 if confidence else 2
        self._x = torch.cat([one.x[..., :features] for _, _, one in tracks]).contiguous()
        with_y = [one.y is not None for _, _, one in tracks]
        if any(with_y) and not all(with_y):
            bare = self.clips[int(self.track_clip[with_y.index(False)])]
            raise DataError(f"clip {bare.name!r} has no positions while others have: keep the two kinds apart")
        self._y = torch.cat([one.y for _, _, one in tracks if one.y is not None]) if all(with_y) else None
        self._root = torch.cat([one.root for _, _, one in tracks if one.root is not None]) if all(with_y) else None
        visible = torch.cat([one.visible for _, _, one in tracks])
        self._visible = None if bool(visible.all()) else visible  # None: every keypoint is there, nothing to carry
        if self.augmentation.flip:
            self._append_mirror_images()
        self._place = torch.arange(frames)
        self._planned: tuple[int, Tensor] | None = None
        self.records = self._make_records(stride)

    def _append_mirror_images(self) -> None:
        """A second half of the arrays, R rows further on: gathering it costs nothing, exchanging joints in batches would."""
        mirror = torch.from_numpy(self.skeleton.mirror.copy())
        self._x = torch.cat([self._x, flip_points(self._x, mirror)])
        if self._y is not None and self._root is not None:
            self._y = torch.cat([self._y, flip_points(self._y, mirror)])
            self._root = torch.cat([self._root, self._root * torch.tensor([-1.0, 1.0, 1.0])])
        if self._visible is not None:
            self._visible = torch.cat([self._visible, self._visible[:, mirror]])

    def _make_records(self, stride: int | None) -> np.ndarray:
        if self.sampling == "published":
            if stride not in (None, self.frames):
                raise DataError(f"published sampling has no stride: expected {self.frames} or none (got {stride})")
            bounds = published_train_bounds(self.lengths, self.frames)
        else:
            bounds = window_bounds(self.lengths, self.frames, stride)
        counted = counted_frames(bounds, self.lengths)
        records = np.empty(len(bounds), dtype=RECORD)
        records["track"], records["start"], records["end"] = bounds.T
        records["clip"], records["view"] = self.track_clip[bounds[:, 0]], self.track_view[bounds[:, 0]]
        records["first"], records["stop"] = counted.T
        return records

    @property
    def in_features(self) -> int:
        """C, features a node: 2, or 3 with confidence."""
        return int(self._x.shape[-1])

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays kept."""
        kept = (self._x, self._y, self._root, self._visible)
        return sum(one.numel() * one.element_size() for one in kept if one is not None)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's draws `fetch` and indexing give."""
        self.epoch = int(epoch)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return (
            f"PoseWindows({len(self.clips)} clips, {len(self.lengths)} tracks, {int(self.lengths.sum())} frames -> "
            f"{len(self)} windows of {self.frames}, {self.skeleton.name}, {self.sampling}, {self.nbytes / 2**20:.1f} MiB)"
        )

    def fetch(self, indices: Sequence[int] | np.ndarray, epoch: int | None = None) -> dict[str, Tensor]:
        """The fast path: B windows as stacked arrays.

        Returns:
            `x [B, T, J, C]`, `window [B]` (row of `records`), `counted [B, T]` (frames that count), where known `y [B, T, J, 3]`
            and `root [B, T, 3]`, and `visible [B, T, J]` where a keypoint of the data can be missing.
        """
        index = torch.as_tensor(indices, dtype=torch.long)
        epoch = self.epoch if epoch is None else epoch
        plan = self._plan(epoch).index_select(0, index)  # [B, 5, 1]
        start, low, high, first, stop = plan.unbind(1)
        rows = (start + self._place).clamp_(low, high).view(-1)
        window = {}
        for name, values in (("x", self._x), ("y", self._y), ("root", self._root), ("visible", self._visible)):
            if values is not None:
                window[name] = values.index_select(0, rows).view(len(index), self.frames, *values.shape[1:])
        self.augmentation.degrade(window, index.numpy(), self.seed, epoch)
        window["window"] = index
        window["counted"] = (self._place >= first) & (self._place < stop)
        return window

    def _plan(self, epoch: int) -> Tensor:
        """int64 `[W, 5, 1]`: first row, lowest and highest row, counting places [first, stop) of each window.

        Made once an epoch for all windows at once, which costs less than a hash for every batch.
        """
        if self._planned is not None and self._planned[0] == epoch:
            return self._planned[1]
        record, everyone = self.records, np.arange(len(self.records))
        begin, length = self.begins[record["track"]], self.lengths[record["track"]]
        start, first, stop = record["start"], record["first"], record["stop"]
        if self.sampling == "random":
            room = np.maximum(length - self.frames, 0) + 1
            start = (uniform(self.seed, epoch, everyone, "start", 1)[:, 0] * room).astype(np.int64)
            first, stop = np.zeros_like(start), np.minimum(length, self.frames)
        if self.augmentation.flip:
            begin = begin + int(self.lengths.sum()) * self.augmentation.draw_flips(everyone, self.seed, epoch)
        columns = [begin + start, begin, begin + length - 1, first, stop]
        plan = torch.from_numpy(np.stack(columns, axis=1)[..., None])
        self._planned = (epoch, plan)
        return plan

    def __getitem__(self, index: int) -> PoseGraph:
        if not -len(self) <= index < len(self):
            raise IndexError(f"expected a window below {len(self)} (got {index})")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[PoseGraph]:
        """Pose graphs of several windows, gathered at once; PyG's DataLoader finds and uses this."""
        stacked = self.fetch(indices)
        extra = ("window", "counted")
        return [
            PoseGraph.build(
                self.graph,
                **{name: values[i : i + 1] if name in extra else values[i] for name, values in stacked.items()},
            )
            for i in range(len(indices))
        ]

    def stitch(self, windows: Tensor | np.ndarray, values: Tensor) -> list[Tensor]:
        """Values of windows put together to tracks: `windows [W]`, `values [W, T, ...]` -> one `[frames, ...]` a track.

        Each frame is taken from the one window in which it counts; padding is dropped. Order and device of the windows are free.

        Raises:
            DataError: windows were drawn at random, or those given do not cover every frame of every track.
        """
        if self.sampling == "random":
            raise DataError("windows drawn at random cannot be stitched: expected sampling 'grid' or 'published'")
        record = self.records[np.asarray(torch.as_tensor(windows).cpu(), dtype=np.int64)]
        if values.shape[:2] != (len(record), self.frames):
            raise DataError(f"values: expected [{len(record)}, {self.frames}, ...] (got {list(values.shape)})")
        place = np.arange(self.frames)
        counted = (place >= record["first"][:, None]) & (place < record["stop"][:, None])
        rows = (self.begins[record["track"]] + record["start"])[:, None] + place
        total = int(self.lengths.sum())
        rows = rows[counted]
        if len(rows) < total or len(np.unique(rows)) != total:
            raise DataError(f"expected windows that cover all {total} frames (got {len(np.unique(rows))} of them)")
        out = values.new_empty((total, *values.shape[2:]))
        chosen = torch.from_numpy(counted).to(values.device)
        out[torch.from_numpy(rows).to(values.device)] = values[chosen]
        return list(out.split(self.lengths.tolist()))


def _one_skeleton(clips: Sequence[MotionClip]) -> Skeleton:
    if not clips:
        raise DataError("expected at least one clip (got none)")
    for clip in clips:
        if clip.skeleton != clips[0].skeleton:
            raise DataError(
                f"clip {clip.name!r} is on skeleton {clip.skeleton.name!r}, clip {clips[0].name!r} on {clips[0].skeleton.name!r}: "
                "map them to one skeleton first (clip.to)"
            )
    return clips[0].skeleton
