"""Where the joints of a record are drawn: as the camera saw them, as the model predicts them, or from the front.

Drawing space is that of `graphpose.analysis.upright`: x right, y away, z up, in metres. Where the record knows which way is up
(`Window.up`), the tilt of the camera is taken out; else the camera counts as level.
"""

from __future__ import annotations

import numpy as np

from graphpose.analysis.attention.record import Record
from graphpose.analysis.example import Example
from graphpose.analysis.upright import front_pose, upright
from graphpose.errors import DataError

__all__ = ["flat_places", "front_places", "input_places", "space_places"]


def input_places(record: Record, window: int) -> np.ndarray | None:
    """2D input `[T, J, 2]` of a window, y down, NaN where a keypoint was missing; None where it was not recorded."""
    if record.keypoints is None:
        return None
    places = record.keypoints[window, ..., :2].double().numpy().copy()
    if record.visible is not None:
        places[~record.visible[window].bool().numpy()] = np.nan
    return places


def space_places(record: Record, window: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Prediction and truth `[T, J, 3]` of a window in drawing space; None where they were not recorded."""
    found = []
    for points in (record.prediction, record.target):
        pose = None if points is None else points[window].double().numpy()
        found.append(None if pose is None else upright(pose, "camera", _up(record, window)))
    return found[0], found[1]


def _up(record: Record, window: int) -> np.ndarray | None:
    up = record.windows[window].up if record.windows else None
    return None if up is None else np.array(up)


def front_places(record: Record) -> np.ndarray:
    """A flat picture of the body `[J, 2]` (right, up): its rest pose, else its mean pose, else its tree."""
    examples = []
    if record.prediction is not None and record.skeleton.rest is None:
        points = record.prediction[0].double().numpy()
        examples = [Example("mean", record.skeleton, points[..., :2], points, up=_up(record, 0))]
    return front_pose(record.skeleton, examples)[0]


def flat_places(record: Record, window: int, frame: int | None) -> np.ndarray:
    """Places `[J, 2]` (right, up): the 2D input of one frame, or the body from the front where `frame` is None.

    Joints whose keypoint is missing have no place (NaN).

    Raises:
        DataError: no such frame, or no input in the record.
    """
    if frame is None:
        return front_places(record)
    seen = input_places(record, window)
    if seen is None:
        raise DataError("expected a record with keypoints to draw a frame of (got none); leave frame out")
    if not 0 <= frame < len(seen):
        raise DataError(f"expected a frame from 0 to {len(seen) - 1} of the window (got {frame})")
    return seen[frame] * np.array([1.0, -1.0])
