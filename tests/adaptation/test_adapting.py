"""An adaptation learns from the 2D of the target alone, leaves an ordinary checkpoint, and goes on after a stop."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from walkers import six_walkers, walker
from zoo import FITTED, SMALL, small

import graphpose
from graphpose.adaptation import AdaptationModule, adapt
from graphpose.analysis import read_history
from graphpose.config import AdaptConfig, TrainConfig, ViewsConfig
from graphpose.datasets import Views, view_clip
from graphpose.engine import TrainingInterrupted, evaluate_clips, train
from graphpose.errors import ConfigError, DataError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

THERE = ViewsConfig(azimuths=(80.0, 260.0), distance=7.0, height=3.5, focal=1.5)
Settings = Callable[..., AdaptConfig]


def seen_there(clips: list[MotionClip], *, positions: bool = False) -> list[MotionClip]:
    """What the target's cameras see of clips; with the 3D in the same files if asked."""
    found = []
    for clip in clips:
        for number, view in enumerate(view_clip(clip, Views.from_config(THERE))):
            kept = clip.positions if positions else None
            found.append(
                MotionClip(
                    clip.skeleton,
                    clip.fps,
                    positions=kept,
                    keypoints=view.x[..., :2],
                    camera=view.camera,
                    name=f"{clip.name} {number}",
                )
            )
    return found


