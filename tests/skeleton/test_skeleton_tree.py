"""A skeleton is a tree: properties on random trees, against networkx, and every kind of fault."""

from __future__ import annotations

import dataclasses
import json
import pickle

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_path

from graphpose.errors import SkeletonError
from graphpose.skeleton import Skeleton, infer_pairs


@st.composite
def skeletons(draw, max_joints: int = 24) -> Skeleton:
    """Random trees in random joint order, with random disjoint pairs, weights and rest poses."""
    count = draw(st.integers(1, max_joints))
    grown = [-1] + [draw(st.integers(0, i - 1)) for i in range(1, count)]
    order = draw(st.permutations(range(count)))  # order[i] = the joint of the grown tree that stands at place i
    place = {joint: i for i, joint in enumerate(order)}
    parents = tuple(-1 if grown[joint] < 0 else place[grown[joint]] for joint in order)
    text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=6)
    names = tuple(draw(st.lists(text, min_size=count, max_size=count, unique=True)))
    shuffled = draw(st.permutations(names))
    pairs = tuple(zip(shuffled[0::2], shuffled[1::2], strict=False))[: draw(st.integers(0, count // 2))]
    number = st.floats(-3, 3, allow_nan=False)
    rest = draw(st.none() | st.lists(st.tuples(number, number, number), min_size=count, max_size=count))
    weights = draw(st.just(()) | st.lists(st.floats(0.125, 8), min_size=count, max_size=count))
    groups = {"limb": names[: count // 2]} if draw(st.booleans()) else {}
    return Skeleton(
        draw(text), names, parents, pairs, groups, tuple(weights), None if rest is None else np.array(rest), draw(text)
    )


@given(skeletons())
def test_round_trips_keep_everything(tmp_path_factory, skeleton: Skeleton) -> None:
    path = tmp_path_factory.mktemp("skeleton") / "custom.yaml"
    skeleton.save(path)
    copies = [
        Skeleton.load(path),
        Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict()))),
        pickle.loads(pickle.dumps(skeleton)),
        dataclasses.replace(skeleton),
    ]
    for copy in copies:
        assert copy == skeleton
        assert hash(copy) == hash(skeleton)
        assert copy.source == skeleton.source
        assert (copy.rest is None) == (skeleton.rest is None)


@given(skeletons())
def test_hops_are_networkx_shortest_paths(skeleton: Skeleton) -> None:
    graph = skeleton.to_networkx()
    assert nx.is_tree(graph)
    paths = dict(nx.all_pairs_shortest_path_length(graph))
    expected = [[paths[i][j] for j in range(len(skeleton))] for i in range(len(skeleton))]
    np.testing.assert_array_equal(skeleton.hops(), expected)
    assert skeleton.depths == tuple(skeleton.hops()[skeleton.root])
    np.testing.assert_array_equal(
        skeleton.adjacency(), nx.to_numpy_array(graph, nodelist=range(len(skeleton)), weight=None)
    )


@given(skeletons())
def test_mirror_is_an_involution_that_swaps_left_and_right(skeleton: Skeleton) -> None:
    mirror = skeleton.mirror
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(skeleton)))
    assert tuple(mirror[list(skeleton.left)]) == skeleton.right
    assert {j for j in range(len(skeleton)) if mirror[j] != j} == {*skeleton.left, *skeleton.right}


@given(skeletons())
def test_order_bones_and_normalised_adjacencies(skeleton: Skeleton) -> None:
    assert skeleton.order[0] == skeleton.root
    assert sorted(skeleton.order) == list(range(len(skeleton)))
    assert all(skeleton.order.index(p) < skeleton.order.index(c) for p, c in skeleton.bones)
    assert len(skeleton.bones) == len(skeleton) - 1 == sum(map(len, skeleton.children))
    row, both = skeleton.normalized_adjacency("row"), skeleton.normalized_adjacency("symmetric")
    if len(skeleton) > 1:
        np.testing.assert_allclose(row.sum(1), 1)
        assert np.linalg.eigvalsh(both).max() == pytest.approx(1)  # the largest eigenvalue of D^-1/2 A D^-1/2
    np.testing.assert_array_equal(skeleton.normalized_adjacency("published"), row + np.eye(len(skeleton)))


@given(skeletons(), st.randoms())
def test_reordering_moves_every_part_along(skeleton: Skeleton, random) -> None:
    joints = list(skeleton.joints)
    random.shuffle(joints)
    other = skeleton.reordered(joints)
    assert other.tree() == skeleton.tree()
    places = [skeleton.index(joint) for joint in joints]
    np.testing.assert_array_equal(other.hops(), skeleton.hops()[np.ix_(places, places)])
    np.testing.assert_array_equal(other.weights, skeleton.weights[places])
    assert other.reordered(skeleton.joints) == skeleton


def test_published_adjacency_and_weights_of_h36m() -> None:
    stored = np.load(shared_path("reference/ktpformer_h36m17_t9.npz"))
    skeleton = Skeleton.load("h36m17")
    assert skeleton.parents == tuple(stored["parents"])
    np.testing.assert_allclose(skeleton.normalized_adjacency("published"), stored["adjacency_spatial"], atol=1e-7)


def test_weights_by_rule_grow_towards_the_ends() -> None:
    skeleton = Skeleton.from_parents([-1, 0, 1, 0], name="tail")
    np.testing.assert_allclose(skeleton.weights, [1, 1.75, 2.5, 1.75])
    assert skeleton.joints == ("joint0", "joint1", "joint2", "joint3")
    np.testing.assert_array_equal(Skeleton.from_parents([-1]).weights, [1])


