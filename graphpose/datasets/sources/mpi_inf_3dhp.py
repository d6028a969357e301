"""MPI-INF-3DHP: each user downloads it after agreeing to its terms; checked as it comes, or in the archives of P-STMO.

Frames and rate of the 16 training sequences: the data set's `util/mpii_get_sequence_info.m`; `annot.mat` may hold some
more. Of the test set 2,929 frames are marked as valid (github.com/akanazawa/hmr/issues/45).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from graphpose.datasets.sources._body import measure
from graphpose.datasets.sources.findings import Finding
from graphpose.datasets.sources.registry import Source
from graphpose.errors import GraphposeError
from graphpose.formats.mpi_inf_3dhp import read_mpi_inf_3dhp
from graphpose.motion.clip import MotionClip

__all__ = ["SOURCE", "check"]

_TRAINING = {
    "S1/Seq1": (6416, 25), "S1/Seq2": (12430, 50), "S2/Seq1": (6502, 25), "S2/Seq2": (6081, 25),
    "S3/Seq1": (12488, 50), "S3/Seq2": (12283, 50), "S4/Seq1": (6171, 25), "S4/Seq2": (6675, 25),
    "S5/Seq1": (12820, 50), "S5/Seq2": (12312, 50), "S6/Seq1": (6188, 25), "S6/Seq2": (6145, 25),
    "S7/Seq1": (6239, 25), "S7/Seq2": (6320, 25), "S8/Seq1": (6468, 25), "S8/Seq2": (6054, 25),
}  # fmt: skip
_TEST = tuple(f"TS{number}" for number in range(1, 7))
_VALID = 2929
_CAMERAS = 8  # of the 14, those that look level: 0, 1, 2, 4 to 8
_AGAIN = "download or convert this file again"


def check(folder: Path) -> list[Finding]:
    """One finding for each file and each sequence in it."""
    train, test = folder / "data_train_3dhp.npz", folder / "data_test_3dhp.npz"
    found: list[Finding] = []
    if train.exists():
        found += _check_train(train)
    if test.exists():
        found += _check_test([test], test.name)
    for path in _below(folder, "annot.mat"):
        found += _check_annot(path, path.relative_to(folder).as_posix())
    marked = _below(folder, "annot_data.mat")
    if marked:
        found += _check_test(marked, "annot_data.mat")
    if found and not test.exists() and not marked:
        text = "not there; results are reported on the test set"
        found.append(Finding("absent", test.name, text, "add it, or mpi_inf_3dhp_test_set/TS1 .. TS6/annot_data.mat"))
    return found


def _below(folder: Path, name: str) -> list[Path]:
    return sorted(folder.rglob(name)) if folder.is_dir() else []


def _read(path: Path, what: str) -> tuple[dict[str, list[MotionClip]], list[Finding]]:
    """sequence -> its clips, one a camera; what keeps it from being read."""
    clips: dict[str, list[MotionClip]] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size: it is judged here
            for clip in read_mpi_inf_3dhp(path):
                clips.setdefault(clip.tags["recording"], []).append(clip)
    except GraphposeError as fault:
        return {}, [Finding("broken", what, str(fault), _AGAIN)]
    return clips, []


def _body(clips: Sequence[MotionClip]) -> tuple[str, list[str]]:
    """The size of the person, and what is wrong with it, in the frames with positions."""
    positions = clips[0].positions
    assert positions is not None
    seen = positions[~positions.isnan().any(-1).any(-1)].numpy()
    body = measure(seen, clips[0].skeleton)
    return f"{body.extent:.2f} m", list(body.faults)


def _row(what: str, text: str, doubts: list[str]) -> Finding:
    if doubts:
        return Finding("suspicious", what, f"{text}; {'; '.join(doubts)}", _AGAIN)
    return Finding("ok", what, text)


def _check_train(path: Path) -> list[Finding]:
    sequences, found = _read(path, path.name)
    for name, clips in sequences.items():
        frames, fps = len(clips[0]), clips[0].fps
        size, doubts = _body(clips)
        text = f"{len(clips)} cameras, {frames:,} frames at {fps:g} fps, {size}"
        if name not in _TRAINING:
            doubts.append("not a training sequence")
        elif (frames, fps) != _TRAINING[name]:
            doubts.append(f"expected {_TRAINING[name][0]:,} frames at {_TRAINING[name][1]} fps")
        if len(clips) != _CAMERAS:
            doubts.append(f"expected {_CAMERAS} cameras")
        found.append(_row(f"  {name}", text, doubts))
    missing = [name for name in _TRAINING if name not in sequences]
    if sequences and missing:
        found.insert(0, Finding("missing", path.name, f"no {', '.join(missing)}", "convert these sequences too"))
    elif sequences:
        found.insert(0, Finding("ok", path.name, f"{path.stat().st_size / 1e6:,.1f} MB, {len(sequences)} sequences"))
    return found


def _check_annot(path: Path, what: str) -> list[Finding]:
    sequences, found = _read(path, what)
    for name, clips in sequences.items():
        frames = len(clips[0])
        size, doubts = _body(clips)
        if name not in _TRAINING:
            doubts.append("expected a folder such as S1/Seq1 around it")
        elif frames < _TRAINING[name][0]:
            doubts.append(f"expected at least {_TRAINING[name][0]:,} frames")
        found.append(_row(what, f"{len(clips)} cameras, {frames:,} frames, {size}", doubts))
    return found


def _check_test(paths: Sequence[Path], what: str) -> list[Finding]:
    """The test sequences of an archive, or of one file each; and whether all of them are there."""
    found: list[Finding] = []
    names: list[str] = []
    valid = 0
    for path in paths:
        sequences, faults = _read(path, f"{path.parent.name}/{path.name}" if len(paths) > 1 else path.name)
        found += faults
        for name, clips in sequences.items():
            positions = clips[0].positions
            assert positions is not None
            marked = int((~positions.isnan().any(-1).any(-1)).sum())
            sequence = name.rpartition("/")[2]
            names.append(sequence)
            valid += marked
            size, doubts = _body(clips)
            if sequence not in _TEST:
                doubts.append("not a test sequence: expected a folder TS1 .. TS6 around it")
            found.append(_row(f"  {sequence}", f"{len(clips[0]):,} frames, {marked:,} valid, {size}", doubts))
    if not names:
        return found
    missing = [name for name in _TEST if name not in names]
    if missing:
        text = f"no {', '.join(missing)}"
        return [Finding("missing", what, text, "add them: tables are over all six sequences"), *found]
    wrong = [] if valid == _VALID else [f"expected {_VALID:,} valid frames"]
    return [_row(what, f"{len(names)} sequences, {valid:,} valid frames", wrong), *found]


SOURCE = Source(
    name="mpi_inf_3dhp",
    title="MPI-INF-3DHP",
    where=(
        "Agree to the terms at vcai.mpi-inf.mpg.de/3dhp-dataset and run its get_dataset.sh and get_testset.sh; videos are not "
        "needed, only S1 .. S8/Seq1, Seq2/annot.mat and mpi_inf_3dhp_test_set/TS1 .. TS6/annot_data.mat. Put these folders "
        "into the folder as they are; or data_train_3dhp.npz and data_test_3dhp.npz, which the scripts of P-STMO "
        "(github.com/paTRICK-swk/P-STMO) make of them and on which most tables are based."
    ),
    licence="Research only, not commercial; its authors are to be cited, and it may not be passed on.",
    check=check,
)
