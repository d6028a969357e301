"""Relations: every pair in exactly one, bones and mirror pairs where the skeleton has them, frames by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import FIVE

from graphpose.analysis.attention.measures.relations import (
    attended_hops,
    attended_relations,
    frame_relations,
    joint_relations,
    limbs,
    time_offsets,
    window_length,
)
from graphpose.analysis.attention.record import Attention, Record
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton


def covers(relations: dict[str, np.ndarray]) -> bool:
    return bool((np.sum([matrix.astype(int) for matrix in relations.values()], axis=0) == 1).all())


@pytest.mark.parametrize("name", Skeleton.available())
def test_every_pair_of_joints_is_in_one_relation(name: str) -> None:
    skeleton = Skeleton.load(name)
    relations = joint_relations(skeleton)
    assert covers(relations)
    assert relations["bone"].sum() == 2 * len(skeleton.bones)
    assert all((matrix == matrix.T).all() for matrix in relations.values())


def test_the_relations_of_a_wrist() -> None:
    skeleton = Skeleton.load("h36m17")
    row = {name: matrix[skeleton.index("Lwrist")] for name, matrix in joint_relations(skeleton).items()}
    named = {name: [skeleton.joints[j] for j in np.flatnonzero(found)] for name, found in row.items()}
    assert named["self"] == ["Lwrist"]
    assert named["bone"] == ["Lelbow"]
    assert named["mirror"] == ["Rwrist"]
    assert named["limb"] == ["Lshoulder"]
    assert len(named["distant"]) == 13


def test_without_groups_a_limb_is_a_chain() -> None:
    assert limbs(FIVE) == {"hip": (0,), "l_knee": (1, 2), "r_knee": (3, 4)}
    chain = Skeleton.from_parents([-1, 0, 1])
    assert limbs(chain) == {"joint0": (0, 1, 2)}
    assert joint_relations(chain)["limb"].tolist() == [[False, False, True], [False] * 3, [True, False, False]]


def test_a_skeleton_without_pairs_has_an_empty_mirror() -> None:
    assert not joint_relations(Skeleton.load("panda7"))["mirror"].any()


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5)))
def test_relations_of_joints_are_renumbered_with_them(order: list[int]) -> None:
    renumbered = joint_relations(FIVE.reordered([FIVE.joints[i] for i in order]))
    for name, matrix in joint_relations(FIVE).items():
        assert (renumbered[name] == matrix[np.ix_(order, order)]).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60))
def test_every_pair_of_frames_is_in_one_relation(frames: int) -> None:
    relations = frame_relations(frames)
    assert covers(relations)
    assert relations["step"].sum() == 2 * (frames - 1)


def test_frames_are_told_by_their_numbers() -> None:
    relations = frame_relations(32, np.array([0, 1, 5, 30]))  # near: up to 32 // 8 = 4
    row = {name: matrix[1].tolist() for name, matrix in relations.items()}
    assert row["self"] == [False, True, False, False]
    assert row["step"] == [True, False, False, False]
    assert row["near"] == [False, False, True, False]
    assert row["far"] == [False, False, False, True]


def attention(weights: torch.Tensor, axis: Any = "frames", **more: Any) -> Attention:
    return Attention("block", 0, axis, weights, tuple(range(weights.shape[2])), tuple(range(weights.shape[1])), **more)


def test_offsets_of_pruned_frames_and_of_recovered_ones() -> None:
    kept = torch.tensor([[0, 3, 8]])
    pruned = attention(torch.full((1, 5, 2, 3, 3), 1 / 3), frames=kept)
    assert time_offsets(pruned).tolist() == [[[0, 3, 8], [-3, 0, 5], [-8, -5, 0]]]
    recovery = attention(torch.full((1, 5, 2, 9, 3), 1 / 3), key_frames=kept)
    assert time_offsets(recovery)[0, 4].tolist() == [-4, -1, 4]
    record = Record(FIVE, [pruned, recovery])
    assert window_length(record) == 9
    assert attended_relations(recovery, record)["self"][0].nonzero()[0].tolist() == [0, 3, 8]


def test_what_does_not_fit_is_refused() -> None:
    tokens = attention(torch.full((1, 1, 1, 6, 6), 1 / 6), "joints")
    with pytest.raises(DataError, match=r"block: expected attention between the 5 joints .* \(got 6 x 6\)"):
        attended_relations(tokens, Record(FIVE, [tokens]))
    with pytest.raises(DataError, match="expected attention over frames"):
        time_offsets(tokens)
    with pytest.raises(DataError, match="expected attention over joints"):
        attended_hops(attention(torch.ones(1, 5, 1, 1, 1)), Record(FIVE))
