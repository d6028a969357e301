"""Training learns, keeps what it promises to keep, and goes on after a stop as if nothing had happened."""

from __future__ import annotations

import itertools
import math
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch

import graphpose
from graphpose.analysis import read_history
from graphpose.config import TrainConfig
from graphpose.engine import LiftingModule, RunResult, TrainingInterrupted, device, train
from graphpose.engine.callbacks import KeepWeights
from graphpose.errors import CheckpointError, ConfigError
from graphpose.motion import MotionClip

Config = Callable[..., TrainConfig]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return graphpose.load(path).state_dict()


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_training_learns_and_leaves_a_complete_folder(walkers: list[MotionClip], small_config: Config) -> None:
    result = train(small_config(run__max_epochs=12), clips=walkers, progress=False)
    history = read_history(next(result.folder.glob("logs/version_0/metrics.csv")))
    losses = [row["train/loss"] for row in history if "train/loss" in row]
    assert losses[-1] < 0.6 * losses[0]
    validated = [row["val/mpjpe"] for row in history if "val/mpjpe" in row]
    assert len(validated) == 12
    metadata = graphpose.models.read_metadata(result.best)
    assert metadata["metrics"]["val/mpjpe"] == pytest.approx(min(validated), rel=1e-5)
    assert metadata["config"]["optim"]["lr"] == 2e-3
    assert '"subjects": ["A"]' in metadata["data_statement"]
    assert TrainConfig.from_yaml(result.folder / "config.yaml") == small_config(run__max_epochs=12)
    assert list(result.folder.glob("logs/version_0/events*"))
    assert result.steps == graphpose.models.read_metadata(result.last)["metrics"]["step"]


def test_two_and_two_epochs_equal_four(walkers: list[MotionClip], small_config: Config, tmp_path: Path) -> None:
    whole = train(small_config(run__max_epochs=4, run__output=str(tmp_path / "whole")), clips=walkers, progress=False)
    part = train(small_config(run__max_epochs=2, run__output=str(tmp_path / "part")), clips=walkers, progress=False)
    again = train(small_config(run__max_epochs=4), resume=part.folder, clips=walkers, progress=False)
    assert again.folder == part.folder and again.steps == whole.steps
    assert_same(weights(again.last), weights(whole.last))
    assert_same(weights(again.best), weights(whole.best))


@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_within_an_epoch_loses_nothing(
    walkers: list[MotionClip], small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    settings = {"run__max_epochs": 3, "data__workers": workers, "data__batch_size": 2}
    whole = train(small_config(run__output=str(tmp_path / "whole"), **settings), clips=walkers, progress=False)

    stop_at = 3  # inside the first epoch
    original = LiftingModule.on_train_batch_start

    def interrupting(self: LiftingModule, batch: object, batch_idx: int) -> None:
        original(self, batch, batch_idx)
        if self.global_step == stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(LiftingModule, "on_train_batch_start", interrupting)
    config = small_config(run__output=str(tmp_path / "part"), **settings)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingInterrupted, match=r"--resume .*part"):
        train(config, clips=walkers, progress=False)
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(LiftingModule, "on_train_batch_start", original)
    checkpoint = torch.load(tmp_path / "part" / "last.ckpt", weights_only=False)
    assert checkpoint["global_step"] == stop_at + 1 and checkpoint["epoch"] == 0
    again = train(config, resume=tmp_path / "part", clips=walkers, progress=False)
    assert again.steps == whole.steps
    assert_same(weights(again.last), weights(whole.last))


