"""Converts DeepMimic `humanoid3d` motion files to BVH: the provenance of the clips in `data/samples/`.

    python data/convert_deepmimic.py MOTIONS_FOLDER data/samples

MOTIONS_FOLDER is `pybullet_data/data/motions` of the PyPI package pybullet (see data/README.md). Each frame of a motion
file holds 44 numbers: its duration in seconds, the root position in metres, then rotations in the order of `LAYOUT`:
quaternions (w, x, y, z) for root and ball joints, one angle in radians for knees and elbows (about the joint's own z).
The root is in world coordinates, all others are relative to their parent. DeepMimic's figure faces +X with its right
along +Z; ours faces +Z with its left along +X, both +Y up. With C the turn between the two worlds

    C (x, y, z) = (-z, y, x),    offset' = C offset,    R' = C R C^T

holds for every joint, so that the rest pose of the BVH faces +Z. Shapes: T frames, 15 joints, quaternions `[T, 15, 4]`.
Reference: X. B. Peng et al., "DeepMimic: Example-Guided Deep Reinforcement Learning of Physics-Based Character Skills",
ACM Transactions on Graphics 37(4), 2018.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphpose.errors import FormatError, GraphposeError

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
# BVH wants an End Site below every leaf: the far side of the collision shapes of the same files (crown, toe tip, fist).
ENDS = {
    "neck": (0.0, 0.2775, 0.0),
    "right_ankle": (0.1335, -0.0225, 0.0),
    "left_ankle": (0.1335, -0.0225, 0.0),
    "right_wrist": (0.0, -0.04, 0.0),
    "left_wrist": (0.0, -0.04, 0.0),
}
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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(path, f"expected a readable UTF-8 text file (got: {error})") from error
    except json.JSONDecodeError as error:
        raise FormatError(path, f"expected JSON (got: {error.msg})", line=error.lineno) from error
    frames = content.get("Frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or len(frames) < 2:
        raise FormatError(path, 'expected a JSON object with a list "Frames" of at least 2 frames (got none)')
    for index, frame in enumerate(frames):
        if not isinstance(frame, list) or len(frame) != COLUMNS:
            got = len(frame) if isinstance(frame, list) else type(frame).__name__
            raise FormatError(path, f"frame {index}: expected {COLUMNS} numbers of a humanoid3d motion (got {got})")
        if not all(isinstance(value, int | float) and np.isfinite(value) for value in frame):
            raise FormatError(path, f"frame {index}: expected finite numbers only (got text, NaN or infinity)")
    values = np.array(frames, dtype=np.float64)
    durations = values[:-1, 0]
    if (durations <= 0).any():
        index = int(np.argmax(durations <= 0))
        raise FormatError(path, f"frame {index}: expected a positive duration (got {durations[index]:g} s)")
    return Motion(np.concatenate([[0.0], np.cumsum(durations)]), values[:, 1:4], _decode_rotations(values[:, 4:], path))


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


def euler_zyx(quaternions: np.ndarray) -> np.ndarray:
    """Degrees `[T, J, 3]` (z, y, x) with R = Rz Ry Rx, unwrapped over time: no jumps by 360 degrees."""
    matrix = rotation_matrices(quaternions)
    y = np.arcsin(np.clip(-matrix[..., 2, 0], -1.0, 1.0))
    locked = np.abs(matrix[..., 2, 0]) > 1 - 1e-10  # only z -+ x is determined: leave x at 0
    z = np.where(
        locked, np.arctan2(-matrix[..., 0, 1], matrix[..., 1, 1]), np.arctan2(matrix[..., 1, 0], matrix[..., 0, 0])
    )
    x = np.where(locked, 0.0, np.arctan2(matrix[..., 2, 1], matrix[..., 2, 2]))
    return np.unwrap(np.degrees(np.stack([z, y, x], axis=-1)), period=360.0, axis=0)


def forward_kinematics(motion: Motion, offsets: np.ndarray) -> np.ndarray:
    """Joint positions `[T, 15, 3]` in metres; `offsets [15, 3]` must be on the axes of the motion."""
    local = rotation_matrices(motion.rotations)
    turned, positions = [local[:, 0]], [motion.root]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        positions.append(positions[parent] + turned[parent] @ offsets[joint])
        turned.append(turned[parent] @ local[:, joint])
    return np.stack(positions, axis=1)


def write_bvh(motion: Motion, path: str | Path, fps: float) -> None:
    """Writes a motion on our axes as BVH in centimetres and degrees, to 0.001 mm and 0.001 degrees.

    Not by `graphpose.formats.write`: clips know no End Sites, and without them viewers draw neither head nor feet.
    """
    lines = ["HIERARCHY"]
    order = _write_joint(0, 0, lines)
    lines += ["MOTION", f"Frames: {len(motion.times)}", f"Frame Time: {1 / fps:.8f}"]
    angles = euler_zyx(motion.rotations)[:, order].reshape(len(motion.times), -1)
    for position, row in zip(motion.root * 100, angles, strict=True):
        lines.append(" ".join([_number(v, 4) for v in position] + [_number(v, 3) for v in row]))
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_joint(joint: int, depth: int, lines: list[str]) -> list[int]:
    """Appends the joint and all below it; returns the joints in the order written, which is that of the channels."""
    pad = "  " * depth
    lines += [
        f"{pad}{'JOINT' if depth else 'ROOT'} {NAMES[joint]}",
        f"{pad}{{",
        f"{pad}  OFFSET {_offset(OFFSETS[joint])}",
    ]
    position = "" if depth else "Xposition Yposition Zposition "
    lines.append(f"{pad}  CHANNELS {3 if depth else 6} {position}Zrotation Yrotation Xrotation")
    order = [joint]
    for child, parent in enumerate(PARENTS):
        if parent == joint:
            order += _write_joint(child, depth + 1, lines)
    if NAMES[joint] in ENDS:
        end = _offset(np.array(ENDS[NAMES[joint]]))
        lines += [f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET {end}", f"{pad}  }}"]
    lines.append(f"{pad}}}")
    return order


def _offset(offset: np.ndarray) -> str:
    return " ".join(_number(value, 4) for value in TO_OURS @ offset * 100)


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def sample_name(path: Path) -> str:
    """The sample's name: `humanoid3d_run.txt` becomes `run`, `walker/turn_left0.txt` becomes `walk_turn_left0`."""
    if path.parent.name == "walker":
        return "walk_" + path.stem.lstrip("0").removeprefix("walk_")
    return path.stem.removeprefix("humanoid3d_")


