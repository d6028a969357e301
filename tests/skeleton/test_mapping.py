"""Joint mappings: the bundled ones agree with the table and with left and right; broken ones are refused whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_path

from graphpose.errors import SkeletonError
from graphpose.skeleton import JointMapping, Skeleton, find_mapping
from graphpose.skeleton.bundled import mapping_files

H36M = Skeleton.load("h36m17")
SOURCES = ["cmu31", "bandai22", "deepmimic15", "coco17", "halpe26", "openpose25", "mediapipe33", "smpl22", "smpl24"]


def test_the_promised_mappings_are_there() -> None:
    assert {source for source, target in mapping_files() if target == "h36m17"} >= set(SOURCES)


@pytest.mark.parametrize("names", mapping_files(), ids="_to_".join)
def test_bundled_mapping_commutes_with_the_mirror(names: tuple[str, str]) -> None:
    source, target = map(Skeleton.load, names)
    mapping = find_mapping(source, target)
    assert (mapping.source, mapping.target) == names
    matrix = mapping.apply_matrix(source, target)
    assert matrix.shape == (len(target), len(source))
    np.testing.assert_allclose(matrix.sum(1), 1)
    np.testing.assert_allclose(matrix[target.mirror][:, source.mirror], matrix)


@pytest.mark.parametrize("name", SOURCES)
def test_rest_poses_map_onto_each_other(name: str) -> None:
    """All rest poses but DeepMimic's are of one adult: the mapped one lies on that of Human3.6M, head included."""
    source = Skeleton.load(name)
    mapping = find_mapping(source, H36M)
    mapped = mapping.apply_matrix(source, H36M) @ source.rest
    assert (mapped[list(H36M.left), 0] > 0.05).all()
    if name == "deepmimic15":
        return
    distance = np.linalg.norm(mapped - H36M.rest, axis=1)
    distance[mapping.offset_joint(source, H36M) >= 0] = 0  # these need rotations
    assert distance.max() < 0.11  # the nose, where it is a real one
    assert np.delete(distance, H36M.index("nose")).max() < 0.1


@pytest.mark.parametrize(
    ("key", "name"), [("cmu-asf", "cmu31"), ("bandai-namco", "bandai22"), ("deepmimic-humanoid3d", "deepmimic15")]
)
def test_bundled_mappings_equal_the_proposed_table(key: str, name: str) -> None:
    table = json.loads(shared_path("mocap/mapping/h36m17.json").read_text())
    source = Skeleton.load(name)
    mapping = find_mapping(source, H36M)
    matrix, carrier = mapping.apply_matrix(source, H36M), mapping.offset_joint(source, H36M)
    offsets = mapping.offsets(source, H36M)
    assert [joint.replace("neck/", "") for joint in table["order"]] == list(H36M.joints)
    assert tuple(table["parents"]) == H36M.parents
    for i, joint in enumerate(table["order"]):
        row = table[key]["map"][joint]
        expected = np.zeros(len(source))
        if isinstance(row, dict):
            assert carrier[i] == source.index(row["joint"])
            np.testing.assert_allclose(offsets[i], row["offset_m"])
            expected[carrier[i]] = 1
        else:
            assert carrier[i] == -1
            assert not offsets[i].any()
            for other, weight in row:
                expected[source.index(other)] = weight
        np.testing.assert_allclose(matrix[i], expected)
    assert mapping.needs_rotations == bool((carrier >= 0).any())


def test_same_joints_in_another_order() -> None:
    shuffled = replace(H36M.reordered(H36M.joints[::-1]), name="backwards")
    matrix = find_mapping(shuffled, H36M).apply_matrix(shuffled, H36M)
    np.testing.assert_array_equal(matrix, np.eye(17)[::-1])


def test_subset_of_the_joints() -> None:
    legs = Skeleton.from_parents([-1, 0, 0], ["pelvis", "Lknee", "Rknee"], pairs=[("Lknee", "Rknee")], name="legs")
    matrix = find_mapping(H36M, legs).apply_matrix(H36M, legs)
    np.testing.assert_array_equal(matrix.argmax(1), [H36M.index(j) for j in legs.joints])
    np.testing.assert_array_equal(matrix.sum(1), 1)


def test_a_bundled_mapping_serves_the_same_tree_under_another_name_and_order() -> None:
    source = Skeleton.load("deepmimic15")
    other = replace(source.reordered(sorted(source.joints)), name="walk")
    matrix = find_mapping(other, H36M).apply_matrix(other, H36M)
    places = [source.index(joint) for joint in other.joints]
    np.testing.assert_array_equal(matrix, find_mapping(source, H36M).apply_matrix(source, H36M)[:, places])


