"""Making a store: files are read, mapped and resampled in parallel, and written shard by shard, so that work can go on after a stop.

The plan comes first: which source files, with size and time of change, in which groups. A group becomes one shard, which is
either whole or not there (`store_files.durable`), so after a stop at any point, kill -9 and power cuts included, the same
command makes the shards that are missing. The index is made from all shards at the end; with it the store is finished.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from graphpose.config import DataConfig
from graphpose.datasets.clips import prepare_clips
from graphpose.datasets.store import ClipStore
from graphpose.datasets.store_files import (
    FORMAT,
    HEAD,
    INDEX,
    SHARDS,
    VERSION,
    arrow,
    check_head,
    durable,
    read_head,
    shard_about,
    write_index,
)
from graphpose.datasets.store_plan import Group, group_files, reconcile, source_of
from graphpose.datasets.store_shard import make_shard, shard_path
from graphpose.datasets.store_workers import run_jobs
from graphpose.errors import DataError, GraphposeError
from graphpose.formats import expand
from graphpose.skeleton import Skeleton

__all__ = ["Prepared", "SourceFaults", "prepare_store"]

log = logging.getLogger(__name__)

LOCK = ".lock"
_WARNINGS = 20  # that are passed on from reading; thousands of files would say the same
_FULL = {errno.ENOSPC, errno.EDQUOT}


class SourceFaults(DataError):
    """Source files that cannot be used; `faults` holds the line of each."""

    def __init__(self, message: str, faults: Sequence[str]) -> None:
        super().__init__(message)
        self.faults = list(faults)


@dataclass(frozen=True)
class Prepared:
    """What was made.

    Attributes:
        path: the store.
        clips, frames: in the whole store.
        shards, made: shards in all, and those that this call made.
        skipped: (source file, fault) of the files left out.
    """

    path: Path
    clips: int
    frames: int
    shards: int
    made: int
    skipped: list[tuple[str, str]]


def prepare_store(
    config: DataConfig,
    out: str | Path,
    *,
    workers: int = 1,
    skip_broken: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int, int], None] | None = None,
) -> Prepared:
    """Makes a store of the clips of `config.paths`, or goes on with one that was begun.

    Args:
        config: paths, skeleton, mapping, scale, fps and name_pattern count; views, windows and split are chosen when training.
        out: folder of the store; new, or one that the same call began.
        workers: processes that read and write.
        skip_broken: leave out source files that cannot be used, and note them in the store.
        overwrite: replace a store that is there.
        progress: called with (files done, files in all, frames written by this call) now and then.

    Raises:
        SourceFaults: source files that cannot be used, all of them at once; the other shards are kept.
        DataError: a store of another version, of other settings or of other source files, one that another process is at work
            on, a folder that holds something else, a full disk.
    """
    arrow()
    store = Path(out)
    files = expand(list(config.paths))
    try:
        (store / SHARDS).mkdir(parents=True, exist_ok=True)
        with _locked(store), _no_drafts(store):
            return _prepare(config, store, [str(file) for file in files], workers, skip_broken, overwrite, progress)
    except OSError as fault:
        if fault.errno in _FULL:
            raise DataError(
                f"{store}: the disk is full ({fault.strerror}); make room and run the same command again: finished shards are kept"
            ) from fault
        raise


def _prepare(
    config: DataConfig,
    store: Path,
    files: list[str],
    workers: int,
    skip_broken: bool,
    overwrite: bool,
    progress: Callable[[int, int, int], None] | None,
) -> Prepared:
    _clean(store, overwrite)
    head, finished = _head(store, config, files)
    skeleton, groups, about = Skeleton.from_dict(head["skeleton"]), head["groups"], _about(head)
    shards = [shard_path(store, number) for number in range(len(groups))]
    open_groups = [number for number in range(len(groups)) if number not in finished]
    if open_groups:
        (store / INDEX).unlink(missing_ok=True)
    do = partial(make_shard, store=store, config=config, skeleton=skeleton, about=about, skip_broken=skip_broken)
    total = sum(len(group) for group in groups)
    done, frames = total - sum(len(groups[number]) for number in open_groups), 0
    faults: list[tuple[str, str]] = []
    caught: list[tuple[type[UserWarning], str]] = []
    if progress is not None:
        progress(done, total, frames)
    for shard in run_jobs(do, [(number, groups[number]) for number in open_groups], workers):
        done, frames = done + shard.files, frames + shard.frames
        faults += shard.faults
        caught += shard.warnings
        if progress is not None:
            progress(done, total, frames)
    _pass_on(caught)
    if faults and not skip_broken:
        raise _faults(store, faults, total)
    if open_groups or not (store / INDEX).is_file():
        write_index(store, shards)
    made = ClipStore(store)  # reads what was written, and checks it
    return Prepared(store, len(made.clips), made.frames, len(groups), len(open_groups), made.skipped)


# ------------------------------------------------------------------------------------------------------ before the work
@contextmanager
def _locked(store: Path) -> Iterator[None]:
    """Only one process prepares a store. The lock ends with the process, whatever ends it."""
    try:
        import fcntl
    except ImportError:
        raise DataError("stores need Linux or macOS, whose files can be locked and read at any place") from None
    with (store / LOCK).open("w") as file:
        for attempt in range(20):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 19:
                    raise DataError(
                        f"{store}: another process is preparing this store; wait for it, or give another --out"
                    ) from None
                time.sleep(0.05)  # workers of one that was killed need a moment to go
        yield


@contextmanager
def _no_drafts(store: Path) -> Iterator[None]:
    """Removes half-written files: those of a process that was killed, and at the end those of workers that were stopped."""

    def remove() -> None:
        for path in [*store.glob(".*.part"), *(store / SHARDS).glob(".*.part")]:
            path.unlink(missing_ok=True)

    remove()
    try:
        yield
    finally:
        remove()


def _clean(store: Path, overwrite: bool) -> None:
    """Refuses a folder that holds something else; removes on request the store that is there."""
    ours = {LOCK, HEAD, INDEX, SHARDS}
    found = [*store.iterdir(), *(store / SHARDS).iterdir()]
    foreign = sorted(
        path.name
        for path in found
        if not (path.parent == store and path.name in ours) and not (path.parent != store and path.suffix == ".arrow")
    )
    if foreign:
        raise DataError(
            f"{store}: expected a new folder or a store (it holds {', '.join(foreign[:3])}); give another --out"
        )
    if overwrite:
        _refuse_foreign_head(store)
        for path in [store / HEAD, store / INDEX, *(store / SHARDS).glob("*.arrow")]:
            path.unlink(missing_ok=True)


def _refuse_foreign_head(store: Path) -> None:
    """A store.json that cannot be read is overwritten, one of something else is not."""
    try:
        json.loads((store / HEAD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    read_head(store)


def _head(store: Path, config: DataConfig, files: list[str]) -> tuple[dict[str, Any], set[int]]:
    """What store.json says, after a check that the same is asked for now, and the finished groups; written when there is none."""
    settings, sources = _settings(config), [source_of(file) for file in files]
    if (store / HEAD).is_file():
        head = read_head(store)
        check_head(store, head)
        _same_settings(store, head["settings"], settings)
        about, groups = _about(head), head["groups"]
        finished = {number for number, group in enumerate(groups) if _is_done(shard_path(store, number), group, about)}
        groups = reconcile(store, groups, finished, sources)
        if groups == head["groups"]:
            return head, finished
        head = {**head, "groups": groups}
    else:
        finished = set()
        left = sorted((store / SHARDS).glob("*.arrow"))
        if left:
            raise DataError(
                f"{store}: shards without {HEAD}; prepare the store again with --overwrite, or give another --out"
            )
        head = {
            "format": FORMAT,
            "version": VERSION,
            "graphpose": _version(),
            "settings": settings,
            "skeleton": _skeleton(store, config, files).to_dict(),
            "groups": group_files(sources),
        }
    with durable(store / HEAD) as file:
        file.write(json.dumps(head, indent=1).encode())
    return head, finished


def _about(head: Mapping[str, Any]) -> dict[str, Any]:
    """What every shard says of the store it belongs to."""
    return {"version": VERSION, "settings": head["settings"], "skeleton": head["skeleton"]["name"]}


def _version() -> str:
    from graphpose import __version__

    return __version__


def _settings(config: DataConfig) -> dict[str, Any]:
    """What decides the frames of a store. A mapping of one's own counts by its content."""
    mapping = None
    if config.mapping is not None and Path(config.mapping).is_file():
        mapping = hashlib.sha256(Path(config.mapping).read_bytes()).hexdigest()
    return {
        "skeleton": None if config.skeleton is None else Skeleton.load(config.skeleton).to_dict(),
        "mapping": config.mapping,
        "mapping_sha256": mapping,
        "scale": config.scale,
        "recorded_fps": config.recorded_fps,
        "fps": config.fps,
        "name_pattern": config.name_pattern,
        "reader_options": dict(config.reader_options),
    }


