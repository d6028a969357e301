"""`graphpose train` hands over the recipe with what is replaced, and a resumed run keeps its settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from noted_engine import Interrupted, noted_engine, refused

from graphpose.cli.commands.train import ON_RESUME
from graphpose.cli.main import main
from graphpose.config import TrainConfig


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return noted_engine(monkeypatch)


def test_training_takes_the_recipe_and_what_is_replaced(
    engine: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--config demo --data a.npz --data=folder/b --data.frames 9 --model.options.channels 16 --output out"
    words += " --data.split.val 0.25 --data.split.test [x,y] --data.fps null --optim.lr 1e-4 --data.flip false"
    assert main(["train", *words.split()]) == 0
    config, resume = engine["train"]
    recipe = TrainConfig.from_yaml("demo")
    assert resume is None
    assert config.data.paths == ["a.npz", "folder/b"]
    assert (config.data.frames, config.data.fps, config.data.flip) == (9, None, False)
    assert (config.data.split.val, config.data.split.test, config.data.split.by) == (0.25, ["x", "y"], "file")
    assert config.model.options == {**recipe.model.options, "channels": 16}
    assert (config.run.output, config.run.max_steps, config.optim.lr) == ("out", recipe.run.max_steps, 1e-4)
    out = capsys.readouterr().out
    assert "mpjpe 51.25" in out
    assert "graphpose evaluate run/best.safetensors" in out


@pytest.mark.parametrize("name", ["ridge", "mixste"])  # of other options, and of the same
def test_another_model_than_the_recipes_takes_none_of_its_options(
    name: str, engine: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--config", "demo", "--data", "x", "--model.name", name]
    assert main(words) == 0
    assert (engine["train"][0].model.name, engine["train"][0].model.options) == (name, {})
    assert capsys.readouterr().err == (
        f"graphpose: note: {name} takes its own defaults, not the options of the model in demo: channels 64, depth 2, "
        "heads 8, mlp_ratio 2.0, drop_path 0.1\n"
    )
    assert main([*words, "--model.options.alpha", "2"]) == 0
    assert engine["train"][0].model.options == {"alpha": 2}


def test_the_same_model_keeps_the_recipes_options_and_empty_ones_clear_them(
    engine: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--config", "demo", "--data", "x"]
    assert main([*words, "--model.name", "ktpformer"]) == 0
    assert engine["train"][0].model == TrainConfig.from_yaml("demo").model
    for more in ([], ["--model.name", "ridge"]):
        assert main([*words, "--model.options", "{}", *more]) == 0
        assert engine["train"][0].model.options == {}
    assert capsys.readouterr().err == "", "what was asked for needs no note"


def test_an_unknown_model_is_told_without_a_note(engine: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, 1, "train", "--config", "demo", "--data", "x", "--model.name", "rigde")
    assert line.startswith("unknown model 'rigde' (did you mean 'ridge'?)")


def test_modules_of_ones_own_are_imported_and_recorded(
    engine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    for name in ("first_own", "second_own"):
        Path(f"{name}.py").write_text("")
        monkeypatch.delitem(sys.modules, name, raising=False)
    words = ["train", "--config", "demo", "--data", "x"]
    assert main([*words, "--import", "first_own,second_own"]) == 0
    config = engine["train"][0]
    assert config.run.imports == ["first_own", "second_own"]
    assert {"first_own", "second_own"} <= sys.modules.keys()
    config.to_yaml("config.yaml")
    for name in ("first_own", "second_own"):
        monkeypatch.delitem(sys.modules, name)
    assert main(["train", "--resume", "."]) == 0
    assert {"first_own", "second_own"} <= sys.modules.keys(), "a resumed run imports them by itself"
    for command in ("evaluate a", "predict a b c", "model list", "model describe ridge"):
        monkeypatch.delitem(sys.modules, "first_own", raising=False)
        assert main([*command.split(), "--import", "first_own"]) == 0
        assert "first_own" in sys.modules
        line = refused(capsys, 1, *command.split(), "--import", "third_own")
        assert line.startswith(
            f"--import: no module 'third_own' on Python's path or in the current folder, {tmp_path};"
        )


@pytest.mark.parametrize(("words", "progress"), [("", "lines"), ("--progress", True), ("--no-progress", False)])
def test_a_bar_is_for_terminals(words: str, progress: bool | str, engine: dict[str, Any]) -> None:
    assert main(["train", "--config", "demo", "--data", "x", *words.split()]) == 0
    assert engine["progress"] == progress


def test_resuming_keeps_the_settings_of_the_run(engine: dict[str, Any], tmp_path: Path) -> None:
    kept = TrainConfig.from_dict({"data": {"paths": ["a"], "frames": 5}, "run": {"seed": 3, "output": "elsewhere"}})
    kept.to_yaml(tmp_path / "config.yaml")
    assert main(["train", "--resume", str(tmp_path), "--run.max_epochs", "4"]) == 0
    config, resume = engine["train"]
    assert resume == str(tmp_path)
    assert (config.data.frames, config.run.seed, config.run.max_epochs) == (5, 3, 4)
    assert config.run.output == str(tmp_path), "a run that was moved goes on where it is"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--output elsewhere", "--run.output"),
        ("--optim.lr 1", "--optim.lr"),
        ("--run.seed 1 --model.options.channels 8 --run.max_epochs 9", "--run.seed, --model.options"),
        ("--data.split.test [x]", "--data.split.test"),
        ("--run.devices 2", "--run.devices"),
    ],
)
def test_resuming_refuses_settings_that_would_make_another_run(
    words: str, named: str, engine: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TrainConfig.from_dict({"data": {"paths": ["a"]}}).to_yaml(tmp_path / "config.yaml")
    line = refused(capsys, 2, "train", "--resume", str(tmp_path), *words.split())
    assert line.startswith(f"{named}: a resumed run keeps its settings; only these can be given anew: --data.paths, ")
    assert engine == {}


def test_every_setting_that_a_resumed_run_may_change_is_taken(engine: dict[str, Any], tmp_path: Path) -> None:
    TrainConfig.from_dict({"data": {"paths": ["a"]}}).to_yaml(tmp_path / "config.yaml")
    given = {
        "data.paths": ["b"],
        "data.skeleton": "moved.yaml",
        "data.mapping": "moved_to.yaml",
        "data.workers": 1,
        **{
            f"run.{name}": 2
            for name in ("max_epochs", "max_steps", "patience", "log_every", "save_every", "keep_every")
        },
        "run.accelerator": "cpu",
        "run.strategy": "ddp",
        "run.imports": ["json"],
    }
    assert set(given) == set(ON_RESUME)
    words = [f"--{name}={value}" for name, value in given.items()]
    assert main(["train", "--resume", str(tmp_path), *words]) == 0
    values = engine["train"][0].to_dict()
    assert {name: values[name.partition(".")[0]][name.partition(".")[2]] for name in given} == given


def test_one_of_several_processes_speaks(engine: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    engine["main_process"] = False
    assert main(["train", "--config", "demo", "--data", "x"]) == 0
    assert capsys.readouterr().out == ""


def test_a_stopped_training_says_how_to_go_on(
    engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise Interrupted("interrupted; continue with --resume runs/x")

    monkeypatch.setattr(sys.modules["graphpose.engine"], "train", stop)
    line = refused(capsys, 130, "train", "--config", "demo", "--data", "x")
    assert line == "interrupted; continue with --resume runs/x"


def test_settings_survive_the_way_through_a_file(engine: dict[str, Any], tmp_path: Path) -> None:
    assert main(["train", "--config", "cmu_lift_mixste", "--data", "a", "--data.noise", "0.01"]) == 0
    first, _ = engine["train"]
    first.to_yaml(tmp_path / "mine.yaml")
    assert yaml.safe_load((tmp_path / "mine.yaml").read_text())["data"]["noise"] == 0.01
    assert main(["train", "--config", str(tmp_path / "mine.yaml")]) == 0
    assert engine["train"][0] == first
