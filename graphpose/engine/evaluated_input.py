"""What an evaluated clip is seen as: its 2D input, with noise where that is asked for, and labels that go with the figures.

    x' = x + sigma n,  n ~ N(0, 1) for each visible keypoint, drawn from SHA-256(seed, content of the clip, view)

Symbols: `x` keypoints `[F, J, 2]` in normalised screen units, `sigma` `keypoint_noise`. Missing keypoints stay 0.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from graphpose.datasets import ClipView
from graphpose.errors import DataError
from graphpose.motion import MotionClip

__all__ = [
    "annotation_of",
    "detections_of",
    "detections_text",
    "filled_frames",
    "known_frames",
    "noisy",
    "recording_of",
]

_FILE, _NAMED = "file ", 3


def noisy(view: ClipView, sigma: float, seed: int, digest: str, number: int) -> Tensor:
    """`view.x [F, J, 3]` with noise on the first two features; the same for a clip (by its `digest`) and view, always."""
    if sigma == 0:
        return view.x
    key = hashlib.sha256(f"{seed}/{digest}/{number}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key[:8], "little") >> 1)
    noise = sigma * torch.randn(*view.x.shape[:2], 2, generator=generator)
    x = view.x.clone()
    x[..., :2] += torch.where(view.visible[..., None], noise, 0.0)
    return x


def detections_of(clip: MotionClip, kind: str) -> str:
    """Where the 2D input of a clip is from, for views of that kind: "projected", or the file of the keypoints.

    A file that graphpose wrote names the recording that it is of as `source`; the keypoints are those of the file itself,
    which its reader notes in the tag `keypoints_file`.
    """
    if clip.keypoints is None or (kind != "clip" and clip.positions is not None):
        return "projected"
    named = clip.tags.get("keypoints")  # the readers of published files say whose they are
    file = clip.tags.get("keypoints_file") or clip.source
    return named or (_FILE + "/".join(Path(file).parts[-2:]) if file else "keypoints of the clips")


def detections_text(detections: Sequence[str]) -> str:
    """What `detections_of` said of several clips, in few words: more than 3 files as their number and folder."""
    files = [one.removeprefix(_FILE) for one in detections if one.startswith(_FILE)]
    if len(files) <= _NAMED:
        return " and ".join(detections)
    folders = sorted({Path(file).parent.name for file in files})
    where = " and ".join(folder or "the working folder" for folder in folders)
    shown = f"{len(files)} files of {where if len(folders) <= _NAMED else f'{len(folders)} folders'}"
    return " and ".join([*(one for one in detections if not one.startswith(_FILE)), shown])


def annotation_of(clips: Sequence[MotionClip]) -> str | None:
    """The tag `annotation` that all clips share (MPI-INF-3DHP: annot3 or univ_annot3), None where none has it.

    Raises:
        DataError: clips of different annotations; their bodies have different sizes, so one average means nothing.
    """
    found = Counter(clip.tags.get("annotation") for clip in clips)
    if len(found) > 1:
        counts = ", ".join(f"{name or 'none'}: {count} clips" for name, count in sorted(found.items(), key=str))
        raise DataError(
            f"expected clips of one annotation (got {counts}): annot3 and univ_annot3 are two benchmarks; evaluate them "
            "in two calls, with paths of one kind each"
        )
    return next(iter(found), None)


def recording_of(clip: MotionClip, digest: str) -> str:
    """What the views of one recording share: its tag `recording` where each camera is a clip of its own, else the clip."""
    return clip.tags.get("recording") or digest[:16]


def known_frames(clip: MotionClip) -> Tensor | None:
    """`[L]` bool: frames that have a position, or None where all have; a frame without any is marked invalid by its file."""
    if clip.positions is None:
        return None
    known = ~clip.positions.isnan().all(-1).all(-1)
    return None if bool(known.all()) else known


def filled_frames(clip: MotionClip, known: Tensor) -> MotionClip:
    """The clip with the positions of the nearest known frame where a frame has none, to be looked at but not measured.

    Raises:
        DataError: a clip without any position.
    """
    assert clip.positions is not None
    places = known.nonzero()[:, 0]
    if not len(places):
        raise DataError(f"clip {clip.name!r}: expected positions to compare with (got none in any frame)")
    nearest = (torch.arange(len(known))[:, None] - places).abs().argmin(-1)
    return clip.replace(positions=clip.positions[places[nearest]])
