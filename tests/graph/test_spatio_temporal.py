"""Edges of every relation against networkx, and what the shared topology promises."""

from __future__ import annotations

import copy
import pickle

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphpose.errors import DataError
from graphpose.graph import SpatioTemporalGraph, available_relations
from graphpose.skeleton import Skeleton

NAMES = ["kinematic", "trajectory", "self", "mirror", "hop2", "hop3", "step2", "step5", "space", "time"]


def by_networkx(skeleton: Skeleton, frames: int, name: str) -> set[tuple[int, int]]:
    """The pairs of a relation from networkx graphs and products, node (t, j) numbered t * J + j."""
    bones, steps = skeleton.to_networkx(), nx.path_graph(frames)
    count = len(skeleton)
    space, time = nx.empty_graph(count), nx.empty_graph(frames)
    if name == "kinematic":
        space = bones
    elif name == "trajectory":
        time = steps
    elif name == "mirror":
        space.add_edges_from((skeleton.index(left), skeleton.index(right)) for left, right in skeleton.pairs)
    elif name.startswith(("hop", "step")):
        base, k = (bones, int(name[3:])) if name.startswith("hop") else (steps, int(name[4:]))
        graph = space if name.startswith("hop") else time
        for source, lengths in nx.all_pairs_shortest_path_length(base):
            graph.add_edges_from((source, end) for end, length in lengths.items() if length == k)
    elif name == "space":
        space = nx.complete_graph(count)
        space.add_edges_from((j, j) for j in range(count))
    elif name == "time":
        time = nx.complete_graph(frames)
        time.add_edges_from((t, t) for t in range(frames))
    elif name == "self":
        space.add_edges_from((j, j) for j in range(count))
    product = nx.cartesian_product(time, space)
    pairs = {(s * count + i, t * count + j) for (s, i), (t, j) in product.edges}
    return pairs | {(b, a) for a, b in pairs}


@st.composite
def skeletons(draw: st.DrawFn) -> Skeleton:
    count = draw(st.integers(1, 9))
    parents = [-1] + [draw(st.integers(0, i - 1)) for i in range(1, count)]
    names = [f"joint{i}" for i in range(count)]
    pairs = [(names[1], names[2])] if count > 2 and draw(st.booleans()) else []
    return Skeleton.from_parents(parents, names, pairs)


@given(skeletons(), st.integers(1, 7), st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
def test_edges_equal_networkx(skeleton: Skeleton, frames: int, relations: list[str]) -> None:
    graph = SpatioTemporalGraph(skeleton, frames, relations)
    assert graph.edge_index.dtype == graph.edge_type.dtype == torch.int64
    for number, name in enumerate(relations):
        chosen = graph.edge_index[:, graph.edge_type == number].T.tolist()
        pairs = {(a, b) for a, b in chosen}
        assert len(pairs) == len(chosen), f"{name} repeats an edge"
        assert pairs == by_networkx(skeleton, frames, name), name
    keys = list(zip(graph.edge_index[1].tolist(), graph.edge_index[0].tolist(), graph.edge_type.tolist(), strict=True))
    assert keys == sorted(keys)


def test_node_numbers(biped: Skeleton) -> None:
    graph = SpatioTemporalGraph(biped, 3)
    assert torch.equal(graph.frame * 5 + graph.joint, torch.arange(15))
    assert (graph.num_nodes, graph.num_edges) == (15, 3 * 8 + 2 * 2 * 5)


def test_adjacency_and_factor_agree_with_edges(biped: Skeleton) -> None:
    graph = SpatioTemporalGraph(biped, 4, ("kinematic", "trajectory", "hop2"))
    axis, bones = graph.factor("kinematic")
    assert axis == "joints"
    np.testing.assert_array_equal(bones.numpy(), biped.adjacency())
    assert torch.equal(graph.adjacency("kinematic"), torch.kron(torch.eye(4), bones))
    axis, steps = graph.factor("trajectory")
    assert axis == "frames"
    assert torch.equal(graph.adjacency("trajectory"), torch.kron(steps, torch.eye(5)))
    assert graph.adjacency().sum() == graph.num_edges
    with pytest.raises(DataError, match="no relation 'mirror'"):
        graph.adjacency("mirror")


def test_shared_is_one_object_also_after_pickling_and_copying(biped: Skeleton) -> None:
    graph = SpatioTemporalGraph.shared(biped, 4, ["self", "kinematic"])
    assert SpatioTemporalGraph.shared(biped, 4, ("self", "kinematic")) is graph
    assert pickle.loads(pickle.dumps(graph)) is graph
    assert copy.deepcopy(graph) is graph
    assert SpatioTemporalGraph(biped, 4, ("self", "kinematic")) == graph
    assert SpatioTemporalGraph(biped, 5, ("self", "kinematic")) != graph


@pytest.mark.parametrize(
    ("frames", "relations", "message"),
    [
        (0, ("self",), "at least 1 frame"),
        (3, (), "one or more different relation names"),
        (3, ("self", "self"), "one or more different relation names"),
        (3, "self", "as a list"),
        (3, ("kinematics",), "did you mean 'kinematic'"),
        (3, ("hop",), "unknown relation 'hop'"),
        (3, ("hop0",), "unknown relation 'hop0'"),
        (3, ("hop<k>",), "unknown relation"),
    ],
)
def test_bad_descriptions(biped: Skeleton, frames: int, relations: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SpatioTemporalGraph.shared(biped, frames, relations)


def test_every_relation_is_described() -> None:
    relations = available_relations()
    assert {"kinematic", "trajectory", "self", "mirror", "hop<k>", "step<k>", "space", "time"} <= set(relations)
    assert all(relations.values())


def test_a_new_relation_is_added_in_one_place(biped: Skeleton, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphpose.graph import relation, relations

    monkeypatch.setattr(relations, "_REGISTRY", dict(relations._REGISTRY))

    @relation("to_root", "joints")
    def to_root(skeleton: Skeleton) -> np.ndarray:
        """every joint to the root"""
        matrix = np.zeros((len(skeleton), len(skeleton)))
        matrix[:, skeleton.root] = 1
        return matrix

    graph = SpatioTemporalGraph(biped, 2, ("to_root",))
    assert graph.edge_index[1].tolist() == [2] * 5 + [7] * 5
    with pytest.raises(DataError, match="registered already"):
        relation("to_root", "joints")(to_root)


def test_a_long_trajectory_needs_no_dense_matrix(biped: Skeleton, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "eye", lambda *_, **__: pytest.fail("a matrix of all pairs of frames"))
    graph = SpatioTemporalGraph(biped, 20_000, ("trajectory", "step3"))
    assert graph.num_edges == len(biped) * 2 * (19_999 + 19_997)
