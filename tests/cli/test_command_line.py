"""The command line finds commands, answers a mistake with one line and an exit code, and hands over what was asked."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import graphpose
from graphpose.cli.commands.train import ON_RESUME
from graphpose.cli.discovery import commands
from graphpose.cli.main import main
from graphpose.config import EvaluateConfig, TrainConfig
from graphpose.errors import CheckpointError, SkeletonError

NAMES = {command.name for command in commands().values()}


class Interrupted(BaseException):
    """Stands for the engine's exception for a training that was stopped."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An engine that only notes what it is asked for: these tests are about the command line."""
    calls: dict[str, Any] = {}

    def train(config: TrainConfig, *, resume: str | None = None, progress: bool | str) -> Any:
        calls["train"] = (config, resume)
        calls["progress"] = progress
        return types.SimpleNamespace(
            folder="run",
            best="run/best.safetensors",
            last="run/last.safetensors",
            metrics={"mpjpe": 51.25},
            at_end="",
            main_process=calls.get("main_process", True),
        )

    def evaluate(checkpoint: str, config: EvaluateConfig, *, progress: bool) -> Any:
        calls["evaluate"] = (checkpoint, config)
        return types.SimpleNamespace(
            table=lambda: "MPJPE 51.2 mm",
            errors=types.SimpleNamespace(frames=1200),
            clips=[types.SimpleNamespace(view=view) for view in (0, 1)],
            save=lambda folder: calls.update(saved=folder),
            info={"part": "test", "data": ["clips"], "checkpoint": checkpoint},
            protocol="exact",
            flip=True,
        )

    def report_evaluation(evaluation: Any, path: str) -> None:
        calls["report"] = (evaluation.table(), path)

    def poster(examples: list[str], path: str) -> None:
        calls["poster"] = (examples, path)

    def predict_file(checkpoint: str, source: str, target: str, flip: bool = True) -> None:
        calls["predict"] = (checkpoint, source, target, flip)

    module = types.ModuleType("graphpose.engine")
    module.__dict__.update(train=train, evaluate=evaluate, predict_file=predict_file, TrainingInterrupted=Interrupted)
    monkeypatch.setattr("graphpose.analysis.report_evaluation", report_evaluation)
    monkeypatch.setattr("graphpose.analysis.telling_examples", lambda evaluation: [evaluation.table()])
    monkeypatch.setattr("graphpose.analysis.poster", poster)
    monkeypatch.setitem(sys.modules, "graphpose.engine", module)
    return calls


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """The one line on stderr of a call that has to end with `code`."""
    assert main(words) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("graphpose: error: ")
    return lines[0].removeprefix("graphpose: error: ")


def test_the_commands_are_these() -> None:
    expected = {
        "train",
        "ablate",
        "analyse",
        "compare",
        "evaluate",
        "predict",
        "skeleton list",
        "skeleton show",
        "skeleton check",
        "data info",
        "data check",
        "data convert",
        "data fetch",
        "data prepare",
        "model list",
        "model describe",
    }
    assert expected == NAMES