def test_is_immutable_and_usable_as_a_key() -> None:
    skeleton = Skeleton.load("h36m17")
    for array in (skeleton.mirror, skeleton.weights, skeleton.rest):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        skeleton.name = "other"
    with pytest.raises(TypeError):
        skeleton.groups["arm"] = ()
    assert {skeleton: 1}[Skeleton.from_dict(skeleton.to_dict())] == 1
    assert skeleton != dataclasses.replace(skeleton, rest=None)
    assert skeleton != skeleton.name


BROKEN = {
    "cycle": ({"parents": (-1, 2, 1)}, "circle: b -> c -> b"),
    "own parent": ({"parents": (-1, 1, 0)}, "'b' is its own parent"),
    "two roots": ({"parents": (-1, -1, 0)}, "2 roots, expected one: a, b"),
    "no root": ({"parents": (1, 2, 0)}, "there is no root"),
    "unknown parent": ({"parents": (-1, 0, 7)}, r"'c' has the unknown parent 7"),
    "parent count": ({"parents": (-1, 0)}, r"one parent a joint, 3 in all \(got 2\)"),
    "parent type": ({"parents": (-1, 0, 0.5)}, "list of joint indices"),
    "duplicate joint": ({"joints": ("a", "b", "b")}, "'b' is given 2 times"),
    "joint type": ({"joints": ("a", "b", 3)}, r"expected names \(got 3\)"),
    "empty": ({"joints": (), "parents": ()}, "at least one joint"),
    "unknown pair": ({"pairs": (("b", "x"),)}, "no joint 'x'"),
    "self pair": ({"pairs": (("b", "b"),)}, "'b' is paired with itself"),
    "twice paired": ({"pairs": (("a", "b"), ("c", "a"))}, "'a' is in 2 pairs"),
    "pair of three": ({"pairs": (("a", "b", "c"),)}, r"expected \[left, right\]"),
    "group": ({"groups": {"arm": ("x",)}}, "group 'arm': there is no joint 'x'"),
    "group type": ({"groups": {"arm": "abc"}}, "list of joint names for 'arm'"),
    "weight count": ({"loss_weights": (1.0,)}, r"expected 3 numbers, one a joint \(got 1\)"),
    "weight sign": ({"loss_weights": (1.0, -1.0, 1.0)}, r"weight of 'b': .* \(got -1.0\)"),
    "weight nan": ({"loss_weights": (1.0, 1.0, float("nan"))}, r"weight of 'c': .* \(got nan\)"),
    "weights zero": ({"loss_weights": (0.0, 0.0, 0.0)}, "only zeros"),
    "rest shape": ({"rest": np.zeros((2, 3))}, r"expected the shape \(3, 3\) \(got \(2, 3\)\)"),
    "rest nan": ({"rest": np.array([[0, 0, 0], [0, np.nan, 0], [0, 0, 0]])}, "infinity for b"),
    "name": ({"name": ""}, "non-empty text"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_faults_are_named(case: str) -> None:
    change, message = BROKEN[case]
    fields = {"name": "abc", "joints": ("a", "b", "c"), "parents": (-1, 0, 0)} | change
    with pytest.raises(SkeletonError, match=message):
        Skeleton(**fields)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(SkeletonError) as caught:
        Skeleton("bad", ("a", "b", "c", "d"), (-1, -1, 3, 2), pairs=(("a", "a"), ("b", "z")), loss_weights=(1.0,))
    assert len(caught.value.problems) == 5
    assert str(caught.value).startswith("skeleton 'bad': ")
    assert "\n" not in str(caught.value)


def test_unknown_joint_and_adjacency_kind() -> None:
    skeleton = Skeleton.load("h36m17")
    with pytest.raises(SkeletonError, match=r"unknown joint 'Rhipp' \(did you mean 'Rhip'\?\)"):
        skeleton.index("Rhipp")
    with pytest.raises(SkeletonError, match="did you mean 'row'"):
        skeleton.normalized_adjacency("rows")
    with pytest.raises(SkeletonError, match="in some order"):
        skeleton.reordered(["pelvis"])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *[("left_hip", "right_hip"), ("LeftHip", "RightHip"), ("lhip", "rhip"), ("hip_L", "hip_R"), ("LHip", "RHip")],
        *[("UpperArm_L", "UpperArm_R"), ("L_F_Paw", "R_F_Paw"), ("mouth_left", "mouth_right"), ("hip.l", "hip.r")],
        *[("mixamorig:LeftArm", "mixamorig:RightArm"), ("HipL", "HipR"), ("LEFT_KNEE", "RIGHT_KNEE")],
        *[("l_knee", "r_knee"), ("lShldr", "rShldr"), ("lclavicle", "rclavicle"), ("Bip01 L Foot", "Bip01 R Foot")],
    ],
)
def test_sides_are_read_off_names(left: str, right: str) -> None:
    middle = ["root", "lowerback", "lowerneck", "Pelvis", "roll", "tail", "skull"]
    assert infer_pairs([right, *middle, left]) == ((left, right),)


def test_middle_joints_without_partner_stay_in_the_middle() -> None:
    assert infer_pairs(["lhip", "left_knee", "right_ankle", "root"]) == ()
