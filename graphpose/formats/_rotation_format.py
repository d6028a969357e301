"""What formats of joint rotations (BVH, ASF/AMC) share: their options, and the way from local transforms to a clip.

A format parses a file into a `Recording`; the global pose, the unit, the rate and the plausibility check are made here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats.plausibility import warn_if_implausible
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip
from graphpose.motion.kinematics import pose_arrays, pose_tree
from graphpose.skeleton import Skeleton

__all__ = ["Recording", "rotation_format"]


@dataclass(frozen=True)
class Recording:
    """What a file of joint rotations says.

    Attributes:
        skeleton: of the joints.
        parents: index of each joint's parent in the file, -1 for the root.
        local: local rotations and translations `[3, 4, J, T]`, float64, in file units.
        metres: of a file unit, unless the reader is told otherwise.
        fps: frames a second, unless the reader is told otherwise.
        subject, action: labels.
    """

    skeleton: Skeleton
    parents: Sequence[int]
    local: np.ndarray
    metres: float
    fps: float
    subject: str
    action: str


def rotation_format(
    name: str,
    suffix: str,
    parse: Callable[[Path, Any, bool], Recording],
    description: str,
    *,
    write: Callable[..., None] | None = None,
    write_options: tuple[str, ...] = (),
    keeps: tuple[str, ...] = (),
) -> Format:
    """The format whose files `parse(path, skeleton, allow_truncated)` reads, one clip a file with global rotations.

    `allow_truncated` keeps the whole frames of a file that ends too early.
    """

    def read(
        path: Path,
        *,
        scale: float | None = None,
        fps: float | None = None,
        skeleton: Any = None,
        allow_truncated: bool = False,
    ) -> list[MotionClip]:
        recording = parse(path, skeleton, allow_truncated)
        world = pose_tree(recording.local, recording.parents)
        if not bool(np.isfinite(world[:, 3]).all()):
            raise FormatError(path, "its numbers are too large to be lengths and angles")
        metres = recording.metres if scale is None else scale
        positions, rotations = pose_arrays(world, metres)
        clip = MotionClip(
            skeleton=recording.skeleton,
            fps=recording.fps if fps is None else fps,
            positions=positions,
            rotations=rotations,
            subject=recording.subject,
            action=recording.action,
            name=path.stem,
            source=str(path),
        )
        warn_if_implausible(clip, metres)
        return [clip]

    return Format(
        name,
        (suffix,),
        read,
        write,
        description,
        options=("allow_truncated",),
        write_options=write_options,
        keeps=keeps,
        single=True,
    )
