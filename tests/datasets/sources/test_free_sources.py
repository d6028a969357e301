"""What `check` says of AMASS parameters and of the Bandai-Namco recordings; and the judgement of bodies."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shared import shared_path

import graphpose
from graphpose.datasets.sources import Finding, amass, bandai_namco, faulty
from graphpose.datasets.sources._body import measure
from graphpose.datasets.sources.findings import summarize, table
from graphpose.skeleton import Skeleton


def motion(path: Path, frames: int = 120, **changed: Any) -> None:
    """A file of body model parameters as AMASS has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "poses": np.zeros((frames, 156)),
        "trans": np.zeros((frames, 3)),
        "betas": np.zeros(16),
        "dmpls": np.zeros((frames, 8)),
        "gender": "female",
        "mocap_framerate": 120.0,
    } | changed
    np.savez(path, **{key: value for key, value in values.items() if value is not None})


def test_amass_counts_each_subset(tmp_path: Path) -> None:
    motion(tmp_path / "ACCAD" / "s001" / "walk_poses.npz")
    motion(tmp_path / "ACCAD" / "s001" / "run_poses.npz", 60)
    motion(
        tmp_path / "SFU" / "0005" / "a_stageii.npz",
        90,
        poses=np.zeros((90, 165)),
        mocap_framerate=None,
        mocap_frame_rate=30,
    )
    np.savez(tmp_path / "ACCAD" / "s001" / "shape.npz", betas=np.zeros(16))
    found = amass.check(tmp_path)
    assert [(f.state, f.what, f.found) for f in found] == [
        ("ok", "ACCAD", "2 motions, 180 frames, 0.00 h, SMPL+H"),
        ("ok", "SFU", "1 motions, 90 frames, 0.00 h, SMPL-X"),
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"poses": None}, "expected poses, trans and mocap_framerate"),
        ({"poses": np.zeros((120, 63))}, "expected poses [T, 156, 165, 72]"),
        ({"trans": np.zeros((119, 3))}, "got [120, 156] and [119, 3]"),
        ({"poses": np.full((120, 156), np.nan)}, "not finite"),
        ({"trans": np.full((120, 3), 1500.0)}, "1500 m from the origin: trans is not in metres"),
        ({"mocap_framerate": 0.008}, "expected a frame rate from 10 to 500 (got 0.008)"),
        ({"mocap_framerate": "fast"}, "cannot be read"),
    ],
)
def test_amass_a_bad_file_is_named(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    motion(tmp_path / "ACCAD" / "good_poses.npz")
    motion(tmp_path / "ACCAD" / "bad_poses.npz", **changed)
    good, bad = amass.check(tmp_path)
    assert good.found.startswith("1 motions")
    assert (bad.state, bad.what) == ("broken", "ACCAD/bad_poses.npz")
    assert words in bad.found


def test_amass_a_cut_off_file_is_named(tmp_path: Path) -> None:
    motion(tmp_path / "a_poses.npz")
    body = (tmp_path / "a_poses.npz").read_bytes()
    (tmp_path / "a_poses.npz").write_bytes(body[: len(body) // 2])
    [bad] = amass.check(tmp_path)
    assert (bad.state, bad.what) == ("broken", "a_poses.npz")


def test_bandai_namco_real_recordings(tmp_path: Path) -> None:
    names = (
        sorted(shared_path("mocap/bandai-namco/1").rglob("*.bvh"))[:3]
        + sorted(shared_path("mocap/bandai-namco/2").rglob("*.bvh"))[:2]
    )
    for path in names:
        shutil.copy(path, tmp_path / path.name)
    found = bandai_namco.check(tmp_path)
    assert not faulty(found)
    assert [f.found.split(",")[0] for f in found] == ["3 of 175 clips", "2 of 2"]
    damaged = tmp_path / names[0].name
    damaged.write_bytes(damaged.read_bytes()[:-300])
    slow = tmp_path / names[1].name
    slow.write_text(slow.read_text().replace("0.033333", "0.066667"))
    states = {f.what: f.state for f in bandai_namco.check(tmp_path)}
    assert states[damaged.name] == "broken"
    assert states[slow.name] == "suspicious"


def person(frames: int = 50) -> tuple[np.ndarray, Skeleton]:
    skeleton = Skeleton.load("h36m17")
    assert skeleton.rest is not None
    return np.repeat(skeleton.rest[None], frames, axis=0), skeleton


def test_a_person_is_a_person_wherever_and_whichever_way() -> None:
    points, skeleton = person()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for moved in (points, points + np.array([100.0, -3.0, 7.0]), points @ turn.T):
        body = measure(moved, skeleton)
        assert body.faults == ()
        assert body.extent == pytest.approx(measure(points, skeleton).extent)


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (1000.0, "they look like mm"),
        (100.0, "they look like cm"),
        (0.1, "expected 1 to 2.6 m)"),
        (3.0, "expected 1 to 2.6 m)"),
    ],
)
def test_another_unit_is_noticed(scale: float, words: str) -> None:
    points, skeleton = person()
    [fault] = measure(scale * points, skeleton).faults
    assert words in fault


def test_joints_in_another_order_are_noticed() -> None:
    points, skeleton = person()
    order = list(range(17))
    order[5], order[6] = 6, 5
    assert "differ" in measure(points[:, order], skeleton).faults[0]


def test_bones_that_change_their_length_are_noticed() -> None:
    points, skeleton = person()
    points = points.copy()
    points[::2, [3, 6]] += [0.0, -0.4, 0.0]
    assert "changes its length" in measure(points, skeleton).faults[0]


def test_gaps_are_noticed() -> None:
    points, skeleton = person()
    points = points.copy()
    points[:5, 3] = np.nan
    assert measure(points, skeleton).faults == ("0.59 % of the joints are not a number",)
    points[:, 3] = np.nan
    assert measure(points, skeleton).faults == ("no frame in which every joint is a number",)


def test_real_people_are_people() -> None:
    for path in sorted(shared_path("mocap/cmu/05").glob("*.amc"))[:3]:
        clip = graphpose.read(path)
        assert clip.positions is not None
        assert measure(clip.positions.numpy(), clip.skeleton).faults == ()


def test_the_table_has_the_advice_below_its_line() -> None:
    found = [Finding("ok", "a.npz", "fine"), Finding("broken", "long name.npz", "cut off", "copy it again")]
    assert table(found).splitlines() == [
        "ok          a.npz          fine",
        "broken      long name.npz  cut off",
        "                           -> copy it again",
    ]
    assert summarize(found) == "1 broken, 1 ok"
    assert faulty(found)
    assert not faulty([Finding("ok", "a", ""), Finding("absent", "b", ""), Finding("note", "c", "")])
