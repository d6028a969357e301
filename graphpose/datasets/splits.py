"""Which clips train, validate and test, with a check that nothing of one is in another.

The test groups are named. Validation clips are named too, or drawn: whole training recordings in an order given by (seed, clip),
until they hold about the share asked for of the training frames. Clips of one recording, which several cameras saw, stay together:
those with the same tag `recording` in one file, or with the same positions. Validation is never drawn from the test groups.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from graphpose.datasets.store import StoredClip
from graphpose.errors import DataError, unknown_name
from graphpose.motion import MotionClip

__all__ = ["Split", "check_leaks", "fingerprint", "group_of", "split_clips"]

log = logging.getLogger(__name__)
_BY = ("subject", "action", "file", "tag")


@dataclass(frozen=True)
class Split:
    """Clips of each part; a part may be empty."""

    train: list[MotionClip] = field(default_factory=list)
    val: list[MotionClip] = field(default_factory=list)
    test: list[MotionClip] = field(default_factory=list)

    def parts(self) -> dict[str, list[MotionClip]]:
        """Name -> clips, in the order train, val, test."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def describe(self) -> str:
        """One line: clips and frames of each part."""
        return "; ".join(
            f"{name}: {len(clips)} clips, {sum(len(c) for c in clips):,} frames" for name, clips in self.parts().items()
        )


def group_of(clips: Sequence[MotionClip], by: str) -> list[str | None]:
    """The group of each clip: its subject, action, file name without suffix (clip name in archives), or tag `split`."""
    if by not in _BY:
        raise DataError(unknown_name("kind of split", by, _BY))
    if by != "file":
        return [clip.tags.get("split") if by == "tag" else getattr(clip, by) for clip in clips]
    clips_of_file = Counter(clip.source for clip in clips)
    return [Path(c.source).stem if c.source and clips_of_file[c.source] == 1 else c.name or None for c in clips]


def split_clips(
    clips: Sequence[MotionClip],
    by: str = "subject",
    test: Sequence[str] = (),
    val: float | Sequence[str] = 0.1,
    seed: int = 0,
) -> Split:
    """Parts of `clips`; see the module.

    Args:
        clips: of any skeleton.
        by: "subject", "action", "file" or "tag" (the clip's tag `split`; `test` is then ("test",) unless given, and clips
            tagged "val" validate where there are any).
        test: groups to test on.
        val: groups to validate on, or a share of the training frames in [0, 1).
        seed: of the draw.

    Raises:
        DataError: an unknown group, clips that carry no group, nothing left to train on, or a leak (`check_leaks`).
    """
    if not clips:
        raise DataError("expected clips to split (got none)")
    groups = group_of(clips, by)
    known = sorted({group for group in groups if group is not None})
    test_groups = list(test) or (["test"] if by == "tag" and "test" in known else [])
    val_groups = [] if isinstance(val, (int, float)) else list(val)
    if by == "tag" and isinstance(val, (int, float)) and "val" in known and "val" not in test_groups:
        val_groups = ["val"]
    _check_groups(clips, groups, by, known, test_groups, val_groups)
    held = {"test": set(test_groups), "val": set(val_groups)}
    parts: dict[str, list[MotionClip]] = {"train": [], "val": [], "test": []}
    for clip, group in zip(clips, groups, strict=True):
        parts[next((part for part, names in held.items() if group in names), "train")].append(clip)
    if not parts["train"]:
        raise DataError(
            f"no clip is left to train on: by {by}, test {test_groups}, val {val_groups} take all {len(clips)}"
        )
    if isinstance(val, (int, float)) and not val_groups and val > 0:
        parts["train"], parts["val"] = _draw(parts["train"], float(val), seed)
    split = Split(**parts)
    check_leaks(split)
    log.info("split by %s: %s", by, split.describe())
    return split


def _check_groups(
    clips: Sequence[MotionClip],
    groups: Sequence[str | None],
    by: str,
    known: Sequence[str],
    test: Sequence[str],
    val: Sequence[str],
) -> None:
    for name in [*test, *val]:
        if name not in known:
            if not known:
                raise DataError(
                    f"no clip has a {by} to split by ({name!r} was asked for); set it with data.name_pattern"
                )
            raise DataError(
                f"{unknown_name(f'{by} in the split', name, known)} (set data.split.by, .test and .val for your clips)"
            )
    both = sorted(set(test) & set(val))
    if both:
        raise DataError(f"{by} {', '.join(both)}: in test and in val; expected each group in one of them")
    if (test or val) and None in groups:
        nameless = clips[groups.index(None)]
        raise DataError(
            f"clip {nameless.name!r} has no {by}, so it cannot be kept out of training; name it with name_pattern, or split by file"
        )


