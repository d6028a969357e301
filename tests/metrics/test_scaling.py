"""Scales before measuring: they are the least-squares ones, over the axes that they are said to share."""

from __future__ import annotations

import pytest
import torch

from graphpose.errors import ConfigError
from graphpose.metrics import ALIGNMENTS, mpjpe, n_mpjpe, scale_to


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    target = torch.randn(2, 6, 5, 3, generator=generator)
    return target + 0.2 * torch.randn(2, 6, 5, 3, generator=generator), target


def squares(pred: torch.Tensor, target: torch.Tensor) -> float:
    return float((pred - target).square().sum())


def test_root_changes_nothing() -> None:
    pred, target = drawn()
    assert scale_to(pred, target, "root") is pred


def test_a_scale_a_frame_makes_mpjpe_n_mpjpe() -> None:
    pred, target = drawn()
    assert mpjpe(scale_to(pred, target, "scale"), target) == pytest.approx(n_mpjpe(pred, target).item(), rel=1e-6)


@pytest.mark.parametrize("alignment", ["scale", "clip-scale"])
def test_no_other_scale_fits_better(alignment: str) -> None:
    pred, target = drawn()
    best = scale_to(pred, target, alignment)
    for factor in (0.99, 1.01):
        assert squares(best, target) < squares(factor * best, target)
    ratio = best / pred
    shared = ratio.flatten(-3) if alignment == "clip-scale" else ratio.flatten(-2)
    assert (shared.amax(-1) - shared.amin(-1)).max() < 1e-5
    assert len(ratio[..., 0, 0].unique().round(decimals=4).unique()) == (2 if alignment == "clip-scale" else 12)


@pytest.mark.parametrize("alignment", ["scale", "clip-scale"])
def test_joints_that_do_not_count_do_not_decide_the_scale(alignment: str) -> None:
    _, target = drawn()
    counted = torch.tensor([True, True, True, True, False]).expand(2, 6, 5)
    pred = 0.5 * target
    pred[..., 4, :] = torch.nan
    fitted = scale_to(pred, target, alignment, counted)
    torch.testing.assert_close(fitted[..., :4, :], target[..., :4, :], rtol=1e-5, atol=1e-6)


def test_nothing_has_no_scale_and_a_wrong_name_a_hint() -> None:
    _, target = drawn()
    assert scale_to(torch.zeros_like(target), target, "clip-scale").isnan().all()
    with pytest.raises(ConfigError, match="did you mean 'scale'"):
        scale_to(target, target, "scales")
    assert list(ALIGNMENTS) == ["root", "scale", "clip-scale"]
