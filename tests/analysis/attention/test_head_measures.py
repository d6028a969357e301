"""Measures: values worked out by hand, invariance under renumbering, NaN where nothing is defined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import FIVE

from graphpose.analysis.attention.measures import head_measures as measure
from graphpose.analysis.attention.measures.relations import frame_relations, joint_relations
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

RELATIONS = joint_relations(FIVE)
HOPS = FIVE.hops()  # hip - l_knee - l_foot, hip - r_knee - r_foot
UNIFORM = np.full((5, 5), 0.2)
IDENTITY = np.eye(5)
ADJACENCY = FIVE.normalized_adjacency("row")
MIRROR = np.eye(5)[FIVE.mirror]


def masses(weights: np.ndarray) -> dict[str, float]:
    return {name: round(float(mass.mean()), 12) for name, mass in measure.relation_mass(weights, RELATIONS).items()}


def test_uniform_attention() -> None:
    assert measure.entropy(UNIFORM) == pytest.approx(np.ones(5))
    assert measure.entropy(UNIFORM, normalised=False) == pytest.approx(np.full(5, np.log(5)))
    # 25 pairs: 5 self, 8 bone, 4 mirror (knees, feet), 0 more on a limb, 8 distant
    assert masses(UNIFORM) == pytest.approx(
        {"self": 5 / 25, "bone": 8 / 25, "mirror": 4 / 25, "limb": np.nan, "distant": 8 / 25}, nan_ok=True
    )
    excess = {name: value.mean() for name, value in measure.excess_mass(UNIFORM, RELATIONS).items()}
    assert excess == pytest.approx({"self": 0, "bone": 0, "mirror": 0, "limb": np.nan, "distant": 0}, nan_ok=True)
    assert measure.mean_hops(UNIFORM, HOPS) == pytest.approx([6 / 5, 7 / 5, 10 / 5, 7 / 5, 10 / 5])
    assert measure.mirror_symmetry(UNIFORM, FIVE.mirror) == pytest.approx(np.ones(5))
    # rows of D^-1 A: hip 1/2 1/2, knees 1/2 1/2, feet 1
    assert measure.agreement(UNIFORM, ADJACENCY) == pytest.approx([0.4, 0.4, 0.2, 0.4, 0.2])
    assert measure.key_share(UNIFORM) == pytest.approx(np.full(5, 0.2))
    assert measure.time_span(UNIFORM) == pytest.approx([2.0, 1.4, 1.2, 1.4, 2.0])


def test_identity_attention() -> None:
    assert measure.entropy(IDENTITY).tolist() == [0] * 5
    assert masses(IDENTITY) == pytest.approx(
        {"self": 1, "bone": 0, "mirror": 0, "limb": np.nan, "distant": 0}, nan_ok=True
    )
    assert measure.excess_mass(IDENTITY, RELATIONS)["self"].tolist() == [1] * 5
    assert measure.mean_hops(IDENTITY, HOPS).tolist() == [0] * 5
    assert measure.time_span(IDENTITY).tolist() == [0] * 5
    assert measure.mirror_symmetry(IDENTITY, FIVE.mirror).tolist() == [1] * 5
    assert measure.agreement(IDENTITY, ADJACENCY).tolist() == [0] * 5
    assert measure.key_share(IDENTITY) == pytest.approx(np.full(5, 0.2))


def test_attention_equal_to_the_normalised_adjacency() -> None:
    assert measure.entropy(ADJACENCY, normalised=False) == pytest.approx(np.log([2, 2, 1, 2, 1]))
    assert masses(ADJACENCY) == pytest.approx(
        {"self": 0, "bone": 1, "mirror": 0, "limb": np.nan, "distant": 0}, nan_ok=True
    )
    assert measure.mean_hops(ADJACENCY, HOPS).tolist() == [1] * 5
    assert measure.mirror_symmetry(ADJACENCY, FIVE.mirror).tolist() == [1] * 5
    assert measure.agreement(ADJACENCY, FIVE.adjacency()).tolist() == [1] * 5
    published = FIVE.normalized_adjacency()
    assert measure.agreement(published / 2, published).tolist() == [1] * 5


def test_a_planted_mirror_head() -> None:
    assert measure.entropy(MIRROR).tolist() == [0] * 5
    assert masses(MIRROR) == pytest.approx(  # the hip has no partner but itself
        {"self": 1 / 5, "bone": 0, "mirror": 4 / 5, "limb": np.nan, "distant": 0}, nan_ok=True
    )
    assert measure.excess_mass(MIRROR, RELATIONS)["mirror"].mean() == pytest.approx((0.8 - 0.16) / 0.84)
    assert measure.mean_hops(MIRROR, HOPS).tolist() == [0, 2, 4, 2, 4]
    assert measure.mirror_symmetry(MIRROR, FIVE.mirror).tolist() == [1] * 5


def test_a_head_that_looks_at_the_left_foot_is_not_symmetric() -> None:
    weights = np.zeros((5, 5))
    weights[:, FIVE.index("l_foot")] = 1
    assert measure.mirror_symmetry(weights, FIVE.mirror).tolist() == [0] * 5
    assert measure.key_share(weights).tolist() == [0, 0, 1, 0, 0]


def test_symmetry_of_attention_over_frames_compares_joint_and_partner() -> None:
    weights = np.full((5, 1, 2, 2), 0.5)  # [J, H, T, T]
    weights[1, 0, 0] = [1.0, 0.0]  # left knee, frame 0; its partner looks at both
    found = measure.mirror_symmetry(weights, FIVE.mirror, axis="frames")[:, 0]
    assert found.tolist() == [[1, 1], [0.5, 1], [1, 1], [0.5, 1], [1, 1]]


def test_time_span_goes_by_numbers_and_seconds() -> None:
    half = np.full((2, 2), 0.5)
    assert measure.time_span(half, np.array([3, 23])).tolist() == [10, 10]
    assert measure.time_span(half, np.array([3, 23]), fps=50).tolist() == [0.2, 0.2]
    assert measure.time_span(half, np.array([0, 1]), np.array([0, 4])).tolist() == [2, 2]
    relations = frame_relations(32, np.array([3, 23]))
    assert measure.relation_mass(half, relations)["far"].tolist() == [0.5, 0.5]


def test_profiles() -> None:
    hops, shares = measure.distance_profile(UNIFORM, HOPS)
    assert hops.tolist() == [0, 1, 2, 3, 4]
    assert shares == pytest.approx(np.array([5, 8, 6, 4, 2]) / 25)
    offsets, shares = measure.distance_profile(
        np.stack([np.eye(3), np.full((3, 3), 1 / 3)]), np.subtract.outer([0, 1, 2], [0, 1, 2])
    )
    assert offsets.tolist() == [-2, -1, 0, 1, 2]
    assert shares == pytest.approx(np.array([[0, 0, 1, 0, 0], [1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9]]))


def test_negative_entries_of_a_learned_topology_do_not_count() -> None:
    topology = np.array([[1.0, -3.0], [-1.0, 0.0]])
    assert measure.agreement(np.full((2, 2), 0.5), topology) == pytest.approx([0.5, np.nan], nan_ok=True)


def test_what_is_not_defined_is_nan() -> None:
    one = np.ones((1, 1))
    assert measure.entropy(one, normalised=False).tolist() == [0]
    for undefined in (
        measure.entropy(one),
        measure.time_span(one),
        measure.mean_hops(one, np.zeros((1, 1))),
        measure.mirror_symmetry(one, np.array([0])),
        measure.relation_mass(one, frame_relations(1))["step"],
        measure.excess_mass(one, frame_relations(1))["self"],
        measure.mirror_symmetry(np.full((7, 7), 1 / 7), Skeleton.load("panda7").mirror),
    ):
        assert np.isnan(undefined).all()


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(5)), st.integers(0, 2**32 - 1))
def test_measures_are_renumbered_with_the_joints(order: list[int], seed: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.full(5, 0.5), size=(3, 2, 5))  # [R, H, J, J]
    there = np.ix_(order, order)
    renumbered = weights[..., order, :][..., order]
    skeleton = FIVE.reordered([FIVE.joints[i] for i in order])
    topology = np.random.default_rng(seed).normal(size=(5, 5))
    pairs = (
        (measure.entropy(weights), measure.entropy(renumbered)),
        (measure.mean_hops(weights, HOPS), measure.mean_hops(renumbered, skeleton.hops())),
        (measure.mirror_symmetry(weights, FIVE.mirror), measure.mirror_symmetry(renumbered, skeleton.mirror)),
        (measure.agreement(weights, topology), measure.agreement(renumbered, topology[there])),
        (measure.key_share(weights), measure.key_share(renumbered)),
        (measure.time_span(weights), measure.time_span(renumbered, np.array(order))),
        *(
            (mass, measure.relation_mass(renumbered, joint_relations(skeleton))[name])
            for name, mass in measure.relation_mass(weights, RELATIONS).items()
        ),
    )
    for before, after in pairs:
        np.testing.assert_allclose(before[..., order], after, atol=1e-12)
    assert sum(np.nan_to_num(m) for m in measure.relation_mass(weights, RELATIONS).values()) == pytest.approx(1)


def test_tensors_with_gradients_are_taken() -> None:
    weights = torch.softmax(torch.zeros(2, 5, 5, requires_grad=True), dim=-1)
    assert measure.entropy(weights) == pytest.approx(np.ones((2, 5)))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"hops: expected \[\.\.\., 5, 5\]"):
        measure.mean_hops(UNIFORM, np.zeros((4, 4)))
    with pytest.raises(DataError, match="at least one of each"):
        measure.entropy(np.ones(5))
    with pytest.raises(DataError, match=r"J = 4 joints"):
        measure.mirror_symmetry(UNIFORM, np.arange(4))
    with pytest.raises(DataError, match="fps > 0"):
        measure.time_span(UNIFORM, fps=0)


def test_the_uniform_share_is_that_of_the_queries_that_count() -> None:
    relations = frame_relations(9)
    counted = np.arange(9) < 1
    found = measure.excess_mass(np.full((9, 9), 1 / 9), relations, counted)
    assert [found[name][0] for name in relations] == pytest.approx([0] * len(relations), abs=1e-12)
    nobody = measure.excess_mass(np.full((9, 9), 1 / 9), relations, np.zeros(9, dtype=bool))
    assert np.isnan(nobody["far"]).all()
