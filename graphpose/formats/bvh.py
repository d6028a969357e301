"""BVH (Biovision hierarchy): `L_j = R_a R_b R_c` in the channel order of each joint, then forward kinematics.

Position channels of any joint, root or not, replace its OFFSET in the axes they name. End Sites are no joints. BVH says
nothing about its unit; centimetres are assumed. Format: M. Meredith, S. Maddock, "Motion capture file formats
explained", 2001.
"""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError, SkeletonError
from graphpose.formats._bvh_hierarchy import Hierarchy, parse_hierarchy
from graphpose.formats._bvh_write import write_bvh
from graphpose.formats._rotation_format import Recording, rotation_format
from graphpose.formats._text import load_text, parse_block, parse_number, whole_frames_hint
from graphpose.motion.kinematics import euler_components
from graphpose.skeleton import Skeleton

__all__ = ["FORMAT", "parse", "parse_bvh"]

_CENTIMETRE = 0.01
_MOTION = re.compile(r"^[ \t]*MOTION\b", re.IGNORECASE | re.MULTILINE)


def parse(path: Path, skeleton: Any, allow_truncated: bool) -> Recording:
    """The recording of a BVH file, in centimetres; `skeleton` must have the joints of the file.

    Raises `FormatError` with the line at fault.
    """
    tree, rate, values = parse_bvh(path, allow_truncated)
    return Recording(
        skeleton=_skeleton(path, tree, skeleton),
        parents=tree.parents,
        local=_locals(tree, values),
        metres=_CENTIMETRE,
        fps=rate,
        subject=path.resolve().parent.name,
        action=path.stem,
    )


def parse_bvh(path: Path, allow_truncated: bool = False) -> tuple[Hierarchy, float, np.ndarray]:
    """What is written in the file: the tree, frames a second and the channels `[T, width]`; no kinematics."""
    text = load_text(path)
    found = _MOTION.search(text)
    head = text[: found.end()] if found else text
    tree, motion_line = parse_hierarchy(path, head.split("\n"))
    assert found is not None  # the hierarchy ends with MOTION, or parsing it failed
    frames, rate, start, line = _motion_header(path, text, found.end(), motion_line)
    return tree, rate, _motion_block(path, text[start:], line, frames, tree.width, allow_truncated)


def _skeleton(path: Path, tree: Hierarchy, wanted: Any) -> Skeleton:
    try:
        if wanted is None:
            return Skeleton.identify(tree.names, tree.parents)
        skeleton = wanted if isinstance(wanted, Skeleton) else Skeleton.load(wanted)
    except SkeletonError as fault:
        raise FormatError(path, str(fault)) from None
    if list(skeleton.joints) != tree.names or list(skeleton.parents) != tree.parents:
        raise FormatError(
            path,
            f"expected the joints of skeleton {skeleton.name!r} ({len(skeleton)}: {', '.join(skeleton.joints[:4])}, …; "
            f"got {len(tree.names)}: {', '.join(tree.names[:4])}, …); read the file as it is and map it with "
            f"clip.to({skeleton.name!r})",
        )
    return skeleton


def _motion_header(path: Path, text: str, at: int, line: int) -> tuple[int, float, int, int]:
    """Frames, rate, and where the numbers start (offset and 1-based line)."""
    frames: int | None = None
    seconds: str | None = None
    end = text.find("\n", at)
    if text[at : end if end >= 0 else None].strip():
        raise FormatError(path, "expected nothing after MOTION in its line", line=line)
    while frames is None or seconds is None:
        at, line = end + 1, line + 1
        if end < 0:
            raise FormatError(path, "expected 'Frames:' and 'Frame Time:' after MOTION (the file ends)", line=line - 1)
        end = text.find("\n", at)
        row = text[at : end if end >= 0 else None].strip()
        key, colon, value = row.partition(":")
        key = " ".join(key.lower().split())
        if not row:
            continue
        if key == "frames" and colon and frames is None:
            if not re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
                raise FormatError(path, f"expected a whole number of frames (got {value.strip()[:40]!r})", line=line)
            frames = int(value)
        elif key == "frame time" and colon and seconds is None:
            seconds = value.strip()
            if not 1e-6 <= parse_number(path, seconds, line, "Frame Time") <= 1e6:
                raise FormatError(path, f"expected a Frame Time in seconds (got {seconds[:40]})", line=line)
        else:
            raise FormatError(path, f"expected 'Frames:' and 'Frame Time:' after MOTION (got {row[:40]!r})", line=line)
    if frames == 0:
        raise FormatError(path, "holds no frame (Frames: 0)", line=line)
    return frames, _rate(seconds), len(text) if end < 0 else end + 1, line + 1


