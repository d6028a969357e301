"""`graphpose evaluate` with its settings of measuring, and `graphpose compare` of what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphpose.cli.main import main
from graphpose.config import TrainConfig
from graphpose.models import create, save
from graphpose.skeleton import Skeleton


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights, described as trained on the sample clips."""
    samples = Path(__file__).parents[2] / "data" / "samples"
    paths = [str(samples / f"{name}.bvh") for name in ("walk", "jump", "run")]
    data = {"paths": paths, "frames": 27, "views": {"azimuths": [45.0]}, "split": {"by": "file"}}
    model = create("mixste", Skeleton.load("h36m17"), frames=27, channels=8, depth=1, heads=2)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    return save(model, path, config=TrainConfig.from_dict({"data": data}).to_dict())


def evaluated(checkpoint: Path, out: Path, *words: str) -> Path:
    assert main(["evaluate", str(checkpoint), "--accelerator", "cpu", "--out", str(out), *words]) == 0
    return out / "evaluation.json"


def test_evaluations_are_compared_from_the_command_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    first = evaluated(checkpoint, tmp_path / "a")
    text = capsys.readouterr().out
    assert "protocol exact; 2D projected; flip averaged; alignment root; joints all 17 of h36m17" in text
    other = evaluated(checkpoint, tmp_path / "b", "--keypoint_noise", "0.05", "--seed", "3", "--no-flip")
    assert "2D projected with noise 0.05; flip off" in capsys.readouterr().out
    words = ["compare", str(first), str(other.parent), "--metric", "p_mpjpe", "--out", str(tmp_path / "c")]
    assert main([*words, "--samples", "200", "--seed", "1"]) == 0
    text = capsys.readouterr().out
    assert "B - A, mean over frames, 95% interval" in text and "by action: P-MPJPE mm" in text
    assert {path.name for path in (tmp_path / "c").iterdir()} == {
        f"comparison.{s}" for s in ("txt", "csv", "json", "png")
    }
    content = json.loads((tmp_path / "c" / "comparison.json").read_text())
    assert (content["samples"], content["seed"], content["paired"]) == (200, 1, True)


def test_what_cannot_be_compared_is_one_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = evaluated(checkpoint, tmp_path / "a")
    scaled = evaluated(checkpoint, tmp_path / "b", "--alignment", "clip-scale", "--protocol", "published")
    capsys.readouterr()
    assert main(["compare", str(first), str(scaled)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "protocol" in lines[0] and "alignment" in lines[0] and "--anyway" in lines[0]
    assert main(["compare", str(first), str(scaled), "--anyway"]) == 0
    assert "Measured unlike" in capsys.readouterr().out
    scaled.write_text(scaled.read_text()[:-100])
    assert main(["compare", str(first), str(scaled)]) == 1
    assert "is the file complete" in capsys.readouterr().err
    assert main(["compare", str(first)]) == 1
    assert "two or more results" in capsys.readouterr().err
    assert main(["compare", str(first), str(first), "--metric", "mpjp"]) == 1
    assert "did you mean 'mpjpe'" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_is_refused_before_the_work(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    first = evaluated(checkpoint, tmp_path / "a")
    capsys.readouterr()
    for out in (first, first / "deeper" / "still"):
        assert main(["compare", str(first), str(first), "--out", str(out)]) == 1
        written = capsys.readouterr()
        assert "expected a folder" in written.err and "evaluation.json is a file" in written.err and not written.out


def test_common_joints_that_the_files_lack_are_one_line(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sample clips end at the neck: their figure has no joint on top of its head."""
    assert main(["evaluate", str(checkpoint), "--accelerator", "cpu", "--common_joints", "14"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "'deepmimic15': it has no head_top" in line
    assert main(["evaluate", str(checkpoint), "--common_joints", "15"]) == 2
    assert main(["evaluate", str(checkpoint), "--alignment", "similarity"]) == 2
