"""The bundled clips are people: whole, upright, left on the left, walking where they face; and so converted."""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import graphpose
from graphpose.errors import FormatError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

DATA = Path(__file__).parents[2] / "data"
SAMPLES = sorted((DATA / "samples").glob("*.bvh"))
WALKS = [path for path in SAMPLES if path.stem == "run" or path.stem.startswith("walk")]
# Clips in which the person is on the feet throughout.
STANDING = ["dance_a", "dance_b", "jump", "kick", "punch", *(path.stem for path in WALKS)]

each = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)


@cache
def clip_of(path: Path) -> MotionClip:
    return graphpose.read(path)


def joint(clip: MotionClip, name: str) -> np.ndarray:
    assert clip.positions is not None
    return clip.positions[:, clip.skeleton.index(name)].double().numpy()


def tree(skeleton: Skeleton) -> set[tuple[str, str]]:
    return {(skeleton.joints[parent], skeleton.joints[child]) for parent, child in skeleton.bones}


def horizontal(vectors: np.ndarray) -> np.ndarray:
    return vectors * np.array([1.0, 0.0, 1.0])


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def facing(clip: MotionClip) -> np.ndarray:
    left = unit(horizontal(joint(clip, "left_hip") - joint(clip, "right_hip")))
    return np.cross(left, [0.0, 1.0, 0.0])


# ---------------------------------------------------------------- the files


