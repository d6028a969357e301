"""Index-free layers mean what their formulas say, know nothing of numbers, and start like what they stand in for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpose.graph import SpatioTemporalGraph, pose_batch, relation, resolve_relation
from graphpose.graph.relations import _REGISTRY
from graphpose.nn import GraphPrior, IndexFreePrior, KinematicPrior, TrajectoryPrior, relation_distance, sinusoidal
from graphpose.nn.index_free import (
    IndexFreeFramePosition,
    IndexFreeJointPosition,
    frame_description,
    joint_description,
)
from graphpose.nn.relation_topology import relation_degrees, relation_topology
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents(
    [-1, 0, 1, 0, 3], ["hip", "l_knee", "l_foot", "r_knee", "r_foot"], [("l_knee", "r_knee"), ("l_foot", "r_foot")]
)
SKELETONS = ("h36m17", "coco17", "hand21", "cmu31", "panda7")
RELATIONS = ("kinematic", "mirror", "hop2", "space", "self", "trajectory", "step3", "time")


@st.composite
def trees(draw: st.DrawFn) -> Skeleton:
    """A tree of up to 12 joints in any order, some of them paired."""
    joints = draw(st.integers(1, 12))
    parents = [-1] + [draw(st.integers(0, j - 1)) for j in range(1, joints)]
    order = draw(st.permutations(range(joints)))
    names = [f"j{i}" for i in range(joints)]
    count = draw(st.integers(0, (joints - 1) // 2))
    pairs = [(names[1 + 2 * i], names[2 + 2 * i]) for i in range(count)]
    return Skeleton.from_parents(parents, names, pairs).reordered([names[i] for i in order])


def moved(module: torch.nn.Module) -> torch.nn.Module:
    """Away from where parameters start."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def prior(name: str, skeleton: Skeleton = FIVE, frames: int = 7, fan_in: int = 3) -> IndexFreePrior:
    layer = moved(IndexFreePrior(fan_in, 8, name, skeleton, frames).double())
    assert isinstance(layer, IndexFreePrior)
    return layer


def pattern(relation: str, skeleton: Skeleton, frames: int) -> np.ndarray:
    """Distances by breadth-first search from each node; -1 out of reach."""
    matrix = resolve_relation(relation).matrix(skeleton, frames)
    distance = np.full(matrix.shape, -1)
    for start in range(len(matrix)):
        front, steps = {start}, 0
        while front:
            distance[start, list(front)] = steps
            steps += 1
            front = {int(j) for i in front for j in np.nonzero(matrix[i])[0] if distance[start, j] < 0}
    return distance


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("skeleton", [FIVE, Skeleton.load("coco17")], ids=["five", "coco17"])
@pytest.mark.parametrize("frames", [1, 2, 13])
def test_distances_are_the_fewest_edges(name: str, skeleton: Skeleton, frames: int) -> None:
    found = relation_distance(name, skeleton, frames, 3).numpy()
    plain = pattern(name, skeleton, frames)
    assert (found == np.where(plain < 0, 4, np.minimum(plain, 3))).all()


def test_long_windows_need_no_search() -> None:
    distance = relation_distance("step4", FIVE, 3000, 32)
    assert distance.shape == (3000, 3000)
    assert distance[0, [0, 1, 4, 128, 2996]].tolist() == [0, 33, 1, 32, 32]


