"""Any skeleton that somebody writes down trains and is evaluated from the command line, with no code of theirs."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml

import graphpose
from graphpose.cli.main import main
from graphpose.engine import evaluate_clips
from graphpose.formats import read_all
from graphpose.models import create
from graphpose.skeleton import Skeleton

FIVE = """\
name: sprinter5
source: drawn for a test
joints:
  hip: null
  l_knee: hip
  l_foot: l_knee
  r_knee: hip
  r_foot: r_knee
pairs: [[l_knee, r_knee], [l_foot, r_foot]]
"""
PLAIN = """\
name: crane4
joints: {base: null, boom: base, jib: boom, hook: jib}
"""


def centipede() -> str:
    """40 joints: a spine of eight, with two pairs of legs of one joint on each of its joints."""
    spine = [f"spine{i}" for i in range(8)]
    joints: dict[str, str | None] = {name: spine[i - 1] if i else None for i, name in enumerate(spine)}
    joints |= {f"{side}_leg{i}": spine[i // 2] for i in range(16) for side in ("left", "right")}
    pairs = [[f"left_leg{i}", f"right_leg{i}"] for i in range(16)]
    return yaml.safe_dump({"name": "centipede40", "joints": joints, "pairs": pairs}, sort_keys=False)


def clips(skeleton: Skeleton, path: Path, *, named: bool) -> Path:
    """An archive of four clips of three subjects: a random body that sways as a whole, each joint with its parent."""
    rng = np.random.default_rng(0)
    offsets = 0.25 * rng.normal(size=(len(skeleton), 3))
    for j, side in enumerate(skeleton.mirror):
        if side > j:
            offsets[side] = offsets[j] * np.array([-1.0, 1.0, 1.0])
    lengths, parts = [40, 30, 30, 25], []
    for number, length in enumerate(lengths):
        t = np.arange(length) / 30.0
        angle = 0.5 * np.sin(4.0 * t + number)
        turn = np.zeros((length, 3, 3))
        turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
        turn[:, 0, 1], turn[:, 1, 0], turn[:, 2, 2] = -np.sin(angle), np.sin(angle), 1.0
        body = np.zeros((length, len(skeleton), 3))
        for j in skeleton.order:
            parent = skeleton.parents[j]
            body[:, j] = [0.0, 1.2, 0.0] if parent < 0 else body[:, parent] + turn @ offsets[j]
        parts.append(body)
    names = {"joints": np.array(skeleton.joints), "parents": np.array(skeleton.parents)} if named else {}
    np.savez(
        path,
        positions=np.concatenate(parts).astype(np.float32),
        lengths=lengths,
        clip_names=["a", "b", "c", "d"],
        subjects=["S1", "S1", "S2", "S3"],
        fps=30.0,
        **names,
    )
    return path


SETTINGS = """\
data: {frames: 9, batch_size: 8, views: {azimuths: [30.0, 200.0]}, split: {by: subject, test: [S3], val: [S2]}}
model: {name: ktpformer, options: {channels: 16, depth: 1, heads: 2}}
optim: {lr: 0.003, schedule: constant}
run: {max_epochs: 20, accelerator: cpu, log_every: 1}
"""


def run(folder: Path, text: str, *options: str, named: bool = False) -> tuple[float, float]:
    """Trains and evaluates by commands alone: MPJPE (mm) of fresh weights and of the trained ones on the test clips."""
    (folder / "my.yaml").write_text(text)
    (folder / "small.yaml").write_text(SETTINGS)
    data = clips(Skeleton.load(folder / "my.yaml"), folder / "clips.npz", named=named)
    words = ["train", "--config", folder / "small.yaml", "--data", data, "--data.skeleton", folder / "my.yaml"]
    assert main([*map(str, words), "--output", str(folder / "run"), *options]) == 0
    best = folder / "run" / "best.safetensors"
    assert main(["evaluate", str(best), "--out", str(folder / "results")]) == 0
    overall = json.loads((folder / "results" / "errors.json").read_text())["overall"]
    model = graphpose.load(best)
    fresh = create("ktpformer", model.skeleton, **model.config.__dict__).eval()
    tested = [clip for clip in read_all(data, skeleton=model.skeleton) if clip.subject == "S3"]
    before = evaluate_clips(fresh, tested, progress=False).table().overall()["mpjpe"]
    return before, overall["mpjpe"]


@pytest.mark.parametrize("named", [False, True], ids=["joints named by the skeleton", "joints named in the file"])
def test_five_joints_in_ten_lines(named: bool, tmp_path: Path) -> None:
    assert len(FIVE.splitlines()) <= 10
    before, after = run(tmp_path, FIVE, named=named)
    assert math.isfinite(after)
    assert after < 0.7 * before
    with (tmp_path / "results" / "errors.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows if row["scope"] == "joint"] == ["hip", "l_knee", "l_foot", "r_knee", "r_foot"]
    assert [row["name"] for row in rows if row["scope"] == "subject"] == ["S3"]
    assert graphpose.load(tmp_path / "run" / "last.safetensors").skeleton == Skeleton.load(tmp_path / "my.yaml")


def test_forty_joints(tmp_path: Path) -> None:
    before, after = run(tmp_path, centipede(), "--run.max_epochs", "30")
    assert len(Skeleton.load(tmp_path / "my.yaml")) == 40
    assert math.isfinite(after)
    assert after < 0.8 * before


def test_a_skeleton_without_pairs(tmp_path: Path) -> None:
    """Nothing to mirror: neither in the augmentation nor in the evaluation."""
    before, after = run(tmp_path, PLAIN)
    assert math.isfinite(after)
    assert after < 0.8 * before


def test_windows_of_one_frame(tmp_path: Path) -> None:
    before, after = run(tmp_path, FIVE, "--data.frames", "1", "--data.batch_size", "32")
    assert math.isfinite(after)
    assert after < 0.8 * before
    metrics = next((tmp_path / "run" / "logs").glob("version_0/metrics.csv")).read_text()
    assert "nan" not in metrics.lower()


def test_the_other_model_and_double_precision(tmp_path: Path) -> None:
    options = ["--model.name", "mixste", "--run.precision", "64-true", "--run.max_epochs", "6"]
    before, after = run(tmp_path, FIVE, *options)
    assert after < before