@pytest.fixture(scope="module")
def target() -> list[MotionClip]:
    return seen_there([walker(60, f"there{i}", phase=0.5 + i) for i in range(3)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lifter of the walkers; the tests adapt it."""
    config = TrainConfig.from_dict(
        {
            "data": {
                "frames": 9,
                "batch_size": 8,
                "views": {"azimuths": [30.0, 200.0]},
                "split": {"by": "subject", "test": ["C"], "val": ["B"]},
            },
            "model": {"name": "ktpformer", "options": {"channels": 16, "depth": 1, "heads": 2}},
            "optim": {"lr": 2e-3},
            "run": {
                "max_epochs": 20,
                "output": str(tmp_path_factory.mktemp("adapting") / "source"),
                "accelerator": "cpu",
            },
        }
    )
    return train(config, clips=six_walkers(), progress=False).last


@pytest.fixture
def settings(trained: Path, tmp_path: Path) -> Settings:
    """A configuration that adapts in seconds; keyword arguments replace dotted keys."""

    def make(**changes: Any) -> AdaptConfig:
        values: dict[str, Any] = {
            "checkpoint": str(trained),
            "augmentation": {"warmup_steps": 2, "channels": 16, "samples_every": 4},
            "optim": {"lr": 1e-3, "schedule": "cosine"},
            "run": {
                "max_epochs": None,
                "max_steps": 8,
                "output": str(tmp_path / "run"),
                "accelerator": "cpu",
                "log_every": 1,
            },
        }
        for dotted, value in changes.items():
            *path, last = dotted.split("__")
            below = values
            for key in path:
                below = below.setdefault(key, {})
            below[last] = value
        return AdaptConfig.from_dict(values)

    return make


def run(config: AdaptConfig, target: list[MotionClip], **more: Any) -> dict[str, torch.Tensor]:
    """The weights that come out."""
    result = adapt(config, source=six_walkers(), target=target, progress=False, **more)
    return graphpose.load(result.last).state_dict()


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_alignment_helps_where_the_target_stands(settings: Settings, target: list[MotionClip], trained: Path) -> None:
    config = settings(
        augmentation__enabled=False, alignment__tilt=float(np.degrees(np.arctan2(2.5, 7.0))), run__max_steps=150
    )
    adapted = adapt(config, source=six_walkers(), target=target, progress=False).last
    test = [walker(50, "test", phase=2.2)]
    before, after = (
        evaluate_clips(graphpose.load(path), test, views=Views.from_config(THERE), progress=False).errors.overall()
        for path in (trained, adapted)
    )
    assert after["mpjpe"] < 0.8 * before["mpjpe"]


def test_what_comes_out_is_the_same_model_with_not_a_parameter_more(
    settings: Settings, target: list[MotionClip], trained: Path
) -> None:
    config = settings()
    result = adapt(config, source=six_walkers(), target=target, progress=False)
    source, adapted = graphpose.load(trained), graphpose.load(result.last)
    assert type(adapted) is type(source) and adapted.config == source.config and adapted.skeleton == source.skeleton
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in (source, adapted)]
    assert shapes[0] == shapes[1]
    metadata = graphpose.models.read_metadata(result.last)
    assert TrainConfig.from_dict(metadata["config"]).data.views.azimuths == (30.0, 200.0)
    assert "TargetKeypoints(6 clips" in json.loads(metadata["data_statement"])["adapted_to"]
    history = read_history(next(result.folder.glob("logs/version_0/metrics.csv")))
    logged = {name for row in history for name in row}
    assert {"train/source", "train/adapted", "augment/poses", "augment/keypoints"} <= logged
    assert sorted(path.name for path in (result.folder / "samples").iterdir()) == ["00000004.npz", "00000008.npz"]


def test_no_3d_of_the_target_is_read(settings: Settings, tmp_path: Path) -> None:
    clips = [walker(60, "there", phase=0.5)]
    honest = seen_there(clips)
    poisoned = []
    for clip, number in zip(seen_there(clips, positions=True), (float("nan"), 1e30), strict=True):
        assert clip.positions is not None
        poisoned.append(clip.replace(positions=torch.full_like(clip.positions, number)))
    one = run(settings(run__output=str(tmp_path / "honest")), honest)
    other = run(settings(run__output=str(tmp_path / "poisoned")), poisoned)
    assert_same(one, other)


@pytest.mark.parametrize("augmented", [True, False])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    settings: Settings, target: list[MotionClip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augmented: bool
) -> None:
    changes = {"augmentation__enabled": augmented, "run__max_steps": 7}
    whole = run(settings(run__output=str(tmp_path / "whole"), **changes), target)
    original = AdaptationModule.on_train_batch_start

    def interrupting(self: AdaptationModule, batch: object, batch_idx: int) -> None:
        original(self, batch, batch_idx)
        if self.global_step == 4:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)

    part = settings(run__output=str(tmp_path / "part"), **changes)
    with monkeypatch.context() as patch, pytest.raises(TrainingInterrupted):
        patch.setattr(AdaptationModule, "on_train_batch_start", interrupting)
        run(part, target)
    assert torch.load(tmp_path / "part" / "last.ckpt", weights_only=False)["global_step"] == 5
    assert_same(run(part, target, resume=tmp_path / "part"), whole)
    done = adapt(part, resume=tmp_path / "part", source=six_walkers(), target=target, progress=False)
    assert "graphpose adapt --resume" in done.at_end


@pytest.mark.parametrize(
    ("host", "by"),
    [*((host, "window") for host in sorted(SMALL.keys() - FITTED.keys())), ("ktpformer", "frame"), ("mixste", "none")],
)
def test_any_lifter_takes_part(
    host: str, by: str, target: list[MotionClip], settings: Settings, tmp_path: Path
) -> None:
    model = small(host, target[0].skeleton, frames=9)
    path = tmp_path / "untrained.safetensors"
    graphpose.models.save(model, path, config=TrainConfig().to_dict())
    config = settings(
        checkpoint=str(path),
        data={"split": {"by": "subject", "test": ["C"], "val": 0.0}, "batch_size": 4, "fps": 30.0},
        alignment__by=by,
        run__max_steps=3,
    )
    before, after = model.state_dict(), run(config, target)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(bool(value.isfinite().all()) for value in after.values() if value.is_floating_point())
    assert_new_windows_were_seen(tmp_path / "run")


def assert_new_windows_were_seen(folder: Path) -> None:
    """In every step some, and nothing that learns beside the lifter is broken."""
    [log] = (folder / "logs").glob("version_*/metrics.csv")
    rows = [row for row in csv.DictReader(log.read_text().splitlines()) if row["train/loss"]]
    assert rows and all(row["train/adapted"] and float(row["train/left_out"]) < 1 for row in rows)
    state = torch.load(folder / "last.ckpt", weights_only=False)["state_dict"]
    assert all(bool(value.isfinite().all()) for value in state.values() if value.is_floating_point())


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed"])  # a CPU has no 16-mixed
@pytest.mark.parametrize("by", ["window", "none"])
def test_every_precision(precision: str, by: str, target: list[MotionClip], settings: Settings, tmp_path: Path) -> None:
    run(settings(run__precision=precision, run__max_steps=4, alignment__by=by, augmentation__hardness=0.1), target)
    assert_new_windows_were_seen(tmp_path / "run")


def test_new_windows_are_not_rounded_by_mixed_precision(
    target: list[MotionClip], settings: Settings, tmp_path: Path
) -> None:
    lengths = {}
    for precision in ("32-true", "bf16-mixed"):
        config = settings(
            run__precision=precision,
            run__max_steps=1,
            run__output=str(tmp_path / precision),
            augmentation__enabled=False,
            alignment__tilt=20.0,
        )
        run(config, target)
        with np.load(tmp_path / precision / "samples" / "00000001.npz") as sample:
            lengths[precision] = np.linalg.norm(sample["changed"][:, 1] - sample["changed"][:, 0], axis=-1)
    np.testing.assert_allclose(lengths["bf16-mixed"], lengths["32-true"], rtol=0, atol=1e-5)


def test_source_windows_that_do_not_tell_their_camera_do_no_harm(
    target: list[MotionClip], settings: Settings, tmp_path: Path
) -> None:
    """Where nothing is aligned the camera is read off keypoints, which may be too few; all of such a window is left out."""
    run(settings(alignment__by="none", data={"missing": 0.9}), target)
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["state_dict"]
    assert all(bool(value.isfinite().all()) for value in state.values() if value.is_floating_point())


def test_a_target_whose_places_are_too_near_ends_the_run(
    target: list[MotionClip], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphpose.adaptation.adaptation_module.NEAREST", 1000.0)
    with pytest.raises(DataError, match=r"in 50 steps no pose of the source .*target\.focal"):
        run(settings(run__max_steps=60, augmentation__enabled=False), target)


def test_files_without_joint_names_have_the_lifters(
    target: list[MotionClip], trained: Path, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    for number, clip in enumerate(target):
        assert clip.keypoints is not None and clip.camera is not None
        np.savez(folder / f"{number}.npz", keypoints=clip.keypoints.numpy(), fps=clip.fps)
    config = settings(target__paths=[str(folder)], target__focal=1.7, run__max_steps=1)
    result = adapt(config, source=six_walkers(), progress=False)
    assert result.steps == 1


def test_a_target_with_fewer_joints_low_confidence_and_another_rate(
    settings: Settings, target: list[MotionClip], tmp_path: Path
) -> None:
    clip = target[0]
    assert clip.keypoints is not None
    fewer = clip.skeleton
    keypoints = clip.keypoints.clone()
    keypoints[:, 2] = float("nan")
    confidence = torch.full(keypoints.shape[:2], 0.9)
    confidence[::3, 4] = 0.1
    confidence[10:20, 0] = 0.0  # the root is not there for a while
    worse = clip.replace(skeleton=fewer, keypoints=keypoints, confidence=confidence, fps=25.0)
    for by in ("window", "frame"):
        weights = run(settings(alignment__by=by, run__output=str(tmp_path / by)), [worse])
        assert all(bool(value.isfinite().all()) for value in weights.values() if value.is_floating_point())


def test_a_target_that_shows_nothing_is_refused_before_anything_is_written(
    settings: Settings, target: list[MotionClip]
) -> None:
    config = settings()
    unsure = [clip.replace(confidence=torch.full(clip.keypoints.shape[:2], 0.1)) for clip in target]  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"expected frames that show the root.*below confidence 0\.3"):
        adapt(config, source=six_walkers(), target=unsure, progress=False)
    assert not Path(config.run.output).exists()


def test_faults_of_the_settings_are_told(settings: Settings, target: list[MotionClip], tmp_path: Path) -> None:
    def refused(config: AdaptConfig, match: str, kind: type[Exception] = ConfigError, **given: Any) -> None:
        with pytest.raises(kind, match=match):
            adapt(config, **{"source": six_walkers(), "target": target, "progress": False, **given})
        assert not Path(config.run.output).exists()

    refused(settings(checkpoint=""), "give --checkpoint")
    refused(settings(), "give --target", target=None)
    refused(settings(data={"frames": 27}), re.escape("data.frames: expected 9"))
    positions = [walker(30, "3d only")]
    refused(settings(), "expected keypoints", DataError, target=positions)
    with pytest.raises(ConfigError, match="nothing would change"):
        settings(alignment__by="none", augmentation__enabled=False)
    with pytest.raises(ConfigError, match=r"run\.devices"):
        settings(run__devices=2)
    assert settings(run__devices=2, augmentation__enabled=False)
    ridge = graphpose.models.create("ridge", target[0].skeleton, frames=9)
    graphpose.models.save(ridge, tmp_path / "ridge.safetensors", config=TrainConfig().to_dict())
    refused(settings(checkpoint=str(tmp_path / "ridge.safetensors")), "solved at once")


def test_limits_come_back_to_skeletons_that_were_saved_without(settings: Settings) -> None:
    from graphpose.adaptation.adapting import with_limits

    h36m = Skeleton.load("h36m17")
    bare = replace(h36m, limits=None)
    assert bare.limits is None and with_limits(bare).limits == h36m.limits
    other = Skeleton.from_parents([-1, 0, 1], name="h36m17")
    assert with_limits(other) is other