@pytest.mark.parametrize("name", RELATIONS)
def test_topology_and_modulation_are_their_formulas(name: str) -> None:
    skeleton = Skeleton.load("smpl22")
    layer = prior(name, skeleton)
    local = relation_topology(name, skeleton, 7)
    distance = relation_distance(name, skeleton, 7, len(layer.strength) - 2)
    n = len(local)
    expected = torch.empty(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            alike = [int((distance[k] == distance[i, j]).sum()) for k in (i, j)]
            expected[i, j] = local[i, j] + layer.strength[distance[i, j]] / (alike[0] * alike[1]) ** 0.5
    torch.testing.assert_close(layer.topology(), 0.5 * (expected + expected.T), rtol=0, atol=1e-7)
    found = joint_description(skeleton, name) if layer.axis == "joints" else frame_description(7, name)
    torch.testing.assert_close(layer.modulations(), found.double() @ layer.modulation, rtol=0, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(skeleton=trees(), name=st.sampled_from(["kinematic", "mirror", "hop2", "space"]), seed=st.integers(0, 99))
def test_the_numbering_of_joints_means_nothing(skeleton: Skeleton, name: str, seed: int) -> None:
    torch.manual_seed(seed)
    order = torch.randperm(len(skeleton))
    renumbered = skeleton.reordered([skeleton.joints[i] for i in order])
    layer, other = prior(name, skeleton), prior(name, renumbered)
    other.load_state_dict(layer.state_dict())  # nothing is moved along
    x = torch.randn(2, len(skeleton), 3, dtype=torch.float64)
    torch.testing.assert_close(other.forward_grid(x[:, order]), layer.forward_grid(x)[:, order], rtol=0, atol=1e-10)
    position, elsewhere = moved(IndexFreeJointPosition(4, skeleton)), IndexFreeJointPosition(4, renumbered)
    elsewhere.load_state_dict(position.state_dict())
    torch.testing.assert_close(elsewhere(), position()[order], rtol=0, atol=1e-6)


def test_joints_are_described_by_the_tree() -> None:
    table = joint_description(FIVE)
    assert table.min() >= 0 and table.max() <= 1
    depth, height, neighbours = table[:, 1:9].sum(1), table[:, 9:17].sum(1), table[:, 17:21].sum(1)
    assert depth.tolist() == [0, 1, 2, 1, 2]
    assert height.tolist() == [2, 1, 0, 1, 0]
    assert neighbours.tolist() == [2, 2, 1, 2, 1]
    assert table[:, 21].tolist() == [0, 0.5, 1, 0.5, 1]
    assert table[:, 22].tolist() == [0, 1, 1, 0, 0] and table[:, 23].tolist() == [0, 0, 0, 1, 1]
    assert (table[:, 0] == 1).all()
    assert joint_description(FIVE, "mirror")[:, 17:21].sum(1).tolist() == [0, 1, 1, 1, 1]


def test_counts_end_at_the_largest_that_is_told_apart() -> None:
    chain = Skeleton.from_parents([-1, *range(19)])
    table = joint_description(chain)
    assert table[:, 1:9].sum(1).tolist() == [min(j, 8) for j in range(20)]
    star = joint_description(Skeleton.from_parents([-1] + [0] * 9))
    assert star[0, 17:21].sum() == 4
    assert torch.equal(star[1:], star[1:2].expand(9, -1))  # leaves of a star without sides are alike


def test_exchanged_sides_exchange_left_and_right() -> None:
    exchanged = replace(FIVE, pairs=tuple((right, left) for left, right in FIVE.pairs))
    table = joint_description(FIVE)
    assert torch.equal(joint_description(exchanged), table[:, [*range(22), 23, 22]])
    position, other = IndexFreeJointPosition(4, FIVE), IndexFreeJointPosition(4, exchanged)
    moved(position)
    with torch.no_grad():
        other.weight.copy_(position.weight[[*range(22), 23, 22]])
    torch.testing.assert_close(other(), position(), rtol=0, atol=1e-6)


def test_a_joint_beyond_those_of_the_training_is_taken_for_the_farthest_known() -> None:
    short, long = Skeleton.from_parents([-1, 0, 1, 2]), Skeleton.from_parents([-1, 0, 1, 2, 3, 4, 5])
    position = IndexFreeJointPosition(4, short)
    torch.nn.init.normal_(position.weight)
    with torch.no_grad():  # steps that the training has never seen stay where they start
        position.weight[joint_description(short).abs().sum(0) == 0] = 0.0
    other = IndexFreeJointPosition(4, long)
    other.load_state_dict(position.state_dict())
    share = joint_description(long)[6, 21] * position.weight[21]
    torch.testing.assert_close(other()[6] - share, position()[3] - position.weight[21], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SKELETONS)
def test_both_paths_agree_where_every_pair_has_an_edge(name: str) -> None:
    skeleton = Skeleton.load(name)
    graph = SpatioTemporalGraph.shared(skeleton, 9, ("space", "time"))
    x = torch.randn(3, 9, len(skeleton), 2)
    batch = pose_batch(graph, x)
    space, time = (batch.edge_type == graph.relations.index(r) for r in ("space", "time"))
    for joints, frames in (("kinematic", "trajectory"), ("space", "time"), ("hop2", "step2")):
        kpa = moved(KinematicPrior(2, 16, skeleton, joints, index_free=True)).eval()
        tpa = moved(TrajectoryPrior(16, 9, frames, index_free=True)).eval()
        tokens = kpa.forward_grid(x)
        edges = kpa(batch.x, batch.edge_index[:, space], batch.joint)
        torch.testing.assert_close(edges.view(tokens.shape), tokens, rtol=1e-5, atol=1e-5)
        mixed = tpa.forward_grid(tokens.transpose(1, 2)).transpose(1, 2)
        edge_mixed = tpa(edges, batch.edge_index[:, time], batch.frame)
        torch.testing.assert_close(edge_mixed.view(mixed.shape), mixed, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["trajectory", "step3", "time"])
@pytest.mark.parametrize("length", [1, 2, 6, 7, 40])
def test_a_sample_of_another_length_is_what_a_layer_of_that_length_gives(name: str, length: int) -> None:
    layer, other = prior(name, frames=7), prior(name, frames=length)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(2, 5, length, 3, dtype=torch.float64)
    torch.testing.assert_close(layer.forward_grid(x), other.forward_grid(x), rtol=1e-6, atol=1e-6)


def test_some_of_the_frames_are_mixed_as_those() -> None:
    layer = prior("trajectory", frames=9)
    kept = torch.tensor([[0, 3, 4, 8], [1, 2, 5, 6]])
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    found = layer.forward_grid(x, kept)
    topology, modulation = layer.topology(), layer.modulations()
    for clip, chosen in enumerate(kept):
        a, m = topology[chosen][:, chosen], modulation[chosen]
        own = torch.diag(a)[:, None] * m * (x[clip] @ layer.weight_self)
        others = (a - torch.diag(torch.diag(a))) @ (m * (x[clip] @ layer.weight_neighbour))
        torch.testing.assert_close(found[clip], own + others + layer.bias)


def test_it_starts_like_the_indexed_layer() -> None:
    skeleton = Skeleton.load("h36m17")
    torch.manual_seed(0)
    layer = IndexFreePrior(2, 64, "kinematic", skeleton)
    indexed = GraphPrior(2, 64, relation_topology("kinematic", skeleton))
    torch.testing.assert_close(layer.topology(), indexed.topology(), rtol=0, atol=2e-6)
    start = layer.modulations()
    assert torch.equal(start, indexed.modulation)  # one for all: what tells nodes apart is learned
    assert layer.weight_self.std() > 0 and IndexFreeJointPosition(8, skeleton)().abs().max() == 0
    assert IndexFreeFramePosition(8)(torch.arange(5)).abs().max() == 0


def test_shapes_depend_on_the_channels_alone() -> None:
    def shapes(module: torch.nn.Module) -> dict[str, torch.Size]:
        return {key: value.shape for key, value in module.state_dict().items()}

    for name in RELATIONS:
        one, other = IndexFreePrior(2, 8, name, FIVE, 5), IndexFreePrior(2, 8, name, Skeleton.load("cmu31"), 50)
        assert shapes(one) == shapes(other)
    assert shapes(IndexFreeJointPosition(8, FIVE)) == shapes(IndexFreeJointPosition(8, Skeleton.load("hand21")))


def test_gradients_reach_every_parameter_and_match_finite_differences() -> None:
    for name in ("kinematic", "trajectory"):
        layer = prior(name, fan_in=2, frames=5)
        x = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(layer.forward_grid, (x,))
        layer.forward_grid(x).square().sum().backward()
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in layer.parameters())
    position = IndexFreeFramePosition(6).double()
    position(torch.tensor([[3, 0], [250, 9]])).sum().backward()
    assert position.weight.grad is not None and position.weight.grad.abs().sum() > 0


def test_positions_of_frames_go_by_their_number() -> None:
    position = moved(IndexFreeFramePosition(8))
    numbers = torch.tensor([[0, 5], [7, 5]])
    found = position(numbers)
    assert found.shape == (2, 2, 8)
    torch.testing.assert_close(found, position(torch.arange(8))[numbers], rtol=0, atol=1e-6)
    assert len(torch.unique(position(torch.arange(300)).detach().round(decimals=4), dim=0)) == 300


@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8])
def test_sinusoids_of_any_width(channels: int) -> None:
    found = sinusoidal(torch.arange(4), channels)
    assert found.shape == (4, channels) and found.isfinite().all()
    half = channels // 2
    if half > 1:
        rates = [10000.0 ** (-i / (half - 1)) for i in range(half)]
        torch.testing.assert_close(found[3, :half], torch.sin(3 * torch.tensor(rates)))
        torch.testing.assert_close(found[3, half : 2 * half], torch.cos(3 * torch.tensor(rates)))
    assert sinusoidal(torch.arange(4), channels, torch.float64).dtype == torch.float64


