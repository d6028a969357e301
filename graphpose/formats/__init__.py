"""From and to files: motion clips in a dozen formats, the reader found by the file's suffix and content.

Adding a new format: write one module in this folder that defines `FORMAT = Format(name, suffixes, read, write,
description)`; `read`, `read_all` and `write` find it by themselves, and the tests of the registry run on it. A format of joint
rotations needs its parser only: `FORMAT = rotation_format(name, suffix, parse, description)` of `_rotation_format.py`.
"""

from __future__ import annotations

from graphpose.formats.plausibility import ImplausibleMotionWarning
from graphpose.formats.registry import Format, available, expand, read, read_all, write

__all__ = ["Format", "ImplausibleMotionWarning", "available", "expand", "read", "read_all", "write"]
