"""Layers, heads, windows or frames as a caller names them, one or several -> a list of numbers."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from typing import SupportsIndex

from graphpose.errors import DataError

__all__ = ["chosen_numbers"]


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
