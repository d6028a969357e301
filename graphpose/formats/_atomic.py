"""Files that appear whole or not at all: written beside the target, then moved over it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphpose.errors import DataError

__all__ = ["replacing", "require_file"]


def require_file(path: Path) -> None:
    """Refuses a folder in the place of the file that is to be written; for those who work long before they write.

    Raises:
        DataError: `path` is a folder.
    """
    if path.is_dir():
        raise DataError(f"expected a file, {path} is a folder: name a file within it")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; it becomes `path` when the block ends well and is removed when it does not.

    Raises:
        DataError: `path` is a folder, before anything is written.
    """
    require_file(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
