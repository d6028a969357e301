"""Capture: the model goes on as if nobody looked, and what is recorded is what its output is made of."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo import FIVE, SMALL, keypoints, small

import graphpose
from graphpose.analysis import Record, capture
from graphpose.analysis.attention.record import Attention
from graphpose.errors import ConfigError, DataError
from graphpose.graph import SpatioTemporalGraph, pose_batch
from graphpose.models import Lifter, hosts
from graphpose.nn import CrossAttention, MultiHeadAttention
from graphpose.nn.token_pruning import available_prunings

ATTENDING = sorted(set(SMALL) - {"residual_mlp", "ridge", "videopose3d"})


def state(model: nn.Module) -> list[tuple[str, list[str]]]:
    """Everything that hangs on the modules of a model, by name."""
    return [(name, sorted(vars(module))) for name, module in model.named_modules()]


def recorded(model: Lifter, x: Tensor, **options: Any) -> Record:
    with capture(model, **options) as record, torch.no_grad():
        model.lift(x)
    return record


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


def test_numbers_of_numpy_are_numbers() -> None:
    model = small("mixste")
    record = recorded(
        model, keypoints(model), layers=np.arange(1), heads=np.int64(2), frames=np.array([1, 3]), joints=np.int32(4)
    )
    joints, frames = record.attention
    assert (joints.layer, joints.heads, joints.across, frames.across) == (0, (2,), (1, 3), (4,))
    assert all(type(number) is int for one in record.attention for number in (*one.heads, *(one.across or ())))


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


def test_choosing_layers_heads_frames_and_joints() -> None:
    model = small("mixste")
    x = keypoints(model)
    whole, some = recorded(model, x), recorded(model, x, layers=[1], heads=[0, 3], frames=[1, 4], joints=["l_foot", 0])
    joints, frames = some.attention
    assert [(one.layer, one.heads) for one in some.attention] == [(1, (0, 3))] * 2
    assert (joints.across, frames.across) == ((1, 4), (0, 2))
    torch.testing.assert_close(joints.weights, whole.find("joints", 1)[0].weights[:, [1, 4]][:, :, [0, 3]])
    torch.testing.assert_close(frames.weights, whole.find("frames", 1)[0].weights[:, [0, 2]][:, :, [0, 3]])
    assert {one.axis for one in recorded(model, x, axes="frames").attention} == {"frames"}
    assert not recorded(small("ktpformer"), x, priors=False).priors


def test_what_a_model_does_not_have_is_refused_at_once() -> None:
    model = small("mixste")
    for options, message in (
        ({"layers": [2]}, r"layers: expected numbers in 0 \.\.\. 1 \(got 2\)"),
        ({"heads": [4]}, r"heads: expected numbers in 0 \.\.\. 3"),
        ({"frames": [6]}, r"frames: expected numbers in 0 \.\.\. 5"),
        ({"frames": [-1]}, "whole numbers from 0"),
        ({"frames": []}, "one or more"),
        ({"joints": ["l_foott"]}, "did you mean 'l_foot'"),
        ({"joints": [5]}, r"0 \.\.\. 4"),
        ({"axes": ["time"]}, "unknown axis"),
        ({"axes": []}, "axes: expected"),
        ({"layers": 0.5}, "whole numbers from 0"),
        ({"layers": np.arange(0.0, 1.0)}, "whole numbers from 0"),
        ({"heads": [True]}, "whole numbers from 0"),
        ({"reduce": "sum"}, "reduce: expected"),
        ({"skeleton": "h36m17"}, "expected that one"),
        ({"sites": {"nowhere": "joints"}}, "unknown site 'nowhere'"),
    ):
        with pytest.raises(ConfigError, match=message), capture(model, **options):  # type: ignore[arg-type]
            model.lift(keypoints(model))


def test_the_mean_is_taken_as_windows_come() -> None:
    model = small("ktpformer")
    x = keypoints(model, clips=5)
    whole = recorded(model, x)
    with capture(model, reduce="mean") as record:
        for part in x.split(2):
            model.lift(part)
    for one, mean in zip(whole.attention, record.attention, strict=True):
        assert mean.weights.shape == (1, 1, *one.weights.shape[2:]) and mean.across is None
        torch.testing.assert_close(mean.weights[0, 0], one.mean())
    for name, tokens in whole.priors.items():
        torch.testing.assert_close(record.priors[name], tokens.mean(0, keepdim=True))


def test_a_reduction_of_ones_own() -> None:
    model = small("mixste")
    with capture(model, reduce=lambda weights: weights.amax(dim=(-1, -2))) as record:
        for _ in range(2):
            model.lift(keypoints(model))
    assert not record.attention
    assert {name: [one.shape for one in parts] for name, parts in record.reduced.items()}[
        "spatial_blocks.0.attention"
    ] == [(2, 6, 4)] * 2


def test_passes_of_two_lengths_are_refused() -> None:
    model = small("ktpformer_index_free", prior=None)
    with pytest.raises(DataError, match="expected passes of one shape"), capture(model):
        model.lift(keypoints(model))
        model.lift(keypoints(model, length=4))


# ---------------------------------------------------------------------- kept frames
@pytest.mark.parametrize("prune", available_prunings())
def test_the_hourglass_says_which_frames_its_tokens_are(prune: str) -> None:
    model = small("hourglass", frames=9, prune=prune)
    x = keypoints(model, clips=3)
    record = recorded(model, x)
    kept = model.selected_frames(x)  # type: ignore[operator]
    assert record.kept is not None and torch.equal(record.kept, kept)
    for one in record.attention:
        last = one.name == "recovery.cross_attention"
        pruned = one.layer >= 1 and not last
        assert (one.frames is not None) == pruned and (one.key_frames is not None) == last
        if pruned:
            assert torch.equal(one.frames, kept)  # type: ignore[arg-type]
            assert one.weights.shape[-2:] == ((5, 5) if one.axis == "joints" else (3, 3))
    recovery = record.attention[-1]
    assert (recovery.layer, recovery.axis) == (3, "frames") and recovery.weights.shape == (3, 5, 4, 9, 3)
    assert torch.equal(recovery.key_frames, kept)  # type: ignore[arg-type]


def test_of_pruned_frames_the_nearest_is_kept() -> None:
    model = small("hourglass", frames=9)
    x = keypoints(model, clips=2)
    kept = torch.tensor([[0, 4, 8], [2, 3, 7]])
    with capture(model, frames=[1, 8]) as record:
        model.lift(x, kept=kept)  # type: ignore[call-arg]
    with capture(model) as whole:
        model.lift(x, kept=kept)  # type: ignore[call-arg]
    one, full = record.find("joints", 1)[0], whole.find("joints", 1)[0]
    assert one.across == (1, 8) and one.frames is not None and one.frames.tolist() == [[0, 8], [2, 7]]
    torch.testing.assert_close(one.weights[0], full.weights[0, [0, 2]])
    torch.testing.assert_close(one.weights[1], full.weights[1, [0, 2]])
    assert record.find("joints", 0)[0].frames is None


def test_the_mean_of_pruned_frames_needs_the_same_frames() -> None:
    model: Any = small("hourglass", frames=9)
    x, kept = keypoints(model, clips=2), torch.tensor([[0, 4, 8], [2, 4, 7]])
    with capture(model, reduce="mean") as record:
        for _ in range(2):
            model.lift(x, kept=kept[:1].expand(2, 3))
    frames, keys = record.find("frames", 1)[0].frames, record.attention[-1].key_frames
    assert frames is not None and frames.tolist() == [[0, 4, 8]]
    assert keys is not None and keys.tolist() == [[0, 4, 8]]
    with pytest.raises(ConfigError, match="same frames of every window"), capture(model, reduce="mean"):
        model.lift(x, kept=kept)
    with pytest.raises(ConfigError, match="same frames of every window"), capture(model, reduce="mean"):
        for part in (0, 1):
            model.lift(x[:1], kept=kept[part : part + 1])
    with capture(model, reduce="mean", layers=[0]) as record:
        model.lift(x, kept=kept)
    assert len(record.attention) == 2, "all frames are there before they are pruned"


# ---------------------------------------------------------------------- other models
def test_of_a_diffusion_model_the_last_step_of_the_first_hypothesis_is_seen() -> None:
    torch.manual_seed(0)
    model: Any = small("d3dp", hypotheses=3, steps=2)
    x, steps = keypoints(model), []
    original = model.denoise

    def denoise(x2d: Tensor, x3d: Tensor, t: Tensor) -> Tensor:
        steps.append((x3d, t))
        return original(x2d, x3d, t)

    model.denoise = denoise
    with torch.no_grad():
        model.lift(x)
    del model.denoise
    record = recorded(model, x)
    x3d, t = steps[-1]
    with capture(model) as last, torch.no_grad():
        model.denoise(x, x3d[:, 0], t)
    for one, other in zip(record.attention, last.attention, strict=True):
        assert len(one.weights) == 2
        torch.testing.assert_close(one.weights, other.weights, rtol=1e-4, atol=1e-5)
    with capture(model) as proposed:
        model.propose(x, flip=True)
    assert all(len(one.weights) == 2 for one in proposed.attention)


@pytest.mark.parametrize("data_graph", ["window", "frame"])
def test_the_graphs_of_gla_gcn_are_seen_by_the_receiver(data_graph: str) -> None:
    model: Any = small("gla_gcn", frames=9, data_graph=data_graph)
    x = keypoints(model)
    record = recorded(model, x)
    assert [one.layer for one in record.attention] == list(range(5))
    first, last = record.attention[0], record.attention[-1]
    with torch.no_grad():
        graphs = model.expand.graph.data_topology(model.input_norm(x))  # columns sum to one
    torch.testing.assert_close(first.weights, graphs.mT)
    if data_graph == "window":
        assert first.across is None and first.weights.shape == (2, 1, 3, 5, 5)
    else:
        assert first.across == tuple(range(9)) and last.across == (1, 4, 7)
        nearest = recorded(model, x, frames=[4, 8]).attention
        assert nearest[0].across == (4, 8) and nearest[-1].across == (4, 7)
    names = [(one.name, one.relation) for one in record.topologies]
    assert len(names) == 15 and names[0] == ("expand.graph", "self")
    inward = record.topologies[1]
    rows = model.expand.graph.topology[1].T
    torch.testing.assert_close(inward.local, rows)
    torch.testing.assert_close(inward.total, rows + model.expand.graph.learned_topology[1].T)


@pytest.mark.parametrize("host", hosts())
@pytest.mark.parametrize("place", ["front", "blocks", "bias"])
def test_priors_and_topologies_of_every_host(host: str, place: str) -> None:
    model = small(host, prior="kpa+mirror+tpa", prior_place=place)
    record = recorded(model, keypoints(model))
    relations = {(one.axis, one.relation) for one in record.topologies}
    if place == "bias":
        assert not record.topologies
        assert record.priors and all(bias.shape in ((4, 5, 5), (4, 6, 6)) for bias in record.priors.values())
        return
    assert relations == {("joints", "kinematic"), ("joints", "mirror"), ("frames", "trajectory")}
    assert record.priors and all(tokens.shape == (2, 6, 5, 16) for tokens in record.priors.values())
    for one in record.topologies:
        layer: Any = model.get_submodule(one.name)
        torch.testing.assert_close(one.total, layer.topology(len(one.local)).detach())
        assert one.local.shape == ((5, 5) if one.axis == "joints" else (6, 6))


@pytest.mark.parametrize("place", ["blocks", "bias"])
def test_priors_of_pruned_frames(place: str) -> None:
    model = small("hourglass", host_options={"channels": 16, "depth": 2, "heads": 4, "prior_place": place})
    record = recorded(model, keypoints(model))
    shapes = {name: tuple(tokens.shape) for name, tokens in record.priors.items()}
    assert shapes and set(shapes.values()) == (
        {(2, 6, 5, 16), (2, 3, 5, 16)} if place == "blocks" else {(4, 5, 5), (4, 6, 6)}
    )
    for one in record.attention:
        torch.testing.assert_close(one.weights.sum(-1), torch.ones(one.weights.shape[:-1]))


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
