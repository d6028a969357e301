"""`graphpose adapt` hands over the recipe with what is replaced, draws what came out, and a resumed run keeps its settings."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from noted_engine import Interrupted, refused

from graphpose.cli.commands.adapt import ON_RESUME
from graphpose.cli.main import main
from graphpose.config import AdaptConfig, TrainConfig
from graphpose.skeleton import Skeleton

WORDS = ["adapt", "--checkpoint", "best.safetensors", "--source", "clips", "--target", "keypoints"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What an adaptation that only notes is asked for, in place of the real one; its run folder is `run` in `tmp_path`."""
    noted: dict[str, Any] = {"folder": tmp_path / "run"}

    def adapt(config: AdaptConfig, *, resume: str | None = None, progress: bool | str) -> Any:
        noted.update(config=config, resume=resume, progress=progress)
        if "raises" in noted:
            raise noted["raises"]
        return types.SimpleNamespace(
            folder=noted["folder"],
            best="run/best.safetensors",
            last="run/last.safetensors",
            metrics=noted.get("metrics", {"train/loss": 0.0512345}),
            at_end=noted.get("at_end", ""),
            main_process=noted.get("main_process", True),
        )

    for name, content in (("adaptation", {"adapt": adapt}), ("engine", {"TrainingInterrupted": Interrupted})):
        module = types.ModuleType(f"graphpose.{name}")
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, f"graphpose.{name}", module)
    return noted


def kept(folder: Path, **values: Any) -> Path:
    """A run folder with settings."""
    folder.mkdir(parents=True, exist_ok=True)
    config = AdaptConfig.from_dict({"checkpoint": "c.safetensors", "data": {"paths": ["a"]}, **values})
    (folder / "config.yaml").write_text(yaml.safe_dump(config.to_dict()))
    return folder


def samples(folder: Path, steps: int) -> None:
    """A file of samples of the run, people who stand."""
    rest = np.array(Skeleton.load("h36m17").rest)[None] * [1.0, -1.0, -1.0]
    flat = rest[..., :2] / 5
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "samples" / f"{steps:08d}.npz",
        source=rest,
        changed=rest,
        keypoints=flat,
        target=flat,
        skeleton=json.dumps(Skeleton.load("h36m17").to_dict()),
    )


def test_the_recipe_and_what_is_replaced_reach_the_adaptation(
    calls: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "--config adapt_small --checkpoint c.safetensors --source a.npz --data=b --target k1 --target k2 --output out"
    )
    words += " --target.view_angle 60 --target.min_confidence 0.5 --alignment.by frame --alignment.tilt 12"
    words += " --augmentation.rotation [5,90,0] --augmentation.plausibility 0 --data.noise 0.01 --data.split.test [x]"
    words += " --source_share 0.25 --optim.lr 1e-4 --run.max_steps 7"
    assert main(["adapt", *words.split()]) == 0
    config, recipe = calls["config"], AdaptConfig.from_yaml("adapt_small")
    assert calls["resume"] is None
    assert config.checkpoint == "c.safetensors"
    assert config.data == {"paths": ["a.npz", "b"], "noise": 0.01, "split": {"test": ["x"]}}
    assert (config.target.paths, config.target.view_angle, config.target.min_confidence) == (["k1", "k2"], 60.0, 0.5)
    assert (config.alignment.by, config.alignment.tilt) == ("frame", 12.0)
    assert (config.augmentation.rotation, config.augmentation.plausibility) == ((5.0, 90.0, 0.0), 0.0)
    assert config.augmentation.warmup_steps == recipe.augmentation.warmup_steps
    assert (config.source_share, config.optim.lr, config.optim.loss) == (0.25, 1e-4, recipe.optim.loss)
    assert (config.run.output, config.run.max_steps) == ("out", 7)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"run folder: {calls['folder']} (train/loss 0.05123)"
    assert lines[1].startswith(
        "next: graphpose evaluate run/last.safetensors --data TARGET_WITH_3D --data.views.kind clip (the cameras in its "
    )
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("words", "tilt"),
    [("", "source"), ("--alignment.tilt estimate", "estimate"), ("--alignment.tilt -5.5", -5.5)],
)
def test_without_a_recipe_the_defaults_count(words: str, tilt: float | str, calls: dict[str, Any]) -> None:
    assert main([*WORDS, *words.split(), "--target.focal", "null", "--augmentation.enabled", "false"]) == 0
    config = calls["config"]
    assert config.alignment.tilt == tilt and not config.augmentation.enabled
    assert config.run == AdaptConfig().run and config.data == {"paths": ["clips"]}


def test_settings_of_a_file_and_of_the_command_line_make_one(calls: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "checkpoint: mine.safetensors\ndata: {paths: [a], frames: 9}\nsource_share: 0.75\n"
    )
    assert main(["adapt", "--config", str(tmp_path / "mine.yaml"), "--data.batch_size", "4", "--target", "t"]) == 0
    config = calls["config"]
    assert (config.checkpoint, config.source_share) == ("mine.safetensors", 0.75)
    assert config.data == {"paths": ["a"], "frames": 9, "batch_size": 4}


