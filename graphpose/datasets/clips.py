"""The clips that a configuration names: read, put on one skeleton and at one rate; or those of a store, as they lie there."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphpose.config import DataConfig
from graphpose.datasets.store import ClipStore, is_store
from graphpose.errors import DataError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["prepare_clips"]


def prepare_clips(
    config: DataConfig,
    clips: Sequence[MotionClip] | None = None,
    *,
    skeleton: Skeleton | None = None,
    check: Callable[[MotionClip], object] | None = None,
) -> list[MotionClip]:
    """The clips of `config.paths` (or those given) on the configured skeleton and at the configured rate.

    Args:
        config: paths (or one store), reader options, skeleton, mapping and rate.
        clips: clips to use in place of `config.paths`.
        skeleton: the target skeleton itself, in place of `config.skeleton` (a trained model brings its own).
        check: called with each clip as it was read, before it is mapped; refuses one by raising.

    Raises:
        DataError: no clip, a clip slower than `config.fps` (frames are never invented), or a store that was prepared otherwise.
        FormatError: files that cannot be read; SkeletonError: no mapping to the configured skeleton.
    """
    target = skeleton
    if target is None and config.skeleton is not None:
        target = Skeleton.load(config.skeleton)
    if clips is None and any(is_store(path) for path in config.paths):
        stored = _stored(config, target)
        if check is not None:
            for clip in stored:
                check(clip)
        return stored
    if clips is None:
        clips = _read(config, target)
    if not clips:
        raise DataError("expected at least one clip (got none)")
    if check is not None:
        for clip in clips:
            check(clip)
    return [_at_rate(clip if target is None else clip.to(target, config.mapping), config.fps) for clip in clips]


def _stored(config: DataConfig, skeleton: Skeleton | None) -> list[MotionClip]:
    """The clips of a store, which have to be what the configuration asks for: nothing is mapped or resampled here."""
    if len(config.paths) > 1:
        raise DataError(
            f"data.paths: expected a store alone (got {len(config.paths)} paths); prepare one store of all: "
            "graphpose data prepare PATH PATH --out STORE"
        )
    [path] = config.paths
    store = ClipStore(path)
    way = "prepare another store (graphpose data prepare)"
    if skeleton is not None and skeleton != store.skeleton:
        raise DataError(
            f"{path}: the store is on skeleton {store.skeleton.name!r}, asked for is {skeleton.name!r}; leave data.skeleton out, or {way}"
        )
    for name in ("mapping", "scale", "name_pattern", "reader_options"):
        value, kept = getattr(config, name), store.settings[name]
        if value and value != kept:
            raise DataError(
                f"{path}: was prepared with {name} {kept!r} (got data.{name} {value!r}); leave it out, or {way}"
            )
    for clip in store.clips:
        if config.fps is not None and abs(clip.fps - config.fps) > 1e-6 * config.fps:
            raise DataError(
                f"{path}: clip {clip.name!r} has {clip.fps:g} frames/s, data.fps asks for {config.fps:g}; "
                f"set data.fps to {clip.fps:g} (null for each clip's own), or {way}"
            )
    return list(store.clips)


def _read(config: DataConfig, skeleton: Skeleton | None) -> list[MotionClip]:
    from graphpose.formats import read_all

    if not config.paths:
        raise DataError("data.paths: expected files or folders with clips (got none)")
    options: dict[str, Any] = {"scale": config.scale, "name_pattern": config.name_pattern, **config.reader_options}
    nameless = [path for path in config.paths if skeleton is not None and _is_nameless(path, len(skeleton))]
    named = [path for path in config.paths if path not in nameless]
    clips = read_all(named, **options) if named else []
    return clips + (read_all(nameless, skeleton=skeleton, **options) if nameless else [])


def _is_nameless(path: str, joints: int) -> bool:
    """Whether an npz file says nothing about its joints, so that they are those of the skeleton asked for.

    The reader takes 17 nameless joints for those of Human3.6M; they are mapped when a skeleton with another number is asked for.
    """
    if not (path.endswith(".npz") and zipfile.is_zipfile(path)):
        return False
    with np.load(path, allow_pickle=False) as file:
        key = next((key for key in ("positions", "keypoints") if key in file.files), None)
        if key is None or {"joints", "skeleton"} & set(file.files):
            return False
        shape = file[key].shape
        return len(shape) > 1 and (shape[1] == joints or shape[1] != 17)


def _at_rate(clip: MotionClip, fps: float | None) -> MotionClip:
    if fps is None or abs(clip.fps - fps) <= 1e-6 * fps:
        return clip
    if clip.fps < fps:
        raise DataError(
            f"clip {clip.name!r} has {clip.fps:g} frames/s, data.fps asks for {fps:g}: set data.fps to {clip.fps:g} or lower, "
            "or null to keep each clip's own rate"
        )
    return clip.resample(fps)
