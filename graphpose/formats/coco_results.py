"""Keypoint results in the layout of COCO (`.json`): a list with an entry for each person in each picture.

    [{"image_id": 12, "category_id": 1, "keypoints": [x, y, c, ...], "score": 0.98}, ...]

So write MMPose's and ViTPose's `CocoMetric`, Detectron2's `COCOEvaluator` and AlphaPose. `image_id` is the number of the frame, or
the name of the picture, whose digits at the end are (AlphaPose: "12.jpg"); what stands before them tells clips apart, so
that a file may hold several. Names without digits are pictures of no video: each a clip of one frame. Pixels; c above 1 counts as 1.

    keypoints     17 coco17    26 halpe26    133 COCO-WholeBody, its 17 of the body    136 Halpe-FullBody, its 26 of the body

The number does not tell 17 joints of COCO from 17 others (animals, Human3.6M): `keypoint_skeleton` does. Which of several people
the clip is: see `_followed_person`. Layout: COCO, "Results format"; AlphaPose documentation, "Output format".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from graphpose.errors import FormatError
from graphpose.formats._detected_people import (
    OPTIONS,
    clip_of_people,
    frame_of,
    number_of,
    same_count,
    skeleton_of,
    triples,
)
from graphpose.formats._followed_person import Person
from graphpose.formats._json_text import head_of, load_json
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip

__all__ = ["BODIES", "FORMAT", "read_coco_results", "recognizes"]

BODIES = {17: "coco17", 26: "halpe26", 133: "coco17", 136: "halpe26"}
"""Number of keypoints -> skeleton of the first of them."""


def read_coco_results(
    path: Path,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    image_size: Any = None,
    keypoint_skeleton: Any = None,
) -> list[MotionClip]:
    """The clips of a file of results, in normalised screen units.

    Args:
        path: the file.
        scale: of metres, which 2D has none of.
        fps: frames a second of the video.
        image_size: (width, height) of the video in pixels, or "1920x1080".
        skeleton, keypoint_skeleton: whose joints the keypoints are, where the number does not tell it.

    Raises `FormatError` that names the entry at fault.
    """
    entries = load_json(path, "keypoint results")
    if not isinstance(entries, list) or not entries:
        raise FormatError(path, "expected a list of results, with an entry for each person in each picture (got none)")
    clips: dict[str, dict[int, list[Person]]] = {}
    people: dict[str, Person] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not {"image_id", "keypoints"} <= set(entry):
            got = ", ".join(map(str, entry)) if isinstance(entry, Mapping) else f"{entry!r:.40}"
            raise FormatError(path, f"entry {number}: expected image_id and keypoints (got {got})")
        prefix, frame = _place(path, number, entry["image_id"])
        where = f"entry {number} (image_id {entry['image_id']!r})"
        person = Person(
            triples(path, where, entry["keypoints"]), number_of(path, where, entry.get("score", 1.0), "score")
        )
        people[where] = person
        clips.setdefault(prefix, {}).setdefault(frame, []).append(person)
    body = skeleton_of(path, same_count(path, people, len(entries)), BODIES, skeleton, keypoint_skeleton)
    found = []
    for prefix, frames in clips.items():
        name = path.stem if len(clips) == 1 else prefix.rstrip("_-./ ") or path.stem
        clip = clip_of_people(
            path,
            frames,
            body,
            fps=fps,
            image_size=image_size,
            name=name,
            subject=path.resolve().parent.name,
            action=name,
            source=str(path),
        )
        found.append(clip)
    return found


def _place(path: Path, number: int, image: Any) -> tuple[str, int]:
    """The clip that a picture belongs to, and its frame."""
    if isinstance(image, int) and not isinstance(image, bool) and image >= 0:
        return "", image
    if isinstance(image, str) and image:
        name = PurePosixPath(image.replace("\\", "/"))
        prefix, frame = frame_of(str(name.with_suffix("")))
        return (prefix, frame) if frame is not None else (prefix, 0)
    raise FormatError(
        path, f"entry {number}: expected image_id as the number of the frame or the name of the picture (got {image!r})"
    )


def recognizes(path: Path) -> bool:
    """Whether a file is a JSON list whose first entries have `image_id` and `keypoints`."""
    head = head_of(path, 1 << 14)  # 133 keypoints fill half of it
    return head.startswith(b"[") and b'"image_id"' in head and b'"keypoints"' in head


FORMAT = Format(
    name="coco_results",
    suffixes=(".json",),
    read=read_coco_results,
    write=None,
    description="2D of MMPose, ViTPose, Detectron2 and AlphaPose: a list of image_id, keypoints and score",
    options=OPTIONS,
    holds_clip=recognizes,
    recognizes=recognizes,
    common=True,
)
