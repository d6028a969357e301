"""DeepMimic motions decoded: 44 numbers a frame to root positions `[T, 3]` and joint quaternions `[T, 15, 4]`.

Each frame of a motion file holds its duration in seconds, the root position in metres, then rotations in the order of
`LAYOUT`: quaternions (w, x, y, z) for root and ball joints, one angle in radians for knees and elbows (about the
joint's own z). The root is in world coordinates, all others are relative to their parent. DeepMimic's figure faces +X
with its right along +Z; ours faces +Z with its left along +X, both +Y up. With C the turn between the two worlds

    C (x, y, z) = (-z, y, x),    offset' = C offset,    R' = C R C^T

holds for every joint, so that the rest pose faces +Z. Shapes: T frames, 15 joints, quaternions `[T, 15, 4]`.
Reference: X. B. Peng et al., "DeepMimic: Example-Guided Deep Reinforcement Learning of Physics-Based Character Skills",
ACM Transactions on Graphics 37(4), 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._json_text import load_json

__all__ = [
    "COLUMNS",
    "JOINTS",
    "LAYOUT",
    "NAMES",
    "OFFSETS",
    "PARENTS",
    "TO_OURS",
    "Motion",
    "load_motion",
    "resample",
    "rotation_matrices",
    "to_our_axes",
]

# Name, parent, offset from the parent in metres on DeepMimic's axes: data/characters/humanoid3d.txt of DeepMimic, and
# the same numbers times four in pybullet_data/humanoid/humanoid.urdf (which is loaded with globalScaling=0.25).
JOINTS: tuple[tuple[str, str | None, tuple[float, float, float]], ...] = (
    ("root", None, (0.0, 0.0, 0.0)),
    ("chest", "root", (0.0, 0.236151, 0.0)),
    ("neck", "chest", (0.0, 0.223894, 0.0)),
    ("right_hip", "root", (0.0, 0.0, 0.084887)),
    ("right_knee", "right_hip", (0.0, -0.421546, 0.0)),
    ("right_ankle", "right_knee", (0.0, -0.409870, 0.0)),
    ("right_shoulder", "chest", (-0.024050, 0.243500, 0.183110)),
    ("right_elbow", "right_shoulder", (0.0, -0.274788, 0.0)),
    ("right_wrist", "right_elbow", (0.0, -0.258947, 0.0)),
    ("left_hip", "root", (0.0, 0.0, -0.084887)),
    ("left_knee", "left_hip", (0.0, -0.421546, 0.0)),
    ("left_ankle", "left_knee", (0.0, -0.409870, 0.0)),
    ("left_shoulder", "chest", (-0.024050, 0.243500, -0.183110)),
    ("left_elbow", "left_shoulder", (0.0, -0.274788, 0.0)),
    ("left_wrist", "left_elbow", (0.0, -0.258947, 0.0)),
)
# The rotations of a frame after duration and root position. The wrists are fixed and have none.
LAYOUT: tuple[tuple[str, int], ...] = (
    ("root", 4),
    ("chest", 4),
    ("neck", 4),
    ("right_hip", 4),
    ("right_knee", 1),
    ("right_ankle", 4),
    ("right_shoulder", 4),
    ("right_elbow", 1),
    ("left_hip", 4),
    ("left_knee", 1),
    ("left_ankle", 4),
    ("left_shoulder", 4),
    ("left_elbow", 1),
)
COLUMNS = 1 + 3 + sum(width for _, width in LAYOUT)
NAMES = tuple(name for name, _, _ in JOINTS)
PARENTS = tuple(-1 if parent is None else NAMES.index(parent) for _, parent, _ in JOINTS)
OFFSETS = np.array([offset for _, _, offset in JOINTS])
TO_OURS = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True)
class Motion:
    """Times `[T]` (seconds), root position `[T, 3]` (metres), unit quaternions `[T, 15, 4]` relative to the parent."""

    times: np.ndarray
    root: np.ndarray
    rotations: np.ndarray


def load_motion(path: str | Path) -> Motion:
    """Reads one motion file, on DeepMimic's axes.

    Quaternions are normalised: in some files they are up to 42 % off unit length. The duration of the last frame leads
    nowhere (it is 0 in most files) and is ignored. Raises FormatError when the file is not JSON, has no frames, or a
    frame has not 44 finite numbers, a duration that is not positive, or a quaternion of length zero.
    """
    path = Path(path)
    content = load_json(path, "a motion")
    frames = content.get("Frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or len(frames) < 2:
        raise FormatError(path, 'expected a JSON object with a list "Frames" of at least 2 frames (got none)')
    for index, frame in enumerate(frames):
        if not isinstance(frame, list) or len(frame) != COLUMNS:
            got = len(frame) if isinstance(frame, list) else type(frame).__name__
            raise FormatError(path, f"frame {index}: expected {COLUMNS} numbers of a humanoid3d motion (got {got})")
        if not all(_is_number(value) for value in frame):
            raise FormatError(path, f"frame {index}: expected finite numbers only (got text, NaN or infinity)")
    values = np.array(frames, dtype=np.float64)
    durations = values[:-1, 0]
    if (durations <= 0).any():
        index = int(np.argmax(durations <= 0))
        raise FormatError(path, f"frame {index}: expected a positive duration (got {durations[index]:g} s)")
    return Motion(np.concatenate([[0.0], np.cumsum(durations)]), values[:, 1:4], _decode_rotations(values[:, 4:], path))


def _is_number(value: Any) -> bool:
    # within float64, and so that squares of it are
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e100


def _decode_rotations(values: np.ndarray, path: Path) -> np.ndarray:
    rotations = np.zeros((len(values), len(NAMES), 4))
    rotations[..., 0] = 1.0
    column = 0
    for name, width in LAYOUT:
        block = values[:, column : column + width]
        if width == 1:
            half = block[:, 0] / 2
            rotations[:, NAMES.index(name)] = np.stack([np.cos(half), 0 * half, 0 * half, np.sin(half)], axis=-1)
        else:
            length = np.linalg.norm(block, axis=-1, keepdims=True)
            if (length < 1e-3).any():
                where = f"frame {int(length.argmin())}, {name}"
                raise FormatError(path, f"{where}: expected a quaternion (got one of length {length.min():g})")
            rotations[:, NAMES.index(name)] = block / length
        column += width
    return rotations


def to_our_axes(motion: Motion) -> Motion:
    """Turns world and joint frames by C; the vector part of a quaternion turns like any vector."""
    turned = np.concatenate([motion.rotations[..., :1], motion.rotations[..., 1:] @ TO_OURS.T], axis=-1)
    return Motion(motion.times, motion.root @ TO_OURS.T, turned)


def resample(motion: Motion, fps: float) -> Motion:
    """Samples at k / fps within the recorded time: linear for the root position, slerp (shorter arc) for rotations."""
    # A motion of 38 frames of 0.033332 s ends 0.002 frames short of the last sample: that sample is its last frame.
    count = int(np.floor(motion.times[-1] * fps + 0.01)) + 1
    times = np.minimum(np.arange(count) / fps, motion.times[-1])
    before = np.clip(np.searchsorted(motion.times, times, side="right") - 1, 0, len(motion.times) - 2)
    part = (times - motion.times[before]) / (motion.times[before + 1] - motion.times[before])
    root = motion.root[before] + part[:, None] * (motion.root[before + 1] - motion.root[before])
    rotations = _slerp(motion.rotations[before], motion.rotations[before + 1], part[:, None, None])
    return Motion(np.arange(count) / fps, root, rotations)


def _slerp(start: np.ndarray, end: np.ndarray, part: np.ndarray) -> np.ndarray:
    cosine = (start * end).sum(-1, keepdims=True)
    end = np.where(cosine < 0, -end, end)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    small = angle < 1e-6  # sin(angle) vanishes; the straight line is as good
    sine = np.where(small, 1.0, np.sin(angle))
    left = np.where(small, 1 - part, np.sin((1 - part) * angle) / sine)
    right = np.where(small, part, np.sin(part * angle) / sine)
    mixed = left * start + right * end
    return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


def rotation_matrices(quaternions: np.ndarray) -> np.ndarray:
    """Rotation matrices `[..., 3, 3]` of unit quaternions `[..., 4]` (w, x, y, z)."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
