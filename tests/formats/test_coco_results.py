"""COCO's keypoint results: frames by image_id, clips by what stands before the number, skeletons by the number of keypoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from formats.detections import FPS, HEIGHT, WIDTH, coco, walk, write_coco

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats.registry import find_format
from graphpose.geometry import denormalize_screen
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

GIVEN = {"fps": FPS, "image_size": (WIDTH, HEIGHT)}


def pixels(clip: MotionClip) -> np.ndarray:
    return denormalize_screen(clip.keypoints, WIDTH, HEIGHT).numpy()


def test_whole_numbers_are_frames(tmp_path: Path) -> None:
    person = walk(6, 17)
    entries = [coco(40 + i, p, bbox=[1.0, 2.0, 3.0, 4.0]) for i, p in enumerate(person) if i != 2]
    path = write_coco(tmp_path / "coco_instances_results.json", [*reversed(entries)])
    assert find_format(path).name == "coco_results"
    clip = formats.read(path, **GIVEN)
    assert (clip.skeleton.name, clip.fps, clip.name, clip.subject) == ("coco17", FPS, path.stem, tmp_path.name)
    assert clip.missing.all(-1).tolist() == [i == 2 for i in range(6)]
    rest = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(pixels(clip)[rest], person[rest, :, :2], atol=1e-3)
    np.testing.assert_allclose(clip.confidence[rest].numpy(), person[rest, :, 2], atol=1e-6)
    assert not clip.confidence[2].any()


def test_alphapose_names_pictures_and_goes_beyond_one(tmp_path: Path) -> None:
    person = walk(11, 26)
    person[3, 5, 2] = 1.7
    person[3, 6] = (100.0, 100.0, -0.01)  # heat maps go below 0 too
    entries = [coco(f"{i}.jpg", p, box=[0, 0, 9, 9], idx=[0.0], score=2.9) for i, p in enumerate(person)]
    clip = formats.read(write_coco(tmp_path / "alphapose-results.json", entries), **GIVEN)
    assert clip.skeleton == Skeleton.load("halpe26") and len(clip) == 11
    assert float(clip.confidence[3, 5]) == 1 and float(clip.confidence[3, 6]) == 0
    assert clip.missing.nonzero().tolist() == [[3, 6]]
    np.testing.assert_allclose(pixels(clip)[10], person[10, :, :2], atol=1e-3)  # "10" comes after "9"


def test_names_tell_clips_apart(tmp_path: Path) -> None:
    person = walk(3, 17)
    names = ["cam1/000001.jpg", "cam1/000002.jpg", "cam2\\000001.jpg", "trial_b-7.png", "trial_b-8.png", "portrait.png"]
    path = write_coco(tmp_path / "all.json", [coco(name, person[i % 3]) for i, name in enumerate(names)])
    clips = formats.read_all(path, **GIVEN)
    assert [(c.name, len(c)) for c in clips] == [("cam1", 2), ("cam2", 1), ("trial_b", 2), ("portrait", 1)]


@pytest.mark.parametrize(("count", "name", "kept"), [(133, "coco17", 17), (136, "halpe26", 26)])
def test_whole_body_gives_the_body(tmp_path: Path, count: int, name: str, kept: int) -> None:
    person = walk(3, count)
    person[1, :kept] = 0.0  # nothing but a face in this frame
    clip = formats.read(write_coco(tmp_path / "a.json", [coco(i, p) for i, p in enumerate(person)]), **GIVEN)
    assert clip.skeleton.name == name and clip.missing.all(-1).tolist() == [False, True, False]
    np.testing.assert_allclose(pixels(clip)[2], person[2, :kept, :2], atol=1e-3)


def test_other_joints_have_to_be_named(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.json", [coco(i, p) for i, p in enumerate(walk(3, 21))])
    with pytest.raises(FormatError, match=r"expected 17 \(coco17\), 26 \(halpe26\).* \(got 21\).*keypoint_skeleton="):
        formats.read(path, **GIVEN)
    assert formats.read(path, keypoint_skeleton="hand21", **GIVEN).skeleton.name == "hand21"
    animal = write_coco(tmp_path / "b.json", [coco(i, p, category_id=7) for i, p in enumerate(walk(3, 17))])
    assert formats.read(animal, skeleton="animal17", **GIVEN).skeleton.name == "animal17"
    assert formats.read(animal, skeleton="coco17", keypoint_skeleton="animal17", **GIVEN).skeleton.name == "animal17"


def test_faults_name_the_entry_and_the_remedy(tmp_path: Path) -> None:
    good = [coco(i, p) for i, p in enumerate(walk(4, 17))]

    def fault(entry: object, words: str) -> None:
        path = write_coco(tmp_path / "a.json", [*good[:2], entry, good[3]])
        with pytest.raises(FormatError, match=words) as caught:
            formats.read(path, **GIVEN)
        assert caught.value.path == path

    fault(
        {**good[2], "keypoints": good[2]["keypoints"][:-2]},
        r"entry 2 \(image_id 2\): expected keypoints as numbers.*49",
    )
    fault({**good[2], "keypoints": [*good[2]["keypoints"][:-1], None]}, r"entry 2 .*not all of them numbers")
    fault({**good[2], "keypoints": [[1, 2, 3]]}, r"entry 2 .*\(got 1 values\)")
    fault(
        {**good[2], "keypoints": [*good[2]["keypoints"], 1, 2, 3]},
        r"entry 2 .*expected 17 keypoints as in entry 0.*got 18",
    )
    fault(
        {**good[2], "keypoints": [float("inf"), *good[2]["keypoints"][1:]]}, r"finite numbers \(got inf as keypoint 0\)"
    )
    fault({**good[2], "score": "high"}, r"entry 2 .*expected a number as score \(got 'high'\)")
    fault({**good[2], "image_id": 1.5}, r"entry 2: expected image_id as the number of the frame.*got 1.5")
    fault({"image_id": 2, "bbox": [1, 2, 3, 4]}, r"entry 2: expected image_id and keypoints \(got image_id, bbox\)")
    fault("x", r"entry 2: expected image_id and keypoints \(got 'x'\)")
    cut = tmp_path / "cut.json"
    cut.write_text(json.dumps(good)[:-20])
    with pytest.raises(FormatError, match=r"cut\.json:1: expected JSON"):
        formats.read(cut, **GIVEN)
    far = write_coco(tmp_path / "far.json", [good[0], {**good[1], "image_id": 552842}])
    with pytest.raises(FormatError, match=r"numbers of a video's frames \(got 2 numbers from 0 to 552842\)"):
        formats.read(far, **GIVEN)
    for options in ({"fps": FPS}, {"image_size": "640x480"}):
        with pytest.raises(FormatError, match=r"expected what files of 2D detections do not tell"):
            formats.read(write_coco(tmp_path / "a.json", good), **options)


def test_other_json_is_no_motion(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text('{"keypoints": 1, "image_id": 2}')
    (tmp_path / "boxes.json").write_text('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]')
    (tmp_path / "empty.json").write_text("[]")
    for name in ("evaluation", "boxes", "empty"):
        with pytest.raises(
            FormatError, match=r"of files with this suffix only these are read: .*coco_results.*openpose"
        ):
            formats.read(tmp_path / f"{name}.json", **GIVEN)
    write_coco(tmp_path / "good.json", [coco(1, walk(1, 17)[0])])
    assert [path.name for path in formats.expand(tmp_path)] == ["good.json"]
