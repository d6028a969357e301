"""`SHA256SUMS`: what files were when they arrived, in the format of `sha256sum`, so that `sha256sum -c` checks it too.

One line a file: 64 hexadecimal digits, two blanks (or a blank and `*`), the path below the folder of the list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from graphpose.errors import FormatError
from graphpose.formats._atomic import replacing

__all__ = ["NAME", "read_checksums", "write_checksums"]

NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def read_checksums(path: Path) -> dict[str, str]:
    """Relative path -> lower-case SHA-256; raises `FormatError` with the line that is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise FormatError(path, f"expected a list of checksums ({getattr(fault, 'strerror', None) or fault})") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = _LINE.fullmatch(line.rstrip())
        if words is None:
            raise FormatError(
                path, f"expected 64 hexadecimal digits, two blanks, a path (got {line[:80]!r})", line=number
            )
        name = str(PurePosixPath(words[2]))
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise FormatError(path, f"expected a path below the folder of the files (got {name!r})", line=number)
        if found.setdefault(name, words[1].lower()) != words[1].lower():
            raise FormatError(path, f"a second, other checksum for {name!r}", line=number)
    return found


def write_checksums(path: Path, sums: Mapping[str, str]) -> None:
    """Write the list, sorted by path; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)), encoding="utf-8")
