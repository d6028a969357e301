"""C3D by ezc3d: units, axes, unseen points, labels, what a missing package says, and files that were cut short."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

ezc3d = pytest.importorskip("ezc3d", reason="the extra `c3d` is not installed")

ARM = Skeleton("arm", ("shoulder", "elbow", "hand"), (-1, 0, 1))
POINTS = np.random.default_rng(0).normal(size=(6, 3, 3)) * 400  # [T, M, 3] mm


def laboratory_file(
    path: Path,
    points: np.ndarray = POINTS,
    labels: tuple[str, ...] = ARM.joints,
    unit: str | None = "mm",
    screen: str | None = "+Z",
    residuals: np.ndarray | None = None,
    analog: int = 0,
) -> Path:
    """A file as capture systems write them, made by ezc3d itself and not by the package."""
    content = ezc3d.c3d()
    point: dict[str, Any] = content["parameters"]["POINT"]
    point["RATE"]["value"] = [120.0]
    point["LABELS"]["value"] = list(labels)
    point["UNITS"]["value"] = [] if unit is None else [unit]
    if screen is not None:
        content.add_parameter("POINT", "Y_SCREEN", [screen])
    frames, count, _ = points.shape
    content["data"]["points"] = np.concatenate([points.transpose(2, 1, 0), np.ones((1, count, frames))])
    if residuals is not None:
        content["data"]["meta_points"]["residuals"] = residuals
    if analog:
        content["parameters"]["ANALOG"]["RATE"]["value"] = [120.0 * 5]
        content["parameters"]["ANALOG"]["LABELS"]["value"] = [f"emg{i}" for i in range(analog)]
        content["data"]["analogs"] = np.ones((1, analog, frames * 5))
    content.write(str(path))
    return path


@pytest.mark.parametrize(("unit", "metres"), [("mm", 0.001), ("cm", 0.01), ("m", 1.0)])
def test_unit_rate_and_z_up(tmp_path: Path, unit: str, metres: float) -> None:
    clip = formats.read(laboratory_file(tmp_path / "a.c3d", unit=unit, analog=2), skeleton=ARM)
    assert clip.fps == 120 and clip.skeleton is ARM and (clip.name, clip.action) == ("a", "a")
    expected = POINTS[..., [0, 2, 1]] * [1, 1, -1] * metres
    np.testing.assert_allclose(clip.positions, expected, rtol=1e-6, atol=1e-7)


def test_the_file_says_which_axis_points_up(tmp_path: Path) -> None:
    stored = POINTS * 0.001
    for screen, option, expected in [
        (None, {}, stored[..., [0, 2, 1]] * [1, 1, -1]),  # as is usual in laboratories
        ("+Y", {}, stored),
        ("-Z", {}, stored[..., [0, 2, 1]] * [1, -1, 1]),
        ("+Z", {"up": "y"}, stored),
    ]:
        clip = formats.read(laboratory_file(tmp_path / "a.c3d", screen=screen), skeleton=ARM, **option)
        np.testing.assert_allclose(clip.positions, expected, rtol=1e-6, atol=1e-7)
    with pytest.raises(FormatError, match=r"unknown axis up= '\+A'"):
        formats.read(laboratory_file(tmp_path / "a.c3d", screen="+A"), skeleton=ARM)


def test_negative_residuals_and_nan_are_missing(tmp_path: Path) -> None:
    residuals = np.zeros((1, 3, 6))
    residuals[0, 1, 2] = -1
    points = POINTS.copy()
    points[4, 2] = np.nan
    clip = formats.read(laboratory_file(tmp_path / "a.c3d", points, residuals=residuals), skeleton=ARM)
    assert clip.missing.nonzero().tolist() == [[2, 1], [4, 2]]


def test_units_that_are_missing_or_unknown(tmp_path: Path) -> None:
    for unit in (None, "ft"):
        path = laboratory_file(tmp_path / "a.c3d", unit=unit)
        with pytest.raises(
            FormatError, match=r"expected mm, cm or m as POINT:UNITS.*give the metres of a unit as scale="
        ):
            formats.read(path, skeleton=ARM)
        clip = formats.read(path, skeleton=ARM, scale=0.3048, fps=60)
        assert clip.fps == 60
        assert float(clip.positions[0, 0, 0]) == pytest.approx(POINTS[0, 0, 0] * 0.3048, rel=1e-6)


def test_markers_that_are_no_joints_ask_for_a_table(tmp_path: Path) -> None:
    path = laboratory_file(tmp_path / "a.c3d", labels=("LASI", "RASI", "SACR"))
    with pytest.raises(
        FormatError, match=r"its 3 points \(LASI, RASI, SACR\) do not hold the joints of a bundled.*markers="
    ):
        formats.read(path)
    (tmp_path / "m.yaml").write_text("joints: {shoulder: LASI, elbow: [LASI, RASI], hand: SACR}")
    clip = formats.read(path, markers=tmp_path / "m.yaml", skeleton=ARM)
    np.testing.assert_allclose(clip.positions[:, 1, 0], POINTS[:, :2, 0].mean(1) * 0.001, rtol=1e-5, atol=1e-7)


def test_points_of_one_name_are_a_fault_only_where_they_are_asked_for(tmp_path: Path) -> None:
    points = np.concatenate([POINTS, POINTS[:, :2]], axis=1)
    path = laboratory_file(tmp_path / "a.c3d", points, labels=(*ARM.joints, "ghost", "ghost"))
    assert formats.read(path, skeleton=ARM).skeleton is ARM
    (tmp_path / "m.yaml").write_text("joints: {shoulder: shoulder, elbow: ghost, hand: hand}")
    with pytest.raises(FormatError, match=r"expected the point 'ghost' once \(got it 2 times\)"):
        formats.read(path, markers=tmp_path / "m.yaml", skeleton=ARM)


def test_written_files_say_unit_axis_and_tree(tmp_path: Path) -> None:
    positions = POINTS * 0.001
    positions[3, 1] = np.nan
    path = formats.write(MotionClip(ARM, 29.97, positions=positions), tmp_path / "b.c3d")
    assert [p.name for p in tmp_path.iterdir()] == ["b.c3d"]
    parameters = ezc3d.c3d(str(path))["parameters"]
    assert parameters["POINT"]["UNITS"]["value"] == ["mm"]
    assert parameters["POINT"]["Y_SCREEN"]["value"] == ["+Y"]
    assert parameters["POINT"]["LABELS"]["value"] == list(ARM.joints)
    back = formats.read(path)
    assert back.skeleton.tree() == ARM.tree() and back.fps == 29.97
    np.testing.assert_allclose(back.positions, positions, rtol=1e-6, atol=1e-7)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    many = Skeleton("many", tuple(f"j{i}" for i in range(256)), (-1, *[0] * 255))
    long = Skeleton("long", ("j" * 128,), (-1,))
    for body, frames, words in [(many, 1, "256 and 1"), (ARM, 65536, "3 and 65536"), (long, 1, "127 bytes")]:
        with pytest.raises(FormatError, match=words):
            formats.write(MotionClip(body, 30, positions=np.zeros((frames, len(body), 3))), tmp_path / "x.c3d")
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = laboratory_file(tmp_path / "a.c3d")
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    for call in (lambda: formats.read(path), lambda: formats.write(MotionClip(ARM, 30, positions=POINTS), path)):
        with pytest.raises(FormatError, match=r'need the package ezc3d: pip install "graphpose\[c3d\]"'):
            call()


def test_files_cut_anywhere_are_refused(tmp_path: Path) -> None:
    """Within its parameters, ezc3d alone never comes back from such a file; within the data it reads zeros."""
    whole = laboratory_file(tmp_path / "a.c3d", analog=2).read_bytes()
    used = len(whole.rstrip(b"\0"))
    for size in [0, 1, 2, 3, 511, 512, 700, *range(513, used, 331), used - 1]:
        (tmp_path / "cut.c3d").write_bytes(whole[:size])
        with pytest.raises(FormatError, match=r"cut\.c3d: (the file is empty|is no C3D file|cut short: )"):
            formats.read(tmp_path / "cut.c3d", skeleton=ARM)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (1, 0x51, "is no C3D file"),
        (0, 200, "cut short: its parameters begin at byte"),
        (16, 1, "before its parameters end"),
        (512 + 4, 100, "parameter|frames"),
    ],
)
def test_bytes_that_lead_nowhere_are_found_before_ezc3d_follows_them(
    tmp_path: Path, place: int, value: int, words: str
) -> None:
    content = bytearray(laboratory_file(tmp_path / "a.c3d").read_bytes())
    content[place] = value
    (tmp_path / "bad.c3d").write_bytes(content)
    with pytest.raises(FormatError, match=words):
        formats.read(tmp_path / "bad.c3d", skeleton=ARM)


def test_a_tree_that_does_not_fit_the_points(tmp_path: Path) -> None:
    path = formats.write(MotionClip(ARM, 30, positions=POINTS * 0.001), tmp_path / "a.c3d")
    content = ezc3d.c3d(str(path))
    for parents, words in [
        (["shoulder"], "got 1 for 3 points"),
        (["shoulder", "hip", "elbow"], "there is no point 'hip'"),
    ]:
        content["parameters"]["GRAPHPOSE"]["PARENTS"]["value"] = parents
        content.write(str(path))
        with pytest.raises(FormatError, match=f"GRAPHPOSE:PARENTS.*{words}.*give skeleton="):
            formats.read(path)
        assert formats.read(path, skeleton=ARM).skeleton is ARM
