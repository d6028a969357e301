"""Dense arrays to a batch of graphs and back, without collating what all graphs share.

    pose_batch:    x [B, T, J, C]             -> Batch with x [B * T * J, C]; equal to Batch.from_data_list of B PoseGraphs
    grids:         Batch                      -> one Grid (x [b, T, J, C]) for each skeleton and length in it
    scatter_grids: values [b, T, J, C] a grid -> [sum N, C] in the order of the nodes

For a batch of one skeleton and length the two ways are views.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpose.errors import DataError
from graphpose.graph.pose_graph import PoseGraph, check_shape
from graphpose.graph.spatio_temporal import SpatioTemporalGraph
from graphpose.skeleton import Skeleton

__all__ = ["Grid", "grids", "pose_batch", "scatter_grids"]

_NODE_KEYS = ("x", "y", "visible", "joint", "frame")
_EDGE_KEYS = ("edge_index", "edge_type")
_KEPT = 8  # batch topologies kept; a run uses one or two (full batches, and a last smaller one)
_topologies: OrderedDict[tuple[SpatioTemporalGraph, int, torch.device], _Topology] = OrderedDict()


@dataclass(frozen=True)
class _Topology:
    """What all batches of one number of equal graphs share, PyG's slices and increments of every key included."""

    template: Any  # a Batch with the shared tensors: copying it is ten times faster than making a new Batch
    visible: Tensor
    slices: dict[str, Tensor]
    increments: dict[str, Tensor]
    none: Tensor
    names: frozenset[str]


def _topology(graph: SpatioTemporalGraph, size: int, device: torch.device) -> _Topology:
    key = (graph, size, device)
    found = _topologies.get(key)
    if found is not None:
        _topologies.move_to_end(key)
        return found
    counts = torch.arange(size + 1)
    nodes, none = counts * graph.num_nodes, torch.zeros(size, dtype=torch.long)
    tensors = {
        "joint": graph.joint.repeat(size),
        "frame": graph.frame.repeat(size),
        "edge_index": (graph.edge_index[:, None, :] + nodes[:-1, None]).reshape(2, -1),
        "edge_type": graph.edge_type.repeat(size),
        "batch": counts[:-1].repeat_interleave(graph.num_nodes),
        "ptr": nodes,
    }
    slices = {"graph": counts, "root": counts * graph.frames}
    slices.update({name: nodes for name in _NODE_KEYS})
    slices.update({name: counts * graph.num_edges for name in _EDGE_KEYS})
    increments = dict.fromkeys(slices, none) | {"edge_index": nodes[:-1]}
    template: Any = Batch(_base_cls=PoseGraph)
    for name, value in tensors.items():
        template[name] = value.to(device)
    template.graph, template._num_graphs = [graph] * size, size
    visible = torch.ones(size * graph.num_nodes, dtype=torch.bool, device=device)
    found = _Topology(template, visible, slices, increments, none, frozenset(slices) | frozenset(tensors))
    _topologies[key] = found
    if len(_topologies) > _KEPT:
        _topologies.popitem(last=False)
    return found


def pose_batch(
    graph: SpatioTemporalGraph,
    x: Tensor,
    y: Tensor | None = None,
    root: Tensor | None = None,
    visible: Tensor | None = None,
    **extra: Tensor,
) -> Batch:
    """B clips of one skeleton and length as a standard PyG `Batch` of `PoseGraph`, on the device of `x`.

    Topology (`edge_index`, `edge_type`, `joint`, `frame`, `batch`, `ptr`) is shared between batches of the same size: replace
    these tensors, do not write into them. `to_data_list()` and `batch[i]` work as after PyG's own collation.

    Args:
        graph: topology of each clip.
        x: `[B, T, J, C]`.
        y: `[B, T, J, 3]` or None.
        root: `[B, T, 3]` or None.
        visible: `[B, T, J]` bool or None (all visible).
        extra: tensors `[B, ...]`; clip i of the batch has `[1, ...]` of it.

    Raises:
        DataError: a shape that does not fit.
    """
    size, frames, joints = x.shape[0] if x.ndim else 0, graph.frames, len(graph.skeleton)
    check_shape("x", x, (size, frames, joints, None))
    if size == 0:
        raise DataError("expected at least 1 clip in a batch (got x with 0)")
    shared = _topology(graph, size, x.device)
    slices, increments = dict(shared.slices), dict(shared.increments)
    content: dict[str, Any] = {"x": x.reshape(-1, x.shape[-1])}
    for name, value, shape in (("y", y, (size, frames, joints, 3)), ("root", root, (size, frames, 3))):
        if value is None:
            del slices[name], increments[name]
        else:
            check_shape(name, value, shape)
            content[name] = value.reshape(-1, 3)
    if visible is not None:
        check_shape("visible", visible, (size, frames, joints))
    content["visible"] = shared.visible if visible is None else visible.reshape(-1)
    for name, value in extra.items():
        if name in shared.names or not value.ndim or value.shape[0] != size:
            raise DataError(f"{name}: expected a new name and [{size}, ...] (got {list(value.shape)})")
        content[name] = value
        slices[name], increments[name] = shared.slices["graph"], shared.none
    batch: Any = copy(shared.template)
    content["graph"] = list(shared.template.graph)
    batch._store._mapping.update(content)
    batch._slice_dict, batch._inc_dict = slices, increments
    return batch


