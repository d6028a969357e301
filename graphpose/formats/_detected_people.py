"""What the readers of 2D detections share: keypoints as written, numbers of frames, the skeleton, the clip of one person.

    frame t of the clip = number of the file's frame - smallest number        frames without the person: NaN, confidence 0
    keypoint            = NaN where confidence <= 0                           detectors write (0, 0, 0) for what they do not see
    confidence          = that of the file, above 1 as 1                      heat maps and AlphaPose go beyond 1
    x' = 2 x / width - 1,  y' = (2 y - height) / width                        pixels to normalised screen units

The clip is in normalised screen units and has no camera: these files tell neither the size of the picture nor the focal
length, so the size is asked for (`image_size`) and the focal length is left to who uses the clip.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphpose.errors import FormatError
from graphpose.formats._followed_person import Person, follow
from graphpose.formats.plausibility import FPS_OPTIONS
from graphpose.geometry import normalize_screen
from graphpose.motion.clip import MotionClip
from graphpose.skeleton import Skeleton

__all__ = [
    "OPTIONS",
    "SKELETON_HINT",
    "clip_of_people",
    "frame_of",
    "number_of",
    "pairs",
    "same_count",
    "skeleton_of",
    "triples",
]

log = logging.getLogger(__name__)

OPTIONS = ("image_size", "keypoint_skeleton")
"""Reading options that these formats have."""

_SIZE = re.compile(r"\s*(\d+)\s*[x,]\s*(\d+)\s*", re.IGNORECASE)
_SIZE_OPTIONS = (
    "predict, data info, data check, data convert: --image_size 1920x1080; adapt: --target.reader_options '{image_size: 1920x1080}'; "
    "train, evaluate: --data.reader_options"
)
SKELETON_HINT = "name theirs with keypoint_skeleton=, a skeleton file or a name of `graphpose skeleton list`"
_EMPTY = 100  # frames a detection: more cannot be frames of one video
_OUTSIDE = 0.25  # of the picture; detectors place hidden joints a little outside


def triples(path: Path, where: str, values: Any) -> np.ndarray:
    """`[x, y, c, x, y, c, ...]` as `[J, 3]`; raises `FormatError` for anything else than finite numbers, three a joint."""
    array = _numbers(values)
    if array is None or array.ndim != 1 or not len(array) or len(array) % 3:
        got = f"{len(values)} values" if isinstance(values, list) else f"{values!r:.40}"
        got = f"{got}, not all of them numbers" if isinstance(values, list) and array is None else got
        raise FormatError(path, f"{where}: expected keypoints as numbers x, y, confidence for each joint (got {got})")
    _check_finite(path, where, array)
    return array.reshape(-1, 3)


def pairs(path: Path, where: str, points: Any, scores: Any) -> np.ndarray:
    """`[[x, y], ...]` and `[c, ...]` as `[J, 3]`; raises `FormatError` as `triples` does."""
    place, sure = _numbers(points), _numbers(scores)
    if place is None or place.ndim != 2 or place.shape[1] != 2 or not len(place):
        got = "not all of them numbers" if place is None else list(place.shape)
        raise FormatError(path, f"{where}: expected keypoints as [x, y] of each joint (got {got})")
    if sure is None or sure.shape != place.shape[:1]:
        got = "none, or not all of them numbers" if sure is None else list(sure.shape)
        raise FormatError(path, f"{where}: expected {len(place)} keypoint_scores, one for each joint (got {got})")
    array = np.concatenate([place, sure[:, None]], axis=1)
    _check_finite(path, where, array)
    return array


def _numbers(values: Any) -> np.ndarray | None:
    """A nested list of numbers as float64; None where something in it is none, or the lists differ in length."""
    try:
        array = np.asarray(values)
    except ValueError:
        return None
    return array.astype(np.float64) if array.dtype.kind in "iuf" else None


def _check_finite(path: Path, where: str, array: np.ndarray) -> None:
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise FormatError(
            path,
            f"{where}: expected finite numbers (got {array.ravel()[place]} as keypoint {place // 3}); a keypoint that was not "
            "seen is 0, 0, 0",
        )


def frame_of(name: str) -> tuple[str, int | None]:
    """What stands before the digits at the end of a name, and the number that they are; None without digits."""
    digits = re.search(r"[0-9]*\Z", name)
    assert digits is not None
    return name[: digits.start()], int(digits.group()) if digits.group() else None


def number_of(path: Path, where: str, value: Any, what: str) -> float:
    """A finite number; raises `FormatError` that says where it stands and `what` it is."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise FormatError(path, f"{where}: expected a number as {what} (got {value!r:.40})")


def same_count(path: Path, people: Mapping[str, Person], frames: int) -> int:
    """How many keypoints all people have, named by where they stand; raises `FormatError` where they differ or are none."""
    if not people:
        raise FormatError(path, f"no person in any of {frames} frames; run the detector again with a lower threshold")
    (first, person), *others = people.items()
    for where, other in others:
        if len(other.keypoints) != len(person.keypoints):
            raise FormatError(
                path,
                f"{where}: expected {len(person.keypoints)} keypoints as in {first} (got {len(other.keypoints)}); results of two "
                "models are two files",
            )
    return len(person.keypoints)


