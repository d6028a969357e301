"""Attention as a graph over joints or frames, for PyTorch Geometric and networkx.

An edge (j -> i) of weight A_ij says that i looks at j, and points the way the message goes, as in PyG. The weights are the mean over the
heads, windows, frames (or joints) that are chosen; each edge also says how many bones lie between its ends, which relation they have
(`relations.py`), and by how many frames the source is later than the target.

| attribute | shape | is |
| --- | --- | --- |
| edge_index | `[2, E]` | source (looked at), target (looks), by target, then source |
| edge_weight | `[E]` float32 | attention, at most 1 |
| hops | `[E]` | bones between the ends; 0 in graphs of frames |
| relation | `[E]` | number in `relations`, the names |
| time_offset | `[E]` | frame of the source less that of the target; 0 in graphs of joints |
| names | list | of the nodes: joints, or numbers of frames |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch_geometric.data import Data

from graphpose.analysis.attention.chosen import chosen_numbers, joint_number
from graphpose.analysis.attention.measures.mean_map import counted_rows, mean_map
from graphpose.analysis.attention.measures.relations import (
    attended_hops,
    frame_relations,
    joint_relations,
    window_length,
)
from graphpose.analysis.attention.record import Attention, Axis, Record
from graphpose.errors import DataError

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["attention_graph", "attention_networkx"]


def attention_graph(
    record: Record,
    axis: Axis = "joints",
    *,
    layer: int | None = None,
    name: str | None = None,
    head: int | Iterable[int] | None = None,
    window: int | Iterable[int] | None = None,
    frames: int | Iterable[int] | None = None,
    joints: int | str | Iterable[int | str] | None = None,
    threshold: float = 0.0,
    top_k: int | None = None,
) -> Data:
    """The attention of a layer, head and set of frames as a PyG `Data`; its attributes are in the module.

    Args:
        record: what was captured.
        axis: the nodes: joints, or frames.
        layer: number of the layer; None: the mean of all recorded ones.
        name: of the module, where a layer has several.
        head: one or more heads; None: all.
        window: one or more windows; None: all.
        frames: of the window, in attention over joints; None: all. Of pruned frames, those that are left.
        joints: names or numbers, in attention over frames; None: all.
        threshold: edges of a smaller weight are left out, and edges of weight 0 always.
        top_k: edges that each node keeps of those it looks along, the heaviest; None: all. Of equal ones the first nodes count.

    Raises:
        DataError: a layer, module, head, window, frame or joint that was not recorded, or a threshold that is none.
        SkeletonError: an unknown joint name.
    """
    weights = _weights(record, axis, layer, name, head, window, frames, joints)
    if not 0 <= threshold <= 1:
        raise DataError(f"expected threshold from 0 to 1 (got {threshold})")
    if top_k is not None and top_k < 1:
        raise DataError(f"expected top_k >= 1 (got {top_k})")
    weights = np.nan_to_num(weights)  # rows of frames that were pruned: no edges
    kept = (weights > 0) & (weights >= threshold)
    if top_k is not None:
        rank = np.argsort(np.argsort(-weights, axis=1, kind="stable"), axis=1, kind="stable")
        kept &= rank < top_k
    target, source = np.nonzero(kept)
    nodes = len(weights)
    if axis == "joints":
        relations, names = joint_relations(record.skeleton), list(record.skeleton.joints)
        hops, offset = record.skeleton.hops()[target, source], np.zeros(len(source), dtype=np.int64)
    else:
        relations, names = frame_relations(nodes), [str(frame) for frame in range(nodes)]
        hops, offset = np.zeros(len(source), dtype=np.int64), source - target
    kind = sum(number * matrix for number, matrix in enumerate(relations.values()))
    return Data(
        edge_index=torch.from_numpy(np.stack([source, target])),
        edge_weight=torch.from_numpy(weights[target, source]).float(),
        hops=torch.from_numpy(hops),
        relation=torch.from_numpy(np.asarray(kind, dtype=np.int64)[target, source]),
        time_offset=torch.from_numpy(offset),
        relations=list(relations),
        names=names,
        num_nodes=nodes,
    )


def attention_networkx(record: Record, axis: Axis = "joints", **chosen: object) -> nx.DiGraph:
    """The same graph for networkx; arguments and errors as in `attention_graph`.

    Nodes 0, 1, ... have `name` (and `side` of joints); edges (source, target) have `weight`, `hops`, `relation` (its name),
    `time_offset`.
    """
    import networkx as nx

    data = attention_graph(record, axis, **chosen)  # type: ignore[arg-type]
    graph = nx.DiGraph(axis=axis)
    for node, label in enumerate(data.names):
        side = {"side": record.skeleton.side(node)} if axis == "joints" else {}
        graph.add_node(node, name=label, **side)
    columns = (data.edge_weight, data.hops, data.relation, data.time_offset)
    ends = data.edge_index.tolist()
    for source, target, weight, hops, relation, offset in zip(
        *ends, *(column.tolist() for column in columns), strict=True
    ):
        graph.add_edge(source, target, weight=weight, hops=hops, relation=data.relations[relation], time_offset=offset)
    return graph


def _weights(
    record: Record,
    axis: Axis,
    layer: int | None,
    name: str | None,
    head: int | Iterable[int] | None,
    window: int | Iterable[int] | None,
    frames: int | Iterable[int] | None,
    joints: int | str | Iterable[int | str] | None,
) -> np.ndarray:
    """The chosen attention, `[J, J]` or `[T, T]`; rows that were never seen are NaN."""
    if (joints if axis == "joints" else frames) is not None:
        one, other = ("joints", "frames") if axis == "joints" else ("frames", "joints")
        raise DataError(
            f"{one}: expected None in a graph of {one}, whose nodes they are (got a choice); choose {other}"
        )
    maps = []
    for one_module in record.find(axis, layer, name):
        if axis == "joints":
            attended_hops(one_module, record)  # refuses what is not between joints
        windows = chosen_numbers("window", window, range(len(one_module.weights)))
        heads = chosen_numbers("heads", head, one_module.heads, one_module.name)
        places = [one_module.heads.index(number) for number in heads]
        if axis == "joints" and frames is not None:
            numbers = chosen_numbers("frames", frames, range(window_length(record)))
            found = _of_frames(one_module, record, windows, numbers)
        else:
            across = None if joints is None else _of_joints(one_module, record, joints)
            found = mean_map(one_module, record, windows, across)
        maps.append(found[places].mean(axis=0))
    seen = np.sum([~np.isnan(one_map).any(axis=1) for one_map in maps], axis=0)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.sum([np.nan_to_num(one_map) for one_map in maps], axis=0) / seen[:, None]
    return mean


def _of_joints(one: Attention, record: Record, joints: int | str | Iterable[int | str]) -> list[int]:
    """Places of joints on the axis R."""
    names = list(joints) if isinstance(joints, Iterable) and not isinstance(joints, str) else [joints]
    if not names:
        raise DataError(f"{one.name}: expected one or more joints (got none)")
    numbers = [joint_number(record.skeleton, joint) for joint in names]
    if one.across is None:
        raise DataError(f"{one.name}: expected attention of single joints (got their mean); capture without reduce")
    for number in numbers:
        if number not in one.across:
            there = ", ".join(record.skeleton.joints[joint] for joint in one.across)
            raise DataError(f"{one.name}: expected joints among {there} (got {record.skeleton.joints[number]!r})")
    return [one.across.index(number) for number in numbers]


def _of_frames(one: Attention, record: Record, windows: list[int], frames: list[int]) -> np.ndarray:
    """Mean maps [H, J, J] of some frames, which stand at other places in each window where frames were pruned."""
    if one.across is None:
        raise DataError(f"{one.name}: expected attention of single frames (got their mean); capture without reduce")
    counted = counted_rows(one, record)[:, :, 0]
    total, count = np.zeros(one.weights.shape[2:]), 0
    for window in windows:
        numbers = one.across if one.frames is None else tuple(one.frames[window].tolist())
        places = [place for place, number in enumerate(numbers) if number in frames and counted[window, place]]
        if places:
            total = total + one.weights[window, places].double().sum(dim=0).numpy()
            count += len(places)
    if not count:
        raise DataError(
            f"{one.name}: expected frames that were recorded, not pruned, and do not only fill up the window (got {frames})"
        )
    return np.asarray(total / count)
