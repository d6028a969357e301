"""Predictions of MMPose on a video (`.json`), as its demos and its inferencer save them.

    {"meta_info": {"dataset_name": "coco", ...}, "instance_info": [FRAME, ...]}         --save-predictions
    [FRAME, ...]                                                                        --pred-out-dir
    FRAME = {"frame_id": 0, "instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [c, ...], "bbox_score": 0.9}, ...]}

Numbers of keypoints and skeletons are those of `coco_results`; where the file names a data set, it has to be one of these. Which
of several people the clip is: see `_followed_person`. Layout: MMPose 1.x documentation, "Inference with existing models".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphpose.errors import FormatError
from graphpose.formats._detected_people import (
    OPTIONS,
    SKELETON_HINT,
    clip_of_people,
    number_of,
    pairs,
    same_count,
    skeleton_of,
)
from graphpose.formats._followed_person import Person
from graphpose.formats._json_text import head_of, load_json
from graphpose.formats.coco_results import BODIES
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip

__all__ = ["FORMAT", "read_mmpose", "recognizes"]

_DATASETS = ("coco", "coco_wholebody", "halpe", "halpe26")


def read_mmpose(
    path: Path,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    image_size: Any = None,
    keypoint_skeleton: Any = None,
) -> list[MotionClip]:
    """The clip of a file of predictions, in normalised screen units; the arguments are those of `read_coco_results`.

    Raises `FormatError` that names the frame and person at fault.
    """
    content = load_json(path, "predictions")
    entries = content.get("instance_info") if isinstance(content, Mapping) else content
    if not isinstance(entries, list) or not entries:
        raise FormatError(path, "expected a list of frames, each with frame_id and instances (got none)")
    frames: dict[int, list[Person]] = {}
    people: dict[str, Person] = {}
    for number, entry in enumerate(entries):
        frame, instances = _frame(path, number, entry)
        if frame in frames:
            raise FormatError(path, f"entry {number}: expected each frame once (got frame_id {frame} again)")
        frames[frame] = [_person(path, f"frame {frame}, person {i}", item) for i, item in enumerate(instances)]
        people |= {f"frame {frame}, person {i}": person for i, person in enumerate(frames[frame])}
    count = same_count(path, people, len(frames))
    if skeleton is None and keypoint_skeleton is None and isinstance(content, Mapping):
        _check_dataset(path, content.get("meta_info"))
    clip = clip_of_people(
        path,
        frames,
        skeleton_of(path, count, BODIES, skeleton, keypoint_skeleton),
        fps=fps,
        image_size=image_size,
        name=path.stem,
        subject=path.resolve().parent.name,
        action=path.stem,
        source=str(path),
    )
    return [clip]


def _check_dataset(path: Path, meta: Any) -> None:
    """Raises for joints of another data set: 17 of an animal are not 17 of a person."""
    name = meta.get("dataset_name") if isinstance(meta, Mapping) else None
    if isinstance(name, str) and name.lower() not in _DATASETS:
        raise FormatError(
            path,
            f"expected keypoints of {', '.join(_DATASETS)} (got dataset_name {name!r}); of other joints {SKELETON_HINT}",
        )


def _frame(path: Path, number: int, entry: Any) -> tuple[int, list[Any]]:
    frame = entry.get("frame_id") if isinstance(entry, Mapping) else None
    instances = entry.get("instances") if isinstance(entry, Mapping) else None
    if not isinstance(frame, int) or isinstance(frame, bool) or frame < 0 or not isinstance(instances, list):
        got = ", ".join(map(str, entry)) if isinstance(entry, Mapping) else f"{entry!r:.40}"
        raise FormatError(
            path,
            f"entry {number}: expected a whole number as frame_id and a list as instances (got {got}); predictions of single "
            "pictures have no frames",
        )
    return frame, instances


def _person(path: Path, where: str, item: Any) -> Person:
    if not isinstance(item, Mapping) or not {"keypoints", "keypoint_scores"} <= set(item):
        got = ", ".join(map(str, item)) if isinstance(item, Mapping) else f"{item!r:.40}"
        raise FormatError(path, f"{where}: expected keypoints and keypoint_scores (got {got})")
    score = number_of(path, where, item.get("bbox_score", 1.0), "bbox_score")
    return Person(pairs(path, where, item["keypoints"], item["keypoint_scores"]), score)


def recognizes(path: Path) -> bool:
    """Whether a JSON file has `instance_info`, or `frame_id` and `instances`, near its beginning."""
    head = head_of(path, 1 << 17)  # before the first frame stand names, colours and bones of up to 136 keypoints
    return head[:1] in (b"{", b"[") and (
        b'"instance_info"' in head or (b'"frame_id"' in head and b'"instances"' in head)
    )


FORMAT = Format(
    name="mmpose",
    suffixes=(".json",),
    read=read_mmpose,
    write=None,
    description="2D of MMPose on a video: frame_id and instances with keypoints and keypoint_scores",
    options=OPTIONS,
    holds_clip=recognizes,
    recognizes=recognizes,
    common=True,
    single=True,
)
