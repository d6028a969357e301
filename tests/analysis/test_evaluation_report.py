"""From an evaluation to its report and poster: which clips are shown, and what is read from the run around it."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from graphpose.analysis import describe_evaluation, poster, report_evaluation, telling_clips, telling_examples
from graphpose.engine import Evaluation, LiftedClip
from graphpose.errors import DataError, FormatError
from graphpose.metrics import ErrorTable
from graphpose.skeleton import Skeleton


def lifted(name: str, error: float, joints: int = 5) -> LiftedClip:
    """Every joint is off by `error` metres along each axis."""
    target = torch.randn(2, joints, 3, generator=torch.Generator().manual_seed(0))
    return LiftedClip(name, "S1", name, 0, 30.0, torch.zeros(2, joints, 3), target + error, target)


@pytest.fixture
def evaluation() -> Evaluation:
    """Three clips on Human3.6M, of a checkpoint that is not there."""
    skeleton = Skeleton.load("h36m17")
    clips = [lifted(name, error, 17) for name, error in (("walk", 0.01), ("kick", 0.03), ("jump", 0.02))]
    errors = ErrorTable(skeleton)
    for clip in clips:
        errors.add(clip.predicted, clip.target, subject=clip.subject, action=clip.action, name=clip.name)
    return Evaluation(skeleton, errors, "exact", True, clips)


def log(folder: Path, version: str, *losses: float) -> None:
    """The CSV log of one part of a run."""
    path = folder / "logs" / f"version_{version}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    rows = [f"{step},{loss}" for step, loss in enumerate(losses)]
    path.write_text("\n".join(["step,train/loss", *rows]) + "\n", encoding="utf-8")


def test_telling_clips_are_the_best_the_median_and_the_worst() -> None:
    clips = [lifted("c", 0.3), lifted("a", 0.1), lifted("unknown", math.nan), lifted("b", 0.2)]
    assert [(label, clip.name) for label, clip in telling_clips(clips)] == [
        ("smallest error", "a"),
        ("median error", "b"),
        ("largest error", "c"),
    ]
    assert [clip.name for _, clip in telling_clips([lifted("only", 0.1)])] == ["only"]
    assert telling_clips([]) == []


def test_examples_say_which_clip_which_view_and_why(evaluation: Evaluation) -> None:
    examples = telling_examples(evaluation)
    assert [example.name for example in examples] == [
        "walk, view 0: smallest error",
        "jump, view 0: median error",
        "kick, view 0: largest error",
    ]
    assert all(example.keypoints.shape == (2, 17, 2) for example in examples), "confidence is no coordinate"
    error = examples[0].frame_error()
    assert error is not None and error == pytest.approx([0.01 * math.sqrt(3)] * 2, rel=1e-5)


def test_an_evaluation_without_a_run_is_reported(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="the extra `viz` is not installed")
    page = report_evaluation(evaluation, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "kick, view 0: largest error" in page
    assert 'id="training"' not in page and 'id="config"' not in page
    assert '<p class="note">protocol exact, averaged over the mirror image; 3 clips, 3 views, 6 frames</p>' in page


def test_curves_of_all_parts_and_settings_come_from_the_run(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="the extra `viz` is not installed")
    for version, loss in (("10", 0.25), ("9", 0.5), ("old", 7.0)):
        log(tmp_path / "run", version, loss, loss)
    (tmp_path / "run" / "config.yaml").write_text("model: {name: mixste}\n", encoding="utf-8")
    evaluation.info = {"checkpoint": tmp_path / "run" / "best.safetensors", "model": "mixste"}
    page = report_evaluation(evaluation, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "mixste on h36m17" in page and "model: {name: mixste}" in page
    assert 'id="training"' in page
    log(tmp_path / "other", "0", 1.0)
    other = report_evaluation(evaluation, tmp_path / "other.html", run=tmp_path / "other").read_text(encoding="utf-8")
    assert "model: {name: mixste}" not in other and 'id="training"' in other


def test_the_report_says_what_was_evaluated_and_whose_settings_it_shows(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="the extra `viz` is not installed")
    (tmp_path / "config.yaml").write_text("model: {name: mixste}\n", encoding="utf-8")
    evaluation.info = {"checkpoint": tmp_path / "best.safetensors", "part": "test", "data": ["a & b", "c.npz"]}
    evaluation.info["seen_in_training"] = {"clips": 3, "trained_on": 1, "validated_on": 1}
    evaluation.flip, evaluation.protocol = False, "published"
    page = report_evaluation(evaluation, tmp_path / "report.html").read_text(encoding="utf-8")
    line = f"test clips, protocol published, no flip; a & b, c.npz; checkpoint {tmp_path}/best.safetensors; 3 clips"
    assert describe_evaluation(evaluation).startswith(line)
    assert describe_evaluation(evaluation).endswith("; 2 of 3 clips seen in the training")
    assert line.replace("&", "&amp;") in page
    assert "<h2>Configuration of the training</h2>" in page and "Show the settings of the training" in page


def test_the_parts_of_a_run_are_in_order(tmp_path: Path) -> None:
    from graphpose.analysis.evaluation_report import _history

    for version, loss in (("10", 0.25), ("9", 0.5), ("old", 7.0)):
        log(tmp_path, version, loss)
    assert [row["train/loss"] for row in _history(tmp_path)] == [0.5, 0.25]


def test_a_damaged_log_is_an_error_that_names_the_file(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="the extra `viz` is not installed")
    log(tmp_path, "0", 1.0)
    file = tmp_path / "logs" / "version_0" / "metrics.csv"
    file.write_text(file.read_text() + "3,not a number\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"metrics\.csv:3"):
        report_evaluation(evaluation, tmp_path / "report.html", run=tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_the_poster_of_an_evaluation(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    assert poster(telling_examples(evaluation), tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    evaluation.clips = []
    with pytest.raises(DataError, match="at least one example"):
        poster(telling_examples(evaluation), tmp_path / "none.png")


@pytest.mark.parametrize(("option", "package"), [("--report", "plotly"), ("--poster", "matplotlib")])
def test_a_missing_extra_is_said_before_the_evaluation(option: str, package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from graphpose.cli.main import main
sys.exit(main(["evaluate", "no-such-checkpoint.safetensors", {option!r}, "out"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"graphpose: error: {option} needs {package}")
    assert "pip install graphpose[viz]" in done.stderr


def test_the_report_says_how_it_was_measured(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("plotly", reason="the extra `viz` is not installed")
    plain = report_evaluation(evaluation, tmp_path / "plain.html").read_text(encoding="utf-8")
    assert "How it was measured" not in plain and "<h3>By action</h3>" in plain
    evaluation.errors.conditions = {"protocol": "exact", "annotation": "univ_annot3"}
    evaluation.errors.marks = ("univ_annot3",)
    page = report_evaluation(evaluation, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "How it was measured" in page and "<h3>By action (univ_annot3)</h3>" in page
