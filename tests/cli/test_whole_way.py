"""The main job by the command line, on a skeleton that the library has never seen: train, evaluate, predict, go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from graphpose.cli.main import main

HOUND = """\
name: hound5
source: drawn for a test
joints: {hip: null, l_paw: hip, r_paw: hip, neck: hip, nose: neck}
pairs: [[l_paw, r_paw]]
"""
SMALL = """\
data: {frames: 9, batch_size: 4, split: {by: action, test: [trot], val: [sit]}}
model: {name: ktpformer, options: {channels: 8, depth: 1, heads: 2}}
run: {max_epochs: 1, accelerator: cpu, log_every: 1}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a skeleton, clips, settings and the run trained on them."""
    folder = tmp_path_factory.mktemp("hound")
    (folder / "hound.yaml").write_text(HOUND)
    (folder / "small.yaml").write_text(SMALL)
    (folder / "clips").mkdir()
    rest = np.array([[0, 0.5, 0], [0.1, 0, 0], [-0.1, 0, 0], [0, 0.6, 0.5], [0, 0.6, 0.7]], dtype=np.float32)
    rng = np.random.default_rng(0)
    for action in ("run", "walk", "sit", "trot"):
        sway = 0.05 * np.cumsum(rng.normal(size=(20, 5, 3)), axis=0).astype(np.float32)
        np.savez(
            folder / "clips" / f"{action}.npz",
            positions=rest + sway,
            fps=30.0,
            joints=np.array(["hip", "l_paw", "r_paw", "neck", "nose"]),
            parents=np.array([-1, 0, 0, 0, 3]),
            action=action,
        )
    words = ["--config", folder / "small.yaml", "--data", folder / "clips", "--data.skeleton", folder / "hound.yaml"]
    assert main(["train", *map(str, words), "--output", str(folder / "run")]) == 0
    return folder


def test_training_leaves_a_complete_run_folder(trained: Path) -> None:
    for name in ("config.yaml", "best.safetensors", "last.safetensors", "last.ckpt"):
        assert (trained / "run" / name).stat().st_size > 0


def test_training_refuses_to_write_over_a_run(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", str(trained / "run" / "config.yaml")]) == 1
    assert "--resume" in capsys.readouterr().err


def test_a_run_is_evaluated_on_its_test_clips_and_reported(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("plotly", reason="the extra `viz` is not installed")
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    out, report, poster = trained / "evaluation", trained / "report.html", trained / "poster.png"
    words = ["evaluate", trained / "run" / "best.safetensors", "--out", out, "--report", report, "--poster", poster]
    assert main([str(word) for word in words]) == 0
    text = capsys.readouterr().out
    assert "MPJPE" in text.upper()
    assert "trot" in text
    assert "walk" not in text, "clips of the training must not count"
    assert {path.name for path in out.iterdir()} >= {"errors.txt", "errors.csv", "errors.json", "predictions.npz"}
    page = report.read_text(encoding="utf-8")
    assert "trot" in page
    assert "hound5" in page
    assert 'src="http' not in page
    assert f'<main><p class="note">{text.splitlines()[0]}</p>' in page
    assert f"; checkpoint {trained / 'run' / 'best.safetensors'}; 1 clip, 4 views, 80 frames" in page
    assert poster.read_bytes().startswith(b"\x89PNG")


def test_keypoints_are_lifted_from_file_to_file(trained: Path) -> None:
    keypoints = np.random.default_rng(1).normal(size=(13, 5, 2)).astype(np.float32)
    np.savez(trained / "in.npz", keypoints=keypoints, fps=30.0)
    words = ["predict", trained / "run" / "best.safetensors", trained / "in.npz", trained / "out.npz"]
    words += ["--skeleton", trained / "hound.yaml"]
    assert main([str(word) for word in words]) == 0
    positions = np.load(trained / "out.npz")["positions"]
    assert positions.shape == (13, 5, 3)
    assert np.isfinite(positions).all()


def test_a_resumed_run_goes_on_where_it_stopped(trained: Path) -> None:
    assert main(["train", "--resume", str(trained / "run"), "--run.max_epochs", "2"]) == 0
    logs = sorted((trained / "run" / "logs").glob("version_*/metrics.csv"))
    assert len(logs) == 2
    assert "max_epochs: 2" in (trained / "run" / "config.yaml").read_text()


def test_a_run_at_its_end_says_so_and_stays_as_it_is(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> dict[Path, tuple[int, bytes]]:
        files = (path for path in (trained / "run").rglob("*") if path.is_file())
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    limit = yaml.safe_load((trained / "run" / "config.yaml").read_text())["run"]["max_epochs"]
    before = state()
    capsys.readouterr()
    assert main(["train", "--resume", str(trained / "run")]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert f"nothing to train, the run is at its end (run.max_epochs {limit}, after " in line
    assert f"--resume {trained / 'run'} --run.max_epochs N (N above {limit})" in line
    assert state() == before


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_damaged_checkpoint_is_one_line(
    damage: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (trained / "run" / "best.safetensors").read_bytes()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes({"cut": whole[: len(whole) // 2], "text": b"not a checkpoint", "empty": b""}[damage])
    assert main(["evaluate", str(broken)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "broken.safetensors" in lines[0]
