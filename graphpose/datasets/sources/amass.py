"""AMASS: each user registers for it; npz files of body model parameters, and archives of joints made of them.

Parameters: `poses [T, 3 x joints]` axis angles in radians, `trans [T, 3]` metres, `betas`, `gender`, `mocap_framerate`
(`mocap_frame_rate` in the SMPL-X release).
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from graphpose.datasets.sources.findings import Finding
from graphpose.datasets.sources.registry import Source
from graphpose.errors import FormatError

__all__ = ["SOURCE", "check"]

_WIDTHS = {156: "SMPL+H", 165: "SMPL-X", 72: "SMPL"}
_RATES = ("mocap_framerate", "mocap_frame_rate")
_AGAIN = "unpack or download this file again"


def check(folder: Path) -> list[Finding]:
    """One finding for each subset (the folders below), and one for each file that is not what it should be."""
    subsets: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.npz")) if folder.is_dir() else []:
        if path.stem not in ("shape", "neutral_stagei", "male_stagei", "female_stagei"):  # betas of a person only
            subsets.setdefault(path.relative_to(folder).parts[0] if path.parent != folder else ".", []).append(path)
    found = []
    for name, paths in tqdm(subsets.items(), desc="checking", unit="subset", leave=False, disable=None):
        frames, seconds, models, faults = 0, 0.0, set(), []
        for path in paths:
            try:
                count, rate, model = _motion(path)
            except FormatError as fault:
                faults.append(Finding("broken", path.relative_to(folder).as_posix(), str(fault), _AGAIN))
                continue
            frames, seconds = frames + count, seconds + count / rate
            models.add(model)
        if frames:
            text = f"{len(paths) - len(faults):,} motions, {frames:,} frames, {seconds / 3600:.2f} h, {', '.join(sorted(models))}"
            found.append(Finding("ok", name, text))
        found += faults
    return found


def _motion(path: Path) -> tuple[int, float, str]:
    """Frames, frames a second and body model; raises `FormatError` when the file is no motion."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            keys = set(file.files)
            rate_key = next((key for key in _RATES if key in keys), None)
            if {"poses", "trans"} - keys or rate_key is None:
                raise FormatError(
                    path, f"expected poses, trans and mocap_framerate (got {', '.join(sorted(keys)) or 'nothing'})"
                )
            poses, trans, rate = file["poses"], file["trans"], float(file[rate_key])
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as fault:
        if isinstance(fault, FormatError):
            raise
        raise FormatError(path, f"cannot be read ({fault})") from None
    if poses.ndim != 2 or poses.shape[1] not in _WIDTHS or trans.shape != (len(poses), 3) or not len(poses):
        widths = ", ".join(str(width) for width in _WIDTHS)
        raise FormatError(
            path, f"expected poses [T, {widths}] and trans [T, 3] (got {list(poses.shape)} and {list(trans.shape)})"
        )
    if not math.isfinite(rate) or not 10 <= rate <= 500:
        raise FormatError(path, f"expected a frame rate from 10 to 500 (got {rate:g})")
    if not (np.isfinite(poses).all() and np.isfinite(trans).all()):
        raise FormatError(path, "poses or trans hold values that are not finite")
    if float(np.abs(trans).max()) > 100:
        raise FormatError(
            path, f"the body is {float(np.abs(trans).max()):.0f} m from the origin: trans is not in metres"
        )
    return len(poses), rate, _WIDTHS[poses.shape[1]]


SOURCE = Source(
    name="amass",
    title="AMASS",
    where=(
        "Register at amass.is.tue.mpg.de and download the subsets that you want (SMPL+H G, or SMPL-X G), one archive each; "
        "unpack them into the folder. They hold parameters of a body model, not joints: register at mano.is.tue.mpg.de or "
        "smpl-x.is.tue.mpg.de for the model, compute joints with the code of github.com/nghorbani/amass, and save them as npz "
        "files with joints, which graphpose reads (docs/FILES.md)."
    ),
    licence="Non-commercial research, by the agreement of its site; it may not be passed on.",
    check=check,
)
