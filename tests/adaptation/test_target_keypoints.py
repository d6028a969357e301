"""The target's keypoints: what counts as visible and usable, cameras, rates, draws, and that no 3D is read."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphpose.adaptation.target_keypoints import TargetKeypoints, TargetWindows
from graphpose.errors import ConfigError, DataError, SkeletonError
from graphpose.geometry import Camera, orbit_camera, static_views
from graphpose.motion import MotionClip
from graphpose.skeleton import JointMapping, Skeleton

H36M, COCO = Skeleton.load("h36m17"), Skeleton.load("coco17")
STICK = Skeleton("stick", ("middle", "left", "right", "tip", "end"), (-1, 0, 0, 0, 3))


def rested(skeleton: Skeleton, frames: int = 12, fps: float = 30.0, name: str = "a", seed: int = 0) -> MotionClip:
    """The rest pose, trembling while it walks along x: every frame is another."""
    generator = torch.Generator().manual_seed(seed)
    path = torch.zeros(frames, 1, 3)
    path[:, 0, 0] = torch.arange(frames) * 0.02
    rest = torch.tensor(np.array(skeleton.rest), dtype=torch.float32)
    positions = rest + 0.02 * torch.randn(frames, *rest.shape, generator=generator) + path
    return MotionClip(skeleton, fps, positions=positions, name=name)


def seen(clip: MotionClip, focal: float = 1.6) -> MotionClip:
    return clip.seen_by(static_views(torch.tensor([0.0, 1.0, 0.0]), (20.0,), distance=4.0, height=2.0, focal=focal)[0])


def counting(frames: int, fps: float, name: str = "counting") -> MotionClip:
    """Bare keypoints whose frame number is the x of the root, in thousandths."""
    keypoints = 0.1 * torch.randn(frames, 5, 2, generator=torch.Generator().manual_seed(frames))
    keypoints[:, 0, 0] = torch.arange(frames) / 1000
    return MotionClip(STICK, fps, keypoints=keypoints, name=name)


def numbers(windows: TargetWindows) -> Tensor:
    return (windows.keypoints[:, :, 0, 0] * 1000).round().long()


# ---------------------------------------------------------------------------------------------------- what is read


def test_keypoints_visibility_and_camera_of_a_clip():
    clip = seen(rested(H36M))
    target = TargetKeypoints.from_clips([clip], H36M, fps=30)
    assert clip.keypoints is not None and clip.camera is not None
    torch.testing.assert_close(target.keypoints, clip.keypoints)
    assert bool(target.visible.all()) and bool(target.usable.all())
    torch.testing.assert_close(target.intrinsics, torch.tensor([1.6, 1.6, 0.0, 0.0]).expand(12, 4))
    assert repr(target) == "TargetKeypoints(1 clip, 12 frames, 12 usable, h36m17 at 30 fps)"


@pytest.mark.parametrize("poison", ["nothing", "nan", "garbage"])
def test_no_3d_of_the_target_is_read(poison: str):
    clips = [seen(rested(H36M, name=name, seed=i)) for i, name in enumerate("ab")]
    poisoned = []
    for clip in clips:
        assert clip.positions is not None
        worse = {
            "nothing": None,
            "nan": torch.full_like(clip.positions, math.nan),
            "garbage": 1e30 * torch.randn_like(clip.positions),
        }[poison]
        poisoned.append(clip.replace(positions=worse))
    for skeleton in (H36M, STICK):
        mapping = None
        if skeleton is STICK:
            names = ("pelvis", "Lhip", "Rhip", "thorax", "head")
            mapping = JointMapping("h36m17", "stick", {j: {n: 1.0} for j, n in zip(STICK.joints, names, strict=True)})
        pair = [TargetKeypoints.from_clips(c, skeleton, fps=25, mapping=mapping) for c in (clips, poisoned)]
        for name in ("keypoints", "visible", "usable", "intrinsics"):
            assert torch.equal(*(getattr(target, name) for target in pair))
        windows = [target.draw(9, 5, torch.Generator().manual_seed(1)) for target in pair]
        assert all(torch.equal(a, b) for a, b in zip(*windows, strict=True))


def test_keypoints_of_fewer_joints_through_the_bundled_mapping():
    clip = seen(rested(COCO))
    assert clip.keypoints is not None
    keypoints = clip.keypoints.clone()
    keypoints[:4, COCO.index("left_ear")] = math.nan
    target = TargetKeypoints.from_clips([clip.replace(keypoints=keypoints, positions=None)], H36M, fps=30)
    hips = [COCO.index("left_hip"), COCO.index("right_hip")]
    torch.testing.assert_close(target.keypoints[:, H36M.index("pelvis")], clip.keypoints[:, hips].mean(1))
    head = H36M.index("head")
    assert not bool(target.visible[:4, head].any()) and bool(target.visible[4:, head].all())
    assert bool((target.keypoints[:4, head] == 0).all())
    assert bool(target.usable.all())


def test_joints_that_a_skeleton_without_a_mapping_has_not_are_missing():
    small = Skeleton("arm", ("thorax", "pelvis", "Lshoulder", "Lelbow"), (1, -1, 0, 2))
    clip = MotionClip(small, 30, keypoints=0.3 * torch.randn(6, 4, 2), confidence=torch.ones(6, 4), name="bare")
    target = TargetKeypoints.from_clips([clip], H36M, fps=30, focal=1.5)
    shown = [H36M.joints[j] for j in target.visible[0].nonzero()[:, 0]]
    assert shown == ["pelvis", "thorax", "Lshoulder", "Lelbow"]
    assert clip.keypoints is not None
    torch.testing.assert_close(target.keypoints[:, H36M.index("Lelbow")], clip.keypoints[:, 3])
    assert "missing throughout: Rhip, Rknee" in repr(target)
    with pytest.raises(SkeletonError, match="no mapping from skeleton 'stick' to 'h36m17'"):
        TargetKeypoints.from_clips([counting(5, 30)], H36M, fps=30, focal=1.5)


def test_low_confidence_is_missing():
    clip = counting(6, 30)
    confidence = torch.ones(6, 5)
    confidence[0, 2] = 0.29
    confidence[1, 2] = 0.3
    confidence[2, 0] = 0.0  # the root
    confidence[3, 1:3] = 0.1  # three are left
    target = TargetKeypoints.from_clips([clip.replace(confidence=confidence)], STICK, fps=30, focal=1.0)
    assert target.visible[:, 2].tolist() == [False, True, True, False, True, True]
    assert target.keypoints[0, 2].tolist() == [0, 0]
    assert target.usable.tolist() == [True, True, False, False, True, True]
    every = TargetKeypoints.from_clips(
        [clip.replace(confidence=confidence)], STICK, fps=30, focal=1.0, min_confidence=0
    )
    assert bool(every.visible.all())


def test_a_box_without_size_is_not_usable():
    clip = counting(3, 30)
    assert clip.keypoints is not None
    keypoints = clip.keypoints.clone()
    keypoints[1] = 0.2
    target = TargetKeypoints.from_clips([clip.replace(keypoints=keypoints)], STICK, fps=30, focal=1.0)
    assert target.usable.tolist() == [True, False, True]


# ------------------------------------------------------------------------------------------------------- cameras


def test_pixels_are_normalised_and_so_is_their_camera():
    clip = seen(rested(H36M))
    assert clip.camera is not None and clip.keypoints is not None
    inside = Camera(
        clip.camera.rotation,
        clip.camera.position,
        torch.tensor([800.0, 840.0]),
        torch.tensor([510.0, 300.0]),
        width=1000,
        height=600,
    )
    target = TargetKeypoints.from_clips([clip.seen_by(inside)], H36M, fps=30)
    torch.testing.assert_close(target.intrinsics[0], torch.tensor([1.6, 1.68, 0.02, 0.0]))
    expected = clip.keypoints * torch.tensor([1.0, 1.05]) + torch.tensor([0.02, 0.0])
    torch.testing.assert_close(target.keypoints, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(DataError, match="for pixels give the clip a camera with width and height"):
        TargetKeypoints.from_clips([clip.seen_by(inside).replace(camera=None, positions=None)], H36M, fps=30, focal=1.6)


def test_lens_distortion_is_taken_off():
    clip = seen(rested(H36M))
    assert clip.camera is not None and clip.keypoints is not None
    lens = Camera(clip.camera.rotation, clip.camera.position, clip.camera.focal, radial=torch.tensor([-0.2, 0.1, 0.0]))
    bent = clip.seen_by(lens)
    assert bent.keypoints is not None and float((bent.keypoints - clip.keypoints).abs().max()) > 1e-3
    target = TargetKeypoints.from_clips([bent], H36M, fps=30)
    torch.testing.assert_close(target.keypoints, clip.keypoints, atol=1e-5, rtol=1e-5)


def test_a_camera_of_each_clip_and_one_that_moves():
    still = seen(rested(H36M, frames=5, name="still"), focal=1.2)
    orbit = orbit_camera(torch.tensor([0.0, 1.0, 0.0]), 7, distance=4.0, height=2.0, focal=2.0)
    zoom = Camera(orbit.rotation, orbit.position, orbit.focal * torch.linspace(1, 2, 7)[:, None])
    target = TargetKeypoints.from_clips([still, rested(H36M, frames=7).seen_by(zoom)], H36M, fps=30)
    torch.testing.assert_close(target.intrinsics[:5, 0], torch.full((5,), 1.2))
    torch.testing.assert_close(target.intrinsics[5:, 0], 2 * torch.linspace(1, 2, 7))
    windows = target.draw(40, 3)
    assert set(windows.intrinsics[:, 0].tolist()) <= set(target.intrinsics[:, 0].tolist())


def test_clips_without_a_camera_take_the_focal_length_given():
    clips = [counting(4, 30), counting(5, 30).replace(name="other")]
    target = TargetKeypoints.from_clips(clips, STICK, fps=30, focal=1.75)
    assert target.focal_length() == "focal length 1.75 (given)"
    assert target.intrinsics.tolist() == [[1.75, 1.75, 0.0, 0.0]] * 9
    with pytest.raises(DataError, match=r"'counting' \(2 of 2 clips\) has no camera: expected target.focal"):
        TargetKeypoints.from_clips(clips, STICK, fps=30)


def test_the_focal_length_can_be_estimated():
    generator = torch.Generator().manual_seed(0)
    rest = torch.tensor(np.array(H36M.rest), dtype=torch.float32)
    places = torch.rand(60, 1, 3, generator=generator) * torch.tensor([3.0, 0.0, 3.0])
    camera = Camera.look_at([0.0, 3.0, -4.0], [1.0, 0.9, 1.5], focal=1.4)
    clip = MotionClip(H36M, 30, positions=rest + places).seen_by(camera)
    bare = clip.replace(positions=None, camera=None)
    target = TargetKeypoints.from_clips([bare, seen(rested(H36M), focal=2.0)], H36M, fps=30, focal="estimate")
    assert float(target.intrinsics[0, 0]) == pytest.approx(1.4, rel=0.03)
    torch.testing.assert_close(target.intrinsics[60:, 0], torch.full((12,), 2.0))
    assert "focal length 1.4" in repr(target)
    assert re.fullmatch(r"focal length 1.4\d? \(estimated\) and 2 \(of the files\)", target.focal_length())


# --------------------------------------------------------------------------------------------------------- draws


@given(st.integers(0, 10**6), st.sampled_from([12.5, 15.0, 25.0, 29.97, 30.0, 60.0, 120.0]), st.integers(1, 31))
def test_windows_at_another_rate_take_the_nearest_frames(seed: int, rate: float, frames: int):
    target = TargetKeypoints.from_clips([counting(140, rate)], STICK, fps=30, focal=1.0)
    number = numbers(target.draw(20, frames, torch.Generator().manual_seed(seed)))
    steps = number.diff(dim=1).double()
    assert bool((steps >= 0).all()) and bool((steps <= math.ceil(rate / 30)).all())
    span = (number - number[:, :1]).double() / rate  # seconds of the target since the first frame
    inside = (frames + 1) * rate / 30 + 2 <= 140  # else ends are repeated
    if inside:
        wanted = torch.arange(frames).double() / 30
        assert float((span - wanted).abs().max()) <= 1 / rate + 1e-9


def test_half_and_double_rate_by_hand():
    slow = numbers(TargetKeypoints.from_clips([counting(3, 15)], STICK, fps=30, focal=1.0).draw(30, 5))
    assert {tuple(row) for row in slow.tolist()} <= {(0, 1, 1, 2, 2), (0, 0, 1, 1, 2)}
    fast = numbers(TargetKeypoints.from_clips([counting(9, 60)], STICK, fps=30, focal=1.0).draw(30, 4))
    assert {tuple(row) for row in fast.tolist()} <= {(i, i + 2, i + 4, i + 6) for i in range(3)}


def test_short_clips_repeat_their_ends_and_clips_are_not_mixed():
    clips = [counting(3, 30), counting(20, 30)]
    assert clips[1].keypoints is not None
    clips[1].keypoints[:, 0, 0] += 0.1  # frames 100 to 119
    target = TargetKeypoints.from_clips(clips, STICK, fps=30, focal=1.0)
    number = numbers(target.draw(300, 7, torch.Generator().manual_seed(0)))
    short = number[:, 0] < 100
    assert {tuple(row) for row in number[short].tolist()} == {
        (0, 0, 0, 0, 1, 2, 2),
        (0, 0, 0, 1, 2, 2, 2),
        (0, 0, 1, 2, 2, 2, 2),
    }
    long = number[~short]
    assert bool((long >= 100).all()) and bool((long.diff(dim=1) == 1).all())  # within the clip, so nothing is repeated
    assert set(long[:, 0].tolist()) == set(range(100, 114))


@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from([20.0, 30.0, 47.0, 60.0]))
def test_each_window_has_a_usable_frame_and_in_the_middle_where_it_fits(seed: int, frames: int, rate: float):
    clip = counting(40, rate)
    assert clip.keypoints is not None
    keypoints = clip.keypoints.clone()
    keypoints[torch.rand(40, generator=torch.Generator().manual_seed(seed)) < 0.9] = math.nan
    keypoints[20] = 0.1 * torch.arange(10.0).view(5, 2)
    target = TargetKeypoints.from_clips([clip.replace(keypoints=keypoints)], STICK, fps=30, focal=1.0)
    windows = target.draw(25, frames, torch.Generator().manual_seed(seed))
    usable = windows.visible[..., 0]  # of a frame all joints are missing, or none
    assert bool(usable.any(1).all())
    assert bool((windows.keypoints[~windows.visible] == 0).all())
    only = TargetKeypoints.from_clips(
        [clip.replace(keypoints=keypoints.masked_fill((torch.arange(40) != 20)[:, None, None], math.nan))],
        STICK,
        fps=30,
        focal=1.0,
    )
    assert bool(only.draw(5, frames).visible[:, frames // 2].all())


def test_draws_are_reproducible():
    target = TargetKeypoints.from_clips([counting(100, 30)], STICK, fps=30, focal=1.0)
    torch.manual_seed(3)
    first = target.draw(8, 5)
    other = target.draw(8, 5)
    torch.manual_seed(3)
    again = target.draw(8, 5)
    assert torch.equal(first.keypoints, again.keypoints) and not torch.equal(first.keypoints, other.keypoints)
    before = torch.get_rng_state()
    pair = [target.draw(8, 5, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(pair[0].keypoints, pair[1].keypoints)
    assert torch.equal(before, torch.get_rng_state())  # a generator of its own leaves the others alone


def test_shapes_of_draws():
    target = TargetKeypoints.from_clips([seen(rested(H36M))], H36M, fps=30)
    windows = target.draw(6, 4).to("cpu")
    assert isinstance(windows, TargetWindows)
    assert [tuple(values.shape) for values in windows] == [(6, 4, 17, 2), (6, 4, 17), (6, 4)]
    assert windows.visible.dtype == torch.bool and windows.keypoints.dtype == torch.float32
    assert target.draw(0, 4).keypoints.shape == (0, 4, 17, 2)
    with pytest.raises(DataError, match="0 or more windows of 1 or more frames"):
        target.draw(3, 0)


# ----------------------------------------------------------------------------------------------------- what is refused


def test_a_target_without_a_usable_pose_is_refused_with_the_reasons_counted():
    clip = counting(6, 30)
    assert clip.keypoints is not None
    keypoints = clip.keypoints.clone()
    keypoints[0, 0] = math.nan  # no root
    keypoints[1, 3:] = math.nan  # three joints
    keypoints[2] = 0.5  # one place
    confidence = torch.ones(6, 5)
    confidence[3:] = 0.2
    with pytest.raises(DataError) as caught:
        TargetKeypoints.from_clips([clip.replace(keypoints=keypoints, confidence=confidence)], STICK, fps=30, focal=1.0)
    told = str(caught.value)
    assert "root 'middle' and at least 4 joints of 'stick'" in told
    assert (
        "of 6 frames in 1 clip 4 without the root, 1 with fewer than 4 joints, 1 with all joints in one place" in told
    )
    assert "of 30 keypoints 3 missing, 15 below confidence 0.3" in told
    assert "lower target.min_confidence" in told


def test_what_else_is_refused():
    with pytest.raises(DataError, match="expected at least one clip"):
        TargetKeypoints.from_clips([], STICK, fps=30)
    with pytest.raises(DataError, match=r"'a': expected keypoints \(got positions only\).*seen_by"):
        TargetKeypoints.from_clips([rested(H36M)], H36M, fps=30)
    for wrong in ({"fps": 0.0}, {"min_confidence": 1.5}, {"focal": -1.0}, {"focal": "guess"}, {"focal": math.nan}):
        with pytest.raises(ConfigError, match=f"target.{next(iter(wrong))}: expected"):
            TargetKeypoints.from_clips([counting(3, 30)], STICK, **{"fps": 30.0, "focal": 1.0, **wrong})


def test_frames_that_cannot_be_used_have_a_stand_in() -> None:
    skeleton = Skeleton.from_parents([-1, 0, 0, 0])
    keypoints = torch.arange(7.0)[:, None, None] + torch.rand(7, 4, 2)
    visible = torch.ones(7, 4, dtype=torch.bool)
    visible[[0, 3, 4, 6], 0] = False
    intrinsics = torch.tensor([2.0, 2.0, 0.0, 0.0]).expand(7, 4)
    target = TargetKeypoints(skeleton, 30.0, keypoints, visible, intrinsics, [7], [30.0])
    torch.manual_seed(0)
    drawn = target.draw(50, 5, usable=True)
    assert bool(drawn.visible[..., 0].all())
    assert set(drawn.keypoints[..., 0, 0].floor().unique().tolist()) == {1.0, 2.0, 5.0}
    plain = target.draw(50, 5)
    assert not bool(plain.visible[..., 0].all())