def skeleton_of(path: Path, count: int, known: Mapping[int, str], skeleton: Any, keypoint_skeleton: Any) -> Skeleton:
    """The skeleton whose joints the (first) keypoints are: the one that was named, else the known one of that number.

    Raises `FormatError` where the number fits none.
    """
    named = skeleton if keypoint_skeleton is None else keypoint_skeleton
    if named is not None:
        body = named if isinstance(named, Skeleton) else Skeleton.load(named)
        if len(body) != count:
            raise FormatError(
                path, f"expected the {len(body)} joints of skeleton {body.name!r} (got {count} keypoints a person)"
            )
        return body
    if count not in known:
        numbers = ", ".join(f"{number} ({name})" for number, name in known.items())
        raise FormatError(path, f"expected {numbers} keypoints a person (got {count}); of other joints {SKELETON_HINT}")
    return Skeleton.load(known[count])


def clip_of_people(
    path: Path,
    frames: Mapping[int, Sequence[Person]],
    body: Skeleton,
    *,
    fps: float | None,
    image_size: Any,
    **labels: Any,
) -> MotionClip:
    """The clip of the person who is followed through the frames (see `_followed_person`).

    Args:
        path: for messages.
        frames: number of the frame -> people, with as many keypoints as the skeleton has joints or more; those beyond are
            left out.
        body, fps: of the clip.
        image_size: (width, height) in pixels, or "1920x1080".
        labels: fields of the clip.

    Raises:
        FormatError: no rate or picture size, nobody in any frame, numbers that are not those of a video's frames,
            keypoints that are not pixels of such a picture.
    """
    width, height = _size(path, fps, image_size)
    joints = len(body)
    of_body = {frame: [Person(p.keypoints[:joints], p.score) for p in people] for frame, people in frames.items()}
    chosen = follow(of_body)
    if not chosen:
        raise FormatError(
            path,
            f"no person in any of {len(frames)} frames: all confidences are 0; run the detector again with a lower threshold",
        )
    first, last = min(frames), max(frames)
    if last - first >= max(1000, _EMPTY * len(frames)):
        raise FormatError(
            path,
            f"expected the numbers of a video's frames (got {len(frames)} numbers from {first} to {last}); pictures that are no "
            "video have no place in a clip",
        )
    values = np.full((last - first + 1, joints, 3), np.nan)
    values[..., 2] = 0.0
    for frame, number in chosen.items():
        values[frame - first] = of_body[frame][number].keypoints
    hidden = ~(values[..., 2] > 0)
    values[hidden] = (np.nan, np.nan, 0.0)
    _check_pixels(path, values[~hidden][:, :2], width, height)
    most, missing = max(map(len, frames.values())), len(values) - len(chosen)
    log.info(
        "%s: %d frames, %d of them without the person; up to %d people in a frame", path, len(values), missing, most
    )
    assert fps is not None
    return MotionClip(
        body,
        fps,
        keypoints=torch.from_numpy(normalize_screen(values[..., :2], width, height)),
        confidence=torch.from_numpy(values[..., 2].clip(0.0, 1.0)),
        **labels,
    )


def _size(path: Path, fps: float | None, image_size: Any) -> tuple[int, int]:
    """Width and height; raises `FormatError` that asks for all that is not known, at once."""
    asked = []
    if fps is None:
        asked.append(f"the frame rate of the video: give fps= ({FPS_OPTIONS})")
    if image_size is None:
        asked.append(f"the size of the picture in pixels: give image_size= ({_SIZE_OPTIONS})")
    if asked:
        raise FormatError(path, f"expected what files of 2D detections do not tell, {'; and '.join(asked)}")
    if isinstance(image_size, str):
        match = _SIZE.fullmatch(image_size)
        sides: Any = match.groups() if match else ()
    else:
        sides = image_size if isinstance(image_size, (list, tuple)) else ()
    try:
        width, height = (int(side) for side in sides)
        whole = [str(side) for side in sides] == [str(width), str(height)] or isinstance(image_size, str)
    except (TypeError, ValueError):
        width = height = 0
        whole = False
    if not (whole and width > 0 and height > 0):
        raise FormatError(
            path,
            f"expected image_size as width and height in whole pixels, '1920x1080' or [1920, 1080] (got {image_size!r})",
        )
    return width, height


def _check_pixels(path: Path, points: np.ndarray, width: int, height: int) -> None:
    """Raises `FormatError` for visible keypoints `[N, 2]` that cannot be pixels of a picture of that size."""
    largest = float(np.abs(points).max())
    if largest <= 1.5:
        raise FormatError(
            path,
            f"expected keypoints in pixels (got none beyond {largest:.3g}); write them without normalising them "
            "(OpenPose: --keypoint_scale 0)",
        )
    share = points / (width, height)
    outside = ((share < -_OUTSIDE) | (share > 1 + _OUTSIDE)).any(-1)
    if outside.mean() > 0.01:
        farthest = points[outside][np.abs(share[outside] - 0.5).max(-1).argmax()]
        raise FormatError(
            path,
            f"expected keypoints within a picture of {width} x {height} pixels (got {100 * outside.mean():.0f} % of them far "
            f"outside, up to x {farthest[0]:.0f}, y {farthest[1]:.0f}); give image_size as of the video that the detector saw",
        )
