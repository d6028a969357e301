"""The cameras of stored tracks as a table, so that the windows of a batch are seen all at once.

A row is the 21 numbers of a camera that stands still (`store_files.CAMERA`). The cameras of an orbit follow from the clip's
length, and recorded cameras that move are read from the store, for the frames of the batch only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpose.datasets.store import StoredClip
from graphpose.datasets.store_files import camera_rows
from graphpose.datasets.views import Views, turned
from graphpose.errors import DataError
from graphpose.geometry import Camera
from graphpose.geometry.distortion import distort
from graphpose.geometry.views import around

__all__ = ["LazyCameras", "Sight", "Sighted", "StoredCameras", "sights"]

_MARGIN = 1e-3  # metres, by which rounding could make a joint nearer than the index says


@dataclass(frozen=True)
class Sight:
    """How a clip is seen.

    Attributes:
        count: tracks it makes.
        bare: keypoints of its own are taken, nothing is projected.
        rows: `[count, 21]` of cameras that stand still, None for those that move (and for bare keypoints without one).
        lens: width, height and limit of the camera, each may be None.
        doubtful: the index alone says that something is wrong.
    """

    count: int
    bare: bool
    rows: Tensor | None
    lens: tuple[int | None, int | None, float | None] = (None, None, None)
    doubtful: bool = False


def sights(clips: Sequence[StoredClip], views: Views) -> list[Sight]:
    """What `view_clip` would make of each clip, without its frames."""
    rows: list[Tensor | None] = [None] * len(clips)
    if views.kind == "static" and clips:  # all at once, because a camera checks itself, and there are tens of thousands
        targets = torch.stack([torch.zeros(3) if clip.target is None else clip.target for clip in clips])
        azimuths = torch.tensor([math.radians(azimuth) for azimuth in views.azimuths], dtype=torch.float64)
        angles = azimuths.expand(len(clips), -1)
        rows = list(camera_rows(around(targets[:, None], angles, views.distance, views.height, views.focal)))
    return [_sight(clip, views, of_clip) for clip, of_clip in zip(clips, rows, strict=True)]


def _sight(clip: StoredClip, views: Views, rows: Tensor | None) -> Sight:
    positions, label = clip.at["positions"] is not None, clip.camera_label
    lens = (None, None, None) if label is None else (label["width"], label["height"], label["limit"])
    own = None if label is None or clip.moving else torch.tensor([label["numbers"]], dtype=torch.float32)
    if not positions or (views.kind == "clip" and clip.at["keypoints"] is not None):
        unrelated = positions and clip.space == "world" and label is None
        if label is None or clip.space == "camera":
            own = _IDENTITY
        return Sight(1, True, own, lens, clip.screen > 10 or unrelated)
    strange = clip.space != "world"
    if views.kind == "orbit":
        return Sight(len(views.azimuths), False, None, doubtful=strange)
    if views.kind == "clip" and label is not None:
        return Sight(1, False, own, lens, strange or clip.moving)
    if rows is not None:
        return Sight(len(rows), False, rows, doubtful=strange)
    cameras = views.cameras(clip)
    if any(camera.shape for camera in cameras):
        raise DataError(
            f"views of kind {views.kind!r} have cameras that move, which stored clips cannot follow; load the clips"
        )
    rows = torch.stack([camera_rows(camera) for camera in cameras])
    return Sight(len(cameras), False, rows, (cameras[0].width, cameras[0].height, cameras[0].limit), strange)


_IDENTITY = camera_rows(Camera(torch.eye(3), torch.zeros(3), torch.ones(2)))[None]


class LazyCameras(Sequence[Camera | None]):
    """The camera of each track, made when it is asked for."""

    def __init__(self, clips: Sequence[StoredClip], views: Views, clip: np.ndarray, view: np.ndarray) -> None:
        self._clips, self._views, self._clip, self._view = clips, views, clip, view

    def __len__(self) -> int:
        return len(self._clip)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        clip = self._clips[self._clip[index]]
        if clip.at["positions"] is None or self._views.kind == "clip":
            return clip.camera
        return self._views.cameras(clip)[self._view[index]]


class StoredCameras:
    """The cameras of all tracks.

    Args:
        clips: the clips; seen: how each is seen, with these views.
        joints: J.
        clip, view: int64 `[tracks]` where each track comes from.
    """

    def __init__(
        self,
        clips: Sequence[StoredClip],
        seen: Sequence[Sight],
        views: Views,
        joints: int,
        clip: np.ndarray,
        view: np.ndarray,
    ) -> None:
        nothing = torch.zeros(1, 21)
        self.rows = torch.cat([nothing.expand(one.count, -1) if one.rows is None else one.rows for one in seen])
        self._lens = torch.tensor([_lens(one) for one in seen], dtype=torch.float32)[torch.from_numpy(clip)]
        self._plain = not bool(self.rows[:, 14:].any()) and not any(any(one.lens) for one in seen)
        self.recorded = any(one.moving for one in clips) and views.kind == "clip"
        self._orbit = views.kind == "orbit"
        self._views, self._clip = views, clip
        self._azimuth = torch.tensor([math.radians(a) for a in views.azimuths], dtype=torch.float64)
        self._view = torch.from_numpy(view)
        self._target = torch.stack([torch.zeros(3) if one.target is None else one.target for one in clips])
        self._length = np.array([len(one) for one in clips])
        self._reach = np.array([one.reach for one in clips])
        self._projected = np.array([not one.bare for one in seen])
        self._wrong = np.array([one.doubtful for one in seen])
        # turned once here for those that stand still: [2 tracks, 3, 3], mirror images in the second half
        turn = self.rows[:, :9].view(-1, 3, 3).mT.contiguous()
        mirrored = turn.clone()
        mirrored[..., 0] *= -1
        self._turn = torch.cat([turn, mirrored])
        # position and focal length once for every joint: whole rows are taken away and multiplied faster than triples
        self._tiled = torch.cat([self.rows[:, 9:12].repeat(1, joints), self.rows[:, 12:14].repeat(1, joints)], dim=1)

    @property
    def nbytes(self) -> int:
        """Bytes of the tables."""
        tables = (self.rows, self._lens, self._view, self._target, self._turn, self._tiled)
        return sum(one.numel() * one.element_size() for one in tables)

    def doubtful(self, nearest: float) -> list[int]:
        """The clips of which a joint may be nearer to a camera than `nearest` metres, or that are wrong for other reasons."""
        clip = self._clip
        if self._orbit:
            depth = np.full(len(clip), self._views.distance)
        else:
            depth = ((self._target[clip] - self.rows[:, 9:12]) * self.rows[:, 6:9]).sum(-1).double().numpy()
        near = self._projected[clip] & (depth - self._reach[clip] < nearest + _MARGIN)
        return sorted({int(number) for number in clip[near]} | {int(number) for number in np.flatnonzero(self._wrong)})

    def of(
        self,
        track: np.ndarray,
        start: np.ndarray,
        mirrored: np.ndarray,
        frames: int,
        recorded: Tensor | None,
        bare: bool,
    ) -> Sighted:
        """The cameras of windows of `track [B]` from frame `start [B]`; `recorded [B, T, 21]` are numbers read from the store."""
        chosen = torch.from_numpy(track)
        sign = torch.from_numpy(1.0 - 2.0 * mirrored).float()[:, None]
        lens = None if self._plain else self._lens.index_select(0, chosen)
        if self._orbit and not bare:
            rows = self._around(track, start, frames)
        elif recorded is not None:
            rows = torch.where(recorded.isnan(), self.rows[chosen][:, None], recorded)
        else:
            turn = self._turn.index_select(0, torch.from_numpy(track + len(self.rows) * mirrored))
            own = None if lens is None else self.rows.index_select(0, chosen)[:, None]
            return Sighted(own, turn, sign, lens, self._tiled.index_select(0, chosen)[:, None])
        joints = self._tiled.shape[1] // 5
        tiled = torch.cat([rows[..., 9:12].repeat(1, 1, joints), rows[..., 12:14].repeat(1, 1, joints)], dim=-1)
        turn = rows[..., :9].reshape(*rows.shape[:-1], 3, 3).mT.clone()
        turn[..., 0] *= sign[..., None]
        return Sighted(rows, turn, sign, lens, tiled)

    def _around(self, track: np.ndarray, start: np.ndarray, frames: int) -> Tensor:
        """Rows `[B, T, 21]` of cameras that walk around the clip once, as `orbit_camera` does."""
        views, length = self._views, self._length[self._clip[track]][:, None]
        frame = np.clip(start[:, None] + np.arange(frames), 0, length - 1)
        angles = self._azimuth[self._view[track]][:, None] + 2 * math.pi * torch.from_numpy(frame / length)
        return camera_rows(
            around(self._target[self._clip[track]][:, None], angles, views.distance, views.height, views.focal)
        )


def _lens(sight: Sight) -> list[float]:
    """Limit (infinite for none), and factor and offsets from the camera's unit to normalised screen units."""
    width, height, limit = sight.lens
    scale = (1.0, 0.0, 0.0) if width is None or height is None else (2.0 / width, 1.0, height / width)
    return [math.inf if limit is None else limit, *scale]


