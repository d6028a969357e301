"""Which file becomes which: the plan of a conversion, and one step of it, from a motion file to files of one format.

A folder is mirrored: `IN/a/walk.bvh` becomes `OUT/a/walk.csv`. A file of several clips stays one file where the format
holds several (npz: of one skeleton, without cameras), else it becomes a folder `OUT/a/archive/` with a file a clip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from graphpose.errors import ConfigError, FormatError, GraphposeError, unknown_name
from graphpose.formats.registry import Format, available, expand, find_format, write
from graphpose.motion.clip import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["Plan", "Step", "convert", "lost", "make_plan", "seen_level"]

Reader = Callable[[Path], list[MotionClip]]
_ARRAYS = ("positions", "keypoints", "confidence", "rotations")


@dataclass(frozen=True)
class Step:
    """One file to read, and where each of its clips goes; one target for all of them is an archive."""

    source: Path
    targets: tuple[Path, ...]


@dataclass(frozen=True)
class Plan:
    """The steps in order, the format to write, and the faults of files that could not be looked into."""

    steps: tuple[Step, ...]
    format: Format
    faults: tuple[GraphposeError, ...]


def make_plan(
    sources: Sequence[str | Path], out: str | Path, to: str | None, read: Reader, *, overwrite: bool = False
) -> Plan:
    """What is to be written where; nothing is written yet.

    Args:
        sources: files and folders.
        out: a file for one source file, else a folder.
        to: name or suffix of the format; None takes that of `out`.
        read: gives the clips of a file as they will be written; used for files that may hold several, whose targets
            only their clips tell.
        overwrite: whether targets may be there already.

    Raises `ConfigError` or `FormatError` when the format cannot be told or written, when two files would become one,
    when a file would replace itself, and for all targets that exist.
    """
    out = Path(out)
    entry = _format(out, to)
    roots = {file: root for source in sources for file, root in _files(Path(source))}  # each file once
    pairs = [(file, roots[file]) for file in expand(list(roots))]
    if _is_file(out, entry):
        # a folder of frames is one clip; of any other folder, the file that is in it today may have others beside it tomorrow
        if len(pairs) != 1 or (Path(sources[0]).is_dir() and find_format(pairs[0][0]).sequence is None):
            raise ConfigError(
                f"{out}: expected one file to convert to a file (got {len(pairs)} files); give a folder as OUT and --to"
            )
        places = [out]
    else:
        if out.exists() and not out.is_dir():
            raise ConfigError(
                f"{out}: is a file; give a folder as OUT, or a file name that ends with {entry.suffixes[0]}"
            )
        places = [out / file.relative_to(root).with_suffix(entry.suffixes[0]) for file, root in pairs]
    steps: list[Step] = []
    faults: list[GraphposeError] = []
    for (source, _), place in zip(pairs, places, strict=True):
        try:
            steps.append(Step(source, _targets(source, place, entry, read, alone=_is_file(out, entry))))
        except GraphposeError as fault:
            faults.append(fault)
    _check(steps, overwrite)
    return Plan(tuple(steps), entry, tuple(faults))


def _format(out: Path, to: str | None) -> Format:
    writable = {name: entry for name, entry in available().items() if entry.write is not None}
    by_suffix = {suffix: entry for entry in writable.values() for suffix in entry.suffixes}
    if to is None:
        if out.suffix.lower() in by_suffix and not out.is_dir():
            return by_suffix[out.suffix.lower()]
        raise ConfigError(f"{out}: expected --to with one of {', '.join(writable)}, or a file name with its suffix")
    name = to.lower()
    entry = writable.get(name) or by_suffix.get(name if name.startswith(".") else f".{name}")
    if entry is None:
        hint = " (only read)" if name in available() else ""
        raise ConfigError(f"{unknown_name('format to write', to, writable)}{hint}")
    other = by_suffix.get(out.suffix.lower())
    if other is not None and other is not entry and not out.is_dir():
        raise ConfigError(f"{out}: its suffix is that of {other.name} and --to says {entry.name}")
    return entry


def _is_file(out: Path, entry: Format) -> bool:
    return out.suffix.lower() in entry.suffixes and not out.is_dir()


def _files(source: Path) -> Iterator[tuple[Path, Path]]:
    """Each motion file with the folder that its place in OUT is relative to."""
    root = source if source.is_dir() else source.parent
    for file in expand(source):
        yield file, root


def _targets(source: Path, place: Path, entry: Format, read: Reader, *, alone: bool) -> tuple[Path, ...]:
    if not source.exists():
        raise FormatError(source, "no such file")
    if find_format(source).single:
        return (place,)
    clips = read(source)
    if len(clips) == 1 or (not entry.single and _fit_together(clips)):
        return (place,)
    if alone:
        raise FormatError(
            source,
            f"holds {len(clips)} clips, which do not go into one {entry.name} file; give a folder as OUT and "
            f"--to {entry.name}",
        )
    folder, names = place.with_suffix(""), list(_file_names(clips))
    return tuple(folder / f"{name}{entry.suffixes[0]}" for name in names)


def _fit_together(clips: Sequence[MotionClip]) -> bool:
    """Whether an archive holds the clips whole: one skeleton, one space, the same arrays, no cameras."""
    kinds = {(clip.skeleton, clip.space, *(getattr(clip, key) is None for key in _ARRAYS)) for clip in clips}
    return len(kinds) == 1 and all(clip.camera is None for clip in clips)


def _file_names(clips: Iterable[MotionClip]) -> Iterator[str]:
    """The names of the clips without what a file name cannot hold; a second one of a name gets a number."""
    used: set[str] = set()
    for clip in clips:
        name = re.sub(r'[\x00-\x1f/\\:*?"<>|]+', "_", clip.name).strip(". ") or "clip"
        count = 1
        while (own := name if count == 1 else f"{name}_{count}").lower() in used:
            count += 1
        used.add(own.lower())
        yield own


def _check(steps: Sequence[Step], overwrite: bool) -> None:
    origin: dict[Path, Path] = {}
    for step in steps:
        for target in step.targets:
            other = origin.setdefault(target.resolve(), step.source)
            if other != step.source:
                raise FormatError(step.source, f"and {other} would both become {target}; convert them into two folders")
    sources = {step.source.resolve() for step in steps}
    own = [target for step in steps for target in step.targets if target.resolve() in sources]
    if own:
        raise FormatError(own[0], "is a file to be read; write into another folder")
    there = [target for step in steps for target in step.targets if target.exists()]
    if there and not overwrite:
        total = sum(len(step.targets) for step in steps)
        raise FormatError(
            there[0], f"is there already ({len(there)} of {total} outputs are); --overwrite replaces them"
        )


def convert(step: Step, clips: Sequence[MotionClip], **options: Any) -> None:
    """Write the clips of a step.

    Each file appears whole or not at all. When a clip of several cannot be written, the new files of the others go
    again, and no folder stays empty.
    """
    if len(step.targets) > 1 and len(clips) != len(step.targets):
        raise FormatError(step.source, "has changed while it was converted; start again")
    with _folder(step.targets[0].parent):
        if len(step.targets) == 1:
            write(list(clips), step.targets[0], **options)
            return
        fresh = [target for target in step.targets if not target.exists()]
        try:
            for clip, target in zip(clips, step.targets, strict=True):
                write(clip, target, **options)
        except BaseException:
            for target in fresh:
                target.unlink(missing_ok=True)
            raise


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """The folder, made where it is missing; what was made goes again when nothing was written into it."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):  # not empty: other files were written into it
                folder.rmdir()
        raise