def test_no_mapping_says_how_to_write_one() -> None:
    with pytest.raises(
        SkeletonError, match=r"'hand21' has no pelvis.*cmu31 to h36m17.*`source: hand21`.*give its path"
    ):
        find_mapping(Skeleton.load("hand21"), H36M)


BIPED = Skeleton.from_parents(
    [-1, 0, 1, 0, 3, 0],
    ["hip", "l_knee", "l_foot", "r_knee", "r_foot", "head"],
    pairs=[("l_knee", "r_knee"), ("l_foot", "r_foot")],
    name="biped",
)
STICK = Skeleton.from_parents([-1, 0, 0], ["top", "Lend", "Rend"], pairs=[("Lend", "Rend")], name="stick")
GOOD = {"top": {"l_knee": 0.5, "r_knee": 0.5}, "Lend": {"l_foot": 1.0}, "Rend": {"r_foot": 1.0}}


@given(st.floats(0.5, 1), st.floats(-0.5, 0.5))
def test_mirrored_rows_are_accepted(side: float, lean: float) -> None:
    rows = {
        "top": {"l_knee": 0.5 - lean, "r_knee": 0.5 - lean, "hip": 2 * lean},
        "Lend": {"l_foot": side, "r_knee": 1 - side},
        "Rend": {"r_foot": side, "l_knee": 1 - side},
    }
    JointMapping("biped", "stick", rows, {}).check(BIPED, STICK)


@given(st.floats(0.51, 1))
def test_an_exchange_of_left_and_right_is_refused(other: float) -> None:
    """It has the symmetry of a right mapping, and mirrors the motion."""
    rows = GOOD | {
        "Lend": {"r_foot": other, "l_foot": 1 - other},
        "Rend": {"l_foot": other, "r_foot": 1 - other},
    }
    with pytest.raises(
        SkeletonError,
        match=r"exchanged: Lend \(left in 'stick'\) is made of r_foot \(right in 'biped'; pairs are \[left, right\] in that order",
    ) as caught:
        JointMapping("biped", "stick", rows).check(BIPED, STICK)
    assert len(caught.value.problems) == 2


def test_pairs_the_wrong_way_round_are_refused() -> None:
    turned = replace(BIPED, pairs=tuple(pair[::-1] for pair in BIPED.pairs))
    with pytest.raises(SkeletonError, match=r"exchanged: Lend .*l_foot.*the names in the pairs of the skeleton"):
        JointMapping("biped", "stick", GOOD).check(turned, STICK)


@pytest.mark.parametrize("names", mapping_files(), ids="_to_".join)
def test_bundled_mapping_with_any_two_sides_exchanged_is_refused(names: tuple[str, str]) -> None:
    source, target = map(Skeleton.load, names)
    mapping = find_mapping(source, target)
    for left, right in target.pairs:
        rows = dict(mapping.weights)
        rows[left], rows[right] = rows[right], rows[left]
        with pytest.raises(SkeletonError, match=f"exchanged: {left} "):
            replace(mapping, weights=rows).check(source, target)


@given(st.floats(0.01, 1))
def test_a_lean_to_one_side_is_refused(lean: float) -> None:
    rows = GOOD | {"top": {"l_knee": 0.5 + lean, "r_knee": 0.5 - lean}}
    with pytest.raises(SkeletonError, match="top is on the midline"):
        JointMapping("biped", "stick", rows).check(BIPED, STICK)


