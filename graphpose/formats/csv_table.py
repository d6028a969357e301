"""CSV: positions as a table, one row a frame (wide) or one row a frame and joint (long).

    frame,time,hip_x,hip_y,hip_z,knee_x,...        wide: NAME_x, NAME_y, NAME_z in any order
    frame,joint,x,y,z                              long: joint may be called marker, point, keypoint or landmark

Lines that begin with `#` are comments; `# fps: 30` and `# bones: {"hip": null, "knee": "hip"}` (joint to parent) among
them are read. The unit is metres with +Y up unless `scale` and `up` say otherwise; an empty cell is a missing number.
`frame` or `time` (seconds) may be left out; without both, rows are frames in order.
"""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError, SkeletonError
from graphpose.formats._atomic import replacing
from graphpose.formats._cells import rate_of_times
from graphpose.formats._csv_layout import Table, long_points, wide_points
from graphpose.formats._points import clip_of_points, writable_points
from graphpose.formats._text import load_text, parse_number
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip
from graphpose.skeleton import Skeleton
from graphpose.skeleton.bundled import available_skeletons

__all__ = ["FORMAT", "holds_clip", "read_csv", "write_csv"]

_COMMENT = re.compile(r"#\s*(fps|bones)\s*:\s*(.*)", re.IGNORECASE)


def read_csv(
    path: Path,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    markers: Any = None,
    up: str = "y",
) -> list[MotionClip]:
    """The clip of a CSV file; see the module for its layouts.

    Args:
        scale: metres per unit of the file, 1 unless given.
        fps: in place of the rate that the comment `# fps:` or the column `time` gives.
        skeleton: the skeleton whose joints the columns are; without it the one of the comment `# bones:`, or the
            largest bundled one whose joints are all there.
        markers: YAML table of the columns that make up each joint.
        up: the axis of the file that points up.

    Raises `FormatError` with the line at fault.
    """
    table = _load(path)
    points = wide_points(table) if table.is_wide else long_points(table)
    rate = _rate(points.times, points.lines, table, fps)
    body = skeleton
    if body is None and markers is None and "bones" in table.comments:
        body = _bones(table)
    clip = clip_of_points(
        path,
        points.labels,
        points.values,
        fps=rate,
        scale=1.0 if scale is None else scale,
        up=up,
        skeleton=body,
        markers=markers,
    )
    return [clip]


