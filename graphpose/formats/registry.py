"""The formats, discovered in this folder, and `read`, `read_all` and `write`, which pick one by the file's suffix."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

from graphpose.errors import FormatError, GraphposeError, unknown_name
from graphpose.formats._labels import compile_pattern, label
from graphpose.motion.clip import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["Format", "available", "expand", "find_format", "read", "read_all", "write"]

log = logging.getLogger(__name__)

PathOrPaths = str | PathLike[str] | Sequence[str | PathLike[str]]
Progress = Callable[[int, int, Path], None]


@dataclass(frozen=True)
class Format:
    """One file format.

    Args:
        name: short name.
        suffixes: lower-case file suffixes with the dot.
        read: `read(path, scale=, fps=, skeleton=, **options) -> list of clips`; raises `FormatError` on a bad file.
        write: `write(clips, path, **options)`, or None when the format is only read.
        description: one line for a table of formats.
        options: names of the format's own reading options.
        write_options: names of its own writing options.
        holds_clip: whether a file with the suffix is a motion file at all, found out without reading it; None: always.
            Files that are not are passed over in folders. A file that cannot be opened counts as one, so that reading
            it reports the fault.
        recognizes: whether a file with the suffix is of this format, found out cheaply (names, a zip directory, never
            by unpickling); formats that share a suffix have it, and the one without is for all other files.
        common: whether files of all kinds have the suffix (.txt); those that are not recognized are then no fault and
            passed over in folders without a word.
        keeps: what a written file holds of a clip, by which conversions say what is lost: of "positions", "keypoints",
            "confidence", "rotations", "bones" (who is whose parent), "camera" and "labels".
        single: whether a file holds one clip, so that where a conversion writes it is known before reading it.
        sequence: of formats that write a file a frame: what the files of one clip have in common. Reading one of them reads
            them all, and of several that are given or found in a folder the first stands for the clip.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[..., list[MotionClip]]
    write: Callable[..., None] | None
    description: str
    options: tuple[str, ...] = ()
    write_options: tuple[str, ...] = ()
    holds_clip: Callable[[Path], bool] | None = None
    recognizes: Callable[[Path], bool] | None = None
    common: bool = False
    keeps: tuple[str, ...] = ()
    single: bool = False
    sequence: Callable[[Path], Hashable] | None = None


@cache
def available() -> dict[str, Format]:
    """Every format by name, in alphabetical order."""
    import graphpose.formats as package

    found: dict[str, Format] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")):
        entry = getattr(importlib.import_module(f"{package.__name__}.{module}"), "FORMAT", None)
        if isinstance(entry, Format):
            found[entry.name] = entry
    return found


def _suffixes(writable: bool = False) -> str:
    formats = (f for f in available().values() if f.write is not None or not writable)
    return ", ".join(sorted({suffix for f in formats for suffix in f.suffixes}))


def _descriptions(entries: Iterable[Format]) -> str:
    return "; ".join(f"{entry.name} ({entry.description})" for entry in entries)


def find_format(path: Path, *, writing: bool = False) -> Format:
    """The format of a file by its suffix, and by what it is where formats share the suffix (not for writing).

    Raises `FormatError` that lists the suffixes there are.
    """
    suffix = path.suffix.lower()
    found = [entry for entry in available().values() if suffix in entry.suffixes]
    for entry in found:
        if not writing and entry.recognizes is not None and path.is_file() and entry.recognizes(path):
            return entry
    for entry in found:
        if entry.recognizes is None or (len(found) == 1 and not entry.common):
            return entry
    if found and not all(entry.common for entry in found):
        raise FormatError(path, f"is none of the files with suffix {suffix} that are read: {_descriptions(found)}")
    hint = "; an ASF file holds a skeleton only, read the AMC file beside it" if suffix == ".asf" else ""
    if found:
        hint = f"; of files with this suffix only these are read: {_descriptions(found)}"
    raise FormatError(path, f"expected a motion file, {_suffixes()} (got suffix {path.suffix!r}){hint}")


