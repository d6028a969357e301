"""Zip and tar archives unpacked without trusting them: nothing lands outside the folder, and no link is made.

All members are looked at before the first is written. Each file appears whole or not at all.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from graphpose.errors import FormatError
from graphpose.formats._atomic import replacing

__all__ = ["unpack"]

Rename = Callable[[str], str | None]


@dataclass(frozen=True)
class _Member:
    """One entry of an archive: its name there, and how to read it."""

    name: str
    size: int
    kind: str  # file, folder or what it is else
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, rename: Rename | None = None) -> list[Path]:
    """Write the files of a `.zip` or `.tar[.gz|.bz2|.xz]` into `folder`, in place of those of the same name.

    Args:
        archive: the file.
        folder: where to; made when it is not there.
        rename: gives the path of a member below `folder`, None to leave it out; without it members keep theirs.

    Returns the paths written. Raises `FormatError` that names the member when the archive is damaged, or holds a
    member that is a link or a device, would land outside of `folder` or on another member.
    """
    with _members(archive) as members:
        plan = _plan(archive, members, rename)
        needed = sum(member.size for _, member in plan)
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise FormatError(archive, f"needs {needed:,} bytes unpacked, and {folder} has room for {free:,}")
        for name, member in plan:
            path = folder / name
            if any(
                parent.is_symlink() for parent in path.parents if parent.is_relative_to(folder) and parent != folder
            ):
                raise FormatError(archive, f"{member.name!r} would be written through the link {path.parent}")
            path.parent.mkdir(parents=True, exist_ok=True)
            _copy(archive, member, path)
        return [folder / name for name, _ in plan]


def _plan(archive: Path, members: list[_Member], rename: Rename | None) -> list[tuple[PurePosixPath, _Member]]:
    """Where each file goes, relative to the folder."""
    plan: dict[str, tuple[PurePosixPath, _Member]] = {}
    for member in members:
        _require_inside(archive, member.name)
        if member.kind == "folder":
            continue
        if member.kind != "file":
            raise FormatError(
                archive, f"expected only files and folders in the archive (got a {member.kind}: {member.name!r})"
            )
        name = member.name if rename is None else rename(member.name)
        if name is None:
            continue
        _require_inside(archive, name)
        path = PurePosixPath(name.replace("\\", "/"))
        key = str(path).lower()  # on some systems names that differ in case are one file
        if key in plan:
            raise FormatError(archive, f"two members for one file: {plan[key][1].name!r} and {member.name!r}")
        plan[key] = (path, member)
    return list(plan.values())


def _require_inside(archive: Path, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    drive = len(name) > 1 and name[1] == ":"
    if path.is_absolute() or drive or ".." in path.parts or not path.parts or "\0" in name:
        raise FormatError(
            archive, f"a member would be written outside of the folder: {name!r}; do not use this archive"
        )


def _copy(archive: Path, member: _Member, path: Path) -> None:
    left = member.size
    try:
        with replacing(path) as draft, draft.open("wb") as target, member.open() as source:
            while piece := source.read(1 << 20):
                left -= len(piece)
                if left < 0:
                    raise FormatError(archive, f"{member.name!r} is longer than the archive says")
                target.write(piece)
            if left > 0:
                raise FormatError(archive, f"{member.name!r} is shorter than the archive says")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as fault:
        raise FormatError(archive, f"{member.name!r} cannot be unpacked ({fault}); fetch the archive again") from None


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                yield [
                    _Member(info.filename, info.file_size, _zip_kind(info), lambda info=info: zipped.open(info))  # type: ignore[misc]
                    for info in zipped.infolist()
                ]
        else:
            with tarfile.open(archive) as tarred:
                yield [
                    _Member(info.name, info.size, _tar_kind(info), lambda info=info: _tar_stream(tarred, info))  # type: ignore[misc]
                    for info in tarred.getmembers()
                ]
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as fault:
        raise FormatError(archive, f"expected a whole zip or tar archive ({fault}); fetch it again") from None


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return "link"
    return "folder" if info.is_dir() else "file"


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isfile():
        return "file"
    return "folder" if info.isdir() else "link" if info.issym() or info.islnk() else "device"


def _tar_stream(tarred: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = tarred.extractfile(info)
    assert stream is not None  # it is a file
    return stream
