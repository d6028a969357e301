"""`graphpose ablate` from the command line: a grid on the bundled clips, gone on with, stopped, refused, and told in one line."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from graphpose.cli.main import main
from graphpose.engine.lifting_module import LiftingModule
from graphpose.nn import prior_specification

pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
GRID: dict[str, Any] = {
    "base": {
        "data": {
            "frames": 9,
            "batch_size": 4,
            "views": {"azimuths": [30.0]},
            "split": {"by": "file", "test": ["jump"], "val": 0.0},
        },
        "model": {"name": "mixste", "options": {"channels": 8, "depth": 1, "heads": 2}},
        "run": {"max_epochs": None, "max_steps": 4, "accelerator": "cpu"},
    },
    "hosts": {"mixste": {}},
    "priors": {"none": {}, "kpa": {"prior": "kpa"}},
    "extra": {"ridge": {"name": "ridge"}},
}


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a grid and a few of the bundled clips, in which the command runs."""
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(GRID, sort_keys=False))
    (tmp_path / "clips").mkdir()
    for name in ("walk", "run", "jump"):
        (tmp_path / "clips" / f"{name}.bvh").write_bytes((SAMPLES / f"{name}.bvh").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ablate(*words: str, config: str = "grid.yaml", data: str = "clips") -> int:
    return main(["ablate", "--config", config, "--data", data, "--output", "out", *words])


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """The one line on stderr of a call that has to end with `code`."""
    assert main(["ablate", *words]) == code
    [line] = capsys.readouterr().err.splitlines()
    return line.removeprefix("graphpose: error: ")


def test_a_grid_is_run_told_and_gone_on_with(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ablate("--only", "*/none", "ridge") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[1/2] mixste/none/seed0: MPJPE ") and " left" in lines[0]
    assert lines[1].startswith("[2/2] ridge/seed0: MPJPE ") and " left" not in lines[1]
    table = "\n".join(lines)
    assert "2 of 3 cells done" in table and "not run" in table
    assert lines[-1] == "tables and picture: out"
    out = workplace / "out"
    wanted = {"ablation.yaml", "figure.png", *(f"table.{suffix}" for suffix in ("txt", "csv", "json", "md"))}
    assert {path.name for path in out.iterdir() if path.is_file()} == wanted
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert main(["ablate", "--config", "out/ablation.yaml"]) == 0, "the output folder knows its settings"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[3/3] mixste/kpa/seed0: MPJPE ")
    rows = json.loads((out / "table.json").read_text(encoding="utf-8"))["rows"]
    assert [row["seeds_done"] for row in rows] == [1, 1, 1]
    assert rows[1]["mpjpe"]["difference"] == pytest.approx(rows[1]["mpjpe"]["mean"] - rows[0]["mpjpe"]["mean"])

    for cells in (["mixste/none/seed0", "mixste/kpa/seed0"],):  # the other commands work on the cells
        assert main(["compare", *(str(out / cell) for cell in cells)]) == 0
        text = capsys.readouterr().out
        assert f"{rows[0]['mpjpe']['mean']:.2f}" in text and f"{rows[1]['mpjpe']['mean']:.2f}" in text
    assert main(["train", "--resume", "out/mixste/kpa/seed0"]) == 0
    assert "nothing to train, the run is at its end" in capsys.readouterr().out


def test_other_settings_are_refused_and_nothing_is_touched(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ablate("--only", "ridge", "--no-figure") == 0
    assert not (workplace / "out" / "figure.png").exists()
    before = {path: path.read_bytes() for path in (workplace / "out").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert ablate("--optim.lr", "0.5") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "ridge/seed0 holds a run with other settings: optim.lr 8e-05 there, 0.5 here; give another --output" in line
    assert {path: path.read_bytes() for path in (workplace / "out").rglob("*") if path.is_file()} == before


def test_a_cell_that_fails_is_told_at_the_end(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = LiftingModule.training_step

    def failing(self: LiftingModule, batch: Any, batch_idx: int) -> Any:
        if self.model.config.prior == "kpa":
            raise RuntimeError("out of luck")
        return whole(self, batch, batch_idx)

    monkeypatch.setattr(LiftingModule, "training_step", failing)
    assert ablate() == 1
    captured = capsys.readouterr()
    assert "[2/3] mixste/kpa/seed0: failed: RuntimeError: out of luck" in captured.out
    assert "2 of 3 cells done" in captured.out
    assert captured.err.splitlines()[-1] == (
        "graphpose: error: mixste/kpa/seed0 failed: RuntimeError: out of luck; see " + str(Path("out/mixste/kpa/seed0"))
    )


def test_ctrl_c_says_how_to_go_on(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = LiftingModule.training_step

    def stopped(self: LiftingModule, batch: Any, batch_idx: int) -> Any:
        if self.model.config.prior == "kpa" and self.global_step == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return whole(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(LiftingModule, "training_step", stopped)
        assert ablate("--only", "mixste", "*/kpa") == 130
    line = capsys.readouterr().err.splitlines()[-1]
    kept = workplace / "out" / "ablation.yaml"
    told = f"graphpose ablate --config {kept} --only mixste '*/kpa'"
    assert line == f"graphpose: error: interrupted, 1 of 2 cells are done; go on with {told}"
    assert "1 of 3 cells done" in (workplace / "out" / "table.txt").read_text(encoding="utf-8")
    assert main(["ablate", "--config", str(kept), "--only", "mixste", "*/kpa"]) == 0
    assert capsys.readouterr().out.startswith("[2/2] mixste/kpa/seed0: MPJPE ")


def test_priors_of_ones_own_reach_every_process_and_the_way_on(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prior_specification, "_OWN", {})
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.delitem(sys.modules, "ablated_prior", raising=False)
    (workplace / "ablated_prior.py").write_text(
        "from graphpose.nn.priors import KinematicPrior\n"
        "from graphpose.nn.prior_specification import register_prior\n"
        "register_prior('mine', 'joints')(lambda a, b, skeleton: KinematicPrior(a, b, skeleton))\n"
    )
    priors = {"none": {}, "mine": {"prior": "mine"}}
    (workplace / "own.yaml").write_text(yaml.safe_dump({**GRID, "priors": priors, "extra": {}}, sort_keys=False))
    assert ablate(config="own.yaml") == 1
    assert "mixste/mine: " in (line := capsys.readouterr().err) and "unknown prior 'mine'" in line
    assert ablate("--import", "ablated_prior", "--jobs", "2", "--no-figure", config="own.yaml") == 0
    assert "2 of 2 cells done" in capsys.readouterr().out
    monkeypatch.setattr(prior_specification, "_OWN", {})
    monkeypatch.delitem(sys.modules, "ablated_prior")
    assert main(["ablate", "--config", "out/ablation.yaml", "--no-figure"]) == 0, "the kept settings name the module"
    assert main(["train", "--resume", "out/mixste/mine/seed0"]) == 0


def test_it_needs_the_clips_and_nothing_is_written_without(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, 1, "--config", "grid.yaml", "--output", "out")
    assert line == "data.paths: expected clips to train on; give --data FILE_OR_FOLDER"
    assert not (workplace / "out").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("", 2, "--config: expected an ablation: cmu_lift_ablation, demo_ablation"),
        ("--config demo_ablatio", 1, "unknown ablation 'demo_ablatio' (did you mean 'demo_ablation'?)"),
        ("--config nowhere/x.yaml", 1, "nowhere/x.yaml: no such file; bundled ablations are cmu_lift_ablation"),
        ("--config demo", 1, "unknown ablation 'demo'"),
        ("--config demo_ablation --run.seed 3", 2, "--run.seed: the seeds are those of the config"),
        ("--config demo_ablation --run.output x", 2, "--run.output: each cell has a folder of its own; --output says"),
        ("--config demo_ablation --jobs 0", 2, "--jobs: expected at least 1 (got 0)"),
        ("--config demo_ablation --jobs two", 2, "--jobs: expected a whole number (got two)"),
        ("--config demo_ablation --onyl x", 2, "unknown option '--onyl' (did you mean '--only'?)"),
        (
            "--config demo_ablation --model.name x",
            2,
            "--model.name: the models of an ablation stand in its file, under hosts and priors; see graphpose ablate --help",
        ),
        ("--config demo_ablation --import no_such", 1, "--import: no module 'no_such' on Python's path or in the"),
        ("--config demo_ablation --data x --only mixst", 1, "--only: unknown cell 'mixst' (did you mean 'mixste'?)"),
        (
            "--config demo_ablation --data x --optim.lr 0",
            1,
            "hosts.mixste: optim.lr: expected a number above 0 (got 0.0)",
        ),
        ("--config bad.yaml", 1, "bad.yaml: unknown key 'hostz' (did you mean 'hosts'?)"),
        ("--config twice.yaml", 1, "twice.yaml:2: 'seeds' stands twice"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: str, code: int, message: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "bad.yaml").write_text("hostz: {}\n")
    (workplace / "twice.yaml").write_text("seeds: [1]\nseeds: [2]\n")
    assert refused(capsys, code, *words.split()).startswith(message)
    assert not (workplace / "runs").exists()


def test_the_help_names_the_bundled_ablations_and_no_inner_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ablate", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "bundled ablation (cmu_lift_ablation, demo_ablation)" in text
    assert "--cell" not in text
    assert "(type: float, default: as in the config)" in text


def test_without_matplotlib_it_is_said_before_the_work(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert ablate() == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "the picture (--no-figure leaves it out) needs matplotlib" in line and "graphpose[viz]" in line
    assert not (workplace / "out").exists()
