"""Limits of a skeleton: read, checked, written, shown; the same skeleton with or without them."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from graphpose.errors import SkeletonError
from graphpose.skeleton import Limits, Skeleton

BIPED = """\
name: biped5
joints: {hip: null, l_knee: hip, r_knee: hip, l_foot: l_knee, r_foot: r_knee}
pairs: [[l_knee, r_knee], [l_foot, r_foot]]
limits:
  angles: {l_knee: [25, 180], r_knee: {r_foot: [30.5, 170]}}
  hinges: [l_knee, r_knee]
  lengths: {default: [0.9, 1.2], l_foot: [0.7, 1.5], r_foot: [0.7, 1.5]}
"""


def biped(tmp_path: Path, limits: object = None) -> Skeleton:
    """The biped, with another section `limits` if given."""
    data = yaml.safe_load(BIPED)
    if limits is not None:
        data["limits"] = limits
    path = tmp_path / "biped.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return Skeleton.load(path)


def test_limits_are_read(tmp_path: Path) -> None:
    limits = biped(tmp_path).limits
    assert limits is not None
    assert limits.angle_bounds("l_knee", "l_foot") == (25.0, 180.0)
    assert limits.angle_bounds("r_knee", "r_foot") == (30.5, 170.0)
    assert limits.angle_bounds("hip", "l_knee") is None
    assert limits.hinges == ("l_knee", "r_knee")
    bounds = limits.length_bounds(("hip", "l_knee", "r_knee", "l_foot", "r_foot"))
    np.testing.assert_array_equal(bounds, [[0.9, 1.2]] * 3 + [[0.7, 1.5]] * 2)


def test_one_range_for_all_lengths_and_what_holds_without_one(tmp_path: Path) -> None:
    limits = biped(tmp_path, {"lengths": [0.5, 2]}).limits
    assert limits is not None and limits.lengths == (0.5, 2.0) and not limits.angles and not limits.hinges
    limits = biped(tmp_path, {"hinges": ["l_knee"]}).limits
    assert limits is not None and limits.lengths == Limits().lengths == (0.8, 1.25)


def test_there_and_back(tmp_path: Path) -> None:
    skeleton = biped(tmp_path)
    skeleton.save(tmp_path / "again.yaml")
    copies = [
        Skeleton.load(tmp_path / "again.yaml"),
        Skeleton.from_dict(skeleton.to_dict()),
        Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict()))),
        pickle.loads(pickle.dumps(skeleton)),
        replace(skeleton, limits=pickle.loads(pickle.dumps(skeleton.limits))),
        skeleton.reordered(["r_foot", "hip", "l_foot", "r_knee", "l_knee"]),
    ]
    for copy in copies:
        assert copy.limits is not None and skeleton.limits is not None
        assert copy.limits == skeleton.limits
        assert copy.limits.to_dict() == skeleton.limits.to_dict()


def test_limits_are_no_part_of_what_a_skeleton_is(tmp_path: Path) -> None:
    skeleton = biped(tmp_path)
    other = replace(skeleton, limits=None)
    assert other == skeleton and hash(other) == hash(skeleton)
    old = {key: value for key, value in skeleton.to_dict().items() if key != "limits"}
    assert Skeleton.from_dict(old).limits is None
    assert "limits" not in other.to_dict()
    assert Skeleton.from_dict(old) == skeleton


def test_a_limit_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    limits = biped(tmp_path).limits
    assert limits is not None
    with pytest.raises(TypeError):
        limits.angles["l_knee"] = (0.0, 10.0)  # type: ignore[index]


def test_limits_are_shown(tmp_path: Path) -> None:
    text = biped(tmp_path).describe()
    assert "angle at l_knee: 25 to 180 degrees" in text
    assert "angle at r_knee to r_foot: 30.5 to 170 degrees" in text
    assert "hinges: l_knee, r_knee" in text
    assert "bone lengths: 0.9 to 1.2 times" in text
    assert "bone to l_foot: 0.7 to 1.5 times" in text
    assert "angle at" not in Skeleton.load("panda7").describe()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ([1, 2], "limits: expected the keys angles, hinges, lengths"),
        ({"angel": {}}, r"limits: unknown key 'angel' \(did you mean 'angles'\?\)"),
        ({"angles": [25, 180]}, r"limits.angles: expected lines `joint: \[low, high\]`"),
        ({"angles": {"knee": [25, 180]}}, r"limits.angles: unknown joint 'knee' \(did you mean"),
        ({"angles": {"l_knee": [180, 25]}}, "limits.angles of 'l_knee': expected .*0 <= low < high <= 180"),
        ({"angles": {"l_knee": [25, 190]}}, r"high <= 180 \(got \[25.0, 190.0\]\)"),
        ({"angles": {"l_knee": "wide"}}, "limits.angles of 'l_knee': expected"),
        ({"angles": {"l_knee": [float("nan"), 180]}}, "limits.angles of 'l_knee': expected"),
        ({"angles": {"l_knee": {"l_foot": [9, 5]}}}, "limits.angles of 'l_knee': for 'l_foot': expected"),
        ({"angles": {"l_knee": {"foot": [5, 9]}}}, "limits.angles of 'l_knee': unknown joint 'foot'"),
        ({"angles": {"l_knee": {"r_foot": [5, 9]}}}, r"expected its children l_foot \(got 'r_foot'\)"),
        ({"angles": {"l_knee": {"l_foot": {"l_foot": [5, 9]}}}}, "for 'l_foot': expected"),
        ({"angles": {"hip": [25, 180]}}, "'hip': expected a joint between two bones .*has no parent"),
        ({"hinges": ["l_foot"]}, "limits.hinges of 'l_foot': expected a joint between two bones .*has no child"),
        ({"hinges": "l_knee"}, "limits.hinges: expected a list of joint names"),
        ({"hinges": ["l_kne"]}, "limits.hinges: unknown joint 'l_kne'"),
        ({"hinges": [["l_knee"]]}, "limits.hinges: unknown joint"),
        ({"lengths": [1.1, 1.2]}, "limits.lengths: expected .*0 < low <= 1 <= high"),
        ({"lengths": [0, 1.2]}, "limits.lengths: expected"),
        ({"lengths": [0.9]}, "limits.lengths: expected"),
        ({"lengths": [0.9, float("inf")]}, "limits.lengths: expected"),
        ({"lengths": 3}, r"limits.lengths: expected .*got 3"),
        ({"lengths": {"l_foot": [0.5, 2]}}, "expected the same for 'l_foot' and 'r_foot', which mirror each other"),
        ({"lengths": {"l_fot": [0.5, 2]}}, "limits.lengths: unknown joint 'l_fot'"),
    ],
)
def test_faults_are_named(tmp_path: Path, limits: object, message: str) -> None:
    with pytest.raises(SkeletonError, match=message) as caught:
        biped(tmp_path, limits)
    assert "biped.yaml" in str(caught.value)


def test_all_faults_at_once_and_none_of_another_type(tmp_path: Path) -> None:
    with pytest.raises(SkeletonError) as caught:
        biped(tmp_path, {"angles": {"a": [1, 2]}, "lengths": [2, 3], "hinges": ["b"]})
    assert len(caught.value.problems) == 3
    with pytest.raises(SkeletonError, match=r"limits: expected Limits"):
        Skeleton("x", ("a",), (-1,), limits={"lengths": [0.9, 1.1]})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", Skeleton.available())
def test_limits_of_bundled_skeletons_hold_for_both_sides_and_the_rest_pose(name: str) -> None:
    skeleton = Skeleton.load(name)
    limits, rest = skeleton.limits, skeleton.rest
    people = name not in ("animal17", "hand21", "panda7")
    assert (limits is not None) == people
    if limits is None:
        return
    assert rest is not None and len(limits.hinges) == 4
    partner = {skeleton.joints[j]: skeleton.joints[int(m)] for j, m in enumerate(skeleton.mirror)}
    assert {partner[joint] for joint in limits.hinges} == set(limits.hinges)
    for parent, child in skeleton.bones:
        joint, end = skeleton.joints[parent], skeleton.joints[child]
        bounds = limits.angle_bounds(joint, end)
        assert bounds == limits.angle_bounds(partner[joint], partner[end])
        if bounds is not None:
            back, out = rest[skeleton.parents[parent]] - rest[parent], rest[child] - rest[parent]
            cosine = back @ out / np.linalg.norm(back) / np.linalg.norm(out)
            assert bounds[0] <= np.degrees(np.arccos(np.clip(cosine, -1, 1))) <= bounds[1]
