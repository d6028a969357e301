"""Windows of clips, seen by cameras, as pose graphs or stacked arrays; gathered by index from memory or from a store.

A *track* is one clip seen by one camera. Frame i of window w is

    t = clamp(start(w) + i, 0, length - 1)      of the track of w

so padding repeats the first or last frame. Where the frames come from is the matter of `tracks`: arrays in memory, or the files
of a prepared store when the clips are those of one. Everything else is the same for both, every random draw included.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from graphpose.datasets.augmentation import Augmentation
from graphpose.datasets.draws import uniform
from graphpose.datasets.store import StoredClip
from graphpose.datasets.stored_tracks import StoredTracks
from graphpose.datasets.tracks import MemoryTracks, Tracks
from graphpose.datasets.views import Views
from graphpose.datasets.window_table import RECORD, WindowTable
from graphpose.errors import DataError, unknown_name
from graphpose.geometry import Camera
from graphpose.graph import PoseGraph, SpatioTemporalGraph
from graphpose.graph.spatio_temporal import DEFAULT_RELATIONS
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["RECORD", "PoseWindows"]

_SAMPLING = ("grid", "published", "random")
_PLANNED = 2**21  # windows whose places are worked out once an epoch (100 MB); of more, batch by batch
_BLOCK = 2**17


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
        tracks: where the frames come from.
        table: the windows; the batch's `window` numbers them.
        graph: the topology all windows share.

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
        self.tracks = _tracks(self.clips, self.skeleton, views or Views(), confidence, bool(self.augmentation.flip))
        self.table = WindowTable(
            self.tracks.lengths, self.tracks.clip, self.tracks.view, frames, stride, published=sampling == "published"
        )
        self._place = torch.arange(frames)
        self._planned: tuple[int, Tensor] | None = None

    @cached_property
    def records(self) -> np.ndarray:
        """`[W]` of dtype `RECORD`, all windows; made and kept when it is first asked for (56 bytes a window)."""
        return self.table.rows(np.arange(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """int64 `[tracks]`: frames of each track."""
        return self.tracks.lengths

    @property
    def track_clip(self) -> np.ndarray:
        """int64 `[tracks]`: the clip of each track."""
        return self.tracks.clip

    @property
    def track_view(self) -> np.ndarray:
        """int64 `[tracks]`: the view of its clip that each track is."""
        return self.tracks.view

    @property
    def cameras(self) -> Sequence[Camera | None]:
        """Camera of each track, None for bare keypoints."""
        return self.tracks.cameras

    @property
    def in_features(self) -> int:
        """C, features a node: 2, or 3 with confidence."""
        return self.tracks.in_features

    @property
    def nbytes(self) -> int:
        """Bytes of the tracks kept in memory."""
        return self.tracks.nbytes

    @property
    def at_once(self) -> int:
        """Windows that are best fetched together; 0 where it makes no difference."""
        return self.tracks.at_once // self.frames

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's draws `fetch` and indexing give."""
        self.epoch = int(epoch)

    def __len__(self) -> int:
        return len(self.table)

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
        plan = self._plan(index, epoch)  # [B, columns, 1]
        *address, first, stop = plan.unbind(1)
        window = self.tracks.gather(address, self._place)
        self.augmentation.degrade(window, index.numpy(), self.seed, epoch)
        window["window"] = index
        window["counted"] = (self._place >= first) & (self._place < stop)
        return window

    def _plan(self, index: Tensor, epoch: int) -> Tensor:
        """int64 `[B, columns, 1]` of windows: their address in the tracks, and the counting places [first, stop).

        Made once an epoch for all windows at once, which costs less than a hash for every batch, unless there are too many.
        """
        if len(self) > _PLANNED:
            return torch.from_numpy(self._places(index.numpy(), epoch)[..., None])
        if self._planned is None or self._planned[0] != epoch:
            self._planned = None  # that of the last epoch goes before the new one comes
            blocks = [np.arange(at, min(at + _BLOCK, len(self))) for at in range(0, len(self), _BLOCK)]
            places = np.concatenate([self._places(block, epoch) for block in blocks])
            self._planned = (epoch, torch.from_numpy(places[..., None]))
        return self._planned[1].index_select(0, index)

    def _places(self, index: np.ndarray, epoch: int) -> np.ndarray:
        record = self.table.rows(index)
        track, start, first, stop = record["track"], record["start"], record["first"], record["stop"]
        if self.sampling == "random":
            length = self.lengths[track]
            room = np.maximum(length - self.frames, 0) + 1
            start = (uniform(self.seed, epoch, index, "start", 1)[:, 0] * room).astype(np.int64)
            first, stop = np.zeros_like(start), np.minimum(length, self.frames)
        mirrored = self.augmentation.draw_flips(index, self.seed, epoch)
        return np.stack([*self.tracks.address(track, start, mirrored), first, stop], axis=1)

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
        record = self.table.rows(np.asarray(torch.as_tensor(windows).cpu(), dtype=np.int64))
        if values.shape[:2] != (len(record), self.frames):
            raise DataError(f"values: expected [{len(record)}, {self.frames}, ...] (got {list(values.shape)})")
        place = np.arange(self.frames)
        counted = (place >= record["first"][:, None]) & (place < record["stop"][:, None])
        begins = np.cumsum(self.lengths) - self.lengths
        rows = (begins[record["track"]] + record["start"])[:, None] + place
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


def _tracks(clips: Sequence[MotionClip], skeleton: Skeleton, views: Views, confidence: bool, mirrored: bool) -> Tracks:
    stored = [clip for clip in clips if isinstance(clip, StoredClip)]
    if not stored:
        return MemoryTracks(clips, skeleton, views, confidence=confidence, mirrored=mirrored)
    if len(stored) < len(clips):
        raise DataError(
            f"{len(stored)} of {len(clips)} clips are those of a store: expected all or none; read them with clip.load() to mix them"
        )
    return StoredTracks(stored, skeleton, views, confidence=confidence, mirrored=mirrored)
