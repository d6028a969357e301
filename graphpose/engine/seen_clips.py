"""Which clips of an evaluation the model saw in its training, known by their content, not by their path."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphpose.config import SplitConfig
from graphpose.datasets import content_of
from graphpose.datasets.splits import group_of
from graphpose.motion import MotionClip

__all__ = ["SeenClips", "SeenClipsWarning", "seen_clips", "warn_of_seen"]


class SeenClipsWarning(UserWarning):
    """Clips that are evaluated were trained or validated on; the message says how many."""


@dataclass(frozen=True)
class SeenClips:
    """How many clips were trained on, and how many of the others validated on."""

    clips: int
    trained_on: int
    validated_on: int


def seen_clips(clips: Sequence[MotionClip], data_statement: str) -> SeenClips | None:
    """Counts the clips that a checkpoint's `data_statement` names; None where it does not say what was trained on.

    A cut or resampled clip counts with the recording that it is of.
    """
    parts = _contents(data_statement)
    if parts is None:
        return None
    contents = [content_of(clip) for clip in clips]
    trained = [content in parts["train"] for content in contents]
    validated = [content in parts["val"] for content in contents]
    only_validated = sum(val and not train for train, val in zip(trained, validated, strict=True))
    return SeenClips(len(clips), sum(trained), only_validated)


def warn_of_seen(seen: SeenClips | None, clips: Sequence[MotionClip], split: SplitConfig) -> None:
    """Warns when a clip was seen in the training; `split`, that of the training, tells what to do instead."""
    if seen is None or not seen.trained_on + seen.validated_on:
        return
    counts = [f"{seen.trained_on} of {seen.clips} clips were trained on"] if seen.trained_on else []
    if seen.validated_on:
        counts.append(f"{seen.validated_on} of {seen.clips} clips chose the weights (validation)")
    warnings.warn(
        f"{' and '.join(counts)}, so these errors are smaller than on new motion; {_way_out(clips, split)}",
        SeenClipsWarning,
        stacklevel=3,
    )


def _contents(data_statement: str) -> dict[str, set[str]] | None:
    try:
        statement: Any = json.loads(data_statement)
        return {part: {str(content) for content in statement[part]["content"]} for part in ("train", "val")}
    except (ValueError, TypeError, KeyError, RecursionError):  # in words, or of a run that did not note it
        return None


def _way_out(clips: Sequence[MotionClip], split: SplitConfig) -> str:
    groups = set(group_of(clips, split.by))
    test = split.test or (["test"] if split.by == "tag" else [])
    named = [*test, *(split.val if isinstance(split.val, list) else [])]
    if test and groups >= set(named):
        return f"--part test evaluates only the clips held out ({split.by} {', '.join(test)})"
    return "give --data with clips that were not in the training"
