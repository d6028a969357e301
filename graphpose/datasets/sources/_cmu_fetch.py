"""Fetches CMU recordings: subject by subject, or all at once as the archive that CMU asks to take for that.

Addresses: `BASE/subjects/NN/NN.asf`, `BASE/subjects/NN/NN_MM.amc`, `BASE/allasfamc.zip`. The trials of a subject are those
of the published index; after the last one the numbers are tried on until the server has none, so that later
additions are found without reading its web pages. CMU publishes no checksums: those of what arrived are kept in
`SHA256SUMS`, and every later run compares with them.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from graphpose.datasets.checksums import NAME, read_checksums, write_checksums
from graphpose.datasets.download import NotThereError, UnreachableError, download, sha256_of
from graphpose.datasets.sources._cmu_trials import listed, subject_name
from graphpose.datasets.sources.registry import Wishes
from graphpose.datasets.unpack import unpack
from graphpose.errors import DataError, FormatError, GraphposeError
from graphpose.formats._asf import parse_asf
from graphpose.formats.asf_amc import FORMAT as AMC
from graphpose.formats.plausibility import ImplausibleMotionWarning

__all__ = ["ARCHIVE", "BASE", "check_amc", "fetch"]

BASE = "http://mocap.cs.cmu.edu"
ARCHIVE = "allasfamc.zip"
_MEMBER = re.compile(r"(?:.*/)?subjects/(\d{2,3})/(\1(?:_\d+)?\.(?:asf|amc))", re.IGNORECASE)


def fetch(folder: Path, wishes: Wishes) -> None:
    """Fetch the subjects wished, or the whole archive for "all"; raises `DataError` that names all that went wrong."""
    words = [word for given in wishes.subjects for word in given.replace(",", " ").split()]
    if not words:
        raise DataError(
            f"name the subjects: --subjects 01 02, or --subjects all for the archive of everything (over 1 GB); listed "
            f"are {', '.join(listed())}"
        )
    shelf = _Shelf(folder, wishes)
    if "all" in (word.lower() for word in words):
        _fetch_archive(shelf)
        return
    names = []
    for word in words:
        name = subject_name(word)
        if name is None:
            raise DataError(f"expected numbers of subjects, such as 01 or 104, or all (got {word!r})")
        names.append(name)
    faults: list[str] = []
    for name in dict.fromkeys(names):
        try:
            faults += _fetch_subject(shelf, name)
        except UnreachableError:
            raise
        except GraphposeError as fault:
            faults.append(str(fault))
    if faults:
        raise DataError(f"{len(faults)} faults: {'; '.join(faults)}" if len(faults) > 1 else faults[0])


def check_amc(path: Path, asf: Path) -> int:
    """The number of frames of an AMC file; raises `FormatError` when it is not a whole motion of that skeleton."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplausibleMotionWarning)
        (clip,) = AMC.read(path, skeleton=asf)
    return clip.frames


@dataclass
class _Shelf:
    """The folder with its list of checksums; `get` brings a file there unless it is there and right."""

    folder: Path
    wishes: Wishes

    def __post_init__(self) -> None:
        self.base = (self.wishes.base or BASE).rstrip("/")
        self.enforced = None if self.wishes.checksums is None else read_checksums(self.wishes.checksums)
        self.list = self.folder / NAME
        self.sums = read_checksums(self.list) if self.list.exists() else {}

    def get(self, relative: str, address: str, check: Callable[[Path], object]) -> bool:
        """Whether the file had to be fetched."""
        path = self.folder / relative
        wanted = self.wanted(relative)
        if path.exists() and self._stands(path, relative, wanted, check):
            return False

        def checked(file: Path) -> None:
            check(file)

        before = self.sums.get(relative)
        self.record(
            relative,
            download(
                f"{self.base}/{address}",
                path,
                sha256=wanted,
                check=checked,
                patience=self.wishes.patience,
                show=self.wishes.show,
            ),
        )
        if before is not None and before != self.sums[relative]:
            self.wishes.say(f"{path}: the server now has another file than the one in {self.list.name}")
        return True

    def wanted(self, relative: str) -> str | None:
        """The SHA-256 that the user's list demands; raises `DataError` when it has no line for the file."""
        if self.enforced is None:
            return None
        if relative not in self.enforced:
            raise DataError(
                f"{self.wishes.checksums}: no checksum for {relative}; add it, or fetch without --checksums"
            )
        return self.enforced[relative]

    def record(self, relative: str, digest: str) -> None:
        """Note a file that is whole and right."""
        if self.sums.get(relative) != digest:
            self.sums[relative] = digest
            write_checksums(self.list, self.sums)

    def _stands(self, path: Path, relative: str, wanted: str | None, check: Callable[[Path], object]) -> bool:
        digest = sha256_of(path)
        expected = wanted or self.sums.get(relative)
        if expected is None:  # put there by someone else, or before it could be noted
            try:
                check(path)
            except GraphposeError as fault:
                self.wishes.say(f"{fault}; fetching it again")
                return False
        elif digest != expected:
            self.wishes.say(f"{path}: changed or damaged (SHA-256 {digest}, expected {expected}); fetching it again")
            return False
        self.record(relative, digest)
        return True