def test_the_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"graphpose {graphpose.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian", "unknown command 'trian' (did you mean 'train'?)"),
        ("skeleton lst", "unknown skeleton command 'lst' (did you mean 'list'?)"),
        ("train --data.framez 3", "unknown option '--data.framez' (did you mean '--data.frames'?)"),
        ("train --outptu x", "unknown option '--outptu' (did you mean '--output'?)"),
        ("train --data.frames three", "--data.frames: expected a whole number (got three)"),
        ("train --data.fps fast", "--data.fps: expected a number or null (got fast)"),
        (
            "train --run.precision 16-mix",
            "--run.precision: unknown precision '16-mix' (did you mean '16-mixed'?); choose from: 32-true, 64-true, ",
        ),
        (
            "train --run.precision 33",
            "--run.precision: unknown precision '33'; choose from: 32-true, 64-true, 16-mixed",
        ),
        ("train --run.devices al", "--run.devices: expected a whole number or one of ['auto'] (got al)"),
        ("train --data.split.test S9", "--data.split.test: expected a list such as [a, b] (got S9)"),
        ("train --data", "--data: expected a value"),
        ("train --run.output a --output b", "--output, short for --run.output: expected one value (got a and b)"),
        ("train --output=b --run.output=a", "--output, short for --run.output: expected one value (got b and a)"),
        ("train --data a --data.paths [b]", "--data is short for --data.paths: expected one of them, not both"),
        ("train --config demo --resume x --data x", "expected --config or --resume, not both"),
        ("train stray", "unexpected argument 'stray'"),
        ("evaluate", "the following arguments are required: checkpoint"),
        (
            "evaluate a --protocol publishd",
            "--protocol: unknown protocol 'publishd' (did you mean 'published'?); choose from: exact, published; see",
        ),
        ("evaluate a --part tset", "--part: unknown part 'tset' (did you mean 'test'?); choose from: all, train"),
        ("skeleton show a --mode 5", "--mode: unknown mode '5'; choose from: 2d, 3d"),
        ("predict a b", "the following arguments are required: output"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, 2, *words.split()).startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --config demmo --data x", "unknown recipe 'demmo' (did you mean 'demo'?)"),
        ("train --config demo", "data.paths: expected clips to train on; give --data FILE_OR_FOLDER"),
        ("train --config demo --data x --data.frames 0", "data.frames: expected at least 1 (got 0)"),
        ("train --resume nowhere", "nowhere: expected a run folder with a config.yaml to resume"),
        ("evaluate a --data.views.focal 0", "data.views.focal: expected a number above 0"),
        ("skeleton show h36m16", "unknown skeleton 'h36m16' (did you mean 'h36m17'?)"),
        ("skeleton show nowhere/x.yaml", "nowhere/x.yaml: "),
        ("skeleton check nowhere/x.yaml", "nowhere/x.yaml: "),
        ("model describe ktpforma", "unknown model 'ktpforma' (did you mean 'ktpformer'?)"),
        ("data info nowhere.bvh", "nowhere.bvh: no such file"),
    ],
)
def test_bad_input_is_exit_code_1(
    words: str, message: str, capsys: pytest.CaptureFixture[str], engine: dict[str, Any]
) -> None:
    assert refused(capsys, 1, *words.split()).startswith(message)
    assert engine == {}


@given(
    st.lists(
        st.sampled_from(
            ["--data", "--data.fps", "3", "[", "{a: 1", "--flip", "=", "--config", "demo", "\x00", "--", "-x"]
        )
    )
)
def test_no_argument_list_ends_in_a_traceback(words: list[str]) -> None:
    assert main(["skeleton", "list", "--nonsense", *words]) == 2
    assert main(["train", "--run.seed", "-1", *words]) in (1, 2)


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skeleton", "show", "h36m16", "--debug"]) == 1
    text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in text
    assert "SkeletonError" in text
    assert text.splitlines()[-1].startswith("graphpose: error: unknown skeleton")


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
        **{f"run.{name}": 2 for name in ("max_epochs", "max_steps", "patience", "log_every", "keep_every")},
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


def test_evaluating_hands_over_only_what_was_given(engine: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "best.safetensors"]) == 0
    assert engine["evaluate"] == ("best.safetensors", EvaluateConfig())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "test clips, protocol exact, averaged over the mirror image; clips; checkpoint best.safetensors; "
        "1 clip, 2 views, 1,200 frames"
    )
    assert lines[1] == "MPJPE 51.2 mm"
    assert "saved" not in engine
    words = "x --data b --data.views.distance 3 --protocol published --no-flip --part all --out o --report r.html --poster p.png"
    assert main(["evaluate", *words.split()]) == 0
    data = {"paths": ["b"], "views": {"distance": 3.0}}
    assert engine["evaluate"] == ("x", EvaluateConfig(data=data, part="all", protocol="published", flip=False))
    assert engine["saved"] == "o"
    assert (
        main(
            [
                "evaluate",
                "x",
                "--hypotheses",
                "20",
                "--steps",
                "10",
                "--sampler",
                "ddim",
                "--aggregate",
                "jpma-true-root",
            ]
        )
        == 0
    )
    drawn = EvaluateConfig(hypotheses=20, steps=10, sampler="ddim", aggregate="jpma-true-root")
    assert engine["evaluate"] == ("x", drawn)
    assert main(["evaluate", *words.split()]) == 0
    assert engine["report"] == ("MPJPE 51.2 mm", "r.html")
    assert engine["poster"] == (["MPJPE 51.2 mm"], "p.png")


