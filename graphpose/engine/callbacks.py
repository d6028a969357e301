"""What happens beside the training steps: weights worth keeping, a Ctrl-C that loses nothing, a kill that loses few steps."""

from __future__ import annotations

import math
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping

from graphpose.engine.lifting_module import LiftingModule
from graphpose.models import read_metadata, save

__all__ = [
    "EarlyStop",
    "GracefulInterrupt",
    "KeepWeights",
    "LastCheckpoint",
    "StopTraining",
    "TrainingInterrupted",
]


class TrainingInterrupted(KeyboardInterrupt):
    """Training stopped on request after a whole optimiser step; `checkpoint` continues it."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        super().__init__(f"interrupted; go on with --resume {checkpoint.parent}")


class StopTraining(BaseException):
    """Carries the request out of Lightning's loops, which would end the process on a KeyboardInterrupt."""


class KeepWeights(Callback):
    """Writes `best.safetensors` (lowest validation MPJPE) and `last.safetensors` into the run's folder.

    Without validation clips, the last weights are also the best there are, and both files hold them. With `every`, the weights at
    every so many steps are kept too, from step 0 on, as `steps/00000500.safetensors`.
    """

    def __init__(self, folder: Path, config: dict[str, Any], data_statement: str, every: int | None = None) -> None:
        self.folder = folder
        self.config = config
        self.data_statement = data_statement
        self.every = every
        self.best = math.inf
        self.validated_step = -1

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # The validation where `max_steps` ends an epoch in its middle comes after the checkpoint.
        self.best = min(state_dict["best"], self._best_on_disk())

    def _best_on_disk(self) -> float:
        path = self.folder / "best.safetensors"
        found = float(read_metadata(path)["metrics"].get("val/mpjpe", math.inf)) if path.is_file() else math.inf
        return math.inf if math.isnan(found) else found

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step == 0:
            self._keep_step(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self._keep_step(trainer, pl_module)

    def _keep_step(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self.every is not None and trainer.global_step % self.every == 0:
            self._save(trainer, module, f"steps/{trainer.global_step:08d}")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or "val/mpjpe" not in trainer.callback_metrics:
            return
        self.validated_step = trainer.global_step
        current = float(trainer.callback_metrics["val/mpjpe"])
        if current < self.best:
            self.best = current
            self._save(trainer, pl_module, "best")

    def finish(self, trainer: L.Trainer, module: LiftingModule) -> None:
        """Writes the last weights, after the last validation."""
        self._save(trainer, module, "last")
        if math.isinf(self.best):
            self._save(trainer, module, "best")

    def _save(self, trainer: L.Trainer, module: L.LightningModule, name: str) -> None:
        assert isinstance(module, LiftingModule)
        if trainer.is_global_zero:
            metrics = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
            save(
                module.model,
                self.folder / f"{name}.safetensors",
                config=self.config,
                data_statement=self.data_statement,
                metrics={**metrics, "step": float(trainer.global_step)},
            )


class LastCheckpoint(Checkpoint):
    """Writes `last.ckpt` after each epoch, and when `every` steps went by without; ends the training after `max_steps`, and writes
    it there too.

    A run that is killed so goes on at most `every` steps before. No step is saved twice: the steps are counted from the last save,
    the last step of an epoch is left to the save after its validation, and validation itself takes no steps.

    Lightning's own `max_steps` counts the epoch that it cuts as ended: a run made longer would skip the batches left in it.
    Here the checkpoint is written before the epoch is left, and the longer run equals one that was never stopped.
    """

    def __init__(self, folder: Path, max_steps: int | None, every: int) -> None:
        self.path = folder / "last.ckpt"
        self.max_steps = math.inf if max_steps is None else max_steps
        self.every = every
        self.saved_step = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.saved_step = trainer.global_step
        if trainer.global_step >= self.max_steps:
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        ended = trainer.global_step >= self.max_steps
        if ended:
            trainer.should_stop = True
        if (ended or trainer.global_step - self.saved_step >= self.every) and not _at_epoch_end(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if _at_epoch_end(trainer):
            self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self.saved_step = trainer.global_step


def _at_epoch_end(trainer: L.Trainer) -> bool:
    return bool(trainer.fit_loop.epoch_loop.batch_progress.is_last_batch)


class EarlyStop(EarlyStopping):
    """Stops after `patience` validations without a better MPJPE; a resumed run keeps the count, not the patience."""

    def __init__(self, patience: int) -> None:
        # After validation: the end of an epoch that a limit cut has no figures of its own.
        super().__init__("val/mpjpe", patience=patience, check_on_train_epoch_end=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class GracefulInterrupt(Callback):
    """Ctrl-C (or SIGTERM) lets the running step finish, saves `last.ckpt` and stops; a second Ctrl-C stops at once.

    Stopping between steps is what makes the resumed run equal to one that was never stopped. As a context manager around
    `Trainer.fit` it puts the signal handlers in place and takes them away again.
    """

    def __init__(self, folder: Path) -> None:
        self.checkpoint = folder / "last.ckpt"
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> GracefulInterrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._request) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nstopping after this step (Ctrl-C again stops at once) ...", file=sys.stderr, flush=True)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        requested = self.requested
        if trainer.world_size > 1:
            requested = trainer.strategy.reduce_boolean_decision(requested, all=False)
        if requested:
            trainer.save_checkpoint(self.checkpoint)
            raise StopTraining
