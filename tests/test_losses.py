from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import shared_path

from graphpose.errors import ConfigError, DataError
from graphpose.losses import (
    PoseLoss,
    available_losses,
    create_loss,
    ktpformer_loss,
    register_loss,
    temporal_consistency,
    velocity_error,
    weighted_error,
)
from graphpose.skeleton import Skeleton

SKELETON = Skeleton.from_parents([-1, 0, 1, 0, 3])


def _poses(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 0.3 * torch.randn(*shape, 5, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(scope="module")
def reference() -> dict[str, torch.Tensor]:
    with np.load(shared_path("reference/metrics.npz")) as arrays:
        return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays}


def test_agrees_with_the_published_numbers(reference: dict[str, torch.Tensor]):
    pred, target, weights = (reference[name] for name in ("pred", "target", "joint_weights"))
    ours = {
        "weighted_mpjpe": weighted_error(pred, target, weights),
        "temporal_consistency": temporal_consistency(pred, weights),
        "mpjve": velocity_error(pred, target),
        "ktpformer_loss": ktpformer_loss(pred, target, weights),
    }
    for name, value in ours.items():
        assert abs(value - reference[name]) <= 1e-5 * max(1.0, reference[name].item()), name


def test_registered_loss_takes_its_weights_from_the_skeleton(reference: dict[str, torch.Tensor]):
    skeleton = Skeleton.from_parents([-1, *range(16)])
    weighted = Skeleton(
        name="weighted",
        joints=skeleton.joints,
        parents=skeleton.parents,
        loss_weights=tuple(reference["joint_weights"].tolist()),
    )
    loss = create_loss("ktpformer", weighted)
    value = loss(reference["pred"], reference["target"])
    assert value.item() == pytest.approx(reference["ktpformer_loss"].item(), abs=1e-5)
    assert loss.state_dict() == {}, "the weights are the skeleton's, not learned"
    terms = loss.terms(reference["pred"], reference["target"])
    assert terms["position"].item() == pytest.approx(reference["weighted_mpjpe"].item(), abs=1e-5)
    assert set(terms) == {"position", "temporal", "velocity"}


@pytest.mark.parametrize("name", available_losses())
class TestEveryLoss:
    def test_scalar_with_right_gradients(self, name: str):
        loss = create_loss(name, SKELETON).double()
        pred, target = _poses(0, 2, 4).requires_grad_(), _poses(1, 2, 4)
        assert loss(pred, target).shape == ()
        assert torch.autograd.gradcheck(lambda p: loss(p, target), (pred,), atol=1e-4)
        visible = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(2)) > 0.3
        assert torch.autograd.gradcheck(lambda p: loss(p, target, visible), (pred,), atol=1e-4)

    def test_is_the_weighted_sum_of_its_terms(self, name: str):
        loss = create_loss(name, SKELETON)
        pred, target = _poses(0, 2, 4), _poses(1, 2, 4)
        terms = loss.terms(pred, target)
        total = sum(loss.coefficients[key] * value for key, value in terms.items())
        assert torch.allclose(loss(pred, target), total)
        assert not any(value.requires_grad for value in loss.terms(pred.requires_grad_(), target).values())

    def test_perfect_still_prediction_costs_nothing(self, name: str):
        still = _poses(3, 2, 1).expand(2, 6, 5, 3)
        assert create_loss(name, SKELETON)(still, still).item() == pytest.approx(0.0, abs=1e-12)

    def test_one_frame(self, name: str):
        loss = create_loss(name, SKELETON)
        pred, target = _poses(0, 2, 1).requires_grad_(), _poses(1, 2, 1)
        loss(pred, target).backward()
        assert pred.grad is not None and pred.grad.isfinite().all() and pred.grad.abs().sum() > 0
        terms = loss.terms(pred, target)
        assert all(terms[key] == 0 for key in ("temporal", "velocity") if key in terms)

    def test_hidden_joints_reach_neither_loss_nor_gradient(self, name: str):
        loss = create_loss(name, SKELETON)
        target, visible = _poses(1, 2, 4), torch.ones(2, 4, 5, dtype=torch.bool)
        visible[0, 1, 2] = visible[1, 3, 4] = False
        pred = _poses(0, 2, 4).requires_grad_()
        value = loss(pred, target, visible)
        target[~visible] = float("nan")
        again = loss(pred, target, visible)
        again.backward()
        assert torch.equal(value, again) and pred.grad is not None
        assert pred.grad.isfinite().all() and (pred.grad[~visible] == 0).all()
        assert loss(pred, target).isnan(), "a NaN that counts shows"

    def test_all_visible_is_no_mask(self, name: str):
        loss, pred, target = create_loss(name, SKELETON), _poses(0, 2, 4), _poses(1, 2, 4)
        assert torch.allclose(loss(pred, target, torch.ones(2, 4, 5, dtype=torch.bool)), loss(pred, target))

    def test_nothing_visible_is_zero_without_gradient(self, name: str):
        pred = _poses(0, 2, 4).requires_grad_()
        value = create_loss(name, SKELETON)(pred, _poses(1, 2, 4), torch.zeros(2, 4, 5, dtype=torch.bool))
        value.backward()
        assert value.item() == 0.0 and pred.grad is not None and (pred.grad == 0).all()

    def test_half_precision_is_computed_in_single(self, name: str):
        loss = create_loss(name, SKELETON)
        pred, target = _poses(0, 2, 4).bfloat16(), _poses(1, 2, 4).bfloat16()
        value = loss(pred, target)
        assert value.dtype == torch.float32 and torch.allclose(value, loss(pred.float(), target.float()))

    def test_a_prediction_of_zeros_has_finite_gradients(self, name: str):
        pred = torch.zeros(2, 4, 5, 3, requires_grad=True)
        create_loss(name, SKELETON)(pred, _poses(1, 2, 4, dtype=torch.float32)).backward()
        assert pred.grad is not None and pred.grad.isfinite().all()

    def test_bad_input_gets_one_clear_error(self, name: str):
        loss = create_loss(name, SKELETON)
        good = torch.zeros(2, 4, 5, 3)
        for pred, target in ((good[0], good[0]), (good[:, :, :4], good[:, :, :4]), (good, good[:1])):
            with pytest.raises(DataError, match=r"\[B, T, 5, 3\] on skeleton"):
                loss(pred, target)
        for visible in (torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 4, 5)):
            with pytest.raises(DataError, match=r"boolean visible \[2, 4, 5\]"):
                loss(good, good, visible)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6))
