"""Topologies are told apart as they were made: nothing added to the kinematic one, planted edges and blocks found, any numbering."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from zoo import FIVE

from graphpose.analysis import attention
from graphpose.analysis.attention.measures.topology_measures import (
    communities,
    edge_table,
    given_and_learned,
    laplacian_spectrum,
    modularity,
    topology_row,
    topology_table,
)
from graphpose.analysis.attention.record import Record, Topology
from graphpose.errors import ConfigError, DataError
from graphpose.nn import kinematic_topology
from graphpose.nn.adaptive_graph_convolution import partition_topology
from graphpose.skeleton import Skeleton

PUBLISHED = kinematic_topology(FIVE)


def passed_along(learned: torch.Tensor, local: torch.Tensor = PUBLISHED) -> Topology:
    """As a GraphPrior makes it."""
    total = local + learned
    return Topology("prior", "joints", "kinematic", local, 0.5 * (total + total.T))


def single(i: int, j: int, value: float) -> torch.Tensor:
    matrix = torch.zeros(5, 5)
    matrix[i, j] = matrix[j, i] = value
    return matrix


def test_the_kinematic_topology_has_its_bones_and_nothing_new() -> None:
    row = topology_row(passed_along(torch.zeros(5, 5)), FIVE)
    assert (row["nodes"], row["edges_local"]) == (5, 4)
    assert [row[f"edges_{name}"] for name in ("added", "weakened", "strengthened")] == [0, 0, 0]
    for name in ("change", "new_mass", "spectral_distance", "mirror_asymmetry"):
        assert row[name] == pytest.approx(0.0, abs=1e-7), name
    assert row["self_local"] == row["self_total"] == 1.0
    table = edge_table(passed_along(torch.zeros(5, 5)), FIVE)
    assert (
        set(table["status"]) == {"kept"}
        and set(table["hops"]) == {1}
        and set(table["pair"]) == {"bone"}
        and len(table) == 4
    )


def test_edges_are_named_by_what_became_of_them() -> None:
    """Bones at the hip weigh 1/2, those at the feet 3/4: their mean is 5/8, so from 0.0625 on an edge is new."""
    planted = single(2, 4, 0.5) + single(0, 4, 0.06) + single(0, 1, -0.6) + single(3, 4, 0.3)
    table = edge_table(passed_along(planted), FIVE).set_index(["source", "target"])
    assert table.status.to_dict() == {
        ("hip", "l_knee"): "weakened",
        ("l_foot", "r_foot"): "added",
        ("r_knee", "r_foot"): "strengthened",
        ("hip", "r_knee"): "kept",
        ("l_knee", "l_foot"): "kept",
    }
    assert list(table.status)[:2] == ["weakened", "added"]  # the largest changes first
    assert table.loc[("l_foot", "r_foot"), "change"] == pytest.approx(0.5)
    assert table.loc[("l_foot", "r_foot"), "hops"] == 4
    row = topology_row(passed_along(planted), FIVE)
    assert [row[f"edges_{name}"] for name in ("added", "weakened", "strengthened")] == [1, 1, 1]
    assert row["new_mass"] == pytest.approx(0.56 / (0.56 + 0.1 + 0.5 + 0.75 + 1.05), abs=1e-6)
    assert row["mirror_asymmetry"] > 0


def test_partitions_keep_their_directions() -> None:
    inward = partition_topology(FIVE)[1].T  # row = receiver, as records have it
    learned = torch.zeros(5, 5)
    learned[4, 2] = 0.5
    table = edge_table(Topology("graph", "joints", "inward", inward, inward + learned), FIVE)
    assert len(table) == 5
    assert tuple(table.loc[0, ["source", "target", "status"]]) == ("l_foot", "r_foot", "added")
    assert set(zip(table.source[1:], table.target[1:], strict=True)) == {
        ("hip", "l_knee"), ("hip", "r_knee"), ("l_knee", "l_foot"), ("r_knee", "r_foot")
    }  # fmt: skip


def test_spectra_that_are_known() -> None:
    """Complete graph K_n: 0 and n / (n - 1); path of 3: 0, 1, 2; two pairs: 0 0 2 2; nodes alone: 0."""
    np.testing.assert_allclose(laplacian_spectrum(np.full((4, 4), 0.3)), [0, 4 / 3, 4 / 3, 4 / 3], atol=1e-12)
    path = np.array([[9.0, 1, 0], [1, 5, 1], [0, 1, 2]])  # the diagonal does not count
    np.testing.assert_allclose(laplacian_spectrum(path), [0, 1, 2], atol=1e-12)
    pairs = np.kron(np.eye(2), np.array([[0.0, -2], [-2, 0]]))
    np.testing.assert_allclose(laplacian_spectrum(pairs), [0, 0, 2, 2], atol=1e-12)
    np.testing.assert_allclose(laplacian_spectrum(np.eye(3)), [0, 0, 0], atol=1e-12)


def blocks(within: float, between: float) -> np.ndarray:
    matrix = np.full((6, 6), between)
    matrix[:3, :3] = matrix[3:, 3:] = within
    return matrix


def test_two_planted_blocks_are_two_communities() -> None:
    """Each block has 6 of the 12 units of degree within: Q = 12 / (12 + 18 b) - 1/2."""
    matrix = blocks(1.0, 0.05)
    assert communities(matrix) == [(0, 1, 2), (3, 4, 5)]
    assert modularity(matrix, communities(matrix)) == pytest.approx(12 / (12 + 18 * 0.05) - 0.5)
    order = np.array([4, 0, 3, 1, 5, 2])
    turned = communities(matrix[np.ix_(order, order)])
    assert {frozenset(order[list(group)].tolist()) for group in turned} == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}


def test_nodes_without_edges_stay_alone() -> None:
    assert communities(np.eye(3)) == [(0,), (1,), (2,)]
    assert math.isnan(modularity(np.eye(3), communities(np.eye(3))))
    matrix = np.zeros((4, 4))
    matrix[1, 3] = 1.0
    assert communities(matrix) == [(0,), (1, 3), (2,)]


def test_nothing_depends_on_the_numbering_of_joints() -> None:
    topology = passed_along(0.2 * torch.randn(5, 5))
    order = [3, 0, 4, 2, 1]
    turned = Topology("prior", "joints", "kinematic", topology.local[order][:, order], topology.total[order][:, order])
    other = FIVE.reordered([FIVE.joints[i] for i in order])
    mine, theirs = topology_row(topology, FIVE), topology_row(turned, other)
    for name, value in mine.items():
        assert theirs[name] == (pytest.approx(value, abs=1e-9) if isinstance(value, float) else value), name
    edges = [
        {(frozenset(pair), status) for *pair, status in table[["source", "target", "status"]].itertuples(index=False)}
        for table in (edge_table(topology, FIVE), edge_table(turned, other))
    ]
    assert edges[0] == edges[1]


def test_table_has_a_row_a_topology() -> None:
    frames = torch.eye(7) + torch.eye(7).roll(1, 0)
    record = Record(
        FIVE, topologies=[passed_along(torch.zeros(5, 5)), Topology("tpa", "frames", "step1", frames, frames)]
    )
    table = topology_table(record)
    assert list(table.axis) == ["joints", "frames"] and list(table.nodes) == [5, 7]
    assert math.isnan(table.mirror_asymmetry[1]) and not math.isnan(table.mirror_asymmetry[0])
    empty = topology_table(Record(FIVE))
    assert len(empty) == 0 and list(empty.columns) == list(table.columns)


def test_all_pairs_are_there_if_asked_for() -> None:
    assert len(edge_table(passed_along(torch.zeros(5, 5)), FIVE, every=True)) == 10
    assert len(edge_table(passed_along(torch.zeros(5, 5)), FIVE, every=True, directed=True)) == 20


def test_undefined_measures_are_nan() -> None:
    one = torch.ones(1, 1)
    row = topology_row(Topology("prior", "joints", "kinematic", one, one), Skeleton.from_parents([-1]))
    for name in (
        "connectivity_local",
        "connectivity_total",
        "spectral_distance",
        "modularity",
        "mirror_asymmetry",
        "new_mass",
    ):
        assert math.isnan(row[name]), name
    assert (row["nodes"], row["communities"], row["edges_added"]) == (1, 1, 0)
    lost = topology_row(passed_along(torch.full((5, 5), torch.nan)), FIVE)
    for name in ("connectivity_total", "communities", "modularity", "change"):
        assert math.isnan(lost[name]), name


def test_only_symmetric_topologies_are_compared_with_the_symmetric_part() -> None:
    given, total = given_and_learned(passed_along(torch.zeros(5, 5)))
    np.testing.assert_array_equal(given, total)
    assert not np.array_equal(given, PUBLISHED.double().numpy())
    inward = partition_topology(FIVE)[1]
    np.testing.assert_array_equal(given_and_learned(Topology("g", "joints", "inward", inward, inward))[0], inward)


def test_bad_topologies_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected threshold"):
        edge_table(passed_along(torch.zeros(5, 5)), FIVE, threshold=0)
    with pytest.raises(DataError, match=r"'odd'.*\[2, 3\]"):
        edge_table(Topology("odd", "joints", "kinematic", torch.zeros(2, 3), torch.zeros(2, 3)))
    with pytest.raises(DataError, match="expected 5 joints"):
        edge_table(Topology("small", "joints", "kinematic", torch.eye(2), torch.eye(2)), FIVE)
    with pytest.raises(DataError, match="finite"):
        communities(np.full((2, 2), np.nan))


def test_spectra_and_communities_are_offered_by_the_package() -> None:
    assert attention.communities is communities and attention.laplacian_spectrum is laplacian_spectrum
    assert {"communities", "laplacian_spectrum"} <= set(attention.__all__)
