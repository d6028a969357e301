"""Joint archives of the SMPL family: joints, rates, axes, and archives that hold parameters only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.skeleton import Skeleton

BODY = Skeleton.load("smpl24")
Y_UP = np.repeat(BODY.rest[None], 6, 0) + np.linspace(0, 0.5, 6)[:, None, None] * [1, 0, 0]
Z_UP = Y_UP[..., [0, 2, 1]] * [1, -1, 1]


def save(folder: Path, **arrays: object) -> Path:
    path = folder / "walk_poses.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("key", ["joints", "jtr", "Jtr", "joints3d"])
@pytest.mark.parametrize("rate", ["mocap_framerate", "mocap_frame_rate", "fps"])
def test_joints_and_rate_by_their_usual_names(tmp_path: Path, key: str, rate: str) -> None:
    clip = formats.read(save(tmp_path, **{key: Z_UP, rate: np.array(120.0), "gender": "neutral"}))
    assert clip.skeleton == BODY and clip.fps == 120
    assert (clip.name, clip.action, clip.subject) == ("walk_poses", "walk_poses", tmp_path.name)
    np.testing.assert_allclose(clip.positions, Y_UP, atol=1e-6)
    mapped = clip.to("h36m17").positions[0].numpy()
    assert np.abs(mapped - Skeleton.load("h36m17").rest).max() < 0.1


@pytest.mark.parametrize("count", [22, 52, 55, 45])
def test_the_body_joints_are_the_first_22(tmp_path: Path, count: int) -> None:
    joints = np.zeros((6, count, 3))
    joints[:, :22] = Z_UP[:, :22]
    clip = formats.read(save(tmp_path, joints=joints.astype(np.float32), mocap_framerate=60))
    assert clip.skeleton.name == "smpl22"
    np.testing.assert_allclose(clip.positions, Y_UP[:, :22], atol=1e-6)
    whole = formats.read(tmp_path / "walk_poses.npz", skeleton="smpl22").positions
    assert np.array_equal(whole, clip.positions)


def test_missing_joints_other_axes_unit_and_skeleton(tmp_path: Path) -> None:
    joints = Y_UP.copy()
    joints[2, 7, 1] = np.nan
    path = save(tmp_path, joints=joints * 1000, fps=30)
    clip = formats.read(path, up="y", scale=0.001, fps=25)
    assert clip.fps == 25 and clip.missing.nonzero().tolist() == [[2, 7]]
    np.testing.assert_allclose(clip.positions[0], Y_UP[0], atol=1e-6)
    other = save(tmp_path, joints=np.repeat(Skeleton.load("h36m17").rest[None], 3, 0), fps=30)
    assert formats.read(other, up="y", skeleton="h36m17").skeleton.name == "h36m17"
    with pytest.raises(FormatError, match=r"expected the 15 joints of skeleton 'humaneva15' \(got 17 in joints\)"):
        formats.read(other, up="y", skeleton="humaneva15")


def test_an_archive_that_was_turned_is_warned_of(tmp_path: Path) -> None:
    path = save(tmp_path, joints=Y_UP, fps=30)
    with pytest.warns(formats.ImplausibleMotionWarning, match="perhaps up='y' is right"):
        formats.read(path)


def test_parameters_alone_need_the_body_model(tmp_path: Path) -> None:
    path = save(tmp_path, poses=np.zeros((6, 156)), trans=np.zeros((6, 3)), betas=np.zeros(16), mocap_framerate=120.0)
    with pytest.raises(FormatError, match=r"SMPL parameters \(poses, .*get the model.*savez\(PATH, joints=\[T, J, 3\]"):
        formats.read(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mocap_framerate": None}, "expected the frame rate as mocap_framerate in the file; without it give fps="),
        ({"mocap_framerate": np.array([1.0, 2.0])}, "expected one number above 0 as mocap_framerate"),
        ({"mocap_framerate": np.array("fast")}, "expected one number above 0 as mocap_framerate"),
        ({"mocap_framerate": -1.0}, "expected one number above 0 as mocap_framerate"),
        ({"joints": Z_UP[0]}, r"expected numbers joints \[T, J, 3\] \(got float64 \[24, 3\]\)"),
        ({"joints": Z_UP[..., :2]}, r"expected numbers joints \[T, J, 3\]"),
        ({"joints": np.array(["a"])}, r"expected numbers joints \[T, J, 3\] \(got <U1"),
        ({"joints": Z_UP[:0]}, r"expected numbers joints \[T, J, 3\]"),
        ({"joints": Z_UP[:, :20]}, r"expected 24 joints of SMPL.*\(got 20 in joints\); give skeleton="),
        ({"joints": np.full_like(Z_UP, np.inf)}, "joints: frame 0, joint 0 is infinite"),
        ({"joints": Z_UP * np.nan}, "no point that makes up a joint is seen"),
        ({"joints": np.array([object()])}, "is no intact npz file of numbers"),
    ],
)
def test_archives_that_do_not_fit(tmp_path: Path, changes: dict, words: str) -> None:
    arrays = {key: v for key, v in {"joints": Z_UP, "mocap_framerate": 30.0, **changes}.items() if v is not None}
    path = save(tmp_path, **arrays)
    with pytest.raises(FormatError, match=words) as caught:
        formats.read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_cut_archive_and_our_own_files_are_left_to_the_plain_reader(tmp_path: Path) -> None:
    path = save(tmp_path, joints=Z_UP, mocap_framerate=30.0)
    clip = formats.read(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(FormatError, match="is no intact npz file"):
        formats.read(path)
    back = formats.read(formats.write(clip, tmp_path / "own.npz"))
    assert back.skeleton == BODY and np.array_equal(back.positions, clip.positions)
