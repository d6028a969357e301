"""Checks archives in the layout of VideoPose3D: subjects, frames, joints, bodies, and whether 2D belongs to 3D.

3D is `positions_3d`, subject -> recording -> `[F, joints, 3]` metres; 2D is `positions_2d`, subject -> recording -> one
`[F', joints, 2]` pixels for each camera with F' >= F. With published lenses, the joints seen by the published cameras have
to lie on the keypoints: exactly for ground truth, within what a detector may be wrong by for others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphpose.datasets.sources._body import measure
from graphpose.datasets.sources.findings import Finding, State
from graphpose.errors import FormatError
from graphpose.formats._keypoint_orders import KeypointOrder, OtherJointsError
from graphpose.formats._object_arrays import load_member
from graphpose.formats._videopose_archives import Layout
from graphpose.skeleton import Skeleton

__all__ = ["Published", "check_archives"]

Tracks = dict[str, dict[str, np.ndarray]]

_AGAIN = "convert or copy this file again"
_EXACT, _DETECTED = 5.0, 60.0  # pixels in the median between keypoints and projected joints
_COMPARED = 25  # frames of a recording


@dataclass(frozen=True)
class Published:
    """What a data set consists of.

    Args:
        layout: joints, cameras and names of its files.
        recordings: subject -> number of recordings; None where it depends on how gaps were cut.
        frames: subjects -> their frames together.
        at_most: whether `frames` is an upper bound (gaps are cut out) and not the number itself.
    """

    layout: Layout
    recordings: Mapping[str, int | None]
    frames: Mapping[tuple[str, ...], int]
    at_most: bool = False


def check_archives(folder: Path, published: Published) -> list[Finding]:
    """One finding a file and subject; none when there is neither a 3D nor a 2D file."""
    layout = published.layout
    path = folder / layout.file_3d
    two = sorted(folder.glob(f"data_2d_{layout.stem}_*.npz"))
    if not path.exists():
        if not two:
            return []
        text = f"not there, and {len(two)} files of keypoints are"
        return [Finding("missing", path.name, text, "put the 3D file beside them; they are read together with it")]
    tracks: Tracks = {}
    found = _check_3d(path, published, tracks)
    for file in two:
        found += _check_2d(file, layout, tracks)
    names = {file.name for file in two}
    for detector in layout.detectors:
        name = f"data_2d_{layout.stem}_{detector}.npz"
        if name not in names:
            found.append(Finding("absent", name, "not there; needed only for results on these keypoints"))
    return found


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:,.1f} MB"


def _tree(path: Path, key: str) -> dict[str, dict[str, Any]]:
    """subject -> recording -> value; raises `FormatError` when the file holds something else."""
    data = load_member(path, key)
    if not isinstance(data, Mapping) or not data or not all(isinstance(value, Mapping) for value in data.values()):
        raise FormatError(
            path, f"expected {key} as a dictionary of subjects, each one of recordings (got {type(data).__name__})"
        )
    return {str(subject): {str(name): value for name, value in own.items()} for subject, own in data.items()}


def _check_3d(path: Path, published: Published, tracks: Tracks) -> list[Finding]:
    layout = published.layout
    try:
        data = _tree(path, "positions_3d")
    except FormatError as fault:
        return [Finding("broken", path.name, str(fault), _AGAIN)]
    skeleton = Skeleton.load(layout.skeleton)
    found = [_subject(name, own, layout, skeleton, published, tracks) for name, own in data.items()]
    missing = [name for name in published.recordings if name not in data]
    total = sum(len(track) for own in tracks.values() for track in own.values())
    text = f"{_size(path)}, {len(data)} subjects, {total:,} frames at {layout.fps:g} fps"
    if missing:
        advice = f"convert the files of {', '.join(missing)} too, or name another split"
        return [Finding("missing", path.name, f"{text}; no {', '.join(missing)}", advice), *found]
    return [Finding("ok", path.name, text), *found, *_compare_frames(published, tracks)]


def _subject(
    name: str, own: dict[str, Any], layout: Layout, skeleton: Skeleton, published: Published, tracks: Tracks
) -> Finding:
    tracks[name] = {}  # stays empty, which is not comparable, unless every recording can be read
    read: dict[str, np.ndarray] = {}
    doubts: list[str] = []
    extents = []
    for recording, value in own.items():
        array = np.asarray(value)
        if array.dtype.kind != "f" or array.ndim != 3 or array.shape[1:] != (layout.stored, 3) or not len(array):
            got = f"{array.dtype} {list(array.shape)}"
            return Finding(
                "broken", f"  {name}", f"{recording!r}: expected [frames, {layout.stored}, 3] (got {got})", _AGAIN
            )
        track = array[:, layout.kept]
        body = measure(track, skeleton)
        read[recording] = track
        extents.append(body.extent)
        doubts += [f"{recording!r}: {fault}" for fault in body.faults]
    tracks[name] = read
    frames = sum(len(track) for track in read.values())
    size = f"{min(extents):.2f} to {max(extents):.2f} m" if extents else "empty"
    text = f"{len(own)} recordings, {frames:,} frames, {size}"
    wanted = published.recordings.get(name)
    if name not in published.recordings:
        doubts.insert(0, "not a subject with published 3D positions")
    elif wanted is not None and wanted != len(own):
        doubts.insert(0, f"expected {wanted} recordings")
    elif (wrong := _frames_fault(published, (name,), frames)) is not None:
        doubts.insert(0, wrong)
    if not doubts:
        return Finding("ok", f"  {name}", text)
    more = f"; and {len(doubts) - 3} more" if len(doubts) > 3 else ""
    return Finding("suspicious", f"  {name}", f"{text}; {'; '.join(doubts[:3])}{more}", _AGAIN)


def _frames_fault(published: Published, subjects: tuple[str, ...], frames: int) -> str | None:
    expected = published.frames.get(subjects)
    if expected is None or (frames <= expected if published.at_most else frames == expected):
        return None
    return f"expected {'at most ' if published.at_most else ''}{expected:,} frames (got {frames:,})"


def _compare_frames(published: Published, tracks: Tracks) -> list[Finding]:
    """A finding for subjects whose frames are known only together, and are others."""
    found = []
    for subjects in published.frames:
        if len(subjects) > 1:
            frames = sum(len(track) for name in subjects for track in tracks.get(name, {}).values())
            wrong = _frames_fault(published, subjects, frames)
            if wrong is not None:
                found.append(Finding("suspicious", f"  {' + '.join(subjects)}", wrong, _AGAIN))
    return found


def _check_2d(path: Path, layout: Layout, tracks: Tracks) -> list[Finding]:
    """One finding for a file of keypoints, which names the first recordings at fault."""
    try:
        order = layout.order_of(path)
        data = _tree(path, "positions_2d")
    except OtherJointsError as fault:
        text = f"{_size(path)}, cannot be used here: {fault.joints}"
        return [Finding("note", path.name, text, f"leave it out; {layout.title} is read with its own joints")]
    except FormatError as fault:
        return [Finding("broken", path.name, str(fault), _AGAIN)]
    doubts: list[str] = []
    distances: dict[tuple[str, int], list[float]] = {}
    recordings = 0
    for subject, own in tracks.items():
        for recording, track in own.items():
            where = f"{subject} {recording!r}"
            views = data.get(subject, {}).get(recording)
            if views is None:
                doubts.append(f"no keypoints of {where}")
                continue
            recordings += 1
            wrong = _views_fault(views, track, len(order.joints), len(layout.cameras(subject)))
            if wrong is not None:
                doubts.append(f"{where}: {wrong}")
            elif layout.lenses:
                for camera, away in enumerate(_distances(views, track, layout, order, subject)):
                    distances.setdefault((subject, camera), []).append(away)
    if not any(tracks.values()):
        return [
            Finding("note", path.name, f"{_size(path)}, not comparable without positions", f"mend {layout.file_3d}")
        ]
    text = f"{_size(path)}, {recordings} recordings"
    if len(order.joints) < len(Skeleton.load(layout.skeleton)):
        text += f" of {len(order.joints)} joints ({order.name})"
    if distances:
        exact = path.stem.endswith("_gt")
        # a detector errs in single recordings; a wrong camera shows in all of a subject
        away = max(max(own) if exact else float(np.median(own)) for own in distances.values())
        limit = _EXACT if exact else _DETECTED
        text += f", {np.median(np.concatenate(list(distances.values()))):.1f} px from the joints"
        if away == np.inf:
            doubts.append("the cameras do not see the joints at all: positions in another unit, or of another place")
        elif away > limit:
            doubts.append(
                f"keypoints {away:.0f} px from the joints as the cameras see them (expected at most {limit:g})"
            )
    if unread := [subject for subject, own in tracks.items() if not own]:
        text += f"; {', '.join(unread)} not comparable without positions"
    state: State = "suspicious" if doubts else "note" if unread else "ok"
    more = f"; and {len(doubts) - 3} more" if len(doubts) > 3 else ""
    shown = f"{text}; {'; '.join(doubts[:3])}{more}" if doubts else text
    advice = "the two files are not of one version, or the cameras are in another order; " + _AGAIN if doubts else ""
    if unread and not doubts:
        advice = f"mend {layout.file_3d}"
    return [Finding(state, path.name, shown, advice)]


def _views_fault(views: Any, track: np.ndarray, joints: int, cameras: int) -> str | None:
    if not isinstance(views, (list, tuple, np.ndarray)) or (cameras and len(views) != cameras):
        return f"expected keypoints of {cameras} cameras (got {len(views) if hasattr(views, '__len__') else 'none'})"
    for number, view in enumerate(views):
        array = np.asarray(view)
        if array.dtype.kind != "f" or array.ndim != 3 or array.shape[1] != joints or array.shape[2] not in (2, 3):
            return f"camera {number}: expected [frames, {joints}, 2] (got {array.dtype} {list(array.shape)})"
        if len(array) < len(track):
            return f"camera {number}: expected at least {len(track):,} frames (got {len(array):,})"
    return None


def _distances(
    views: Sequence[Any], track: np.ndarray, layout: Layout, order: KeypointOrder, subject: str
) -> list[float]:
    """Pixels between keypoints and joints in the median, one for each camera; infinite where no joint is seen."""
    step = max(1, len(track) // _COMPARED)
    points = torch.from_numpy(np.asarray(track[::step], dtype=np.float32))
    body = Skeleton.load(layout.skeleton)
    found = []
    for camera, view in zip(layout.cameras(subject), views, strict=True):
        seen = camera.project(camera.world_to_camera(points)).numpy()
        keypoints = order.spread(np.asarray(view)[: len(track) : step, :, :2], body)
        away = np.linalg.norm(seen - keypoints, axis=-1)
        known = away[np.isfinite(away)]
        found.append(float(np.median(known)) if known.size else np.inf)
    return found
