"""Bandai-Namco-Research-Motiondataset: BVH of one skeleton at 30 frames a second, to be cloned by each user."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from tqdm import tqdm

from graphpose.datasets.sources._body import measure
from graphpose.datasets.sources.findings import Finding
from graphpose.datasets.sources.registry import Source
from graphpose.errors import GraphposeError
from graphpose.formats import read

__all__ = ["SOURCE", "check"]

_NAME = re.compile(r"dataset-([12])_.+_.+_\d+\.bvh")
_CLIPS = {"1": 175, "2": 2902}  # as its README files state
_JOINTS, _FPS = 22, 30.0


def check(folder: Path) -> list[Finding]:
    """One finding for each of the two parts, and one for each file that is not what it should be."""
    parts: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("dataset-*.bvh")) if folder.is_dir() else []:
        if (name := _NAME.fullmatch(path.name)) is not None:
            parts.setdefault(name[1], []).append(path)
    found = []
    for part, paths in sorted(parts.items()):
        frames, faults = 0, []
        for path in tqdm(paths, desc=f"checking dataset-{part}", leave=False, disable=None):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    clip = read(path)
                except GraphposeError as fault:
                    faults.append(Finding("broken", path.name, str(fault), "get this file again"))
                    continue
            assert clip.positions is not None
            frames += clip.frames
            doubts = [str(warning.message).removeprefix(f"{path}: ") for warning in caught]
            if len(clip.skeleton) != _JOINTS or abs(clip.fps - _FPS) > 0.01:
                doubts.append(f"expected {_JOINTS} joints at {_FPS:g} fps (got {len(clip.skeleton)} at {clip.fps:g})")
            else:
                doubts += measure(clip.positions.numpy(), clip.skeleton).faults
            if doubts:
                faults.append(Finding("suspicious", path.name, "; ".join(doubts), "get this file again"))
        text = f"{len(paths):,} of {_CLIPS[part]:,} clips, {frames:,} frames"
        found += [Finding("ok" if frames else "broken", f"dataset-{part}", text), *faults]
    return found


SOURCE = Source(
    name="bandai_namco",
    title="Bandai-Namco-Research-Motiondataset",
    where=(
        "BVH files of three actors on one skeleton of 22 joints, at 30 frames a second: 175 clips in 15 styles (dataset-1), "
        "2,902 clips in 7 styles (dataset-2). Clone github.com/BandaiNamcoResearchInc/Bandai-Namco-Research-Motiondataset "
        "into the folder and unpack the data.zip of each part, if the files are not there yet."
    ),
    licence="CC BY-NC 4.0: with attribution, not for commercial use.",
    check=check,
)
