from __future__ import annotations

import csv
import doctest
import io
import json
import math
from pathlib import Path

import pytest
import torch

from graphpose.errors import ConfigError, DataError
from graphpose.metrics import ErrorTable, functional, tables
from graphpose.skeleton import Skeleton

OFFSET = torch.tensor([0.01, 0.0, 0.0])


def _clip(seed: int, frames: int) -> torch.Tensor:
    return 0.3 * torch.randn(frames, 7, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def table(biped: Skeleton) -> ErrorTable:
    table = ErrorTable(biped)
    for name, subject, action, frames, error in (
        ("a", "S1", "walk", 10, 1),
        ("b", "S1", "kick", 30, 2),
        ("c", "S2", "walk", 20, 4),
    ):
        clip = _clip(frames, frames)
        table.add(clip + error * OFFSET, clip, subject=subject, action=action, name=name)
    return table


def test_each_frame_counts_once_and_the_action_average_is_over_actions(table: ErrorTable):
    assert table.frames == 60
    assert table.overall()["mpjpe"] == pytest.approx((10 * 10 + 20 * 30 + 40 * 20) / 60, rel=1e-5)
    actions = {name: values["mpjpe"] for name, values in table.by_action().items()}
    assert actions == pytest.approx({"kick": 20.0, "walk": (10 * 10 + 40 * 20) / 30}, rel=1e-5)
    assert table.action_average()["mpjpe"] == pytest.approx(sum(actions.values()) / 2)
    subjects = {name: values["mpjpe"] for name, values in table.by_subject().items()}
    assert subjects == pytest.approx({"S1": (10 * 10 + 20 * 30) / 40, "S2": 40.0}, rel=1e-5)
    assert table.by_clip()["c"]["mpjpe"] == pytest.approx(40.0, rel=1e-5)
    assert table.overall()["pck"] == pytest.approx(100.0)


def test_recordings_of_one_name_stay_apart_and_views_of_one_together(biped: Skeleton):
    table = ErrorTable(biped, ["mpjpe"])
    clip = _clip(0, 10)
    for name, subject, recording, view, error in (
        ("walk", "S1", "r1", 0, 1),
        ("walk", "S2", "r2", 0, 3),
        ("walk", "S1", "r1", 1, 2),  # another view of the first
        ("walk", "S1", "r3", 0, 7),
        ("run", "S1", "r4", 0, 5),
        ("S2/walk", "S1", "r5", 0, 9),  # a name that looks like subject and name
        ("walk", None, "r6", 0, 4),
    ):
        table.add(clip + error * OFFSET, clip, subject=subject, name=name, view=view, recording=recording)
    found = {name: round(values["mpjpe"], 3) for name, values in table.by_clip().items()}
    wanted = {"S1/walk": 15.0, "S2/walk (2)": 30.0, "S1/walk (2)": 70.0, "run": 50.0, "S2/walk": 90.0, "walk": 40.0}
    assert found == wanted
    assert table.to_dict()["clips"] == len(table.to_dict()["by_clip"]) == 6
    assert table.overall()["mpjpe"] == pytest.approx(10 * (1 + 3 + 2 + 7 + 5 + 9 + 4) / 7, rel=1e-5)
    frames = {
        row["name"]: row["frames"] for row in csv.DictReader(io.StringIO(table.to_csv())) if row["scope"] == "clip"
    }
    assert frames == {name: "20" if name == "S1/walk" else "10" for name in wanted}


def test_agrees_with_the_functions(biped: Skeleton):
    target = _clip(0, 12)
    pred = target + 0.1 * _clip(1, 12)
    table = ErrorTable(biped)
    table.add(pred.numpy(), target.numpy())
    overall = table.overall()
    assert overall["p_mpjpe"] == pytest.approx(1000 * functional.p_mpjpe(pred, target).item(), rel=1e-5)
    assert overall["mpjve"] == pytest.approx(1000 * functional.mpjve(pred, target).item(), rel=1e-5)
    variance = functional.bone_length_variance(pred, biped).item()
    assert overall["bone_length_variance"] == pytest.approx(1e6 * variance, rel=1e-4)
    joints = functional.mpjpe(pred, target, reduction="joint")
    for name, value in zip(biped.joints, joints.tolist(), strict=True):
        assert table.by_joint()[name]["mpjpe"] == pytest.approx(1000 * value, rel=1e-5)
        assert "bone_length_error" not in table.by_joint()[name]
    assert table.by_action().keys() == {"(none)"}


def test_padded_frames_do_not_count(biped: Skeleton):
    target = _clip(0, 12)
    pred = target + OFFSET
    pred[8:] += 1.0
    table = ErrorTable(biped)
    table.add(pred, target, visible=torch.arange(12) < 8)
    assert table.frames == 8 and table.overall()["mpjpe"] == pytest.approx(10.0, rel=1e-4)
    assert table.overall()["mpjve"] == pytest.approx(0.0, abs=1e-3)


def test_merging_equals_adding(table: ErrorTable, biped: Skeleton):
    first, second = ErrorTable(biped), ErrorTable(biped)
    first.rows, second.rows = table.rows[:1], table.rows[1:]
    first.merge(second)
    assert first.to_dict() == table.to_dict()
    with pytest.raises(DataError, match="same skeleton and metrics"):
        first.merge(ErrorTable(biped, ["mpjpe"]))


def test_what_is_undefined_is_nan_counted_and_null(table: ErrorTable):
    clip = _clip(3, 5)
    pred = clip.clone()
    pred[2] = 0.0
    table.add(pred, clip, action="fall")
    assert math.isnan(table.overall()["p_mpjpe"]) and math.isnan(table.action_average()["p_mpjpe"])
    assert table.by_action()["walk"]["p_mpjpe"] == pytest.approx(0.0, abs=1e-3)
    assert table.undefined["p_mpjpe"] == 7 and table.undefined["mpjpe"] == 0
    assert json.loads(table.to_json())["overall"]["p_mpjpe"] is None
    text = table.to_text()
    assert "NaN" in text and "Undefined: 7 values of p_mpjpe." in text


def test_text_csv_and_json_say_the_same(table: ErrorTable, tmp_path: Path):
    for suffix in ("txt", "csv", "json"):
        table.save(tmp_path / f"errors.{suffix}")
    data = json.loads((tmp_path / "errors.json").read_text())
    assert data["units"]["mpjpe"] == "mm" and data["clips"] == 3 and "counts once" in data["weighting"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "errors.csv").read_text(encoding="utf-8"))))
    by = {(row["scope"], row["name"]): row for row in rows}
    assert float(by["overall", "overall"]["mpjpe [mm]"]) == pytest.approx(data["overall"]["mpjpe"], abs=1e-5)
    assert by["action", "walk"]["frames"] == "30" and by["joint", "head"]["symmetry_error [mm]"] == ""
    assert float(by["overall", "mean over actions"]["pck [%]"]) == pytest.approx(data["action_average"]["pck"])
    text = (tmp_path / "errors.txt").read_text(encoding="utf-8")
    for word in ("overall", "mean over actions", "by action", "kick", "S2", "head", "P-MPJPE mm", "Weighting: every"):
        assert word in text
    assert "by clip" not in text and "by clip" in table.to_text(["clip"])
    assert str(table) == text


def test_empty_table_is_nan_not_zero(biped: Skeleton):
    table = ErrorTable(biped)
    assert all(math.isnan(v) for v in table.overall().values())
    assert table.frames == 0 and json.loads(table.to_json())["overall"]["mpjpe"] is None
    assert "NaN" in table.to_text()


def test_bad_input_gets_one_clear_error(table: ErrorTable, biped: Skeleton, tmp_path: Path):
    with pytest.raises(DataError, match=r"clip 'x': expected poses \[\.\.\., T, 7, 3\]"):
        table.add(torch.zeros(4, 6, 3), torch.zeros(4, 6, 3), name="x")
    with pytest.raises(ConfigError, match="did you mean 'mpjpe'"):
        ErrorTable(biped, ["mpjpee"])
    with pytest.raises(ConfigError, match="at least one metric"):
        ErrorTable(biped, [])
    with pytest.raises(ConfigError, match="unknown scope"):
        table.to_text(["actions"])
    with pytest.raises(ConfigError, match="unknown suffix"):
        table.save(tmp_path / "errors.xlsx")


def test_the_example_in_the_docstring_holds():
    result = doctest.testmod(tables)
    assert result.attempted >= 5 and result.failed == 0