def test_the_message_of_ctrl_c_has_a_line_of_its_own(
    walkers: list[MotionClip],
    small_config: Config,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    original = LiftingModule.on_train_batch_start

    def interrupting(self: LiftingModule, batch: object, batch_idx: int) -> None:
        original(self, batch, batch_idx)
        if self.global_step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(LiftingModule, "on_train_batch_start", interrupting)
    with pytest.raises(TrainingInterrupted):
        train(small_config(data__batch_size=4), clips=walkers, progress=True)
    bar, message = capsys.readouterr()
    assert message.startswith("\nstopping after this step") and message.endswith(" ...\n")
    assert "2/7" in bar.splitlines()[-1] and bar.endswith("\n"), "what the caller prints next starts a line"


def test_the_same_seed_gives_the_same_weights_with_any_workers(
    walkers: list[MotionClip], small_config: Config, tmp_path: Path
) -> None:
    runs = [
        train(
            small_config(run__output=str(tmp_path / name), run__seed=seed, data__workers=workers),
            clips=walkers,
            progress=False,
        )
        for name, seed, workers in (("a", 3, 0), ("b", 3, 2), ("c", 4, 0))
    ]
    assert_same(weights(runs[0].last), weights(runs[1].last))
    assert not torch.equal(weights(runs[0].last)["head.1.weight"], weights(runs[2].last)["head.1.weight"])


def test_steps_that_end_no_epoch_are_validated(walkers: list[MotionClip], small_config: Config) -> None:
    result = train(
        small_config(run__max_epochs=None, run__max_steps=4, data__batch_size=2), clips=walkers, progress=False
    )
    assert result.steps == 4 and result.metrics["val/mpjpe"] > 0
    assert graphpose.models.read_metadata(result.best)["metrics"]["step"] == 4


@pytest.mark.parametrize(
    ("stop", "schedule"),
    [("in the first epoch", "exponential"), ("at its end", "exponential"), ("in the second", "constant")],
)
def test_a_run_made_longer_in_steps_equals_the_uninterrupted_one(
    walkers: list[MotionClip], small_config: Config, tmp_path: Path, stop: str, schedule: str
) -> None:
    def go(steps: int, name: str, resume: Path | None = None) -> RunResult:
        config = small_config(
            data__batch_size=4,
            optim={"lr": 2e-3, "schedule": schedule, "gamma": 0.5},
            run__max_epochs=None,
            run__max_steps=steps,
            run__output=str(tmp_path / name),
        )
        return train(config, resume=resume, clips=walkers, progress=False)

    batches = 7  # of an epoch
    part = go({"in the first epoch": 3, "at its end": batches, "in the second": batches + 2}[stop], "part")
    again = go(2 * batches + 3, "part", part.folder)
    whole = go(2 * batches + 3, "whole")
    assert again.steps == whole.steps == 2 * batches + 3
    assert torch.load(whole.folder / "last.ckpt", weights_only=False)["epoch"] == 2, "the epochs have 7 batches"
    assert_same(weights(again.last), weights(whole.last))
    assert again.metrics == pytest.approx(whole.metrics)


def test_the_validation_of_a_cut_epoch_is_not_forgotten(
    walkers: list[MotionClip], small_config: Config, tmp_path: Path
) -> None:
    config = small_config(run__max_epochs=None, run__max_steps=3, data__batch_size=4)
    result = train(config, clips=walkers, progress=False)
    saved = torch.load(result.folder / "last.ckpt", weights_only=False)
    assert saved["callbacks"]["KeepWeights"]["best"] == math.inf, "no epoch has ended"
    keep = KeepWeights(result.folder, {}, "")
    keep.load_state_dict(saved["callbacks"]["KeepWeights"])
    assert keep.best == graphpose.models.read_metadata(result.best)["metrics"]["val/mpjpe"]


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"run__max_epochs": None, "run__max_steps": 3}, r"run\.max_steps 3, after 3 steps.*--run\.max_steps N"),
        ({"run__max_epochs": 20, "run__patience": 1, "optim__lr": 1e-12}, r"run\.patience 1, .*--run\.patience N"),
    ],
)
def test_a_run_at_its_end_is_left_alone(
    walkers: list[MotionClip], small_config: Config, settings: dict[str, Any], limit: str
) -> None:
    config = small_config(data__batch_size=4, **settings)
    result = train(config, clips=walkers, progress=False)
    assert not result.at_end
    before = {path: path.stat().st_mtime_ns for path in result.folder.rglob("*")}
    again = train(config, resume=result.folder, clips=walkers, progress=False)
    assert re.search(limit, again.at_end), again.at_end
    assert {path: path.stat().st_mtime_ns for path in result.folder.rglob("*")} == before
    assert (again.steps, again.last) == (result.steps, result.last)
    result.last.unlink()  # as if stopped before its end: the limit holds, what is missing is written
    ended = train(config, resume=result.folder, clips=walkers, progress=False)
    assert not ended.at_end and ended.steps == result.steps
    assert result.last.is_file()


