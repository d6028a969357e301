"""The generator: nothing when zeroed, inside its limits whatever its weights, one change a window, any skeleton."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from graphpose.adaptation.local_pose_augmentation import LocalPoseAugmentation
from graphpose.adaptation.pose_transform import transform_pose
from graphpose.errors import ConfigError, DataError
from graphpose.skeleton import Limits, Skeleton

NAMES = ["h36m17", "hand21", "panda7", "coco17"]


def window(skeleton: Skeleton, batch: int = 3, frames: int = 5) -> torch.Tensor:
    local = torch.randn(batch, 1, len(skeleton), 3) * 0.4 + 0.02 * torch.randn(batch, frames, len(skeleton), 3)
    return local + torch.tensor([0.3, -0.2, 5.0])


def wild(skeleton: Skeleton, **options: object) -> LocalPoseAugmentation:
    """A generator far from its start."""
    generator = LocalPoseAugmentation(skeleton, channels=16, noise=8, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        for network in (generator.turning, generator.scaling, generator.spinning):
            network[-1].weight.normal_()
    return generator


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frames", [1, 5])
def test_a_zero_generator_is_the_identity(name: str, frames: int) -> None:
    skeleton = Skeleton.load(name)
    pose = window(skeleton, frames=frames)
    out = LocalPoseAugmentation(skeleton, channels=16).zero_()(pose)
    torch.testing.assert_close(out.pose, pose, rtol=0, atol=1e-6)
    assert not bool(out.turns.any() | out.rotation.any()) and bool((out.ratios == 1).all())


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_changes_stay_inside_their_limits_whatever_the_weights(name: str) -> None:
    skeleton = Skeleton.load(name)
    out = wild(skeleton, angle=15.0, rotation=(20.0, 90.0, 5.0))(window(skeleton, 64))
    assert float(out.turns.norm(dim=-1).max()) <= math.radians(15) * (1 + 1e-5)
    assert float(out.turns.norm(dim=-1).max()) > math.radians(10)
    low, high = torch.tensor((skeleton.limits or Limits()).length_bounds(skeleton.joints)).float().T
    assert bool((out.ratios >= low - 1e-6).all()) and bool((out.ratios <= high + 1e-6).all())
    assert torch.equal(out.ratios, out.ratios[:, skeleton.mirror.copy()])
    assert float(out.ratios.min()) < 0.85 and float(out.ratios.max()) > 1.15
    assert bool((out.rotation.abs() <= torch.tensor([20.0, 90.0, 5.0]).deg2rad() * (1 + 1e-5)).all())


def test_the_pose_is_what_the_change_makes_of_it() -> None:
    skeleton = Skeleton.load("h36m17")
    pose, generator = window(skeleton), wild(skeleton)
    out = generator(pose, generator.draw_noise(3))
    assert torch.equal(out.pose, transform_pose(pose, skeleton, out.turns, out.ratios, out.rotation))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_bodies_keep_their_size_whatever_the_weights(name: str) -> None:
    """The sum of their bone lengths: size cannot be seen in an image, so nothing would hold a generator that changes it."""
    skeleton = Skeleton.load(name)
    pose, generator = window(skeleton, 64, frames=1), wild(skeleton)
    generator.scaling[-1].bias.fill_(0.7)  # longer, if it could
    out = generator(pose)
    parents = [p if p >= 0 else j for j, p in enumerate(skeleton.parents)]
    before, after = ((p - p[:, :, parents]).norm(dim=-1).sum((1, 2)) for p in (pose, out.pose))
    torch.testing.assert_close(after, before, rtol=0.02, atol=0)
    assert float((out.ratios - 1).abs().max()) > 0.1


def test_it_sees_the_middle_frame_relative_to_the_root_and_without_its_size() -> None:
    skeleton = Skeleton.load("h36m17")
    generator, noise = wild(skeleton), torch.randn(3, 8)
    pose = window(skeleton)
    out = generator(pose, noise)
    elsewhere = 1.7 * pose + torch.tensor([1.0, 2.0, 3.0])
    elsewhere[:, [0, 1, 3, 4]] += 0.1 * torch.randn(3, 4, 17, 3)
    torch.testing.assert_close(generator(elsewhere, noise).turns, out.turns, rtol=0, atol=1e-4)
    other = generator(pose.flip(0), noise)
    assert not torch.allclose(other.turns, out.turns, atol=1e-3)


@torch.no_grad()
def test_noise_changes_the_change_from_the_first_step_on() -> None:
    skeleton = Skeleton.load("h36m17")
    generator = LocalPoseAugmentation(skeleton)
    pose = window(skeleton, 1).expand(200, -1, -1, -1)
    out = generator(pose)
    for value in (out.turns[:, 1:], out.ratios[:, 1:], out.rotation):
        assert bool((value.std(0) > 0).all())
    assert float(out.turns.norm(dim=-1).mean()) < math.radians(10)  # but near the source
    assert float(out.rotation[:, 1].std()) > math.radians(45)  # seen from about all sides
    torch.manual_seed(5)
    first = generator(pose[:2])
    torch.manual_seed(5)
    assert torch.equal(first.pose, generator(pose[:2]).pose)


@torch.no_grad()
def test_what_cannot_change_is_known_and_the_root_has_no_bone() -> None:
    skeleton = Skeleton.load("panda7")
    out = wild(skeleton)(window(skeleton))
    assert not bool(out.turns[:, skeleton.root].any()) and bool((out.ratios[:, skeleton.root] == 1).all())
    assert wild(skeleton).free == ["turns", "ratios", "rotation"]
    assert wild(skeleton, angle=0.0, rotation=(0.0, 0.0, 0.0)).free == ["ratios"]
    stiff = replace(skeleton, limits=Limits(lengths=(1.0, 1.0)))
    assert wild(stiff, rotation=(0.0, 5.0, 0.0)).free == ["turns", "rotation"]


def test_girdles_turn_as_one_and_limbs_alone() -> None:
    skeleton = Skeleton.load("h36m17")
    turns = wild(skeleton)(window(skeleton)).turns
    for joint in ("hip", "shoulder"):
        torch.testing.assert_close(turns[:, skeleton.index(f"L{joint}")], turns[:, skeleton.index(f"R{joint}")])
    assert not torch.allclose(turns[:, skeleton.index("Lknee")], turns[:, skeleton.index("Rknee")])


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_finite_gradient(name: str) -> None:
    skeleton = Skeleton.load(name)
    generator = LocalPoseAugmentation(skeleton, channels=16)
    out = generator(window(skeleton))
    (out.pose * torch.randn(out.pose.shape)).sum().backward()
    for parameter in generator.parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()) and bool(parameter.grad.any())


def test_its_state_holds_the_weights_alone() -> None:
    skeleton = Skeleton.load("hand21")
    first, second = LocalPoseAugmentation(skeleton, channels=16), LocalPoseAugmentation(skeleton, channels=16)
    assert first.state_dict().keys() == dict(first.named_parameters()).keys()
    second.load_state_dict(first.state_dict())
    pose, noise = window(skeleton), torch.randn(3, 48)
    assert torch.equal(first(pose, noise).pose, second(pose, noise).pose)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "channels: expected a whole number of at least 1"),
        ({"depth": -1}, "depth: expected a whole number of at least 0"),
        ({"noise": 2}, "noise: expected a whole number of at least 3"),
        ({"angle": 200.0}, "angle: expected degrees from 0 to 180"),
        ({"angle": float("nan")}, "angle: expected degrees"),
        ({"rotation": (1.0, 2.0)}, r"rotation: expected \(pitch, yaw, roll\)"),
        ({"rotation": (1.0, 2.0, -3.0)}, "rotation: expected"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LocalPoseAugmentation(Skeleton.load("panda7"), **options)  # type: ignore[arg-type]


def test_shapes_that_do_not_fit_are_refused() -> None:
    skeleton = Skeleton.load("panda7")
    generator = LocalPoseAugmentation(skeleton, channels=8)
    with pytest.raises(DataError, match=r"expected a pose \[B, T, \d+, 3\]"):
        generator(torch.zeros(2, 3, len(skeleton) + 1, 3))
    with pytest.raises(DataError, match=r"noise: expected the shape \[2, 48\]"):
        generator(torch.zeros(2, 3, len(skeleton), 3), torch.zeros(1, 48))


def test_opposite_noise_turns_bones_the_other_way() -> None:
    """So the mean pose over the noise stays that of the source, and no generator makes a people that leans."""
    torch.manual_seed(0)
    five = Skeleton.from_parents([-1, 0, 1, 0, 3], pairs=[("joint1", "joint3"), ("joint2", "joint4")])
    generator = LocalPoseAugmentation(five, angle=40.0)
    pose, noise = torch.randn(3, 4, len(five), 3), torch.randn(3, generator.noise)
    with torch.no_grad():
        one, other = generator(pose, noise), generator(pose, -noise)
    assert float(one.turns.abs().max()) > 1e-3
    torch.testing.assert_close(one.turns, -other.turns)
