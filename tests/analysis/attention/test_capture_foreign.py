"""Capture of models that are not ours: they run as before, and the caller says in a few lines what they attend over."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from foreign_model import SITES, Product, SpaceTime
from torch import Tensor, nn
from zoo import FIVE

from graphpose.analysis import Site, capture
from graphpose.errors import ConfigError, DataError
from graphpose.nn import CrossAttention, MultiHeadAttention


def kernels(model: nn.Module, x: Tensor) -> set[str]:
    """Names of the operations that a forward runs."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile, torch.no_grad():
        model(x)
    return {event.key for event in profile.key_averages()}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
def test_the_output_is_the_same_and_the_weights_are_right(training: bool, grad: bool, norm_first: bool) -> None:
    torch.manual_seed(0)
    model, x = SpaceTime(norm_first).train(training), torch.randn(3, 4, 5, 2)
    before = [sorted(vars(module)) for module in model.modules()]
    with torch.set_grad_enabled(grad):
        torch.manual_seed(1)
        plain = model(x)
        torch.manual_seed(1)
        with capture(model, skeleton=FIVE, sites=SITES) as record:
            seen = model(x)
    assert torch.equal(plain, seen)
    assert [sorted(vars(module)) for module in model.modules()] == before
    spatial, temporal = record.attention
    assert (spatial.name, spatial.axis, spatial.layer) == ("spatial.self_attn", "joints", 0)
    assert (temporal.name, temporal.axis, temporal.layer) == ("temporal", "frames", 1)
    assert spatial.weights.shape == (3, 4, 2, 5, 5) and temporal.weights.shape == (3, 5, 2, 4, 4)
    assert (spatial.across, temporal.across) == ((0, 1, 2, 3), (0, 1, 2, 3, 4))
    assert record.model == "SpaceTime" and record.skeleton == FIVE
    tokens = model.embed(x).flatten(0, 1)
    tokens = model.spatial.norm1(tokens) if norm_first else tokens
    attention = model.spatial.self_attn.eval()
    _, weights = attention(tokens, tokens, tokens, need_weights=True, average_attn_weights=False)
    torch.testing.assert_close(spatial.weights.flatten(0, 1), weights.detach())
    for one in record.attention:
        torch.testing.assert_close(one.weights.sum(-1), torch.ones(one.weights.shape[:-1]))


def test_the_fast_kernel_of_pytorch_stays() -> None:
    """In evaluation the layer never calls its attention; capture changes nothing about that."""
    model, x = SpaceTime().eval(), torch.randn(2, 4, 5, 2)
    fast = "aten::_transformer_encoder_layer_fwd"
    assert fast in kernels(model, x)
    with capture(model, skeleton=FIVE, sites=SITES) as record:
        assert fast in kernels(model, x)
    assert len(record.attention) == 2


def test_selection_and_reduction_of_foreign_attention() -> None:
    model, x = SpaceTime().eval(), torch.randn(2, 4, 5, 2)
    with capture(model, skeleton=FIVE, sites=SITES) as whole, torch.no_grad():
        model(x)
    with capture(model, skeleton=FIVE, sites=SITES, heads=[1], frames=[3], joints=["l_foot"]) as some, torch.no_grad():
        model(x)
    for one, full, row in zip(some.attention, whole.attention, (3, 2), strict=True):
        torch.testing.assert_close(one.weights, full.weights[:, [row], 1:])
    with capture(model, skeleton=FIVE, sites=SITES, reduce="mean", axes="frames"), torch.no_grad():
        model(x)


def test_what_is_not_named_is_named_in_the_error() -> None:
    model, x = SpaceTime(), torch.randn(2, 4, 5, 2)
    message = r"'temporal' attends over.*'spatial.self_attn'.*'temporal' \(scaled_dot"
    with pytest.raises(ConfigError, match=message), capture(model, skeleton=FIVE, sites={"spatial*": "joints"}):
        model(x)
    assert "forward" not in vars(model)
    with capture(model, skeleton=FIVE, sites={"spatial*": "joints", "temporal": None}) as record:
        model(x)
    assert [one.name for one in record.attention] == ["spatial.self_attn"]


def test_other_faults_of_the_caller() -> None:
    model, x = SpaceTime(), torch.randn(2, 4, 5, 2)
    for options, message in (
        ({"sites": SITES}, "expected skeleton="),
        ({"sites": {**SITES, "tempral": "frames"}, "skeleton": FIVE}, "did you mean 'temporal'"),
        ({"sites": {"*": "time"}, "skeleton": FIVE}, "unknown axis 'time'"),
        ({"sites": {"*": Site("joints", arrange=lambda weights: weights[0])}, "skeleton": FIVE}, r"\[B, R, H, N, M\]"),
        ({"sites": SITES, "skeleton": FIVE, "heads": [2]}, r"heads: expected numbers in 0 \.\.\. 1"),
        ({"sites": SITES, "skeleton": FIVE, "layers": [7]}, "layers that attend, 0, 1"),
        ({"sites": SITES, "skeleton": FIVE, "frames": [4]}, r"among 0 \.\.\. 3"),
    ):
        with pytest.raises(ConfigError, match=message), capture(model, **options):  # type: ignore[arg-type]
            model(x)


