"""What capture records of models that prune, sample or make graphs of their input, and of their priors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recorded import recorded
from torch import Tensor
from zoo import keypoints, small

from graphpose.analysis import capture
from graphpose.errors import ConfigError
from graphpose.models import hosts
from graphpose.nn.token_pruning import available_prunings


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
