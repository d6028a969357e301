"""The work on one group of source files: read, check and label its clips, and write its shard."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graphpose.config import DataConfig
from graphpose.datasets.clips import prepare_clips
from graphpose.datasets.splits import fingerprint
from graphpose.datasets.store import around_root
from graphpose.datasets.store_files import SHARDS, camera_label, write_shard
from graphpose.datasets.store_plan import Group, source_of
from graphpose.datasets.views import refuse_gaps
from graphpose.errors import DataError, GraphposeError
from graphpose.geometry import normalize_screen
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["Shard", "make_shard", "shard_path"]


def shard_path(store: Path, number: int) -> Path:
    """The file of a group."""
    return store / SHARDS / f"{number:05d}.arrow"


@dataclass(frozen=True)
class Shard:
    """What became of one group of source files."""

    files: int
    frames: int
    faults: list[tuple[str, str]]
    warnings: list[tuple[type[UserWarning], str]]


def make_shard(
    job: tuple[int, Group],
    *,
    store: Path,
    config: DataConfig,
    skeleton: Skeleton,
    about: Mapping[str, Any],
    skip_broken: bool,
) -> Shard:
    """Reads the files of a group and writes its shard, unless a file is broken and may not be left out."""
    number, group = job
    clips: list[MotionClip] = []
    labels: list[str] = []
    faults: list[tuple[str, str]] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for path, *state in group:
            try:
                found = prepare_clips(replace(config, paths=[path]), skeleton=skeleton if config.skeleton else None)
                labels_of_file = [_label(clip, skeleton) for clip in found]
                if source_of(path)[1:] != list(state):
                    raise DataError(f"{path}: changed while the store was prepared; run the same command again")
            except GraphposeError as fault:
                faults.append((path, str(fault)))
                continue
            clips += found
            labels += labels_of_file
    if skip_broken or not faults:
        kept = {**about, "sources": group, "skipped": faults}
        write_shard(shard_path(store, number), clips, labels, len(skeleton), kept)
    told = [(one.category, str(one.message)) for one in caught if issubclass(one.category, UserWarning)]
    return Shard(len(group), sum(len(clip) for clip in clips), faults, told)


def _label(clip: MotionClip, skeleton: Skeleton) -> str:
    """What the index knows of a clip, as JSON; raises DataError for a clip that no training could use."""
    if clip.skeleton != skeleton:
        raise DataError(
            f"{clip.source}: clip {clip.name!r} is on skeleton {clip.skeleton.name!r}, the first file on {skeleton.name!r}; "
            "put all on one with --skeleton"
        )
    target, reach, screen, gaps = None, 0.0, 0.0, False
    if clip.positions is not None:
        refuse_gaps(clip, clip.positions)
        centre, reach = around_root(clip)
        target = centre.tolist()
    if clip.keypoints is not None:
        points = clip.keypoints
        if clip.camera is not None and clip.camera.width is not None and clip.camera.height is not None:
            points = normalize_screen(points, clip.camera.width, clip.camera.height)
        seen = ~points.isnan().any(-1)
        gaps, screen = not bool(seen.all()), float(points[seen].abs().max()) if bool(seen.any()) else 0.0
    return json.dumps(
        {
            **{key: getattr(clip, key) for key in ("name", "subject", "action", "source", "fps", "space", "tags")},
            "camera": camera_label(clip.camera),
            "target": target,
            "reach": reach,
            "screen": screen,
            "gaps": gaps,
            "fingerprint": fingerprint(clip),
        }
    )