def test_leading_axes_that_nobody_can_tell_apart() -> None:
    class Listed(nn.Module):
        """Takes no tensor, so B is not known."""

        def __init__(self) -> None:
            super().__init__()
            self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, parts: list[Tensor]) -> Tensor:
            x = torch.cat(parts)
            output: Tensor = self.attend(x, x, x, need_weights=False)[0]
            return output

    model, parts = Listed(), [torch.randn(5, 4, 8)] * 2
    with capture(model, skeleton=FIVE, sites={"attend": "frames"}) as record:
        model(parts)
    assert record.attention[0].weights.shape == (2, 5, 2, 4, 4), "frames: by the joints"
    over_joints: Any = {"attend": "joints"}
    with pytest.raises(ConfigError, match="they lie with Site"), capture(model, skeleton=FIVE, sites=over_joints):
        model(parts)


class ByHand(nn.Module):
    """Attends in plain products, which nobody sees."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(x @ x.mT, -1) @ x


def test_a_model_that_attends_by_hand(caplog: pytest.LogCaptureFixture) -> None:
    model, x = ByHand(), torch.randn(2, 5, 8)
    with caplog.at_level(logging.WARNING), capture(model, skeleton=FIVE) as record:
        model(x)
    assert not record.attention
    assert "ByHand attends in no way that capture knows (nn.MultiheadAttention or scaled_dot" in caplog.text
    message = r"unknown site 'spatial.*expected a model that attends by nn\.MultiheadAttention"
    with pytest.raises(ConfigError, match=message), capture(model, skeleton=FIVE, sites=SITES):
        model(x)
    caplog.clear()
    with capture(model, skeleton=FIVE, sites=SITES):
        pass  # nothing ran, so nothing is missing
    with capture(SpaceTime(), skeleton=FIVE, sites={"*": None}):
        pass
    assert not caplog.text


class Shared(nn.Module):
    """One attention of each kind, twice in a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.torch = nn.MultiheadAttention(8, 2, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.own = MultiHeadAttention(8, 2)
        self.product = Product(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = self.torch(x, x, x, need_weights=False)[0]
            x = self.product(self.own(self.layer(x)))
        return x


def test_calls_of_one_module_are_told_apart() -> None:
    torch.manual_seed(0)
    model, x = Shared().eval(), torch.randn(3, 5, 8)
    with capture(model, skeleton=FIVE, sites={"*": "joints"}) as record, torch.no_grad():
        for part in (x[:2], x[2:]):
            model(part)
    names = ["torch", "layer.self_attn", "own", "product"]
    assert [(one.name, one.layer) for one in record.attention] == [
        (name, layer) for layer, name in enumerate([*names, *(f"{name}:1" for name in names)])
    ]
    assert all(one.weights.shape == (3, 1, 2, 5, 5) for one in record.attention)
    first, again = record.find(name="own")[0], record.find(name="own:1")[0]
    assert not torch.equal(first.weights, again.weights)
    sites: Any = {"own": Site("joints", lambda weights: weights.unsqueeze(1))}
    with capture(model, skeleton=FIVE, sites=sites) as record, torch.no_grad():
        model.own(x)  # outside of a pass
        model.own(x)
    assert [one.name for one in record.attention] == ["own"] and len(record.attention[0].weights) == 6


def test_own_attention_in_a_model_that_is_not_ours() -> None:
    """It attends by `scaled_dot_product_attention` where there are many tokens, and is seen once."""

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own, self.cross = MultiHeadAttention(8, 2), CrossAttention(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.cross(self.own(x), x)

    model = Wrapped()
    with capture(model, skeleton=FIVE, sites={"*": "frames"}) as record:
        model(torch.randn(2, 80, 8))
    assert [one.name for one in record.attention] == ["own", "cross"]


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ({"spatial*": "frames", "temporal": None}, "'spatial.self_attn': expected attention over frames with R=5"),
        ({"temporal": "joints", "spatial*": None}, "'temporal': expected attention over joints with N=5"),
        (
            {"temporal": Site("joints", lambda w: w.unflatten(0, (2, -1))), "*": None},
            r"got N=4 in weights .*\[2, 5, 2, 4, 4\]",
        ),
    ],
)
def test_the_wrong_axis_is_refused(sites: Any, message: str) -> None:
    model, x = SpaceTime().eval(), torch.randn(2, 4, 5, 2)
    with pytest.raises(DataError, match=message), capture(model, skeleton=FIVE, sites=sites):
        model(x)


@pytest.mark.parametrize("grad", [False, True])
def test_a_function_mode_of_the_model_changes_nothing(grad: bool) -> None:
    """Within `with torch.device(...)` of a forward, each call is seen once still."""

    class Placed(SpaceTime):
        def forward(self, x: Tensor) -> Tensor:
            with torch.device("cpu"):
                return super().forward(x)

    model, x = Placed().eval(), torch.randn(2, 4, 5, 2)
    with torch.set_grad_enabled(grad):
        plain = model(x)
        with capture(model, skeleton=FIVE, sites=SITES) as record:
            assert torch.equal(model(x), plain)
    assert [one.name for one in record.attention] == ["spatial.self_attn", "temporal"]
    assert all(len(one.weights) == 2 for one in record.attention)
