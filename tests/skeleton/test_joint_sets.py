"""The common joints of skeletons: the same parts of the body everywhere, and a clear refusal where one is lacking."""

from __future__ import annotations

import numpy as np
import pytest

from graphpose.errors import SkeletonError
from graphpose.skeleton import Skeleton, find_mapping
from graphpose.skeleton.bundled import mapping_files
from graphpose.skeleton.joint_sets import _table, common_joints, common_sets, parts_of

KNOWN = sorted(_table()["skeletons"])


def test_the_sets_are_nested_and_have_the_size_they_say() -> None:
    sets = common_sets()
    assert {number: len(set(parts)) for number, parts in sets.items()} == {14: 14, 16: 16, 17: 17}
    assert set(sets[14]) < set(sets[16]) < set(sets[17])
    assert set(sets[16]) - set(sets[14]) == {"pelvis", "spine"}
    assert set(sets[17]) - set(sets[16]) == {"face"}


def test_the_14_of_human36m_are_those_of_lsp_by_their_published_indices() -> None:
    h36m = Skeleton.load("h36m17")
    assert {h36m.index(joint) for joint in common_joints(h36m, 14)} == {6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10}
    assert {h36m.index(joint) for joint in common_joints(h36m, 16)} == set(range(17)) - {9}
    mpi = Skeleton.load("mpi_inf_3dhp17")
    assert [mpi.index(joint) for joint in common_joints(mpi, 14)] == list(
        range(14)
    )  # the groups of its own test script
    assert len(common_joints(mpi, 17)) == 17


@pytest.mark.parametrize("name", KNOWN)
def test_left_and_right_parts_are_mirrored_joints_and_lie_where_they_should(name: str) -> None:
    skeleton = Skeleton.load(name)
    parts = parts_of(skeleton)
    assert len(set(parts.values())) == len(parts)
    for part, joint in parts.items():
        if part.startswith("left_"):
            mirrored = skeleton.joints[skeleton.mirror[skeleton.index(joint)]]
            assert mirrored == parts[part.replace("left_", "right_")]
    assert skeleton.rest is not None
    height = {part: float(skeleton.rest[skeleton.index(joint), 1]) for part, joint in parts.items()}
    chain = [p for p in ("left_ankle", "left_knee", "left_hip", "spine", "neck", "head_top") if p in height]
    assert [height[p] for p in chain] == sorted(height[p] for p in chain)


@pytest.mark.parametrize(("source", "target"), sorted(mapping_files()))
def test_limbs_agree_with_the_bundled_mappings(source: str, target: str) -> None:
    """A part that is one joint on both sides of a mapping is mapped onto itself."""
    if source not in KNOWN or target not in KNOWN:
        pytest.skip(f"the table does not know {source} or {target}")
    one, other = Skeleton.load(source), Skeleton.load(target)
    rows = find_mapping(one, other).weights
    limbs = [part for part in common_sets()[14] if part not in ("neck", "head_top")]
    for part in limbs:
        assert list(rows[parts_of(other)[part]]) == [parts_of(one)[part]], part


def test_lacking_joints_are_named() -> None:
    with pytest.raises(
        SkeletonError, match=r"14 common joints .* 'coco17': it has no neck, head_top \(sets that it has: none"
    ):
        common_joints(Skeleton.load("coco17"), 14)
    with pytest.raises(SkeletonError, match=r"'humaneva15': it has no spine \(sets that it has: 14\)"):
        common_joints(Skeleton.load("humaneva15"), 16)
    with pytest.raises(SkeletonError, match="it has no pelvis"):
        common_joints(Skeleton.load("cmu31"), 17)
    with pytest.raises(SkeletonError, match="no common joints are named for skeleton 'panda7'"):
        common_joints(Skeleton.load("panda7"), 14)
    with pytest.raises(SkeletonError, match="unknown set of common joints '15'"):
        common_joints(Skeleton.load("h36m17"), 15)


def test_a_skeleton_is_known_by_its_joints_not_by_its_name() -> None:
    h36m = Skeleton.load("h36m17")
    renamed = Skeleton(name="mine", joints=h36m.joints, parents=h36m.parents, pairs=h36m.pairs)
    assert common_joints(renamed, 14) == common_joints(h36m, 14)
    other = Skeleton(name="h36m17", joints=tuple(reversed(h36m.joints)), parents=tuple(_reversed(h36m)))
    assert set(common_joints(other, 16)) == set(common_joints(h36m, 16))
    assert list(common_joints(other, 16)) == [joint for joint in other.joints if joint != "nose"]


def _reversed(skeleton: Skeleton) -> list[int]:
    last = len(skeleton) - 1
    parents = np.array(skeleton.parents)[::-1]
    return [int(last - parent) if parent >= 0 else -1 for parent in parents]
