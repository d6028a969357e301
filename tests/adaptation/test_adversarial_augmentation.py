"""Generator and discriminators learn side by side: each step changes its own part, and what was saved goes on as it was."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from graphpose.adaptation.adversarial_augmentation import AdversarialAugmentation, Seen, sum_of
from graphpose.adaptation.global_position_alignment import project
from graphpose.config import AugmentationConfig
from graphpose.skeleton import Skeleton

H36M = Skeleton.load("h36m17")
SMALL = AugmentationConfig(channels=16, rotation=(30.0, 180.0, 10.0), hardness=0.1)
CAMERA = torch.tensor([1.5, 1.5, 0.0, 0.0])
TERMS = ("plausibility", "likeness", "diversity", "hardness")


def standing(windows: int, frames: int = 3, spread: float = 0.02) -> Tensor:
    """People who stand before a level camera, each a little other, `[B, T, J, 3]`: y down, facing it."""
    assert H36M.rest is not None
    rest = torch.tensor(np.array(H36M.rest), dtype=torch.float32) * torch.tensor([1.0, -1.0, -1.0])
    return rest + torch.tensor([0.0, 0.5, 5.0]) + spread * torch.randn(windows, frames, 17, 3)


def image(pose: Tensor) -> Seen:
    return project(pose, CAMERA), torch.ones(pose.shape[:3], dtype=torch.bool)


def state(part: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in part.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_step_moves_all_three_parts_and_leaves_no_gradient() -> None:
    augmentation = AdversarialAugmentation(H36M, SMALL)
    before = {name: state(getattr(augmentation, name)) for name in ("generator", "poses", "keypoints")}
    found = augmentation.learn(standing(4), image(standing(4)), image)
    for name, was in before.items():
        assert not same(was, state(getattr(augmentation, name))), name
    assert set(found) == {"generator_plausibility", "generator_likeness", "generator_diversity", "poses", "keypoints"}
    assert all(value.ndim == 0 and not value.requires_grad and bool(value.isfinite()) for value in found.values())
    assert all(parameter.grad is None for parameter in augmentation.parameters())


def let_learn(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of the other parts are left out."""
    original = AdversarialAugmentation._descend

    def only(self: AdversarialAugmentation, name: str, *rest: Any) -> None:
        if name == part:
            original(self, name, *rest)

    monkeypatch.setattr(AdversarialAugmentation, "_descend", only)