def test_a_batch_is_the_mean_of_its_clips(seed: int, clips: int, frames: int):
    loss = create_loss("ktpformer", SKELETON)
    pred, target = _poses(seed, clips, frames), _poses(seed + 1, clips, frames)
    each = torch.stack([loss(pred[i : i + 1], target[i : i + 1]) for i in range(clips)])
    assert torch.allclose(loss(pred, target), each.mean())


def test_coefficients_are_options_and_zero_leaves_a_term_out():
    pred, target = _poses(0, 2, 4), _poses(1, 2, 4)
    weights = torch.from_numpy(np.array(SKELETON.weights))
    bare = create_loss("ktpformer", SKELETON, temporal=0.0, velocity=0.0)
    assert torch.allclose(bare(pred, target), create_loss("weighted_mpjpe", SKELETON)(pred, target))
    strong = create_loss("ktpformer", SKELETON, temporal=1.5)
    assert torch.allclose(strong(pred, target), ktpformer_loss(pred, target, weights, temporal=1.5))
    assert "temporal=1.5" in repr(strong)


def test_motionagformer_on_a_scaled_prediction():
    target = _poses(0, 2, 1).expand(2, 3, 5, 3)
    terms = create_loss("motionagformer", SKELETON).terms(2 * target, target)
    assert terms["scale"].item() == pytest.approx(0.0, abs=1e-12) and terms["velocity"].item() == 0.0
    assert torch.allclose(terms["position"], target.norm(dim=-1).mean())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: create_loss("ktpforme", SKELETON), "did you mean 'ktpformer'"),
        (lambda: create_loss("ktpformer", SKELETON, temporl=1.0), "did you mean 'temporal'"),
        (lambda: create_loss("mpjpe", SKELETON, temporal=1.0), "option of loss 'mpjpe'"),
        (lambda: create_loss("ktpformer", SKELETON, velocity=-1.0), "0 or more for loss term 'velocity'"),
        (lambda: create_loss("ktpformer", SKELETON, velocity=float("nan")), "0 or more"),
        (lambda: register_loss("mpjpe")(PoseLoss), "new name for a loss"),
    ],
)
def test_bad_configuration_gets_one_clear_error(build, message: str):
    with pytest.raises(ConfigError, match=message):
        build()