def _check_options(path: Path, known: Iterable[str], given: Iterable[str]) -> None:
    known = [*known]
    for name in given:
        if name not in known:
            raise FormatError(path, unknown_name("option", name, known))


def _read_file(
    path: Path, scale: float | None, fps: float | None, skeleton: Any, pattern: Any, options: dict[str, Any]
) -> list[MotionClip]:
    if not path.exists():
        raise FormatError(path, "no such file")
    if path.is_dir():
        raise FormatError(path, "is a folder; read_all reads the files in it")
    for name, value in (("scale", scale), ("fps", fps)):
        if value is not None and not 0 < value < float("inf"):
            raise FormatError(path, f"expected {name} above 0 (got {value!r})")
    entry = find_format(path)
    try:
        clips = entry.read(path, scale=scale, fps=fps, skeleton=skeleton, **options)
        return [label(clip, path, pattern, alone=entry.single) for clip in clips]
    except FormatError:
        raise
    except GraphposeError as fault:  # a skeleton or clip that cannot be: say which file holds it
        raise FormatError(path, str(fault)) from fault


def read(
    path: str | PathLike[str],
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Skeleton | str | PathLike[str] | None = None,
    name_pattern: str | None = None,
    **options: Any,
) -> MotionClip:
    """The clip in a motion file.

    Args:
        path: a file of one of the formats in docs/FILES.md; `available()` lists them.
        scale: metres per unit of the file. BVH: 0.01 unless given; AMC, C3D and TRC: the unit that the file (or its
            ASF) documents; all others: 1.
        fps: frames a second, in place of what the file says, or of 120 (AMC, which says nothing).
        skeleton: AMC: the ASF file, where it is not the one beside it. npz without joints, BVH: the skeleton to use.
        name_pattern: regular expression searched in the path; its named groups `subject` and `action` label the clip,
            other groups become tags.
        options: those of the format, such as `allow_truncated=True` to keep the whole frames of a file that was cut
            short. npz: `nameless`, the skeleton of files without joints that have as many as it; unlike `skeleton` it
            leaves all other files alone, so that it serves a folder of both. 2D detections: `image_size`, "1920x1080" or
            (1920, 1080), and `keypoint_skeleton`, whose joints the keypoints are where their number does not tell it.

    Raises `FormatError` with file and line when the file cannot be read as asked, or holds several clips. Warns
    `ImplausibleMotionWarning` when the person would have an impossible size or be pulled down faster than gravity does.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        _check_options(path, find_format(path).options, options)
    clips = _read_file(path, scale, fps, skeleton, compile_pattern(name_pattern), options)
    if len(clips) != 1:
        raise FormatError(path, f"expected one clip (got {len(clips)}); read_all gives them all")
    return clips[0]


def read_all(
    paths: PathOrPaths,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Skeleton | str | PathLike[str] | None = None,
    name_pattern: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[MotionClip]:
    """Every clip of a file, an npz archive, a folder (searched recursively, sorted), or of several of these.

    Args are those of `read`; each format takes its own options. `progress(done, total, path)` is called after each
    file. All faulty files are reported in one `FormatError`; so is a folder without a motion file. In a folder, npz files
    without positions and keypoints are passed over.
    """
    files = expand(paths)
    known = sorted({name for entry in available().values() for name in entry.options})
    _check_options(files[0], known, options)
    pattern = compile_pattern(name_pattern)
    clips: list[MotionClip] = []
    faults: list[GraphposeError] = []
    for done, file in enumerate(files, 1):
        try:
            own = find_format(file).options if file.is_file() else ()
            clips += _read_file(file, scale, fps, skeleton, pattern, {k: v for k, v in options.items() if k in own})
        except GraphposeError as fault:
            faults.append(fault)
        if progress is not None:
            progress(done, len(files), file)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        first = paths if isinstance(paths, (str, PathLike)) else paths[0]
        raise FormatError(Path(first), f"{len(faults)} of {len(files)} files cannot be read: {_told(faults)}")
    return clips


def _told(faults: Sequence[GraphposeError]) -> str:
    """The faults of several files in one line; those that differ in the file alone are told once, five different ones at most."""
    alike: dict[str, list[GraphposeError]] = {}
    for fault in faults:
        message = str(fault).removeprefix(str(fault.path)) if isinstance(fault, FormatError) else str(fault)
        alike.setdefault(message, []).append(fault)
    groups = list(alike.values())
    shown = [f"{len(group)} files, first {group[0]}" if len(group) > 1 else str(group[0]) for group in groups[:5]]
    left = sum(len(group) for group in groups[5:])
    return "; ".join(shown) + (f"; and {left} more" if left else "")


def expand(paths: PathOrPaths) -> list[Path]:
    """The files that `read_all` reads: those given, and the motion files in and below a folder, sorted; each once.

    A file that is given is kept whatever it is. Files in a folder whose suffix promises motion but which hold no clip
    (npz without positions and keypoints) are left out with one line in the log. Of the files of one clip, where a format
    has a file a frame, the first is kept. Raises `FormatError` for a folder without a motion file, and when nothing is
    given.
    """
    given = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
    found = dict.fromkeys(file for item in given for file in _expand(Path(item)))
    first: dict[Hashable, Path] = {}
    for file in found:
        first.setdefault(_clip_of(file), file)
    files = list(first.values())
    if not files:
        raise FormatError("(no path)", f"expected files or folders of {_suffixes()} (got none)")
    return files


def _clip_of(file: Path) -> Hashable:
    """What the files of one clip have in common where a clip is a file a frame; of all others the file itself."""
    suffix = file.suffix.lower()
    if not any(entry.sequence is not None and suffix in entry.suffixes for entry in available().values()):
        return file
    try:
        sequence = find_format(file).sequence
    except FormatError:  # of another kind: reading it reports the fault
        return file
    return file if sequence is None else sequence(file)


def _expand(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    suffixes = {suffix for entry in available().values() for suffix in entry.suffixes}
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    files = [p for p in found if _holds_clip(p)]
    if not files:
        other = f"; {len(found)} files there hold no clip" if found else ""
        raise FormatError(path, f"no motion file in this folder or below it (looked for {_suffixes()}{other})")
    if len(files) < len(found):
        kept = set(files)
        common = {suffix for entry in available().values() if entry.common for suffix in entry.suffixes}
        passed = [p for p in found if p not in kept and p.suffix.lower() not in common]
        if passed:
            names = ", ".join(str(p.relative_to(path)) for p in passed)
            log.warning("%s: %d files hold no clip and are passed over: %s", path, len(passed), names)
    return files


def _holds_clip(path: Path) -> bool:
    try:
        holds = find_format(path).holds_clip
    except FormatError:  # of a suffix that formats share, and of none of them
        return False
    return holds is None or holds(path)


def write(clip: MotionClip | Sequence[MotionClip], path: str | PathLike[str], **options: Any) -> Path:
    """Write a clip, or several where the format can hold them (npz), and return the path.

    The file appears whole or not at all. Raises `FormatError` when the format is not written or cannot hold the clip.
    """
    path = Path(path)
    entry = find_format(path, writing=True)
    if entry.write is None:
        raise FormatError(path, f"{entry.name} files are only read; write one of {_suffixes(writable=True)}")
    _check_options(path, entry.write_options, options)
    clips = [clip] if isinstance(clip, MotionClip) else list(clip)
    if not clips:
        raise FormatError(path, "expected at least one clip to write (got none)")
    if not path.parent.is_dir():
        raise FormatError(path, f"the folder {path.parent} does not exist")
    entry.write(clips, path, **options)
    return path
