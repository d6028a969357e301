"""A clip from labelled points over time, the common end of the readers of point files, and the start of their writers.

points `[T, M, 3]` in file units -> joints -> +Y up -> metres: `p = scale * turn(joint)`. Coordinates keep float64 until
the clip is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphpose.errors import FormatError
from graphpose.formats._axes import check_up, to_y_up, warn_if_lying
from graphpose.formats._markers import joints_of_points
from graphpose.formats.plausibility import warn_if_implausible
from graphpose.motion.clip import MotionClip

__all__ = ["LENGTH_UNITS", "clip_of_points", "unit_scale", "writable_points"]

# metres in a unit, by the ways it is spelled
LENGTH_UNITS = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 0.01),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 0.001),
}


def unit_scale(path: Path, unit: str, where: str, scale: float | None, line: int | None = None) -> float:
    """Metres in a unit of the file: `scale` where it is given, else what the file says.

    Raises `FormatError` when neither does.
    """
    if scale is not None:
        return scale
    known = LENGTH_UNITS.get(unit.strip().lower())
    if known is None:
        raise FormatError(
            path,
            f"expected mm, cm or m as {where} (got {unit.strip()!r}); give the metres of a unit as scale=",
            line=line,
        )
    return known


def clip_of_points(
    path: Path,
    labels: Sequence[str],
    points: np.ndarray,
    *,
    fps: float,
    scale: float,
    up: str,
    skeleton: Any = None,
    markers: Any = None,
) -> MotionClip:
    """The clip of points `[T, M, 3]` in file units (NaN = not seen); see `joints_of_points` for skeleton and markers.

    Subject is the folder, action the file, as for BVH. Warns of impossible sizes and falls, and of people who lie.
    """
    axis = check_up(path, up)
    body, joints = joints_of_points(path, labels, points, skeleton=skeleton, markers=markers)
    if not bool(np.isfinite(joints).any()):
        raise FormatError(path, "no point that makes up a joint is seen in any frame")
    joints = np.where(np.isfinite(joints).all(-1, keepdims=True), joints, np.nan)
    with np.errstate(over="ignore"):
        metres = (to_y_up(joints, axis) * scale).astype(np.float32)
    clip = MotionClip(
        skeleton=body,
        fps=fps,
        positions=torch.from_numpy(np.ascontiguousarray(metres)),
        subject=path.resolve().parent.name,
        action=path.stem,
        name=path.stem,
        source=str(path),
    )
    warn_if_implausible(clip, scale)
    warn_if_lying(clip, axis)
    return clip


def writable_points(clips: Sequence[MotionClip], path: Path, kind: str) -> tuple[MotionClip, np.ndarray]:
    """The one clip to write and its positions `[T, J, 3]` float64 metres; raises `FormatError` where `kind` cannot."""
    if len(clips) != 1:
        raise FormatError(
            path, f"a {kind} file holds one clip (got {len(clips)}); write them one by one, or to an .npz file"
        )
    clip = clips[0]
    if clip.positions is None:
        raise FormatError(
            path,
            f"{kind} is made of 3D positions and clip {clip.name!r} has only keypoints; write them to an .npz file",
        )
    if clip.space != "world":
        raise FormatError(
            path,
            f"the positions of clip {clip.name!r} are in the frame of a camera, which {kind} cannot say (it is read as "
            "world space); write them to an .npz file, or turn them upright first (data convert --level_camera)",
        )
    return clip, clip.positions.detach().cpu().double().numpy()
