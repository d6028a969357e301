"""A record as a file for the rerun viewer (rerun.io): poses, and attention over joints as lines that change with time.

    /WINDOW/prediction, /WINDOW/truth, /WINDOW/input        skeletons
    /WINDOW/attention/layer_L/head_H                        what all joints look at most; the radius grows with the weight

Names have only letters, digits, dots, hyphens and underscores, so that nothing is escaped: WINDOW is 0_walk_from_frame_0.

Axes are x right, y away, z up, metres, as in the other pictures (`pose_places.py`); the timeline "frame" counts frames of the clip.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.analysis.attention.pictures.edges import strongest
from graphpose.analysis.attention.pictures.page_data import window_names
from graphpose.analysis.attention.pictures.pose_places import input_places, space_places
from graphpose.analysis.attention.pictures.selection import heading, place_of, shown_weights, window_number
from graphpose.analysis.attention.record import Record
from graphpose.analysis.extras import require
from graphpose.analysis.palette import LIGHT, sides
from graphpose.errors import DataError
from graphpose.formats._atomic import replacing

__all__ = ["rerun_file"]

_RADIUS = 0.02  # metres, of a weight of 1; a joint is drawn half as thick
_THINNEST = 0.002


def rerun_file(
    record: Record, path: str | Path, *, windows: Sequence[int] | None = None, top: int | None = None
) -> Path:
    """Writes a `.rrd` file (folders are made) and returns its path; `rerun FILE` opens it.

    Args:
        record: with a prediction.
        path: of the file.
        windows: which to write; None: all.
        top: edges of each head; None: as many as there are joints.

    Raises:
        DataError: a record without a prediction, or windows that it does not have.
        MissingExtraError: rerun-sdk (the extra `rerun`) is not installed.
    """
    if record.prediction is None:
        raise DataError("expected a record with a prediction to write for rerun (got none); make it with `observe`")
    chosen = [window_number(record, w) for w in (range(len(record.prediction)) if windows is None else windows)]
    rr = require("rerun", "rerun_file")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = window_names(record)
    with replacing(path) as draft, rr.RecordingStream("graphpose", recording_id=record.model or "record") as stream:
        stream.save(draft)
        for window in chosen:
            _window(rr, stream, record, window, f"/{_part(f'{window} {names[window]}')}", top or len(record.skeleton))
        stream.flush()
    return path


def _window(rr: Any, stream: Any, record: Record, window: int, place: str, top: int) -> None:
    assert record.prediction is not None
    about = record.windows[window] if record.windows else None
    length = record.prediction.shape[1] if about is None else min(about.frames, record.prediction.shape[1])
    flat, (space, truth) = input_places(record, window), space_places(record, window)
    assert space is not None
    stream.log(place, rr.ViewCoordinates.RFU, static=True)
    for frame in range(length):
        stream.set_time("frame", sequence=frame + (0 if about is None else about.start))
        pose = space[frame]
        _skeleton(rr, stream, record, f"{place}/prediction", pose, None)
        if truth is not None:
            _skeleton(rr, stream, record, f"{place}/truth", truth[frame], LIGHT["truth"])
        if flat is not None:
            _skeleton(rr, stream, record, f"{place}/input", flat[frame], None)
        _attention(rr, stream, record, window, frame, place, pose, top)


def _part(name: str) -> str:
    """A name as a part of an entity path: runs of what would have to be escaped become one underscore."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_")


def _colour(text: str) -> list[int]:
    return [int(text[k : k + 2], 16) for k in (1, 3, 5)]


def _skeleton(rr: Any, stream: Any, record: Record, place: str, points: np.ndarray, colour: str | None) -> None:
    """Bones and joints that are known; `colour` None: those of the sides."""
    side = sides(record.skeleton)
    known = np.isfinite(points).all(axis=1)
    bones = [(a, b) for a, b in record.skeleton.bones if known[a] and known[b]]
    strips = [points[[a, b]] for a, b in bones]
    colours = [_colour(colour or LIGHT[side[b]]) for _, b in bones]
    joints = np.flatnonzero(known)
    lines, dots = (rr.LineStrips3D, rr.Points3D) if points.shape[1] == 3 else (rr.LineStrips2D, rr.Points2D)
    radius = _RADIUS / 2 if points.shape[1] == 3 else 0.005
    stream.log(f"{place}/bones", lines(strips, colors=colours, radii=radius / 2))
    names = [record.skeleton.joints[j] for j in joints]
    shown = [_colour(colour or LIGHT[side[j]]) for j in joints]
    stream.log(f"{place}/joints", dots(points[joints], colors=shown, radii=radius, labels=names, show_labels=False))


def _attention(
    rr: Any, stream: Any, record: Record, window: int, frame: int, place: str, pose: np.ndarray, top: int
) -> None:
    for one in record.attention:
        if one.axis != "joints" or place_of(one, frame, window) is None:
            continue
        for head in one.heads:
            edges = strongest(shown_weights(record, one, head=head, window=window, at=frame), top)
            layer, which = heading(record, one, head).split(", over joints, ")
            strips = [pose[[edge.query, edge.key]] for edge in edges]
            radii = [max(_THINNEST, _RADIUS * edge.weight) for edge in edges]
            lines = rr.LineStrips3D(strips, colors=_colour(LIGHT["curve2"]), radii=radii)
            stream.log(f"{place}/attention/{_part(layer)}/{_part(which)}", lines)
