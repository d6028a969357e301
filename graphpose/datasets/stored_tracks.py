"""Tracks of stored clips: the frames of each window are read from the file, then seen by the camera, then mirrored.

    local = (P - c) R^T,    y = local - root,    x = f local_xy / local_z        (`stored_cameras` for lenses and pixels)
    mirror image:           joints exchanged before, first column of R^T negated

The same operations as for a clip that is seen whole (`views`), on the frames of a batch; so the numbers are the same, and
changing the cameras needs no new store. A window is one `preadv` a column; the reads of a batch are in the order of the file.
Memory: 300 bytes a track for its camera, and nothing for its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphpose.datasets.store import StoredClip
from graphpose.datasets.store_files import COLUMNS
from graphpose.datasets.stored_cameras import LazyCameras, Sighted, StoredCameras, sights
from graphpose.datasets.tracks import refuse_mixture
from graphpose.datasets.views import NEAREST, Views, raise_faults, view_clip
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

__all__ = ["StoredTracks"]


@dataclass(frozen=True)
class _Windows:
    """Which frames of which tracks a batch is made of, all `[B]`."""

    track: np.ndarray
    start: np.ndarray
    mirrored: np.ndarray
    frames: int

    def where(self, chosen: np.ndarray) -> _Windows:
        return _Windows(self.track[chosen], self.start[chosen], self.mirrored[chosen], self.frames)

    def __len__(self) -> int:
        return len(self.track)


class StoredTracks:
    """Tracks of the clips of a store; `Tracks` says what it gives.

    Args:
        clips: of one store.
        skeleton: theirs.
        views: the cameras.
        confidence: give confidence as third input feature.
        mirrored: whether windows are mirrored.

    Raises:
        DataError: what `view_clip` would refuse; only clips whose index leaves room for doubt are read for that.
    """

    at_once = 16384

    def __init__(
        self, clips: Sequence[StoredClip], skeleton: Skeleton, views: Views, *, confidence: bool, mirrored: bool
    ) -> None:
        if mirrored and skeleton.mirror[skeleton.root] != skeleton.root:
            raise DataError(
                f"skeleton {skeleton.name!r}: its root is one of a left/right pair, which stored clips cannot be mirrored on; set flip to 0"
            )
        self.store, self.skeleton, self.joints = clips[0].store, skeleton, len(skeleton)
        self.in_features = 3 if confidence else 2
        seen = sights(clips, views)
        counts = np.array([one.count for one in seen])
        self.clip = np.repeat(np.arange(len(clips)), counts)
        self.view = np.arange(len(self.clip)) - (np.cumsum(counts) - counts)[self.clip]
        bare = np.array([one.bare for one in seen])
        self._bare, self._any_bare, self._all_bare = bare, bool(bare.any()), bool(bare.all())  # of keypoints, a clip
        self._length = np.array([len(clip) for clip in clips], dtype=np.int64)
        self.lengths = self._length[self.clip]
        self._shard = np.array([clip.shard for clip in clips], dtype=np.int64)
        self._at = {name: _places(clips, name) for name in COLUMNS}
        self.cameras = LazyCameras(clips, views, self.clip, self.view)
        self._cameras = StoredCameras(clips, seen, views, self.joints, self.clip, self.view)
        with_y = [(number, clip.at["positions"] is not None) for number, clip in enumerate(clips)]
        _refuse(clips, views, self._cameras)
        refuse_mixture(clips, with_y)
        self._with_y = with_y[0][1]
        self._gaps = any(clip.gaps for clip, one in zip(clips, seen, strict=True) if one.bare)
        # where each number of a mirrored frame comes from, for 1 (confidence), 2 and 3 numbers a joint
        place = torch.from_numpy(skeleton.mirror.copy())[:, None]
        self._mirror = {size: (size * place + torch.arange(size)).flatten() for size in (1, 2, 3)}
        self._root = torch.tensor([3 * skeleton.root, 3 * skeleton.root + 1, 3 * skeleton.root + 2] * self.joints)

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept: places and cameras, no frames."""
        kept = [self.clip, self.view, self.lengths, self._length, self._shard, *self._at.values()]
        return sum(one.nbytes for one in kept) + self._cameras.nbytes

    def address(self, track: np.ndarray, start: np.ndarray, mirrored: np.ndarray) -> list[np.ndarray]:
        """Track, first frame, mirrored."""
        return [track, start, mirrored]

    def gather(self, address: Sequence[Tensor], place: Tensor) -> dict[str, Tensor]:
        """See `Tracks.gather`."""
        frames = len(place)
        track, start, mirrored = (column[:, 0].numpy() for column in address)
        windows = _Windows(track, start, mirrored, frames)
        if not self._any_bare or self._all_bare:
            return self._seen(windows, self._all_bare)
        bare = self._bare[
            self.clip[track]
        ]  # some clips with keypoints of their own, some projected: each kind on its own
        out: dict[str, Tensor] = {}
        for kind in (False, True):
            chosen = np.flatnonzero(bare == kind)
            if len(chosen):
                for name, part in self._seen(windows.where(chosen), kind).items():
                    out.setdefault(name, part.new_empty((len(windows), *part.shape[1:])))[torch.from_numpy(chosen)] = (
                        part
                    )
        return out

    def _seen(self, windows: _Windows, bare: bool) -> dict[str, Tensor]:
        """The windows as their cameras see them; `bare` ones have keypoints of their own."""
        size, frames, joints = len(windows), windows.frames, self.joints
        recorded = self._read("camera", windows, absent=np.nan) if self._cameras.recorded else None
        camera = self._cameras.of(windows.track, windows.start, windows.mirrored, frames, recorded, bare)
        out: dict[str, Tensor] = {}
        x = visible = None
        if bare:
            x, visible = self._keypoints(windows, camera)
        if self._with_y:
            points = self._read("positions", windows).view(size, frames, joints, 3)
            self._exchange(points, windows)
            local = camera.see(points)
            flat = local.view(size * frames, 3 * joints)
            roots = flat.index_select(
                1, self._root
            )  # the root once for every joint: contiguous, so that the difference is fast
            out["y"] = (flat - roots).view(local.shape)
            out["root"] = roots.view(local.shape)[:, :, 0]
            x = camera.project(local) if x is None else x
        assert x is not None
        if self.in_features == 3 and not bare:
            x = torch.cat([x, x.new_ones((size, frames, joints, 1))], dim=-1)
        out["x"] = x
        if self._gaps:
            out["visible"] = torch.ones(x.shape[:3], dtype=torch.bool) if visible is None else visible
        return {name: out[name] for name in ("x", "y", "root", "visible") if name in out}

    def _keypoints(self, windows: _Windows, camera: Sighted) -> tuple[Tensor, Tensor]:
        shape = (len(windows), windows.frames, self.joints)
        points = camera.on_screen(self._read("keypoints", windows).view(*shape, 2))
        sure = self._read("confidence", windows, absent=1.0).view(*shape, 1)
        for values in (points, sure):
            self._exchange(values, windows)
        points[..., 0] *= camera.sign[..., None]
        visible = ~points.isnan().any(-1)
        full = torch.cat([points, sure], dim=-1) if self.in_features == 3 else points
        return torch.where(visible[..., None], full, torch.zeros(())), visible

    def _exchange(self, values: Tensor, windows: _Windows) -> None:
        """Left and right joints of `[B, T, J, C]` exchanged in the mirrored windows, in place."""
        mirrored = np.flatnonzero(windows.mirrored)
        if len(mirrored):
            _, frames, joints, numbers = values.shape
            chosen = values.index_select(0, torch.from_numpy(mirrored)).view(-1, joints * numbers)  # one frame a row
            exchanged = chosen.index_select(1, self._mirror[numbers])
            values.numpy()[mirrored] = exchanged.view(-1, frames, joints, numbers).numpy()

    def _read(self, column: str, windows: _Windows, *, absent: float | None = None) -> Tensor:
        """`[B, T, floats a frame]` of a column, frames beyond the ends repeated; `absent` stands for clips without it."""
        clip, frames, width = self.clip[windows.track], windows.frames, COLUMNS[column](self.joints)
        size, start, room = 4 * width, windows.start, self._length[clip] - frames
        at, shard = self._at[column][clip], self._shard[clip]
        values = np.empty((len(clip), frames, width), dtype=np.float32)
        padded = bool(((start < 0) | (start > room)).any())
        low, skipped, count = start, np.zeros_like(start), np.full_like(start, frames)
        if padded:
            low = np.clip(start, 0, self._length[clip] - 1)
            skipped, count = low - start, np.clip(start + frames, 1, self._length[clip]) - low
        offset, place = at + low * size, (np.arange(len(clip)) * frames + skipped) * size
        order = np.argsort(offset + (shard << 40), kind="stable")  # as they lie in the files
        requests = np.stack([shard, offset, place, place + count * size], axis=1)[order]
        if absent is not None:
            values[at < 0] = absent
            requests = requests[requests[:, 1] >= 0]
        self.store.read(requests.tolist(), values.reshape(-1).view(np.uint8).data)
        for window in np.flatnonzero((count < frames) & (at >= 0)).tolist() if padded else ():
            first, stop = int(skipped[window]), int(skipped[window] + count[window])
            values[window, :first], values[window, stop:] = values[window, first], values[window, stop - 1]
        return torch.from_numpy(values)


def _places(clips: Sequence[StoredClip], column: str) -> np.ndarray:
    """First byte of a column of each clip; far below 0 where it has none."""
    return np.array(
        [-(2**40) if (at := clip.at[column]) is None else at + clip.begin * clip.row(column) for clip in clips],
        dtype=np.int64,
    )


def _refuse(clips: Sequence[StoredClip], views: Views, cameras: StoredCameras) -> None:
    """Reads the clips that may have a joint too near a camera, or that the views do not suit, and raises what is wrong."""
    faults = []
    for number in cameras.doubtful(NEAREST):
        try:
            view_clip(clips[number], views)
        except DataError as fault:
            faults.append(str(fault))
    raise_faults(faults)