def test_more_patience_makes_a_resumed_run_longer(walkers: list[MotionClip], small_config: Config) -> None:
    # MixSTE has no batch statistics, which would go on to change the validation where the weights stand still.
    settings = {"optim__lr": 1e-12, "run__max_epochs": 20, "data__batch_size": 8, "model__name": "mixste"}
    short = train(small_config(run__patience=1, **settings), clips=walkers, progress=False)
    longer = train(small_config(run__patience=2, **settings), resume=short.folder, clips=walkers, progress=False)
    assert short.steps < longer.steps < 20 * short.steps


def test_checkpoints_of_the_way_are_kept_where_asked_for(walkers: list[MotionClip], small_config: Config) -> None:
    result = train(small_config(run__max_steps=7, run__keep_every=3), clips=walkers, progress=False)
    kept = sorted((result.folder / "steps").iterdir())
    assert [path.name for path in kept] == ["00000000.safetensors", "00000003.safetensors", "00000006.safetensors"]
    assert [graphpose.models.read_metadata(path)["metrics"]["step"] for path in kept] == [0.0, 3.0, 6.0]
    way = [weights(path)["head.1.weight"] for path in [*kept, result.last]]
    assert not any(torch.equal(one, other) for one, other in itertools.pairwise(way)), "each holds its own weights"
    elsewhere = str(result.folder) + "_plain"
    plain = train(small_config(run__max_steps=7, run__output=elsewhere), clips=walkers, progress=False)
    assert_same(weights(plain.last), weights(result.last))
    assert not (plain.folder / "steps").exists()


def test_without_validation_the_last_weights_are_the_best(walkers: list[MotionClip], small_config: Config) -> None:
    result = train(small_config(data__split={"by": "subject", "val": 0.0}), clips=walkers, progress=False)
    assert_same(weights(result.best), weights(result.last))


def test_early_stop_clipping_and_mixed_precision(walkers: list[MotionClip], small_config: Config) -> None:
    config = small_config(
        optim__lr=1e-9, run__max_epochs=30, run__patience=2, run__clip_grad=1.0, run__precision="bf16-mixed"
    )
    result = train(config, clips=walkers, progress=False)
    history = read_history(next(result.folder.glob("logs/version_0/metrics.csv")))
    assert sum("val/mpjpe" in row for row in history) < 30


