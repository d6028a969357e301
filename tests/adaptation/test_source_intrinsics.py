"""The camera of a window is read off its poses and keypoints; where they do not tell it, the answer is NaN."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphpose.adaptation.global_position_alignment import project
from graphpose.adaptation.source_intrinsics import fit_intrinsics


def people(windows: int = 3, frames: int = 4, joints: int = 6, depth: float = 5.0) -> Tensor:
    """Joints about a metre apart, in front of the camera, `[B, T, J, 3]` in double precision."""
    return torch.randn(windows, frames, joints, 3, dtype=torch.float64) * 0.4 + torch.tensor([0.3, -0.2, depth])


@given(
    st.integers(0, 10**6),
    st.floats(0.3, 6.0),
    st.floats(0.3, 6.0),
    st.floats(-0.5, 0.5),
    st.floats(-0.5, 0.5),
    st.floats(3.0, 30.0),
)
def test_projections_give_the_camera_back(seed: int, fx: float, fy: float, cx: float, cy: float, depth: float) -> None:
    torch.manual_seed(seed)
    pose = people(depth=depth)
    wanted = torch.tensor([[fx, fy, cx, cy]], dtype=torch.float64).repeat(3, 1)
    wanted[1, :2] *= 2  # each window has a camera of its own
    found = fit_intrinsics(pose, project(pose, wanted[:, None]))
    assert torch.allclose(found, wanted, atol=1e-6)


def test_single_precision_is_enough() -> None:
    pose = people().float()
    wanted = torch.tensor([2.3, 2.2, 0.02, -0.01])
    assert torch.allclose(fit_intrinsics(pose, project(pose, wanted)), wanted.expand(3, 4), atol=1e-3)


def test_keypoints_with_confidence_are_those_without() -> None:
    pose = people()
    keypoints = project(pose, torch.tensor([2.0, 2.0, 0.0, 0.0], dtype=torch.float64))
    sure = torch.cat([keypoints, torch.rand(*keypoints.shape[:-1], 1)], dim=-1)
    assert torch.equal(fit_intrinsics(pose, sure), fit_intrinsics(pose, keypoints))


def test_what_is_not_visible_counts_for_nothing_whatever_stands_there() -> None:
    pose = people()
    wanted = torch.tensor([2.0, 1.8, 0.1, -0.1], dtype=torch.float64)
    keypoints = project(pose, wanted)
    visible = torch.rand(pose.shape[:3]) < 0.6
    for stray in (0.0, 1e6, math.nan):
        spoiled = torch.where(visible[..., None], keypoints, stray)
        assert torch.allclose(fit_intrinsics(pose, spoiled, visible), wanted.expand(3, 4), atol=1e-6)
    assert not torch.allclose(fit_intrinsics(pose, torch.where(visible[..., None], keypoints, 0.0)), wanted, atol=0.1)
    behind = pose.clone()
    behind[~visible] = math.nan
    assert torch.allclose(fit_intrinsics(behind, keypoints, visible), wanted.expand(3, 4), atol=1e-6)


def test_noise_gives_the_camera_that_fits_best() -> None:
    pose = people(windows=1, frames=50)
    wanted = torch.tensor([[2.0, 2.0, 0.0, 0.0]], dtype=torch.float64)
    noisy = project(pose, wanted[:, None])
    noisy = noisy + 0.01 * torch.randn_like(noisy)
    found = fit_intrinsics(pose, noisy)

    def misfit(intrinsics: Tensor) -> Tensor:
        return (project(pose, intrinsics[:, None]) - noisy).square().sum()

    for change in 0.01 * torch.eye(4, dtype=torch.float64):
        assert misfit(found) < misfit(found + change) and misfit(found) < misfit(found - change)
    assert torch.allclose(found, wanted, atol=0.05)


def test_windows_that_do_not_tell_it_are_nan_and_leave_the_others_alone() -> None:
    pose = people(windows=4).float()
    wanted = torch.tensor([2.0, 2.0, 0.0, 0.0])
    visible = torch.ones(pose.shape[:3], dtype=torch.bool)
    pose[0] = torch.tensor([0.37, 0.11, 5.3])  # all joints in one place, where rounding alone sets them apart
    visible[1] = False
    visible[2] = False
    visible[2, 1, 3] = True  # one joint
    found = fit_intrinsics(pose, project(pose, wanted), visible)
    assert bool(found[:3].isnan().all())
    assert torch.allclose(found[3], wanted, atol=1e-3)


def test_joints_in_one_column_tell_only_the_other_axis() -> None:
    pose = people(windows=1)
    pose[..., 0] = 0.1 * pose[..., 2]
    found = fit_intrinsics(pose, project(pose, torch.tensor([2.0, 1.5, 0.0, 0.1], dtype=torch.float64)))
    assert found.isnan().tolist() == [[True, False, True, False]]
    assert torch.allclose(found[0, [1, 3]], torch.tensor([1.5, 0.1], dtype=torch.float64))
