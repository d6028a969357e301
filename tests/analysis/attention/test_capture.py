"""Capture: the model goes on as if nobody looked, and what is recorded is what its output is made of."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from typing import Any

import pytest
import torch
from recorded import ATTENDING, recorded
from torch import Tensor, nn
from zoo import FIVE, SMALL, keypoints, small

import graphpose
from graphpose.analysis import capture
from graphpose.analysis.attention.record import Attention
from graphpose.errors import ConfigError, DataError
from graphpose.graph import SpatioTemporalGraph, pose_batch
from graphpose.nn import CrossAttention, MultiHeadAttention


def state(model: nn.Module) -> list[tuple[str, list[str]]]:
    """Everything that hangs on the modules of a model, by name."""
    return [(name, sorted(vars(module))) for name, module in model.named_modules()]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("grad", [False, True])
def test_the_output_is_the_same_bit_for_bit(name: str, grad: bool) -> None:
    torch.manual_seed(0)
    model = small(name)
    x, before = keypoints(model), state(model)
    with torch.set_grad_enabled(grad):
        plain = model.lift(x)
        with capture(model) as record:
            seen = model.lift(x)
    assert torch.equal(plain, seen) and plain.requires_grad == seen.requires_grad
    assert state(model) == before
    assert bool(record.attention) == (name in ATTENDING)
    for one in record.attention:
        assert one.weights.dtype == torch.float32 and not one.weights.requires_grad and not one.weights.is_inference()
        torch.testing.assert_close(one.weights.sum(-1), torch.ones(one.weights.shape[:-1]))
    assert [one.order for one in record.attention] == list(range(len(record.attention)))
    assert (record.model, record.skeleton) == (name, FIVE) and "torch" in record.versions


def test_short_sequences_give_the_very_weights_that_they_were_mixed_with() -> None:
    attention, x = MultiHeadAttention(16, 4).double(), torch.randn(2, 3, 7, 16, dtype=torch.float64)
    seen: list[Tensor] = []
    attention._mix(attention._project(x, 1), None, x.shape, seen.append)
    with capture(attention, skeleton=FIVE) as record:
        attention(x, axis=1)
    [weights] = seen
    assert torch.equal(record.attention[0].weights, weights.view(2, 7, 4, 3, 3).float())
    torch.testing.assert_close(weights, attention.forward_with_weights(x, axis=1)[1])


@pytest.mark.parametrize("name", ATTENDING)
def test_gradients_and_random_draws_are_the_same(name: str) -> None:
    model = small(name).train()
    x = keypoints(model)
    results = []
    for looked_at in (False, True):
        torch.manual_seed(3)
        twin = copy.deepcopy(model)
        y = torch.randn(2, twin.frames, 5, 3)
        if looked_at:
            with capture(twin):
                twin.lift_for_loss(x, y).square().sum().backward()
        else:
            twin.lift_for_loss(x, y).square().sum().backward()
        results.append([parameter.grad for parameter in twin.parameters() if parameter.grad is not None])
    assert results[0] and all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("frames", [6, 70])
@pytest.mark.parametrize("place", ["front", "bias"])
def test_the_weights_mix_the_values(frames: int, place: str) -> None:
    """Up to 64 tokens by the short products, beyond by PyTorch's kernel; with and without bias."""
    torch.manual_seed(1)
    model = small("ktpformer", frames=frames, prior_place=place).double()
    block: Any = model.temporal_blocks[0]
    attention = block.attention
    inputs: dict[str, Tensor] = {}
    hook = attention.register_forward_hook(lambda _, args, out: inputs.update(x=args[0], out=out))
    record = recorded(model, keypoints(model))
    hook.remove()
    weights = record.find(name="temporal_blocks.0.attention")[0].weights.double()  # [B, J, H, T, T]
    _, _, v = attention.qkv(inputs["x"]).transpose(1, 2).unflatten(-1, (3, 4, -1)).unbind(3)  # [B, J, T, H, d]
    mixed = (weights @ v.transpose(2, 3)).transpose(2, 3).flatten(-2).transpose(1, 2)
    torch.testing.assert_close(attention.proj(mixed), inputs["out"], rtol=1e-5, atol=1e-6)


def test_forward_with_weights_gives_the_output_of_forward() -> None:
    for tokens in (5, 80):
        attention, x = MultiHeadAttention(16, 4), torch.randn(3, tokens, 16)
        output, weights = attention.forward_with_weights(x)
        assert torch.equal(output, attention(x))
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 4, tokens))


def test_everything_goes_back_after_an_exception() -> None:
    model = small("hourglass")
    before = state(model)
    with pytest.raises(RuntimeError, match="on purpose"), capture(model):
        model.lift(keypoints(model))
        raise RuntimeError("on purpose")
    assert state(model) == before
    with pytest.raises(DataError, match="expected keypoints"), capture(model):
        model.lift(torch.randn(1, 6, 4, 2))
    assert state(model) == before
    assert recorded(model, keypoints(model)).attention, "and it can be captured again"


