"""Training, resuming and evaluating from a store: the same as from memory, in one process and in two."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import graphpose
from graphpose.config import DataConfig, EvaluateConfig, TrainConfig
from graphpose.datasets import prepare_store
from graphpose.engine import LiftingModule, SeenClipsWarning, TrainingInterrupted, evaluate, train
from graphpose.formats import write
from graphpose.motion import MotionClip

Config = Callable[..., TrainConfig]


@pytest.fixture
def folders(walkers: list[MotionClip], tmp_path: Path) -> tuple[str, str]:
    """The walkers as files, and a store of them."""
    files = tmp_path / "files"
    files.mkdir()
    for clip in walkers:
        write(clip, files / f"{clip.name}.npz")
    prepare_store(DataConfig(paths=[str(files)]), tmp_path / "store", workers=2)
    return str(files), str(tmp_path / "store")


def assert_same(one: Path, other: Path) -> None:
    first, second = (graphpose.load(path).state_dict() for path in (one, other))
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("workers", [2, 0])  # workers first: forked after a training they end slowly
def test_training_and_evaluation_are_those_of_memory(
    folders: tuple[str, str], small_config: Config, tmp_path: Path, workers: int
) -> None:
    runs = [
        train(
            small_config(
                data__paths=[path],
                data__workers=of_loader,
                run__max_epochs=1,
                run__output=str(tmp_path / f"run_{Path(path).name}"),
            ),
            progress=False,
        )
        for path, of_loader in ((folders[1], workers), (folders[0], 0))  # the store, and the files without workers
    ]
    assert_same(runs[0].last, runs[1].last)
    assert runs[0].metrics == runs[1].metrics
    results = [evaluate(run.best, progress=False) for run in runs]
    assert [clip.name for clip in results[0].clips] == [clip.name for clip in results[1].clips] != []
    for one, other in zip(results[0].clips, results[1].clips, strict=True):
        assert torch.equal(one.predicted, other.predicted) and torch.equal(one.target, other.target)
    with pytest.warns(SeenClipsWarning, match="2 of 6 clips were trained on"):  # a store keeps what clips are known by
        crossed = evaluate(runs[0].best, EvaluateConfig(data={"paths": [folders[0]]}, part="all"), progress=False)
    assert len(crossed.clips) == 2 * 6


def test_resumed_in_the_middle_of_an_epoch(
    folders: tuple[str, str], small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"run__max_epochs": 2, "data__batch_size": 2, "data__paths": [folders[1]]}
    whole = train(small_config(run__output=str(tmp_path / "whole"), **settings), progress=False)
    original = LiftingModule.on_train_batch_start

    def interrupting(self: LiftingModule, batch: object, batch_idx: int) -> None:
        original(self, batch, batch_idx)
        if self.global_step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(LiftingModule, "on_train_batch_start", interrupting)
        config = small_config(run__output=str(tmp_path / "part"), **settings)
        with pytest.raises(TrainingInterrupted):
            train(config, progress=False)
    again = train(config, resume=tmp_path / "part", progress=False)
    assert again.steps == whole.steps
    assert_same(again.last, whole.last)


def test_two_processes_train_as_one(folders: tuple[str, str], small_config: Config, tmp_path: Path) -> None:
    """DDP from the store: half the batch in each of two processes takes the steps of the whole batch in one."""
    settings = {
        "model": {"name": "mixste", "options": {"channels": 16, "depth": 1, "heads": 2, "drop_path": 0.0}},
        "data__flip": False,
        "data__paths": [folders[1]],
    }
    one = train(small_config(**settings, data__batch_size=8, run__output=str(tmp_path / "one")), progress=False)
    two = train(
        small_config(
            **settings,
            data__batch_size=4,
            run__devices=2,
            run__strategy="ddp_fork",
            run__output=str(tmp_path / "two"),
        ),
        progress=False,
    )
    assert two.metrics["val/mpjpe"] == pytest.approx(one.metrics["val/mpjpe"], rel=1e-3)
    x = torch.randn(2, 9, 5, 2)
    torch.testing.assert_close(graphpose.load(one.last).lift(x), graphpose.load(two.last).lift(x), rtol=1e-3, atol=1e-3)
