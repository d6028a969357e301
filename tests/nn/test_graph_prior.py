"""The two paths of the prior graph convolution agree, and both are the formula."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric import typing as pyg_typing

from graphpose.errors import ConfigError, DataError
from graphpose.graph import SpatioTemporalGraph, pose_batch
from graphpose.nn import (
    GraphPrior,
    KinematicPrior,
    PriorLayer,
    TrajectoryPrior,
    kinematic_topology,
    memory,
    priors,
    trajectory_topology,
)
from graphpose.skeleton import Skeleton


def random_layer(nodes: int, fan_in: int = 3, fan_out: int = 8, dtype: torch.dtype = torch.float64) -> GraphPrior:
    local = (torch.rand(nodes, nodes) < 0.4).to(dtype)
    layer = GraphPrior(fan_in, fan_out, local).to(dtype)
    layer.local_topology = local
    torch.nn.init.normal_(layer.global_topology, std=0.3)
    return layer


def all_pairs(groups: list[list[int]]) -> torch.Tensor:
    return torch.tensor([[a, b] for group in groups for a in group for b in group], dtype=torch.long).T


def node_form(layer: GraphPrior, x: torch.Tensor) -> torch.Tensor:
    """The docstring's node form, one node at a time."""
    a = layer.topology()
    rows = []
    for i in range(layer.nodes):
        row = a[i, i] * layer.modulation[i] * (x[i] @ layer.weight_self) + layer.bias
        for j in range(layer.nodes):
            if j != i:
                row = row + a[i, j] * layer.modulation[j] * (x[j] @ layer.weight_neighbour)
        rows.append(row)
    return torch.stack(rows)


