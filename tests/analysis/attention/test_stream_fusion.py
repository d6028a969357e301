"""How much of each parallel stream goes on is recorded as the model had it, and rollout follows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hand_made_records import attention, chain, space_time
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from zoo import keypoints, small

from graphpose.analysis import Record, capture, load_record, save_record
from graphpose.analysis.attention import rollout
from graphpose.analysis.attention.record import Fusion
from graphpose.errors import DataError
from graphpose.models import Lifter

T, J = 4, 5


def streams(fusion: Tensor | None) -> Record:
    """A layer whose streams are those of two random records."""
    torch.manual_seed(0)
    parts = []
    for stream, order in enumerate([("joints", "frames"), ("frames", "joints")]):
        by_axis = {one.axis: one for one in space_time(T, 1).attention}
        for place, axis in enumerate(order):
            name = f"streams.0.{stream}.{place}.attention"
            parts.append(replace(by_axis[axis], name=name, order=2 * stream + place))  # type: ignore[index]
    return chain(*parts, fusions=[] if fusion is None else [Fusion("fusions.0", 0, fusion)])


def alone(record: Record, stream: int) -> Record:
    """The same with one stream only."""
    kept = [one for one in record.attention if f"streams.{one.layer}.{stream}." in one.name]
    return replace(record, attention=kept, fusions=[])


@pytest.mark.parametrize("stream", [0, 1])
def test_all_weight_on_one_stream_gives_the_rollout_of_that_stream(stream: int) -> None:
    record = streams(torch.nn.functional.one_hot(torch.tensor(stream), 2).float().expand(1, T, J, 2))
    other = alone(record, 1 - stream)
    assert not np.allclose(rollout(alone(record, stream), 3, 1), rollout(other, 3, 1), atol=1e-3)
    np.testing.assert_allclose(rollout(record, 3, 1), rollout(alone(record, stream), 3, 1), atol=1e-12)


def test_each_token_takes_its_own_share() -> None:
    weights = torch.softmax(torch.randn(1, T, J, 2, generator=torch.Generator().manual_seed(1)), dim=-1)
    record = streams(weights)
    first, second = (rollout(alone(record, stream), 3, 1) for stream in (0, 1))
    share = weights[0, 1, 3].double().numpy()
    np.testing.assert_allclose(rollout(record, 3, 1), share[0] * first + share[1] * second, atol=1e-7)
    reordered = replace(record, attention=record.attention[2:] + record.attention[:2])
    for place, one in enumerate(reordered.attention):  # the second stream runs first; its number counts
        reordered.attention[place] = replace(one, order=place)
    np.testing.assert_allclose(rollout(reordered, 3, 1), rollout(record, 3, 1), atol=1e-12)
    alike = streams(None)
    np.testing.assert_allclose(rollout(alike, 3, 1), (first + second) / 2, atol=1e-12)


@pytest.mark.parametrize(
    "shape, message", [((1, T, J, 3), "expected weights"), ((1, 1, J, 2), "without reduce"), ((0, T, J, 2), "window")]
)
def test_shares_of_other_tokens_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        rollout(streams(torch.full(shape, 0.5)), 3, 1)
    twice = streams(torch.full((1, T, J, 2), 0.5))
    twice.fusions *= 2
    with pytest.raises(DataError, match="expected one fusion in layer 0"):
        rollout(twice, 3, 1)


def dstformer(**options: Any) -> Lifter:
    """With fusions that tell tokens apart, as those of a trained model do."""
    torch.manual_seed(2)
    model = small("dstformer", **options)
    for fusion in getattr(model, "host", model).fusions:
        torch.nn.init.normal_(fusion.weight)
    return model


def test_the_recorded_shares_are_those_of_the_pass() -> None:
    model: Any = dstformer()
    x, made = keypoints(model), []
    hooks = [one.register_forward_hook(lambda _, inputs, output: made.append(output)) for one in model.fusions]
    with torch.no_grad(), capture(model) as record:
        model.lift(x)
        model.lift(x[:1])
    for hook in hooks:
        hook.remove()
    depth = len(model.fusions)
    assert [(one.name, one.layer) for one in record.fusions] == [(f"fusions.{i}", i) for i in range(depth)]
    for layer, one in enumerate(record.fusions):
        expected = torch.cat([made[layer], made[depth + layer]]).softmax(-1)
        torch.testing.assert_close(one.weights, expected, rtol=0, atol=0)
    assert record.fusions[0].weights.std() > 0.01


@pytest.mark.parametrize("stream", [0, 1])
def test_a_model_that_leaves_a_stream_out_is_rolled_out_without_it(stream: int) -> None:
    model: Any = dstformer()
    for fusion in model.fusions:
        torch.nn.init.zeros_(fusion.weight)
        fusion.bias.data = torch.tensor([200.0, -200.0] if stream == 0 else [-200.0, 200.0])
    with torch.no_grad(), capture(model) as record:
        model.lift(keypoints(model))
    np.testing.assert_allclose(rollout(record, 2, 1), rollout(alone(record, stream), 2, 1), atol=1e-12)


def test_what_is_kept_is_chosen_and_averaged() -> None:
    model: Any = dstformer()
    x = keypoints(model, clips=3)
    with torch.no_grad(), capture(model) as whole:
        model.lift(x)
    with torch.no_grad(), capture(model, reduce="mean") as mean:
        model.lift(x[:2])
        model.lift(x[2:])
    with torch.no_grad(), capture(model, layers=[1]) as chosen:
        model.lift(x)
    for one, of_mean in zip(whole.fusions, mean.fusions, strict=True):
        assert of_mean.weights.dtype == torch.float32
        torch.testing.assert_close(of_mean.weights, one.weights.mean(dim=(0, 1), keepdim=True))
    assert [one.layer for one in chosen.fusions] == [1]


def test_pruned_frames_have_shares_of_their_own() -> None:
    options = {"host": "dstformer", "host_options": {"channels": 16, "depth": 2, "heads": 4}, "layer": 1}
    model = small("hourglass", frames=6, **options)
    with torch.no_grad(), capture(model) as record:
        model.lift(keypoints(model))
    assert [one.name for one in record.fusions] == ["host.fusions.0", "host.fusions.1"]
    assert [one.weights.shape[1] for one in record.fusions] == [6, 3]
    assert rollout(record, 3).sum() == pytest.approx(1.0)


def test_of_a_sampler_the_first_hypothesis_is_recorded() -> None:
    model: Any = small("d3dp", denoiser="dstformer", denoiser_options={"channels": 16, "depth": 1, "heads": 4})
    with torch.no_grad(), capture(model) as record:
        model.lift(keypoints(model))
    [fusion] = record.fusions
    assert len(fusion.weights) == len(record.attention[0].weights) == 2


def test_files_from_before_still_load(tmp_path: Path) -> None:
    record = streams(torch.full((1, T, J, 2), 0.5))
    path = save_record(record, tmp_path / "new.safetensors")
    with safe_open(path, framework="pt") as file:
        description = json.loads(file.metadata()["graphpose-record"])
    del description["fusions"]
    tensors = {key: value for key, value in load_file(path).items() if not key.startswith("fusion.")}
    save_file(tensors, tmp_path / "old.safetensors", {"graphpose-record": json.dumps(description)})
    loaded = load_record(tmp_path / "old.safetensors")
    assert loaded.fusions == [] and len(loaded.attention) == 4
    np.testing.assert_allclose(rollout(loaded, 3, 1), rollout(record, 3, 1), atol=1e-12)


def test_a_layer_without_streams_passes_shares_over() -> None:
    record = chain(attention("joints", torch.eye(J).expand(1, T, 1, J, J)), fusions=[Fusion("f", 0, torch.ones(1))])
    assert rollout(record, 2, 1)[1, 2] == 1.0
