"""What every model of the zoo promises, checked on each one that is registered."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch_geometric.loader import DataLoader

import graphpose
from graphpose.errors import ConfigError, DataError
from graphpose.graph import PoseGraph, SpatioTemporalGraph, pose_batch
from graphpose.models import Lifter, available, create, describe
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents(
    [-1, 0, 1, 0, 3], ["hip", "l_knee", "l_foot", "r_knee", "r_foot"], [("l_knee", "r_knee"), ("l_foot", "r_foot")]
)
SMALL = {"channels": 16, "depth": 2, "heads": 4}

models = pytest.mark.parametrize("name", available())


def small(name: str, skeleton: Skeleton = FIVE, frames: int = 6, **options: object) -> Lifter:
    model = create(name, skeleton, frames=frames, **{**SMALL, **options})
    with torch.no_grad():  # away from zero-initialised embeddings, so that wrong broadcasting would show
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


@models
@pytest.mark.parametrize("frames", [1, 2, 50])
@pytest.mark.parametrize("features", [2, 3])
def test_lifts_any_skeleton_length_and_features(name: str, frames: int, features: int) -> None:
    model = small(name, frames=frames, in_features=features)
    out = model.lift(torch.randn(3, frames, 5, features))
    assert out.shape == (3, frames, 5, 3) and out.isfinite().all()


@models
def test_gradients_reach_every_parameter(name: str) -> None:
    model = small(name).double().train()
    model.lift(torch.randn(4, 6, 5, 2, dtype=torch.float64)).square().sum().backward()
    without = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    # The key half of a projection's bias shifts all scores of a row alike, so only whole parameters are asked for.
    assert not without


@models
def test_input_gradient_matches_finite_differences(name: str) -> None:
    model = small(name, frames=3, channels=8, heads=2, depth=1).double()
    x = torch.randn(1, 3, 5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model.lift, (x,))


@models
def test_clips_of_a_batch_do_not_see_each_other(name: str) -> None:
    model = small(name).double()
    x = torch.randn(3, 6, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(model.lift(x)[1:2], model.lift(x[1:2]))


@models
def test_graph_batches_give_what_grids_give(name: str) -> None:
    model = small(name)
    graph = SpatioTemporalGraph.shared(FIVE, 6)
    x = torch.randn(4, 6, 5, 2)
    expected = model.lift(x).reshape(-1, 3)
    torch.testing.assert_close(model(pose_batch(graph, x)), expected)
    collated = next(iter(DataLoader([PoseGraph.build(graph, x=one) for one in x], batch_size=4)))
    torch.testing.assert_close(model(collated), expected)
    torch.testing.assert_close(model(PoseGraph.build(graph, x=x[0])), expected[:30], rtol=1e-4, atol=1e-5)


@models
def test_relabelled_joints_give_the_relabelled_pose(name: str) -> None:
    """With the joints' own parameters moved along, their numbering means nothing."""
    order = [0, 3, 4, 1, 2]
    renamed = Skeleton.from_parents([-1, 0, 1, 0, 3], [FIVE.joints[i] for i in order], FIVE.pairs)
    model, twin = small(name).double(), small(name, renamed).double()
    state = model.state_dict()
    for key, value in state.items():
        for axis, size in enumerate(value.shape):
            if size == 5:
                value = value.index_select(axis, torch.tensor(order))
        state[key] = value
    twin.load_state_dict(state)
    x = torch.randn(2, 6, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(twin.lift(x[:, :, order]), model.lift(x)[:, :, order])


@models
def test_config_and_weights_round_trip(name: str, tmp_path: object) -> None:
    model = small(name, in_features=3)
    path = graphpose.models.save(model, f"{tmp_path}/model.safetensors", data_statement="made up")
    again = graphpose.load(path)
    assert type(again) is type(model) and again.config == model.config and again.skeleton == FIVE
    x = torch.randn(2, 6, 5, 3)
    torch.testing.assert_close(again.lift(x), model.lift(x), rtol=0, atol=0)
    assert graphpose.models.read_metadata(path)["data_statement"] == "made up"


@models
def test_wrong_input_is_named(name: str) -> None:
    model = small(name)
    with pytest.raises(DataError, match=r"expected keypoints \[B, 6, 5, 2\] \(got \[1, 7, 5, 2\]\)"):
        model.lift(torch.zeros(1, 7, 5, 2))
    with pytest.raises(DataError, match=r"\(got \[1, 6, 17, 2\]\)"):
        model.lift(torch.zeros(1, 6, 17, 2))
    with pytest.raises(DataError, match=r"\(got \[6, 5, 2\]\)"):
        model.lift(torch.zeros(6, 5, 2))
    other = SpatioTemporalGraph.shared(Skeleton.load("h36m17"), 6)
    with pytest.raises(DataError, match=r"holds a clip on 'h36m17'"):
        model(pose_batch(other, torch.zeros(1, 6, 17, 2)))


@models
def test_exports_to_a_graph_without_python(name: str) -> None:
    model = small(name)
    x = torch.randn(2, 6, 5, 2)

    class Lift(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.model.lift(x)

    exported = torch.export.export(Lift(), (x,)).module()
    torch.testing.assert_close(exported(x), model.lift(x))


@models
def test_describes_every_option(name: str) -> None:
    text = describe(name)
    for field in dataclasses.fields(small(name).config):
        assert text.count(field.name) >= 2, f"{field.name} is not documented"


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
    for bad in ({"depth": 0}, {"drop_path": 1.0}, {"mlp_ratio": 0.0}, {"frames": 0}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            create("mixste", FIVE, **bad)
