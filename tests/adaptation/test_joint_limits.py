"""Angles stay in their limits and hinges on their side, without touching poses that are as they were."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphpose.adaptation.pose_transform import transform_pose
from graphpose.skeleton import Limits, Skeleton


def leg(limits: Limits | None) -> Skeleton:
    return Skeleton("leg", ("root", "hip", "knee", "ankle"), (-1, 0, 1, 2), limits=limits)


def bent(degrees: float, frames: int = 1) -> Tensor:
    """A thigh straight down and a shin bent so far away from the camera (+z), as a knee does that faces it: [1, T, 4, 3]."""
    turn = math.radians(degrees)
    points = [[0.1, 0, 0], [0, 0, 0], [0, 0.45, 0], [0, 0.45 + 0.4 * math.cos(turn), 0.4 * math.sin(turn)]]
    return (torch.tensor(points) + torch.tensor([0.0, 0, 4])).expand(1, frames, 4, 3).clone()


def bend(pose: Tensor) -> Tensor:
    """Degrees by which the shin leaves the line of the thigh, above 0 towards +z."""
    shin = pose[..., 3, :] - pose[..., 2, :]
    return torch.atan2(shin[..., 2], shin[..., 1]).rad2deg()


def moved(pose: Tensor, skeleton: Skeleton, degrees: float, axis: int = 0) -> Tensor:
    """The shin turned about an axis of the camera; about x, above 0 bends further."""
    turns = torch.zeros(1, 4, 3)
    turns[0, 3, axis] = math.radians(degrees)
    return transform_pose(pose, skeleton, turns, torch.ones(1, 4), torch.zeros(1, 3))


def test_without_limits_a_bone_goes_where_it_is_turned() -> None:
    torch.testing.assert_close(bend(moved(bent(30), leg(None), 25)), torch.tensor([[55.0]]), rtol=0, atol=1e-3)
    torch.testing.assert_close(bend(moved(bent(10), leg(Limits()), -25)), torch.tensor([[-15.0]]), rtol=0, atol=1e-3)


@given(given_bend=st.floats(5, 150), turn=st.floats(-60, 60))
def test_an_angle_stays_within_its_limits_or_what_it_was(given_bend: float, turn: float) -> None:
    skeleton = leg(Limits(angles={"knee": (60.0, 150.0)}))
    new = 180 - float(bend(moved(bent(given_bend), skeleton, turn)).abs())
    had, wanted = 180 - given_bend, 180 - abs(given_bend + turn)
    low, high = min(60.0, had), max(150.0, had)
    if given_bend + turn <= 180:
        assert new == pytest.approx(min(max(wanted, low), high), abs=0.01)


def test_the_length_stays_and_the_bone_turns_back_in_the_plane_of_both() -> None:
    skeleton = leg(Limits(angles={"knee": (90.0, 180.0)}))
    pose = bent(80)
    turns = torch.zeros(1, 4, 3)
    turns[0, 3] = torch.tensor([0.6, 0.2, 0.4])
    free = transform_pose(pose, leg(None), turns, torch.ones(1, 4), torch.zeros(1, 3))
    kept = transform_pose(pose, skeleton, turns, torch.ones(1, 4), torch.zeros(1, 3))
    thigh, was, now = pose[0, 0, 2] - pose[0, 0, 1], *((p[0, 0, 3] - p[0, 0, 2]) for p in (free, kept))
    assert float(now.norm()) == pytest.approx(0.4, abs=1e-5)
    assert float(thigh @ now) == pytest.approx(0, abs=1e-6)  # 90 degrees
    assert float(thigh @ was) < -0.01
    normal = torch.linalg.cross(thigh, was)
    assert float((normal / normal.norm()) @ now) == pytest.approx(0, abs=1e-5)


@given(given_bend=st.floats(8, 80), turn=st.floats(-70, 40))
def test_a_hinge_does_not_bend_to_the_other_side(given_bend: float, turn: float) -> None:
    skeleton = leg(Limits(hinges=("knee",)))
    new = float(bend(moved(bent(given_bend), skeleton, turn)))
    wanted = given_bend + turn
    if abs(wanted) < 80:
        assert new == pytest.approx(max(wanted, 0.0), abs=0.01)


def test_a_straight_hinge_does_not_give_sideways() -> None:
    pose = bent(10)
    free, kept = (moved(pose, leg(limits), 30, axis=2)[0, 0] for limits in (None, Limits(hinges=("knee",))))
    out, back = ((p[3] - p[2]).abs() for p in (free, kept))
    assert float(out[0]) > 0.15
    assert float(back[0]) <= math.tan(math.radians(30)) * float(back[2]) + 1e-6


def test_a_bent_hinge_may_swing_about_the_bone_above_but_not_far() -> None:
    pose, skeleton = bent(90), leg(Limits(hinges=("knee",)))
    for turn, wanted in ((20, 20.0), (50, 30.0)):
        shin = moved(pose, skeleton, turn, axis=1)[0, 0]
        shin = shin[3] - shin[2]
        assert math.degrees(math.atan2(abs(float(shin[0])), float(shin[2]))) == pytest.approx(wanted, abs=0.01)


def test_the_rest_pose_decides_for_a_hinge_that_is_straight() -> None:
    """Bent by one degree only: turned either way, the shin goes to the side to which the rest pose bends (here +z)."""
    names, parents = ("hip", "other", "knee", "ankle"), (-1, 0, 0, 2)
    rest = torch.tensor([[0.0, 0, 0], [0.2, 0.1, 0.3], [0.0, -0.45, 0.05], [0.0, -0.9, -0.05]]).numpy()
    skeleton = Skeleton("leg", names, parents, rest=rest, limits=Limits(hinges=("knee",)))
    pose = torch.from_numpy(rest).float() * torch.tensor([1.0, -1, -1]) + torch.tensor([0.0, 0, 4])
    thigh = pose[2] - pose[0]
    pose[3] = pose[2] + 0.4 * thigh / thigh.norm() + torch.tensor([0.0, 0, -0.005])  # a little to the wrong side
    across = torch.linalg.cross(torch.tensor([1.0, 0, 0]), thigh / thigh.norm())
    sizes = []
    for limited in (skeleton, replace(skeleton, rest=None)):
        turns = torch.zeros(1, 4, 3)
        turns[0, 3, 0] = 0.4
        new = transform_pose(pose[None, None], limited, turns, torch.ones(1, 4), torch.zeros(1, 3))[0, 0]
        sizes.append(float((new[3] - new[2]) @ across))
    assert abs(sizes[0]) > 0.1  # free to bend to the side of the rest pose
    assert abs(sizes[1]) < 0.01  # without a rest pose, the given pose alone tells, and it was on the other side


@pytest.mark.parametrize("name", ["h36m17", "smpl22", "coco17", "cmu31"])
@pytest.mark.parametrize("frames", [1, 4])
def test_poses_outside_the_limits_stay_as_they_were(name: str, frames: int) -> None:
    skeleton = Skeleton.load(name)
    assert skeleton.limits is not None and skeleton.limits.hinges
    pose = torch.randn(4, frames, len(skeleton), 3) * 0.4 + torch.tensor([0.0, 0, 5])  # no people at all
    none = torch.zeros(4, len(skeleton), 3), torch.ones(4, len(skeleton)), torch.zeros(4, 3)
    torch.testing.assert_close(transform_pose(pose, skeleton, *none), pose, rtol=0, atol=1e-6)


def test_each_child_may_have_a_range_of_its_own() -> None:
    skeleton = Skeleton(
        "fork",
        ("root", "chest", "neck", "shoulder"),
        (-1, 0, 1, 1),
        limits=Limits(angles={"chest": {"neck": (150.0, 180.0)}}),
    )
    pose = torch.tensor([[[[0.0, 1, 4], [0, 0.5, 4], [0, 0.2, 4], [0.2, 0.5, 4]]]])
    turns = torch.zeros(1, 4, 3)
    turns[:, 2:, 2] = math.radians(50)
    new = transform_pose(pose, skeleton, turns, torch.ones(1, 4), torch.zeros(1, 3))[0, 0]
    neck, shoulder = new[2] - new[1], new[3] - new[1]
    assert math.degrees(math.atan2(float(neck[0]), -float(neck[1]))) == pytest.approx(30, abs=0.01)
    assert math.degrees(math.atan2(float(shoulder[1]), float(shoulder[0]))) == pytest.approx(50, abs=0.01)


def test_gradients_are_finite_at_the_limits() -> None:
    skeleton = Skeleton.load("h36m17")
    assert skeleton.rest is not None
    rest = torch.from_numpy(skeleton.rest.copy()).float() * torch.tensor([1.0, -1, -1]) + torch.tensor([0.0, 0, 5])
    pose = rest.expand(8, 2, 17, 3).clone()
    pose[1, :, skeleton.index("Lankle")] = 2 * pose[1, :, skeleton.index("Lknee")] - pose[1, :, skeleton.index("Lhip")]
    pose[2, :, skeleton.index("Rankle")] = pose[2, :, skeleton.index("Rknee")]  # no shin
    pose[3, :, skeleton.index("Rknee")] = pose[3, :, skeleton.index("Rhip")]  # no thigh
    turns = (0.6 * torch.randn(8, 17, 3)).requires_grad_(True)
    turns.data[0] = 0
    new = transform_pose(pose, skeleton, turns, torch.ones(8, 17), torch.zeros(8, 3))
    (new * torch.randn(new.shape)).sum().backward()
    assert turns.grad is not None and bool(turns.grad.isfinite().all()) and bool(turns.grad.any())
    assert float(turns.grad.abs().max()) < 100
