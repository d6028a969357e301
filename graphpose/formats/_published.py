"""What the readers of published data sets check alike: numbers, joints, gaps and the unit of joint positions.

Each fault is one `FormatError` that names the file, the recording and where there is one the frame and the joint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError, unknown_name
from graphpose.motion.statistics import body_extent
from graphpose.skeleton import Skeleton

__all__ = ["body_of", "check_complete", "check_unit", "chosen_subjects", "joint_array", "mapping"]

_EXTENT = (0.3, 50.0)  # metres from end to end beyond which it is not a person in metres, whatever the person does
_TYPICAL = 2.1  # metres, the extent of an adult
_UNITS = {"mm": 0.001, "cm": 0.01, "m": 1.0}
_LOOKED_AT = 200  # frames


def body_of(path: Path, given: Any, default: str, joints: int) -> Skeleton:
    """The skeleton asked for, or that of the data set; raises `FormatError` when its number of joints is another."""
    if given is None:
        return Skeleton.load(default)
    body = given if isinstance(given, Skeleton) else Skeleton.load(given)
    if len(body) != joints:
        raise FormatError(
            path,
            f"holds the {joints} joints of {default!r} (got skeleton {body.name!r} of {len(body)}); leave skeleton out, "
            "and map the clips with data.skeleton or clip.to(...)",
        )
    return body


def mapping(path: Path, value: Any, what: str) -> Mapping[str, Any]:
    """`value` as a dictionary with text keys, in its own order; raises `FormatError` for anything else or an empty one."""
    if not isinstance(value, Mapping) or not value:
        more = (
            f" of shape {list(value.shape)}" if hasattr(value, "shape") else " without any" * isinstance(value, Mapping)
        )
        raise FormatError(path, f"expected {what} as a dictionary with entries (got {type(value).__name__}{more})")
    return {str(key): entry for key, entry in value.items()}


def joint_array(
    path: Path, where: str, value: Any, joints: int, sizes: Sequence[int], advice: str = "fetch the file again"
) -> np.ndarray:
    """`value` as an array `[F, joints, size]` of float32; raises `FormatError`, which ends in `advice`, if it is none."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise FormatError(
            path, f"{where}: expected numbers (got {type(value).__name__} of dtype {array.dtype}); {advice}"
        )
    if array.ndim != 3 or array.shape[1] != joints or array.shape[2] not in sizes:
        size = " or ".join(str(one) for one in sizes)
        raise FormatError(
            path, f"{where}: expected {joints} joints, [frames, {joints}, {size}] (got {list(array.shape)}); {advice}"
        )
    if len(array) == 0:
        raise FormatError(path, f"{where}: expected at least one frame (got {list(array.shape)}); {advice}")
    return np.asarray(array, dtype=np.float32)


def check_complete(
    path: Path, where: str, positions: np.ndarray, body: Skeleton, valid: np.ndarray | None = None
) -> None:
    """Raises `FormatError` where a joint of `positions [F, J, 3]` is NaN or infinite in a frame that is `valid [F]`."""
    gaps = ~np.isfinite(positions).all(-1)
    if valid is not None:
        gaps &= valid[:, None]
    if gaps.any():
        frame, joint = (int(i) for i in np.argwhere(gaps)[0])
        raise FormatError(
            path,
            f"{where}, frame {frame}: joint {body.joints[joint]!r} has no position ({positions[frame, joint].tolist()}; "
            f"{int(gaps.sum())} such joints in {int(gaps.any(-1).sum())} of {len(positions)} frames); the published file "
            "has no gaps: fetch it again, or take this recording out of it",
        )


def check_unit(
    path: Path, where: str, positions: np.ndarray, body: Skeleton, scale: float, smallest: float = _EXTENT[0]
) -> None:
    """Raises `FormatError` when the bones in `positions [F, J, 3]` metres, read at `scale`, are of no person's length.

    `smallest` is the least extent in metres: 0 where a body may be a hand.
    """
    some = positions[:: max(1, len(positions) // _LOOKED_AT)]
    parent, child = ([bone[i] for bone in body.bones] for i in (0, 1))
    lengths = np.linalg.norm(some[:, child] - some[:, parent], axis=-1)
    extent = body_extent([_median(length) for length in lengths.T], body)
    if extent == 0.0 or smallest <= extent <= _EXTENT[1]:
        return
    unit, best = min(_UNITS.items(), key=lambda item: abs(np.log(extent / scale * item[1] / _TYPICAL)))
    raise FormatError(
        path,
        f"{where}: by the lengths of its bones the person would be {extent:.4g} m from end to end at scale={scale:g}, so "
        f"the positions are in {unit}: give scale={best:g} (--data.scale {best:g}; --scale {best:g} for data info)",
    )


def _median(values: np.ndarray) -> float:
    """Of those that are known; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan


def chosen_subjects(path: Path, found: Sequence[str], asked: Any) -> list[str]:
    """The subjects to read, in the order of the file; raises `FormatError` for one that the file does not hold."""
    if asked is None:
        return list(found)
    names = [part.strip() for part in asked.split(",")] if isinstance(asked, str) else [str(one) for one in asked]
    for name in names:
        if name not in found:
            raise FormatError(path, unknown_name("subject", name, found))
    return [name for name in found if name in names]
