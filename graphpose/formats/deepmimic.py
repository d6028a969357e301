"""DeepMimic motions (`.txt`, JSON): the 15 joints of its humanoid3d figure, read with their rotations.

`_deepmimic_motion` decodes the numbers and turns the figure to face +Z; forward kinematics over the published offsets
of the figure gives positions `[T, 15, 3]` in metres, in the joint order of the bundled skeleton `deepmimic15`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._deepmimic_motion import (
    NAMES,
    OFFSETS,
    TO_OURS,
    Motion,
    load_motion,
    resample,
    rotation_matrices,
    to_our_axes,
)
from graphpose.formats._json_text import head_of
from graphpose.formats.plausibility import warn_if_implausible
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip
from graphpose.motion.kinematics import pose_arrays, pose_tree
from graphpose.skeleton import Skeleton

__all__ = ["FORMAT", "read_deepmimic", "recognizes"]

_EVEN = 0.01  # durations that differ by less are those of one rate, written with few digits


def read_deepmimic(
    path: Path, *, scale: float | None = None, fps: float | None = None, skeleton: Any = None
) -> list[MotionClip]:
    """The clip of a DeepMimic motion file.

    The rate is that of the durations of the frames. Where these differ (`humanoid3d_roll.txt`), the motion is
    resampled at their median: linearly for the root, slerp for rotations. `fps` takes the frames as they are, at that
    rate. Raises `FormatError` with the line or frame at fault.
    """
    body = Skeleton.load("deepmimic15")
    if skeleton is not None:
        wanted = skeleton if isinstance(skeleton, Skeleton) else Skeleton.load(skeleton)
        if wanted.tree() != body.tree():
            raise FormatError(
                path, f"holds the joints of deepmimic15; read it as it is and map it with clip.to({wanted.name!r})"
            )
    motion = to_our_axes(load_motion(path))
    rate = fps
    if rate is None:
        rate, even = _rate(motion)
        motion = motion if even else resample(motion, rate)
    places = [NAMES.index(name) for name in body.joints]
    local = np.empty((3, 4, len(body), len(motion.times)))
    local[:, :3] = rotation_matrices(motion.rotations[:, places]).transpose(2, 3, 1, 0)
    local[:, 3] = (TO_OURS @ OFFSETS[places].T)[..., None]
    local[:, 3, body.root] = motion.root.T
    metres = 1.0 if scale is None else scale
    positions, rotations = pose_arrays(pose_tree(local, body.parents), metres)
    clip = MotionClip(
        skeleton=body,
        fps=rate,
        positions=positions,
        rotations=rotations,
        subject=path.resolve().parent.name,
        action=path.stem,
        name=path.stem,
        source=str(path),
    )
    warn_if_implausible(clip, metres)
    return [clip]


def _rate(motion: Motion) -> tuple[float, bool]:
    """Frames a second, whole where the durations nearly say so (0.033332 s is 30), and whether they are all equal."""
    steps = np.diff(motion.times)
    middle = float(np.median(steps))
    whole = max(1, round(1 / middle))
    rate = float(whole) if abs(whole * middle - 1) < 5e-3 else 1 / middle
    return rate, bool((np.abs(steps / middle - 1) < _EVEN).all())


def recognizes(path: Path) -> bool:
    """Whether a text file is a JSON object with "Frames" near its beginning."""
    head = head_of(path)
    return head.startswith(b"{") and b'"Frames"' in head


FORMAT = Format(
    name="deepmimic",
    suffixes=(".txt",),
    read=read_deepmimic,
    write=None,
    description='DeepMimic humanoid3d motion: JSON with "Frames" of 44 numbers; metres',
    holds_clip=recognizes,
    recognizes=recognizes,
    common=True,
    single=True,
)