def holds_clip(path: Path) -> bool:
    """Whether the columns are those of a motion; True for a file that cannot be opened or is empty."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            for _, line in zip(range(100), file, strict=False):
                if line.strip() and not line.startswith("#"):
                    return Table.of(path, line, {}).layout is not None
    except OSError:
        return True
    return path.stat().st_size == 0


def _load(path: Path) -> Table:
    lines = load_text(path).split("\n")
    comments: dict[str, tuple[str, int]] = {}
    start = 0
    while start < len(lines) and (not lines[start].strip() or lines[start].startswith("#")):
        if found := _COMMENT.match(lines[start]):
            comments[found[1].lower()] = (found[2].strip(), start + 1)
        start += 1
    if start == len(lines):
        raise FormatError(path, "expected a line with the names of the columns (got comments only)", line=start)
    table = Table.of(path, lines[start], comments)
    if table.layout is None:
        raise FormatError(
            path,
            "expected columns NAME_x, NAME_y, NAME_z for each joint, or frame, joint, x, y, z (got "
            f"{', '.join(table.columns[:6])}{', …' if len(table.columns) > 6 else ''})",
            line=start + 1,
        )
    reader = csv.reader(lines[start + 1 :], delimiter=table.delimiter, strict=True)
    try:
        for row in reader:
            if not any(cell.strip() for cell in row) or row[0].startswith("#"):
                continue
            line = start + 1 + reader.line_num
            if len(row) != len(table.columns):
                raise FormatError(path, f"expected {len(table.columns)} cells (got {len(row)})", line=line)
            table.rows.append(row)
            table.lines.append(line)
    except csv.Error as fault:
        raise FormatError(path, f"expected CSV ({fault})", line=start + 1 + reader.line_num) from None
    if not table.rows:
        raise FormatError(path, "holds no frame (the file ends after the names of its columns)", line=start + 1)
    return table


def _rate(times: np.ndarray | None, lines: list[int], table: Table, fps: float | None) -> float:
    if fps is not None:
        return fps
    if "fps" in table.comments:
        word, line = table.comments["fps"]
        rate = parse_number(table.path, word, line, "fps")
        if rate <= 0:
            raise FormatError(table.path, f"expected fps above 0 (got {word})", line=line)
    else:
        found = None if times is None or not bool(np.isfinite(times).all()) else rate_of_times(times)
        if found is None:
            raise FormatError(
                table.path,
                "its rate is not known: expected a column `time` that rises, in seconds, or a line `# fps: 30`; "
                "without them give fps=",
            )
        rate = found
    if times is not None:
        wrong = np.flatnonzero(~(np.abs(np.diff(times) * rate - 1) <= 0.5))
        if len(wrong):
            at = int(wrong[0]) + 1
            raise FormatError(
                table.path,
                f"expected time to rise by {1 / rate:.6g} s a frame (got {times[at] - times[at - 1]:.6g}); add the "
                "frames that are missing with empty cells, or take the rows as they are with fps=",
                line=lines[at],
            )
    return rate


def _bones(table: Table) -> Skeleton:
    text, line = table.comments["bones"]
    try:
        tree = json.loads(text)
        if not isinstance(tree, dict) or not tree:
            raise ValueError(f"got {text[:40]!r}")
        names = list(tree)
        parents = [-1 if parent is None else names.index(parent) for parent in tree.values()]
        return Skeleton.identify(names, parents)
    except (ValueError, SkeletonError) as fault:
        raise FormatError(
            table.path, f'expected `# bones: {{"hip": null, "knee": "hip"}}`, joint to parent ({fault})', line=line
        ) from None


def write_csv(clips: list[MotionClip], path: Path, *, digits: int = 6) -> None:
    """Write the positions of one clip in metres, wide, with `digits` decimals.

    The tree of a skeleton that is not bundled, and the rate of a single frame, go into comments. Rotations, keypoints
    and labels have no place.
    """
    clip, points = writable_points(clips, path, "CSV")
    names = clip.skeleton.joints
    for name in names:
        if not name.strip() or name != name.strip() or any(c in name for c in "\r\n"):
            raise FormatError(path, f"joint name {name!r} cannot stand in a CSV file (blanks at its ends, line breaks)")
    times = np.array([float(f"{t / clip.fps:.9f}") for t in range(clip.frames)])
    cell = f"%.{digits}f"
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        # a table that says it all by its columns stays free of comments, which not every program passes over
        if rate_of_times(times) != clip.fps:
            file.write(f"# fps: {clip.fps!r}\n")
        if not (clip.skeleton.name in available_skeletons() and Skeleton.load(clip.skeleton.name) == clip.skeleton):
            file.write(f"# bones: {json.dumps(clip.skeleton.tree(), ensure_ascii=False)}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["frame", "time", *(f"{name}_{axis}" for name in names for axis in "xyz")])
        for t, row in enumerate(points.reshape(clip.frames, -1).tolist()):
            writer.writerow([t, f"{times[t]:.9g}", *("" if math.isnan(v) else cell % v for v in row)])


FORMAT = Format(
    name="csv",
    suffixes=(".csv",),
    read=read_csv,
    write=write_csv,
    description="table of positions, NAME_x, NAME_y, NAME_z a joint; metres, +Y up, unless scale= and up= say",
    options=("markers", "up"),
    write_options=("digits",),
    holds_clip=holds_clip,
    keeps=("positions", "bones"),
    single=True,
)
