"""What moved: clips on a skeleton, resampled, gap-filled, posed by forward kinematics and mapped to other skeletons."""

from __future__ import annotations

from graphpose.motion.clip import MotionClip
from graphpose.motion.gaps import fill_gaps
from graphpose.motion.kinematics import euler_matrices, forward_kinematics
from graphpose.motion.resampling import frame_grid, resample, resample_rotations

__all__ = [
    "MotionClip",
    "euler_matrices",
    "fill_gaps",
    "forward_kinematics",
    "frame_grid",
    "resample",
    "resample_rotations",
]
