"""A warning where clips bring the cameras that saw them, and an evaluation puts others around their people."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from graphpose.motion import MotionClip

__all__ = ["OwnCamerasWarning", "warn_of_own_cameras"]


class OwnCamerasWarning(UserWarning):
    """Clips with cameras of their own are measured in other views; the message says how to take theirs."""


def warn_of_own_cameras(clips: Sequence[MotionClip], kind: str, given: Mapping[str, Any], data_statement: str) -> None:
    """Warns where other clips than those of the training have cameras of their own, and the views of the training replace them.

    Args:
        clips: that are evaluated.
        kind: of the views that they are seen by.
        given: the data settings that were given for the evaluation; a kind of views among them is a choice, and not warned of.
        data_statement: of the checkpoint, which tells whether it was adapted to other cameras.
    """
    if kind == "clip" or "paths" not in given or "kind" in (given.get("views") or {}):
        return
    count = sum(clip.camera is not None for clip in clips)
    if not count:
        return
    adapted = ", and this checkpoint was adapted to other cameras than those" if _adapted(data_statement) else ""
    warnings.warn(
        f"{count} of {len(clips)} clips bring a camera of their own, which is not used: they are seen by the {kind} views of the "
        f"training{adapted}; --data.views.kind clip takes the cameras of the files, --data.views.kind {kind} says that these are meant",
        OwnCamerasWarning,
        stacklevel=3,
    )


def _adapted(data_statement: str) -> bool:
    try:
        return "adapted_to" in json.loads(data_statement)
    except (ValueError, TypeError, RecursionError):  # in words
        return False
