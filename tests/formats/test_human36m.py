"""Human3.6M in its published files: joints, cameras, keypoints, labels, and every way in which a file can be wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from formats import published_layouts as published

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats._h36m_calibration import LENSES, PLACES
from graphpose.formats._object_arrays import load_member
from graphpose.formats.human36m import LAYOUT, merged_action, published_cameras
from graphpose.skeleton import Skeleton

DETECTED = "data_2d_h36m_cpn_ft_h36m_dbb.npz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.write_human36m(tmp_path_factory.mktemp("h36m")).parent


def small(path: Path, **changes: object) -> Path:
    """Files of one subject with two recordings, in which a test can break something."""
    data = published.human36m(("S9",), ("Directions",), frames=20)
    for change in changes.values():
        change(data)  # type: ignore[operator]
    return published.write_human36m(path, data)


def test_joints_are_those_of_the_skeleton_and_its_left_is_left() -> None:
    assert list(LAYOUT.kept) == published.KEPT
    body = Skeleton.load("h36m17")
    assert (list(body.left), list(body.right)) == (published.H36M_LEFT, published.H36M_RIGHT)


def test_one_clip_for_each_subject_action_and_camera(folder: Path) -> None:
    clips = formats.read_all(folder / "data_3d_h36m.npz")
    assert len(clips) == 4 * (4 + 4 + 4 + 3)  # S11 has no "Directions"
    assert len({clip.name for clip in clips}) == len(clips)
    assert sorted({clip.subject for clip in clips}) == ["S1", "S11", "S5", "S9"]
    assert {clip.action for clip in clips} == {"Directions", "Walking"}
    assert {clip.tags["sub_action"] for clip in clips} == {"Directions", "Directions 1", "Walking", "Walking 1"}
    assert {clip.tags["split"] for clip in clips if clip.subject in ("S9", "S11")} == {"test"}
    first = clips[0]
    assert first.name == "S1_Directions_54138969" and first.fps == 50 and first.skeleton == Skeleton.load("h36m17")
    assert [clip.tags["camera"] for clip in clips[:4]] == [lens[0] for lens in LENSES]
    assert [(clip.camera.width, clip.camera.height) for clip in clips[:4]] == [
        (1000, 1002),
        (1000, 1000),
        (1000, 1000),
        (1000, 1002),
    ]


def test_positions_stand_upright_in_metres(folder: Path) -> None:
    clips = formats.read_all(folder / "data_3d_h36m.npz")
    np.testing.assert_allclose(
        clips[0].positions.numpy(), published.motion(0), atol=1e-6
    )  # the fixture turned it to z up
    clip = clips[-1]  # a walk
    head, ankle = (clip.positions[:, clip.skeleton.index(name), 1].mean() for name in ("head", "Lankle"))
    assert 1.0 < head - ankle < 1.9 and clip.space == "world"


def test_projection_is_the_published_one(folder: Path) -> None:
    """The file's own ground truth was projected by the fixture from the z-up world, distortion included."""
    projected = formats.read_all(folder / "data_3d_h36m.npz")
    given = formats.read_all(folder / "data_2d_h36m_gt.npz")
    assert [clip.name for clip in projected] == [clip.name for clip in given]
    assert max(float((a.keypoints - b.keypoints).abs().max()) for a, b in zip(projected, given, strict=True)) < 1e-3
    assert {clip.tags["keypoints"] for clip in given} == {"gt"} and {c.tags["keypoints"] for c in projected} == {
        "projected"
    }
    undistorted = given[0].camera.project(given[0].camera.world_to_camera(given[0].positions), distort=False)
    assert float((undistorted - given[0].keypoints).norm(dim=-1).mean()) > 0.3  # so the distortion is there


def test_turned_cameras_see_turned_points_where_they_were() -> None:
    from graphpose.formats._videopose_archives import turned

    points = torch.from_numpy(published.motion(3)).double()
    for subject, places in PLACES.items():
        for camera, place in zip(published_cameras(subject), places, strict=True):
            local = turned(camera.to(torch.float64)).world_to_camera(points)
            expected = published.to_camera(published.z_up(points.numpy()), *place)
            assert np.abs(local.numpy() - expected).max() < 1e-5  # calibration is kept in float32
            assert camera.position[2] > 1.4  # metres above the floor, z up


def test_detections_are_taken_from_the_file_that_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "graphpose"):
        clips = formats.read_all(folder / DETECTED)
    truth = formats.read_all(folder / "data_2d_h36m_gt.npz")
    assert [clip.name for clip in clips] == [clip.name for clip in truth]
    assert all(len(clip.keypoints) == len(clip.positions) for clip in clips)  # 3 more frames of 2D in the file
    noise = torch.cat([(a.keypoints - b.keypoints).flatten() for a, b in zip(clips, truth, strict=True)])
    assert 3.8 < float(noise.std()) < 4.2 and clips[0].tags["keypoints"] == "cpn_ft_h36m_dbb"
    assert "S11 without 3D positions are passed over: Directions" in caplog.text
    assert clips[0].source.endswith(DETECTED)


