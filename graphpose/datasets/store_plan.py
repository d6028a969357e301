"""Which source files make up which shard of a store, and whether they are still the same when the work goes on.

Files that follow each other are in one group until it holds 16 MB or 256 files, so that thousands of small files do not make
thousands of shards, and no more than one group a worker is lost by a stop.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from graphpose.errors import DataError, FormatError

__all__ = ["Group", "Source", "group_files", "reconcile", "source_of"]

Source = list  # [path, bytes, time of change in ns], as JSON keeps it
Group = list  # of sources

GROUP_BYTES, GROUP_FILES = 16_000_000, 256


def source_of(path: str) -> Source:
    """The state of a source file, by which a change is noticed."""
    try:
        state = os.stat(path)
    except OSError as fault:
        raise FormatError(path, fault.strerror or "cannot be read") from None
    return [path, state.st_size, state.st_mtime_ns]


def group_files(sources: Iterable[Source]) -> list[Group]:
    """The sources in groups, in their order."""
    groups: list[Group] = []
    room = 0
    for source in sources:
        if not groups or len(groups[-1]) >= GROUP_FILES or source[1] > room:
            groups.append([])
            room = GROUP_BYTES
        groups[-1].append(source)
        room -= source[1]
    return groups


def reconcile(
    store: Path, groups: Sequence[Group], finished: Collection[int], sources: Sequence[Source]
) -> list[Group]:
    """The groups for going on: those whose shard is not finished follow what has changed in their files.

    Raises:
        DataError: a file of a finished shard was changed or removed, or there is a file that the plan does not have.
    """
    now = {source[0]: source for source in sources}
    planned = {source[0] for group in groups for source in group}
    changed = [s[0] for number in finished for s in groups[number] if s[0] in now and now[s[0]] != s]
    gone = [s[0] for number in finished for s in groups[number] if s[0] not in now]
    new = [path for path in now if path not in planned]
    parts = [
        f"{what}: {', '.join(paths[:3])}{f' and {len(paths) - 3} more' if len(paths) > 3 else ''}"
        for what, paths in (("changed", changed), ("gone", gone), ("new", new))
        if paths
    ]
    if parts:
        raise DataError(
            f"{store}: the source files are not those it was begun with ({'; '.join(parts)}); prepare it again with --overwrite, "
            "or into another --out"
        )
    return [
        group if number in finished else [now[source[0]] for source in group if source[0] in now]
        for number, group in enumerate(groups)
    ]