@pytest.mark.parametrize("part", ["generator", "poses", "keypoints"])
def test_each_loss_moves_its_own_part_alone(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    augmentation = AdversarialAugmentation(H36M, SMALL)
    parts = ("generator", "poses", "keypoints")
    let_learn(part, monkeypatch)
    before = {name: state(getattr(augmentation, name)) for name in parts}
    augmentation.learn(standing(4), image(standing(4)), image)
    assert [name for name in parts if not same(before[name], state(getattr(augmentation, name)))] == [part]


def test_gradients_of_the_lifter_are_as_they_were() -> None:
    lifter = torch.nn.Linear(2, 3)
    lifter.weight.grad = torch.full_like(lifter.weight, 7.0)
    weights = state(lifter)

    def error(pose: Tensor) -> Tensor:
        return (lifter(image(pose)[0]) - pose).norm(dim=-1).mean()

    found = AdversarialAugmentation(H36M, SMALL).learn(standing(4), image(standing(4)), image, error)
    assert float(found["generator_hardness"]) > 0
    assert same(weights, state(lifter))
    assert torch.equal(lifter.weight.grad, torch.full_like(lifter.weight, 7.0))
    assert lifter.bias.grad is None


def test_the_step_of_the_generator_is_as_long_however_large_its_gradient() -> None:
    def wild(pose: Tensor) -> Tensor:
        return pose.square().sum() * 1e12

    augmentation = AdversarialAugmentation(H36M, SMALL)
    augmentation.learn(standing(4), image(standing(4)), image, wild)
    assert all(bool(value.isfinite().all()) for value in augmentation.state_dict().values())


def test_changing_poses_draws_no_gradient_and_keeps_their_shape() -> None:
    augmentation = AdversarialAugmentation(H36M, SMALL)
    pose = standing(3).requires_grad_()
    changed = augmentation(pose)
    assert changed.shape == pose.shape and not changed.requires_grad
    assert not torch.allclose(changed, pose, atol=1e-3)


def test_knees_that_bend_backwards_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator is held at planted poses; the discriminator of poses alone learns."""

    def kneeling(windows: int, degrees: float) -> Tensor:
        pose = standing(windows)
        turn = torch.tensor(degrees).deg2rad() * (0.5 + torch.rand(windows, 1))
        for knee, ankle in (("Lknee", "Lankle"), ("Rknee", "Rankle")):
            at, end = H36M.index(knee), H36M.index(ankle)
            y, z = (pose[:, :, end, axis] - pose[:, :, at, axis] for axis in (1, 2))
            pose[:, :, end, 1] = pose[:, :, at, 1] + turn.cos() * y - turn.sin() * z
            pose[:, :, end, 2] = pose[:, :, at, 2] + turn.sin() * y + turn.cos() * z
        return pose

    forwards, backwards = kneeling(32, 60.0), kneeling(32, -60.0)
    assert bool((forwards[..., H36M.index("Lankle"), 2] > forwards[..., H36M.index("Lknee"), 2]).all())  # heels go back
    augmentation = AdversarialAugmentation(H36M, replace(SMALL, likeness=0.0, diversity=0.0))
    let_learn("poses", monkeypatch)

    def planted(pose: Tensor, noise: Tensor | None = None) -> Any:
        made = backwards[torch.randperm(32)[: len(pose)]].requires_grad_()
        return type("Made", (), {"pose": made})()

    monkeypatch.setattr(augmentation.generator, "forward", planted)
    for _ in range(60):
        augmentation.learn(forwards, image(forwards), image)
    with torch.no_grad():
        fresh, wrong = (augmentation.poses(kneeling(32, way).flatten(0, 1)) for way in (60.0, -60.0))
    legs = [number for number, chain in enumerate(augmentation.poses.parts.values()) if H36M.index("Lankle") in chain]
    assert legs
    for part in legs:
        assert float(fresh[:, part].min()) > float(wrong[:, part].max())


def test_keypoints_of_another_look_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that is seen from above, and poses that stay as they are."""
    augmentation = AdversarialAugmentation(H36M, replace(SMALL, plausibility=0.0, diversity=0.0))
    augmentation.generator.zero_()
    let_learn("keypoints", monkeypatch)

    def above(pose: Tensor) -> Tensor:
        tilt = torch.tensor(1.0)
        y, z = pose[..., 1], pose[..., 2] - 5.0
        return torch.stack([pose[..., 0], tilt.cos() * y - tilt.sin() * z, 5.0 + tilt.sin() * y + tilt.cos() * z], -1)

    losses = [augmentation.learn(p, image(above(p)), image)["keypoints"] for p in (standing(16) for _ in range(60))]
    assert float(losses[-1]) < 0.3 * float(losses[0])


def test_two_steps_and_two_after_a_checkpoint_are_four_steps() -> None:
    batches = [(standing(4), image(standing(4))) for _ in range(4)]

    def steps(augmentation: AdversarialAugmentation, numbers: range) -> None:
        for number in numbers:
            torch.manual_seed(100 + number)
            augmentation.learn(*batches[number], image)

    torch.manual_seed(1)
    whole = AdversarialAugmentation(H36M, SMALL)
    start = state(whole)
    steps(whole, range(4))

    first = AdversarialAugmentation(H36M, SMALL)
    first.load_state_dict(start)
    steps(first, range(2))
    kept = io.BytesIO()
    torch.save({"weights": first.state_dict(), "optimisers": first.optimiser_states()}, kept)
    kept.seek(0)
    content = torch.load(kept, weights_only=False)

    second = AdversarialAugmentation(H36M, SMALL)
    second.load_state_dict(content["weights"])
    second.load_optimiser_states(content["optimisers"])
    assert set(content["optimisers"]) == {"generator", "poses", "keypoints"}
    steps(second, range(2, 4))
    assert same(state(second), state(whole))

    forgetful = AdversarialAugmentation(H36M, SMALL)
    forgetful.load_state_dict(content["weights"])
    steps(forgetful, range(2, 4))
    assert not same(state(forgetful), state(whole)), "what the optimisers remember counts"


def test_nothing_is_saved_of_optimisers_that_have_not_stepped() -> None:
    augmentation = AdversarialAugmentation(H36M, SMALL)
    assert augmentation.optimiser_states() == {}
    augmentation.load_optimiser_states({})
    augmentation.learn(standing(2), image(standing(2)), image)
    assert set(augmentation.optimiser_states()) == {"generator", "poses", "keypoints"}


@pytest.mark.parametrize("off", [{"plausibility"}, {"likeness"}, {"diversity"}, {"hardness"}, {*TERMS[:2]}, {*TERMS}])
def test_terms_without_weight_are_left_out(off: set[str]) -> None:
    augmentation = AdversarialAugmentation(H36M, replace(SMALL, **dict.fromkeys(off, 0.0)))
    asked: list[int] = []

    def error(pose: Tensor) -> Tensor:
        asked.append(len(pose))
        return pose.square().mean()

    parts = ("generator", "poses", "keypoints")
    before = {name: state(getattr(augmentation, name)) for name in parts}
    found = augmentation.learn(standing(6), image(standing(6)), image, error)
    told = {f"generator_{name}" for name in TERMS if name not in off}
    judges = {"poses": "plausibility", "keypoints": "likeness"}
    assert set(found) == told | {judge for judge, term in judges.items() if term not in off}
    assert bool(asked) == ("hardness" not in off)
    moved = {name for name in parts if not same(before[name], state(getattr(augmentation, name)))}
    assert moved == {judge for judge, term in judges.items() if term not in off} | ({"generator"} if told else set())


def test_weights_are_those_of_the_settings() -> None:
    terms = {name: torch.tensor(float(number)) for number, name in enumerate(TERMS, start=1)}
    config = replace(SMALL, plausibility=1.0, likeness=10.0, diversity=100.0, hardness=1000.0)
    assert float(sum_of(terms, config)) == 1 + 20 + 300 + 4000
    assert float(sum_of({"likeness": terms["likeness"]}, config)) == 20


def test_windows_of_one_frame_and_hidden_joints_take_part() -> None:
    augmentation = AdversarialAugmentation(H36M, SMALL)
    hidden = torch.ones(4, 1, 17, dtype=torch.bool)
    hidden[:, :, 3] = False
    target = image(standing(4, frames=1))[0], hidden
    found = augmentation.learn(standing(4, frames=1), target, lambda pose: (image(pose)[0], hidden))
    assert all(bool(value.isfinite()) for value in found.values())


def test_gaps_do_not_tell_real_keypoints_from_made_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    augmentation = AdversarialAugmentation(H36M, SMALL)
    shown: list[Tensor] = []
    judge = augmentation.keypoints.forward

    def watched(keypoints: Tensor, visible: Tensor) -> Tensor:
        shown.append(visible)
        return judge(keypoints, visible)

    monkeypatch.setattr(augmentation.keypoints, "forward", watched)
    made, real = (torch.ones(4, 3, 17, dtype=torch.bool) for _ in range(2))
    made[:, :, 3], real[:, :, 5] = False, False
    augmentation.learn(standing(4), (image(standing(4))[0], real), lambda pose: (image(pose)[0], made))
    assert len(shown) == 3  # the generator's, the real ones, the made ones
    for visible in shown:
        assert torch.equal(visible, shown[0]) and not bool(visible[:, [3, 5]].any()) and bool(visible[:, 4].all())
