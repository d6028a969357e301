"""Tidy tables of a record: all measures of each head, and what each joint looks at.

Measures are taken of every row of every recorded map and averaged over the rows that count (`counted_rows`), so a head that looks
elsewhere in every frame is told from one that looks everywhere at once; of a record that was averaged while it was captured they are
those of the mean. `key_share`, `key` and `stability` are of the mean map.

| column | is |
| --- | --- |
| name, layer, axis, head | module and number of the head |
| window, clip, action, subject, view, start | of the group of windows, as far as `by` tells them apart |
| keys, rows | M, how many keys there are, and how many rows were averaged |
| entropy | 0: one key, 1: all alike |
| mass_self ... mass_far | share of attention in each relation; NaN for relations of the other axis |
| excess_self ... excess_far | the same above uniform attention, 0: as uniform, 1: all of it |
| hops | mean bones to what is looked at (joints) |
| span, span_seconds | mean distance in time (frames) |
| symmetry | overlap with the mirror image |
| kinematic | agreement with bones (joints), with neighbouring frames (frames), each with itself |
| prior | agreement with what the model's own graphs of this axis pass along, learned part included; their mean where there are several |
| key_share, key | share of the key that is looked at most, and its name (joint) or number (frame) |
| stability | see `stability.py`; in a table without groups the mean over clips |

NaN: not defined (`head_measures.py`), or nothing recorded that it needs. Adding a measure: a function in `head_measures.py`, its line in
`_rows`, its row above.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.attention.chosen import chosen_numbers
from graphpose.analysis.attention.measures import head_measures as measure
from graphpose.analysis.attention.measures.mean_map import counted_rows, grouped_windows, mean_map
from graphpose.analysis.attention.measures.relations import (
    FRAME_RELATIONS,
    JOINT_RELATIONS,
    attended_hops,
    attended_relations,
    frame_numbers,
    joint_relations,
    window_length,
)
from graphpose.analysis.attention.measures.stability import overlap, stability
from graphpose.analysis.attention.record import Attention, Axis, Record
from graphpose.analysis.extras import require
from graphpose.nn.relation_topology import relation_topology

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MEASURES", "head_table", "joint_table"]

_RELATIONS = tuple(dict.fromkeys(JOINT_RELATIONS + FRAME_RELATIONS))
_OF_ROWS = (
    "entropy",
    *(f"mass_{name}" for name in _RELATIONS),
    *(f"excess_{name}" for name in _RELATIONS),
    *("hops", "span", "span_seconds", "symmetry", "kinematic", "prior"),
)
MEASURES: tuple[str, ...] = (*_OF_ROWS, "key_share", "stability")
"""The columns of `head_table` that are measures."""

_CHUNK = 4_000_000
"""Weights that are looked at together; bounds the memory of long windows."""


def head_table(record: Record, by: str | None = None, *, axis: Axis | None = None) -> pd.DataFrame:
    """One row for each recorded head, or for each head and group of windows; columns as in the module.

    Args:
        record: what was captured.
        by: "window", "clip", "action" or "subject"; None: all windows together.
        axis: attention over joints or over frames alone; None: both.

    Raises:
        DataError: no attention (of this axis) was recorded, or the record does not tell its windows apart that way.
        MissingExtraError: pandas is not installed.
    """
    pandas = require("pandas", "head_table")
    table = []
    for one in record.find(axis):
        values, rows = _per_window(one, record)
        stable = _stability(one, record, by)
        for labels, windows in grouped_windows(one, record, by):
            maps = mean_map(one, record, windows)
            weight = rows[:, windows]  # [measures, windows, H]
            with np.errstate(invalid="ignore"):
                means = values[:, windows].sum(axis=1) / weight.sum(axis=1)
            for place, head in enumerate(one.heads):
                row: dict[str, Any] = {"name": one.name, "layer": one.layer, "axis": one.axis, "head": head} | labels
                row["keys"] = one.weights.shape[-1]
                row["rows"] = int(rows[0, windows, place].sum())
                row |= dict(zip(_OF_ROWS, means[:, place].tolist(), strict=True))
                row["key_share"], row["key"] = _most_seen(one, record, maps[place])
                row["stability"] = stable[tuple(labels.values())][place]
                table.append(row)
    return pandas.DataFrame(table)


def joint_table(
    record: Record, by: str | None = None, *, layer: int | None = None, heads: int | Iterable[int] | None = None
) -> pd.DataFrame:
    """What each joint looks at, in attention over joints: one row for each head and pair of joints (and group of windows).

    Columns: name, layer, head, those of the group as in `head_table`, query and key (joint names), weight (the mean, which sums to 1
    over the keys of a query), hops (bones between them), relation (as in `relations.py`).

    Args:
        record: what was captured.
        by: as in `head_table`.
        layer: None: all.
        heads: one or more heads; None: all.

    Raises:
        DataError: no such attention or head was recorded, or the record does not tell its windows apart that way.
        MissingExtraError: pandas is not installed.
    """
    pandas = require("pandas", "joint_table")
    skeleton = record.skeleton
    names = np.array(skeleton.joints, dtype=object)
    joints = len(names)
    relation = np.empty((joints, joints), dtype=object)
    for name, pairs in joint_relations(skeleton).items():
        relation[pairs] = name
    modules = record.find("joints", layer)
    wanted = chosen_numbers("heads", heads, sorted({head for one in modules for head in one.heads}))
    parts = []
    for one in modules:
        attended_hops(one, record)  # refuses what is not between joints
        for labels, windows in grouped_windows(one, record, by):
            for head, weights in zip(one.heads, mean_map(one, record, windows), strict=True):
                if head not in wanted:
                    continue
                parts.append(
                    pandas.DataFrame(
                        {"name": one.name, "layer": one.layer, "head": head}
                        | labels
                        | {
                            "query": np.repeat(names, joints),
                            "key": np.tile(names, joints),
                            "weight": weights.ravel(),
                            "hops": skeleton.hops().ravel(),
                            "relation": relation.ravel(),
                        }
                    )
                )
    table: pd.DataFrame = pandas.concat(parts, ignore_index=True)
    return table


def _per_window(one: Attention, record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Sums of each measure over the rows where it is defined, and how many these are: `[measures, B, H]` each."""
    windows, across, heads, n, m = one.weights.shape
    counted = counted_rows(one, record)
    graphs, relations = _graphs(one, record), attended_relations(one, record)
    together = max(1, _CHUNK // (across * n * m))
    values, rows = np.zeros((2, len(_OF_ROWS), windows, heads))
    for window in range(windows):
        for first in range(0, heads, together):
            chunk = one.weights[window, :, first : first + together].numpy().astype(np.float64)
            counts = np.broadcast_to(counted[window][:, None], chunk.shape[:-1])
            found = _rows(one, record, window, chunk, counted[window][:, None], graphs, relations)
            for place, name in enumerate(_OF_ROWS):
                if name in found:
                    per_row = np.broadcast_to(found[name], chunk.shape[:-1])  # [R, h, N]
                    defined = counts & ~np.isnan(per_row)
                    values[place, window, first : first + together] = np.where(defined, per_row, 0).sum(axis=(0, 2))
                    rows[place, window, first : first + together] = defined.sum(axis=(0, 2))
    return values, rows


def _rows(
    one: Attention,
    record: Record,
    window: int,
    chunk: np.ndarray,
    counted: np.ndarray,
    graphs: list[np.ndarray],
    relations: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Measures of one window and some heads, weights [R, h, N, M], counted [R, 1, N] -> broadcastable to [R, h, N]."""
    relations = {name: _at(pairs, window) for name, pairs in relations.items()}
    found: dict[str, Any] = {"entropy": measure.entropy(chunk)}
    found |= {f"mass_{name}": mass for name, mass in measure.relation_mass(chunk, relations).items()}
    found |= {f"excess_{name}": mass for name, mass in measure.excess_mass(chunk, relations, counted).items()}
    kinematic, *own = [_at(graph, window) for graph in graphs]
    found["kinematic"] = measure.agreement(chunk, kinematic)
    if own:
        found["prior"] = measure.agreement(chunk, np.mean([measure.row_normalised(graph) for graph in own], axis=0))
    if one.axis == "joints":
        found["hops"] = measure.mean_hops(chunk, record.skeleton.hops())
        found["symmetry"] = measure.mirror_symmetry(chunk, record.skeleton.mirror)
        return found
    queries, keys = (_at(numbers, window) for numbers in frame_numbers(one))
    found["span"] = measure.time_span(chunk, queries, keys)
    if len(record.windows) == len(one.weights):
        found["span_seconds"] = found["span"] / record.windows[window].fps
    if one.across is not None and set(record.skeleton.mirror[list(one.across)]) <= set(one.across):
        partners = [one.across.index(int(record.skeleton.mirror[joint])) for joint in one.across]
        found["symmetry"] = measure.mirror_symmetry(chunk, np.array(partners), axis="frames")
    return found


def _graphs(one: Attention, record: Record) -> list[np.ndarray]:
    """The published topology of the axis, and those of the model, each [B or 1, N, M] as the tokens are."""
    if one.axis == "joints":
        nodes, local = len(record.skeleton), relation_topology("kinematic", record.skeleton)
    else:
        nodes = window_length(record)
        local = relation_topology("trajectory", frames=nodes)
    graphs = [local.numpy()]
    for topology in record.topologies:
        if topology.axis == one.axis and tuple(topology.total.shape) == (nodes, nodes):
            graphs.append(topology.total.detach().cpu().numpy())
    if one.axis == "joints":
        return [graph[None] for graph in graphs]
    queries, keys = frame_numbers(one)
    return [graph[queries[:, :, None], keys[:, None, :]] for graph in graphs]


def _at(matrices: np.ndarray, window: int) -> np.ndarray:
    """That of a window, where windows share one or have one each."""
    found: np.ndarray = matrices[window if len(matrices) > 1 else 0]
    return found


def _most_seen(one: Attention, record: Record, weights: np.ndarray) -> tuple[float, str]:
    """Share and name of the key that a mean map [N, M] looks at most; rows that were never seen are left out."""
    seen = ~np.isnan(weights).any(axis=1)
    if not seen.any():
        return float("nan"), ""
    shares = measure.key_share(weights[seen])
    key = int(shares.argmax())
    return float(shares[key]), record.skeleton.joints[key] if one.axis == "joints" else str(key)


def _stability(one: Attention, record: Record, by: str | None) -> dict[tuple[object, ...], np.ndarray]:
    """Labels of a group -> stability of each head [H]; for () the mean over clips, NaN where there is one or none is known."""
    if by is None:
        many = len(record.windows) == len(one.weights) > 1
        found = stability(one, record, "clip")[1] if many else np.full((1, len(one.heads)), np.nan)
        return {(): found.mean(axis=0)}
    groups = grouped_windows(one, record, by)
    whole = mean_map(one, record)
    return {
        tuple(labels.values()): overlap(mean_map(one, record, windows), whole)
        if len(groups) > 1
        else np.full(len(one.heads), np.nan)
        for labels, windows in groups
    }