def _rate(seconds: str) -> float:
    """Frames a second; a whole number where the digits of the Frame Time allow one (0.0083333 is 120, not 120.0005)."""
    value = float(seconds)
    whole = max(1, round(1 / value))
    digits = Decimal(seconds).as_tuple().exponent
    last_digit = 10.0 ** min(0, int(digits))  # the value stands within one unit of its last digit
    # 0.5 %: few digits alone must not turn 29.97 into 30
    return float(whole) if abs(value - 1 / whole) <= last_digit and abs(whole * value - 1) < 5e-3 else 1 / value


def _motion_block(path: Path, text: str, line: int, frames: int, width: int, allow_truncated: bool) -> np.ndarray:
    """The numbers `[frames, width]`: one vectorised pass, and the search for the fault only when that fails."""
    if width == 0:
        raise FormatError(path, "no joint has CHANNELS, so nothing moves", line=line - 1)
    values = parse_block(text)
    if values is not None and values.size == frames * width:
        return values.reshape(frames, width)
    rows: list[list[float]] = []
    cut: tuple[int, int] | None = None  # line, numbers in it
    for number, raw in enumerate(text.split("\n"), line):
        words = raw.split()
        if not words:
            continue
        if cut is not None or len(words) > width:
            bad, count = cut or (number, len(words))
            raise FormatError(path, f"expected {width} numbers in a frame (got {count})", line=bad)
        if len(rows) == frames:
            raise FormatError(path, f"more than the {frames} frames that 'Frames:' promises", line=number)
        if len(words) < width:
            cut = (number, len(words))
            continue
        rows.append([parse_number(path, word, number, f"frame {len(rows) + 1}") for word in words])
    if len(rows) < frames and not (allow_truncated and rows):
        where = f"frame {len(rows) + 1} has {cut[1]} of {width} numbers" if cut else "the file ends"
        raise FormatError(
            path,
            f"cut short: expected {frames} frames (got {len(rows)} whole ones; {where}){whole_frames_hint(len(rows))}",
            line=cut[0] if cut else line + text.rstrip().count("\n"),
        )
    if cut is not None and len(rows) == frames:
        raise FormatError(path, f"more than the {frames} frames that 'Frames:' promises", line=cut[0])
    return np.array(rows)


def _locals(tree: Hierarchy, values: np.ndarray) -> np.ndarray:
    """Local rotations and translations `[3, 4, J, T]`, float64, one Euler formula per rotation order."""
    table = np.ascontiguousarray(values.T)  # [width, T]
    local = np.zeros((3, 4, len(tree.names), table.shape[1]))
    local[:, 3] = np.array(tree.offsets).T[..., None]
    still: list[int] = []
    by_order: dict[str, list[int]] = defaultdict(list)
    for j, channels in enumerate(tree.channels):
        for axis, column in channels.position.items():
            local["XYZ".index(axis), 3, j] = table[column]
        (by_order["".join(axis for _, axis in channels.rotation)] if channels.rotation else still).append(j)
    for i in range(3) if still else ():
        local[i, i, still] = 1.0
    for order, members in by_order.items():
        columns = [[tree.channels[j].rotation[i][0] for j in members] for i in range(len(order))]
        angles = np.zeros((3, len(members), table.shape[1]))
        np.deg2rad(table[columns], out=angles[: len(order)])
        # axes without a channel do not turn: they follow with angle 0
        order += "".join(axis for axis in "XYZ" if axis not in order)
        local[:, :3, members] = euler_components(angles, order)
    return local


FORMAT = rotation_format(
    "bvh",
    ".bvh",
    parse,
    "Biovision hierarchy: skeleton and joint rotations as text; the unit is cm unless scale= says",
    write=write_bvh,
    write_options=("scale", "digits", "identity_rotations"),
    keeps=("positions", "rotations", "bones"),
)
