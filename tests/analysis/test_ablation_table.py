"""The table of an ablation: means, spreads and differences of figures that are known, in four forms."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from graphpose.analysis.ablation_table import (
    AblationTable,
    Row,
    count,
    duration,
    read_table,
    save_tables,
    spread,
    to_csv,
    to_dict,
    to_markdown,
    to_text,
)
from graphpose.config import Cell, TrainConfig
from graphpose.engine.ablation_cell import CellRecord
from graphpose.errors import DataError


def row(host: str, prior: str | None, seeds: tuple[int, ...], **figures: float) -> Row:
    """A row whose seeds have these MPJPE (`s0=1.0`); the others are twice and a tenth of them."""
    found = {int(name[1:]): value for name, value in figures.items()}
    record = CellRecord("mixste", 1234, 5_000_000, 27, "window", 10, 16, 0.25, 3.0, 1, 1, "cpu")
    values = {seed: {"mpjpe": v, "p_mpjpe": 2 * v, "mpjve": v / 10} for seed, v in found.items()}
    return Row(host, prior, seeds, dict.fromkeys(found, record), values)


@pytest.fixture
def table() -> AblationTable:
    rows = [
        row("mixste", "none", (0, 1), s0=100.0, s1=110.0),
        row("mixste", "kpa", (0, 1), s0=90.0, s1=104.0),
        row("other", "none", (0, 1), s1=50.0),
        row("other", "kpa", (0, 1), s0=1.0, s1=45.0),
        row("third", "none", (0, 1)),
        row("third", "kpa", (0, 1), s0=7.0),
        row("ridge", None, (0,), s0=200.0),
    ]
    return AblationTable(rows, "none", ["first note", "second note"])


def test_the_spread_of_seeds() -> None:
    assert math.isnan(spread([])) and math.isnan(spread([3.0]))
    assert spread([3.0, 8.0]) == 2.5, "half the range"
    assert spread([1.0, 2.0, 3.0, 4.0]) == pytest.approx(math.sqrt(5 / 3)), "sample standard deviation"


def test_means_and_differences_seed_by_seed(table: AblationTable) -> None:
    plain, kpa, other, other_kpa, third, third_kpa, ridge = table.rows
    assert (plain.mean("mpjpe"), plain.spread("mpjpe"), kpa.mean("p_mpjpe")) == (105.0, 5.0, 194.0)
    assert table.difference(kpa, "mpjpe") == -8.0 and table.difference(kpa, "mpjve") == pytest.approx(-0.8)
    assert table.difference(other_kpa, "mpjpe") == -5.0, "over the seed that both have, not of the means"
    for one in (plain, other, third, third_kpa, ridge):
        assert math.isnan(table.difference(one, "mpjpe"))
    assert (table.done, table.cells) == (9, 13)


def test_the_text_marks_what_is_missing_and_lists_every_seed(table: AblationTable) -> None:
    lines = to_text(table).splitlines()
    assert lines[0].startswith("9 of 13 cells done; test clips, last weights")
    assert lines[2].split()[:6] == ["host", "prior", "seeds", "MPJPE", "mm", "to"]
    by_name = {tuple(line.split()[:2]): line for line in lines if line}
    assert "2/2  105.0 ± 5.0" in by_name["mixste", "none"] and "-8.0" in by_name["mixste", "kpa"]
    assert by_name["third", "none"].count("not run") == 3 and "0/2" in by_name["third", "none"]
    assert "1,234" in by_name["ridge", "-"] and "0.25" in by_name["ridge", "-"] and "3.0 s" in by_name["ridge", "-"]
    assert "mixste/kpa          90.0, 104.0" in lines and lines[-2:] == ["first note", "second note"]


def test_the_markdown_is_a_table(table: AblationTable) -> None:
    lines = to_markdown(table).splitlines()
    head, rule, *rows = [line for line in lines if line.startswith("|")]
    names = [cell.strip() for cell in head.strip("|").split("|")]
    assert names[:4] == ["host", "prior", "MPJPE mm (each seed)", "to none"]
    assert all(set(cell) <= set("-:") for cell in rule.strip("|").split("|"))
    assert {len(line.strip("|").split("|")) for line in (head, rule, *rows)} == {len(names)}
    cells = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in rows]
    assert len(rows) == len(table.rows)
    assert cells[1][:4] == ["mixste", "kpa", "97.0 ± 7.0 (90.0, 104.0)", "-8.0"]
    assert cells[4][2] == "not run" and cells[6][1] == ""


def test_the_csv_has_a_column_a_seed(table: AblationTable) -> None:
    rows = list(csv.DictReader(to_csv(table).splitlines()))
    assert [(one["host"], one["prior"]) for one in rows][-1] == ("ridge", "")
    assert float(rows[1]["mpjpe_mean"]) == 97.0 and float(rows[1]["mpjpe_difference"]) == -8.0
    assert (float(rows[1]["mpjpe_seed0"]), float(rows[1]["mpjpe_seed1"])) == (90.0, 104.0)
    assert rows[4]["mpjpe_mean"] == rows[4]["parameters"] == rows[0]["mpjpe_difference"] == ""
    assert rows[0]["flops"] == "5000000"


def test_all_forms_are_written_and_agree(table: AblationTable, tmp_path: Path) -> None:
    paths = save_tables(table, tmp_path / "new")
    assert {path.name for path in paths} == {f"table.{suffix}" for suffix in ("txt", "csv", "json", "md")}
    assert {path.name for path in (tmp_path / "new").iterdir()} == {path.name for path in paths}
    content = json.loads((tmp_path / "new" / "table.json").read_text(encoding="utf-8"))
    assert content == to_dict(table)
    assert content["rows"][1]["mpjpe"] == {
        "mean": 97.0,
        "spread": 7.0,
        "difference": -8.0,
        "by_seed": {"0": 90.0, "1": 104.0},
    }
    assert content["rows"][4]["mpjpe"]["mean"] is None and content["units"]["mpjve"] == "mm/frame"


def test_a_grid_without_a_reference_has_no_differences(table: AblationTable) -> None:
    bare = AblationTable(table.rows, None, [])
    assert "to none" not in to_text(bare) and "to none" not in to_markdown(bare)
    assert all(math.isnan(bare.difference(one, "mpjpe")) for one in bare.rows)


def test_nothing_done_yet_is_a_table_too(tmp_path: Path) -> None:
    cells = [
        Cell("mixste", prior, 0, TrainConfig.from_dict({"run": {"output": str(tmp_path)}})) for prior in ("none", "kpa")
    ]
    table = read_table(cells, "none")
    assert (table.done, table.cells) == (0, 2)
    assert to_text(table).count("not run") == 6


def test_cells_measured_on_different_clips_share_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    record = row("a", "none", (0,), s0=1.0).records[0]

    def read(folder: Path) -> tuple[CellRecord, dict[str, object]]:
        overall = {"mpjpe": 1.0, "p_mpjpe": 1.0, "mpjve": 1.0}
        return record, {"dataset": {"fingerprint": folder.name}, "overall": overall, "versions": {}, "repository": None}

    monkeypatch.setattr("graphpose.analysis.ablation_table.read_cell", read)
    cells = [Cell("a", "none", seed, TrainConfig.from_dict({"run": {"output": f"x/{seed}"}})) for seed in (0, 1)]
    with pytest.raises(DataError, match=r"a/none/seed0 and a/none/seed1 were measured on different clips"):
        read_table(cells, "none")
    assert read_table(cells[:1], "none").rows[0].values("mpjpe") == [1.0]


def test_unlike_budgets_places_and_single_frames_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    records = {
        "0": CellRecord("mixste", 10, 10, 27, "window", 10, 16, 0.25, 3.0, 1, 1, "cpu"),
        "1": CellRecord("videopose3d", 10, 10, 27, "centre", 10, 16, 0.25, 3.0, 1, 2, "cpu"),
        "2": CellRecord("ridge", 10, 10, 27, "window", 0, 16, None, 3.0, 1, 1, "cpu"),
    }
    result = {"dataset": {"fingerprint": "f"}, "overall": {"mpjpe": 1.0, "p_mpjpe": 1.0, "mpjve": 1.0}}
    monkeypatch.setattr(
        "graphpose.analysis.ablation_table.read_cell",
        lambda folder: (records[folder.name], {**result, "versions": {"torch": folder.name}}),
    )
    cells = [Cell(n, None, 0, TrainConfig.from_dict({"run": {"output": f"x/{n}"}})) for n in records]
    notes = "\n".join(read_table(cells, None).notes)
    assert "Trained unlike: 10 steps of 16 windows (0, 1); solved at once (2)." in notes
    assert "One frame a window, where the others give all: 1." in notes
    assert "cells at a time: 1; cpu, threads: 1, cells at a time: 2 (compare within one of them only)" in notes
    assert "different versions" in notes and "a difference may be chance" in notes


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.4, "59.4 s"),
        (61, "1 min 01 s"),
        (3599.6, "1 h 00 min"),
        (7260, "2 h 01 min"),
        (math.nan, "-"),
    ],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(0.0918, "0.092"), (3.0, "3"), (9.6, "9.6"), (1234567.8, "1,234,568")])
def test_counts_are_for_people(value: float, text: str) -> None:
    assert count(value) == text
