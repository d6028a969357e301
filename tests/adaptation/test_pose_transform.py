"""Changing poses: nothing in, nothing changed; lengths as asked; the same for turned, renumbered and moving bodies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphpose.adaptation.pose_transform import allowed_ratios, symmetric, transform_pose
from graphpose.errors import DataError
from graphpose.motion.kinematics import euler_matrices
from graphpose.skeleton import Limits, Skeleton

BIPED = Skeleton.from_parents(
    [-1, 0, 0, 1, 2],
    ["hip", "l_knee", "r_knee", "l_foot", "r_foot"],
    pairs=[("l_knee", "r_knee"), ("l_foot", "r_foot")],
    name="biped5",
)
NAMES = ["h36m17", "hand21", "panda7", "coco17", "smpl22", "biped5"]


def load(name: str) -> Skeleton:
    return BIPED if name == "biped5" else Skeleton.load(name)


def window(skeleton: Skeleton, batch: int = 2, frames: int = 5, seed: int = 0) -> Tensor:
    """Random poses some metres in front of the camera, moving a little from frame to frame."""
    draw = torch.Generator().manual_seed(seed)
    joints = len(skeleton)
    first = torch.randn(batch, 1, joints, 3, generator=draw) * 0.4
    steps = torch.randn(batch, frames, joints, 3, generator=draw) * 0.03
    return first + steps.cumsum(1) + torch.tensor([0.3, -0.2, 5.0])


def changes(skeleton: Skeleton, batch: int = 2, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    joints = len(skeleton)
    turns = 0.3 * torch.randn(batch, joints, 3, generator=draw)
    ratios = 0.85 + 0.35 * torch.rand(batch, joints, generator=draw)
    return turns, ratios, 0.5 * torch.randn(batch, 3, generator=draw)


def none(skeleton: Skeleton, batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros(batch, len(skeleton), 3), torch.ones(batch, len(skeleton)), torch.zeros(batch, 3)


def lengths(pose: Tensor, skeleton: Skeleton) -> Tensor:
    """[B, T, J], 0 for the root."""
    parents = [p if p >= 0 else j for j, p in enumerate(skeleton.parents)]
    return (pose - pose[..., parents, :]).norm(dim=-1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [1, 4])
def test_no_change_is_the_identity(name: str, frames: int) -> None:
    skeleton = load(name)
    pose = window(skeleton, frames=frames)
    torch.testing.assert_close(transform_pose(pose, skeleton, *none(skeleton)), pose, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [1, 4])
def test_bone_lengths_are_the_ratio_times_the_given_ones(name: str, frames: int) -> None:
    skeleton = load(name)
    pose = window(skeleton, frames=frames)
    turns, ratios, rotation = changes(skeleton)
    new = transform_pose(pose, skeleton, turns, ratios, rotation)
    wanted = allowed_ratios(ratios, skeleton)[:, None] * lengths(pose, skeleton)
    torch.testing.assert_close(lengths(new, skeleton), wanted, rtol=0, atol=5e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(NAMES))
def test_ratios_are_symmetric_and_within_the_limits_whatever_is_asked(seed: int, name: str) -> None:
    skeleton = load(name)
    asked = 1 + torch.randn(3, len(skeleton), generator=torch.Generator().manual_seed(seed))
    ratios = allowed_ratios(asked, skeleton)
    low, high = torch.tensor((skeleton.limits or Limits()).length_bounds(skeleton.joints)).float().T
    assert bool(((ratios >= low) & (ratios <= high)).all())
    assert torch.equal(ratios, ratios[:, skeleton.mirror.copy()])


def test_symmetric_takes_the_mean_of_both_sides() -> None:
    assert symmetric(torch.tensor([[1.0, 2.0, 4.0, 0.0, 1.0]]), BIPED).tolist() == [[1.0, 3.0, 3.0, 0.5, 0.5]]


def test_a_bone_turns_by_its_rotation_vector() -> None:
    """A quarter turn of the left shin about the viewing axis z: from down (y) to the left of the picture (-x)."""
    pose = torch.tensor([[[[0.0, 0, 4], [0.1, 0.4, 4], [-0.1, 0.4, 4], [0.1, 0.8, 4], [-0.1, 0.8, 4]]]])
    turns, ratios, rotation = none(BIPED, 1)
    turns[0, 3, 2] = math.pi / 2
    new = transform_pose(pose, BIPED, turns, ratios, rotation)
    wanted = pose.clone()
    wanted[0, 0, 3] = torch.tensor([-0.3, 0.4, 4.0])
    torch.testing.assert_close(new, wanted, rtol=0, atol=1e-6)


def test_a_turned_thigh_carries_the_shin_along_without_turning_it() -> None:
    pose = window(BIPED, 1, 1)
    turns, ratios, rotation = none(BIPED, 1)
    turns[0, 1] = torch.tensor([0.2, -0.1, 0.3])
    new = transform_pose(pose, BIPED, turns, ratios, rotation)
    torch.testing.assert_close(new[..., 3, :] - new[..., 1, :], pose[..., 3, :] - pose[..., 1, :], rtol=0, atol=1e-6)
    torch.testing.assert_close(new[..., [0, 2, 4], :], pose[..., [0, 2, 4], :], rtol=0, atol=1e-6)


def test_yaw_comes_before_pitch_and_roll_about_the_root_of_the_middle_frame() -> None:
    pose = window(BIPED, 1, 5)
    turns, ratios, _ = none(BIPED, 1)
    pitch, yaw, roll = 0.3, 1.1, -0.2
    new = transform_pose(pose, BIPED, turns, ratios, torch.tensor([[pitch, yaw, roll]]))
    spin = (
        euler_matrices(torch.tensor([roll, 0.0, 0.0]), "ZXY")
        @ euler_matrices(torch.tensor([0.0, pitch, 0.0]), "ZXY")
        @ euler_matrices(torch.tensor([0.0, 0.0, yaw]), "ZXY")
    )
    centre = pose[0, 2, 0]
    torch.testing.assert_close(new, (pose - centre) @ spin.T + centre, rtol=0, atol=2e-6)
    torch.testing.assert_close(new[0, 2, 0], centre, rtol=0, atol=1e-6)


def test_the_root_path_stays_without_a_rotation() -> None:
    skeleton = load("h36m17")
    pose = window(skeleton)
    turns, ratios, rotation = changes(skeleton)
    new = transform_pose(pose, skeleton, turns, ratios, torch.zeros_like(rotation))
    assert torch.equal(new[:, :, skeleton.root], pose[:, :, skeleton.root])


@pytest.mark.parametrize("name", NAMES)
def test_a_scene_turned_about_the_vertical_gives_the_result_turned(name: str) -> None:
    skeleton = load(name)
    pose = window(skeleton, frames=4).double()
    turns, ratios, _ = (c.double() for c in changes(skeleton))
    still = torch.zeros(2, 3, dtype=torch.float64)
    turn = euler_matrices(torch.tensor([0.0, 0.0, 2.1], dtype=torch.float64), "ZXY")
    there = transform_pose(pose @ turn.T, skeleton, turns @ turn.T, ratios, still)
    torch.testing.assert_close(there, transform_pose(pose, skeleton, turns, ratios, still) @ turn.T, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["h36m17", "smpl22"])
def test_a_body_that_turns_round_keeps_its_change(name: str) -> None:
    """A stiff body spinning on the spot: every frame is the middle frame spun, before the change and after it."""
    skeleton = load(name)
    assert skeleton.rest is not None
    body = torch.from_numpy(skeleton.rest.copy()) * torch.tensor([1.0, -1.0, -1.0])
    body = body + 0.02 * torch.randn(body.shape, dtype=body.dtype)
    angles = torch.zeros(9, 3, dtype=torch.float64)
    angles[:, 2] = torch.linspace(-2.5, 2.5, 9)
    spins = euler_matrices(angles, "ZXY")
    local = body - body[skeleton.root]
    pose = (local @ spins.mT + torch.tensor([0.0, 0.0, 5.0]))[None]
    turns, ratios, _ = (c.double() for c in changes(skeleton, 1))
    new = transform_pose(pose, skeleton, turns, ratios, torch.zeros(1, 3).double())
    root = new[:, :, skeleton.root, None]
    middle = (new - root)[0, 4]
    torch.testing.assert_close((new - root)[0], middle @ spins.mT, rtol=0, atol=2e-2)


@pytest.mark.parametrize("name", ["h36m17", "hand21", "biped5"])
def test_another_order_of_the_joints_gives_the_same_joints(name: str) -> None:
    skeleton = load(name)
    order = np.random.default_rng(0).permutation(len(skeleton)).tolist()
    other = skeleton.reordered([skeleton.joints[j] for j in order])
    pose = window(skeleton).double()
    turns, ratios, rotation = (c.double() for c in changes(skeleton))
    new = transform_pose(pose, skeleton, turns, ratios, rotation)
    there = transform_pose(pose[:, :, order], other, turns[:, order], ratios[:, order], rotation)
    torch.testing.assert_close(there, new[:, :, order], rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_also_with_bones_of_no_length(name: str) -> None:
    skeleton = load(name)
    pose = window(skeleton, frames=3)
    leaf = max(range(len(skeleton)), key=lambda j: skeleton.depths[j])
    pose[:, :, leaf] = pose[:, :, skeleton.parents[leaf]]
    inner = skeleton.parents[leaf]
    if skeleton.parents[inner] >= 0:
        pose[1, :, inner] = pose[1, :, skeleton.parents[inner]]
    inputs = [pose, *none(skeleton)]
    for tensor in inputs:
        tensor.requires_grad_(True)
    new = transform_pose(inputs[0], skeleton, inputs[1], inputs[2], inputs[3])
    torch.testing.assert_close(lengths(new, skeleton)[:, :, leaf], lengths(pose, skeleton)[:, :, leaf])
    (new * torch.randn(new.shape)).sum().backward()
    assert all(tensor.grad is not None and bool(tensor.grad.isfinite().all()) for tensor in inputs)
    assert inputs[1].grad is not None and bool((inputs[1].grad != 0).any())


def test_gradients_are_right() -> None:
    skeleton = load("panda7")
    pose = window(skeleton, 1, 2).double()
    inputs = [c.double().requires_grad_(True) for c in changes(skeleton, 1)]
    inputs[1].data.clamp_(0.9, 1.1)

    def run(*change: Tensor) -> Tensor:
        return transform_pose(pose, skeleton, *change)

    assert torch.autograd.gradcheck(run, inputs, atol=1e-5)


def test_shapes_that_do_not_fit_are_refused() -> None:
    pose = window(BIPED)
    turns, ratios, rotation = none(BIPED)
    with pytest.raises(DataError, match=r"expected a pose \[B, T, 5, 3\] .*got \[2, 5, 4, 3\]"):
        transform_pose(pose[:, :, :4], BIPED, turns, ratios, rotation)
    with pytest.raises(DataError, match=r"T >= 1"):
        transform_pose(pose[:, :0], BIPED, turns, ratios, rotation)
    with pytest.raises(DataError, match=r"turns: expected the shape \[2, 5, 3\] \(got \[2, 4, 3\]\)"):
        transform_pose(pose, BIPED, turns[:, :4], ratios, rotation)
    with pytest.raises(DataError, match=r"ratios: expected"):
        transform_pose(pose, BIPED, turns, ratios[:1], rotation)
    with pytest.raises(DataError, match=r"rotation: expected"):
        transform_pose(pose, BIPED, turns, ratios, rotation[:, :2])
