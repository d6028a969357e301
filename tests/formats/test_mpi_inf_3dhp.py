"""MPI-INF-3DHP in the archives of the field and in the data set's own MATLAB files, old and new."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from formats import published_layouts as published

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats._object_arrays import load_member
from graphpose.skeleton import Skeleton


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("3dhp")
    published.write_3dhp_train(path)
    published.write_3dhp_test(path)
    return path


def test_training_archive(folder: Path) -> None:
    clips = formats.read_all(folder / "data_train_3dhp.npz")
    assert len(clips) == 2 * 2 * 8 and len({clip.name for clip in clips}) == len(clips)
    first = clips[0]
    assert (first.name, first.subject, first.action, first.tags["camera"]) == ("S1_Seq1_0", "S1", "Seq1", "0")
    assert [clip.tags["camera"] for clip in clips[:8]] == list(published.CAMERAS_3DHP)
    assert (first.fps, clips[8].fps) == (25, 50)  # as the file says
    assert first.skeleton == Skeleton.load("mpi_inf_3dhp17") and first.skeleton.root == 14 and first.space == "camera"
    assert first.tags["annotation"] == "univ_annot3" and first.tags["split"] == "train"
    expected = published.univ(published.camera_space(0, 0)) / 1000
    np.testing.assert_allclose(first.positions.numpy(), expected, atol=1e-6)
    left = {first.skeleton.joints[joint] for joint in first.skeleton.left}
    assert left == {"left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow", "left_wrist"}
    assert [first.skeleton.left, first.skeleton.right] == [(5, 6, 7, 11, 12, 13), (2, 3, 4, 8, 9, 10)]  # as published


def test_test_archive(folder: Path) -> None:
    clips = formats.read_all(folder / "data_test_3dhp.npz")
    assert [clip.name for clip in clips] == [f"TS{i}" for i in range(1, 7)]
    assert [clip.action for clip in clips] == [clip.subject for clip in clips] == [clip.name for clip in clips]
    assert [(c.camera.width, c.camera.height) for c in clips] == [(2048, 2048)] * 4 + [(1920, 1080)] * 2
    for clip in clips:
        known = ~clip.missing.any(-1)
        np.testing.assert_array_equal(known.numpy(), published.valid_frames(len(clip)).astype(bool))
        assert not clip.keypoints.isnan().any() and clip.tags["split"] == "test"


def test_the_camera_is_the_one_that_the_file_tells_of(folder: Path) -> None:
    for clip in formats.read_all(folder):
        known = ~clip.missing.any(-1)
        seen = clip.camera.project(clip.positions[known])  # camera space: nothing to turn
        assert float((seen - clip.keypoints[known]).norm(dim=-1).max()) < 0.01
    wide = formats.read_all(folder / "data_test_3dhp.npz")[5].camera
    np.testing.assert_allclose([*wide.focal.tolist(), *wide.center.tolist()], [1684, 1684, 940, 560], rtol=1e-4)
    assert wide.rotation[:, 1].tolist() == [0, -1, 0]  # up is up in the picture


def test_keypoints_that_no_camera_explains_come_without_one(folder: Path, tmp_path: Path) -> None:
    data = load_member(folder / "data_test_3dhp.npz", "data")
    draw = np.random.default_rng(0)
    for entry in data.values():
        entry["data_2d"] = entry["data_2d"] + 30 * draw.standard_normal(entry["data_2d"].shape)
    np.savez(tmp_path / "data_test_3dhp.npz", data=data)
    clips = formats.read_all(tmp_path)
    assert all(clip.camera is None and clip.tags["camera_fit"].startswith("none, ") for clip in clips)
    width, height = 1920, 1080
    expected = data["TS6"]["data_2d"] * 2 / width - [1, height / width]  # the published normalisation
    np.testing.assert_allclose(clips[5].keypoints.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("annotation", [None, "univ_annot3", "annot3"])
def test_test_sequences_of_the_data_set(tmp_path: Path, version: str, annotation: str | None) -> None:
    """HDF5 shows the dimensions of MATLAB 7.3 reversed, SciPy those of version 5 as they are."""
    data = published.annotations_of_test(14)
    path = published.write_annot_data(tmp_path / "TS2" / "annot_data.mat", data, version)
    clip = formats.read(path, annotation=annotation)
    kind = annotation or "univ_annot3"
    assert (clip.name, clip.subject, clip.action, clip.tags["annotation"]) == ("TS2", "TS2", "TS2", kind)
    known = ~clip.missing.any(-1)
    np.testing.assert_allclose(clip.positions[known].numpy(), data[kind][known.numpy(), 0] / 1000, atol=1e-6)
    np.testing.assert_array_equal(known.numpy(), data["valid_frame"].ravel().astype(bool))
    np.testing.assert_allclose(clip.keypoints.numpy(), data["annot2"][:, 0], atol=1e-3)
    assert (clip.camera.width, clip.camera.height) == (2048, 2048)


def test_the_two_annotations_differ(tmp_path: Path) -> None:
    path = published.write_annot_data(tmp_path / "TS1" / "annot_data.mat", published.annotations_of_test(14))
    scaled, own = (formats.read(path, annotation=kind).summary()["extent"] for kind in ("univ_annot3", "annot3"))
    assert scaled == pytest.approx(0.92 * own, rel=1e-4)


def test_the_picture_of_a_sequence_whose_folder_says_nothing(tmp_path: Path) -> None:
    square = published.write_annot_data(tmp_path / "a" / "annot_data.mat", published.annotations_of_test(14))
    wide = published.write_annot_data(tmp_path / "b" / "annot_data.mat", published.annotations_of_test(14, wide=True))
    sizes = [(clip.camera.width, clip.camera.height) for clip in (formats.read(square), formats.read(wide))]
    assert sizes == [(2048, 2048), (1920, 1080)]


def test_training_sequences_of_the_data_set(tmp_path: Path) -> None:
    path = published.write_annot(tmp_path / "S3" / "Seq1" / "annot.mat")
    clips = formats.read_all(path, annotation="annot3")
    assert [clip.name for clip in clips] == ["S3_Seq1_0", "S3_Seq1_1", "S3_Seq1_2"]
    assert {(clip.subject, clip.action, clip.fps, clip.tags["annotation"]) for clip in clips} == {
        ("S3", "Seq1", 50.0, "annot3")
    }
    for number, clip in enumerate(clips):
        np.testing.assert_allclose(clip.positions.numpy(), published.camera_space(0, number) / 1000, atol=1e-5)


def test_annotations_that_go_on_after_the_video_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = published.write_annot(tmp_path / "S1" / "Seq1" / "annot.mat", cameras=1)
    monkeypatch.setitem(sys.modules["graphpose.formats.mpi_inf_3dhp"]._VIDEOS, ("S1", "Seq1"), (30, 25))
    clip = formats.read(path)
    assert (len(clip), clip.fps) == (30, 25)


def test_other_mat_files_are_passed_over(tmp_path: Path) -> None:
    from scipy.io import savemat

    savemat(tmp_path / "camera.mat", {"focal": np.ones(2)})
    path = published.write_annot_data(tmp_path / "TS1" / "annot_data.mat", published.annotations_of_test())
    assert formats.expand(tmp_path) == [path]
    with pytest.raises(FormatError, match=r"camera\.mat: no array 'annot2'; expected the annotations of MPI-INF-3DHP"):
        formats.read_all(tmp_path / "camera.mat")


def test_without_h5py_a_new_file_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = published.write_annot_data(tmp_path / "TS1" / "annot_data.mat", published.annotations_of_test())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(FormatError, match=r"MATLAB 7\.3 file, which needs h5py: pip install 'graphpose\[mat\]'"):
        formats.read_all(path)


@pytest.mark.parametrize("version", ["5", "7.3"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
def test_cut_off_mat_files(tmp_path: Path, version: str, share: float) -> None:
    path = published.write_annot_data(tmp_path / "TS1" / "annot_data.mat", published.annotations_of_test(), version)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        FormatError, match=r"annot_data\.mat: (the file is (empty|no intact MATLAB file)|no array).*copy or download"
    ):
        formats.read_all(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["TS1"].pop("valid"), r"TS1: no array 'valid' \(got data_2d, data_3d\); take arrays that one script made"),
        (lambda d: d["TS2"].update(valid=np.ones(3)), r"TS2: expected a mark, valid or not, for each of \d+ frames .*; take arrays"),
        (lambda d: d["TS2"].update(valid=0 * d["TS2"]["valid"]), r"TS2: no frame is marked as valid"),
        (lambda d: d["TS3"].update(data_2d=d["TS3"]["data_2d"][:-1]), r"TS3: expected keypoints and positions .*; take arrays"),
        (lambda d: d["TS3"].update(data_3d=d["TS3"]["data_3d"][:, :16]), r"TS3: expected 17 joints, .*; take arrays that"),
        (lambda d: d["TS4"]["data_3d"].__setitem__((20, 5, 0), np.nan), r"TS4, frame 20: joint 'left_shoulder' has no position"),
        (lambda d: d["TS1"].update(data_3d=d["TS1"]["data_3d"] / 1000), r"TS1: by the lengths .* positions are in m: give scale=1 "),
    ],
)  # fmt: skip
def test_broken_test_archives_are_one_line(folder: Path, tmp_path: Path, change: object, words: str) -> None:
    data = load_member(folder / "data_test_3dhp.npz", "data")
    change(data)  # type: ignore[operator]
    np.savez(tmp_path / "data_test_3dhp.npz", data=data)
    with pytest.raises(FormatError, match=words) as caught:
        formats.read_all(tmp_path)
    assert "\n" not in str(caught.value)


def test_gaps_where_no_frame_is_valid_are_none(folder: Path, tmp_path: Path) -> None:
    data = load_member(folder / "data_test_3dhp.npz", "data")
    data["TS1"]["data_3d"][10:14] = np.nan
    np.savez(tmp_path / "data_test_3dhp.npz", data=data)
    assert len(formats.read_all(tmp_path)) == 6


def test_metres_by_option(folder: Path, tmp_path: Path) -> None:
    data = load_member(folder / "data_test_3dhp.npz", "data")
    for entry in data.values():
        entry["data_3d"] = entry["data_3d"] / 1000
    np.savez(tmp_path / "data_test_3dhp.npz", data=data)
    mine, theirs = formats.read_all(tmp_path, scale=1.0)[3], formats.read_all(folder / "data_test_3dhp.npz")[3]
    assert torch.allclose(mine.positions, theirs.positions, atol=1e-6, equal_nan=True)


def test_options(folder: Path) -> None:
    path = folder / "data_train_3dhp.npz"
    assert {clip.subject for clip in formats.read_all(path, subjects="S2")} == {"S2"}
    assert formats.read_all(path, annotation="annot3")[0].tags["annotation"] == "annot3"  # what the archive was made of
    with pytest.raises(FormatError, match=r"unknown subject 'S9'.*choose from: S1, S2"):
        formats.read_all(path, subjects="S9")
    with pytest.raises(FormatError, match=r"unknown annotation 'annot2' \(did you mean 'annot3'\?\)"):
        formats.read_all(path, annotation="annot2")


def test_a_cut_off_archive_is_known_by_its_name(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "data_train_3dhp.npz").read_bytes()
    (tmp_path / "data_train_3dhp.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        FormatError, match=r"data_train_3dhp\.npz: the file is damaged or cut off .*; copy or download it again"
    ):
        formats.read_all(tmp_path)


def test_archives_with_one_person_more_or_with_lists_as_arrays(folder: Path, tmp_path: Path) -> None:
    test, train = (load_member(folder / f"data_{part}_3dhp.npz", "data") for part in ("test", "train"))
    for entry in test.values():
        entry.update(
            data_2d=entry["data_2d"][:, None], data_3d=entry["data_3d"][:, None], valid=entry["valid"][:, None]
        )
    np.savez(tmp_path / "data_test_3dhp.npz", data=test)
    np.savez(tmp_path / "data_train_3dhp.npz", data={name: np.array(entry, object) for name, entry in train.items()})
    for part in ("test", "train"):
        mine, theirs = (formats.read_all(one / f"data_{part}_3dhp.npz") for one in (tmp_path, folder))
        assert [(clip.name, clip.fps) for clip in mine] == [(clip.name, clip.fps) for clip in theirs]
        for a, b in zip(mine, theirs, strict=True):
            assert torch.equal(a.keypoints, b.keypoints)
            assert torch.equal(a.positions.nan_to_num(-9), b.positions.nan_to_num(-9))
    test["TS2"]["data_3d"] = np.repeat(test["TS2"]["data_3d"], 2, 1)
    np.savez(tmp_path / "data_test_3dhp.npz", data=test)
    with pytest.raises(FormatError, match=r"TS2: expected 17 joints, .*\(got \[\d+, 2, 17, 3\]\); take arrays"):
        formats.read_all(tmp_path / "data_test_3dhp.npz")
