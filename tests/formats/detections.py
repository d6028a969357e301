"""Files of 2D detections as the tools write them, of people that the tests make up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT = 640, 480
FPS = 25.0


def walk(frames: int, joints: int, *, x: float = 100.0, size: float = 120.0, step: float = 4.0, seed: int = 0) -> Any:
    """`[frames, joints, 3]` a person in pixels that goes to the right, every keypoint seen; numbers of two decimals."""
    random = np.random.default_rng(seed)
    shape = random.uniform(0, size, size=(joints, 2))
    place = np.array([x, 80.0]) + np.arange(frames)[:, None] * (step, 0.0)
    points = shape + place[:, None] + random.normal(0, 0.5, size=(frames, joints, 2))
    sure = random.uniform(0.5, 1.0, size=(frames, joints, 1))
    return np.concatenate([points, sure], axis=-1).round(2)


def flat(person: Any) -> list[float]:
    return [float(number) for number in np.asarray(person).ravel()]


def write_openpose(folder: Path, people: list[list[Any]], *, name: str = "walk", first: int = 0) -> Path:
    """`--write_json`: a file a frame, with the keys of OpenPose 1.7; people[frame] are `[J, 3]`."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame, persons in enumerate(people, first):
        content = {"version": 1.3, "people": [_openpose_person(person) for person in persons]}
        (folder / f"{name}_{frame:012d}_keypoints.json").write_text(json.dumps(content))
    return folder


def _openpose_person(person: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        key: [] for key in ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d",
                            "pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d")
    }  # fmt: skip
    return {"person_id": [-1], "pose_keypoints_2d": flat(person), **empty}


def coco(image: int | str, person: Any, **more: Any) -> dict[str, Any]:
    """An entry of COCO's keypoint results."""
    return {"image_id": image, "category_id": 1, "keypoints": flat(person), "score": 0.9, **more}


def write_coco(path: Path, entries: list[Any]) -> Path:
    path.write_text(json.dumps(entries))
    return path


def instance(person: Any, **more: Any) -> dict[str, Any]:
    """An instance of MMPose."""
    person = np.asarray(person)
    corners = [*person[:, :2].min(0).tolist(), *person[:, :2].max(0).tolist()]
    scores = person[:, 2].tolist()
    return {
        "keypoints": person[:, :2].tolist(),
        "keypoint_scores": scores,
        "bbox": [corners],
        "bbox_score": 0.9,
        **more,
    }


def write_mmpose(path: Path, people: list[list[Any]], *, dataset: str | None = "coco", first: int = 0) -> Path:
    """The file of `--save-predictions`, or of `--pred-out-dir` where `dataset` is None."""
    frames = [
        {"frame_id": frame, "instances": [instance(person) for person in persons]}
        for frame, persons in enumerate(people, first)
    ]
    meta = {"dataset_name": dataset, "num_keypoints": 17, "keypoint_id2name": {str(i): f"joint {i}" for i in range(17)}}
    path.write_text(
        json.dumps(frames if dataset is None else {"meta_info": meta, "instance_info": frames}, indent="\t")
    )
    return path
