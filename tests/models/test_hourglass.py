"""The Hourglass Tokenizer: numbers of the published one, and every pruning and recovery on every host and place of a prior."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from shared import shared_path
from zoo import FIVE, SMALL, keypoints, small

import graphpose
from graphpose.engine import lift_windows
from graphpose.errors import ConfigError
from graphpose.models import create, from_published, hosts
from graphpose.models.cost import model_cost
from graphpose.models.hourglass import Hourglass, hourglass
from graphpose.models.space_time import SpaceTimeTransformer
from graphpose.nn.token_pruning import DensityPeakPruning, available_prunings, pairwise_distance
from graphpose.nn.token_recovery import RECOVERIES
from graphpose.skeleton import Skeleton


def published() -> tuple[dict[str, np.ndarray], Hourglass]:
    with np.load(shared_path("reference/hot_mixste_t27.npz")) as archive:
        numbers = {key: archive[key] for key in archive.files}
    skeleton = Skeleton.from_parents(numbers["parents"].tolist())
    weights = {key: value for key, value in numbers.items() if key.startswith("weight/")}
    model = from_published("hot_mixste", weights, skeleton=skeleton)
    assert isinstance(model, Hourglass)
    return numbers, model


def host(name: str = "mixste", **options: Any) -> SpaceTimeTransformer:
    model = small(name, **options).double()
    assert isinstance(model, SpaceTimeTransformer)
    return model


def test_published_features_and_poses() -> None:
    """Number for number, given the frames that the published run kept."""
    numbers, model = published()
    config = model.config
    assert (config.tokens, config.layer, config.neighbours) == (9, int(numbers["layer_index"]), 2)
    x = torch.from_numpy(numbers["input_2d"])
    kept = torch.from_numpy(numbers["selected_frames"])
    with torch.no_grad():
        features = model.encode(x).mean(dim=2)
        poses = model.lift(x, kept)
    assert np.abs(features.numpy() - numbers["pruning_features"]).max() <= 1e-5
    assert np.abs(poses.numpy() - numbers["output_3d"]).max() <= 1e-5


def test_published_frames_up_to_the_ties() -> None:
    """With k = 2 two frames nearest to each other are equally dense, and chance decided in the published run.

    Some outcome of these draws gives exactly the frames that it kept; nothing else about the rule is free.
    """
    numbers, _ = published()
    features = torch.from_numpy(numbers["pruning_features"]).double()
    for clip, expected in zip(features, torch.from_numpy(numbers["selected_frames"]), strict=True):
        d = pairwise_distance(clip[None])[0] / clip.shape[1] ** 0.5
        density = torch.exp(-d.topk(2, largest=False).values.square().mean(dim=1))
        apart = d + torch.diag(torch.full((len(d),), torch.inf))
        nearest = apart.argmin(dim=1).tolist()
        pairs = torch.tensor([(i, j) for i, j in enumerate(nearest) if nearest[j] == i and i < j])
        draws = torch.cartesian_prod(*[torch.tensor([0.0, 1e-9, -1e-9])] * len(pairs)).double()  # [N, pairs]
        drawn = density.repeat(len(draws), 1)
        drawn[:, pairs[:, 0]] += draws
        drawn[:, pairs[:, 1]] -= draws
        outcomes = set()
        for part in drawn.split(1000):
            delta = torch.where(part[:, None] > part[:, :, None], d, d.max()).amin(dim=2)
            kept = (part * delta).topk(len(expected)).indices.sort().values
            outcomes |= {tuple(row) for row in kept.tolist()}
        assert tuple(expected.tolist()) in outcomes
        assert len(outcomes) < 3 ** len(pairs) / 2  # the draws leave most of the choice to the rule


@pytest.mark.parametrize("recover", sorted(RECOVERIES))
@pytest.mark.parametrize("prune", ["attention", "density-peak", "motion", "uniform"])
@pytest.mark.parametrize("name", hosts())
def test_every_pruning_and_recovery_on_every_host(name: str, prune: str, recover: str) -> None:
    assert {"attention", "density-peak", "motion", "uniform"} <= set(available_prunings())
    model = hourglass(host(name), tokens=4, layer=1, prune=prune, recover=recover)
    x = keypoints(model, 3)
    y = model.lift(x)
    assert y.shape == (3, 6, 5, 3) and y.isfinite().all()
    assert torch.equal(model.selected_frames(x), model.selected_frames(x.clone()))
    torch.testing.assert_close(model.lift(x[[2, 0]]), y[[2, 0]])


@pytest.mark.parametrize("index_free", [False, True])
@pytest.mark.parametrize("place", ["front", "blocks", "bias"])
@pytest.mark.parametrize("layer", [0, 1])
def test_priors_are_told_which_frames_are_left(place: str, layer: int, index_free: bool) -> None:
    model = host(prior="kpa+tpa+step2", prior_place=place, index_free=index_free)
    wrapped = hourglass(model, tokens=3, layer=layer, prune="uniform", recover="interpolation")
    with torch.no_grad():
        wrapped.token_embedding.zero_()
    x = keypoints(wrapped)
    kept = wrapped.selected_frames(x)
    tokens = model.embed(x)
    for index in range(model.depth):
        if index == layer:
            tokens = tokens[torch.arange(2)[:, None], kept]
        tokens = model.layer(index, tokens, kept if index >= layer else None)
    torch.testing.assert_close(wrapped.lift(x)[:, kept[0]], model.decode(tokens))
    assert (wrapped.lift(x) - hourglass(model, 4, layer, "uniform", "interpolation").lift(x)).abs().max() > 1e-9


@pytest.mark.parametrize("name", hosts())
@pytest.mark.parametrize("prune", ["attention", "density-peak", "motion", "uniform"])
def test_all_frames_kept_give_the_host(name: str, prune: str) -> None:
    """The learned embedding starts at 0."""
    model = host(name)
    x = keypoints(model)
    wrapped = hourglass(model, tokens=6, layer=1, prune=prune, recover="interpolation")
    torch.testing.assert_close(wrapped.lift(x), model.lift(x), rtol=0, atol=1e-12)


def test_the_host_is_wrapped_and_not_copied() -> None:
    model = host()
    wrapped = hourglass(model, tokens=3, layer=1)
    assert wrapped.host is model and next(wrapped.parameters()).dtype == torch.float64 and not wrapped.training
    assert hourglass(model.train(), tokens=3, layer=1).training


@pytest.mark.parametrize("prune", ["attention", "density-peak", "motion", "uniform"])
@pytest.mark.parametrize("frames", [5, 6])
def test_sequence_to_frame(prune: str, frames: int) -> None:
    model = hourglass(host(frames=frames), tokens=2, layer=1, prune=prune, output="centre")
    x = keypoints(model, 4)
    assert model.lifted_frame == frames // 2
    assert (model.selected_frames(x) == frames // 2).any(dim=1).all()
    assert model.lift(x).shape == (4, 1, 5, 3)
    assert not [key for key in model.state_dict() if key.startswith("recovery")]
    whole = model.lift_sequence(x)
    torch.testing.assert_close(whole[:, frames // 2], model.lift(x)[:, 0])


@pytest.mark.parametrize("output", ["sequence", "centre"])
@pytest.mark.parametrize("recover", sorted(RECOVERIES))
def test_gradients_reach_all(recover: str, output: Any) -> None:
    model = small("hourglass", recover=recover, output=output).double().train()
    model.lift(keypoints(model, 4)).square().sum().backward()
    assert not [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]


def test_one_frame() -> None:
    model = small("hourglass", frames=1)
    assert model.config.tokens == 1 and model.lift(keypoints(model)).shape == (2, 1, 5, 3)


def test_index_free_host_takes_other_skeletons() -> None:
    model = small("hourglass", host_options={**SMALL["mixste"], "index_free": True}, recover="interpolation").double()
    assert model.bound_to_frames and not model.bound_to_skeleton  # M of T frames are kept
    other = model.on("h36m17")
    assert other.lift(torch.randn(1, 6, 17, 2, dtype=torch.float64)).shape == (1, 6, 17, 3)


@pytest.mark.parametrize("name", hosts())
def test_saved_and_loaded(name: str, tmp_path: Any) -> None:
    model = hourglass(small(name), tokens=4, layer=1, prune="motion", neighbours=3)  # type: ignore[arg-type]
    again = graphpose.load(graphpose.models.save(model, tmp_path / "model.safetensors"))
    assert again.config == model.config
    x = keypoints(model)
    torch.testing.assert_close(again.lift(x), model.lift(x), rtol=0, atol=0)


def test_clips_go_through_the_engine() -> None:
    model = small("hourglass", output="centre")
    x = torch.randn(1, 10, 5, 2)
    assert lift_windows(model, x).shape == (1, 10, 5, 3)


def test_cost_shrinks_as_published() -> None:
    """83.8 GMACs, 39.6 percent less than MixSTE at T = 243, 81 tokens from layer 3, both counted without attention products."""
    sizes = {"channels": 512, "depth": 8}
    plain = model_cost(create("mixste", "h36m17", frames=243, **sizes))
    pruned = model_cost(create("hourglass", "h36m17", frames=243, host_options=sizes))
    queries = 16 * 243 * 512**2  # the published code projects the queries again for each joint
    assert (pruned.linear_flops / 2 + queries) / 1e9 == pytest.approx(83.8, abs=0.05)
    assert 1 - (pruned.linear_flops + 2 * queries) / plain.linear_flops == pytest.approx(0.396, abs=0.0005)


@pytest.mark.parametrize(("frames", "tokens"), [(243, 81), (27, 9), (2, 1), (1, 1)])
def test_a_third_of_the_frames_is_kept_where_nothing_is_said(frames: int, tokens: int) -> None:
    model = hourglass(host(frames=frames, depth=4))
    assert model.config.tokens == tokens and model.token_embedding.shape[0] == tokens
    assert model.config == create("hourglass", FIVE, frames, host_options=model.config.host_options).config
    if frames < 99:
        assert model.lift(keypoints(model)).shape == (2, frames, 5, 3)


def test_a_recovery_that_is_not_trained_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    hourglass(host(), tokens=3, layer=1, recover="interpolation")
    hourglass(host(), tokens=3, layer=1, output="centre")
    assert not caplog.records
    hourglass(host(), tokens=3, layer=1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "not trained yet" in caplog.text and "recover='interpolation'" in caplog.text


def test_bad_requests_are_named() -> None:
    model = host()
    with pytest.raises(ConfigError, match="tokens=81, frames=6"):
        hourglass(model, tokens=81)
    with pytest.raises(ConfigError, match=r"expected layer in 0 \.\.\. 1, .*\(got layer=3\)"):
        hourglass(model, tokens=3)
    with pytest.raises(ConfigError, match="layer >= 0"):
        hourglass(model, tokens=3, layer=-1)
    with pytest.raises(ConfigError, match="did you mean 'uniform'"):
        hourglass(model, tokens=3, layer=1, prune="unifrm")
    with pytest.raises(ConfigError, match="did you mean 'interpolation'"):
        hourglass(model, tokens=3, layer=1, recover="interpolate")
    with pytest.raises(ConfigError, match="did you mean 'centre'"):
        hourglass(model, tokens=3, layer=1, output="center")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"expected a model of one of .*mixste.*got Hourglass"):
        hourglass(hourglass(model, tokens=3, layer=1), tokens=3, layer=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"expected host to be one of .*'hourglass'"):
        create("hourglass", FIVE, host="hourglass")
    with pytest.raises(ConfigError, match="host_options: expected no frames"):
        create("hourglass", FIVE, host_options={"frames": 9})
    with pytest.raises(ConfigError, match="did you mean 'channels'"):
        create("hourglass", FIVE, host_options={"chanels": 9})


def test_published_weights_of_few_layers_ask_for_the_layer() -> None:
    numbers, _ = published()
    few = {
        key: value
        for key, value in numbers.items()
        if key.startswith("weight/") and not any(f"blocks.{i}." in key for i in range(2, 8))
    }
    with pytest.raises(ConfigError, match="layer=3"):
        from_published("hot_mixste", few)
    model = from_published("hot_mixste", few, layer=1, neighbours=3)
    assert model.config.layer == 1 and isinstance(model.prune, DensityPeakPruning) and model.prune.neighbours == 3