BROKEN: dict[str, tuple[dict, str]] = {
    "unknown source": ({"weights": GOOD | {"Lend": {"l_fot": 1.0}}}, r"Lend: unknown joint 'l_fot' \(did you mean"),
    "unknown target": ({"weights": GOOD | {"Mend": {"hip": 1.0}}}, "target: unknown joint 'Mend'"),
    "not covered": (
        {"weights": {k: v for k, v in GOOD.items() if k != "Rend"}},
        r"a row for every target joint \(missing: Rend\)",
    ),
    "sum": ({"weights": GOOD | {"top": {"hip": 0.9}}}, r"top: expected weights that sum to 1 \(got 0.9\)"),
    "empty row": ({"weights": GOOD | {"top": {}}}, r"sum to 1 \(got 0\)"),
    "nan": ({"weights": GOOD | {"top": {"hip": float("nan")}}}, "not a finite number"),
    "swapped": ({"weights": GOOD | {"Rend": {"l_foot": 1.0}}}, "left and right disagree: Lend = 1 l_foot, so Rend"),
    "sideways offset": ({"weights": GOOD | {"top": {"head": 1.0}}, "points": {"top": (0.1, 0, 0)}}, "sideways axis x"),
    "wrong axis": (
        {"weights": GOOD | {"top": {"head": 1.0}}, "points": {"top": (0, 0, 0)}, "sideways": {"top": "w"}},
        "expected the sideways axis x, y or z",
    ),
    "offset on two": ({"points": {"top": (0, 0.1, 0)}}, r"exactly one joint to hang on \(got 2\)"),
    "offset nan": ({"points": {"Lend": (0, float("nan"), 0)}}, "three finite numbers"),
    "one-sided offset": ({"points": {"Lend": (0, 0.1, 0)}}, "offsets of Lend and Rend differ in length"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_mappings(case: str) -> None:
    change, message = BROKEN[case]
    fields = {"weights": GOOD} | change
    with pytest.raises(SkeletonError, match=message):
        JointMapping("biped", "stick", **fields).apply_matrix(BIPED, STICK)


def test_all_faults_of_a_mapping_at_once() -> None:
    rows = {"top": {"hip": 0.5}, "Lend": {"nobody": 1.0}, "extra": {"hip": 1.0}}
    with pytest.raises(SkeletonError) as caught:
        JointMapping("biped", "stick", rows).check(BIPED, STICK)
    assert len(caught.value.problems) == 4


def test_offset_along_another_sideways_axis() -> None:
    rows = GOOD | {"top": {"head": 1.0}}
    JointMapping("biped", "stick", rows, {"top": (0.1, 0.2, 0)}, {"top": "z"}).check(BIPED, STICK)


def test_sides_are_not_compared_without_pairs() -> None:
    bare = Skeleton.from_parents([-1, 0, 0], ["top", "Lend", "Rend"], name="bare")
    JointMapping("biped", "bare", GOOD | {"Rend": {"l_foot": 1.0}}).check(BIPED, bare)


def test_mapping_file_round_trip_and_fractions(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "source: biped\ntarget: stick\njoints:\n  top: {joint: head, offset: [0.1, 1/4, 0], sideways: z}\n"
        "  Lend: {l_foot: 2/3, l_knee: 1/3}\n  Rend: {r_foot: 2/3, r_knee: 1/3}\n"
    )
    mapping = JointMapping.load(path)
    assert mapping.points == {"top": (0.1, 0.25, 0.0)}
    assert mapping.apply_matrix(BIPED, STICK)[1, BIPED.index("l_foot")] == pytest.approx(2 / 3)
    mapping.save(tmp_path / "again.yaml")
    assert JointMapping.load(tmp_path / "again.yaml") == mapping


BROKEN_FILES = {
    "not yaml": ("joints: {", "expected YAML"),
    "no keys": ("{}", r"source: expected the name.*; target: expected the name.*; joints: expected lines"),
    "unknown key": ("source: a\ntarget: b\njoint: {}\njoints: {a: b}", "unknown key 'joint'"),
    "repeated": ("source: a\ntarget: b\njoints:\n  x: y\n  x: z\n", "line 5: the key 'x' is given again"),
    "row type": ("source: a\ntarget: b\njoints: {x: 3}", "x: expected a source joint or"),
    "weight": ("source: a\ntarget: b\njoints: {x: {y: much}}", "x: expected a source joint with a number"),
    "by zero": ("source: a\ntarget: b\njoints: {x: {y: 1/0}}", "x: expected a source joint with a number"),
    "offset": ("source: a\ntarget: b\njoints: {x: {joint: y, offset: [1, 2]}}", r"`offset:` to be \[x, y, z\]"),
    "offset joint": ("source: a\ntarget: b\njoints: {x: {offset: [1, 2, 3]}}", "expected `joint:`"),
    "axis": ("source: a\ntarget: b\njoints: {x: {joint: y, offset: [1, 2, 3], sideways: up}}", "x, y or z"),
    "bundled": (
        "source: cmu31\ntarget: h36m17\njoints: {pelvis: roott}",
        r"missing: Rhip, Rknee, .*unknown joint 'roott'",
    ),
}


@pytest.mark.parametrize("case", BROKEN_FILES)
def test_broken_mapping_files(tmp_path: Path, case: str) -> None:
    text, message = BROKEN_FILES[case]
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(SkeletonError, match=message) as caught:
        JointMapping.load(path)
    assert str(caught.value).startswith(f"{path}: ")