def _same_settings(store: Path, kept: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    other = [key for key in now if json.loads(json.dumps(now[key])) != kept.get(key)]

    def show(value: Any) -> str:
        return repr(value["name"]) if isinstance(value, Mapping) else repr(value)

    if other:
        words = ", ".join(f"{key} {show(kept.get(key))} (now {show(now[key])})" for key in other)
        raise DataError(
            f"{store}: was prepared with {words}; give the same, prepare it again with --overwrite, or another --out"
        )


def _skeleton(store: Path, config: DataConfig, files: Sequence[str]) -> Skeleton:
    """The skeleton asked for, or that of the first file that can be read."""
    if config.skeleton is not None:
        return Skeleton.load(config.skeleton)
    faults = []
    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the file is read again, and warned of then
                return prepare_clips(replace(config, paths=[file]))[0].skeleton
        except GraphposeError as fault:
            faults.append((file, str(fault)))
    raise _faults(store, faults, len(files))


def _is_done(path: Path, group: Group, about: Mapping[str, Any]) -> bool:
    if not path.is_file():
        return False
    kept = shard_about(path)
    wanted = json.loads(json.dumps({**about, "sources": group}))
    done = kept is not None and {key: kept.get(key) for key in wanted} == wanted
    if not done:
        log.warning("%s: damaged or of other files; it is made again", path)
    return done


def _pass_on(caught: Sequence[tuple[type[UserWarning], str]]) -> None:
    for category, message in caught[:_WARNINGS]:
        warnings.warn(message, category, stacklevel=4)
    if len(caught) > _WARNINGS:
        warnings.warn(f"and {len(caught) - _WARNINGS} more warnings about source files", stacklevel=4)


def _faults(store: Path, faults: Sequence[tuple[str, str]], total: int) -> SourceFaults:
    lines = [text if text.startswith(path) else f"{path}: {text}" for path, text in sorted(faults)]
    more = f"; and {len(lines) - 5} more" if len(lines) > 5 else ""
    return SourceFaults(
        f"{store}: {len(lines)} of {total} source files cannot be used: {'; '.join(lines[:5])}{more}. Mend or remove them and run the "
        "same command again, or leave them out with --skip_broken; the rest is kept",
        lines,
    )
