"""Adapting by the command line, from file to file: train, adapt to keypoints, evaluate, predict, go on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from noted_engine import refused
from walkers import walker

import graphpose
from graphpose.cli.main import main
from graphpose.config import ViewsConfig
from graphpose.datasets import Views, view_clip
from graphpose.formats import write
from graphpose.motion import MotionClip

TRAIN = """\
data: {frames: 5, batch_size: 8, views: {azimuths: [30.0]}, split: {by: subject, test: [C], val: [B]}}
model: {name: mixste, options: {channels: 8, depth: 1, heads: 2}}
run: {max_epochs: 1, accelerator: cpu, log_every: 1}
"""
ADAPT = """\
augmentation: {warmup_steps: 1, channels: 8, samples_every: 2}
run: {max_epochs: null, max_steps: 3, accelerator: cpu, log_every: 1}
"""
THERE = ViewsConfig(azimuths=(80.0,), distance=7.0, height=3.5, focal=1.5)


def keypoints_there(name: str, *, camera: bool = True) -> MotionClip:
    """What a camera of the target sees of a walker, without any 3D."""
    clip = walker(30, name, phase=0.7)
    [view] = view_clip(clip, Views.from_config(THERE))
    return MotionClip(clip.skeleton, 30.0, keypoints=view.x[..., :2], camera=view.camera if camera else None, name=name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lifter trained on three walkers, keypoints of two others, and a run adapted to them."""
    folder = tmp_path_factory.mktemp("adapt")
    for name in ("clips", "there", "bare"):
        (folder / name).mkdir()
    for i, subject in enumerate("ABC"):
        write(walker(40, f"walk{i}", phase=i, subject=subject), folder / "clips" / f"walk{i}.npz")
    for i in range(2):
        write(keypoints_there(f"there{i}"), folder / "there" / f"there{i}.npz")
    write(keypoints_there("bare", camera=False), folder / "bare" / "bare.npz")
    unseen = keypoints_there("unseen")
    write(unseen.replace(keypoints=unseen.keypoints * float("nan")), folder / "unseen.npz")
    bare = keypoints_there("pixels", camera=False)
    write(bare.replace(keypoints=bare.keypoints * 640 + 640), folder / "pixels.npz")
    write(walker(30, "motion"), folder / "motion.npz")
    for name in ("pixels", "motion"):  # as somebody else writes them, without the recording that they are of
        arrays = dict(np.load(folder / f"{name}.npz"))
        np.savez(folder / f"{name}.npz", **{key: values for key, values in arrays.items() if key != "source"})
    (folder / "train.yaml").write_text(TRAIN)
    (folder / "adapt.yaml").write_text(ADAPT)
    words = ["train", "--config", "{w}/train.yaml", "--data", "{w}/clips", "--output", "{w}/source"]
    assert main([word.format(w=folder) for word in words]) == 0
    return folder


def adapting(world: Path, output: str, *more: str, target: str = "there") -> list[str]:
    words = ["adapt", "--config", "adapt.yaml", "--checkpoint", "source/last.safetensors", "--source", "clips"]
    words += ["--target", target, "--output", output]
    named = {"adapt.yaml", "source/last.safetensors", "clips", target, output}
    return [str(world / word) if word in named else word for word in words] + list(more)


