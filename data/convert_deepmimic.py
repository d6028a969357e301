"""Converts DeepMimic `humanoid3d` motion files to BVH: the provenance of the clips in `data/samples/`.

    python data/convert_deepmimic.py MOTIONS_FOLDER data/samples

MOTIONS_FOLDER is `pybullet_data/data/motions` of the PyPI package pybullet (see data/README.md). The files are decoded,
turned to +Z and resampled by graphpose (`graphpose/formats/_deepmimic_motion.py` says how); here they are written, with
the End Sites of DeepMimic's figure and in a fixed number of digits, so that the clips can be made again byte by byte.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from graphpose.errors import FormatError, GraphposeError
from graphpose.formats._deepmimic_motion import (
    JOINTS,
    LAYOUT,
    NAMES,
    OFFSETS,
    PARENTS,
    TO_OURS,
    Motion,
    load_motion,
    resample,
    rotation_matrices,
    to_our_axes,
)

__all__ = ["JOINTS", "LAYOUT", "OFFSETS", "convert_folder", "forward_kinematics", "main", "write_bvh"]


# BVH wants an End Site below every leaf: the far side of the collision shapes of the same files (crown, toe tip, fist).
ENDS = {
    "neck": (0.0, 0.2775, 0.0),
    "right_ankle": (0.1335, -0.0225, 0.0),
    "left_ankle": (0.1335, -0.0225, 0.0),
    "right_wrist": (0.0, -0.04, 0.0),
    "left_wrist": (0.0, -0.04, 0.0),
}


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