def test_one_capture_of_a_model_at_a_time_but_several_models() -> None:
    model, other = small("mixste"), small("dstformer")
    x = keypoints(model)
    with capture(model) as record, capture(other) as of_other:
        with pytest.raises(ConfigError, match="captured already"), capture(model):
            pass
        model.lift(x)
        other.lift(x)
    assert (len(record.attention), len(of_other.attention)) == (4, 8)


def test_a_model_within_the_block_is_not_copied() -> None:
    """A copy would go on telling the record of the original."""
    model = small("ktpformer")
    with capture(model) as record:
        for copied in (copy.deepcopy, pickle.dumps, lambda one: torch.save(one, io.BytesIO())):
            with pytest.raises(ConfigError, match="not being captured where it is copied, pickled"):
                copied(model)
        assert inspect.signature(model.lift) == inspect.signature(type(model).lift.__get__(model))
        model.lift(keypoints(model))
    twin = copy.deepcopy(model)
    twin.lift(keypoints(model))
    assert all(len(one.weights) == 2 for one in record.attention)


def test_a_module_that_two_layers_share() -> None:
    model: Any = small("mixste")
    model.spatial_blocks[1].attention = model.spatial_blocks[0].attention
    with capture(model) as record:
        for _ in range(2):
            model.lift(keypoints(model))
    name = "spatial_blocks.0.attention"
    assert [(one.name, one.layer) for one in record.find("joints")] == [(name, 0), (f"{name}:1", 1)]
    assert all(len(one.weights) == 4 for one in record.attention)


def test_passes_stand_one_after_the_other() -> None:
    model = small("ktpformer")
    x = keypoints(model, clips=5)
    whole = recorded(model, x)
    with capture(model) as record:
        for part in x.split(2):
            model.lift(part)
    for one, other in zip(whole.attention, record.attention, strict=True):
        torch.testing.assert_close(one.weights, other.weights, rtol=1e-5, atol=1e-6)
    assert list(record.priors) == list(whole.priors)
    assert all(tokens.shape == (5, 6, 5, 16) for tokens in record.priors.values())


def test_batches_of_graphs_and_predictions_are_seen_too() -> None:
    model = small("mixste")
    batch = pose_batch(SpatioTemporalGraph.shared(FIVE, frames=6), torch.randn(3, 6, 5, 2))
    with capture(model) as record:
        model(batch)
        graphpose.predict(model, torch.randn(9, 5, 2), flip=False)  # two windows
    assert all(len(one.weights) == 5 for one in record.attention)


def test_passes_of_two_lengths_are_refused() -> None:
    model = small("ktpformer_index_free", prior=None)
    with pytest.raises(DataError, match="expected passes of one shape"), capture(model):
        model.lift(keypoints(model))
        model.lift(keypoints(model, length=4))


def test_one_frame_one_joint_and_no_pairs() -> None:
    alone = graphpose.Skeleton.from_parents([-1], ["joint"])
    model = small("ktpformer", alone, frames=1)
    record = recorded(model, keypoints(model))
    assert all(torch.equal(one.weights, torch.ones(2, 1, 4, 1, 1)) for one in record.attention)


def test_half_precision_and_autocast_are_seen_in_float32() -> None:
    model = small("mixste")
    x = keypoints(model)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        plain = model.lift(x)
        with capture(model) as record:
            assert torch.equal(model.lift(x), plain)
    for one in record.attention:
        torch.testing.assert_close(one.weights.sum(-1), torch.ones(one.weights.shape[:-1]))


def test_inference_mode_leaves_ordinary_tensors() -> None:
    model = small("ktpformer")
    with capture(model) as record, torch.inference_mode():
        model.lift(keypoints(model))
    held: list[Tensor | Attention] = [one.weights for one in record.attention] + list(record.priors.values())
    assert held and not any(isinstance(one, Tensor) and one.is_inference() for one in held)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a model, an nn\.Module"), capture("model.safetensors"):  # type: ignore[arg-type]
        pass


def test_compiled_models_are_refused() -> None:
    with (
        pytest.raises(ConfigError, match="before compilation"),
        capture(torch.compile(small("mixste"), backend="eager")),
    ):  # type: ignore[arg-type]
        pass


def test_cross_attention_of_ones_own_is_named_by_the_caller() -> None:
    model = CrossAttention(8, 2)
    with capture(model, skeleton=FIVE, sites={"(root)": "frames"}) as record:
        model(torch.randn(7, 8), torch.randn(3, 5, 4, 8))
    [one] = record.attention
    assert one.weights.shape == (3, 5, 2, 7, 4) and one.axis == "frames"
