"""`last.ckpt` is saved as often as asked for, once a step, whole or not at all, and saving changes nothing of the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch

import graphpose
from graphpose.config import RunConfig, TrainConfig
from graphpose.engine import train
from graphpose.engine.whole_checkpoint import WholeCheckpoint
from graphpose.errors import ConfigError
from graphpose.motion import MotionClip

Config = Callable[..., TrainConfig]

BATCHES = 7
"""Of an epoch of `small_config` with batches of 4."""


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps after which a checkpoint was saved."""
    steps: list[int] = []
    original = L.Trainer.save_checkpoint

    def noting(self: L.Trainer, *args: Any, **more: Any) -> None:
        steps.append(self.global_step)
        original(self, *args, **more)

    monkeypatch.setattr(L.Trainer, "save_checkpoint", noting)
    return steps


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (3, [3, 6, 7, 10, 13, 14, 17]),
        (BATCHES, [7, 14, 17]),  # the end of an epoch, after its validation
        (BATCHES - 1, [6, 7, 13, 14, 17]),
        (100, [7, 14, 17]),
    ],
)
def test_each_step_is_saved_once_and_none_is_farther_from_a_save_than_asked_for(
    every: int, steps: list[int], walkers: list[MotionClip], small_config: Config, saved: list[int]
) -> None:
    config = small_config(data__batch_size=4, run__max_epochs=None, run__max_steps=17, run__save_every=every)
    train(config, clips=walkers, progress=False)
    assert saved == steps


def test_a_resumed_run_counts_from_where_it_goes_on(
    walkers: list[MotionClip], small_config: Config, saved: list[int]
) -> None:
    settings = {"data__batch_size": 4, "run__max_epochs": None, "run__save_every": 3}
    part = train(small_config(run__max_steps=2, **settings), clips=walkers, progress=False)
    train(small_config(run__max_steps=6, **settings), resume=part.folder, clips=walkers, progress=False)
    assert saved == [2, 5, 6]


@pytest.mark.parametrize("workers", [0, 2])
def test_saving_changes_nothing_of_the_training(
    walkers: list[MotionClip], small_config: Config, tmp_path: Path, workers: int
) -> None:
    often, never = (
        train(
            small_config(data__workers=workers, run__save_every=every, run__output=str(tmp_path / str(every))),
            clips=walkers,
            progress=False,
        ).last
        for every in (1, 1000)
    )
    one, other = (graphpose.load(path).state_dict() for path in (often, never))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_save_that_fails_leaves_the_former_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoint().save_checkpoint({"step": 1}, path)
    (tmp_path / ".last.ckpt.part").write_bytes(b"left by a kill")
    WholeCheckpoint().save_checkpoint({"step": 2}, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.ckpt"]

    def full(content: Any, draft: Path) -> None:
        draft.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        WholeCheckpoint().save_checkpoint({"step": 3}, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path) == {"step": 2}


def test_fewer_than_one_step_between_saves_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"save_every: expected at least 1 \(got 0\)"):
        RunConfig(save_every=0)
