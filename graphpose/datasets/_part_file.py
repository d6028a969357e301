"""The unfinished file of a download, `NAME.part`, and what the server said of it, `NAME.part.json`.

Bytes may be appended only to bytes of the same file. So the address, the length and a validator (a strong ETag, or the
time of the last change) are kept beside the part; without a validator, or from another address, a download starts anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from graphpose.formats._atomic import replacing

__all__ = ["PartFile", "Remote"]


@dataclass(frozen=True)
class Remote:
    """A file on a server, as its answer describes it; empty or None where the server does not say."""

    url: str
    length: int | None = None
    etag: str = ""
    modified: str = ""

    @property
    def validator(self) -> str:
        """What `If-Range` may carry: a strong ETag, else the time of the last change, else nothing."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class PartFile:
    """The bytes of `target` that have arrived."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._notes = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def remote(self) -> Remote | None:
        """What the bytes belong to; None when that is not known, as for a part that something else left."""
        try:
            values = json.loads(self._notes.read_text(encoding="utf-8"))
            remote = Remote(**values)
        except (OSError, ValueError, TypeError):
            return None
        return remote if isinstance(remote.url, str) and isinstance(remote.length, int | None) else None

    def resumable(self, url: str) -> Remote | None:
        """The remote file whose bytes can be appended, when `url` is it and there are bytes, but not all of them."""
        remote = self.remote()
        if remote is None or remote.url != url or not remote.validator or remote.length is None:
            return None
        return remote if 0 < self.size < remote.length else None

    def begin(self, remote: Remote) -> None:
        """Forget the bytes; those to come belong to `remote`."""
        self.discard()
        self.target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._notes) as draft:
            draft.write_text(json.dumps(asdict(remote)), encoding="utf-8")

    def finish(self) -> None:
        """Name the file: from now on it is `target`."""
        self.path.replace(self.target)
        self._notes.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the bytes and the notes."""
        self._notes.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