@pytest.mark.parametrize(("words", "progress"), [("", "lines"), ("--progress", True), ("--no-progress", False)])
def test_a_bar_is_for_terminals(words: str, progress: bool | str, calls: dict[str, Any]) -> None:
    assert main([*WORDS, *words.split()]) == 0
    assert calls["progress"] == progress


def test_modules_of_ones_own_are_imported_and_recorded(
    calls: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    Path("own_for_adapt.py").write_text("")
    monkeypatch.delitem(sys.modules, "own_for_adapt", raising=False)
    assert main([*WORDS, "--import", "own_for_adapt"]) == 0
    assert calls["config"].run.imports == ["own_for_adapt"] and "own_for_adapt" in sys.modules
    monkeypatch.delitem(sys.modules, "own_for_adapt")
    kept(tmp_path / "run", run={"imports": ["own_for_adapt"]})
    assert main(["adapt", "--resume", "run"]) == 0
    assert "own_for_adapt" in sys.modules, "a resumed run imports them by itself"
    assert refused(capsys, 1, *WORDS, "--import", "nobodys_module").startswith("--import: no module 'nobodys_module'")


# -- resuming ---------------------------------------------------------------------------------------------------------


def test_resuming_keeps_the_settings_of_the_run(calls: dict[str, Any], tmp_path: Path) -> None:
    folder = kept(tmp_path / "moved", alignment={"tilt": 3.0}, run={"seed": 3, "output": "elsewhere"})
    for place in (folder, folder / "last.ckpt"):
        assert main(["adapt", "--resume", str(place), "--run.max_steps", "2000"]) == 0
        config = calls["config"]
        assert calls["resume"] == str(place)
        assert (config.alignment.tilt, config.run.seed, config.run.max_steps) == (3.0, 3, 2000)
        assert config.run.output == str(folder), "a run that was moved goes on where it is"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--output elsewhere", "--run.output"),
        ("--config adapt_small", "--config"),
        ("--source_share 0.1", "--source_share"),
        ("--alignment.tilt 3 --optim.lr 1 --run.max_steps 9", "--alignment.tilt, --optim.lr"),
        ("--augmentation.enabled false", "--augmentation.enabled"),
        ("--target.focal 1.5", "--target.focal"),
        ("--data.frames 9", "--data.frames"),
        ("--run.seed 1", "--run.seed"),
    ],
)
def test_resuming_refuses_settings_that_would_make_another_run(
    words: str, named: str, calls: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, 2, "adapt", "--resume", str(kept(tmp_path / "kept")), *words.split())
    assert line.startswith(
        f"{named}: a resumed run keeps its settings; only these can be given anew: --checkpoint, --data.paths, "
    )
    assert "config" not in calls


