"""The clips that a configuration names: read, put on one skeleton and at one rate, and marked so that they are known again;
or those of a store, as they lie there."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from graphpose.config import DataConfig
from graphpose.datasets.store import ClipStore, is_store
from graphpose.errors import DataError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["ResampledBenchmarkWarning", "absolute_places", "content_of", "prepare_clips"]

_CONTENT = "content hash"  # with a blank, so that no group of a name pattern is called so


class ResampledBenchmarkWarning(UserWarning):
    """Clips of a published data set are taken at another rate than papers take them."""


def prepare_clips(
    config: DataConfig,
    clips: Sequence[MotionClip] | None = None,
    *,
    skeleton: Skeleton | None = None,
    nameless: Skeleton | None = None,
    check: Callable[[MotionClip], object] | None = None,
    section: str = "data",
    option: str = "--data",
) -> list[MotionClip]:
    """The clips of `config.paths` (or those given) on the configured skeleton and at the configured rate.

    Args:
        config: paths (or one store), reader options, skeleton, mapping and rate.
        clips: clips to use in place of `config.paths`.
        skeleton: the target skeleton itself, in place of `config.skeleton` (a trained model brings its own).
        nameless: what the joints of files without names are, where they are as many; None for the target skeleton.
        check: called with each clip as it was read, before it is mapped; refuses one by raising.
        section: of the settings that `config` is, and
        option: that gives its paths, both for errors.

    Raises:
        DataError: no clip, a clip slower than `config.fps` (frames are never invented), or a store that was prepared otherwise.
        FormatError: files that cannot be read; SkeletonError: no mapping to the configured skeleton.
    """
    target = skeleton
    if target is None and config.skeleton is not None:
        target = Skeleton.load(config.skeleton)
    stored = clips is None and any(is_store(path) for path in config.paths)
    if stored:
        clips = _stored(config, target, section)
    elif clips is None:
        clips = _read(config, nameless or target, section, option)
    if not clips:
        raise DataError(f"{section}: expected at least one clip (got none)")
    if check is not None:
        for clip in clips:
            check(clip)
    if stored:
        return list(clips)
    marked = (clip.replace(tags={**clip.tags, _CONTENT: content_of(clip)}) for clip in clips)
    return [_at_rate(clip if target is None else clip.to(target, config.mapping), config.fps) for clip in marked]


def content_of(clip: MotionClip) -> str:
    """16 hexadecimal digits that a recording keeps through copies, other names, mapping, resampling and cutting.

    They are those of the clip as it was read, which `prepare_clips` notes in its tags.
    """
    noted = clip.tags.get(_CONTENT)
    if noted is not None:
        return noted
    values = clip.positions if clip.positions is not None else clip.keypoints
    assert values is not None
    content = torch.as_tensor(values).detach().cpu().contiguous().numpy()
    return hashlib.blake2b(content.data, digest_size=8).hexdigest()


def absolute_places(config: DataConfig) -> DataConfig:
    """`config` with absolute paths of clips, skeleton file and mapping file, for use from another folder."""
    skeleton = config.skeleton
    if skeleton is not None and skeleton not in Skeleton.available():
        skeleton = os.path.abspath(skeleton)
    mapping = None if config.mapping is None else os.path.abspath(config.mapping)
    return replace(config, paths=[os.path.abspath(path) for path in config.paths], skeleton=skeleton, mapping=mapping)


def _stored(config: DataConfig, skeleton: Skeleton | None, section: str) -> list[MotionClip]:
    """The clips of a store, which have to be what the configuration asks for: nothing is mapped or resampled here."""
    if len(config.paths) > 1:
        raise DataError(
            f"{section}.paths: expected a store alone (got {len(config.paths)} paths); prepare one store of all: "
            "graphpose data prepare PATH PATH --out STORE"
        )
    [path] = config.paths
    store = ClipStore(path)
    way = "prepare another store (graphpose data prepare)"
    if skeleton is not None and skeleton != store.skeleton:
        raise DataError(
            f"{path}: the store is on skeleton {store.skeleton.name!r}, asked for is {skeleton.name!r}; "
            f"leave {section}.skeleton out, or {way}"
        )
    for name in ("mapping", "scale", "recorded_fps", "name_pattern", "reader_options"):
        value, kept = getattr(config, name), store.settings[name]
        if value and value != kept:
            raise DataError(
                f"{path}: was prepared with {name} {kept!r} (got {section}.{name} {value!r}); leave it out, or {way}"
            )
    for clip in store.clips:
        if config.fps is not None and abs(clip.fps - config.fps) > 1e-6 * config.fps:
            raise DataError(
                f"{path}: clip {clip.name!r} has {clip.fps:g} frames/s, {section}.fps asks for {config.fps:g}; "
                f"set {section}.fps to {clip.fps:g} (null for each clip's own), or {way}"
            )
    return list(store.clips)


def _read(config: DataConfig, nameless: Skeleton | None, section: str, option: str) -> list[MotionClip]:
    from graphpose.formats import read_all

    if not config.paths:
        raise DataError(f"{section}.paths: expected files or folders with clips (got none)")
    for path in config.paths:
        if not Path(path).exists():
            raise DataError(f"{path}: no such file or folder (in {section}.paths); give {option} FILE_OR_FOLDER")
    options: dict[str, Any] = {**config.reader_options}
    if nameless is not None:
        options["nameless"] = nameless
    return read_all(
        config.paths, scale=config.scale, fps=config.recorded_fps, name_pattern=config.name_pattern, **options
    )


def _at_rate(clip: MotionClip, fps: float | None) -> MotionClip:
    if fps is None or abs(clip.fps - fps) <= 1e-6 * fps:
        return clip
    if clip.fps < fps:
        raise DataError(
            f"clip {clip.name!r} has {clip.fps:g} frames/s, data.fps asks for {fps:g}: set data.fps to {clip.fps:g} or lower, "
            "or null to keep each clip's own rate (data.recorded_fps corrects a rate that the file gives wrongly)"
        )
    if "keypoints" in clip.tags:  # the readers of published data sets say whose keypoints they are
        warnings.warn(
            f"clips of a published data set are resampled from {clip.fps:g} to {fps:g} frames/s, so figures do not compare with "
            "papers; --data.fps null (data prepare: --fps null) keeps their rate",
            ResampledBenchmarkWarning,
            stacklevel=3,
        )
    return clip.resample(fps)
