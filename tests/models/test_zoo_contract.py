"""What every model of the zoo promises, checked on each one that is registered."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Literal

import pytest
import torch
from torch_geometric.loader import DataLoader
from zoo import FITTED, FIVE, NUMBERED, SMALL, keypoints, lifted_length, small

import graphpose
from graphpose.datasets.augmentation import flip_points
from graphpose.engine import lift_windows
from graphpose.errors import ConfigError, DataError
from graphpose.graph import PoseGraph, SpatioTemporalGraph, pose_batch
from graphpose.models import available, create, describe
from graphpose.models.registry import _type_text, documented_options
from graphpose.skeleton import Skeleton

models = pytest.mark.parametrize("name", available())


def test_every_model_is_tested() -> None:
    assert set(SMALL) == set(available()), "tests/zoo.py: one row a model"


@models
@pytest.mark.parametrize("length", [1, 2, 50])
@pytest.mark.parametrize("features", [2, 3])
def test_lifts_any_skeleton_length_and_features(name: str, length: int, features: int) -> None:
    model = small(name, frames=length, in_features=features)
    out = model.lift_sequence(keypoints(model, 3, length, features))
    assert out.shape == (3, length, 5, 3) and out.isfinite().all()


@models
def test_lifts_a_window(name: str) -> None:
    model = small(name)
    out = model.lift(keypoints(model, 3))
    assert out.shape == (3, lifted_length(model), 5, 3)
    if model.lifted_frame is not None:
        whole = model.lift_sequence(keypoints(model, 3))
        assert whole.shape == (3, model.frames, 5, 3)


@models
def test_an_empty_batch_is_refused(name: str) -> None:
    model = small(name)
    with pytest.raises(DataError, match=r"expected at least one clip \(got \[0, 6, 5, 2\]\)"):
        model.lift(torch.zeros(0, 6, 5, 2))


@models
def test_gradients_reach_every_parameter(name: str) -> None:
    if name in FITTED:
        pytest.skip(FITTED[name])
    model = small(name).double().train()
    y = torch.randn(4, model.frames, 5, 3, dtype=torch.float64)
    model.lift_for_loss(keypoints(model, 4), y).square().sum().backward()
    without = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    # The key half of a projection's bias shifts all scores of a row alike, so only whole parameters are asked for.
    assert not without


@models
def test_input_gradient_matches_finite_differences(name: str) -> None:
    model = small(name, frames=3).double()
    x = keypoints(model, 1).requires_grad_()
    assert torch.autograd.gradcheck(model.lift, (x,), fast_mode=True)


@models
def test_clips_of_a_batch_do_not_see_each_other(name: str) -> None:
    model = small(name).double()
    x = keypoints(model, 3)
    torch.testing.assert_close(model.lift(x)[1:2], model.lift(x[1:2]))


@models
def test_graph_batches_give_what_grids_give(name: str) -> None:
    model = small(name)
    graph = SpatioTemporalGraph.shared(FIVE, model.frames)
    x = keypoints(model, 4)
    expected = model.lift_sequence(x).reshape(-1, 3)
    torch.testing.assert_close(model(pose_batch(graph, x)), expected)
    collated = next(iter(DataLoader([PoseGraph.build(graph, x=one) for one in x], batch_size=4)))
    torch.testing.assert_close(model(collated), expected)
    torch.testing.assert_close(
        model(PoseGraph.build(graph, x=x[0])), expected[: 5 * model.frames], rtol=1e-4, atol=1e-5
    )


@models
def test_clips_of_several_lengths_in_a_batch(name: str) -> None:
    """Lifted each at its length, or refused by name where the parameters belong to single frames."""
    model = small(name).double()
    lengths = (model.frames, model.frames + 3, model.frames)
    clips = [keypoints(model, 1, length)[0] for length in lengths]
    graphs = [
        PoseGraph.build(SpatioTemporalGraph.shared(FIVE, length), x=x) for length, x in zip(lengths, clips, strict=True)
    ]
    batch = next(iter(DataLoader(graphs, batch_size=3)))
    if model.bound_to_frames and model.lifted_frame is None:
        with pytest.raises(DataError, match=rf"got \[1, {model.frames + 3}, 5, 2\]"):
            model(batch)
        return
    expected = torch.cat([model.lift_sequence(x[None]).reshape(-1, 3) for x in clips])
    torch.testing.assert_close(model(batch), expected)


@models
def test_relabelled_joints_give_the_relabelled_pose(name: str) -> None:
    """With the joints' own parameters moved along, their numbering means nothing."""
    if name in NUMBERED:
        pytest.skip(NUMBERED[name])
    order = [0, 3, 4, 1, 2]
    renamed = Skeleton.from_parents([-1, 0, 1, 0, 3], [FIVE.joints[i] for i in order], FIVE.pairs)
    model, twin = small(name).double(), small(name, renamed).double()
    state = model.state_dict()
    for key, value in state.items():
        for axis, size in enumerate(value.shape):
            if model.bound_to_skeleton and size in (5, 10, 15):  # joints, or joints and what belongs to each
                moved = [size // 5 * joint + part for joint in order for part in range(size // 5)]
                value = value.index_select(axis, torch.tensor(moved))
        state[key] = value
    twin.load_state_dict(state)
    x = keypoints(model)
    torch.testing.assert_close(twin.lift(x[:, :, order]), model.lift(x)[:, :, order])


@models
def test_mirrored_keypoints_give_the_mirrored_pose(name: str) -> None:
    """Averaged over both sides, as evaluation does by default, a lifter knows no left and right."""
    model = small(name).double()
    mirror = torch.tensor(FIVE.mirror.tolist())
    x = keypoints(model)
    once = lift_windows(model, x)
    torch.testing.assert_close(lift_windows(model, flip_points(x, mirror)), flip_points(once, mirror))
    assert not torch.allclose(once, flip_points(once, mirror))


@models
def test_config_and_weights_round_trip(name: str, tmp_path: object) -> None:
    model = small(name, in_features=3)
    path = graphpose.models.save(model, f"{tmp_path}/model.safetensors", data_statement="made up")
    again = graphpose.load(path)
    assert type(again) is type(model) and again.config == model.config and again.skeleton == FIVE
    x = keypoints(model, features=3)
    torch.testing.assert_close(again.lift(x), model.lift(x), rtol=0, atol=0)
    assert graphpose.models.read_metadata(path)["data_statement"] == "made up"


@models
def test_wrong_input_is_named(name: str) -> None:
    model = small(name)
    frames = model.frames if model.bound_to_frames else "T"
    expected = rf"expected keypoints \[B, {frames}, 5, 2\]"
    for shape in ((1, model.frames, 5, 4), (model.frames, 5, 2)):
        with pytest.raises(DataError, match=f"{expected}.*{re.escape(f'(got {list(shape)})')}"):
            model.lift(torch.zeros(shape))
    if model.bound_to_frames:
        with pytest.raises(DataError, match=rf"{expected} \(got \[1, {model.frames + 1}, 5, 2\]\)"):
            model.lift(torch.zeros(1, model.frames + 1, 5, 2))
    if model.bound_to_skeleton:
        with pytest.raises(DataError, match=rf"\(got \[1, {model.frames}, 17, 2\]\)"):
            model.lift(torch.zeros(1, model.frames, 17, 2))
        human = SpatioTemporalGraph.shared(Skeleton.load("h36m17"), model.frames)
        with pytest.raises(DataError, match=r"holds a clip on 'h36m17'"):
            model(pose_batch(human, torch.zeros(1, model.frames, 17, 2)))


@models
def test_describes_every_option(name: str) -> None:
    text, documented = describe(name), documented_options(type(small(name).config))
    assert "MISSING" not in text and "factory" not in text
    for field in dataclasses.fields(small(name).config):
        assert documented.get(field.name), f"{field.name} is not documented"
        assert f"  {field.name}: " in text and documented[field.name][0] in text


def test_choices_and_made_defaults_are_told_as_they_are() -> None:
    assert "  data_graph: Literal['window', 'frame'] = 'window'" in describe("gla_gcn").splitlines()
    assert "  host_options: dict[str, Any] = {}" in describe("hourglass").splitlines()


@pytest.mark.parametrize(
    ("written", "hint", "told"),
    [
        ("int | None", int | None, "int | None"),
        ("Literal['a'] | None", Literal["a"] | None, "Literal['a'] | None"),
        ("Named", Literal["a", "b"], "Literal['a', 'b']"),
        ("Named | None", Literal["a", "b"] | None, "Literal['a', 'b'] | None"),
        ("Named | int", Literal["a"] | int, "Literal['a'] | int"),
    ],
)
def test_a_name_for_choices_is_told_as_the_choices(written: str, hint: Any, told: str) -> None:
    assert _type_text(written, hint) == told


def test_unknown_names_and_values_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'ktpformer'"):
        create("ktpfromer", FIVE)
    with pytest.raises(ConfigError, match="did you mean 'channels'"):
        create("ktpformer", FIVE, channel=3)
    with pytest.raises(ConfigError, match="depth: expected a whole number"):
        create("ktpformer", FIVE, depth="four")
    with pytest.raises(ConfigError, match="channels=30, heads=8"):
        create("mixste", FIVE, channels=30)
    with pytest.raises(ConfigError, match="did you mean 'kpa'"):
        create("mixste", FIVE, prior="kpaa")
    with pytest.raises(ConfigError, match="prior_place"):
        create("mixste", FIVE, prior="kpa", prior_place="back")
    for bad in ({"depth": 0}, {"drop_path": 1.0}, {"mlp_ratio": 0.0}, {"frames": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            create("mixste", FIVE, **bad)
