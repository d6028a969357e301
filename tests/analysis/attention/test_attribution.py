"""Attribution of a linear model is its weights, adds up to the change of the output, and touches nothing of the model."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo import FIVE, keypoints, small

from graphpose.analysis.attention.measures.attribution import attribution
from graphpose.errors import ConfigError, DataError, SkeletonError
from graphpose.models import Lifter
from graphpose.models.lifter import LifterConfig


class Mixer(Lifter):
    """y_tj = sum over frames s and joints i of mix[t, j, s, i] times (x, y, 0) of joint i in frame s."""

    def __init__(self, mix: Tensor) -> None:
        super().__init__(FIVE, LifterConfig(frames=len(mix)))
        self.register_buffer("mix", mix)

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        mixed = torch.einsum("tjsi,bsic->btjc", self.mix, x)
        return torch.cat([mixed, torch.zeros_like(mixed[..., :1])], dim=-1)


def planted() -> Mixer:
    """Joint 2 of frame 1 is made of 3 times joint 0 in frame 0 and -1 times joint 4 in frame 2."""
    mix = torch.zeros(3, 5, 3, 5)
    mix[1, 2, 0, 0], mix[1, 2, 2, 4] = 3.0, -1.0
    return Mixer(mix).eval()


def test_a_linear_model_gives_its_weights() -> None:
    x = torch.randn(3, 5, 2)
    expected = np.zeros((3, 5))
    expected[0, 0], expected[2, 4] = 3 * x[0, 0, 1], -x[2, 4, 1]
    for method in ("integrated_gradients", "input_x_gradient"):
        found = attribution(planted(), x, "l_foot", 1, method=method, coordinate="y")  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    expected[0, 0], expected[2, 4] = 3.0, 1.0
    found = attribution(planted(), x, "l_foot", method="saliency", coordinate="y")  # the centre frame is frame 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_shares_are_of_the_size_alone() -> None:
    x = torch.ones(3, 5, 2)
    found = attribution(planted(), x, 2, 1, coordinate="x", shares=True)
    assert (found[0, 0], found[2, 4]) == pytest.approx((0.75, 0.25))
    assert np.isnan(attribution(planted(), x, 0, 1, coordinate="x", shares=True)).all()  # nothing counts


def test_a_baseline_is_where_the_path_starts() -> None:
    x, start = torch.ones(3, 5, 2), torch.full((3, 5, 2), 0.5)
    found = attribution(planted(), x, 2, 1, coordinate="x", baseline=start)
    assert (found[0, 0], found[2, 4]) == pytest.approx((1.5, -0.5))


WHOLE = ["mixste", "dstformer", "ktpformer_index_free", "videopose3d", "residual_mlp", "gla_gcn", "d3dp"]


@pytest.mark.parametrize("name", [*WHOLE, "hourglass"])
def test_integrated_gradients_add_up_to_the_change_of_the_output(name: str) -> None:
    frames = 9
    model = small(name, frames=frames)
    x = 0.5 * keypoints(model, 1)
    frame = frames // 2 if name == "gla_gcn" else 3
    kept = {"kept": model.selected_frames(x)} if name == "hourglass" else {}
    with torch.no_grad():
        now, then = (
            model.lift(one, **kept)[0, 0 if name == "gla_gcn" else frame, 2, 1] for one in (x, torch.zeros_like(x))
        )
    found = attribution(model, x[0], "l_foot", frame, coordinate="y", points=48)
    assert found.shape == (frames, 5)
    assert found.sum() == pytest.approx(float(now - then), abs=1e-3 + 0.02 * abs(float(now - then)))
    assert np.abs(found).max() > 1e-6


def test_renumbered_joints_give_renumbered_attributions() -> None:
    model = small("ktpformer_index_free")
    order = [3, 0, 4, 2, 1]
    other = model.on(FIVE.reordered([FIVE.joints[i] for i in order]))
    x = keypoints(model, 1)[0]
    expected = attribution(model, x, "r_foot", 2, points=4)[:, order]
    np.testing.assert_allclose(attribution(other, x[:, order], "r_foot", 2, points=4), expected, atol=1e-5)


def test_the_model_stays_as_it_is() -> None:
    model = small("mixste").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = keypoints(model, 1)[0]
    with torch.inference_mode():
        inside = attribution(model, x, 1, 2, points=4)
    np.testing.assert_array_equal(inside, attribution(model, x, 1, 2, points=4))
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not x.requires_grad


def test_float64_and_a_third_feature() -> None:
    model = small("mixste", in_features=3).double()
    found = attribution(model, keypoints(model, 1, features=3)[0], 1, points=4)
    assert found.dtype == np.float64 and np.isfinite(found).all()


def test_bad_input_is_refused() -> None:
    model = planted()
    x = torch.zeros(3, 5, 2)
    with pytest.raises(ConfigError, match="did you mean 'saliency'"):
        attribution(model, x, 0, method="salience")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="unknown coordinate 'w'"):
        attribution(model, x, 0, coordinate="w")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected points >= 1"):
        attribution(model, x, 0, points=0)
    with pytest.raises(ConfigError, match="no baseline"):
        attribution(model, x, 0, method="saliency", baseline=x)
    with pytest.raises(SkeletonError, match="did you mean 'hip'"):
        attribution(model, x, "hop")
    with pytest.raises(DataError, match="one window"):
        attribution(model, x[None], 0)
    with pytest.raises(DataError, match="expected keypoints"):
        attribution(model, x[:2], 0)
    with pytest.raises(DataError, match=r"expected frame in 0 \.\.\. 2"):
        attribution(model, x, 0, 3)
    broken = x.clone()
    broken[1, 4] = math.nan
    with pytest.raises(DataError, match="frame 1, joint 'r_foot'"):
        attribution(model, broken, 0)
    with pytest.raises(DataError, match="the only one that this model lifts"):
        attribution(small("gla_gcn", frames=3), x, 0, 0)


def test_every_submodule_keeps_its_mode() -> None:
    model = small("mixste", frames=3).train()
    next(iter(model.children())).eval()  # a part that is frozen
    modes = [module.training for module in model.modules()]
    attribution(model, torch.randn(3, len(model.skeleton), 2), 1, method="saliency")
    assert [module.training for module in model.modules()] == modes