def _draw(clips: list[MotionClip], share: float, seed: int) -> tuple[list[MotionClip], list[MotionClip]]:
    """(train, val): whole recordings for about `share` of the frames; the tail of the recording where there is only one."""
    if not 0 < share < 1:
        raise DataError(f"val: expected a share in [0, 1) or a list of groups (got {share})")
    keys = [_recording(clip) for clip in clips]
    recordings: dict[object, list[MotionClip]] = {}
    for key, clip in zip(keys, clips, strict=True):
        recordings.setdefault(key, []).append(clip)
    if len(recordings) == 1:
        return _cut(clips, share)
    size = {key: sum(len(clip) for clip in own) for key, own in recordings.items()}
    first = {key: _draw_key(own[0], seed) for key, own in recordings.items()}
    wanted = share * sum(size.values())
    drawn: set[object] = set()
    held = 0
    for key in sorted(recordings, key=lambda key: first[key]):
        # a recording is taken where that brings the share nearer, and always the first that fits at all
        if len(drawn) + 1 < len(recordings) and abs(held + size[key] - wanted) < abs(held - wanted):
            drawn.add(key)
            held += size[key]
    if not drawn:  # every one is longer than twice the share: the shortest is nearest to it
        drawn.add(min(recordings, key=lambda key: (size[key], first[key])))
    parts: tuple[list[MotionClip], list[MotionClip]] = ([], [])
    for key, clip in zip(keys, clips, strict=True):
        parts[key in drawn].append(clip)
    return parts


def _cut(clips: list[MotionClip], share: float) -> tuple[list[MotionClip], list[MotionClip]]:
    """(train, val) of the only recording: its head, and its tail of about `share` of the frames."""
    train: list[MotionClip] = []
    val: list[MotionClip] = []
    for clip in clips:
        cut = len(clip) - max(1, round(share * len(clip)))
        if cut < 1:
            raise DataError(
                f"clip {clip.name!r} has {len(clip)} frame: too short to train and validate on; set val to 0"
            )
        kind = "clip" if len(clips) == 1 else "recording"
        log.warning(
            "only one training %s: validation is its tail, frames %d to %d of %r", kind, cut, len(clip) - 1, clip.name
        )
        for part, piece, mark in ((train, clip[:cut], f"[:{cut}]"), (val, clip[cut:], f"[{cut}:]")):
            tags = {key: value + mark if key == "recording" else value for key, value in clip.tags.items()}
            part.append(piece.replace(name=f"{clip.name}{mark}", tags=tags))
    return train, val


def _recording(clip: MotionClip) -> object:
    """What clips of one recording share, and no others."""
    named = clip.tags.get("recording")
    return fingerprint(clip) if named is None else (clip.source, named)


def _draw_key(clip: MotionClip, seed: int) -> bytes:
    # by name, not by position: adding a clip, or another folder order, does not reshuffle the rest
    return hashlib.sha256(f"{seed}/{Path(clip.source).name}/{clip.name}".encode()).digest()


def check_leaks(split: Split) -> None:
    """Raises DataError when a recording is in two parts: the same clip of the same file, the same motion under two names, or two
    cameras' clips of it.

    The head and the tail of one clip have different names and frames and are no leak; a file that holds one clip is one clip.
    """
    rules: tuple[tuple[str, Callable[[MotionClip], object]], ...] = (
        ("the same clip", lambda clip: (clip.source, clip.name) if clip.source or clip.name else id(clip)),
        ("the same motion", fingerprint),
        ("the same recording", _recording),
    )
    for what, key in rules:
        seen: dict[object, tuple[str, MotionClip]] = {}
        for part, clips in split.parts().items():
            for clip in clips:
                other = seen.setdefault(key(clip), (part, clip))
                if other[0] != part:
                    raise DataError(
                        f"leak: {what} is in {other[0]} ({_label(other[1])}) and in {part} ({_label(clip)}); "
                        "remove one of them, or put both in one group"
                    )


def fingerprint(clip: MotionClip) -> str:
    """A hash of the positions of a clip, or of its keypoints where there are none; stored clips know theirs."""
    if isinstance(clip, StoredClip):
        return clip.fingerprint
    values = clip.positions if clip.positions is not None else clip.keypoints
    assert values is not None
    content = torch.as_tensor(values).detach().cpu().contiguous().numpy().tobytes()
    return hashlib.sha256(str(tuple(values.shape)).encode() + content).hexdigest()


def _label(clip: MotionClip) -> str:
    return " of ".join(part for part in (clip.name, clip.source) if part) or "unnamed clip"
