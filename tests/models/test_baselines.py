"""The baselines see what they say they see: one frame, or the frames of a receptive field, whatever the order of the joints."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge
from torch import Tensor
from zoo import FIVE, small

import graphpose
from graphpose.errors import ConfigError, DataError
from graphpose.models import create
from graphpose.models.cost import model_cost
from graphpose.models.residual_mlp import ResidualMLP
from graphpose.models.ridge import RidgeRegression
from graphpose.models.videopose3d import VideoPose3D
from graphpose.skeleton import Skeleton

BASELINES = ("residual_mlp", "ridge", "videopose3d")
ORDER = [0, 3, 4, 1, 2]
RENAMED = Skeleton.from_parents([-1, 0, 1, 0, 3], [FIVE.joints[i] for i in ORDER], FIVE.pairs)

baselines = pytest.mark.parametrize("name", BASELINES)


def keypoints(*shape: int) -> Tensor:
    return torch.randn(*shape, 5, 2, dtype=torch.float64)


def seen_by(model: torch.nn.Module, frame: int, length: int) -> list[int]:
    """The frames that one frame of the output depends on."""
    x = keypoints(1, length).requires_grad_()
    model.lift(x)[0, frame].sum().backward()
    assert x.grad is not None
    return torch.nonzero(x.grad[0].abs().sum((1, 2))).flatten().tolist()


@baselines
@pytest.mark.parametrize("features", [2, 3])
def test_relabelled_joints_give_the_relabelled_pose(name: str, features: int) -> None:
    """Features of joint j stand in columns C j .. of the first layer, coordinates of joint j in rows 3 j .. of the last."""
    model, twin = small(name, in_features=features).double(), small(name, RENAMED, in_features=features).double()
    first, last = {
        "residual_mlp": ("stem.0.weight", "head"),
        "ridge": ("weight", ""),
        "videopose3d": ("stem.0.weight", "head"),
    }[name]
    state = model.state_dict()

    def moved(of_joint: int) -> Tensor:
        return (torch.tensor(ORDER)[:, None] * of_joint + torch.arange(of_joint)).flatten()

    state[first] = state[first].index_select(1, moved(features))
    for part in ("weight", "bias"):
        key = f"{last}.{part}".lstrip(".")
        state[key] = state[key].index_select(0, moved(3))
    twin.load_state_dict(state)
    x = torch.randn(2, 6, 5, features, dtype=torch.float64)
    torch.testing.assert_close(twin.lift(x[:, :, ORDER]), model.lift(x)[:, :, ORDER])


@pytest.mark.parametrize("name", ["residual_mlp", "ridge"])
def test_single_frame_models_see_single_frames_of_clips_of_any_length(name: str) -> None:
    model = small(name).double()
    x = keypoints(2, 11)
    torch.testing.assert_close(model.lift(x)[:, 3:7], model.lift(x[:, 3:7]))
    assert seen_by(model, 4, 11) == [4]


@pytest.mark.parametrize("widths", [(1,), (3,), (3, 3), (5, 3), (3, 1, 5)])
@pytest.mark.parametrize("causal", [False, True])
def test_a_frame_sees_its_receptive_field_and_nothing_else(widths: tuple[int, ...], causal: bool) -> None:
    # Without ReLUs that are shut, every frame of the field shows in the gradient.
    model = small("videopose3d", filter_widths=widths, causal=causal, channels=64).double()
    assert isinstance(model, VideoPose3D)
    field = model.receptive_field
    assert field == math.prod(widths)
    frame, length = field, 2 * field + 1
    first = frame - field + 1 if causal else frame - field // 2
    assert seen_by(model, frame, length) == list(range(first, first + field))
    assert model.lift(keypoints(2, 1)).shape == (2, 1, 5, 3)


@pytest.mark.parametrize("causal", [False, True])
def test_dense_convolutions_equal_windows_lifted_one_by_one(causal: bool) -> None:
    """The published single-frame form strides: it computes one frame of a window that holds its whole receptive field."""
    model = small("videopose3d", frames=9, causal=causal).double()
    x = keypoints(1, 20)
    before = 8 if causal else 4
    padded = torch.cat([x[:, :1].expand(-1, before, -1, -1), x, x[:, -1:].expand(-1, 8 - before, -1, -1)], 1)
    alone = torch.cat([strided(model, padded[:, t : t + 9]) for t in range(20)], 1)
    torch.testing.assert_close(model.lift(x), alone)


def strided(model: VideoPose3D, window: Tensor) -> Tensor:
    """One window `[B, R, J, C]` -> `[B, 1, J, 3]` by strided convolutions with the weights of the dilated ones."""
    hidden = window.flatten(2).mT
    units = [[model.stem], *model.blocks]
    for width, unit in zip(model.widths, units, strict=True):
        residual = hidden[:, :, width - 1 if model.config.causal else width // 2 :: width]
        out = hidden
        for layer, stride in zip(unit, (width, 1), strict=False):
            out = layer[1:](F.conv1d(out, layer[0].weight, stride=stride))
        hidden = out if unit == [model.stem] else residual + out
    return model.head(hidden).mT.unflatten(2, (5, 3))


@pytest.mark.parametrize(
    ("frames", "field"), [(1, 1), (2, 1), (6, 5), (27, 27), (50, 49), (64, 63)], ids=lambda value: str(value)
)
def test_frames_give_the_receptive_field_unless_widths_do(frames: int, field: int) -> None:
    model = create("videopose3d", FIVE, frames, channels=4)
    assert isinstance(model, VideoPose3D)
    assert model.receptive_field == field and model.frames == frames
    other = create("videopose3d", FIVE, frames, channels=4, filter_widths=[3, 3])
    assert isinstance(other, VideoPose3D)
    assert other.receptive_field == 9 and other.frames == frames


def test_another_window_length_leaves_the_receptive_field() -> None:
    model = create("videopose3d", FIVE, 27, channels=16).eval()
    assert isinstance(model, VideoPose3D)
    other = model.on(frames=81)
    assert isinstance(other, VideoPose3D)
    assert (other.frames, other.receptive_field) == (81, 27)
    x = torch.randn(1, 40, 5, 2)
    torch.testing.assert_close(other.lift(x), model.lift(x), rtol=0, atol=0)


def test_published_sizes() -> None:
    """16.95 M parameters for 243 frames of 17 joints, 12.75 M for 81, 8.56 M for 27 (Pavllo et al., in millions)."""
    for frames, millions in ((27, 8.56), (81, 12.75), (243, 16.95)):
        model = create("videopose3d", "h36m17", frames)
        assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("name", ["residual_mlp", "videopose3d"])
def test_baselines_learn_a_rule(name: str) -> None:
    """Depth from the distance of two keypoints, which no linear model knows."""
    torch.manual_seed(0)
    model = create(name, FIVE, frames=3, dropout=0.0, **({"width": 64} if name == "residual_mlp" else {"channels": 64}))
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    x = torch.randn(64, 3, 5, 2)
    y = torch.cat([x, (x[..., :1, :] - x).square().sum(-1, keepdim=True)], -1)
    errors = []
    for _ in range(150):
        error = (model.lift(x) - y).norm(dim=-1).mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.25 * errors[0]


@pytest.mark.parametrize("name", ["residual_mlp", "videopose3d"])
def test_a_single_frame_is_a_batch_too(name: str) -> None:
    """The last batch of an epoch may be one window of one frame, which has no variance."""
    model = create(name, FIVE, frames=1, dropout=0.0).train()
    x = torch.randn(1, 1, 5, 2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    lifted = model.lift(x)
    torch.testing.assert_close(lifted, model.eval().lift(x))
    lifted.sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_ridge_is_the_regression_of_scikit_learn() -> None:
    model = create("ridge", FIVE, frames=4, alpha=3.0, in_features=3).double()
    assert isinstance(model, RidgeRegression)
    x = torch.randn(10, 4, 5, 3, dtype=torch.float64)
    y = torch.randn(10, 4, 5, 3, dtype=torch.float64)
    model.fit(x, y)
    expected = Ridge(alpha=3.0, solver="svd").fit(x.reshape(40, 15).numpy(), y.reshape(40, 15).numpy())
    found = model.lift(x).detach().reshape(40, 15).numpy()
    np.testing.assert_allclose(found, expected.predict(x.reshape(40, 15).numpy()), rtol=1e-9, atol=1e-12)


def test_ridge_finds_a_linear_rule_and_its_penalty_shrinks_it() -> None:
    x = keypoints(200)
    rule, shift = torch.randn(10, 15, dtype=torch.float64), torch.randn(15, dtype=torch.float64)
    y = (x.flatten(1) @ rule + shift).unflatten(1, (5, 3))
    models = [create("ridge", FIVE, alpha=alpha).double() for alpha in (1e-6, 1e3)]
    for model in models:
        assert isinstance(model, RidgeRegression)
        model.fit(x, y)
    torch.testing.assert_close(models[0].weight.detach(), rule.T, rtol=0, atol=1e-6)
    torch.testing.assert_close(models[0].bias.detach(), shift, rtol=0, atol=1e-6)
    assert models[1].weight.norm() < 0.5 * rule.norm()
    fitted = models[1].lift(x[None])[0]
    torch.testing.assert_close(fitted.mean(0), y.mean(0))  # the intercept is not shrunk


def test_an_unfitted_ridge_refuses_to_lift_and_a_loaded_one_does_not(tmp_path: Path) -> None:
    unfitted = create("ridge", FIVE, frames=4)
    x = torch.randn(2, 4, 5, 2)
    with pytest.raises(ConfigError, match="not fitted"):
        unfitted.lift(x)
    again = graphpose.load(graphpose.models.save(unfitted, tmp_path / "unfitted.safetensors"))
    with pytest.raises(ConfigError, match="not fitted"):
        again.lift(x)
    fitted = small("ridge", frames=4)
    unfitted.load_state_dict(fitted.state_dict())
    torch.testing.assert_close(unfitted.lift(x), fitted.lift(x), rtol=0, atol=0)
    torch.testing.assert_close(fitted.on(frames=9).lift(x), fitted.lift(x), rtol=0, atol=0)


def test_the_cost_of_an_unfitted_ridge_is_known() -> None:
    cost = model_cost(create("ridge", FIVE, frames=4))
    assert (cost.parameters, cost.flops) == (15 * 10 + 15, 2 * 4 * 15 * 10)


@pytest.mark.parametrize(
    ("x", "y", "fault"),
    [
        ((8, 4, 2), (8, 4, 3), r"keypoints \[..., 5, 2\] .* \(got \[8, 4, 2\] and \[8, 4, 3\]\)"),
        ((8, 5, 3), (8, 5, 3), r"got \[8, 5, 3\]"),
        ((8, 5, 2), (7, 5, 3), r"of the same frames \(got \[8, 5, 2\] and \[7, 5, 3\]\)"),
        ((0, 5, 2), (0, 5, 3), r"got \[0, 5, 2\]"),
    ],
)
def test_ridge_refuses_frames_that_do_not_fit(x: tuple[int, ...], y: tuple[int, ...], fault: str) -> None:
    model = create("ridge", FIVE)
    assert isinstance(model, RidgeRegression)
    with pytest.raises(DataError, match=fault):
        model.fit(torch.zeros(x), torch.zeros(y))


def test_ridge_refuses_what_nobody_knows() -> None:
    model = create("ridge", FIVE)
    assert isinstance(model, RidgeRegression)
    y = torch.zeros(8, 5, 3)
    y[2, 1] = torch.nan
    with pytest.raises(DataError, match="finite"):
        model.fit(torch.zeros(8, 5, 2), y)
    assert not model.fitted


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("ridge", {"alpha": 0.0}, r"alpha > 0 \(got 0.0\)"),
        ("ridge", {"alpha": math.inf}, r"alpha"),
        ("residual_mlp", {"width": 0}, r"width >= 1 \(got 0\)"),
        ("residual_mlp", {"blocks": -1}, r"blocks >= 0 \(got -1\)"),
        ("residual_mlp", {"dropout": 1.0}, r"dropout in \[0, 1\) \(got 1.0\)"),
        ("videopose3d", {"channels": 0}, r"channels >= 1 \(got 0\)"),
        ("videopose3d", {"dropout": -0.1}, r"dropout"),
        ("videopose3d", {"filter_widths": [3, 4]}, r"filter_widths as odd numbers \(got \[3, 4\]\)"),
        ("videopose3d", {"filter_widths": []}, r"filter_widths as odd numbers \(got \[\]\)"),
    ],
)
def test_options_that_make_no_model_are_named(name: str, options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        create(name, FIVE, **options)


def test_residual_mlp_without_blocks_is_one_hidden_layer() -> None:
    model = small("residual_mlp", blocks=0)
    assert isinstance(model, ResidualMLP)
    assert model.lift(torch.randn(1, 2, 5, 2)).shape == (1, 2, 5, 3)
