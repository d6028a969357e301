"""A model without parameters tied to a joint or frame: one state dict, any skeleton, any length, any numbering."""

from __future__ import annotations

import copy
import itertools
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch
from zoo import FIVE, SMALL

import graphpose
from graphpose.errors import ConfigError, DataError, SkeletonError
from graphpose.graph import PoseGraph, SpatioTemporalGraph
from graphpose.models import Lifter, create
from graphpose.models.registry import available, entry
from graphpose.models.sharing import kept_twin, twin
from graphpose.models.space_time import SpaceTimeTransformer
from graphpose.skeleton import Skeleton

H36M, COCO = Skeleton.load("h36m17"), Skeleton.load("coco17")
TWISTED = FIVE.reordered([FIVE.joints[i] for i in (2, 0, 4, 1, 3)], name="twisted")
PRIORS = (None, "kpa", "tpa", "kpa+tpa", "kpa+mirror+hop2+tpa+step3")
PLACES = ("front", "blocks", "bias")
HOSTS = [name for name in available() if issubclass(entry(name).model, SpaceTimeTransformer) and name != "ktpformer"]


def free(name: str = "ktpformer_index_free", skeleton: Skeleton = FIVE, frames: int = 6, **options: object) -> Lifter:
    """A tiny index-free model in evaluation mode, away from where its parameters start."""
    known = {key: value for key, value in SMALL[name].items() if key != "frames"}
    model = create(name, skeleton, frames=frames, **{**known, "index_free": True, **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def order(skeleton: Skeleton, renumbered: Skeleton) -> list[int]:
    return [skeleton.index(joint) for joint in renumbered.joints]


@pytest.mark.parametrize("name", HOSTS)
def test_one_state_dict_fits_every_skeleton_and_length(name: str) -> None:
    shapes = [
        {key: value.shape for key, value in free(name, skeleton, frames).state_dict().items()}
        for skeleton, frames in ((FIVE, 9), (H36M, 9), (FIVE, 50), (COCO, 1))
    ]
    assert all(one == shapes[0] for one in shapes[1:])
    free(name, COCO, 4).load_state_dict(free(name, FIVE, 9).state_dict(), strict=True)


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize(("prior", "place"), list(itertools.product(PRIORS, PLACES)))
def test_every_prior_at_every_place_lifts_any_skeleton_in_any_numbering(
    name: str, prior: str | None, place: str
) -> None:
    model = free(name, prior=prior, prior_place=place, depth=1).double()
    x = torch.randn(2, 6, 5, 2, dtype=torch.float64)
    places = order(FIVE, TWISTED)
    torch.testing.assert_close(model.on(TWISTED).lift(x[:, :, places]), model.lift(x)[:, :, places])
    for length in (1, 11):
        other = model.on(COCO).lift(torch.randn(2, length, 17, 2, dtype=torch.float64))
        assert other.shape == (2, length, 17, 3) and other.isfinite().all()


def test_exchanged_sides_are_another_body() -> None:
    """The sides are known by name: parameters of left and right exchanged give what the exchanged skeleton gives."""
    model = free()
    exchanged = replace(FIVE, pairs=tuple((right, left) for left, right in FIVE.pairs))
    twin_state = {
        key: value[[*range(22), 23, 22]] if value.shape[:1] == (24,) else value
        for key, value in model.state_dict().items()
    }
    other = model.on(exchanged)
    x = torch.randn(1, 6, 5, 2)
    assert not torch.allclose(other.lift(x), model.lift(x))
    fresh = free(skeleton=exchanged)
    fresh.load_state_dict(twin_state)
    torch.testing.assert_close(fresh.lift(x), model.lift(x), rtol=1e-4, atol=1e-5)


def test_on_shares_what_is_learned_and_only_that() -> None:
    model = free(drop_path=0.1)
    state = torch.random.get_rng_state()
    other = model.on("coco17")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert other.skeleton == COCO and model.skeleton == FIVE and type(other) is type(model)
    assert other.config == model.config
    own, theirs = dict(other.named_parameters()), dict(model.named_parameters())
    assert own.keys() == theirs.keys() and all(own[key] is theirs[key] for key in own)
    kept = model.state_dict(keep_vars=True).keys()
    assert all(value is dict(model.named_buffers())[key] for key, value in other.named_buffers() if key in kept)
    assert model.on(FIVE) is model and model.on() is model and model.on(FIVE, frames=6) is model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    other.train().lift(torch.randn(3, 8, 17, 2)).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not torch.equal(  # the batch norm of both
        before["joint_embedding.priors.0.norm.running_mean"],
        model.state_dict()["joint_embedding.priors.0.norm.running_mean"],
    )
    assert not model.training


def test_on_follows_mode_dtype_and_frozen_parts() -> None:
    model = free().double().train()
    model.spatial_norm.eval()
    model.head.requires_grad_(False)
    other = model.on(COCO)
    modes = {name: module.training for name, module in model.named_modules()}
    assert {name: module.training for name, module in other.named_modules()} == modes
    assert all(value.dtype in (torch.float64, torch.int64) for value in other.buffers())
    assert not any(p.requires_grad for p in other.head.parameters())
    assert other.lift(torch.randn(1, 6, 17, 2, dtype=torch.float64)).dtype == torch.float64
    half = free().bfloat16().on(COCO)
    assert half.lift(torch.randn(1, 6, 17, 2).bfloat16()).dtype == torch.bfloat16


def test_on_under_inference_mode_can_be_trained_later() -> None:
    model = free()
    with torch.inference_mode():
        other = model.on(COCO)
    other.lift(torch.randn(1, 4, 17, 2)).sum().backward()
    assert model.head[-1].weight.grad is not None  # type: ignore[index]


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_copies(copy_of: object) -> None:
    model = free()
    other = model.on(COCO)
    x = torch.randn(1, 6, 17, 2)
    expected = other.lift(x)
    copied = copy_of(other)  # type: ignore[operator]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    torch.testing.assert_close(copied.lift(x), expected)
    assert not torch.allclose(other.lift(x), expected)


def test_on_and_back_is_the_same_model() -> None:
    model = free()
    x = torch.randn(2, 6, 5, 2)
    torch.testing.assert_close(model.on(H36M).on(FIVE).lift(x), model.lift(x), rtol=0, atol=0)


def test_on_another_number_of_frames() -> None:
    model = free()
    longer = model.on(frames=50)
    assert longer.frames == 50 and longer.skeleton == FIVE and model.frames == 6
    x = torch.randn(1, 50, 5, 2)
    torch.testing.assert_close(longer.lift(x), model.lift(x), rtol=0, atol=1e-6)
    with pytest.raises(ConfigError, match="frames"):
        model.on(frames=0)


def test_it_is_ktpformer_by_another_option() -> None:
    own, same = free(), create("ktpformer", FIVE, frames=6, index_free=True, **SMALL["ktpformer"]).eval()
    same.load_state_dict(own.state_dict())
    x = torch.randn(2, 6, 5, 2)
    torch.testing.assert_close(same.lift(x), own.lift(x), rtol=0, atol=0)


def test_bound_models_say_what_they_are_bound_to() -> None:
    bound = create("ktpformer", FIVE, frames=6, **SMALL["ktpformer"])
    with pytest.raises(ConfigError, match=r"each joint of 'custom' .* 'coco17'.*index_free=True"):
        bound.on(COCO)
    with pytest.raises(ConfigError, match=r"each of its 6 frames .* of 9"):
        bound.on(frames=9)
    with pytest.raises(SkeletonError, match="coco17"):
        free().on("coco18")


def test_keypoints_of_another_skeleton_are_refused_until_the_model_is_on_it() -> None:
    with pytest.raises(DataError, match=r"expected keypoints \[B, T, 5, 2\].*model\.on"):
        free().lift(torch.randn(1, 6, 17, 2))


def test_a_batch_of_several_skeletons_and_lengths() -> None:
    model = free().double()
    clips = [(FIVE, 6), (H36M, 9), (TWISTED, 6), (COCO, 1), (FIVE, 20), (FIVE, 6)]
    graphs, expected = [], []
    for skeleton, length in clips:
        x = torch.randn(length, len(skeleton), 2, dtype=torch.float64)
        graphs.append(PoseGraph.build(SpatioTemporalGraph.shared(skeleton, length), x=x))
        expected.append(model.on(skeleton).lift(x[None]).reshape(-1, 3))
    batch = Batch.from_data_list(graphs)
    torch.testing.assert_close(model(batch), torch.cat(expected))
    state = model.state_dict()
    model.load_state_dict({key: value + 0.1 for key, value in state.items()})  # a kept twin follows
    assert not torch.allclose(model(batch), torch.cat(expected))


def test_kept_twins_follow_mode_and_dtype() -> None:
    model = free()
    x = torch.randn(4, 17, 2)
    graph = PoseGraph.build(SpatioTemporalGraph.shared(COCO, 4), x=x)
    expected = model(graph)
    model.double()
    graph.x = graph.x.double()
    torch.testing.assert_close(model(graph).float(), expected, rtol=1e-4, atol=1e-5)
    model.train()
    before = model.state_dict()["joint_embedding.priors.0.norm.running_mean"].clone()
    model(graph)
    assert not torch.equal(model.state_dict()["joint_embedding.priors.0.norm.running_mean"], before)


def test_few_twins_are_kept_and_each_is_made_once() -> None:
    model = torch.nn.Linear(2, 2)
    made: list[int] = []

    def make(key: int) -> torch.nn.Linear:
        made.append(key)
        return twin(model, lambda: torch.nn.Linear(2, 2))

    for key in (1, 2, 1, *range(3, 10), 1):
        assert kept_twin(model, key, lambda key=key: make(key)).weight is model.weight  # type: ignore[misc]
    assert made == [1, 2, *range(3, 10)]
    kept_twin(model, 2, lambda: make(2))
    assert made[-1] == 2


def test_parts_that_differ_are_no_twins() -> None:
    source = torch.nn.Linear(2, 2)
    for other, named in (
        (torch.nn.Linear(2, 3), r"weight \(\[2, 2\] and \[3, 2\]\)"),
        (torch.nn.Linear(2, 2, bias=False), "bias"),
        (torch.nn.Sequential(torch.nn.Linear(2, 2)), "0"),
    ):
        with pytest.raises(ConfigError, match=f"cannot share its parameters .*{named} differs"):
            twin(source, lambda other=other: other)  # type: ignore[misc]


def test_a_checkpoint_lifts_other_skeletons(tmp_path: Path) -> None:
    model = free(skeleton=H36M)
    path = graphpose.models.save(model, tmp_path / "free.safetensors")
    loaded = graphpose.load(path)
    assert type(loaded) is type(model) and loaded.skeleton == H36M and loaded.config == model.config
    hand = Skeleton.load("hand21")
    x = torch.randn(1, 30, 21, 2)
    torch.testing.assert_close(loaded.on("hand21").lift(x), model.on(hand).lift(x), rtol=0, atol=0)
    again = graphpose.load(graphpose.models.save(loaded.on(hand), tmp_path / "hand.safetensors"))
    assert again.skeleton == hand
    torch.testing.assert_close(again.lift(x), model.on(hand).lift(x), rtol=0, atol=0)


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 50])
def test_clips_of_any_length(length: int) -> None:
    out = free().lift(torch.randn(2, length, 5, 2))
    assert out.shape == (2, length, 5, 3) and out.isfinite().all()


def test_what_is_learned_on_one_skeleton_moves_another() -> None:
    """A few steps on five joints; on seventeen the poses then depend on the keypoints, the joint and the frame."""
    torch.manual_seed(0)
    model = create("ktpformer_index_free", FIVE, frames=9, **SMALL["ktpformer_index_free"]).train()
    depth = torch.randn(64, 9, 5, 1)
    x = torch.cat([torch.randn(64, 9, 5, 1), depth], -1)
    y = torch.cat([x, 0.5 * depth], -1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    errors = []
    for _ in range(30):
        optimiser.zero_grad()
        error = (model.lift(x) - y).norm(dim=-1).mean()
        error.backward()
        optimiser.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.8 * errors[0]
    with torch.no_grad():
        out = model.eval().on(H36M).lift(x2 := torch.randn(8, 20, 17, 2))
        assert out.isfinite().all() and min(float(out.std(dim)[..., 0].mean()) for dim in (0, 1, 2)) > 0.05
        truth = torch.cat([x2, 0.5 * x2[..., 1:]], -1)
        assert (out - truth).norm(dim=-1).mean() < truth.norm(dim=-1).mean()  # what was learned holds there too
