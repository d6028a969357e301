"""C3D (biomechanics): labelled points with unit, rate and screen axes; read and written by ezc3d (extra `c3d`).

ezc3d reads in a process of its own, because damaged files can crash it (`_c3d_process`). A point with a negative
residual was not seen. POINT:UNITS is the unit; POINT:Y_SCREEN names the axis that points up, and without it +Z does, as
is usual in laboratories (X_SCREEN, a turn about the vertical, is not read). C3D names points and knows no bones; files
written here carry the tree of the skeleton in the parameter GRAPHPOSE:PARENTS (the parent of each point, its own name at
the root), which other programs pass over. Format: The C3D file format user guide, www.c3d.org.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from graphpose.errors import FormatError, SkeletonError
from graphpose.formats._atomic import replacing
from graphpose.formats._c3d_layout import check_layout
from graphpose.formats._c3d_process import load_c3d
from graphpose.formats._points import clip_of_points, unit_scale, writable_points
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["FORMAT", "read_c3d", "write_c3d"]

_MOST_POINTS, _MOST_FRAMES, _LONGEST = 255, 65535, 127  # counts and lengths in the file are bytes and 16-bit words


def _ezc3d(path: Path) -> ModuleType:
    try:
        import ezc3d
    except ImportError:
        raise FormatError(path, 'C3D files need the package ezc3d: pip install "graphpose[c3d]"') from None
    return ezc3d


def read_c3d(
    path: Path,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    markers: Any = None,
    up: str | None = None,
) -> list[MotionClip]:
    """The clip of a C3D file; analog channels, force plates and events are passed over.

    Args:
        scale: metres per unit of the file, in place of POINT:UNITS.
        fps: in place of POINT:RATE.
        skeleton: the skeleton whose joints the points are; without it the one that the file carries, or the largest
            bundled one whose joints are all there.
        markers: YAML table of the points that make up each joint.
        up: the axis that points up, in place of POINT:Y_SCREEN; "z" where neither is there.

    Raises `FormatError` when ezc3d is missing or the file is no whole C3D file.
    """
    _ezc3d(path)
    check_layout(path)
    content = load_c3d(path)
    points, residuals, parameters = content.points, content.residuals, content.parameters
    labels = _labels(path, parameters, points.shape[1])
    if points.shape[1] == 0 or points.shape[2] == 0:
        raise FormatError(path, f"holds no points over time (got {points.shape[1]} points, {points.shape[2]} frames)")
    unseen = ~(residuals[0] >= 0) | ~np.isfinite(points[:3]).all(0)
    places = np.where(unseen[None], np.nan, points[:3]).transpose(2, 1, 0)
    if skeleton is None and markers is None:
        skeleton = _own_skeleton(path, parameters, labels)
    clip = clip_of_points(
        path,
        labels,
        places,
        fps=_rate(path, parameters, fps),
        scale=unit_scale(path, _text(parameters, "UNITS"), "POINT:UNITS", scale),
        up=(_text(parameters, "Y_SCREEN") or "z") if up is None else up,
        skeleton=skeleton,
        markers=markers,
    )
    return [clip]


def _values(parameters: Any, name: str, group: str = "POINT") -> list[Any]:
    """The values of a parameter; none where the file has no such parameter."""
    entry = parameters.get(group, {})
    return list(entry[name]["value"]) if name in entry else []


def _text(parameters: Any, name: str) -> str:
    values = _values(parameters, name)
    return str(values[0]).strip() if values else ""


def _rate(path: Path, parameters: Any, fps: float | None) -> float:
    if fps is not None:
        return fps
    values = _values(parameters, "RATE")
    rate = float(values[0]) if values else 0.0
    if not 0 < rate < float("inf"):
        raise FormatError(path, f"expected a rate above 0 as POINT:RATE (got {rate:g}); give fps=")
    # stored in 32 bits: 29.97 comes as 29.969999313
    return float(f"{rate:.7g}")


def _labels(path: Path, parameters: Any, count: int) -> list[str]:
    """POINT:LABELS, LABELS2, ... [M]; a point without a label is called `*0`, `*1`, ..."""
    names: list[str] = []
    for key in ("LABELS", *(f"LABELS{i}" for i in range(2, 260))):
        more = _values(parameters, key)
        if not more:
            break
        names += [str(name).strip() for name in more]
    names = [name or f"*{i}" for i, name in enumerate(names)]
    return names[:count] + [f"*{i}" for i in range(len(names), count)]


def _own_skeleton(path: Path, parameters: Any, labels: list[str]) -> Skeleton | None:
    """The skeleton whose parents a file written by `write_c3d` names, point by point."""
    parents = [str(name).strip() for name in _values(parameters, "PARENTS", "GRAPHPOSE")]
    if not parents:
        return None
    try:
        if len(parents) != len(labels):
            raise SkeletonError(f"got {len(parents)} for {len(labels)} points")
        unknown = [name for name in parents if name not in labels]
        if unknown:
            raise SkeletonError(f"there is no point {unknown[0]!r}")
        above = [labels.index(name) for name in parents]
        return Skeleton.identify(labels, [-1 if parent == joint else parent for joint, parent in enumerate(above)])
    except SkeletonError as fault:
        raise FormatError(
            path, f"expected GRAPHPOSE:PARENTS to name the parent of each point ({fault}); give skeleton="
        ) from None


def write_c3d(clips: list[MotionClip], path: Path, *, unit: str = "mm") -> None:
    """Write the positions of one clip as points called by its joints, in `unit` (mm, cm or m), +Y up as Y_SCREEN says.

    A joint that is missing gets the residual -1. Rotations, keypoints and labels of the clip are left out. Coordinates
    are 32-bit floats: 1e-4 mm at the size of a person.
    """
    ezc3d = _ezc3d(path)
    clip, positions = writable_points(clips, path, "C3D")
    metres = unit_scale(path, unit, "unit=", None)
    names = clip.skeleton.joints
    if len(names) > _MOST_POINTS or clip.frames > _MOST_FRAMES:
        raise FormatError(
            path,
            f"C3D holds up to {_MOST_POINTS} points and {_MOST_FRAMES} frames here (got {len(names)} and {clip.frames}); "
            "cut the clip, or write an .npz file",
        )
    for name in names:
        if not name or name != name.strip() or len(name.encode()) > _LONGEST or not name.isprintable():
            raise FormatError(
                path, f"joint name {name!r} cannot stand in a C3D file (blanks at its ends, line breaks, 127 bytes)"
            )
    missing = np.isnan(positions).any(-1).T
    points = np.ones((4, len(names), clip.frames))
    points[:3] = np.nan_to_num(positions / metres).transpose(2, 1, 0)
    points[:3, missing] = 0.0
    content = ezc3d.c3d()
    point = content["parameters"]["POINT"]
    for key, value in (("RATE", [clip.fps]), ("UNITS", [unit]), ("LABELS", list(names))):
        point[key]["value"] = value
    content.add_parameter("POINT", "X_SCREEN", ["+X"])
    content.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    tree = clip.skeleton.tree()
    content.add_parameter("GRAPHPOSE", "PARENTS", [tree[name] or name for name in names])
    content["data"]["points"] = points
    content["data"]["meta_points"]["residuals"] = np.where(missing, -1.0, 0.0)[None]
    content["data"]["meta_points"]["camera_masks"] = np.zeros((7, len(names), clip.frames), dtype=bool)
    with replacing(path) as draft:
        own = draft.with_name(f"{draft.name}.c3d")  # ezc3d adds the suffix to any other name
        try:
            content.write(str(own))
            os.replace(own, draft)
        finally:
            own.unlink(missing_ok=True)


FORMAT = Format(
    name="c3d",
    suffixes=(".c3d",),
    read=read_c3d,
    write=write_c3d,
    description="C3D points with their unit and up axis (extra c3d); markers= makes joints of markers",
    options=("markers", "up"),
    write_options=("unit",),
    keeps=("positions", "bones"),
    single=True,
)
