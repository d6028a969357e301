"""Archives in the layout of VideoPose3D: `data_3d_NAME.npz` and `data_2d_NAME_DETECTOR.npz`, one clip a camera.

3D: `positions_3d`, a dictionary subject -> action -> `[F, joints, 3]` metres, world with z up. 2D: `positions_2d`, a
dictionary subject -> action -> list of one `[F', joints, 2]` in pixels for each camera, in the order of the published
calibration (a third number is confidence), and `metadata`, which tells the joints (see `_keypoint_orders`). F' may be larger
than F: the frames beyond F are dropped, as published. The world is turned to +Y up, (x, y, z) -> (x, z, -y), and the
cameras with it, so that every projection stays what it was.

Pavllo et al., "3D human pose estimation in video with temporal convolutions and semi-supervised training", CVPR 2019.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpose.errors import FormatError, unknown_name
from graphpose.formats._keypoint_orders import KeypointOrder, order_of
from graphpose.formats._object_arrays import load_member, member_names
from graphpose.formats._pinhole_fit import fit_pinhole
from graphpose.formats._published import body_of, check_complete, check_unit, chosen_subjects, joint_array, mapping
from graphpose.formats.registry import Format
from graphpose.geometry import Camera
from graphpose.motion.clip import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["Z_UP_TO_Y_UP", "Layout", "archive_format", "holds_own_clip", "is_archive", "read_archive", "turned"]

log = logging.getLogger(__name__)

Z_UP_TO_Y_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
_FAR = 100.0  # pixels between keypoints and projected joints, in the median, that no detector is wrong by
_COMPARED = 50  # frames
_ONE_VERSION = "take the 2D and the 3D file of one version; docs/BENCHMARKS.md says where they are from"


@dataclass(frozen=True)
class Layout:
    """One data set in this layout.

    Attributes:
        title: its name, for messages.
        stem: NAME in the names of its files.
        skeleton: bundled skeleton of the clips.
        stored: joints in the 3D file.
        kept: which of them are the joints of the skeleton, in its order.
        fps: of the recordings.
        cameras: subject -> its cameras in the published order (world z up, pixels); empty for an unknown subject.
        subjects: those with published cameras, for messages.
        merged: action of the file -> action of the tables.
        split: subject -> "train" or "test", as published.
        detectors: names of the published 2D files that can be used.
        orders: orders of keypoints in use beside that of the skeleton.
        lenses: whether `cameras` have lenses; without, focal length and centre are fitted to the 2D file.
    """

    title: str
    stem: str
    skeleton: str
    stored: int
    kept: tuple[int, ...]
    fps: float
    cameras: Callable[[str], Sequence[Camera]]
    subjects: tuple[str, ...]
    merged: Callable[[str], str]
    split: Callable[[str], str]
    detectors: tuple[str, ...] = ("gt",)
    orders: tuple[KeypointOrder, ...] = ()
    lenses: bool = True

    @property
    def file_3d(self) -> str:
        return f"data_3d_{self.stem}.npz"

    @property
    def file_2d(self) -> str:
        """Ground-truth keypoints."""
        return f"data_2d_{self.stem}_gt.npz"

    def order_of(self, path: Path) -> KeypointOrder:
        """Of the keypoints in a 2D file; raises `OtherJointsError` for those of other joints."""
        usable = [f"data_2d_{self.stem}_{detector}.npz" for detector in self.detectors[:2]]
        return order_of(path, Skeleton.load(self.skeleton), self.orders, usable)


def is_archive(path: Path, layout: Layout) -> bool:
    """Whether an npz file has the arrays of this layout; of a damaged one, whether it has a name of this data set."""
    names = member_names(path)
    if names is None:
        return path.name.lower().startswith((f"data_3d_{layout.stem}", f"data_2d_{layout.stem}"))
    return bool({"positions_3d", "positions_2d"} & names)


def holds_own_clip(path: Path, layout: Layout) -> bool:
    """False for a 2D file beside its 3D file, which a search through a folder passes over."""
    names = member_names(path)
    if names is None or "positions_3d" in names or not (path.parent / layout.file_3d).exists():
        return True
    log.warning(
        "%s: keypoints of %s are used only when the file itself is given; %s stands for the folder",
        path, layout.title, layout.file_3d,
    )  # fmt: skip
    return False


def archive_format(name: str, layout: Layout, recognizes: Callable[[Path], bool], description: str) -> Format:
    """The format of archives of this layout: one clip a subject, action and camera.

    `subjects` (names, or one text with commas) reads only those. Reading raises `FormatError` for what is damaged, missing,
    of other joints or of another unit.
    """

    def read(
        path: Path, *, scale: float | None = None, fps: float | None = None, skeleton: Any = None, subjects: Any = None
    ) -> list[MotionClip]:
        return read_archive(path, layout, scale=scale, fps=fps, skeleton=skeleton, subjects=subjects)

    return Format(
        name,
        (".npz",),
        read,
        None,
        description,
        options=("subjects",),
        holds_clip=lambda path: holds_own_clip(path, layout),
        recognizes=lambda path: is_archive(path, layout) and recognizes(path),
    )


def turned(camera: Camera) -> Camera:
    """A camera of the z-up world in the +Y-up world; it sees a turned point exactly where it saw the point."""
    turn = camera.rotation.new_tensor(Z_UP_TO_Y_UP)
    return dataclasses.replace(camera, rotation=camera.rotation @ turn.mT, position=turn @ camera.position)


def read_archive(
    path: Path,
    layout: Layout,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    subjects: Any = None,
) -> list[MotionClip]:
    """One clip for each subject, action and camera of a 3D file, or of a 2D file with the 3D file beside it.

    Raises:
        FormatError: see the module; a file, subject, action, camera or joint that is missing or of another kind.
    """
    source, keypoints_from = _files(path, layout)
    data = mapping(source, load_member(source, "positions_3d"), "positions_3d")
    flat = None
    given = None
    if keypoints_from is not None:
        given = _Keypoints(keypoints_from, layout, layout.order_of(keypoints_from))
        flat = mapping(keypoints_from, load_member(keypoints_from, "positions_2d"), "positions_2d")
    body = body_of(path, skeleton, layout.skeleton, len(layout.kept))
    metres = 1.0 if scale is None else scale
    clips: list[MotionClip] = []
    for subject in chosen_subjects(source, list(data), subjects):
        cameras = [turned(camera) for camera in layout.cameras(subject)]
        if not cameras:
            raise FormatError(
                source, unknown_name(f"subject of {layout.title} (of published cameras)", subject, layout.subjects)
            )
        actions = mapping(source, data[subject], f"positions_3d[{subject!r}]")
        own = None if flat is None or keypoints_from is None else _actions_2d(keypoints_from, flat, subject, actions)
        for action, value in actions.items():
            where = f"{subject} {action!r}"
            positions = joint_array(source, where, value, layout.stored, (3,), _ONE_VERSION)[
                :, layout.kept
            ] * np.float32(metres)
            check_complete(source, where, positions, body)
            check_unit(source, where, positions, body, metres)
            clip = MotionClip(
                body,
                layout.fps if fps is None else fps,
                positions=torch.from_numpy(np.stack([positions[..., 0], positions[..., 2], -positions[..., 1]], -1)),
                subject=subject,
                action=layout.merged(action),
                source=str(path),
                tags={
                    "split": layout.split(subject),
                    "sub_action": action,
                    "recording": f"{subject}/{action}",
                    "keypoints": _detector(keypoints_from, layout),
                },
            )
            clips += _seen(clip, layout, cameras, given, None if own is None else own[action])
    if given is not None:
        _warn_far(given, len(clips))
    return clips


@dataclass(frozen=True)
class _Keypoints:
    """The 2D file, the order of its joints, and the clips of which it is far away: where and how many pixels."""

    path: Path
    layout: Layout
    order: KeypointOrder
    far: list[tuple[str, float]] = dataclasses.field(default_factory=list)


def _files(path: Path, layout: Layout) -> tuple[Path, Path | None]:
    """The file with the positions and the one with the keypoints (None: they are projected)."""
    names = member_names(path)
    if names is None:
        load_member(path, "positions_3d")  # says what is wrong with the file
    assert names is not None
    if "positions_3d" in names:
        truth = path.parent / layout.file_2d
        if "positions_2d" in names:
            return path, path
        return path, truth if not layout.lenses and truth.exists() else None
    beside = path.parent / layout.file_3d
    if not beside.exists():
        raise FormatError(
            path, f"holds keypoints only; expected {layout.file_3d}, which holds the positions, beside it"
        )
    return beside, path


def _detector(path: Path | None, layout: Layout) -> str:
    if path is None:
        return "projected"
    return path.stem.removeprefix(f"data_2d_{layout.stem}_") or path.stem


def _actions_2d(path: Path, flat: Mapping[str, Any], subject: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    if subject not in flat:
        raise FormatError(
            path, f"no keypoints of {unknown_name('subject', subject, flat)}; the 3D file has it: read the others with subjects="
        )  # fmt: skip
    actions = mapping(path, flat[subject], f"positions_2d[{subject!r}]")
    missing = [action for action in wanted if action not in actions]
    if missing:
        raise FormatError(
            path,
            f"no keypoints of {len(missing)} of the {len(wanted)} actions of {subject} in the 3D file: "
            f"{', '.join(repr(action) for action in missing)}; fetch the file again, or read other subjects with subjects=",
        )
    more = [action for action in actions if action not in wanted]
    if more:
        log.info("%s: %s without 3D positions are passed over: %s", path, subject, ", ".join(more))
    return actions


def _seen(
    clip: MotionClip, layout: Layout, cameras: Sequence[Camera], given: _Keypoints | None, keypoints: Any
) -> list[MotionClip]:
    """The clip as each camera sees it; the clip alone where neither lenses nor keypoints say how."""
    recording = f"{clip.subject}_{clip.tags['sub_action']}".replace("/", "-")
    if given is None and not layout.lenses:
        log.warning(
            "%s: the published file has no lenses of its cameras; with %s beside it they are fitted to its keypoints",
            clip.source, layout.file_2d,
        )  # fmt: skip
        return [clip.replace(name=recording)]
    if given is not None:
        _check_count(given.path, clip, keypoints, cameras)
    seen = []
    for number, camera in enumerate(cameras):
        one = clip.replace(name=f"{recording}_{camera.name}", tags={**clip.tags, "camera": camera.name})
        if given is None:
            seen.append(one.seen_by(camera))
        else:
            seen.append(_with_keypoints(given, one, camera, number, keypoints[number]))
    return seen


def _check_count(path: Path, clip: MotionClip, keypoints: Any, cameras: Sequence[Camera]) -> None:
    names = ", ".join(camera.name for camera in cameras)
    given = len(keypoints) if isinstance(keypoints, (list, tuple, np.ndarray)) else -1
    missing = [str(i) for i in range(given) if keypoints[i] is None]
    if given != len(cameras) or missing:
        got = f"none of camera {', '.join(missing)}" if missing else f"{max(given, 0)} arrays"
        raise FormatError(
            path,
            f"{clip.subject} {clip.tags['sub_action']!r}: expected keypoints of the {len(cameras)} cameras, in the order "
            f"{names} (got {got}); {_ONE_VERSION}",
        )


def _with_keypoints(given: _Keypoints, clip: MotionClip, camera: Camera, number: int, value: Any) -> MotionClip:
    where = f"{clip.subject} {clip.tags['sub_action']!r}, camera {number} ({camera.name})"
    array = joint_array(given.path, where, value, len(given.order.joints), (2, 3), _ONE_VERSION)
    if len(array) < len(clip):
        raise FormatError(
            given.path,
            f"{where}: expected keypoints of at least the {len(clip)} frames that the 3D file has (got {len(array)}); "
            f"this file may have been made of cut videos: {_ONE_VERSION}",
        )
    array = given.order.spread(array[: len(clip)], clip.skeleton)
    confidence = torch.from_numpy(array[..., 2].copy()) if array.shape[-1] == 3 else None
    keypoints = torch.from_numpy(array[..., :2].copy())
    if not given.layout.lenses:
        camera = _fitted(given.path, where, clip, camera, keypoints)
    seen = clip.replace(keypoints=keypoints, confidence=confidence, camera=camera)
    away = _distance(seen, camera)
    if away > _FAR:
        given.far.append((where, away))
    return seen


def _fitted(path: Path, where: str, clip: MotionClip, camera: Camera, keypoints: Tensor) -> Camera:
    assert clip.positions is not None
    fit = fit_pinhole(camera.world_to_camera(clip.positions).numpy(), keypoints.numpy())
    if fit is None:
        raise FormatError(
            path,
            f"{where}: no lens of the camera shows the joints of the 3D file at these keypoints; expected pixels of a "
            f"picture of {camera.width} x {camera.height}, the cameras in the published order; {_ONE_VERSION}",
        )
    focal, center = camera.focal.new_tensor(fit.focal), camera.focal.new_tensor(fit.center)
    return dataclasses.replace(camera, focal=focal, center=center, limit=None)


def _distance(clip: MotionClip, camera: Camera) -> float:
    """Pixels between the keypoints and the joints as the camera sees them, in the median."""
    assert clip.positions is not None and clip.keypoints is not None
    projected = camera.project(camera.world_to_camera(clip.positions[:_COMPARED]))
    return float((projected - clip.keypoints[:_COMPARED]).norm(dim=-1).nanmedian())


def _warn_far(given: _Keypoints, clips: int) -> None:
    """One line in the log where keypoints are not at all where the cameras see the joints."""
    if given.far:
        where, away = max(given.far, key=lambda one: one[1])
        log.warning(
            "%s: in %d of %d clips half of the keypoints lie more than %.0f pixels from the projected joints (most, %.0f, in "
            "%s); expected pixels of the published pictures, the cameras in the published order",
            given.path, len(given.far), clips, _FAR, away, where,
        )  # fmt: skip
