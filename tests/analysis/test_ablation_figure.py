"""The picture of an ablation: what is drawn, row by row, and that it becomes a file."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from graphpose.analysis.ablation_table import AblationTable, Row
from graphpose.engine.ablation_cell import CellRecord

pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")

from graphpose.analysis.ablation_figure import ablation_figure, draw_ablation


def row(host: str, prior: str | None, *values: float) -> Row:
    record = CellRecord("mixste", 1234, 5_000_000, 27, "window", 10, 16, 0.25, 3.0, 1, 1, "cpu")
    seeds = range(len(values))
    figures = {seed: {"mpjpe": v, "p_mpjpe": v / 2, "mpjve": v / 10} for seed, v in enumerate(values)}
    return Row(host, prior, (0, 1), dict.fromkeys(seeds, record), figures)


ROWS = [
    row("mixste", "none", 100.0, 110.0),
    row("mixste", "both", 90.0, 95.0),
    row("other", "none", 120.0),
    row("other", "both"),
    row("ridge", None, 900.0),
    row("near", None, 105.0),
]


def test_rows_marks_and_references_are_drawn() -> None:
    figure = ablation_figure(AblationTable(ROWS, "none", []))
    panels = figure.axes
    assert [axes.get_title(loc="left") for axes in panels[:3]] == ["MPJPE in mm", "P-MPJPE in mm", "MPJVE in mm/frame"]
    labels = ["mixste  none", "mixste  both", "other  none", "other  both", "ridge", "near"]
    assert [text.get_text() for text in panels[0].get_yticklabels()] == labels
    for axes, scale in zip(panels, (1.0, 0.5, 0.1), strict=False):
        lines = {
            kind: [line for line in axes.get_lines() if line.get_gid() == kind]
            for kind in ("seeds", "reference", "beyond")
        }
        assert [list(line.get_xdata()) for line in lines["seeds"]] == [
            [100.0 * scale, 110.0 * scale],
            [90.0 * scale, 95.0 * scale],
        ]
        assert len({line.get_marker() for line in lines["seeds"]}) == 2, "told apart without colour"
        assert [line.get_xdata()[0] for line in lines["reference"]] == pytest.approx([105.0 * scale, 120.0 * scale])
        assert [line.get_marker() for line in lines["beyond"]] == [">"], "ridge would squeeze the others"
        assert axes.get_xlim()[1] < 200 * scale
    told = [text.get_text() for text in panels[0].texts]
    assert told == ["105.0", "92.5 (-12.5)", "120.0", "not run", "900.0", "105.0"]
    assert [text.get_text() for text in panels[3].texts[:6]] == ["parameters", "MFLOPs", "s/step", "1,234", "5", "0.25"]
    assert "arrow: beyond the axis" in str(figure.get_supxlabel())


def test_groups_stand_apart() -> None:
    figure = ablation_figure(AblationTable(ROWS, "none", []))
    places = figure.axes[0].get_yticks()
    gaps = [round(after - before, 6) for before, after in itertools.pairwise(places)]
    assert gaps == [1.0, 1.7, 1.0, 1.7, 1.0]


@pytest.mark.parametrize(
    "rows",
    [ROWS, ROWS[:1], ROWS[3:4], ROWS[4:5], [row("$x", "a_$b", 1.0, 1.0)], [row("h", f"p{i}", 5.0) for i in range(9)]],
)
def test_every_table_becomes_a_file(rows: list[Row], tmp_path: Path) -> None:
    for reference in ("none", None):
        path = draw_ablation(AblationTable(rows, reference, []), tmp_path / "new" / "figure.png", dpi=40)
        assert path.read_bytes().startswith(b"\x89PNG")
    assert [found.name for found in path.parent.iterdir()] == ["figure.png"]
