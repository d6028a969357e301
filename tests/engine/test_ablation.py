"""An ablation's cells: trained once, resumed where they stopped, refused under other settings, told when they fail."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from graphpose.analysis.ablation_table import read_table
from graphpose.config import AblationConfig, Cell, EvaluateConfig
from graphpose.engine import evaluate, train
from graphpose.engine.ablation import Finished, check_cells, run_cells, write_config
from graphpose.engine.ablation_cell import attempt, read_cell
from graphpose.engine.lifting_module import LiftingModule
from graphpose.engine.step_times import training_time
from graphpose.errors import ConfigError, FormatError
from graphpose.models import load

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
SETTINGS: dict[str, Any] = {
    "base": {
        "data": {
            "paths": [str(SAMPLES / f"{name}.bvh") for name in ("walk", "run", "jump")],
            "frames": 9,
            "batch_size": 4,
            "views": {"azimuths": [30.0]},
            "split": {"by": "file", "test": ["jump"], "val": 0.0},
        },
        "model": {"name": "mixste", "options": {"channels": 8, "depth": 1, "heads": 2}},
        "run": {"max_epochs": None, "max_steps": 5, "accelerator": "cpu", "log_every": 1},
    },
    "hosts": {"mixste": {}},
    "priors": {"none": {}, "both": {"prior": "kpa+tpa"}},
    "seeds": [0, 1],
}


def grid(output: Path, **changes: Any) -> AblationConfig:
    return AblationConfig.from_dict({**SETTINGS, **changes, "output": str(output)})


def run(config: AblationConfig) -> list[Finished]:
    return list(run_cells(check_cells(config)))


def weights(cell: Cell) -> dict[str, torch.Tensor]:
    return load_file(cell.folder / "last.safetensors")


def assert_same_weights(cells: list[Cell], others: list[Cell]) -> None:
    for cell, other in zip(cells, others, strict=True):
        mine, theirs = weights(cell), weights(other)
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            assert torch.equal(value, theirs[key]), f"{cell.name}: {key}"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> AblationConfig:
    """A grid of four cells and two extra rows, run to its end."""
    extra = {"ridge": {"name": "ridge", "seeds": [0]}, "short": {"data": {"frames": 5}, "seeds": [3]}}
    config = grid(tmp_path_factory.mktemp("ablation") / "out", extra=extra)
    ended = run(config)
    assert [(one.number, one.total, one.error) for one in ended] == [(n, 6, None) for n in range(1, 7)]
    assert [one.cell.name for one in ended][-3:] == ["mixste/both/seed1", "ridge/seed0", "short/seed3"]
    assert ended[0].remaining > 0 and ended[-1].remaining == 0
    return config


def test_each_cell_is_a_run_folder_with_its_result(done: AblationConfig) -> None:
    for cell in done.cells():
        names = {path.name for path in cell.folder.iterdir()}
        assert names >= {"config.yaml", "best.safetensors", "last.safetensors", "evaluation.json", "cell.json"}
        assert "error.txt" not in names
        assert ("last.ckpt" in names) == (cell.host != "ridge")
        assert not check_cells(done)[0].config.run.output.endswith("seed1")


def test_the_table_holds_what_evaluate_says(done: AblationConfig) -> None:
    table = read_table(done.cells(), done.reference)
    assert (table.done, table.cells) == (6, 6)
    for row in table.rows:
        for seed in row.seeds:
            [cell] = [cell for cell in done.cells() if (cell.row, cell.seed) == ((row.host, row.prior), seed)]
            config = EvaluateConfig(part="test", accelerator="cpu")
            overall = evaluate(cell.folder / "last.safetensors", config, progress=False).table().overall()
            assert row.figures[seed] == {name: overall[name] for name in ("mpjpe", "p_mpjpe", "mpjve")}
            parameters = load(cell.folder / "last.safetensors").parameters()
            assert row.records[seed].parameters == sum(one.numel() for one in parameters)


def test_the_records_say_what_a_cell_costs(done: AblationConfig) -> None:
    records = {cell.name: read_cell(cell.folder)[0] for cell in done.cells()}  # type: ignore[index]
    plain, both, ridge = (records[name] for name in ("mixste/none/seed0", "mixste/both/seed0", "ridge/seed0"))
    assert (plain.steps, plain.batch_size, plain.frames, plain.lifts) == (5, 4, 9, "window")
    assert plain.parameters < both.parameters and 0 < plain.flops < both.flops
    assert plain.seconds_a_step is not None and plain.training_seconds is not None
    assert 0 < plain.seconds_a_step <= plain.training_seconds
    assert (ridge.steps, ridge.seconds_a_step) == (0, None)
    assert records["short/seed3"].frames == 5


def test_done_cells_stay_as_they_are(done: AblationConfig) -> None:
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in Path(done.output).rglob("*") if path.is_file()}

    before = state()
    assert run(done) == []
    assert state() == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"override": {"optim": {"lr": 0.5}}}, "optim.lr 8e-05 there, 0.5 here"),
        ({"override": {"run": {"max_steps": 6}}}, "run.max_steps 5 there, 6 here"),
        ({"priors": {"none": {}, "both": {"prior": "kpa"}}}, "model.options.prior 'kpa+tpa' there, 'kpa' here"),
        ({"hosts": {"mixste": {"options": {"mlp_ratio": 3.0}}}}, "model.options.mlp_ratio not set there, 3.0 here"),
    ],
)
def test_cells_of_other_settings_are_refused(done: AblationConfig, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_cells(grid(Path(done.output), **changes))
    text = str(error.value)
    assert text.count("with other settings: ") == text.count(told) == 1, "said once, however many cells it is about"
    assert text.count("more of 4 cells hold runs") == 1
    assert "give another --output" in str(error.value)


def test_where_a_cell_runs_makes_no_other_cell(
    done: AblationConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    override = {"run": {"accelerator": "auto", "log_every": 3}, "data": {"workers": 1}}
    assert run(grid(Path(done.output), override=override)) == []
    monkeypatch.chdir(SAMPLES)
    relative = ["walk.bvh", "run.bvh", "jump.bvh"]
    assert run(grid(Path(done.output), override={"data": {"paths": relative}})) == []


def test_a_grid_can_grow(tmp_path: Path) -> None:
    assert len(run(grid(tmp_path, priors={"none": {}}, seeds=[0]))) == 1
    ended = run(grid(tmp_path, seeds=[0]))
    assert [(one.cell.name, one.number, one.total) for one in ended] == [("mixste/both/seed0", 2, 2)]


def test_an_interrupted_cell_goes_on_and_ends_as_if_nothing_had_happened(
    done: AblationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = grid(tmp_path)
    cells = check_cells(config)
    whole = LiftingModule.training_step

    def stopped(self: LiftingModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == 2 and self.seed == 1:
            os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C
        return whole(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(LiftingModule, "training_step", stopped)
        ended = run_cells(cells)
        assert next(ended).cell.name == "mixste/none/seed0"
        with pytest.raises(KeyboardInterrupt):
            next(ended)
    time_before = training_time(cells[1].folder)
    assert time_before is not None and time_before.steps == 3
    assert [read_cell(cell.folder) is not None for cell in cells] == [True, False, False, False]
    assert [one.cell.name for one in run(config)] == ["mixste/none/seed1", "mixste/both/seed0", "mixste/both/seed1"]
    assert_same_weights(cells, done.cells()[:4])
    time_after = training_time(cells[1].folder)
    assert time_after is not None and time_after.steps == 5 and time_after.seconds > time_before.seconds


def test_a_cell_that_was_trained_but_not_measured_is_only_measured(done: AblationConfig, tmp_path: Path) -> None:
    [cell] = check_cells(grid(tmp_path, priors={"none": {}}, seeds=[0]))
    train(cell.config, progress=False)
    trained = (cell.folder / "last.ckpt").stat().st_mtime_ns
    assert read_cell(cell.folder) is None
    assert [one.error for one in run_cells([cell])] == [None]
    assert (cell.folder / "last.ckpt").stat().st_mtime_ns == trained
    found = read_cell(cell.folder)
    assert found is not None and found[0].steps == 5 and found[0].seconds_a_step is not None


def test_a_failing_cell_is_told_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = grid(tmp_path, seeds=[0])
    whole = LiftingModule.training_step

    def failing(self: LiftingModule, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.model.config.prior is None:
            raise RuntimeError("out of\nluck")
        return whole(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(LiftingModule, "training_step", failing)
        first, second = run(config)
    assert (first.error, second.error) == ("RuntimeError: out of luck", None)
    written = (first.cell.folder / "error.txt").read_text().splitlines()
    assert written[0] == "RuntimeError: out of luck" and written[2].startswith("Traceback")
    [again] = run(config)
    assert (again.cell.name, again.error) == (first.cell.name, None)
    assert not (first.cell.folder / "error.txt").exists()


def test_bad_models_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    hosts = {"a": {"name": "mixst"}, "b": {"options": {"chanels": 8}}, "c": {"options": {"heads": 3}}}
    with pytest.raises(ConfigError) as error:
        check_cells(grid(tmp_path / "out", hosts=hosts, priors={"none": {}}))
    for told in ("did you mean 'mixste'", "c/none: ", "channels divisible by heads", "did you mean 'channels'"):
        assert told in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_host_that_has_priors_by_itself_is_not_called_one_without(tmp_path: Path) -> None:
    hosts = {"ktpformer": {"name": "ktpformer"}}
    with pytest.raises(
        ConfigError, match=r"those of ktpformer are 'kpa.tpa' unless told otherwise: write none: {prior: null}"
    ):
        check_cells(grid(tmp_path, hosts=hosts))
    check_cells(grid(tmp_path, hosts=hosts, priors={"none": {"prior": None}, "both": {"prior": "kpa+tpa"}}))


def test_a_cell_that_another_process_runs_is_left_to_it(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no file locks here")
    [cell] = check_cells(grid(tmp_path, priors={"none": {}}, seeds=[0]))
    cell.folder.mkdir(parents=True)
    with (cell.folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another process runs this cell" in str(attempt(cell))
    assert attempt(cell) is None


def test_a_file_in_the_place_of_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mixste").write_text("")
    [cell] = check_cells(grid(tmp_path, priors={"none": {}}, seeds=[0]))
    assert "expected a folder" in str(attempt(cell))


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"format": "graphpose ablation cell", "schema": 2}', '{"format": "x", "schema": 1}']
)
def test_a_damaged_record_is_named(damage: str, tmp_path: Path) -> None:
    for name in ("last.safetensors", "evaluation.json"):
        (tmp_path / name).write_text("")
    (tmp_path / "cell.json").write_text(damage)
    with pytest.raises(FormatError, match=r"cell\.json: .*remove the file to measure the cell again"):
        read_cell(tmp_path)


def test_cells_in_processes_of_their_own_stop_together_and_go_on(tmp_path: Path) -> None:
    """Stopped in the middle, two at a time; what they become is what one process makes of them, bit for bit."""
    longer = {"run": {"max_steps": 40}}
    config = grid(tmp_path / "two", override=longer, seeds=[0])
    cells = check_cells(config)
    ended = run_cells(cells, jobs=2, config=write_config(config))
    result: list[Finished] = []
    stop_when(lambda: any((cell.folder / "last.ckpt").is_file() for cell in cells), ended, result)
    assert not result
    begun = [cell for cell in cells if (cell.folder / "last.ckpt").is_file()]
    assert begun and any("stopping after this step" in (cell.folder / "log.txt").read_text() for cell in begun)
    assert all(read_cell(cell.folder) is None for cell in cells)
    assert [one.error for one in run_cells(cells)] == [None, None]
    straight = check_cells(grid(tmp_path / "one", override=longer, seeds=[0]))
    assert [one.error for one in run_cells(straight)] == [None, None]
    assert_same_weights(cells, straight)


def stop_when(condition: Callable[[], bool], ended: Any, result: list[Finished]) -> None:
    """Takes what `ended` gives until the condition holds, then stops it as Ctrl-C does."""
    pid = os.getpid()

    def interrupt(*_: object) -> None:
        if condition() or time.monotonic() > limit:
            signal.setitimer(signal.ITIMER_REAL, 0)
            os.kill(pid, signal.SIGINT)

    limit = time.monotonic() + 120
    alarm = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with pytest.raises(KeyboardInterrupt):
            result.extend(ended)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)


def test_a_process_that_fails_says_what_went_wrong(tmp_path: Path) -> None:
    """Clips that are gone when the cell starts, and a process that cannot even read its settings."""
    config = grid(tmp_path, override={"data": {"paths": [str(tmp_path / "gone.npz")]}}, seeds=[0])
    cells = check_cells(config)
    [gone] = run_cells(cells[:1], jobs=2, config=write_config(config))
    assert gone.error is not None and "gone.npz: no such file" in gone.error
    [lost] = run_cells(cells[1:], jobs=2, config=tmp_path / "nowhere.yaml")
    assert lost.error is not None and "its process ended with exit code 1; see" in lost.error
    assert json.dumps("nowhere.yaml")[1:-1] in (cells[1].folder / "log.txt").read_text()
