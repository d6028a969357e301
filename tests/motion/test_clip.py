"""Clips: what is refused, slicing, resampling, gap filling, mapping, cameras, statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import shared_path

from graphpose import formats
from graphpose.errors import DataError, SkeletonError
from graphpose.geometry import Camera
from graphpose.motion import MotionClip
from graphpose.skeleton import JointMapping, Skeleton

BODY = Skeleton(
    "small",
    ("pelvis", "left_hip", "right_hip", "neck"),
    (-1, 0, 0, 0),
    pairs=(("left_hip", "right_hip"),),
)


def walking(frames: int = 13, fps: float = 120.0, **changes: object) -> MotionClip:
    """Walks along +Z, facing it."""
    time = torch.arange(frames) / fps
    rest = torch.tensor([[0.0, 1.0, 0.0], [0.1, 0.9, 0.0], [-0.1, 0.9, 0.0], [0.0, 1.5, 0.0]])
    positions = rest + torch.stack([torch.zeros(frames), torch.zeros(frames), 1.5 * time], -1)[:, None]
    turns = roma.rotvec_to_rotmat(torch.stack([0 * time, 2 * time, 0 * time], -1))[:, None].expand(-1, 4, 3, 3)
    return MotionClip(
        **{"skeleton": BODY, "fps": fps, "positions": positions, "rotations": turns, "name": "w", **changes}
    )


def one_infinite() -> torch.Tensor:
    """Positions with a missing joint before, and one infinite number."""
    positions = torch.zeros(13, 4, 3)
    positions[1, 1], positions[2, 3, 1] = math.nan, -math.inf
    return positions


def test_arrays_become_float32_tensors() -> None:
    clip = MotionClip(BODY, 30, positions=np.zeros((5, 4, 3)), keypoints=np.zeros((5, 4, 2), dtype=np.int64))
    assert clip.positions.dtype == clip.keypoints.dtype == torch.float32
    assert (len(clip), clip.frames, clip.fps, clip.duration) == (5, 5, 30.0, 5 / 30)
    assert not clip.missing.any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fps": 0.0}, "fps above 0"),
        ({"fps": math.nan}, "fps above 0"),
        ({"positions": torch.zeros(5, 3, 3)}, r"expected positions \[T, 4, 3\]"),
        ({"positions": torch.zeros(0, 4, 3), "rotations": None}, "at least one frame"),
        ({"keypoints": torch.zeros(7, 4, 2)}, "13 frames"),
        ({"confidence": torch.full((13, 4), 1.5)}, r"confidence in \[0, 1\]"),
        ({"positions": one_infinite()}, "infinite positions in frame 2, joint "),
        ({"positions": torch.full((13, 4, 3), math.inf)}, "infinite positions in frame 0, joint 'pelvis'"),
        ({"positions": None}, "positions or keypoints"),
        ({"space": "moon"}, "'world' or 'camera'"),
    ],
)
def test_bad_clips_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        walking(**changes)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(DataError) as caught:
        walking(fps=-1.0, keypoints=torch.zeros(7, 4, 2), name="bad")
    assert "'bad'" in str(caught.value) and "fps" in str(caught.value) and "keypoints" in str(caught.value)


def test_replace_names_the_nearest_field() -> None:
    with pytest.raises(DataError, match="did you mean 'subject'"):
        walking().replace(subjekt="01")


def test_slices() -> None:
    clip = walking()
    part = clip[2:10:2]
    assert (part.frames, part.fps) == (4, 60.0)
    assert torch.equal(part.positions, clip.positions[2:10:2])
    for bad in (slice(5, 5), slice(20, 30), slice(None, None, -1)):
        with pytest.raises(DataError):
            clip[bad]
    with pytest.raises(TypeError):
        clip[3]


def test_resampling_to_a_divisor_picks_frames() -> None:
    clip = walking()
    assert torch.equal(clip.resample(120).positions, clip.positions)
    third = clip.resample(40)
    assert third.fps == 40 and torch.equal(third.positions, clip.positions[::3])
    assert torch.equal(third.rotations, clip.rotations[::3])


@settings(max_examples=30, deadline=None)
@given(fps=st.floats(5, 300), frames=st.integers(1, 40))
def test_resampling_is_exact_on_uniform_motion(fps: float, frames: int) -> None:
    clip = walking(frames, fps=60.0)
    new = clip.resample(fps)
    assert new.fps == fps
    assert abs((new.frames - 1) / fps - (frames - 1) / 60) < max(1 / fps, 1 / 60) + 1e-6
    time = torch.arange(new.frames, dtype=torch.float64) / fps
    assert torch.allclose(new.positions[:, 0, 2].double(), 1.5 * time, atol=1e-5)
    angle = roma.rotmat_to_rotvec(new.rotations[:, 0])[:, 1].double()
    assert torch.allclose(angle, 2 * time, atol=1e-3)  # a constant turn stays constant along the arc


def test_resampling_keeps_missing_joints_missing() -> None:
    clip = walking(9, fps=40.0)
    clip.positions[4, 1] = math.nan
    new = clip.resample(60)
    gone = new.missing[:, 1].nonzero().flatten().tolist()
    assert gone == [5, 6, 7]  # 5 and 7 lie between a known and the missing frame
    assert not new.missing[:, [0, 2, 3]].any()
    assert clip.resample(80).missing[:, 1].nonzero().flatten().tolist() == [7, 8, 9]  # frames 3.5, 4 and 4.5
    for bad in (0, -1, math.inf):
        with pytest.raises(DataError, match="fps above 0"):
            clip.resample(bad)


def test_a_moving_camera_follows_the_frames() -> None:
    eyes = torch.stack([torch.linspace(-1, 1, 13), torch.full((13,), 1.5), torch.full((13,), -4.0)], -1)
    camera = Camera.stack([Camera.look_at(eye, torch.tensor([0.0, 1.0, 0.0])) for eye in eyes])
    clip = walking().seen_by(camera)
    assert clip.keypoints.shape == (13, 4, 2)
    part = clip[3:9]
    assert torch.equal(part.camera.position, camera.position[3:9])
    assert torch.allclose(part.seen_by(part.camera).keypoints, part.keypoints)
    slow = clip.resample(80)
    assert slow.camera.position.shape == (slow.frames, 3)
    assert torch.allclose(slow.camera.position[1], (eyes[1] + eyes[2]) / 2, atol=1e-6)


def test_gaps_are_filled_up_to_a_length() -> None:
    clip = walking()
    truth = clip.positions.clone()
    clip.positions[3:5, 1] = math.nan
    clip.positions[6:10, 2] = math.nan
    clip.positions[0, 3] = math.nan
    clip.rotations[3:5, 1] = math.nan
    short = clip.fill_gaps(2)
    assert torch.allclose(short.positions[:, 1], truth[:, 1], atol=1e-5)
    assert torch.allclose(short.rotations[3:5, 1], walking().rotations[3:5, 1], atol=1e-5)
    assert short.missing[6:10, 2].all() and short.missing[0, 3]
    every = clip.fill_gaps()
    assert torch.allclose(every.positions[1:], truth[1:], atol=1e-5) and every.missing[0, 3]
    assert clip.missing.sum() == 7  # the clip itself is left alone
    with pytest.raises(DataError, match="max_gap"):
        clip.fill_gaps(-1)


def test_filled_keypoints_have_no_confidence() -> None:
    keypoints = torch.zeros(3, 4, 2)
    keypoints[1, 2] = math.nan
    clip = MotionClip(BODY, 10, keypoints=keypoints, confidence=torch.full((3, 4), 0.9)).fill_gaps()
    assert not clip.missing.any()
    assert clip.confidence[1, 2] == 0 and (clip.confidence == 0).sum() == 1


def test_mapping_by_weights() -> None:
    target = Skeleton("two", ("mid", "head"), (-1, 0))
    mapping = JointMapping("small", "two", {"mid": {"left_hip": 0.5, "right_hip": 0.5}, "head": {"neck": 1.0}})
    clip = walking(keypoints=torch.rand(13, 4, 2), confidence=torch.tensor([1.0, 0.3, 0.8, 0.5]).expand(13, 4))
    clip.positions[2, 3] = math.nan
    moved = clip.to(target, mapping)
    assert moved.skeleton == target and moved.rotations is None
    assert torch.allclose(moved.positions[:, 0], clip.positions[:, 1:3].mean(1))
    assert torch.allclose(moved.keypoints[:, 0], clip.keypoints[:, 1:3].mean(1))
    assert torch.equal(moved.confidence[0], torch.tensor([0.3, 0.5]))
    assert moved.missing.nonzero().tolist() == [[2, 1]]  # NaN reaches only the joint that uses it
    with pytest.raises(SkeletonError, match="no mapping"):
        clip.to(target)
    assert clip.to(BODY) is clip


def test_mapping_with_an_offset_needs_rotations() -> None:
    target = Skeleton("two", ("mid", "top"), (-1, 0))
    mapping = JointMapping(
        "small", "two", {"mid": {"pelvis": 1.0}, "top": {"neck": 1.0}}, points={"top": (0.0, 0.2, 0.1)}
    )
    clip = walking()
    moved = clip.to(target, mapping)
    expected = clip.positions[:, 3] + clip.rotations[:, 3] @ torch.tensor([0.0, 0.2, 0.1])
    assert torch.allclose(moved.positions[:, 1], expected, atol=1e-6)
    with pytest.raises(DataError, match=r"top of 'two'.*rotations"):
        clip.replace(rotations=None).to(target, mapping)
    with pytest.raises(DataError, match="keypoints"):
        clip.replace(keypoints=torch.zeros(13, 4, 2)).to(target, mapping)


def test_the_extent_is_the_height_of_the_body_wherever_its_root_stands() -> None:
    names = ["ground", "hips", "head", "l_hand", "r_hand", "l_foot", "r_foot"]
    parents = [-1, 0, 1, 1, 1, 1, 1]
    skeleton = Skeleton.from_parents(parents, names, [("l_hand", "r_hand"), ("l_foot", "r_foot")], name="marked")
    hips = torch.tensor([0.0, 0.9, 0.0])
    rest = torch.stack([0 * hips, hips, hips + torch.tensor([0, 0.7, 0])] + [hips] * 4)
    for joint, offset in ((3, [1.2, 0, 0]), (4, [-1.2, 0, 0]), (5, [0, -0.9, 0]), (6, [0, -0.9, 0])):
        rest[joint] += torch.tensor(offset)
    positions = rest.repeat(30, 1, 1)
    extents = []
    for speed in (0.0, 0.001, 0.2):  # metres a frame, away from the mark
        walked = positions.clone()
        walked[:, 1:, 2] += speed * torch.arange(30.0)[:, None]
        extents.append(MotionClip(skeleton, 30, positions=walked).summary()["extent"])
    # hand and hips 1.2 + 0.7 to the head; a bone to the mark of fixed length is taken for one of the body
    assert extents == pytest.approx([2.1, 1.9, 1.9], abs=1e-5)


@pytest.mark.parametrize(
    "path",
    [
        "bandai-namco/1/dataset-1_walk_normal_001.bvh",
        "bandai-namco/1/dataset-1_dash_normal_001.bvh",
        "bandai-namco/1/dataset-1_bow_normal_001.bvh",
        "bandai-namco/1/dataset-1_bye_normal_001.bvh",
        "bandai-namco/2/dataset-2_walk_normal_011.bvh",
        "cmu/02/02_01.amc",
        "cmu/05/05_01.amc",
    ],
)
def test_recorded_people_are_as_large_as_people(path: str) -> None:
    assert 1.4 < formats.read(shared_path(f"mocap/{path}")).summary()["extent"] < 1.9


def test_facing_and_bones() -> None:
    clip = walking()
    assert torch.allclose(clip.facing(), torch.tensor([0.0, 0.0, 1.0]).expand(13, 3))
    assert torch.allclose(clip.bone_lengths()[0], torch.tensor([math.hypot(0.1, 0.1)] * 2 + [0.5]), atol=1e-6)
    facts = clip.summary()
    assert facts["frames"] == 13 and facts["bone_change"] < 1e-5
    assert facts["travel"] == pytest.approx(1.5 * 12 / 120, abs=1e-5)
    assert facts["extent"] == pytest.approx(0.5 + math.hypot(0.1, 0.1), abs=1e-5)
    upright = clip.positions.clone()
    upright[0, 1] = upright[0, 2] + torch.tensor([0.0, 0.2, 0.0])
    assert clip.replace(positions=upright).facing().isnan().any(-1).tolist() == [True] + [False] * 12
    with pytest.raises(DataError, match="no left/right pairs"):
        MotionClip(Skeleton("line", ("a", "b"), (-1, 0)), 30, positions=torch.zeros(2, 2, 3)).facing()
    with pytest.raises(DataError, match="keypoints only"):
        MotionClip(BODY, 30, keypoints=torch.zeros(2, 4, 2)).bone_lengths()


def test_joints_behind_the_camera_are_missing() -> None:
    camera = Camera.look_at(torch.tensor([0.0, 1.0, 0.05]), torch.tensor([0.0, 1.0, 5.0]))
    clip = walking(60).seen_by(camera)
    behind = clip.positions[..., 2] <= 0.05
    assert behind.any() and not behind.all()
    assert torch.equal(clip.keypoints.isnan().any(-1), behind)
    with pytest.raises(DataError, match="world positions"):
        walking(space="camera").seen_by(camera)