@dataclass(frozen=True)
class Grid:
    """The clips of a batch that have one skeleton and length.

    Attributes:
        graph: their topology.
        x: `[b, T, J, C]`.
        nodes: `[b, T * J]` node numbers in the batch.
        clips: `[b]` positions of the clips in the batch.
        whole: the clips are the entire batch, in order.
    """

    graph: SpatioTemporalGraph
    x: Tensor
    nodes: Tensor
    clips: Tensor
    whole: bool

    @property
    def skeleton(self) -> Skeleton:
        """J joints."""
        return self.graph.skeleton

    @property
    def frames(self) -> int:
        """T."""
        return self.graph.frames

    def gather(self, values: Tensor) -> Tensor:
        """Node values of the batch `[sum N, ...]` as `[b, T, J, ...]`; a view for a whole batch."""
        shape = (len(self.clips), self.frames, len(self.skeleton), *values.shape[1:])
        return values.reshape(shape) if self.whole else values[self.nodes.reshape(-1)].reshape(shape)


def grids(batch: Data) -> list[Grid]:
    """The dense arrays of a batch of pose graphs (or of a single one), one for each skeleton and length, in order of appearance.

    Raises:
        DataError: no pose graphs, or a clip that has lost nodes and therefore is no grid.
    """
    if "graph" not in batch or batch.x is None:
        raise DataError("expected a PoseGraph or a batch of them (got data without `graph` or `x`)")
    graphs = batch["graph"] if isinstance(batch["graph"], list) else [batch["graph"]]
    x, device = batch.x, batch.x.device
    if all(one is graphs[0] or one == graphs[0] for one in graphs):
        graph = graphs[0]
        if x.shape[0] != len(graphs) * graph.num_nodes:
            raise _no_grid(graphs, x.shape[0])
        nodes = torch.arange(x.shape[0], device=device).view(len(graphs), -1)
        dense = x.view(len(graphs), graph.frames, len(graph.skeleton), -1)
        return [Grid(graph, dense, nodes, torch.arange(len(graphs), device=device), True)]
    ends = torch.tensor([one.num_nodes for one in graphs]).cumsum(0)
    if int(ends[-1]) != x.shape[0]:
        raise _no_grid(graphs, x.shape[0])
    members: dict[tuple[Skeleton, int], list[int]] = {}
    for number, one in enumerate(graphs):
        members.setdefault((one.skeleton, one.frames), []).append(number)
    found = []
    for clips in members.values():
        graph, chosen = graphs[clips[0]], torch.tensor(clips)
        starts = ends[chosen] - graph.num_nodes
        nodes = (starts[:, None] + torch.arange(graph.num_nodes)).to(device)
        dense = x[nodes.view(-1)].view(len(clips), graph.frames, len(graph.skeleton), -1)
        found.append(Grid(graph, dense, nodes, chosen.to(device), len(clips) == len(graphs)))
    return found


def scatter_grids(values: Sequence[Tensor], groups: Sequence[Grid], num_nodes: int) -> Tensor:
    """One `[b, T, J, C]` for each grid back to `[sum N, C]`, in the order of the nodes; a view when there is one grid.

    Raises:
        DataError: values that do not belong to the grids, or grids that do not cover the nodes.
    """
    if len(values) != len(groups):
        raise DataError(f"expected one tensor a grid (got {len(values)} for {len(groups)} grids)")
    for value, grid in zip(values, groups, strict=True):
        check_shape("values", value, (len(grid.clips), grid.frames, len(grid.skeleton), None))
    covered = sum(grid.nodes.numel() for grid in groups)
    if covered != num_nodes:
        raise DataError(f"expected grids that cover the {num_nodes} nodes of the batch (got {covered})")
    flat = [value.reshape(-1, value.shape[-1]) for value in values]
    if len(groups) == 1 and groups[0].whole:
        return flat[0]
    together = torch.cat(flat)
    places = torch.cat([grid.nodes.reshape(-1) for grid in groups])
    return torch.zeros_like(together).index_copy(0, places, together)


def _no_grid(graphs: Sequence[SpatioTemporalGraph], nodes: int) -> DataError:
    expected = sum(graph.num_nodes for graph in graphs)
    return DataError(
        f"expected {expected} nodes, T * J of each clip (got {nodes}): nodes were dropped; mark joints as not visible instead"
    )
