"""Adversarial aims: where they are smallest, which way their gradients point, what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphpose.adaptation.adversarial_losses import (
    discriminator_loss,
    diversity_loss,
    generator_loss,
    hardness_loss,
)
from graphpose.adaptation.local_pose_augmentation import Augmented
from graphpose.errors import ConfigError, DataError


def test_least_squares_by_hand() -> None:
    real, fake = torch.tensor([[1.0], [0.5]]), torch.tensor([0.0, 0.5, 1.0])
    assert float(discriminator_loss(real, fake)) == pytest.approx(0.5 * 0.125 + 0.5 * 1.25 / 3)
    assert float(generator_loss(fake)) == pytest.approx(0.5 * 1.25 / 3)
    assert float(discriminator_loss(torch.ones(4), torch.zeros(2))) == 0
    assert float(generator_loss(torch.ones(3, 2))) == 0


def test_judge_and_generator_pull_a_made_pose_apart() -> None:
    fake = torch.tensor([0.4], requires_grad=True)
    [judge] = torch.autograd.grad(discriminator_loss(torch.ones(1), fake), fake)
    [maker] = torch.autograd.grad(generator_loss(fake), fake)
    assert float(judge) > 0 > float(maker)


def change(size: float, seed: int = 0, batch: int = 4) -> Augmented:
    """Turns, log ratios and rotation all `size` times the same random numbers."""
    draw = torch.Generator().manual_seed(seed)
    turns, logs, rotation = (torch.randn(batch, *shape, generator=draw) * size for shape in ((5, 3), (5,), (3,)))
    return Augmented(torch.zeros(batch, 1, 5, 3), turns, logs.exp(), rotation)


def test_diversity_falls_as_the_changes_part() -> None:
    losses = [float(diversity_loss(change(0.3), change(size))) for size in (0.3, 0.4, 0.6, 2.0)]
    assert losses == sorted(losses, reverse=True) and losses[0] == pytest.approx(10) and losses[-1] < 3


@pytest.mark.parametrize("part", ["turns", "ratios", "rotation"])
def test_diversity_wants_each_kind_of_change_further_apart(part: str) -> None:
    first, second = change(0.2), change(0.3)
    moved = getattr(second, part).clone().requires_grad_(True)
    diversity_loss(first, second._replace(**{part: moved})).backward()
    assert moved.grad is not None
    assert float((moved.grad * (moved.detach() - getattr(first, part))).sum()) < 0


def test_changes_that_cannot_be_do_not_count() -> None:
    first, second = change(0.2), change(0.3)
    still = second._replace(rotation=first.rotation)
    alone = [float(diversity_loss(first, still, parts=[part])) for part in ("turns", "ratios")]
    assert float(diversity_loss(first, still, parts=["turns", "ratios"])) == pytest.approx(sum(alone) / 2)
    assert float(diversity_loss(first, still)) == pytest.approx((sum(alone) + 10) / 3)
    assert float(diversity_loss(first, still, parts=[])) == 0


def test_diversity_counts_against_the_distance_of_the_noise() -> None:
    noise = torch.randn(4, 8)
    near, usual, far, same = (
        diversity_loss(change(0.1), change(0.3), (noise, noise + d)) for d in (0.1, 2 / math.sqrt(math.pi), 3.0, 0.0)
    )
    assert float(near) < float(usual) < float(far)
    assert float(usual) == pytest.approx(float(diversity_loss(change(0.1), change(0.3))))
    assert bool(same.isfinite())


@given(ratio=st.floats(0.2, 8.0), wanted=st.floats(0.5, 4.0), scale=st.floats(1e-3, 10.0))
def test_hardness_is_the_squared_log_of_the_ratio(ratio: float, wanted: float, scale: float) -> None:
    source = torch.tensor(scale, dtype=torch.float64)
    loss = hardness_loss(source * ratio, source, wanted)
    assert float(loss) == pytest.approx(math.log(ratio / wanted) ** 2, abs=1e-9)


def test_hardness_pulls_to_the_wanted_ratio_and_leaves_the_source_alone() -> None:
    source = torch.tensor(0.05, requires_grad=True)
    for augmented, sign in ((0.06, -1), (0.5, 1)):
        easy = torch.tensor(augmented, requires_grad=True)
        hardness_loss(easy, source, 2.0).backward()
        assert easy.grad is not None and math.copysign(1, float(easy.grad)) == sign
    assert source.grad is None


def test_hardness_of_a_lifter_without_error_is_finite() -> None:
    zero = torch.zeros((), requires_grad=True)
    hardness_loss(zero, torch.zeros(()), 1.5).backward()
    assert zero.grad is not None and bool(zero.grad.isfinite())


def test_a_loss_that_is_not_a_number_stays_one() -> None:
    assert bool(hardness_loss(torch.tensor(float("nan")), torch.tensor(1.0), 1.0).isnan())


def test_bad_input_is_refused() -> None:
    empty, scores = torch.zeros(0, 3), torch.ones(2, 3)
    with pytest.raises(DataError, match=r"fake: expected scores of at least one pose \(got \[0, 3\]\)"):
        discriminator_loss(scores, empty)
    with pytest.raises(DataError, match="real: expected"):
        discriminator_loss(empty, scores)
    with pytest.raises(DataError, match="fake: expected"):
        generator_loss(empty)
    with pytest.raises(DataError, match=r"turns: expected two of one shape"):
        diversity_loss(change(0.1), change(0.1, batch=3))
    with pytest.raises(DataError, match=r"turns: expected two of one shape, not empty"):
        diversity_loss(change(0.1, batch=0), change(0.1, batch=0))
    with pytest.raises(DataError, match=r"noise: expected two of one shape"):
        diversity_loss(change(0.1), change(0.1), (scores, scores))
    for wanted in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="wanted: expected a ratio above 0"):
            hardness_loss(torch.tensor(1.0), torch.tensor(1.0), wanted)
    with pytest.raises(DataError, match="expected one loss each"):
        hardness_loss(torch.ones(3), torch.tensor(1.0), 1.0)
