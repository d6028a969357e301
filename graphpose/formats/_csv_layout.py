"""The columns of a CSV table of positions: which layout it is, and its points `[T, M, 3]` in either."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._cells import check_whole, number_rows

__all__ = ["Points", "Table", "long_points", "wide_points"]

_AXIS = re.compile(r"(.+)[ _.:-]([xyz])", re.IGNORECASE)
_FRAME = ("frame", "frame#", "frames", "index")
_TIME = ("time", "times", "t", "time_s", "time (s)", "timestamp", "seconds")
_JOINT = ("joint", "marker", "point", "keypoint", "landmark", "bodypart", "name")


@dataclass
class Points:
    """Labels `[M]`, values `[T, M, 3]` (NaN = missing), times `[T]` in seconds or None, and the line of each frame."""

    labels: list[str]
    values: np.ndarray
    times: np.ndarray | None
    lines: list[int]


@dataclass
class Table:
    """The cells of a file; `layout` says which columns hold what, and is None when they are no motion.

    Wide: {joint: [column of x, y, z]}. Long: {"": [columns of joint, x, y, z]}.
    """

    path: Path
    columns: list[str]
    delimiter: str
    comments: dict[str, tuple[str, int]]
    layout: dict[str, list[int]] | None = None
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, header: str, comments: dict[str, tuple[str, int]]) -> Table:
        """A table without rows from the line of its column names; the separator is the commonest of , ; and tab."""
        delimiter = max(",;\t", key=header.count)
        columns = [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter))]
        table = cls(path, columns, delimiter, comments)
        table.layout = table._layout()
        return table

    @property
    def is_wide(self) -> bool:
        """Whether a row is a frame."""
        return self.layout is not None and "" not in self.layout

    def column(self, names: tuple[str, ...]) -> int | None:
        """The first column called one of `names`, capitals or not."""
        lower = [column.lower() for column in self.columns]
        return next((lower.index(name) for name in names if name in lower), None)

    def _layout(self) -> dict[str, list[int]] | None:
        axes = [self.column((axis,)) for axis in "xyz"]
        joint = self.column(_JOINT)
        if joint is not None and None not in axes:
            return {"": [joint, *(a for a in axes if a is not None)]}
        found: dict[str, dict[str, int]] = {}
        for place, column in enumerate(self.columns):
            if match := _AXIS.fullmatch(column):
                found.setdefault(match[1], {})[match[2].lower()] = place
        whole = {name: [where[axis] for axis in "xyz"] for name, where in found.items() if len(where) == 3}
        return whole or None


def wide_points(table: Table) -> Points:
    """The points of a table with a row a frame; raises `FormatError` for a joint with a part of its columns."""
    assert table.layout is not None
    _check_once(table)
    known = {column.lower() for column in table.columns}
    for column in table.columns:
        match = _AXIS.fullmatch(column)
        if match and match[1] not in table.layout:
            lacking = [axis for axis in "xyz" if not any(f"{match[1]}{sep}{axis}".lower() in known for sep in " _.:-")]
            raise FormatError(
                table.path,
                f"joint {match[1]!r} has no column {', '.join(f'{match[1]}_{axis}' for axis in lacking) or 'of its own'} "
                "(2D keypoints go into an .npz file)",
            )
    times, frames = table.column(_TIME), table.column(_FRAME)
    places = [place for where in table.layout.values() for place in where]
    extra = [place for place in (times, frames) if place is not None]
    used = [*places, *extra]
    values = number_rows(
        table.path,
        [[row[place] for place in used] for row in table.rows],
        table.lines,
        [f"column {table.columns[place]!r}" for place in used],
    )
    points = values[:, : len(places)].reshape(len(values), -1, 3)
    check_whole(table.path, points, list(table.layout), table.lines)
    own = {place: values[:, len(places) + i] for i, place in enumerate(extra)}
    if frames is not None:
        _check_frames(table, own[frames])
    return Points(list(table.layout), points, None if times is None else own[times], table.lines)


def _check_once(table: Table) -> None:
    lower = [column.lower() for column in table.columns]
    twice = sorted({column for column in lower if column and lower.count(column) > 1})
    if twice:
        raise FormatError(table.path, f"expected each column once (got {', '.join(map(repr, twice[:5]))} again)")


def _check_frames(table: Table, frames: np.ndarray) -> None:
    """The numbers of the frames have to rise by the same step; a jump means that rows are missing."""
    steps = np.diff(frames)
    wrong = np.flatnonzero(~(steps == (steps[0] if len(steps) and steps[0] > 0 else 1)))
    if len(wrong):
        at = int(wrong[0]) + 1
        raise FormatError(
            table.path,
            f"frame {frames[at]:g} follows frame {frames[at - 1]:g}; add the frames that are missing with empty cells",
            line=table.lines[at],
        )


def long_points(table: Table) -> Points:
    """The points of a table with a row a frame and joint; what no row names is missing."""
    assert table.layout is not None
    joint, *axes = table.layout[""]
    times, frames = table.column(_TIME), table.column(_FRAME)
    key = frames if frames is not None else times
    if key is None:
        raise FormatError(table.path, "expected a column `frame` or `time` beside joint, x, y and z")
    used = [*axes, key, *([times] if times is not None else [])]
    values = number_rows(
        table.path,
        [[row[place] for place in used] for row in table.rows],
        table.lines,
        [f"column {table.columns[place]!r}" for place in used],
    )
    lost = np.flatnonzero(np.isnan(values[:, 3]))
    if len(lost):
        raise FormatError(
            table.path, f"expected a number in column {table.columns[key]!r} (got none)", line=table.lines[int(lost[0])]
        )
    names = [row[joint].strip() for row in table.rows]
    for row in np.flatnonzero(np.isnan(values[:, :3]).any(1) & np.isfinite(values[:, :3]).any(1)).tolist():
        check_whole(table.path, values[row, None, None, :3], [names[row]], [table.lines[row]])
    steps, frame_of = np.unique(values[:, 3], return_inverse=True)
    labels = list(dict.fromkeys(names))
    place = {label: i for i, label in enumerate(labels)}
    points = np.full((len(steps), len(labels), 3), math.nan)
    seen: dict[tuple[int, int], int] = {}
    for row, (t, name) in enumerate(zip(frame_of.tolist(), names, strict=True)):
        if not name:
            raise FormatError(table.path, "expected the name of a joint (got none)", line=table.lines[row])
        first = seen.setdefault((t, place[name]), table.lines[row])
        if first != table.lines[row]:
            raise FormatError(
                table.path,
                f"joint {name!r} of {table.columns[key]} {steps[t]:g} stands here again (first in line {first})",
                line=table.lines[row],
            )
        points[t, place[name]] = values[row, :3]
    first_row = np.unique(frame_of, return_index=True)[1].tolist()
    lines = [table.lines[row] for row in first_row]
    if frames is not None:
        gaps = np.flatnonzero(np.diff(steps) != np.diff(steps)[:1])
        if len(gaps):
            at = int(gaps[0]) + 1
            raise FormatError(
                table.path,
                f"frame {steps[at]:g} follows frame {steps[at - 1]:g}; add a row for the frames that are missing",
                line=lines[at],
            )
    return Points(labels, points, values[first_row, 4] if times is not None else None, lines)
