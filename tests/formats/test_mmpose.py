"""MMPose's predictions on a video, in both of its layouts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from formats.detections import FPS, HEIGHT, WIDTH, instance, walk, write_mmpose

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats.registry import find_format
from graphpose.geometry import denormalize_screen

GIVEN = {"fps": FPS, "image_size": (WIDTH, HEIGHT)}


@pytest.mark.parametrize(("dataset", "joints", "name"), [("coco", 17, "coco17"), (None, 26, "halpe26")])
def test_both_layouts(tmp_path: Path, dataset: str | None, joints: int, name: str) -> None:
    person = walk(5, joints)
    people = [[p] if i != 3 else [] for i, p in enumerate(person)]
    path = write_mmpose(tmp_path / "results_video.json", people, dataset=dataset, first=1)
    assert find_format(path).name == "mmpose"
    clip = formats.read(path, **GIVEN)
    assert (clip.skeleton.name, clip.fps, clip.name) == (name, FPS, "results_video")
    assert clip.missing.all(-1).tolist() == [i == 3 for i in range(5)]
    seen = [0, 1, 2, 4]
    pixels = denormalize_screen(clip.keypoints, WIDTH, HEIGHT).numpy()
    np.testing.assert_allclose(pixels[seen], person[seen, :, :2], atol=1e-3)
    np.testing.assert_allclose(clip.confidence[seen].numpy(), person[seen, :, 2], atol=1e-6)


def test_another_data_set_is_refused_unless_its_joints_are_named(tmp_path: Path) -> None:
    path = write_mmpose(tmp_path / "a.json", [[p] for p in walk(3, 17)], dataset="ap10k")
    with pytest.raises(FormatError, match=r"got dataset_name 'ap10k'.*keypoint_skeleton="):
        formats.read(path, **GIVEN)
    assert formats.read(path, keypoint_skeleton="animal17", **GIVEN).skeleton.name == "animal17"


def test_faults_name_frame_and_person(tmp_path: Path) -> None:
    person = walk(3, 17)
    good = instance(person[0])

    def fault(frame: object, words: str) -> None:
        path = tmp_path / "a.json"
        path.write_text(json.dumps([{"frame_id": 0, "instances": [good]}, frame]))
        with pytest.raises(FormatError, match=words) as caught:
            formats.read(path, **GIVEN)
        assert caught.value.path == path

    fault({"frame_id": 1, "instances": [good, {**good, "keypoints": [[1.0, 2.0, 3.0]] * 17}]},
          r"frame 1, person 1: expected keypoints as \[x, y\] of each joint \(got \[17, 3\]\)")  # fmt: skip
    fault({"frame_id": 1, "instances": [{**good, "keypoints": [[1.0, 2.0], [3.0]]}]}, "not all of them numbers")
    fault(
        {"frame_id": 1, "instances": [{**good, "keypoint_scores": [1.0] * 16}]}, r"expected 17 keypoint_scores.*\[16\]"
    )
    fault({"frame_id": 1, "instances": [{**good, "bbox_score": None}]}, "expected a number as bbox_score")
    fault({"frame_id": 1, "instances": [{"bbox": [1]}]}, r"expected keypoints and keypoint_scores \(got bbox\)")
    fault({"frame_id": 0, "instances": [good]}, r"entry 1: expected each frame once \(got frame_id 0 again\)")
    fault(
        {"keypoints": [], "keypoint_scores": []},
        r"entry 1: expected a whole number as frame_id and a list as instances",
    )
    fault(
        {"frame_id": 1, "instances": [instance(walk(1, 26)[0])]}, r"frame 1, person 0: expected 17 keypoints .*got 26"
    )
    with pytest.raises(FormatError, match="no person in any of 2 frames"):
        formats.read(write_mmpose(tmp_path / "b.json", [[], []]), **GIVEN)
    with pytest.raises(FormatError, match="expected a list of frames"):
        formats.read(write_mmpose(tmp_path / "c.json", []), **GIVEN)