def test_there_are_the_clips_that_the_readme_lists_and_they_are_small() -> None:
    listed = [line.split("`")[1] for line in (DATA / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert sorted(listed) == [path.name for path in SAMPLES]
    assert len(SAMPLES) == 20
    assert sum(path.stat().st_size for path in (DATA / "samples").iterdir()) < 2_000_000


def test_the_readme_gives_the_true_frames_and_seconds() -> None:
    for line in (DATA / "README.md").read_text().splitlines():
        if line.startswith("| `"):
            name, _, _, frames, seconds = (cell.strip().strip("`") for cell in line.strip("|\n ").split("|"))
            clip = clip_of(DATA / "samples" / name)
            assert (clip.frames, f"{(clip.frames - 1) / clip.fps:.2f}") == (int(frames), seconds), name


def test_both_licences_lie_beside_the_clips() -> None:
    text = (DATA / "samples" / "LICENSE.txt").read_text()
    for words in (
        "Copyright (c) 2018 Xue Bin Peng",
        "MIT License",
        "ALTERED VERSIONS",
        "This notice may not be removed",
    ):
        assert words in text


# ---------------------------------------------------------------- the people


@each
def test_clip_is_deepmimic15_at_30_fps(path: Path) -> None:
    clip = clip_of(path)
    # BVH lists joints depth first: their order, and with it the name, may differ from the bundled skeleton's.
    bundled = Skeleton.load("deepmimic15")
    assert clip.skeleton.name.startswith("deepmimic15")
    assert tree(clip.skeleton) == tree(bundled) and set(clip.skeleton.pairs) == set(bundled.pairs)
    assert clip.fps == pytest.approx(30, abs=1e-3)
    assert clip.action == path.stem
    assert not bool(clip.missing.any())


@each
def test_bone_lengths_are_constant_and_those_published(path: Path) -> None:
    clip = clip_of(path)
    published = {name: np.linalg.norm(offset) for name, _, offset in script().JOINTS}
    for parent, child in clip.skeleton.bones:
        names = clip.skeleton.joints[parent], clip.skeleton.joints[child]
        lengths = np.linalg.norm(joint(clip, names[1]) - joint(clip, names[0]), axis=-1)
        np.testing.assert_allclose(lengths, published[names[1]], atol=1e-5, err_msg=str(names))


@each
def test_person_is_on_the_floor_not_in_or_over_it(path: Path) -> None:
    clip = clip_of(path)
    assert clip.positions is not None
    lowest = clip.positions[..., 1].amin(dim=1)
    assert float(lowest.min()) > -0.07
    assert float(lowest.median()) < 0.15


@pytest.mark.parametrize("name", STANDING)
def test_standing_person_is_upright(name: str) -> None:
    clip = clip_of(DATA / "samples" / f"{name}.bvh")
    spine = unit(joint(clip, "neck") - joint(clip, "root"))
    assert np.median(spine[:, 1]) > 0.8
    lower_ankle = np.minimum(joint(clip, "left_ankle")[:, 1], joint(clip, "right_ankle")[:, 1])
    assert (joint(clip, "root")[:, 1] > lower_ankle + 0.4).all()


@pytest.mark.parametrize("path", WALKS, ids=lambda path: path.stem)
def test_walkers_travel_where_they_face(path: Path) -> None:
    clip = clip_of(path)
    steps = horizontal(np.diff(joint(clip, "root"), axis=0))
    cosine = (steps * facing(clip)[:-1]).sum() / np.linalg.norm(steps, axis=-1).sum()
    assert cosine > 0.95
    speed = np.linalg.norm(steps, axis=-1).sum() * clip.fps / len(steps)
    assert 2.5 < speed < 5 if path.stem == "run" else 0.6 < speed < 1.6


@pytest.mark.parametrize(("name", "sign"), [("left0", 1), ("left1", 1), ("right0", -1), ("right1", -1)])
def test_turns_go_to_the_side_of_their_name(name: str, sign: int) -> None:
    front = facing(clip_of(DATA / "samples" / f"walk_turn_{name}.bvh"))
    turn = np.cross(front[0], front[-1])[1]  # counter-clockwise seen from above is a turn to the left
    assert sign * turn > 0.2


@each
def test_knees_bend_forward_and_elbows_backward(path: Path) -> None:
    clip = clip_of(path)
    assert clip.rotations is not None
    for side in ("left", "right"):
        for upper, middle, lower, sign in (("hip", "knee", "ankle", 1), ("shoulder", "elbow", "wrist", -1)):
            straight = (joint(clip, f"{side}_{upper}") + joint(clip, f"{side}_{lower}")) / 2
            forward = clip.rotations[:, clip.skeleton.index(f"{side}_{upper}"), :, 2].double().numpy()
            bend = sign * ((joint(clip, f"{side}_{middle}") - straight) * forward).sum(-1)
            assert bend.min() > -0.05, (side, middle)  # the originals hyperextend knees by up to 13 degrees
            assert np.median(bend) > 0, (side, middle)


@each
def test_left_and_right_keep_their_sides_of_the_trunk(path: Path) -> None:
    clip = clip_of(path)
    assert clip.rotations is not None
    for frame, middle in (("root", "hip"), ("chest", "shoulder")):
        left = clip.rotations[:, clip.skeleton.index(frame), :, 0].double().numpy()
        across = ((joint(clip, f"left_{middle}") - joint(clip, f"right_{middle}")) * left).sum(-1)
        assert across.min() > 0.1


@pytest.mark.parametrize("path", WALKS, ids=lambda path: path.stem)
def test_clip_faces_as_its_hips_say(path: Path) -> None:
    clip = clip_of(path)
    np.testing.assert_allclose(clip.facing().double().numpy(), facing(clip), atol=1e-4)


@each
def test_clip_maps_to_human36m_with_human_bones(path: Path) -> None:
    clip = clip_of(path).to("h36m17")
    assert clip.skeleton.name == "h36m17" and clip.positions is not None
    assert clip.positions.shape == (len(clip), 17, 3) and bool(clip.positions.isfinite().all())
    lengths = clip.bone_lengths().double().numpy()
    assert np.ptp(lengths, axis=0).max() < 1e-4
    # From half the width of the hips (0.085 m) to the thigh (0.422 m).
    assert lengths.min() > 0.08 and lengths.max() < 0.45


# ---------------------------------------------------------------- the conversion


@cache
def script() -> ModuleType:
    path = DATA / "convert_deepmimic.py"
    spec = importlib.util.spec_from_file_location("convert_deepmimic", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


IDENTITY = [1.0, 0.0, 0.0, 0.0]
GOOD = [0.1] * 44


def frame(
    duration: float = 0.1, position: tuple[float, float, float] = (0.0, 1.0, 0.0), /, **joints: list[float]
) -> list[float]:
    values = [duration, *position]
    for name, width in script().LAYOUT:
        values += joints.get(name, IDENTITY if width == 4 else [0.0])
    return values


def motion_file(folder: Path, frames: object, name: str = "humanoid3d_test.txt") -> Path:
    path = folder / name
    path.write_text(json.dumps({"Loop": "none", "Frames": frames}))
    return path


def converted(folder: Path, frames: list[list[float]], fps: float = 10.0) -> MotionClip:
    motion_file(folder, frames)
    assert script().main([str(folder), str(folder / "out"), "--fps", str(fps)]) == 0
    return graphpose.read(folder / "out" / "test.bvh")


# A motion this short and abstract may well look implausible to the reader; that is not the point here.
lenient = pytest.mark.filterwarnings("ignore::UserWarning")


@lenient
def test_rest_pose_stands_facing_z_with_left_along_x(tmp_path: Path) -> None:
    clip = converted(tmp_path, [frame(), frame()])
    assert len(clip) == 2 and clip.fps == pytest.approx(10)
    np.testing.assert_allclose(joint(clip, "left_hip")[0], [0.084887, 1, 0], atol=2e-6)
    np.testing.assert_allclose(joint(clip, "right_shoulder")[0], [-0.18311, 1.479651, -0.02405], atol=2e-6)
    np.testing.assert_allclose(joint(clip, "left_wrist")[0], [0.18311, 0.945916, -0.02405], atol=2e-6)
    np.testing.assert_allclose(facing(clip), [[0, 0, 1]] * 2, atol=1e-6)


@lenient
def test_forward_is_forward_and_hinges_bend_the_right_way(tmp_path: Path) -> None:
    bent = {"left_knee": [-np.pi / 2], "right_elbow": [np.pi / 2]}
    clip = converted(tmp_path, [frame(), frame(0.1, (1.0, 1.0, 0.5), **bent)])
    np.testing.assert_allclose(joint(clip, "root")[1], [-0.5, 1, 1], atol=2e-6)  # 1 m ahead, 0.5 m to its right
    left_shin = joint(clip, "left_ankle")[1] - joint(clip, "left_knee")[1]
    np.testing.assert_allclose(left_shin, [0, 0, -0.40987], atol=1e-5)  # the heel goes back
    right_forearm = joint(clip, "right_wrist")[1] - joint(clip, "right_elbow")[1]
    np.testing.assert_allclose(right_forearm, [0, 0, 0.258947], atol=1e-5)  # the hand comes forward
    right_shin = joint(clip, "right_ankle")[1] - joint(clip, "right_knee")[1]
    np.testing.assert_allclose(right_shin, [0, -0.40987, 0], atol=1e-5)


@lenient
def test_rotations_pass_down_the_chain_and_need_not_be_unit_quaternions(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    to_left = [0.6 * half, 0.0, 0.6 * half, 0.0]  # 90 degrees about +Y, of length 0.6
    clip = converted(tmp_path, [frame(), frame(root=to_left, left_elbow=[np.pi / 2])])
    np.testing.assert_allclose(facing(clip)[1], [1, 0, 0], atol=1e-5)
    forearm = joint(clip, "left_wrist")[1] - joint(clip, "left_elbow")[1]
    np.testing.assert_allclose(forearm, [0.258947, 0, 0], atol=1e-5)


@lenient
def test_resampling_takes_the_shorter_arc_and_keeps_time(tmp_path: Path) -> None:
    end = [-np.cos(0.4), 0.0, 0.0, -np.sin(0.4)]  # 0.8 rad about z, given as the negative quaternion
    clip = converted(tmp_path, [frame(0.05), frame(0.15), frame(9.0, (2.0, 1.0, 0.0), chest=end)], 20.0)
    assert len(clip) == 5  # 0.2 s; the duration of the last frame leads nowhere
    np.testing.assert_allclose(joint(clip, "root")[:, 2], [0, 0, 2 / 3, 4 / 3, 2], atol=2e-6)
    lean = joint(clip, "neck") - joint(clip, "chest")
    angle = np.arctan2(-lean[:, 2], lean[:, 1])  # about DeepMimic's z the trunk leans back
    np.testing.assert_allclose(angle, [0, 0, 0.8 / 3, 1.6 / 3, 0.8], atol=2e-5)


@lenient
def test_written_file_has_the_positions_of_the_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(6):
        x, y, z = rng.normal(size=3)
        rotations = {name: rng.normal(size=width).tolist() for name, width in script().LAYOUT}
        frames.append(frame(0.1, (x, y, z), **rotations))
    clip = converted(tmp_path, frames)
    source = script().load_motion(tmp_path / "humanoid3d_test.txt")
    expected = script().forward_kinematics(source, script().OFFSETS) @ script().TO_OURS.T
    for index, name in enumerate(script().NAMES):
        np.testing.assert_allclose(joint(clip, name), expected[:, index], atol=5e-5, err_msg=name)


def test_euler_angles_survive_gimbal_lock() -> None:
    half = np.sqrt(0.5)
    for y in (half, -half):
        quaternion = np.array(
            [[[half * np.cos(0.2), half * np.sin(0.2), y * np.cos(0.2), -y * np.sin(0.2)]]]
        )  # Ry(+-90) Rx
        z, turned, x = np.radians(script().euler_zyx(quaternion)[0, 0])
        axes = np.eye(3)
        parts = [np.concatenate([[np.cos(a / 2)], np.sin(a / 2) * axes[i]]) for a, i in ((z, 2), (turned, 1), (x, 0))]
        rz, ry, rx = (script().rotation_matrices(part) for part in parts)
        np.testing.assert_allclose(rz @ ry @ rx, script().rotation_matrices(quaternion)[0, 0], atol=1e-7)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([GOOD, GOOD[:-1]], r"frame 1: expected 44 numbers of a humanoid3d motion \(got 43\)"),
        ([GOOD, 7], r"frame 1: expected 44 numbers of a humanoid3d motion \(got int\)"),
        ([GOOD, [0.1] * 43 + ["x"]], "frame 1: expected finite numbers only"),
        ([GOOD, [0.1] * 43 + [float("nan")]], "frame 1: expected finite numbers only"),
        ([[0.0] + [0.1] * 43, GOOD], r"frame 0: expected a positive duration \(got 0 s\)"),
        ([GOOD, [0.1] * 8 + [0.0] * 4 + [0.1] * 32], r"frame 1, chest: expected a quaternion \(got one of length 0\)"),
        ([GOOD], "at least 2 frames"),
        ("no list", "at least 2 frames"),
    ],
)
def test_bad_motion_is_refused_by_name_and_frame(tmp_path: Path, frames: object, message: str) -> None:
    path = motion_file(tmp_path, frames)
    with pytest.raises(FormatError, match=message) as caught:
        script().load_motion(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_broken_json_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "humanoid3d_cut.txt"
    path.write_text('{"Frames":\n[[0.1, 0.2')
    with pytest.raises(FormatError, match=r"humanoid3d_cut\.txt:2: expected JSON"):
        script().load_motion(path)


def test_command_line_answers_bad_input_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script().main([str(tmp_path), str(tmp_path / "out")]) == 1
    motion_file(tmp_path, [[0.1] * 20] * 3)
    assert script().main([str(tmp_path), str(tmp_path / "out")]) == 1
    nothing, short = capsys.readouterr().err.splitlines()
    assert nothing.startswith("error:") and "expected humanoid3d_*.txt" in nothing
    assert short.startswith("error:") and "(got 20)" in short
    with pytest.raises(SystemExit):
        script().main([str(tmp_path), str(tmp_path / "out"), "--fps", "0"])
