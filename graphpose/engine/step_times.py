"""How long the optimiser steps of a training take, kept in `last.ckpt` so that a resumed run knows of its earlier parts."""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback

__all__ = ["StepTimes", "TrainingTime", "training_time"]

_KEPT = 1000


@dataclass(frozen=True)
class TrainingTime:
    """How long a training took.

    Attributes:
        steps: optimiser steps.
        seconds_a_step: median wall time of the last thousand steps.
        seconds: wall time from the first step to the last, validation included, pauses between parts not.
    """

    steps: int
    seconds_a_step: float
    seconds: float


class StepTimes(Callback):
    """Measures each step from the end of the one before it (so with loading), the first of an epoch from its own start."""

    def __init__(self) -> None:
        self.steps: deque[float] = deque(maxlen=_KEPT)
        self.seconds = 0.0
        self._now = 0.0
        self._last_end: float | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"steps": list(self.steps), "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps = deque(state_dict["steps"], maxlen=_KEPT)
        self.seconds = float(state_dict["seconds"])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._now = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._last_end = None

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if self._last_end is None:
            self._last_end = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        now = time.perf_counter()
        if self._last_end is not None:
            self.steps.append(now - self._last_end)
        self.seconds += now - self._now
        self._now = self._last_end = now


def training_time(folder: str | Path) -> TrainingTime | None:
    """What the `last.ckpt` of a run folder says; None for a run that did not measure."""
    saved = torch.load(Path(folder) / "last.ckpt", map_location="cpu", weights_only=False)
    state = saved["callbacks"].get("StepTimes")
    if not state or not state["steps"]:
        return None
    return TrainingTime(int(saved["global_step"]), statistics.median(state["steps"]), float(state["seconds"]))