def test_a_folder_gives_the_projected_ground_truth(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert formats.expand(folder) == [folder / "data_3d_h36m.npz"]
    assert f"{folder / DETECTED}: keypoints of Human3.6M are used only when the file itself is given" in caplog.text
    assert formats.expand([folder / DETECTED]) == [folder / DETECTED]


def test_a_third_number_is_confidence(tmp_path: Path) -> None:
    small(tmp_path)
    data = published.human36m_2d(published.human36m(("S9",), ("Directions",), frames=20))
    sure = {
        subject: {
            action: [np.concatenate([one, np.full_like(one[..., :1], 0.75)], -1) for one in arrays]
            for action, arrays in actions.items()
        }
        for subject, actions in data.items()
    }
    np.savez(tmp_path / "data_2d_h36m_hrnet.npz", positions_2d=sure, metadata=published.metadata())
    clips = formats.read_all(tmp_path / "data_2d_h36m_hrnet.npz")
    assert clips[0].keypoints.shape[-1] == 2 and bool((clips[0].confidence == 0.75).all())


def test_actions_are_merged() -> None:
    names = [name for action in published.ACTIONS for name in (action, f"{action} 1", f"{action} 2")]
    assert {merged_action(name) for name in names} == set(published.ACTIONS)
    assert [merged_action(name) for name in ("TakingPhoto 1", "WalkingDog", "SittingDown 1")] == [
        "Photo",
        "WalkDog",
        "SittingDown",
    ]


def test_options(folder: Path) -> None:
    path = folder / "data_3d_h36m.npz"
    assert {clip.subject for clip in formats.read_all(path, subjects="S9, S11")} == {"S9", "S11"}
    assert {clip.subject for clip in formats.read_all(folder / DETECTED, subjects=["S5"])} == {"S5"}
    assert formats.read_all(path, subjects=["S5"], fps=25.0)[0].fps == 25
    with pytest.raises(FormatError, match=r"unknown subject 'S8'.*choose from: S1, S5, S9, S11"):
        formats.read_all(path, subjects=["S8"])
    with pytest.raises(FormatError, match=r"holds the 17 joints of 'h36m17' \(got skeleton 'humaneva15' of 15\)"):
        formats.read_all(path, skeleton="humaneva15")
    with pytest.raises(FormatError, match=r"expected one clip \(got 60\); read_all"):
        formats.read(path)


def test_metres_and_millimetres(tmp_path: Path) -> None:
    def enlarge(data: dict) -> None:
        for action in data["S9"]:
            data["S9"][action] = data["S9"][action] * 1000

    path = small(tmp_path, enlarge=enlarge)
    with pytest.raises(
        FormatError, match=r"S9 'Directions'.*lengths of its bones.*positions are in mm: give scale=0\.001"
    ):
        formats.read_all(path)
    clip = formats.read_all(path, scale=0.001)[0]
    assert 1.2 < clip.summary()["extent"] < 3


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("name", ["data_3d_h36m.npz", DETECTED])
def test_cut_off_files(tmp_path: Path, name: str, share: float) -> None:
    small(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        FormatError, match=rf"{name}: the file is (empty|damaged or cut off.*); copy or download it again"
    ):
        formats.read_all(tmp_path / name)


def broken_nan(data: dict) -> None:
    data["S9"]["Directions 1"][7, 12, 1] = np.nan  # joint 12 of 32 is the spine


def broken_joints(data: dict) -> None:
    data["S9"]["Directions 1"] = data["S9"]["Directions 1"][:, :31]


def broken_kind(data: dict) -> None:
    data["S9"]["Directions"] = "positions"


def broken_empty(data: dict) -> None:
    data["S9"]["Directions"] = data["S9"]["Directions"][:0]


def broken_subject(data: dict) -> None:
    data["S2"] = data.pop("S9")


def broken_nesting(data: dict) -> None:
    data["S9"] = data["S9"]["Directions"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (broken_nan, r"S9 'Directions 1', frame 7: joint 'spine' has no position .*1 such joints in 1 of 20 frames"),
        (
            broken_joints,
            r"S9 'Directions 1': expected 32 joints, \[frames, 32, 3\] \(got \[20, 31, 3\]\); take the 2D and the 3D file",
        ),
        (broken_kind, r"S9 'Directions': expected numbers \(got str"),
        (broken_empty, r"S9 'Directions': expected at least one frame"),
        (
            broken_subject,
            r"unknown subject of Human3\.6M \(of published cameras\) 'S2'.*choose from: S1, S5, S6, S7, S8, S9, S11",
        ),
        (
            broken_nesting,
            r"expected positions_3d\['S9'\] as a dictionary with entries \(got ndarray of shape \[20, 32, 3\]\)",
        ),
    ],
)
def test_broken_positions_are_one_line(tmp_path: Path, change: object, words: str) -> None:
    data = published.human36m(("S9",), ("Directions",), frames=20)
    change(data)  # type: ignore[operator]
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=data)
    with pytest.raises(FormatError, match=words) as caught:
        formats.read_all(tmp_path / "data_3d_h36m.npz")
    assert "\n" not in str(caught.value) and str(tmp_path / "data_3d_h36m.npz") in str(caught.value)


