"""JSON of a file, with a fault that names the line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from graphpose.errors import FormatError
from graphpose.formats._text import load_text

__all__ = ["head_of", "load_json"]


def load_json(path: Path, what: str) -> Any:
    """The content of a JSON file; raises `FormatError` with the line, and `what` it should have held."""
    try:
        return json.loads(load_text(path))
    except json.JSONDecodeError as error:
        raise FormatError(path, f"expected JSON (got: {error.msg})", line=error.lineno) from error
    except (RecursionError, ValueError) as error:  # thousands of brackets, or of digits
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, f"expected JSON of {what} (got: {error})") from error


def head_of(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a file without blanks before them; nothing of one that cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(size).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return b""
