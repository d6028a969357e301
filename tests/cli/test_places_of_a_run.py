"""A run trained with relative paths is evaluated and resumed from another folder, on copies, and on files that need options."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from graphpose.cli.main import main
from graphpose.skeleton import Skeleton

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
SETTINGS = {
    "data": {"frames": 9, "batch_size": 16, "views": {"azimuths": [30.0]}, "split": {"by": "file", "test": ["run"]}},
    "model": {"name": "mixste", "options": {"channels": 8, "depth": 1, "heads": 2}},
    "run": {"max_epochs": 1, "accelerator": "cpu"},
}


WHOLE = ["--data.reader_options", "{allow_truncated: true}"]
TRAIN = ["train", "--config", "settings.yaml", "--data", "clips", "--data.skeleton", "mine.yaml", "--output", "run"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three clips, two of them cut short, and a run trained in it by relative paths."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "clips").mkdir()
    for name, share in (("run", 1.0), ("walk", 0.9), ("walk_forward", 0.6)):
        content = (SAMPLES / f"{name}.bvh").read_bytes()
        (folder / "clips" / f"{name}.bvh").write_bytes(content[: int(share * len(content))])
    Skeleton.load("h36m17").save(folder / "mine.yaml")
    (folder / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    (folder / "elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TRAIN, *WHOLE]) == 0
    return folder


def test_files_that_were_cut_short_block_a_training_only_until_it_is_told(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    assert main([*TRAIN[:-1], "blocked"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("graphpose: error: clips: 2 of 3 files cannot be read: ")
    assert "--data.reader_options '{allow_truncated: true}'" in line
    kept = yaml.safe_load((trained / "run" / "config.yaml").read_text())["data"]
    assert kept["paths"] == [str(trained / "clips")] and kept["skeleton"] == str(trained / "mine.yaml")
    assert kept["reader_options"] == {"allow_truncated": True}


def test_a_run_goes_on_and_is_evaluated_from_another_folder(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained / "elsewhere")
    assert main(["train", "--resume", "../run", "--run.max_epochs", "2"]) == 0
    assert main(["evaluate", "../run/best.safetensors"]) == 0
    captured = capsys.readouterr()
    assert "test clips" in captured.out
    assert "graphpose: warning" not in captured.err


@pytest.mark.filterwarnings("default")
def test_a_copy_of_the_training_data_is_known_again(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(trained / "clips", trained / "copy")
    monkeypatch.chdir(trained)
    assert main(["evaluate", "run/best.safetensors", "--data", str(copy), "--out", "out"]) == 0
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("graphpose: warning: ")]
    assert warned[0].startswith("graphpose: warning: 1 of 3 clips were trained on and 1 of 3 clips chose the weights")
    assert "--part test evaluates only the clips held out (file run)" in warned[0]
    seen = json.loads((trained / "out" / "evaluation.json").read_text())["seen_in_training"]
    assert seen == {"clips": 3, "trained_on": 1, "validated_on": 1}


def test_a_wrong_rate_is_corrected(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The samples say 30 frames/s; taken as 15, the same frames last twice as long."""
    monkeypatch.chdir(trained)
    words = ["evaluate", "run/best.safetensors", "--data", "clips/run.bvh", "--out", "rates"]

    def frames_and_rate(*more: str) -> tuple[int, float]:
        assert main([*words, *more]) == 0
        found = np.load("rates/predictions.npz")
        return int(found["lengths"][0]), float(found["fps"][0])

    frames, rate = frames_and_rate("--data.fps", "null")
    assert rate == 30
    assert frames_and_rate("--data.recorded_fps", "15", "--data.fps", "null") == (frames, 15)
    assert frames_and_rate("--data.recorded_fps", "15", "--data.fps", "5") == (-(-frames // 3), 5)
    capsys.readouterr()
    assert main([*words, "--data.recorded_fps", "15"]) == 1
    assert "has 15 frames/s, data.fps asks for 30" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
def test_an_impossible_rate_names_the_option(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    words = ["evaluate", "run/best.safetensors", "--data", str(SAMPLES / "backflip.bvh"), "--data.recorded_fps", "120"]
    assert main(words) == 0
    assert (
        "perhaps fps=30 (predict, data info, data check: --fps; train, evaluate: --data.rec" in capsys.readouterr().err
    )