@settings(max_examples=20, deadline=None)
@given(nodes=st.integers(1, 9), samples=st.integers(1, 4), seed=st.integers(0, 1000))
def test_grid_path_edge_path_and_node_form_agree(nodes: int, samples: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = random_layer(nodes)
    x = torch.randn(samples, nodes, 3, dtype=torch.float64)
    grid = layer.forward_grid(x)
    edges = all_pairs([[s * nodes + j for j in range(nodes)] for s in range(samples)])
    edge = layer(x.reshape(-1, 3), edges, torch.arange(nodes).repeat(samples))
    torch.testing.assert_close(edge.view(grid.shape), grid, rtol=0, atol=1e-12)
    torch.testing.assert_close(grid[0], node_form(layer, x[0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["h36m17", "hand21"])
def test_paths_agree_on_a_real_graph_in_float32(name: str) -> None:
    skeleton = Skeleton.load(name)
    graph = SpatioTemporalGraph.shared(skeleton, 9, ("space", "time"))
    x = torch.randn(4, 9, len(skeleton), 2)
    batch = pose_batch(graph, x)
    space, time = (batch.edge_type == graph.relations.index(r) for r in ("space", "time"))
    kpa, tpa = KinematicPrior(2, 16, skeleton).eval(), TrajectoryPrior(16, 9).eval()
    tokens = kpa.forward_grid(x)
    edge_tokens = kpa(batch.x, batch.edge_index[:, space], batch.joint)
    torch.testing.assert_close(edge_tokens.view(tokens.shape), tokens, rtol=0, atol=1e-6)
    mixed = tpa.forward_grid(tokens.transpose(1, 2)).transpose(1, 2)
    edge_mixed = tpa(edge_tokens, batch.edge_index[:, time], batch.frame)
    torch.testing.assert_close(edge_mixed.view(mixed.shape), mixed, rtol=0, atol=2e-6)


def test_gradients_of_the_two_paths_agree() -> None:
    layer = random_layer(6)
    x = torch.randn(3, 6, 3, dtype=torch.float64, requires_grad=True)
    edges = all_pairs([[s * 6 + j for j in range(6)] for s in range(3)])
    inputs = [x, *layer.parameters()]
    by_grid = torch.autograd.grad(layer.forward_grid(x).square().sum(), inputs)
    by_edge = torch.autograd.grad(layer(x.view(-1, 3), edges, torch.arange(6).repeat(3)).square().sum(), inputs)
    for one, other in zip(by_grid, by_edge, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_a_missing_node_takes_part_in_nothing() -> None:
    """Without a node, the edge path equals the grid path in which that node sends nothing."""
    layer = random_layer(5)
    x = torch.randn(5, 3, dtype=torch.float64)
    kept = torch.tensor([0, 1, 3, 4])
    edge = layer(x[kept], all_pairs([[0, 1, 2, 3]]), kept)
    muted = x.clone()
    muted[2] = 0
    torch.testing.assert_close(edge, layer.forward_grid(muted)[kept], rtol=0, atol=1e-12)


def test_order_of_edges_and_self_loops_do_not_matter() -> None:
    layer = random_layer(7)
    x = torch.randn(7, 3, dtype=torch.float64)
    edges = all_pairs([list(range(7))])
    shuffled = edges[:, torch.randperm(edges.shape[1])]
    without = edges[:, edges[0] != edges[1]]
    node = torch.arange(7)
    torch.testing.assert_close(layer(x, shuffled, node), layer(x, without, node))


def test_fewer_edges_restrict_the_layer_to_them() -> None:
    layer = random_layer(4)
    x = torch.randn(4, 3, dtype=torch.float64)
    chain = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    a = layer.topology()
    mask = torch.zeros(4, 4, dtype=torch.float64)
    mask[chain[1], chain[0]] = 1
    expected = a.diagonal()[:, None] * layer.modulation * (x @ layer.weight_self) + layer.bias
    expected = expected + (a * mask) @ (layer.modulation * (x @ layer.weight_neighbour))
    torch.testing.assert_close(layer(x, chain, torch.arange(4)), expected)


def test_relabelling_joints_relabels_the_output() -> None:
    layer = random_layer(6)
    order = torch.randperm(6)
    twin = random_layer(6)
    twin.load_state_dict(layer.state_dict())
    twin.local_topology = layer.local_topology[order][:, order]
    with torch.no_grad():
        twin.modulation.copy_(layer.modulation[order])
        twin.global_topology.copy_(layer.global_topology[order][:, order])
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(twin.forward_grid(x[:, order]), layer.forward_grid(x)[:, order])


def test_an_unknown_node_number_is_refused() -> None:
    layer = random_layer(3)
    with pytest.raises(DataError, match="knows 3 nodes, the graph holds node number 5"):
        layer(torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, 5]))
    with pytest.raises(ValueError, match="square local topology"):
        GraphPrior(2, 4, torch.zeros(3, 4))


def test_prior_layer_normalises_over_samples_and_nodes() -> None:
    layer = PriorLayer(GraphPrior(2, 8, kinematic_topology(Skeleton.load("h36m17"))), gain=1.0)
    layer.train()
    y = layer.convolution.forward_grid(torch.randn(50, 17, 2)).reshape(-1, 8)
    out = layer.norm(y)
    torch.testing.assert_close(out.mean(0), torch.zeros(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.var(0, unbiased=False), torch.ones(8), rtol=0, atol=1e-2)


def test_trajectory_topology_of_one_frame_is_itself() -> None:
    torch.testing.assert_close(trajectory_topology(1), torch.ones(1, 1))
    three = trajectory_topology(3)
    torch.testing.assert_close(three, torch.tensor([[1, 1, 0], [0.5, 1, 0.5], [0, 1, 1]]))


def test_edge_path_gives_the_same_without_torch_scatter() -> None:
    """PyTorch Geometric chooses its kernel on import, so the run without torch-scatter is another process."""
    program = """
import sys, torch
if sys.argv[1] == "without":
    sys.modules["torch_scatter"] = None
import torch_geometric.typing as t
from graphpose.nn import GraphPrior
torch.manual_seed(0)
layer = GraphPrior(3, 4, torch.eye(5))
edges = torch.tensor([[a, b] for a in range(5) for b in range(5)]).T
out = layer(torch.randn(5, 3), edges, torch.arange(5))
print(t.WITH_TORCH_SCATTER, *(f"{v:.5f}" for v in out.flatten().tolist()))
"""

    def run(how: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, how], capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    without, present = run("without"), run("as it is")
    assert without[0] == "False"
    assert present[0] == str(pyg_typing.WITH_TORCH_SCATTER)
    assert without[1:] == present[1:]


def test_a_trajectory_beyond_the_memory_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    room = 3 * 200**2 * 4  # for the matrices of 200 frames
    monkeypatch.setattr(priors, "machine_memory", lambda: room)
    TrajectoryPrior(4, 200)
    monkeypatch.setattr(priors, "trajectory_topology", lambda frames: pytest.fail("the matrices must not be made"))
    expected = r"^frames=100000: .* needs 112 GiB .*: use shorter windows \(data\.frames\), or a prior without 'tpa'"
    with pytest.raises(ConfigError, match=expected):
        TrajectoryPrior(4, 100_000)
    with pytest.raises(ConfigError, match="frames=201"):
        TrajectoryPrior(4, 201)


def test_the_memory_is_that_of_the_machine_or_the_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CONTROL_GROUP", limit)
    whole = memory.machine_memory()
    if whole is None:
        pytest.skip("this system does not tell its memory")
    assert whole > 2**28
    for text, expected in (("max\n", whole), (f"{whole // 2}\n", whole // 2), (f"{whole * 2}\n", whole)):
        limit.write_text(text)
        assert memory.machine_memory() == expected
