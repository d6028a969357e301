"""HumanEva-I in its published files: chunks, subjects, places of the cameras, lenses fitted to the keypoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from formats import published_layouts as published

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats._object_arrays import load_member
from graphpose.formats.humaneva import merged_action, published_cameras
from graphpose.skeleton import Skeleton

DETECTED = "data_2d_humaneva15_detectron_ft_humaneva15.npz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.write_humaneva(tmp_path_factory.mktemp("humaneva")).parent


def test_one_clip_for_each_chunk_and_camera(folder: Path) -> None:
    clips = formats.read_all(folder / "data_3d_humaneva15.npz")
    assert len(clips) == 4 * 3 * 3 and len({clip.name for clip in clips}) == len(clips)
    first = clips[0]
    assert (first.name, first.subject, first.action) == ("Train-S1_Walking 1 chunk0_C1", "Train/S1", "Walking")
    assert first.tags["sub_action"] == "Walking 1 chunk0" and first.fps == 60
    assert first.skeleton == Skeleton.load("humaneva15") and {clip.action for clip in clips} == {"Walking", "Jog"}
    assert {(clip.subject.split("/")[0], clip.tags["split"]) for clip in clips} == {
        ("Train", "train"),
        ("Validate", "test"),
    }
    assert [clip.tags["camera"] for clip in clips[:3]] == ["C1", "C2", "C3"]
    assert (first.camera.width, first.camera.height) == (640, 480)


def test_the_lens_is_fitted_and_shows_the_joints_at_their_keypoints(folder: Path) -> None:
    for clip in formats.read_all(folder / "data_3d_humaneva15.npz"):
        seen = clip.camera.project(clip.camera.world_to_camera(clip.positions))
        assert float((seen - clip.keypoints).abs().max()) < 0.05 and clip.tags["keypoints"] == "gt"
        np.testing.assert_allclose(clip.camera.focal.numpy(), [750, 740], rtol=1e-4)
        np.testing.assert_allclose(clip.camera.center.numpy(), [328, 236], atol=0.05)
    noisy = formats.read_all(folder / DETECTED)[0]
    np.testing.assert_allclose(noisy.camera.focal.numpy(), [750, 740], rtol=0.01)
    assert noisy.tags["keypoints"] == "detectron_ft_humaneva15"


def test_positions_stand_upright(folder: Path) -> None:
    clips = formats.read_all(folder / "data_3d_humaneva15.npz")
    body = Skeleton.load("h36m17")
    expected = published.motion(0)[:, [body.index(name) for name in Skeleton.load("humaneva15").joints]]
    np.testing.assert_allclose(clips[0].positions.numpy(), expected, atol=1e-6)


def test_without_keypoints_there_is_no_camera(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "data_3d_humaneva15.npz").write_bytes((folder / "data_3d_humaneva15.npz").read_bytes())
    clips = formats.read_all(tmp_path)
    assert len(clips) == 12 and all(clip.camera is None and clip.keypoints is None for clip in clips)
    assert "the published file has no lenses of its cameras; with data_2d_humaneva15_gt.npz beside it" in caplog.text


def test_labels() -> None:
    assert [merged_action(name) for name in ("Walking 1 chunk0", "ThrowCatch 1", "Box 1 chunk12", "Jog")] == [
        "Walking", "ThrowCatch", "Box", "Jog",
    ]  # fmt: skip
    assert [len(published_cameras(name)) for name in ("Train/S1", "Validate/S3", "Unlabeled/Train/S2", "S1", "Train/S4", "X/S1")] == [
        3, 3, 3, 3, 0, 0,
    ]  # fmt: skip
    assert published_cameras("Train/S1")[0].position[2] == pytest.approx(1.528397)


WALK, JOG = "Walking 1 chunk0", "Jog 1 chunk0"


@pytest.mark.parametrize(
    ("action", "change", "words"),
    [
        (JOG, lambda p: p * np.nan, r"Train/S1 'Jog 1 chunk0', frame 0: joint 'pelvis' has no position"),
        (JOG, lambda p: p[:, [*range(15), 0]], r"expected 15 joints, \[frames, 15, 3\] \(got \[\d+, 16, 3\]\)"),
        (WALK, lambda p: p * 1000, r"positions are in mm: give scale=0\.001"),
        (WALK, lambda p: np.repeat(p, 2, 0), r"expected keypoints of at least the 106 frames .*\(got 53\)"),
    ],
)
def test_broken_files_are_one_line(folder: Path, tmp_path: Path, action: str, change: object, words: str) -> None:
    data = load_member(folder / "data_3d_humaneva15.npz", "positions_3d")
    data["Train/S1"][action] = change(data["Train/S1"][action])  # type: ignore[operator]
    np.savez(tmp_path / "data_3d_humaneva15.npz", positions_3d=data)
    (tmp_path / "data_2d_humaneva15_gt.npz").write_bytes((folder / "data_2d_humaneva15_gt.npz").read_bytes())
    with pytest.raises(FormatError, match=words) as caught:
        formats.read_all(tmp_path / "data_3d_humaneva15.npz")
    assert "\n" not in str(caught.value)


def test_subjects_without_published_cameras(folder: Path, tmp_path: Path) -> None:
    data = load_member(folder / "data_3d_humaneva15.npz", "positions_3d")
    np.savez(tmp_path / "data_3d_humaneva15.npz", positions_3d={"Train/S4": data["Train/S1"]})
    with pytest.raises(FormatError, match=r"unknown subject of HumanEva-I .*'Train/S4'"):
        formats.read_all(tmp_path)


def test_keypoints_that_no_lens_explains(folder: Path, tmp_path: Path) -> None:
    flat = load_member(folder / "data_2d_humaneva15_gt.npz", "positions_2d")
    flat["Train/S1"][WALK][1] = -flat["Train/S1"][WALK][1]
    np.savez(tmp_path / "data_2d_humaneva15_gt.npz", positions_2d=flat)
    (tmp_path / "data_3d_humaneva15.npz").write_bytes((folder / "data_3d_humaneva15.npz").read_bytes())
    with pytest.raises(
        FormatError, match=r"'Walking 1 chunk0', camera 1 \(C2\): no lens of the camera shows the joints"
    ):
        formats.read_all(tmp_path)
