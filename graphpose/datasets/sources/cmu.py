"""CMU Graphics Lab Motion Capture Database: free, fetched by subject; ASF/AMC files that have to parse and be people."""

from __future__ import annotations

import warnings
from pathlib import Path

from tqdm import tqdm

from graphpose.datasets.checksums import NAME, read_checksums
from graphpose.datasets.download import sha256_of
from graphpose.datasets.sources._body import measure
from graphpose.datasets.sources._cmu_fetch import fetch
from graphpose.datasets.sources._cmu_trials import listed, subject_name
from graphpose.datasets.sources.findings import Finding, State
from graphpose.datasets.sources.registry import Source
from graphpose.errors import FormatError, GraphposeError
from graphpose.formats._asf import parse_asf
from graphpose.formats.asf_amc import FORMAT as AMC

__all__ = ["SOURCE", "check"]

_AGAIN = "run the command that fetched it again: it replaces what is damaged"


def check(folder: Path) -> list[Finding]:
    """One finding a subject, and one for each file that is not what it should be."""
    sums = folder / NAME
    try:
        noted = read_checksums(sums) if sums.exists() else {}
    except FormatError as fault:
        return [Finding("broken", NAME, str(fault), "remove the list; the next fetch writes it anew")]
    files = sorted(path for suffix in ("asf", "amc") for path in folder.glob(f"*/*.{suffix}"))
    there = {path.relative_to(folder).as_posix() for path in files}
    found = [
        Finding("missing", name, f"noted in {NAME}, and not there", _AGAIN)
        for name in noted
        if "/" in name and name not in there
    ]
    subjects: dict[str, list[Path]] = {}
    for path in files:
        subjects.setdefault(path.parent.name, []).append(path)
    for name, paths in tqdm(subjects.items(), desc="checking", unit="subject", leave=False, disable=None):
        found += _subject(name, paths, {path: noted.get(path.relative_to(folder).as_posix()) for path in paths})
    return found


def _subject(name: str, paths: list[Path], noted: dict[Path, str | None]) -> list[Finding]:
    faults = []
    for path, expected in noted.items():
        if expected is not None and sha256_of(path) != expected:
            faults.append(Finding("broken", f"{name}/{path.name}", f"not the file that is noted in {NAME}", _AGAIN))
    asf = [path for path in paths if path.suffix == ".asf"]
    trials = [path for path in paths if path.suffix == ".amc"]
    if not asf:
        return [*faults, Finding("missing", name, f"{len(trials)} AMC files without {name}.asf", _AGAIN)]
    try:
        parse_asf(asf[0])
    except FormatError as fault:
        return [*faults, Finding("broken", name, str(fault), _AGAIN)]
    frames, extent, sound = 0, float("nan"), 0
    for path in trials:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                (clip,) = AMC.read(path, skeleton=asf[0])
            except GraphposeError as fault:
                faults.append(Finding("broken", f"{name}/{path.name}", str(fault), _AGAIN))
                continue
        assert clip.positions is not None
        body = measure(clip.positions.numpy(), clip.skeleton)
        frames, sound, extent = frames + clip.frames, sound + 1, body.extent
        notes = [str(warning.message).removeprefix(f"{path}: ") for warning in caught]
        if body.faults:
            faults.append(Finding("suspicious", f"{name}/{path.name}", "; ".join(body.faults)))
        elif notes:  # the database holds recordings at 60 frames a second, and does not mark them
            faults.append(Finding("note", f"{name}/{path.name}", "; ".join(notes)))
    of = listed().get(subject_name(name) or "", ())
    share = f"{sound} of {len(of)} listed trials" if of else f"{sound} trials"
    state: State = "ok" if sound or not trials else "broken"
    return [Finding(state, name, f"{share}, {frames:,} frames" + (f", {extent:.2f} m" if sound else "")), *faults]


SOURCE = Source(
    name="cmu",
    title="CMU Graphics Lab Motion Capture Database",
    where=(
        "Recordings of people walking, dancing, climbing, playing, at mocap.cs.cmu.edu: 109 listed subjects with a skeleton "
        "(ASF) each and 2,435 listed trials (AMC), 120 frames a second, some 60. `graphpose data fetch cmu --subjects 07 "
        "09` fetches subjects into FOLDER/07, FOLDER/09; `--subjects all` fetches CMU's archive of everything (over 1 GB), "
        "as CMU asks not to crawl the database for all motions. `--from` names a mirror with the same layout "
        "(subjects/07/07.asf, subjects/07/07_01.amc, allasfamc.zip)."
    ),
    licence=(
        'Free for all uses, in products too, but the data themselves may not be resold, even converted; CMU asks for: "The '
        "data used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding from NSF "
        'EIA-0196217."'
    ),
    check=check,
    download=fetch,
)
