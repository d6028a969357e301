"""Pose graphs and their batches as PyTorch Geometric sees them."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader
from torch_geometric.nn import RGCNConv
from torch_geometric.utils import to_networkx

from graphpose.errors import DataError
from graphpose.graph import PoseGraph, SpatioTemporalGraph, grids, pose_batch, scatter_grids
from graphpose.skeleton import Skeleton

RELATIONS = ("kinematic", "trajectory", "mirror")


def arrays(skeleton: Skeleton, frames: int, size: int, features: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(size + frames)
    joints = len(skeleton)
    return {
        "x": torch.randn(size, frames, joints, features, generator=generator),
        "y": torch.randn(size, frames, joints, 3, generator=generator),
        "root": torch.randn(size, frames, 3, generator=generator),
        "visible": torch.rand(size, frames, joints, generator=generator) > 0.3,
    }


def clips(skeleton: Skeleton, frames: int, size: int) -> list[PoseGraph]:
    graph = SpatioTemporalGraph.shared(skeleton, frames, RELATIONS)
    values = arrays(skeleton, frames, size)
    return [
        PoseGraph.build(graph, **{k: v[i] for k, v in values.items()}, window=torch.tensor([i])) for i in range(size)
    ]


def assert_equal_data(one: PoseGraph, other: PoseGraph) -> None:
    assert set(one.keys()) == set(other.keys())
    for key in one.keys():  # noqa: SIM118  (Data iterates over pairs, not keys)
        a, b = one[key], other[key]
        assert (torch.equal(a, b) and a.dtype == b.dtype) if isinstance(a, Tensor) else a == b, key


def test_one_graph_is_valid(biped: Skeleton) -> None:
    [data] = clips(biped, 4, 1)
    assert data.validate()
    assert data.num_nodes == 20
    assert (data.skeleton, data.frames, data.relations) == (biped, 4, RELATIONS)
    assert not data.has_self_loops()
    network = to_networkx(data, node_attrs=["joint", "frame"], edge_attrs=["edge_type"])
    assert network.number_of_nodes() == 20
    assert network.number_of_edges() == data.num_edges
    assert network.nodes[7] == {"joint": 2, "frame": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(4, 6, 2)}, r"x: expected \[4, 5, C\] \(got \[4, 6, 2\]\)"),
        ({"y": torch.zeros(4, 5, 2)}, r"y: expected \[4, 5, 3\]"),
        ({"root": torch.zeros(5, 3)}, r"root: expected \[4, 3\]"),
        ({"visible": torch.ones(4, 5, 1, dtype=torch.bool)}, r"visible: expected \[4, 5\]"),
    ],
)
def test_wrong_shapes_are_named(biped: Skeleton, change: dict[str, Tensor], message: str) -> None:
    graph = SpatioTemporalGraph.shared(biped, 4)
    with pytest.raises(DataError, match=message):
        PoseGraph.build(graph, **({"x": torch.zeros(4, 5, 2)} | change))
    with pytest.raises(DataError, match=message.replace("[", "[2, ", 1).split(r" \(")[0].rstrip("]")[:12]):
        pose_batch(
            graph, **({"x": torch.zeros(2, 4, 5, 2)} | {k: v[None].repeat_interleave(2, 0) for k, v in change.items()})
        )


def test_pose_batch_equals_collation(biped: Skeleton) -> None:
    singles = clips(biped, 4, 3)
    collated = Batch.from_data_list(singles)
    graph = SpatioTemporalGraph.shared(biped, 4, RELATIONS)
    batch = pose_batch(graph, **arrays(biped, 4, 3), window=torch.arange(3))
    assert type(batch) is type(collated)
    assert batch.validate()
    assert batch.num_graphs == len(batch) == 3
    assert_equal_data(batch, collated)
    for ours, theirs, single in zip(batch.to_data_list(), collated.to_data_list(), singles, strict=True):
        assert_equal_data(ours, single)
        assert_equal_data(theirs, single)
    assert_equal_data(batch[1], singles[1])
    assert_equal_data(batch[-1:][0], singles[2])


def test_batches_share_topology_and_survive_changes_of_one(biped: Skeleton) -> None:
    graph = SpatioTemporalGraph.shared(biped, 4)
    one, two = (pose_batch(graph, torch.zeros(3, 4, 5, 2)) for _ in range(2))
    assert one.edge_index is two.edge_index
    assert one.ptr is two.ptr
    one.edge_index = one.edge_index[:, :0]
    one.graph.pop()
    assert two.edge_index.shape[1] == 3 * graph.num_edges
    assert len(pose_batch(graph, torch.zeros(3, 4, 5, 2)).graph) == 3


def test_batches_pickle_and_move(biped: Skeleton) -> None:
    graph = SpatioTemporalGraph.shared(biped, 4, RELATIONS)
    batch = pose_batch(graph, **arrays(biped, 4, 2))
    again = pickle.loads(pickle.dumps(batch))
    assert_equal_data(again, batch)
    assert_equal_data(again[1], batch[1])
    assert again.graph[0] is graph
    shared = batch.edge_index
    moved = batch.clone().to("meta")
    assert moved.x.device.type == moved.edge_index.device.type == "meta"
    assert moved.skeleton == [biped, biped]
    assert shared.device.type == "cpu"
    assert pose_batch(graph, torch.zeros(2, 4, 5, 2, device="meta")).edge_index.device.type == "meta"


def test_only_edge_index_is_offset(biped: Skeleton) -> None:
    graph = SpatioTemporalGraph.shared(biped, 4)
    extra = {"flip_index": torch.tensor([[4, 3, 2, 1, 0]]), "batch_id": torch.tensor([7])}
    singles = [PoseGraph.build(graph, torch.zeros(4, 5, 2), **extra) for _ in range(3)]
    batch = Batch.from_data_list(singles)
    assert torch.equal(batch.flip_index, extra["flip_index"].repeat(3, 1))
    assert batch.batch_id.tolist() == [7, 7, 7]
    assert batch.edge_index[:, graph.num_edges :].min() == 20
    assert batch.joint.max() == 4
    assert batch.frame.max() == 3


def test_mixed_skeletons_and_lengths(biped: Skeleton, chain: Skeleton) -> None:
    data = [*clips(biped, 4, 2), *clips(chain, 6, 2), *clips(biped, 1, 1), *clips(biped, 4, 1)]
    [batch] = DataLoader(data, batch_size=6)
    assert batch.validate()
    assert batch.skeleton == [biped, biped, chain, chain, biped, biped]
    assert batch.frames == [4, 4, 6, 6, 1, 4]
    groups = grids(batch)
    assert [(g.skeleton, g.frames, g.clips.tolist()) for g in groups] == [
        (biped, 4, [0, 1, 5]),
        (chain, 6, [2, 3]),
        (biped, 1, [4]),
    ]
    for group in groups:
        for row, clip in enumerate(group.clips.tolist()):
            assert torch.equal(group.x[row].reshape(-1, 2), data[clip].x)
        assert torch.equal(group.gather(batch.x), group.x)
    assert torch.equal(scatter_grids([g.x for g in groups], groups, batch.num_nodes), batch.x)
    for one, other in zip(batch.to_data_list(), data, strict=True):
        assert_equal_data(one, other)


def test_grids_of_a_uniform_batch_are_views(biped: Skeleton) -> None:
    batch = pose_batch(SpatioTemporalGraph.shared(biped, 4), torch.randn(3, 4, 5, 2))
    [grid] = grids(batch)
    assert grid.x.data_ptr() == batch.x.data_ptr()
    assert grid.nodes.tolist() == torch.arange(60).view(3, 20).tolist()
    back = scatter_grids([grid.x], [grid], 60)
    assert back.data_ptr() == batch.x.data_ptr()
    [alone] = grids(batch[1])
    assert torch.equal(alone.x, grid.x[1:2])


def test_grids_carry_gradients(biped: Skeleton, chain: Skeleton) -> None:
    [batch] = DataLoader([*clips(biped, 4, 1), *clips(chain, 2, 1), *clips(biped, 4, 1)], batch_size=3)
    batch.x.requires_grad_()
    groups = grids(batch)
    out = scatter_grids([g.x * (i + 1) for i, g in enumerate(groups)], groups, batch.num_nodes)
    out.sum().backward()
    assert batch.x.grad[:, 0].tolist() == [1.0] * 20 + [2.0] * 6 + [1.0] * 20


def test_grids_refuse_what_is_no_grid(biped: Skeleton, chain: Skeleton) -> None:
    batch = pose_batch(SpatioTemporalGraph.shared(biped, 4), torch.zeros(2, 4, 5, 2))
    groups = grids(batch)
    with pytest.raises(DataError, match=r"values: expected \[2, 4, 5, C\]"):
        scatter_grids([torch.zeros(2, 4, 4, 3)], groups, 40)
    with pytest.raises(DataError, match="cover the 41 nodes"):
        scatter_grids([torch.zeros(2, 4, 5, 3)], groups, 41)
    with pytest.raises(DataError, match="one tensor a grid"):
        scatter_grids([], groups, 40)
    batch.x = batch.x[:-1]
    with pytest.raises(DataError, match=r"expected 40 nodes.*\(got 39\)"):
        grids(batch)
    mixed = Batch.from_data_list([*clips(biped, 4, 1), *clips(chain, 2, 1)])
    mixed.x = mixed.x[1:]
    with pytest.raises(DataError, match=r"expected 26 nodes.*\(got 25\)"):
        grids(mixed)


def test_relations_of_a_batch_must_agree(biped: Skeleton) -> None:
    one = PoseGraph.build(SpatioTemporalGraph.shared(biped, 2, ("self",)), torch.zeros(2, 5, 2))
    two = PoseGraph.build(SpatioTemporalGraph.shared(biped, 2, ("mirror",)), torch.zeros(2, 5, 2))
    with pytest.raises(DataError, match="number their relations differently"):
        _ = Batch.from_data_list([one, two]).relations


def test_relational_convolution_on_top(biped: Skeleton, chain: Skeleton) -> None:
    torch.manual_seed(0)
    data = [*clips(biped, 4, 2), *clips(chain, 3, 1)]
    batch = Batch.from_data_list(data)
    layer = RGCNConv(2, 3, num_relations=len(batch.relations))
    out = layer(batch.x, batch.edge_index, batch.edge_type)
    alone = torch.cat([layer(one.x, one.edge_index, one.edge_type) for one in data])
    torch.testing.assert_close(out, alone)
    (out - batch.y).square().mean().backward()
    assert layer.weight.grad.abs().sum(dim=(1, 2)).gt(0).all(), "every relation has edges and so a gradient"


def test_empty_batch_and_taken_names(biped: Skeleton) -> None:
    graph = SpatioTemporalGraph.shared(biped, 4)
    with pytest.raises(DataError, match="at least 1 clip"):
        pose_batch(graph, torch.zeros(0, 4, 5, 2))
    with pytest.raises(DataError, match="joint: expected a new name"):
        pose_batch(graph, torch.zeros(1, 4, 5, 2), joint=torch.zeros(1))
