"""Points to joints by a table of markers, and worlds in which another axis points up."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats import ImplausibleMotionWarning
from graphpose.formats._axes import UP_AXES, to_y_up
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

BODY = Skeleton("biped", ("hip", "l_foot", "r_foot"), (-1, 0, 0), pairs=(("l_foot", "r_foot"),))
LABELS = ("Bob:LASI", "Bob:RASI", "Bob:LHEE", "RHEE", "RTOE")
TABLE = """
skeleton: biped.yaml
origin: made for a test
joints:
  hip: [LASI, RASI]
  l_foot: LHEE
  r_foot: {RHEE: 3/2, RTOE: -0.5}
"""


def table_file(folder: Path, text: str = TABLE) -> Path:
    BODY.save(folder / "biped.yaml")
    (folder / "markers.yaml").write_text(text)
    return folder / "markers.yaml"


def points_file(folder: Path, points: np.ndarray, labels: tuple[str, ...] = LABELS) -> Path:
    cloud = Skeleton("cloud", labels, (-1, *[0] * (len(labels) - 1)))
    return formats.write(MotionClip(cloud, 50, positions=points), folder / "points.csv")


def test_means_weights_and_single_points(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(4, 5, 3))
    points[1, 0] = np.nan  # one of two averaged: the other is taken
    points[2, :2] = np.nan  # both: missing
    points[3, 4] = np.nan  # one of two weighted: missing
    clip = formats.read(points_file(tmp_path, points), markers=table_file(tmp_path))
    assert clip.skeleton == BODY
    expected = np.stack(
        [(points[:, 0] + points[:, 1]) / 2, points[:, 2], 1.5 * points[:, 3] - 0.5 * points[:, 4]], axis=1
    )
    expected[1, 0] = points[1, 1]
    np.testing.assert_allclose(clip.positions, expected, atol=2e-6)
    assert clip.missing.tolist() == [[False] * 3, [False] * 3, [True, False, False], [False, False, True]]


def test_a_joint_that_was_not_captured_is_missing(tmp_path: Path) -> None:
    path = points_file(tmp_path, np.ones((2, 5, 3)))
    clip = formats.read(path, markers=table_file(tmp_path, TABLE.replace("LHEE", "null")))
    assert clip.missing.tolist() == [[False, True, False]] * 2
    with pytest.raises(FormatError, match="no point that makes up a joint is seen"):
        nothing = "skeleton: biped.yaml\njoints: {hip: null, l_foot: null, r_foot: null}"
        formats.read(path, markers=table_file(tmp_path, nothing))


def test_the_skeleton_may_come_from_the_caller(tmp_path: Path) -> None:
    path = points_file(tmp_path, np.ones((2, 5, 3)))
    markers = table_file(tmp_path, TABLE.replace("skeleton: biped.yaml\n", ""))
    assert formats.read(path, markers=markers, skeleton=BODY).skeleton is BODY
    with pytest.raises(FormatError, match=r"markers\.yaml: skeleton: expected the name or file of a skeleton"):
        formats.read(path, markers=markers)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "LHEE",
            "LHEL",
            r"points\.csv: unknown point 'LHEL'.*choose from: Bob:LASI.*joint 'l_foot' of .*markers\.yaml",
        ),
        ("3/2", "1", r"markers\.yaml: r_foot: expected weights that sum to 1 \(got 0.5\)"),
        ("3/2", "many", "r_foot: expected numbers such as 0.5 or 1/2"),
        ("3/2", ".inf", "r_foot: expected numbers such as 0.5 or 1/2"),
        ("[LASI, RASI]", "[]", "hip: expected a marker, a list of different markers"),
        ("[LASI, RASI]", "[LASI, LASI]", "hip: expected a marker, a list of different markers"),
        ("[LASI, RASI]", "7", "hip: expected a marker"),
        ("  l_foot: LHEE\n", "", r"a line for every joint of 'biped' \(lacking l_foot; `joint: null`"),
        ("  l_foot", "  left_foot: LHEE\n  l_foot", "unknown joint 'left_foot'"),
        ("origin", "orogin", "unknown key 'orogin' .did you mean 'origin'"),
        ("biped.yaml", "bipedd", "unknown skeleton 'bipedd'"),
        ("joints:", "joints: 3\nx:", "joints: expected lines `joint: marker`"),
        ("hip:", "hip: [", "expected YAML"),
    ],
)
def test_faults_of_the_table(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = points_file(tmp_path, np.ones((2, 5, 3)))
    with pytest.raises(FormatError, match=words) as caught:
        formats.read(path, markers=table_file(tmp_path, TABLE.replace(old, new, 1)))
    assert "\n" not in str(caught.value)


def test_tables_that_are_not_there_or_no_files(tmp_path: Path) -> None:
    path = points_file(tmp_path, np.ones((2, 5, 3)))
    with pytest.raises(FormatError, match=r"none\.yaml: cannot be read"):
        formats.read(path, markers=tmp_path / "none.yaml")
    with pytest.raises(FormatError, match=r"expected markers= to be the path of a YAML file .got dict"):
        formats.read(path, markers={"hip": "LASI"})


def test_a_label_of_two_subjects_has_to_be_given_in_full(tmp_path: Path) -> None:
    labels = ("Bob:hip", "Ann:hip", "l_foot", "r_foot")
    path = points_file(tmp_path, np.arange(24.0).reshape(2, 4, 3) / 10, labels)
    table = table_file(tmp_path, "skeleton: biped.yaml\njoints: {hip: hip, l_foot: l_foot, r_foot: r_foot}")
    with pytest.raises(FormatError, match=r"'hip' is there 2 times \('Bob:hip', 'Ann:hip'\)"):
        formats.read(path, markers=table)
    table = table_file(tmp_path, "skeleton: biped.yaml\njoints: {hip: 'Ann:hip', l_foot: l_foot, r_foot: r_foot}")
    assert formats.read(path, markers=table).positions[0, 0, 0] == pytest.approx(0.3)


@pytest.mark.parametrize("up", UP_AXES)
def test_turns_are_rotations_that_bring_the_axis_up(up: str) -> None:
    axis, sign = "xyz".index(up[-1]), -1 if up.startswith("-") else 1
    turned = to_y_up(np.eye(3), up)  # rows: images of the axes
    np.testing.assert_array_equal(turned[axis], [0, sign, 0])
    assert np.linalg.det(turned) == pytest.approx(1)
    np.testing.assert_array_equal(turned @ turned.T, np.eye(3))


@pytest.mark.parametrize("up", [axis for axis in UP_AXES if axis != "y"])
def test_a_wrong_axis_is_warned_of_with_the_right_one(tmp_path: Path, up: str) -> None:
    body = Skeleton.load("h36m17")
    to_file = np.linalg.inv(to_y_up(np.eye(3), up))
    clip = MotionClip(body, 30, positions=np.repeat(body.rest[None] @ to_file, 5, 0))
    path = formats.write(clip, tmp_path / "turned.csv")
    with pytest.warns(ImplausibleMotionWarning, match=rf"at up='y', .*perhaps up='{up}' is right"):
        formats.read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = formats.read(path, up=up)
    np.testing.assert_allclose(right.positions[0], body.rest, atol=1e-6)
    other = next(axis for axis in UP_AXES if axis[-1] not in up and axis != "y")
    with pytest.warns(ImplausibleMotionWarning, match=rf"perhaps up='{up}' is right"):
        formats.read(path, up=other)
