"""Clips as cameras see them: which cameras look at a clip, and what each of them gives.

    2D    x = project(R (P - c))        normalised screen units [F, J, 2]
    3D    y = R (P - c) - root          metres, camera space, relative to the root joint [F, J, 3]
    path  root = R (P_root - c)         metres, camera space [F, 3]

Adding a kind of view: one function in this file with the `@view_kind` decorator.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphpose.config import ViewsConfig
from graphpose.datasets.store import StoredClip, mean_of_root
from graphpose.errors import DataError, unknown_name
from graphpose.geometry import Camera, normalize_screen, orbit_camera, random_cameras, static_views
from graphpose.motion import MotionClip

__all__ = [
    "NEAREST",
    "ClipView",
    "Views",
    "mean_root",
    "raise_faults",
    "refuse_gaps",
    "turned",
    "view_all",
    "view_clip",
]

NEAREST = 0.1
"""Metres in front of the camera below which a joint cannot be projected sensibly."""


@dataclass(frozen=True)
class Views:
    """The cameras that look at a clip.

    Attributes:
        kind: "static" (around the mean root of the clip), "orbit" (walk around it once), "random", or "clip" (the file's own).
        azimuths: degrees of the static cameras; starting angles of the orbits.
        distance, height: metres; of random cameras the distance is uniform within 20 % and the height within 0.5 m of it.
        focal: normalised screen units.
        count: number of random cameras.
        seed: of the random cameras, together with the clip's name.
    """

    kind: str = "static"
    azimuths: tuple[float, ...] = (45.0, 135.0, 225.0, 315.0)
    distance: float = 5.0
    height: float = 1.5
    focal: float = 2.29
    count: int = 4
    seed: int = 0

    @classmethod
    def from_config(cls, config: ViewsConfig, seed: int = 0) -> Views:
        """The cameras that a configuration asks for."""
        return cls(
            config.kind, tuple(config.azimuths), config.distance, config.height, config.focal, config.count, seed
        )

    def cameras(self, clip: MotionClip) -> list[Camera]:
        """One camera a view of this clip. Raises DataError for an unknown kind or a clip that it cannot serve."""
        if self.kind not in _KINDS:
            raise DataError(unknown_name("kind of views", self.kind, sorted(_KINDS)))
        return _KINDS[self.kind](self, clip)


_KINDS: dict[str, Callable[[Views, MotionClip], list[Camera]]] = {}


def view_kind(name: str) -> Callable[[Callable[[Views, MotionClip], list[Camera]]], None]:
    """Registers a function (views, clip) -> cameras as a kind of views."""

    def register(make: Callable[[Views, MotionClip], list[Camera]]) -> None:
        _KINDS[name] = make

    return register


@view_kind("static")
def _static(views: Views, clip: MotionClip) -> list[Camera]:
    return static_views(mean_root(clip), views.azimuths, views.distance, views.height, views.focal)


@view_kind("orbit")
def _orbit(views: Views, clip: MotionClip) -> list[Camera]:
    target, near = mean_root(clip), {"distance": views.distance, "height": views.height, "focal": views.focal}
    return [orbit_camera(target, len(clip), start=azimuth, **near) for azimuth in views.azimuths]


@view_kind("random")
def _random(views: Views, clip: MotionClip) -> list[Camera]:
    # the clip's own name seeds its cameras, so they do not change with the clips around it
    generator = torch.Generator().manual_seed(views.seed * 1_000_003 + zlib.crc32(clip.name.encode()))
    return random_cameras(
        mean_root(clip),
        views.count,
        generator,
        distance=(0.8 * views.distance, 1.2 * views.distance),
        height=(views.height - 0.5, views.height + 0.5),
        focal=(views.focal, views.focal),
    )


@view_kind("clip")
def _own(views: Views, clip: MotionClip) -> list[Camera]:
    if clip.camera is None:
        raise DataError(f"clip {clip.name!r}: views of kind 'clip' need a camera in the file (got none); use 'static'")
    return [clip.camera]


@dataclass(frozen=True)
class ClipView:
    """One clip as one camera sees it, all float32.

    Attributes:
        x: `[F, J, 3]` normalised 2D and confidence; 0 where missing.
        y: `[F, J, 3]` metres, or None for a clip without positions.
        root: `[F, 3]` metres, or None.
        visible: `[F, J]` bool.
        camera: the camera, None for bare keypoints.
    """

    x: Tensor
    y: Tensor | None
    root: Tensor | None
    visible: Tensor
    camera: Camera | None

    def up(self, frame: int = 0) -> Tensor | None:
        """Where +Y of the world points to in the axes of the camera, `[3]`, at a frame; None without a camera."""
        if self.camera is None:
            return None
        rotations = self.camera.rotation.reshape(-1, 3, 3)
        return rotations[min(frame, len(rotations) - 1), :, 1]


def view_clip(clip: MotionClip, views: Views) -> list[ClipView]:
    """What each camera sees of the clip.

    Keypoints of the file itself are used for kind "clip" (and where there are no positions); the others are projected.

    Raises:
        DataError: positions with gaps, a joint at or behind a camera, keypoints whose screen size is not known.
    """
    if isinstance(clip, StoredClip):
        clip = clip.load()
    if clip.positions is None or (views.kind == "clip" and clip.keypoints is not None):
        return [_keypoint_view(clip)]
    return [_projected_view(clip, camera, number) for number, camera in enumerate(views.cameras(clip))]


def _keypoint_view(clip: MotionClip) -> ClipView:
    assert clip.keypoints is not None
    camera, points = clip.camera, clip.keypoints
    if camera is not None and camera.width is not None and camera.height is not None:
        points = normalize_screen(points, camera.width, camera.height)
    visible = ~points.isnan().any(-1)
    largest = float(points[visible].abs().max()) if bool(visible.any()) else 0.0
    if largest > 10:
        file = f" ({clip.source})" if clip.source else ""
        raise DataError(
            f"clip {clip.name!r}{file}: expected keypoints in normalised screen units, about -1 to 1 (got up to {largest:g}); "
            "for pixels give the clip a camera with width and height (in an npz file the numbers `width` and `height` beside `keypoints`)"
        )
    y = root = None
    if clip.positions is not None:
        if clip.space == "world" and camera is None:
            raise DataError(f"clip {clip.name!r}: keypoints and world positions, but no camera that relates them")
        local = clip.positions if camera is None or clip.space == "camera" else _in_camera_space(clip.positions, camera)
        y, root = _relative(clip, local)
    return ClipView(_with_confidence(points, clip.confidence, visible), y, root, visible, camera)


def _projected_view(clip: MotionClip, camera: Camera, number: int) -> ClipView:
    assert clip.positions is not None
    if clip.space != "world":
        raise DataError(f"clip {clip.name!r}: positions are in camera space; use views of kind 'clip'")
    local = _in_camera_space(clip.positions, camera)
    y, root = _relative(clip, local)
    depth = local[..., 2]
    if float(depth.min()) < NEAREST:
        frame = int(depth.amin(-1).argmin())
        raise DataError(
            f"clip {clip.name!r}, view {number} ({camera.name}), frame {frame}: a joint is {float(depth.min()):.2f} m in front of "
            f"the camera, expected at least {NEAREST} m; move the cameras away (views.distance) or use views.kind orbit"
        )
    points = camera.project(local)
    if camera.width is not None and camera.height is not None:
        points = normalize_screen(points, camera.width, camera.height)
    visible = torch.ones(points.shape[:2], dtype=torch.bool)
    return ClipView(_with_confidence(points, None, visible), y, root, visible, camera)


def turned(offset: Tensor, rotation: Tensor) -> Tensor:
    """`offset [..., N, 3] @ rotation [..., 3, 3]`.

    NumPy multiplies here, because the bits of its small products do not depend on how many points there are: windows that are
    seen one by one are then the same as windows cut out of a clip that was seen whole.
    """
    return torch.from_numpy(np.matmul(offset.numpy(), rotation.numpy()))


def _in_camera_space(points: Tensor, camera: Camera) -> Tensor:
    """`camera.world_to_camera` of the points `[F, J, 3]` of a clip, in float32."""
    position, rotation = camera.position.float(), camera.rotation.float().mT
    if camera.shape:
        return turned(points - position.unsqueeze(-2), rotation)
    return turned((points - position).flatten(0, 1), rotation).view(points.shape)


def _relative(clip: MotionClip, local: Tensor) -> tuple[Tensor, Tensor]:
    refuse_gaps(clip, local)
    root = local[:, clip.skeleton.root]
    return (local - root[:, None]).float(), root.float()


def refuse_gaps(clip: MotionClip, positions: Tensor) -> None:
    """Raises DataError that names the first joint `[F, J, 3]` without a position."""
    gaps = positions.isnan().any(-1)
    if bool(gaps.any()):
        frame, joint = (int(i) for i in gaps.nonzero()[0])
        raise DataError(
            f"clip {clip.name!r}, frame {frame}: joint {clip.skeleton.joints[joint]!r} has no position "
            f"({int(gaps.sum())} gaps in the clip); fill them with clip.fill_gaps() or cut the clip"
        )


def _with_confidence(points: Tensor, confidence: Tensor | None, visible: Tensor) -> Tensor:
    sure = torch.ones(points.shape[:2]) if confidence is None else confidence
    full = torch.cat([points.float(), sure.float()[..., None]], dim=-1)
    return torch.where(visible[..., None], full, torch.zeros(()))


def mean_root(clip: MotionClip) -> Tensor:
    """Mean root of a clip [3], over the frames that have one; a stored clip knows it without being read."""
    if isinstance(clip, StoredClip) and clip.target is not None:
        return clip.target
    if clip.positions is None:
        raise DataError(f"clip {clip.name!r}: cameras need positions to look at (got keypoints only); use views 'clip'")
    target = mean_of_root(clip)
    if not math.isfinite(float(target.sum())):
        raise DataError(
            f"clip {clip.name!r}: root joint {clip.skeleton.joints[clip.skeleton.root]!r} has no position at all"
        )
    return target


def view_all(clips: Sequence[MotionClip], views: Views) -> list[list[ClipView]]:
    """The views of each clip, all faults of all clips in one DataError."""
    seen, faults = [], []
    for clip in clips:
        try:
            seen.append(view_clip(clip, views))
        except DataError as fault:
            faults.append(str(fault))
    raise_faults(faults)
    return seen


def raise_faults(faults: Sequence[str]) -> None:
    """One DataError for the faults of several clips; nothing when there are none."""
    if faults:
        more = f" (and {len(faults) - 3} more clips)" if len(faults) > 3 else ""
        raise DataError("; ".join(faults[:3]) + more)