def shorter(flat: dict) -> None:
    flat["S9"]["Directions 1"][2] = flat["S9"]["Directions 1"][2][:-1]


def fewer_joints(flat: dict) -> None:
    flat["S9"]["Directions 1"][2] = flat["S9"]["Directions 1"][2][:, :16]


def fewer_cameras(flat: dict) -> None:
    flat["S9"]["Directions"].pop()


def missing_camera(flat: dict) -> None:
    flat["S9"]["Directions"][1] = None


def missing_action(flat: dict) -> None:
    del flat["S9"]["Directions 1"]


def missing_subject(flat: dict) -> None:
    flat["S1"] = flat.pop("S9")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            shorter,
            r"S9 'Directions 1', camera 2 \(58860488\): expected keypoints of at least the 20 frames .*\(got 19\)",
        ),
        (
            fewer_joints,
            r"S9 'Directions 1', camera 2 \(58860488\): expected 17 joints, .*\(got \[20, 16, 2\]\); take the 2D",
        ),
        (
            fewer_cameras,
            r"S9 'Directions': expected keypoints of the 4 cameras, in the order 54138969, .*\(got 3 arrays\); take the",
        ),
        (missing_camera, r"S9 'Directions': expected keypoints of the 4 cameras.*\(got none of camera 1\)"),
        (missing_action, r"no keypoints of 1 of the 2 actions of S9 in the 3D file: 'Directions 1'"),
        (missing_subject, r"no keypoints of unknown subject 'S9'"),
    ],
)
def test_broken_keypoints_are_one_line(tmp_path: Path, change: object, words: str) -> None:
    path = small(tmp_path)
    flat = published.human36m_2d(published.human36m(("S9",), ("Directions",), frames=20))
    change(flat)  # type: ignore[operator]
    file = path.with_name("data_2d_h36m_mine.npz")
    np.savez(file, positions_2d=flat, metadata=published.metadata())
    with pytest.raises(FormatError, match=words) as caught:
        formats.read_all(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


def test_keypoints_of_other_joints_are_refused(tmp_path: Path) -> None:
    path = small(tmp_path)
    flat = published.human36m_2d(published.human36m(("S9",), ("Directions",), frames=20))
    coco = published.metadata("coco", 17, [1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16])
    file = path.with_name("data_2d_h36m_detectron_pt_coco.npz")
    np.savez(file, positions_2d=flat, metadata=coco)
    with pytest.raises(
        FormatError, match=r"expected keypoints of the 17 joints of 'h36m17' \(got layout 'coco' of 17 joints"
    ):
        formats.read_all(file)


def test_a_2d_file_needs_its_3d_file(tmp_path: Path) -> None:
    path = small(tmp_path)
    path.unlink()
    with pytest.raises(
        FormatError, match=r"holds keypoints only; expected data_3d_h36m\.npz, which holds the positions, beside it"
    ):
        formats.read_all(tmp_path / DETECTED)


def test_keypoints_far_from_the_joints_are_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = small(tmp_path)
    flat = published.human36m_2d(published.human36m(("S9",), ("Directions",), frames=20))
    for arrays in flat["S9"].values():
        arrays.reverse()
    file = path.with_name("data_2d_h36m_mine.npz")
    np.savez(file, positions_2d=flat, metadata=published.metadata())
    assert len(formats.read_all(file)) == 8
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{file}: in 8 of 8 clips half of the keypoints lie more than 100 pixels")
    assert "S9 'Directions" in line and line.endswith("the cameras in the published order")


def test_missing_keypoints_stay_missing(tmp_path: Path) -> None:
    path = small(tmp_path)
    flat = published.human36m_2d(published.human36m(("S9",), ("Directions",), frames=20))
    flat["S9"]["Directions"][0][4, 3] = np.nan
    file = path.with_name("data_2d_h36m_mine.npz")
    np.savez(file, positions_2d=flat)  # without metadata
    clip = formats.read_all(file)[0]
    assert clip.keypoints.isnan().any(-1).nonzero().tolist() == [[4, 3]] and not clip.missing.any()


def test_stacked_hourglass_has_every_joint_but_the_nose(folder: Path) -> None:
    metadata = {"num_joints": 16, "keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]]}  # as published
    path = published.write_hourglass(folder, published.human36m(), noise=2.0)
    assert load_member(path, "metadata") == metadata
    clips, truth = formats.read_all(path), formats.read_all(folder / "data_2d_h36m_gt.npz")
    assert [clip.name for clip in clips] == [clip.name for clip in truth]
    nose = clips[0].skeleton.index("nose")
    for clip, exact in zip(clips, truth, strict=True):
        assert clip.keypoints.shape == exact.keypoints.shape and clip.tags["keypoints"] == "sh_ft_h36m"
        gaps = clip.keypoints.isnan().any(-1)
        assert bool(gaps[:, nose].all()) and int(gaps.sum()) == len(clip)
        away = (clip.keypoints - exact.keypoints).norm(dim=-1)
        assert float(away[~gaps].max()) < 15 and not clip.positions.isnan().any()


def test_joints_of_stacked_hourglass_are_those_of_the_published_names(tmp_path: Path) -> None:
    # RFoot RKnee RHip LHip LKnee LFoot Hip Spine Thorax Head RWrist RElbow RShoulder LShoulder LElbow LWrist
    names = [
        *("Rankle", "Rknee", "Rhip", "Lhip", "Lknee", "Lankle", "pelvis", "spine", "thorax", "head"),
        *("Rwrist", "Relbow", "Rshoulder", "Lshoulder", "Lelbow", "Lwrist"),
    ]
    path = small(tmp_path)
    flat = [np.tile(np.arange(16.0)[:, None], (20, 1, 2)) for _ in range(4)]
    file = path.with_name("data_2d_h36m_sh_pt_mpii.npz")
    metadata = {"num_joints": 16, "keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]]}
    np.savez(file, positions_2d={"S9": {"Directions": flat, "Directions 1": flat}}, metadata=metadata)
    clip = formats.read_all(file)[0]
    for number, name in enumerate(names):
        assert clip.keypoints[0, clip.skeleton.index(name)].tolist() == [number, number]


def test_stacked_hourglass_in_the_order_of_human36m(tmp_path: Path) -> None:
    data = published.human36m(("S9",), ("Directions",), frames=20)
    published.write_human36m(tmp_path, data)
    order = tuple(joint for joint in range(17) if joint != 9)
    path = published.write_hourglass(tmp_path, data, order=order)
    metadata = {"num_joints": 16, "keypoints_symmetry": [[4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]]}
    assert load_member(path, "metadata") == metadata
    other = formats.read_all(published.write_hourglass(tmp_path, data, "sh_pt_mpii"))
    for mine, theirs in zip(formats.read_all(path), other, strict=True):
        assert torch.equal(mine.keypoints.nan_to_num(-1), theirs.keypoints.nan_to_num(-1))


@pytest.mark.parametrize("sides", [None, [[0, 1, 2], [3, 4, 5]]])
def test_16_joints_in_an_unknown_order_are_refused(tmp_path: Path, sides: object) -> None:
    path = small(tmp_path).with_name("data_2d_h36m_mine.npz")
    flat = {"S9": {"Directions": [np.zeros((20, 16, 2), np.float32)] * 4}}
    np.savez(path, positions_2d=flat, metadata={"num_joints": 16, "keypoints_symmetry": sides})
    with pytest.raises(FormatError, match=r"of 16 joints.*take data_2d_h36m_gt\.npz or data_2d_h36m_cpn_ft_h36m_dbb"):
        formats.read_all(path)


@pytest.mark.parametrize("sides", [3, "left", [["Lhip"], ["Rhip"]]])
def test_metadata_that_is_not_numbers_is_an_error(tmp_path: Path, sides: object) -> None:
    path = small(tmp_path).with_name("data_2d_h36m_mine.npz")
    np.savez(path, positions_2d={}, metadata={"num_joints": 17, "keypoints_symmetry": sides})
    with pytest.raises(FormatError, match=r"expected keypoints_symmetry of the metadata as two lists .*\(got"):
        formats.read_all(path)


def test_the_unit_of_every_action_is_looked_at(tmp_path: Path) -> None:
    def enlarge(data: dict) -> None:
        data["S9"]["Directions 1"] = data["S9"]["Directions 1"] * 1000

    with pytest.raises(FormatError, match=r"S9 'Directions 1': .*positions are in mm: give scale=0\.001"):
        formats.read_all(small(tmp_path, enlarge=enlarge))
