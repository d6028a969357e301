"""The skeleton of a C3D file checked before it is read: sizes as its header says, parameters that follow each other.

ezc3d never returns from a file that ends within its parameters, and reads zeros where the data end too early. A C3D
file is made of blocks of 512 bytes: a header, the parameters from block `header[0]` on, and the frames from block
`header[16:18]` on. A parameter begins with the length of its name (negative when locked), its group, the name and the
distance to the next one, 0 at the last. Layout: The C3D file format user guide, www.c3d.org.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

from graphpose.errors import FormatError

__all__ = ["check_layout"]

_BLOCK = 512
_KEY = 0x50  # the second byte of every C3D file
# the byte of the scale (a float) that holds its sign, by processor: negative says that coordinates are floats
_SIGN = {84: 15, 85: 13, 86: 12}
_MIPS = 86  # numbers stand with the high byte first; the other processors write the low one first
_TYPES = (-1, 1, 2, 4)  # bytes of a value in a parameter; -1: text


def check_layout(path: Path) -> None:
    """Raises `FormatError` for a file that is no C3D, was cut short, or whose parameters lead nowhere."""
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise FormatError(path, f"cannot be opened: {fault.strerror or fault}") from None
    if not data:
        raise FormatError(path, "the file is empty")
    if len(data) < 2 or data[1] != _KEY:
        raise FormatError(path, "is no C3D file (its second byte is not 0x50)")
    start = (data[0] - 1) * _BLOCK
    if data[0] < 2 or len(data) < start + 4:
        raise FormatError(path, f"cut short: its parameters begin at byte {max(start, 0)} (it has {len(data)} bytes)")
    order = ">" if data[start + 3] == _MIPS else "<"
    points, analog, first, last = struct.unpack_from(f"{order}4H", data, 2)
    (data_block,) = struct.unpack_from(f"{order}H", data, 16)
    width = 4 if data[_SIGN.get(data[start + 3], 15)] & 0x80 else 2
    end = (data_block - 1) * _BLOCK
    if end <= start:
        raise FormatError(path, f"its frames begin in block {data_block}, before its parameters end")
    frames = last - first + 1 if last >= first else 0
    expected = end + frames * width * (4 * points + analog)
    if len(data) < expected:
        raise FormatError(
            path, f"cut short: {frames} frames of {points} points need {expected} bytes (got {len(data)})"
        )
    _check_parameters(path, data, start + 4, end, order)


def _check_parameters(path: Path, data: bytes, place: int, end: int, order: str) -> None:
    while True:
        if place > end:
            raise FormatError(path, f"its parameters do not end before its frames (byte {end})")
        if place + 2 > end:  # they fill their blocks to the last byte
            return
        name, group = struct.unpack_from("bb", data, place)
        if name == 0 or group == 0:
            return
        follow = place + 2 + abs(name)
        if follow + 2 > end:
            raise FormatError(path, f"the name of the parameter at byte {place} leads beyond the parameters")
        (step,) = struct.unpack_from(f"{order}h", data, follow)
        if step == 0:
            return
        if step < 0:
            raise FormatError(path, f"the parameter at byte {place} is followed by one before it")
        if group > 0:
            _check_values(path, data, follow, follow + step)
        place = follow + step


def _check_values(path: Path, data: bytes, place: int, end: int) -> None:
    """The values of a parameter have to stand before the next one."""
    kind, dimensions = struct.unpack_from("bB", data, place + 2)
    size = abs(kind) * math.prod(data[place + 4 : place + 4 + dimensions])
    if kind not in _TYPES or dimensions > 7 or place + 4 + dimensions + size > end:
        raise FormatError(path, f"the parameter at byte {place} says that it has {size} bytes, up to byte {end}")
