"""Learned topology against the given one: edges added and weakened, spectra, communities.

    L given, A = L + G passed along (GraphPrior: of both the symmetric part, so L is made symmetric where A is); row i receives
    edge of L: |L_ij| > 0, i != j;     unit u = mean |L_ij| over the edges of L, 1 / n without any
    added        no edge of L, |A_ij| >= c u               weakened      edge of L, A_ij / L_ij <= 1 - c
    strengthened edge of L, A_ij / L_ij >= 1 + c           kept          edge of L, in between
    W = offdiag(|A| + |A|^T) / 2,  D its row sums,  Laplacian I - D^-1/2 W D^-1/2 (rows of 0 for nodes without edges)

c is the `threshold` (0.1). The eigenvalues of the Laplacian, rising from 0 to at most 2, do not depend on the order of the nodes: there
is a 0 for each part that hangs together, the second one (algebraic connectivity) says how well the graph does. Communities are those
of greatest modularity that merging greedily finds (Clauset, Newman and Moore, "Finding community structure in very large networks",
Physical Review E 2004).

What is undefined is NaN: spectra of one node, modularity without edges, symmetry without mirror pairs, everything that has to do with
weights that are not finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphpose.analysis.attention.measures.source_table import pair_names
from graphpose.analysis.attention.record import Record, Topology
from graphpose.analysis.extras import require
from graphpose.errors import ConfigError, DataError
from graphpose.skeleton import Skeleton

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "communities",
    "edge_table",
    "given_and_learned",
    "laplacian_spectrum",
    "modularity",
    "strengths",
    "topology_row",
    "topology_table",
]


COLUMNS = (
    "name", "axis", "relation", "nodes", "edges_local", "edges_added", "edges_weakened", "edges_strengthened", "change", "new_mass",
    "self_local", "self_total", "connectivity_local", "connectivity_total", "spectral_distance", "communities", "modularity",
    "mirror_asymmetry",
)  # fmt: skip
"""Of `topology_table`."""


def given_and_learned(topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """L and A of a topology, `[n, n]` float64; L made symmetric where A is.

    Raises:
        DataError: matrices that are not square or not of one size.
    """
    given, total = (matrix.detach().cpu().double().numpy() for matrix in (topology.local, topology.total))
    if given.ndim != 2 or given.shape[0] != given.shape[1] or given.shape != total.shape:
        raise DataError(
            f"topology {topology.name!r}: expected two matrices [n, n] (got {list(given.shape)} and {list(total.shape)})"
        )
    if is_symmetric(total):
        given = 0.5 * (given + given.T)
    return given, total


def is_symmetric(matrix: np.ndarray) -> bool:
    """Up to the rounding of float32."""
    return bool(np.allclose(matrix, matrix.T, rtol=1e-5, atol=1e-7))


def strengths(matrix: np.ndarray) -> np.ndarray:
    """W of the module, `[n, n]`: undirected, not negative, nothing on the diagonal."""
    size = np.abs(matrix)
    weights: np.ndarray = 0.5 * (size + size.T)
    np.fill_diagonal(weights, 0.0)
    return weights


def laplacian_spectrum(matrix: np.ndarray) -> np.ndarray:
    """Eigenvalues `[n]` of the normalised Laplacian of a topology `[n, n]`, rising; NaN where a weight is not finite."""
    weights = strengths(matrix)
    if not np.isfinite(weights).all():
        return np.full(len(weights), np.nan)
    degree = weights.sum(axis=1)
    scale = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    laplacian = np.diag((degree > 0).astype(np.float64)) - scale[:, None] * weights * scale
    values: np.ndarray = np.linalg.eigvalsh(laplacian)
    return values


def communities(matrix: np.ndarray) -> list[tuple[int, ...]]:
    """Nodes that belong together: groups of numbers, each rising, by their first; nodes without edges stay alone.

    Raises:
        DataError: weights that are not finite.
    """
    import networkx as nx

    weights = strengths(matrix)
    if not np.isfinite(weights).all():
        raise DataError("communities: expected a topology of finite weights (got NaN or infinity)")
    linked = np.flatnonzero(weights.any(axis=1))
    groups: list[tuple[int, ...]] = [(int(node),) for node in np.flatnonzero(~weights.any(axis=1))]
    if len(linked):
        graph = nx.from_numpy_array(weights[np.ix_(linked, linked)])
        found = nx.community.greedy_modularity_communities(graph, weight="weight")
        groups += [tuple(sorted(int(linked[node]) for node in group)) for group in found]
    return sorted(groups)


def modularity(matrix: np.ndarray, groups: Sequence[Sequence[int]]) -> float:
    """Q = sum_groups (w_in / w - (d / 2 w)^2): how much more weight lies within the groups than by chance; NaN without edges.

    w is the weight of all edges, w_in of those within the group, d the sum of the degrees of its nodes.
    """
    weights = strengths(matrix)
    total = weights.sum()
    if total == 0:
        return float("nan")
    parts = [list(group) for group in groups]
    inside = sum(weights[np.ix_(part, part)].sum() for part in parts)
    return float(inside / total - sum((weights[part].sum() / total) ** 2 for part in parts))


def edge_table(
    topology: Topology,
    skeleton: Skeleton | None = None,
    *,
    threshold: float = 0.1,
    every: bool = False,
    directed: bool | None = None,
) -> pd.DataFrame:
    """Every edge that is given or learned, as a tidy table.

    Columns: name, axis, relation, source and target (joint names where a skeleton is given and nodes are joints, else numbers),
    local, total, change = total - local, status ("added", "weakened", "strengthened", "kept"); for joints also hops and pair
    ("bone", "mirror", "limb", "distant", see `relations.py`). A symmetric topology has one row a pair, others have two.

    Args:
        topology: of a record.
        skeleton: whose joints are the nodes.
        threshold: c of the module.
        every: all pairs of nodes in their order, those that are no edge of L and not added with status ""; else edges alone, the
            largest change first.
        directed: two rows a pair; None: where the topology is not symmetric.

    Raises:
        DataError: a topology that is not [n, n], or of another number of joints than the skeleton. ConfigError: a threshold not
            above 0.
    """
    pandas = require("pandas", "edge_table")
    given, total = given_and_learned(topology)
    status = _status(given, total, threshold)
    chosen = ~np.eye(len(total), dtype=bool) if every else status != ""
    if is_symmetric(total) if directed is None else not directed:
        chosen &= np.tril(np.ones_like(chosen), -1)
    target, source = np.nonzero(chosen)
    change = (total - given)[chosen]
    columns: dict[str, object] = {
        "name": topology.name,
        "axis": topology.axis,
        "relation": topology.relation,
        "source": source,
        "target": target,
        "local": given[chosen],
        "total": total[chosen],
        "change": change,
        "status": status[chosen],
    }
    if skeleton is not None and topology.axis == "joints":
        _check_joints(topology, skeleton)
        names = np.array(skeleton.joints, dtype=object)
        columns |= {"source": names[source], "target": names[target]}
        columns |= {"hops": skeleton.hops()[source, target], "pair": pair_names(skeleton)[source, target]}
    table: pd.DataFrame = pandas.DataFrame(columns)
    if every:
        return table
    return table.iloc[np.argsort(-np.abs(change), kind="stable")].reset_index(drop=True)


def topology_row(
    topology: Topology, skeleton: Skeleton | None = None, *, threshold: float = 0.1
) -> dict[str, float | int | str]:
    """One topology in numbers; the columns of `topology_table`."""
    given, total = given_and_learned(topology)
    status = _status(given, total, threshold)
    pairs = 2 if is_symmetric(total) else 1  # entries an edge
    counts = {f"edges_{name}": int((status == name).sum()) // pairs for name in ("added", "weakened", "strengthened")}
    spectra = [laplacian_spectrum(matrix) for matrix in (given, total)]
    groups = communities(total) if np.isfinite(total).all() else None
    off = ~np.eye(len(total), dtype=bool)
    weight = np.abs(total[off]).sum()
    scale = np.linalg.norm(given)
    return {
        "name": topology.name,
        "axis": topology.axis,
        "relation": topology.relation,
        "nodes": len(total),
        "edges_local": int((given[off] != 0).sum()) // pairs,
        **counts,
        "change": _ratio(np.linalg.norm(total - given), scale),
        "new_mass": _ratio(np.abs(total[off & (given == 0)]).sum(), weight),
        "self_local": float(np.diagonal(given).mean()),
        "self_total": float(np.diagonal(total).mean()),
        "connectivity_local": float(spectra[0][1]) if len(total) > 1 else float("nan"),
        "connectivity_total": float(spectra[1][1]) if len(total) > 1 else float("nan"),
        "spectral_distance": float(np.abs(spectra[1] - spectra[0]).mean()) if len(total) > 1 else float("nan"),
        "communities": float("nan") if groups is None else len(groups),
        "modularity": float("nan") if groups is None else modularity(total, groups),
        "mirror_asymmetry": _mirror_asymmetry(topology, total, skeleton),
    }


def topology_table(record: Record, *, threshold: float = 0.1) -> pd.DataFrame:
    """A row a topology of the record.

    Columns: name, axis, relation, nodes; edges_local, edges_added, edges_weakened, edges_strengthened (numbers of edges); change =
    |A - L| / |L| (Frobenius); new_mass (share of the weight between different nodes on pairs that L does not join); self_local,
    self_total (mean of the diagonal); connectivity_local, connectivity_total (second eigenvalue of the Laplacian);
    spectral_distance (mean difference of the eigenvalues); communities (number) and their modularity; mirror_asymmetry =
    |A - mirror(A)| / |A|, 0 where left and right are treated alike.

    Raises:
        DataError, ConfigError: as `edge_table`.
    """
    pandas = require("pandas", "topology_table")
    rows = [topology_row(topology, record.skeleton, threshold=threshold) for topology in record.topologies]
    table: pd.DataFrame = pandas.DataFrame(rows, columns=COLUMNS)
    return table


def _status(given: np.ndarray, total: np.ndarray, threshold: float) -> np.ndarray:
    """Status of each entry [n, n], "" where there is no edge; see the module."""
    if not threshold > 0:
        raise ConfigError(f"expected threshold > 0 (got {threshold})")
    off = ~np.eye(len(given), dtype=bool)
    edge = off & (given != 0)
    unit = np.abs(given[edge]).mean() if edge.any() else 1.0 / len(given)
    growth = np.divide(total, given, out=np.ones_like(total), where=edge)
    slack = 1e-6  # matrices are float32
    status = np.full(given.shape, "", dtype=object)
    status[edge] = "kept"
    status[edge & (growth <= 1 - threshold + slack)] = "weakened"
    status[edge & (growth >= 1 + threshold - slack)] = "strengthened"
    status[off & ~edge & (np.abs(total) >= threshold * unit)] = "added"
    return status


def _mirror_asymmetry(topology: Topology, total: np.ndarray, skeleton: Skeleton | None) -> float:
    if skeleton is None or topology.axis != "joints" or not skeleton.pairs:
        return float("nan")
    _check_joints(topology, skeleton)
    return _ratio(np.linalg.norm(total - total[np.ix_(skeleton.mirror, skeleton.mirror)]), np.linalg.norm(total))


def _check_joints(topology: Topology, skeleton: Skeleton) -> None:
    if len(topology.total) != len(skeleton):
        raise DataError(
            f"topology {topology.name!r}: expected {len(skeleton)} joints, as skeleton {skeleton.name!r} has "
            f"(got {len(topology.total)})"
        )


def _ratio(part: float | np.floating, whole: float | np.floating) -> float:
    return float(part / whole) if whole > 0 else float("nan")