def test_every_setting_that_a_resumed_run_may_change_is_taken(calls: dict[str, Any], tmp_path: Path) -> None:
    given = {
        "checkpoint": "moved.safetensors",
        "data.paths": ["b"],
        "data.mapping": "moved_to.yaml",
        "data.workers": 1,
        "target.paths": ["c"],
        "target.mapping": "moved.yaml",
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
    assert main(["adapt", "--resume", str(kept(tmp_path / "kept")), *words]) == 0
    values = calls["config"].to_dict()
    for name, value in given.items():
        section, _, key = name.partition(".")
        assert (values[section][key] if key else values[section]) == value, name


def test_a_run_at_its_end_says_so(calls: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls["at_end"] = "run: nothing to train, the run is at its end"
    assert main(["adapt", "--resume", str(kept(tmp_path / "kept"))]) == 0
    assert capsys.readouterr().out == "run: nothing to train, the run is at its end\n"


@pytest.mark.parametrize(
    ("command", "other", "what"), [("adapt", "train", "training"), ("train", "adapt", "adaptation")]
)
def test_the_run_of_the_other_command_is_told_by_its_name(
    command: str, other: str, what: str, calls: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = kept(tmp_path / "run")
    if other == "train":
        TrainConfig.from_dict({"data": {"paths": ["a"]}}).to_yaml(folder / "config.yaml")
    line = refused(capsys, 1, command, "--resume", str(folder))
    assert line.startswith(f"{folder}: expected the run of graphpose {command}; this is a")
    assert line.endswith(f" {what}: graphpose {other} --resume {folder}")


def test_of_many_figures_those_of_the_result_are_told_in_order(
    calls: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    calls["metrics"] = {
        "val/mpjpe": 84.94,
        "lr": 1e-4,
        "augment/poses": 0.25,
        "train/source": 0.5,
        "train/adapted": 0.75,
    }
    assert main(WORDS) == 0
    told = capsys.readouterr().out.splitlines()[0]
    assert told.endswith("(train/adapted 0.75, train/source 0.5, val/mpjpe 84.94)")


def test_a_stopped_adaptation_says_how_to_go_on(calls: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    calls["raises"] = Interrupted("interrupted; continue with --resume runs/x")
    assert refused(capsys, 130, *WORDS) == "interrupted; continue with --resume runs/x"


def test_one_of_several_processes_speaks(calls: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    calls["main_process"] = False
    assert main([*WORDS, "--augmentation.enabled", "false", "--run.devices", "2"]) == 0
    assert capsys.readouterr().out == ""


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--tarket k", "unknown option '--tarket' (did you mean '--target'?)"),
        (
            "--target.fps 25",
            "--target.fps: windows take the frames at the rate of the lifter; --target.recorded_fps says",
        ),
        ("--target.focl 2", "unknown option '--target.focl' (did you mean '--target.focal'?)"),
        ("--target.view_angle wide", "--target.view_angle: expected a number or null (got wide)"),
        ("--alignment.by clip", "--alignment.by: unknown by 'clip'; choose from: window, frame, none"),
        ("--augmentation.channels many", "--augmentation.channels: expected a whole number (got many)"),
        ("--source", "--source: expected a value"),
        ("--source a --data.paths [b]", "--source is short for --data.paths: expected one of them, not both"),
        ("--target a --target.paths [b]", "--target is short for --target.paths: expected one of them, not both"),
        ("--run.output a --output b", "--output, short for --run.output: expected one value (got a and b)"),
        ("stray", "unexpected argument 'stray'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    words: str, message: str, calls: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, 2, "adapt", *words.split()).startswith(message)
    assert "config" not in calls


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--config adapt_smal", "unknown adaptation 'adapt_smal' (did you mean 'adapt_small'?)"),
        ("--config demo", "unknown adaptation 'demo'"),
        ("--resume nowhere", "nowhere: expected a run folder with a config.yaml to resume"),
        ("--target.view_angle 180", "target.view_angle: expected degrees in (0, 180), or null (got 180.0)"),
        ("--target.view_angle 60 --target.focal 1", "target.view_angle: expected one of focal and view_angle"),
        (
            "--target.focal 1700",
            "target.focal: expected at most 20, in normalised screen units: f_pixels / (width / 2) (got",
        ),
        ("--alignment.tilt 91", "alignment.tilt: expected degrees in (-90, 90)"),
        ("--run.devices 2", "run.devices: generator and discriminators learn in one process"),
        ("--data.frames 0", "data.frames: expected at least 1 (got 0)"),
        ("--source_share 2", "source_share: expected a number in [0, 1] (got 2.0)"),
    ],
)
def test_bad_settings_are_one_line_and_exit_code_1(
    words: str, message: str, calls: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, 1, "adapt", *words.split()).startswith(message)
    assert "config" not in calls


# -- the sheet --------------------------------------------------------------------------------------------------------


def test_the_last_samples_are_drawn(
    calls: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    for steps in (200, 1000, 400):
        samples(calls["folder"], steps)
    read: list[Path] = []
    from graphpose.analysis import adaptation_sheet as module

    original = module._read
    monkeypatch.setattr(module, "_read", lambda path: read.append(path) or original(path))
    sheet = tmp_path / "deep" / "poses.png"
    assert main([*WORDS, "--sheet", str(sheet)]) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in read] == ["00001000.npz"]
    assert capsys.readouterr().out.splitlines()[-1] == f"poses to look at: {sheet}"
    sheet.unlink()
    calls["at_end"] = "at its end"
    assert main(["adapt", "--resume", str(kept(tmp_path / "kept")), "--sheet", str(sheet)]) == 0
    assert sheet.exists(), "a run at its end has samples too"
    assert capsys.readouterr().out == f"at its end\nposes to look at: {sheet}\n"


def test_a_sheet_that_cannot_be_written_is_refused_before_the_run(
    calls: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, 1, *WORDS, "--sheet", str(tmp_path)).startswith("--sheet: expected a file (got the folder")
    for name in ("best.safetensors", "clips", "keypoints"):
        line = refused(capsys, 1, *WORDS, "--sheet", f"./{name}")
        assert line == f"--sheet: expected a file that is not read, which it would replace (got ./{name})"
    for name in ("sheet.txt", "sheet"):
        line = refused(capsys, 1, *WORDS, "--sheet", name)
        assert line == f"--sheet: expected a file that ends in .png, .pdf, .svg (got {name})"
    assert "config" not in calls
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = refused(capsys, 1, *WORDS, "--sheet", "poses.png")
    assert line == "--sheet needs matplotlib, which is not installed: pip install graphpose[viz]"
    assert "config" not in calls


def test_a_run_without_samples_says_so(calls: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    line = refused(capsys, 1, *WORDS, "--sheet", "poses.png")
    assert line == f"{calls['folder'] / 'samples'}: expected samples of the adaptation to draw with --sheet (got none)"