def convert_folder(motions: Path, target: Path, fps: float) -> list[str]:
    """Converts every humanoid motion below `motions`; returns the rows of the table in data/README.md."""
    files = sorted([*motions.glob("humanoid3d_*.txt"), *motions.glob("walker/*.txt")], key=sample_name)
    if not files:
        raise FormatError(motions, "expected humanoid3d_*.txt files in it (got none); give pybullet_data/data/motions")
    target.mkdir(parents=True, exist_ok=True)
    rows = []
    for file in files:
        source = load_motion(file)
        motion = resample(to_our_axes(source), fps)
        write_bvh(motion, target / f"{sample_name(file)}.bvh", fps)
        rate = (len(source.times) - 1) / source.times[-1]
        recorded, written = f"{len(source.times)} at {rate:.0f} Hz", len(motion.times)
        origin = file.relative_to(motions).as_posix()
        rows.append(f"| `{sample_name(file)}.bvh` | `{origin}` | {recorded} | {written} | {(written - 1) / fps:.2f} |")
    return rows


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status, 1 with one line on stderr for bad input."""
    parser = argparse.ArgumentParser(description="Convert DeepMimic humanoid3d motions to BVH.")
    parser.add_argument("motions", type=Path, help="folder with humanoid3d_*.txt (pybullet_data/data/motions)")
    parser.add_argument("target", type=Path, help="folder for the .bvh files, made when absent")
    parser.add_argument("--fps", type=float, default=30.0, help="frames per second to write (default 30)")
    options = parser.parse_args(arguments)
    if not 0 < options.fps < float("inf"):
        parser.error(f"--fps: expected a positive number (got {options.fps:g})")
    try:
        print("\n".join(convert_folder(options.motions, options.target, options.fps)))
    except GraphposeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
