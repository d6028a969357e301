"""Joints, frames and windows as a caller names them -> their numbers; whatever is not there is named, with what is."""

from __future__ import annotations

from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

__all__ = ["frame_number", "joint_number", "window_number"]


def joint_number(skeleton: Skeleton, joint: int | str) -> int:
    """The number of a joint that is given by name or number.

    Raises:
        SkeletonError: an unknown name. DataError: a number outside 0 ... J - 1.
    """
    return skeleton.index(joint) if isinstance(joint, str) else _within("joint", joint, len(skeleton))


def frame_number(frame: int, frames: int) -> int:
    """The frame, if it is one of the window's; raises DataError where it is not."""
    return _within("frame", frame, frames)


def window_number(window: int, windows: int) -> int:
    """The window, if it is one of the record's; raises DataError where it is not."""
    return _within("window", window, windows)


def _within(what: str, number: int, count: int) -> int:
    if not 0 <= number < count:
        raise DataError(f"expected {what} in 0 ... {count - 1} (got {number})")
    return int(number)
