"""OpenPose: a folder of frames is one clip, in order, with gaps; faults name file and person."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from formats import detections
from formats.detections import FPS, HEIGHT, WIDTH, walk, write_openpose

from graphpose import formats
from graphpose.cli.main import main
from graphpose.errors import FormatError
from graphpose.formats.registry import find_format
from graphpose.geometry import denormalize_screen
from graphpose.motion import MotionClip

GIVEN = {"fps": FPS, "image_size": (WIDTH, HEIGHT)}


def one(path: Path, **options: object) -> MotionClip:
    [clip] = formats.read_all(path, **{**GIVEN, **options})
    return clip


def file_of(folder: Path, frame: int) -> Path:
    return folder / f"walk_{frame:012d}_keypoints.json"


def test_a_folder_is_one_clip(tmp_path: Path) -> None:
    person = walk(12, 25)
    person[3, 4] = 0.0  # what OpenPose writes for a joint that it does not see
    folder = write_openpose(tmp_path / "out", [[p] for p in person], first=7)
    assert find_format(file_of(folder, 7)).name == "openpose"
    clip = one(folder)
    assert (clip.skeleton.name, clip.fps, len(clip), clip.camera) == ("openpose25", FPS, 12, None)
    assert (clip.name, clip.subject, clip.action) == ("walk", "out", "walk")
    assert clip.missing.nonzero().tolist() == [[3, 4]] and float(clip.confidence[3, 4]) == 0
    pixels = denormalize_screen(clip.keypoints, WIDTH, HEIGHT).numpy()
    seen = ~clip.missing.numpy()
    np.testing.assert_allclose(pixels[seen], person[..., :2][seen], atol=1e-3)
    np.testing.assert_allclose(clip.confidence.numpy(), person[..., 2], atol=1e-6)


def test_frames_are_ordered_by_number_and_left_out_ones_are_empty(tmp_path: Path) -> None:
    person = walk(12, 25)
    for frame, keypoints in enumerate(person):  # 2 comes before 10, and no zeros before them
        write_openpose(tmp_path, [[keypoints]], first=frame)
        file_of(tmp_path, frame).rename(tmp_path / f"walk_{frame}_keypoints.json")
    (tmp_path / "walk_4_keypoints.json").unlink()
    (tmp_path / "walk_6_keypoints.json").write_text('{"version": 1.3, "people": []}')
    clip = one(tmp_path)
    assert len(clip) == 12 and clip.missing.all(-1).nonzero()[:, 0].tolist() == [4, 6]
    assert not clip.missing[[5, 11]].any() and not clip.confidence[[4, 6]].any()
    np.testing.assert_allclose(
        denormalize_screen(clip.keypoints, WIDTH, HEIGHT)[11].numpy(), person[11, :, :2], atol=1e-3
    )


def test_one_file_and_all_files_stand_for_the_clip(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path, [[p] for p in walk(5, 25)])
    whole = one(folder)
    files = sorted(folder.iterdir())
    for paths in (files, files[2:3], [files[4], folder]):
        [clip] = formats.read_all(paths, **GIVEN)
        assert torch.equal(clip.keypoints, whole.keypoints)
    assert formats.expand(folder) == files[:1]


def test_other_names_are_other_clips_and_pictures_are_single_frames(tmp_path: Path) -> None:
    write_openpose(tmp_path / "a", [[p] for p in walk(4, 25)])
    write_openpose(tmp_path / "a", [[p] for p in walk(3, 25)], name="run")
    write_openpose(tmp_path / "b", [[p] for p in walk(2, 25)])
    file_of(tmp_path / "b", 1).rename(tmp_path / "b" / "portrait_keypoints.json")
    (tmp_path / "b" / "notes.json").write_text('{"people": 3}')
    found = formats.read_all(tmp_path, name_pattern=r"(?P<subject>[ab])/(?P<kind>\w+?)_", **GIVEN)
    assert [(c.subject, c.name, len(c), c.tags["kind"]) for c in found] == [
        ("a", "run", 3, "run"), ("a", "walk", 4, "walk"), ("b", "portrait", 1, "portrait"), ("b", "walk", 1, "walk"),
    ]  # fmt: skip


def test_the_size_of_the_picture_may_be_text(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path, [[p] for p in walk(3, 25)])
    expected = one(folder).keypoints
    for size in ("640x480", " 640 X 480", [640, 480]):
        assert torch.equal(one(folder, image_size=size).keypoints, expected)
    for size in ("640", (640,), (640, 0), (640.5, 480), (640, 480, 3), 640, "wide"):
        with pytest.raises(FormatError, match=r"expected image_size as width and height in whole pixels, '1920x1080'"):
            one(folder, image_size=size)


def test_rate_and_size_are_asked_for_at_once(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path, [[p] for p in walk(3, 25)])
    with pytest.raises(
        FormatError, match=r"frame rate.*--target\.recorded_fps.*size of the picture.*image_size"
    ) as caught:
        formats.read_all(folder)
    assert caught.value.path == folder
    with pytest.raises(FormatError, match=r"give fps= ") as caught:
        one(folder, fps=None)
    assert "size of the picture" not in str(caught.value)
    with pytest.raises(FormatError, match=r"size of the picture in pixels: give image_size=.*1920x1080"):
        one(folder, image_size=None)


def test_faults_name_file_person_and_remedy(tmp_path: Path) -> None:
    def fault(change: object, words: str) -> None:
        folder = write_openpose(tmp_path / "case", [[p, p] for p in walk(4, 25)])
        file = file_of(folder, 2)
        file.write_text(change if isinstance(change, str) else json.dumps(change))
        with pytest.raises(FormatError, match=words) as caught:
            one(folder)
        assert file.name in str(caught.value)

    good = json.loads(file_of(write_openpose(tmp_path / "x", [[p] for p in walk(1, 25)]), 0).read_text())
    person = good["people"][0]
    fault('{"version": 1.3,\n "people": [', r":2: expected JSON")
    fault("", "the file is empty")
    fault({"version": 1.3}, 'expected an object with a list "people"')
    fault({"people": [{"pose_keypoints": []}]}, 'person 0: expected "pose_keypoints_2d"')
    short = {**person, "pose_keypoints_2d": person["pose_keypoints_2d"][:-1]}
    fault({"people": [person, short]}, r"person 1: expected keypoints as numbers x, y, confidence .*\(got 74 values\)")
    mixed = {**person, "pose_keypoints_2d": ["a", *person["pose_keypoints_2d"][1:]]}
    fault({"people": [mixed]}, r"person 0: .*not all of them numbers")
    fault(
        {"people": [{**person, "pose_keypoints_2d": person["pose_keypoints_2d"][:54]}]},
        r"expected 25 keypoints.*got 18",
    )
    unseen = {**person, "pose_keypoints_2d": [float("nan"), *person["pose_keypoints_2d"][1:]]}
    fault({"people": [unseen]}, r"finite numbers \(got nan as keypoint 0\)")


def test_bodies_other_than_body_25(tmp_path: Path) -> None:
    coco = write_openpose(tmp_path / "coco", [[p] for p in walk(3, 18)])
    with pytest.raises(FormatError, match=r"BODY_25 \(got 18, those of OpenPose's COCO model\).*--model_pose BODY_25"):
        one(coco)
    with pytest.raises(
        FormatError, match=r"expected 25 \(openpose25\) keypoints a person \(got 21\).*keypoint_skeleton="
    ):
        one(write_openpose(tmp_path / "hand", [[p] for p in walk(3, 21)]))
    assert one(tmp_path / "hand", keypoint_skeleton="hand21").skeleton.name == "hand21"
    assert one(tmp_path / "hand", skeleton="hand21").skeleton.name == "hand21"
    with pytest.raises(FormatError, match=r"expected the 17 joints of skeleton 'coco17' \(got 21 keypoints"):
        one(tmp_path / "hand", keypoint_skeleton="coco17")


def test_nobody_other_units_and_pictures_of_no_video(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no person in any of 3 frames"):
        one(write_openpose(tmp_path / "empty", [[], [], []]))
    with pytest.raises(FormatError, match=r"no person in any of 2 frames: all confidences are 0"):
        one(write_openpose(tmp_path / "zero", [[np.zeros((25, 3))]] * 2))
    unit = walk(3, 25) / (WIDTH, HEIGHT, 1)
    with pytest.raises(FormatError, match=r"expected keypoints in pixels .*--keypoint_scale 0"):
        one(write_openpose(tmp_path / "unit", [[p] for p in unit]))
    large = walk(3, 25) * (6, 6, 1)
    with pytest.raises(FormatError, match=r"within a picture of 640 x 480 pixels .*give image_size as of the video"):
        one(write_openpose(tmp_path / "large", [[p] for p in large]))
    pictures = write_openpose(tmp_path / "pictures", [[p] for p in walk(2, 25)])
    file_of(pictures, 1).rename(file_of(pictures, 20240101))
    with pytest.raises(FormatError, match=r"numbers of a video's frames \(got 2 numbers from 0 to 20240101\)"):
        one(pictures)
    twice = write_openpose(tmp_path / "twice", [[p] for p in walk(2, 25)])
    file_of(twice, 1).rename(twice / "walk_0_keypoints.json")
    with pytest.raises(FormatError, match=r"expected one file a frame \(got .* too, of the same number\)"):
        one(twice)


def test_convert_writes_what_predict_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_openpose(tmp_path / "out", [[p] for p in detections.walk(6, 25)])
    target = tmp_path / "walk.npz"
    assert main(["data", "convert", str(folder), str(target), "--fps", "25", "--image_size", "640x480"]) == 0
    back = formats.read(target)
    whole = one(folder)
    assert torch.equal(back.keypoints, whole.keypoints) and torch.equal(back.confidence, whole.confidence)
    files = [str(file) for file in sorted(folder.iterdir())]  # as a shell gives them
    assert main(["data", "convert", *files, str(target), "--overwrite", "--fps", "25", "--image_size", "640x480"]) == 0
    assert back.skeleton == whole.skeleton and back.fps == FPS and back.name == "walk"
    assert main(["data", "info", str(folder)]) == 1
    assert "--image_size 1920x1080" in capsys.readouterr().err