def test_an_adapted_lifter_is_evaluated_predicts_and_goes_on(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    run, sheet = world / "adapted", world / "poses.png"
    assert main(adapting(world, "adapted", "--alignment.tilt", "20", "--sheet", str(sheet))) == 0
    told, lines = capsys.readouterr()
    assert f"run folder: {run} (" in told and "train/adapted" in told and f"poses to look at: {sheet}" in told
    assert "augment/" not in told and "lr " not in told
    read = "2 clips, 60 frames, 60 usable, five at 30 fps"
    known = "focal length 1.5 (of the files); tilt 20.0 degrees (given), source "
    assert lines.splitlines()[0].startswith(f"target: {read}, {known}")
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["00000002.npz", "00000003.npz"]
    kept = yaml.safe_load((run / "config.yaml").read_text())
    assert kept["checkpoint"] == str(world / "source" / "last.safetensors")
    assert kept["data"]["paths"] == [str(world / "clips")] and kept["data"]["frames"] == 5
    assert kept["target"]["paths"] == [str(world / "there")]
    statement = json.loads(graphpose.models.read_metadata(run / "last.safetensors")["data_statement"])
    assert statement["adapted_to"].startswith(f"TargetKeypoints({read}), {known}")
    assert kept["augmentation"]["rotation"] == [0.0, 180.0, 0.0], "the tilt is known"

    assert main(["evaluate", str(run / "last.safetensors")]) == 0
    told = capsys.readouterr().out
    assert "MPJPE" in told.upper() and "1 clip, 1 view, 40 frames" in told, "the test clips are those of the training"
    out = world / "lifted.npz"
    assert main(["predict", str(run / "last.safetensors"), str(world / "there" / "there0.npz"), str(out)]) == 0
    assert np.isfinite(np.load(out)["positions"]).all()

    assert refused(capsys, 1, *adapting(world, "adapted")).startswith(f"{run} holds a run already: go on with --resume")
    assert main(["adapt", "--resume", str(run)]) == 0
    assert "nothing to train, the run is at its end (run.max_steps 3" in capsys.readouterr().out
    assert main(["adapt", "--resume", str(run), "--run.max_steps", "5"]) == 0
    assert (run / "samples" / "00000005.npz").exists()
    assert len(list((run / "logs").glob("version_*/metrics.csv"))) == 2


def test_samples_are_written_and_drawn_without_augmentation_too(world: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    words = ["--augmentation.enabled", "false", "--run.max_steps", "2", "--sheet", str(world / "aligned.png")]
    assert main(adapting(world, "aligned", *words)) == 0
    assert sorted(path.name for path in (world / "aligned" / "samples").iterdir()) == ["00000002.npz"]
    assert (world / "aligned.png").stat().st_size > 0


def test_a_target_without_cameras_takes_a_field_of_view(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--target.view_angle", "60", "--run.max_steps", "1", "--no-progress"]
    assert main(adapting(world, "viewed", *words, target="bare")) == 0
    assert capsys.readouterr().err == "", "asked to be quiet"
    kept = yaml.safe_load((world / "viewed" / "config.yaml").read_text())
    assert (kept["target"]["view_angle"], kept["target"]["focal"]) == (60.0, None)


@pytest.mark.parametrize(
    ("target", "more", "message"),
    [
        ("bare", "", "skeleton 'five' has no rest pose"),
        ("there", "--alignment.tilt estimate", "skeleton 'five': expected a rest pose"),
        ("unseen.npz", "", "target: expected frames that show the root 'hip' and at least 4 joints"),
        ("clips", "", "target clip 'walk0': expected keypoints (got positions only)"),
        ("motion.npz", "", "/motion.npz): expected keypoints (got positions only)"),
        ("missing.npz", "", "missing.npz: no such file or folder (in target.paths); give --target FILE_OR_FOLDER"),
        ("pixels.npz", "", "/pixels.npz): expected keypoints in normalised screen units"),
        ("there", "--data.frames 9", "data.frames: expected 5, as the lifter was trained with (got 9)"),
        ("there", "--checkpoint missing.safetensors", "missing.safetensors: no such checkpoint"),
    ],
)
def test_what_cannot_be_adapted_to_is_one_line_and_nothing_is_written(
    target: str, more: str, message: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, 1, *adapting(world, "refused", *more.split(), target=target))
    assert message in line
    assert not (world / "refused").exists()


def test_a_source_that_is_not_there_names_its_option(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = adapting(world, "refused")
    words[words.index("--source") + 1] = "nowhere"
    line = refused(capsys, 1, *words)
    assert line == "nowhere: no such file or folder (in data.paths); give --source FILE_OR_FOLDER"