def test_predicting_names_its_files(engine: dict[str, Any]) -> None:
    assert main(["predict", "c.safetensors", "in.npz", "out.npz"]) == 0
    assert engine["predict"] == ("c.safetensors", "in.npz", "out.npz", True)
    assert main(["predict", "c.safetensors", "in.npz", "out.npz", "--no-flip"]) == 0
    assert engine["predict"][3] is False


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CheckpointError("c.safetensors: damaged"), 1, "c.safetensors: damaged"),
        (SkeletonError(["a cycle", "two roots"], source="s.yaml"), 1, "s.yaml: a cycle; two roots"),
        (PermissionError(13, "Permission denied", "out.npz"), 1, "out.npz: Permission denied"),
        (CheckpointError("over\ntwo lines"), 1, "over two lines"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_what_fails_while_running_is_one_line(
    error: BaseException,
    code: int,
    line: str,
    engine: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules["graphpose.engine"], "predict_file", fail)
    assert refused(capsys, code, "predict", "a", "b", "c") == line


def test_a_stopped_training_says_how_to_go_on(
    engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise Interrupted("interrupted; continue with --resume runs/x")

    monkeypatch.setattr(sys.modules["graphpose.engine"], "train", stop)
    line = refused(capsys, 130, "train", "--config", "demo", "--data", "x")
    assert line == "interrupted; continue with --resume runs/x"


def test_a_fault_of_our_own_is_not_hidden(engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("an invariant of ours")

    monkeypatch.setattr(sys.modules["graphpose.engine"], "predict_file", fail)
    with pytest.raises(AssertionError, match="an invariant of ours"):
        main(["predict", "a", "b", "c"])


def test_files_are_written_before_anything_is_printed(
    engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader such as `head -1` may be gone after the first line."""

    def gone(*_: object) -> None:
        raise BrokenPipeError

    with monkeypatch.context() as patch, open(os.devnull, "w") as nowhere:
        patch.setattr("builtins.print", lambda *_, **__: gone())
        patch.setattr("os.dup2", lambda *_: None)
        patch.setattr("sys.stdout", nowhere)
        assert main(["evaluate", "x", "--out", "o", "--report", "r.html", "--poster", "p.png"]) == 141
    assert {"saved", "report", "poster"} <= engine.keys()


def test_the_table_is_printed_where_a_file_cannot_be_written(
    engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "r.html")

    monkeypatch.setattr("graphpose.analysis.report_evaluation", full)
    assert main(["evaluate", "x", "--report", "r.html"]) == 1
    captured = capsys.readouterr()
    assert "MPJPE 51.2 mm" in captured.out and "report:" not in captured.out
    assert captured.err == "graphpose: error: r.html: No space left on device\n"


def test_settings_survive_the_way_through_a_file(engine: dict[str, Any], tmp_path: Path) -> None:
    assert main(["train", "--config", "cmu_lift_mixste", "--data", "a", "--data.noise", "0.01"]) == 0
    first, _ = engine["train"]
    first.to_yaml(tmp_path / "mine.yaml")
    assert yaml.safe_load((tmp_path / "mine.yaml").read_text())["data"]["noise"] == 0.01
    assert main(["train", "--config", str(tmp_path / "mine.yaml")]) == 0
    assert engine["train"][0] == first