@dataclass(frozen=True)
class Sighted:
    """Cameras of the windows of a batch.

    Attributes:
        rows: `[B, 1 or T, 21]`, None where `tiled` says all that counts.
        turn: `[B, 3, 3]` or `[B, T, 3, 3]`, to be multiplied from the right; first column negated for mirror images.
        sign: `[B, 1]`, -1 for mirror images.
        lens: `[B, 4]`, None where no camera has a lens, an offset or pixels.
        tiled: `[B, 1 or T, 5 J]` position and focal length, once for every joint.
    """

    rows: Tensor | None
    turn: Tensor
    sign: Tensor
    lens: Tensor | None
    tiled: Tensor

    def see(self, points: Tensor) -> Tensor:
        """World `[B, T, J, 3]` in camera space, mirrored where asked for; the points are overwritten."""
        size, frames, joints, _ = points.shape
        flat = points.view(size, frames, 3 * joints)
        flat -= self.tiled[..., : 3 * joints]
        if self.turn.ndim == 4:
            return turned(points, self.turn)
        return turned(points.view(size, frames * joints, 3), self.turn).view(points.shape)

    def project(self, local: Tensor) -> Tensor:
        """Camera space `[B, T, J, 3]` in normalised screen units `[B, T, J, 2]`."""
        size, frames, joints, _ = local.shape
        plane = local[..., :2] / local[..., 2:]
        if self.lens is None:
            plane.view(size, frames, 2 * joints).mul_(self.tiled[..., 3 * joints :])
            return plane
        assert self.rows is not None
        rows, limit = self.rows[:, :, None], self.lens[:, 0].view(-1, 1, 1, 1)
        plane[..., 0] *= self.sign[
            ..., None
        ]  # a lens is not the same on both sides: project what was there, then mirror
        plane = distort(plane.clamp_(-limit, limit), rows[..., 16:19], rows[..., 19:21])
        image = self.on_screen(rows[..., 12:14] * plane + rows[..., 14:16])
        image[..., 0] *= self.sign[..., None]
        return image

    def on_screen(self, points: Tensor) -> Tensor:
        """Points `[B, T, J, 2]` in the unit of the camera, in normalised screen units."""
        if self.lens is None:
            return points
        scale, corner = self.lens[:, 1].view(-1, 1, 1, 1), self.lens[:, 2:].view(-1, 1, 1, 2)
        return points * scale - corner