def seen_level(clip: MotionClip) -> MotionClip:
    """A clip in the frame of an unknown camera (x right, y down, z away) in the world where that camera is level.

    (x, y, z) becomes (x, -y, -z), with the camera at the origin. Clips in world space stay as they are.
    """
    if clip.space == "world" or clip.positions is None:
        return clip
    turn = torch.tensor([1.0, -1.0, -1.0])
    rotations = None if clip.rotations is None else turn[:, None] * clip.rotations
    return clip.replace(positions=clip.positions * turn, rotations=rotations, space="world")


def lost(clip: MotionClip, target: Path, entry: Format) -> list[str]:
    """What of a clip the file `target` does not say, in words."""
    keeps = entry.keeps
    gone = [key for key in _ARRAYS if key not in keeps and getattr(clip, key) is not None]
    if "camera" not in keeps and clip.camera is not None:
        gone.append("camera")
    if "bones" not in keeps and clip.skeleton.name not in Skeleton.available():
        gone.append(f"bones (read it back with the skeleton {clip.skeleton.name!r})")
    if "labels" not in keeps:
        found = clip.subject in (None, target.resolve().parent.name) and clip.action in (None, target.stem)
        gone += [] if found and not clip.tags else ["labels (subject is read as the folder, action as the file)"]
    return gone
