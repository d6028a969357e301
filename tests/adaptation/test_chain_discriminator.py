"""Judging parts of a body: blind to view and size, not to mirror images; learns to tell bent knees from broken ones."""

from __future__ import annotations

import pytest
import roma
import torch

from graphpose.adaptation.adversarial_losses import discriminator_loss
from graphpose.adaptation.chain_discriminator import ChainDiscriminator, body_parts, lateral_axis
from graphpose.adaptation.pose_transform import transform_pose
from graphpose.errors import ConfigError, DataError
from graphpose.skeleton import Skeleton

NAMES = ["h36m17", "hand21", "coco17", "smpl24", "panda7"]


def poses(skeleton: Skeleton, count: int = 6) -> torch.Tensor:
    return 0.4 * torch.randn(count, len(skeleton), 3) + torch.tensor([0.0, 0.0, 5.0])


@pytest.mark.parametrize("name", NAMES)
def test_one_score_a_part(name: str) -> None:
    skeleton = Skeleton.load(name)
    judge = ChainDiscriminator(skeleton, channels=8)
    assert judge(poses(skeleton)).shape == (6, len(judge.parts))
    if skeleton.groups:
        assert set(skeleton.groups) <= set(judge.parts)
    inside = {j for members in judge.parts.values() for j in members}
    assert inside | {skeleton.root} == set(range(len(skeleton)))


@pytest.mark.parametrize("name", NAMES)
def test_scores_do_not_see_view_place_size_or_bone_lengths(name: str) -> None:
    skeleton = Skeleton.load(name)
    judge = ChainDiscriminator(skeleton, channels=8)
    pose = poses(skeleton)
    scores = judge(pose)
    turn = roma.random_rotmat(6)
    elsewhere = 2.5 * pose @ turn.mT + torch.randn(6, 1, 3)
    torch.testing.assert_close(judge(elsewhere), scores, rtol=0, atol=1e-4)
    if not skeleton.pairs:  # the lateral axis itself moves with the lengths of the bones between the pairs
        ratios = 0.85 + 0.3 * torch.rand(6, len(skeleton))
        none = torch.zeros(6, len(skeleton), 3), torch.zeros(6, 3)
        longer = transform_pose(pose[:, None], skeleton, none[0], ratios, none[1])[:, 0]
        torch.testing.assert_close(judge(longer), scores, rtol=0, atol=1e-4)


def test_bone_lengths_of_a_body_with_even_sides_do_not_matter() -> None:
    skeleton = Skeleton.load("h36m17")
    assert skeleton.rest is not None
    pose = torch.from_numpy(skeleton.rest.copy()).float()[None].repeat(4, 1, 1)
    ratios = 0.85 + 0.3 * torch.rand(4, 17)
    longer = transform_pose(pose[:, None], skeleton, torch.zeros(4, 17, 3), ratios, torch.zeros(4, 3))[:, 0]
    judge = ChainDiscriminator(skeleton, channels=8)
    torch.testing.assert_close(judge(longer), judge(pose), rtol=0, atol=1e-4)


def bent(skeleton: Skeleton, degrees: torch.Tensor) -> torch.Tensor:
    """The rest pose with both knees bent by so many degrees, backwards (as knees do) where they are above 0; +Y up."""
    assert skeleton.rest is not None
    pose = torch.from_numpy(skeleton.rest.copy()).float().repeat(len(degrees), 1, 1)
    for side in "LR":
        knee, ankle = skeleton.index(f"{side}knee"), skeleton.index(f"{side}ankle")
        down = torch.stack([torch.zeros(len(degrees)), -degrees.deg2rad().cos(), -degrees.deg2rad().sin()], -1)
        pose[:, ankle] = pose[:, knee] + 0.41 * down
    return pose


def test_a_knee_bent_backwards_has_other_features_than_one_bent_forwards() -> None:
    skeleton = Skeleton.load("h36m17")
    judge = ChainDiscriminator(skeleton, channels=8)
    leg = list(judge.parts).index("left_leg")
    right, wrong = (judge.features(bent(skeleton, torch.tensor([angle])))[leg] for angle in (50.0, -50.0))
    assert float((right - wrong).abs().max()) > 0.5


def test_it_learns_to_tell_knees_bent_the_wrong_way() -> None:
    skeleton = Skeleton.load("h36m17")
    judge = ChainDiscriminator(skeleton, channels=16)
    optimiser = torch.optim.Adam(judge.parameters(), lr=0.01)
    turn = roma.random_rotmat(64)
    for _ in range(60):
        angle = 20 + 60 * torch.rand(64)
        loss = discriminator_loss(judge(bent(skeleton, angle) @ turn.mT), judge(bent(skeleton, -angle) @ turn.mT))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    legs = [list(judge.parts).index(f"{side}_leg") for side in ("left", "right")]
    with torch.no_grad():
        good, bad = (judge(bent(skeleton, torch.tensor([a, 0.5 * a])))[:, legs] for a in (70.0, -70.0))
    assert float(good.min()) > 0.6 and float(bad.max()) < 0.4


def test_parts_are_the_branches_where_there_are_no_groups() -> None:
    names = ["hip", "l_knee", "r_knee", "l_foot", "r_foot"]
    skeleton = Skeleton.from_parents([-1, 0, 0, 1, 2], names)
    assert body_parts(skeleton) == {"l_knee": (1, 3), "r_knee": (2, 4)}


def test_joints_outside_every_group_are_judged_too() -> None:
    names = ["hip", "l_knee", "r_knee", "l_foot", "r_foot"]
    skeleton = Skeleton("biped", tuple(names), (-1, 0, 0, 1, 2), groups={"left": ("l_knee", "l_foot")})
    assert body_parts(skeleton) == {"left": (1, 3), "(other joints)": (2, 4)}


def test_the_lateral_axis_goes_from_right_to_left() -> None:
    skeleton = Skeleton.load("h36m17")
    assert skeleton.rest is not None
    rest = torch.from_numpy(skeleton.rest.copy()).float()[None]
    torch.testing.assert_close(lateral_axis(rest, skeleton), torch.tensor([[1.0, 0.0, 0.0]]))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_also_for_bones_of_no_length(name: str) -> None:
    skeleton = Skeleton.load(name)
    pose = poses(skeleton)
    leaf = max(range(len(skeleton)), key=lambda j: skeleton.depths[j])
    pose[0, leaf] = pose[0, skeleton.parents[leaf]]
    pose[1] = pose[1, :1]  # all joints in one point
    pose.requires_grad_(True)
    ChainDiscriminator(skeleton, channels=8)(pose).sum().backward()
    assert pose.grad is not None and bool(pose.grad.isfinite().all()) and bool(pose.grad[2].any())


def test_what_cannot_be_judged_is_refused() -> None:
    two = Skeleton.from_parents([-1, 0])
    with pytest.raises(ConfigError, match="at least two bones that meet"):
        ChainDiscriminator(two)
    with pytest.raises(ConfigError, match="channels: expected a whole number of at least 1"):
        ChainDiscriminator(Skeleton.load("panda7"), channels=0)
    with pytest.raises(DataError, match=r"expected poses \[N, 17, 3\] \(got \[2, 16, 3\]\)"):
        ChainDiscriminator(Skeleton.load("h36m17"))(torch.zeros(2, 16, 3))
