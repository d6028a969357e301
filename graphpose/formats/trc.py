"""TRC (Track Row Column, Motion Analysis and OpenSim): a header, then a row a frame with X, Y, Z of every point.

    PathFileType  4  (X/Y/Z)  walk.trc
    DataRate  CameraRate  NumFrames  NumMarkers  Units  OrigDataRate  OrigDataStartFrame  OrigNumFrames
    120       120         300        2           mm     120           1                   300
    Frame#  Time   RASI          LASI
                   X1  Y1  Z1    X2  Y2  Z2

    1       0.000  ...

Cells are separated by tabs; three empty ones mean that the point was not seen. TRC names points and knows no bones.
Layout: OpenSim documentation, "Marker (.trc) Files".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._atomic import replacing
from graphpose.formats._cells import check_whole, number_rows, rate_of_times
from graphpose.formats._points import clip_of_points, unit_scale, writable_points
from graphpose.formats._text import load_text, parse_number
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip

__all__ = ["FORMAT", "read_trc", "write_trc"]

_HEADER = 5  # lines before the rows, of which a blank one may stand in between
_KEYS = (
    "DataRate",
    "CameraRate",
    "NumFrames",
    "NumMarkers",
    "Units",
    "OrigDataRate",
    "OrigDataStartFrame",
    "OrigNumFrames",
)


def read_trc(
    path: Path,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    markers: Any = None,
    up: str = "y",
    allow_truncated: bool = False,
) -> list[MotionClip]:
    """The clip of a TRC file; unit and rate are those of its header unless `scale` and `fps` replace them.

    Args:
        skeleton: the skeleton whose joints the points are; without it the largest bundled one whose joints are all
            there.
        markers: YAML table of the points that make up each joint.
        up: the axis of the file that points up.
        allow_truncated: keep the whole rows of a file that ends before `NumFrames`, or in the middle of a row.

    Raises `FormatError` with the line at fault.
    """
    lines = load_text(path).split("\n")
    if not lines[0].startswith("PathFileType"):
        raise FormatError(path, f"expected a TRC file to begin with 'PathFileType' (got {lines[0][:40]!r})", line=1)
    if len(lines) < _HEADER:
        raise FormatError(path, f"cut short: expected {_HEADER} lines of header", line=len(lines))
    header = dict(zip(map(str.lower, lines[1].split()), _split(lines[2]), strict=False))
    metres = unit_scale(path, header.get("units", ""), "Units", scale, line=3)
    frames = int(_positive(path, header, "NumFrames"))
    labels = _labels(path, lines[3], int(_positive(path, header, "NumMarkers")))
    values, numbers = _rows(path, lines, labels, frames, allow_truncated)
    if len(values) > frames:
        raise FormatError(
            path, f"expected {frames} rows, as NumFrames in line 3 says (got {len(values)})", line=numbers[frames]
        )
    if len(values) < frames and not allow_truncated:
        raise FormatError(
            path,
            f"cut short: NumFrames says {frames}, the file ends after {len(values)} rows; allow_truncated=True reads them",
            line=numbers[-1],
        )
    rate = _rate(path, header, values, numbers) if fps is None else fps
    points = values[:, 2:].reshape(len(values), len(labels), 3)
    check_whole(path, points, labels, numbers)
    clip = clip_of_points(path, labels, points, fps=rate, scale=metres, up=up, skeleton=skeleton, markers=markers)
    return [clip]


def _split(line: str) -> list[str]:
    """The cells of a line; without the tabs that the format asks for, its words."""
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()


def _positive(path: Path, header: dict[str, str], key: str) -> float:
    word = header.get(key.lower(), "")
    value = parse_number(path, word, 3, key)
    if value <= 0 or (key.startswith("Num") and value != int(value)):
        kind = "a whole number above 0" if key.startswith("Num") else "a number above 0"
        raise FormatError(path, f"expected {kind} as {key} (got {word})", line=3)
    return value


def _labels(path: Path, line: str, count: int) -> list[str]:
    cells = _split(line)
    if [cell.lower().rstrip("#") for cell in cells[:2]] != ["frame", "time"]:
        raise FormatError(path, f"expected the columns Frame# and Time first (got {line[:40]!r})", line=4)
    labels = [cell for cell in cells[2:] if cell]
    if len(labels) != count:
        raise FormatError(path, f"expected {count} names, as NumMarkers says (got {len(labels)})", line=4)
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise FormatError(path, f"expected each point once (got {', '.join(map(repr, twice[:5]))} again)", line=4)
    return labels


def _rows(path: Path, lines: list[str], labels: list[str], frames: int, cut: bool) -> tuple[np.ndarray, list[int]]:
    """The numbers `[rows, 2 + 3 M]` below the header, and the lines they stand in; `cut` drops a short last row."""
    names = ["Frame#", "Time", *(f"{axis} of {label!r}" for label in labels for axis in "XYZ")]
    rows: list[list[str]] = []
    numbers: list[int] = []
    last = max((number for number, line in enumerate(lines, 1) if line.strip()), default=0)
    for number, line in enumerate(lines[_HEADER:], _HEADER + 1):
        if not line.strip():
            continue
        cells = _split(line)
        while len(cells) > len(names) and not cells[-1]:  # many programs end each row with a tab
            cells.pop()
        last_and_short = number == last and len(cells) < len(names)
        # a whole row of a file that ends too early, without a line break: its last number may lack digits
        doubtful = number == len(lines) and len(cells) == len(names) and len(rows) + 1 < frames
        if cut and (last_and_short or doubtful):
            break
        if len(cells) != len(names):
            more = "; allow_truncated=True reads the rows before it" if last_and_short and rows else ""
            raise FormatError(
                path,
                f"expected {len(names)} cells, frame, time and 3 for each of {len(labels)} points (got {len(cells)}){more}",
                line=number,
            )
        rows.append(cells)
        numbers.append(number)
    if not rows:
        raise FormatError(path, "holds no frame (the file ends after its header)", line=len(lines))
    return number_rows(path, rows, numbers, names), numbers


def _rate(path: Path, header: dict[str, str], values: np.ndarray, lines: list[int]) -> float:
    """DataRate, after comparing it with the times of the rows."""
    rate = _positive(path, header, "DataRate")
    steps = np.diff(values[:, 1])
    wrong = np.flatnonzero(~(np.abs(steps * rate - 1) <= 0.5))
    if len(wrong):
        at = int(wrong[0]) + 1
        raise FormatError(
            path,
            f"expected Time to rise by {1 / rate:.6g} s a row, as DataRate {rate:g} says (got {steps[at - 1]:.6g}); add "
            "the rows that are missing with empty cells, or take the rows as they are with fps=",
            line=lines[at],
        )
    gaps = len(values) - 1
    if abs((values[-1, 1] - values[0, 1]) * rate - gaps) > max(1.0, 0.02 * gaps):
        raise FormatError(
            path,
            f"DataRate says {rate:g} frames a second and the column Time {rate_of_times(values[:, 1]):.6g}; give the "
            "right one as fps=",
            line=3,
        )
    return rate


def write_trc(clips: list[MotionClip], path: Path, *, unit: str = "mm", digits: int = 5) -> None:
    """Write the positions of one clip, in `unit` (mm, cm or m) with `digits` decimals.

    The bones, rotations, keypoints and labels of the clip have no place in a TRC file.
    """
    clip, points = writable_points(clips, path, "TRC")
    points = points / unit_scale(path, unit, "unit=", None)
    for name in clip.skeleton.joints:
        if not name or name != name.strip() or any(c in name for c in "\t\r\n"):
            raise FormatError(
                path, f"joint name {name!r} cannot stand in a TRC file (blanks at its ends, tabs, line breaks)"
            )
    rate, count = f"{clip.fps:.12g}", len(clip.skeleton)
    head = [rate, rate, str(clip.frames), str(count), unit, rate, "1", str(clip.frames)]
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "\t".join(_KEYS),
        "\t".join(head),
        "Frame#\tTime\t" + "\t\t\t".join(clip.skeleton.joints) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, count + 1) for axis in "XYZ"),
        "",
    ]
    cell = f"%.{digits}f"
    for t, row in enumerate(points.reshape(clip.frames, -1).tolist()):
        numbers = (cell % value if value == value else "" for value in row)
        lines.append(f"{t + 1}\t{t / clip.fps:.6f}\t" + "\t".join(numbers))
    with replacing(path) as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


FORMAT = Format(
    name="trc",
    suffixes=(".trc",),
    read=read_trc,
    write=write_trc,
    description="Track Row Column (OpenSim): points as text with their unit; no bones",
    options=("allow_truncated", "markers", "up"),
    write_options=("digits", "unit"),
    keeps=("positions",),
    single=True,
)
