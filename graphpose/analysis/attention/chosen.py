"""Joints, frames, windows, layers and heads as a caller names them -> their numbers; whatever is not there is named, with what is."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from typing import SupportsIndex

from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

__all__ = ["chosen_numbers", "frame_number", "joint_number", "window_number"]


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


def chosen_numbers(
    what: str, numbers: SupportsIndex | Iterable[SupportsIndex] | None, there: Collection[int], module: str = ""
) -> list[int]:
    """One or more numbers (also of numpy) as a list; None: all that are there. `module`: that has them, for the message.

    Raises:
        DataError: a number that is not there, no number at all, or something else.
    """
    if numbers is None:
        return list(there)
    where = f"{module}: " if module else ""
    given = numbers if isinstance(numbers, Iterable) else [numbers]
    try:
        chosen = [operator.index(number) for number in given]
    except TypeError:
        raise DataError(f"{where}expected {what} as whole numbers (got {numbers!r})") from None
    unknown = [number for number in chosen if number not in there]
    if unknown or not chosen:
        known = f"in 0 ... {len(there) - 1}" if isinstance(there, range) else f"among {', '.join(map(str, there))}"
        raise DataError(f"{where}expected {what} {known} (got {', '.join(map(str, unknown)) or 'none'})")
    return chosen


def _within(what: str, number: int, count: int) -> int:
    if not 0 <= number < count:
        raise DataError(f"expected {what} in 0 ... {count - 1} (got {number})")
    return int(number)