def _fetch_subject(shelf: _Shelf, name: str) -> list[str]:
    """What went wrong with single trials, one line each; a subject without skeleton raises `DataError`."""
    asf = f"{name}/{name}.asf"
    try:
        fetched = int(shelf.get(asf, f"subjects/{asf}", parse_asf))
    except NotThereError as fault:
        raise DataError(f"{fault}; listed subjects are {', '.join(listed())}") from None
    kept, missing, faults = 1 - fetched, [], []
    numbers = listed().get(name, ())
    number = 0

    def trial(number: int) -> bool:
        relative = f"{name}/{name}_{number:02d}.amc"
        return shelf.get(relative, f"subjects/{relative}", lambda file: check_amc(file, shelf.folder / asf))

    for number in numbers:
        try:
            new = trial(number)
            fetched, kept = fetched + new, kept + (not new)
        except NotThereError:
            missing.append(f"{number:02d}")
        except UnreachableError:
            raise
        except GraphposeError as fault:
            faults.append(str(fault))
    if (fetched or not numbers) and shelf.enforced is None:
        fetched += _fetch_further(trial, number, faults)
    lacking = f"; the server has no trial {', '.join(missing)}, which the index lists" if missing else ""
    shelf.wishes.say(f"subject {name}: {fetched} files fetched, {kept} were there{lacking}")
    return faults


def _fetch_further(trial: Callable[[int], bool], last: int, faults: list[str]) -> int:
    """Trials after the last one of the index, until the server has none; how many were fetched."""
    fetched = 0
    while True:
        last += 1
        try:
            fetched += trial(last)
        except NotThereError:
            return fetched
        except UnreachableError:
            raise
        except GraphposeError as fault:
            faults.append(str(fault))
            return fetched


def _fetch_archive(shelf: _Shelf) -> None:
    """The archive of all subjects, and its files unpacked."""
    shelf.get(ARCHIVE, ARCHIVE, _check_archive)
    archive = shelf.folder / ARCHIVE
    paths = unpack(archive, shelf.folder, _place)
    sums = dict(shelf.sums)
    for path in paths:
        sums[path.relative_to(shelf.folder).as_posix()] = sha256_of(path)
    shelf.sums = sums
    write_checksums(shelf.list, sums)
    shelf.wishes.say(f"{len(paths)} files unpacked; {archive} is not needed any more")


def _place(member: str) -> str | None:
    """`all_asfamc/subjects/07/07_01.amc` -> `07/07_01.amc`; None for anything else than ASF and AMC."""
    found = _MEMBER.fullmatch(member)
    return f"{found[1]}/{found[2].lower()}" if found else None


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as zipped:
            members = [name for name in zipped.namelist() if _place(name)]
    except (zipfile.BadZipFile, OSError) as fault:
        raise FormatError(path, f"expected a zip archive ({fault})") from None
    if not members:
        raise FormatError(path, "expected subjects/NN/NN_MM.amc in the archive (got none)")
