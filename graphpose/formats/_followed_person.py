"""One person out of the people that a detector found in each frame, without tracking numbers.

    box(p)      = the smallest rectangle around the visible keypoints
    weight(p)   = mean confidence of the visible keypoints, times the score of the person where the file gives one

The person with the largest `area(box) * weight` of all frames is the one who is meant. From that frame they are followed
forwards and backwards:

    1. of the people whose box overlaps the last one (IoU of 0.1 or more), the one with the largest `IoU * weight`:
       detectors give the same person several times, with lower scores
    2. where none overlaps, the one whose centre is nearest, if it is within half the box's diagonal for each frame since
    3. otherwise nobody: the person is missing in that frame

Rule 2 reaches further the longer the person is gone, so one who comes back is found again (and, after seconds, somebody else
may be). It needs no video and no appearance; people who hide one another can be confused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Person", "follow"]

_OVERLAP = 0.1
_REACH = 0.5  # diagonals of the box that a person moves in a frame at most


class Person(NamedTuple):
    """One detection: `[J, 3]` x, y and confidence (0 or less: not visible), and the score of the whole."""

    keypoints: np.ndarray
    score: float = 1.0


class _Seen(NamedTuple):
    number: int
    box: np.ndarray
    """left, top, right, bottom"""
    weight: float


def follow(frames: Mapping[int, Sequence[Person]]) -> dict[int, int]:
    """Frame -> which of its people is the followed one; frames without them are left out, all where nobody is visible."""
    seen = {frame: _seen(people) for frame, people in sorted(frames.items())}
    everybody = [(frame, person) for frame, people in seen.items() for person in people]
    if not everybody:
        return {}
    start, first = max(everybody, key=lambda item: (_area(item[1].box) * item[1].weight, item[1].weight))
    chosen = {start: first.number}
    after = [frame for frame in seen if frame > start]
    before = [frame for frame in reversed(seen) if frame < start]
    for way in (after, before):
        last, box = start, first.box
        for frame in way:
            person = _next(box, abs(frame - last), seen[frame])
            if person is None:
                continue
            chosen[frame], last = person.number, frame
            if _area(person.box) > 0:  # a single keypoint has no size to measure the next step by
                box = person.box
    return dict(sorted(chosen.items()))


def _seen(people: Sequence[Person]) -> list[_Seen]:
    found = []
    for number, person in enumerate(people):
        visible = person.keypoints[person.keypoints[:, 2] > 0]
        if len(visible):
            box = np.concatenate([visible[:, :2].min(0), visible[:, :2].max(0)])
            found.append(_Seen(number, box, float(visible[:, 2].mean()) * max(person.score, 0.0)))
    return found


def _next(last: np.ndarray, frames: int, people: Sequence[_Seen]) -> _Seen | None:
    overlapping = [(_iou(last, person.box), person) for person in people]
    overlapping = [(iou, person) for iou, person in overlapping if iou >= _OVERLAP]
    if overlapping:
        return max(overlapping, key=lambda item: item[0] * item[1].weight)[1]
    reach = _REACH * math.dist(last[:2], last[2:]) * frames
    near = [(math.dist(_centre(last), _centre(person.box)), person) for person in people]
    near = [(distance, person) for distance, person in near if distance <= reach]
    return min(near, key=lambda item: item[0])[1] if near else None


def _area(box: np.ndarray) -> float:
    return float(np.prod(np.maximum(box[2:] - box[:2], 0.0)))


def _centre(box: np.ndarray) -> np.ndarray:
    return (box[:2] + box[2:]) / 2


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes; 0 where neither has a size."""
    common = _area(np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])]))
    union = _area(a) + _area(b) - common
    return common / union if union > 0 else 0.0