def test_lifting_before_training_does_not_spoil_the_tables() -> None:
    """Tables are kept between calls; those that were made under inference mode must serve autograd too."""
    layer = IndexFreePrior(2, 4, "step2", frames=5)
    with torch.inference_mode():
        layer.forward_grid(torch.randn(1, 11, 2))
        made_within = IndexFreePrior(2, 4, "step2", frames=12)
    layer.forward_grid(torch.randn(1, 11, 2)).sum().backward()
    assert layer.strength.grad is not None
    IndexFreePrior(2, 4, "step2", frames=12).forward_grid(torch.randn(1, 12, 2)).sum().backward()
    assert made_within.nodes == 12


def test_a_relation_of_ones_own_that_is_not_symmetric() -> None:
    @relation("to_parent_of_test", "joints")
    def to_parent(skeleton: Skeleton) -> np.ndarray:
        """each joint and its parent"""
        matrix = np.zeros((len(skeleton), len(skeleton)), dtype=bool)
        for parent, child in skeleton.bones:
            matrix[child, parent] = True
        return matrix

    try:
        assert relation_degrees("to_parent_of_test", FIVE).tolist() == [0, 1, 1, 1, 1]
        layer = prior("to_parent_of_test")
        topology = layer.topology()
        torch.testing.assert_close(topology, topology.T)
        distance = layer.distance
        assert distance[2, 0] == 2 and distance[0, 2] == len(layer.strength) - 1
    finally:
        del _REGISTRY["to_parent_of_test"]


def test_moved_and_copied_layers_keep_their_tables() -> None:
    layer = prior("kinematic")
    assert layer.description.dtype == layer.share.dtype == torch.float64
    assert layer.distance.dtype == torch.int64
    assert not {"description", "share", "distance", "local_topology"} & set(layer.state_dict())