@pytest.mark.parametrize("schedule", ["exponential", "cosine", "constant"])
def test_learning_rate_follows_its_schedule(walkers: list[MotionClip], small_config: Config, schedule: str) -> None:
    config = small_config(optim={"lr": 1e-3, "schedule": schedule, "gamma": 0.5, "warmup_steps": 2}, run__max_epochs=3)
    result = train(config, clips=walkers, progress=False)
    rates = [row["lr"] for row in read_history(next(result.folder.glob("logs/*/metrics.csv"))) if "lr" in row]
    steps, per_epoch = len(rates), len(rates) // 3
    warm = [min(1.0, (s + 1) / 2) for s in range(steps)]
    factor = {
        "exponential": [0.5 ** (s // per_epoch) for s in range(steps)],
        "cosine": [(1 + torch.cos(torch.tensor(torch.pi * (s + 1) / steps)).item()) / 2 for s in range(steps)],
        "constant": [1.0] * steps,
    }[schedule]
    assert rates == pytest.approx([1e-3 * w * f for w, f in zip(warm, factor, strict=True)], rel=1e-4, abs=1e-9)


def test_an_existing_run_is_not_overwritten(walkers: list[MotionClip], small_config: Config) -> None:
    config = small_config(run__max_epochs=1)
    result = train(config, clips=walkers, progress=False)
    before = result.last.read_bytes()
    with pytest.raises(ConfigError, match="holds a run already: go on with --resume"):
        train(config, clips=walkers, progress=False)
    assert result.last.read_bytes() == before


def test_resuming_nothing_or_rubbish_is_refused(
    walkers: list[MotionClip], small_config: Config, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        train(small_config(), resume=tmp_path, clips=walkers, progress=False)
    (tmp_path / "last.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="damaged"):
        train(small_config(), resume=tmp_path, clips=walkers, progress=False)


def test_impossible_settings_are_refused_before_anything_is_written(
    walkers: list[MotionClip], small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="needs validation clips"):
        train(small_config(run__patience=3, data__split={"by": "subject", "val": 0.0}), clips=walkers, progress=False)
    with pytest.raises(ConfigError, match="did you mean 'depth'"):
        train(small_config(model__options={"dept": 3}), clips=walkers, progress=False)
    monkeypatch.setattr(device, "machine_memory", lambda: 100_000)  # of some 25,000 numbers
    with pytest.raises(
        ConfigError, match=r"KTPFormer: weights, .* this machine has 9\.31e-05 GiB: use a smaller model"
    ):
        train(small_config(), clips=walkers, progress=False)
    assert not (tmp_path / "run").exists()


def test_two_processes_give_the_metrics_of_one(walkers: list[MotionClip], small_config: Config, tmp_path: Path) -> None:
    """Validation sharded over two processes, on the same weights, is validation in one."""
    from graphpose.datasets import PoseDataModule
    from graphpose.models import load

    result = train(small_config(), clips=walkers, progress=False)

    def validate(devices: int) -> dict[str, float]:
        config = small_config(data__batch_size=3)
        data = PoseDataModule(config.data, clips=walkers, seed=0)
        module = LiftingModule(load(result.last), config.optim, seed=0)
        trainer = L.Trainer(
            accelerator="cpu",
            devices=devices,
            strategy="ddp_fork" if devices > 1 else "auto",
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            use_distributed_sampler=False,
            default_root_dir=tmp_path,
        )
        trainer.validate(module, datamodule=data, verbose=False)
        return {name: float(value) for name, value in trainer.callback_metrics.items()}

    assert validate(2) == pytest.approx(validate(1), rel=1e-5)


def test_two_processes_train_as_one(walkers: list[MotionClip], small_config: Config, tmp_path: Path) -> None:
    """MixSTE (no batch statistics): two processes with half the batch each take the same steps as one with the whole."""
    settings = {
        "model": {"name": "mixste", "options": {"channels": 16, "depth": 1, "heads": 2, "drop_path": 0.0}},
        "data__flip": False,
        "run__max_epochs": 2,
    }
    one = train(
        small_config(**settings, data__batch_size=8, run__output=str(tmp_path / "one")), clips=walkers, progress=False
    )
    config = small_config(
        **settings, data__batch_size=4, run__devices=2, run__strategy="ddp_fork", run__output=str(tmp_path / "two")
    )
    two = train(config, clips=walkers, progress=False)
    assert two.metrics["val/mpjpe"] == pytest.approx(one.metrics["val/mpjpe"], rel=1e-3)
    x = torch.randn(2, 9, 5, 2)
    torch.testing.assert_close(graphpose.load(one.last).lift(x), graphpose.load(two.last).lift(x), rtol=1e-3, atol=1e-3)
