"""Rows of text cells to numbers, an empty cell being a missing number; a fault names the line and the column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._text import parse_number

__all__ = ["check_whole", "number_rows", "rate_of_times"]

_EMPTY = {"", "nan", "na", "n/a", "null", "none"}


def number_rows(path: Path, rows: Sequence[Sequence[str]], lines: Sequence[int], names: Sequence[str]) -> np.ndarray:
    """`rows` of cells, all as long as `names`, as float64 `[rows, cells]`; empty cells and "nan" are NaN.

    `lines` are the 1-based lines of the rows and `names` those of the columns, for the `FormatError` about a cell that
    is no finite number.
    """
    values = _plain(rows)
    if values is not None:
        return values
    return np.array(
        [
            [_number(path, cell.strip(), line, name) for cell, name in zip(row, names, strict=True)]
            for row, line in zip(rows, lines, strict=True)
        ]
    )


def _plain(rows: Sequence[Sequence[str]]) -> np.ndarray | None:
    """The numbers where every cell is empty or plainly one; None where some need a closer look."""
    try:
        values = np.array([[float(cell) if cell else math.nan for cell in row] for row in rows])
    except ValueError:  # blanks, a word for "missing", or a fault
        return None
    odd = bool(np.isinf(values).any()) or any("_" in cell for row in rows for cell in row)  # Python reads 1_0 as 10
    return None if odd else values


def _number(path: Path, cell: str, line: int, name: str) -> float:
    return math.nan if cell.lower() in _EMPTY else parse_number(path, cell, line, name)


def check_whole(path: Path, points: np.ndarray, labels: Sequence[str], lines: Sequence[int]) -> None:
    """Raises `FormatError` for a point of `points [T, M, 3]` with a part of its coordinates: cells have moved."""
    known = np.isfinite(points).sum(-1)
    partly = np.argwhere((known > 0) & (known < 3))
    if len(partly):
        t, m = (int(i) for i in partly[0])
        raise FormatError(
            path, f"point {labels[m]!r} has {known[t, m]} of its 3 coordinates; give all or none", line=lines[t]
        )


def rate_of_times(times: np.ndarray) -> float | None:
    """Frames a second from even times `[T]` in seconds, as few digits as they allow (29.97, not 29.970003).

    None when there are fewer than two, or they do not rise.
    """
    if len(times) < 2 or not times[-1] > times[0]:
        return None
    steps = len(times) - 1
    rate = steps / (times[-1] - times[0])
    middle = float(np.median(np.diff(times)))
    if middle > 0 and abs(rate * middle - 1) > 0.2:  # rows are missing: their gaps say nothing about the rate
        rate = 1 / middle
    # each end stands within half a unit of its last digit, which is 1e-6 s at best in usual files
    for digits in range(1, 10):
        short = float(f"{rate:.{digits}g}")
        if abs(steps / short - (times[-1] - times[0])) <= 1e-6 or abs(short / rate - 1) < 1e-9:
            return short
    return float(rate)
