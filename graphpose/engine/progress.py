"""What a training tells while it runs: a bar on a terminal, or a line for each epoch where the output is a file.

epoch 12, step 396: train/loss 0.0512, val/mpjpe 84.9 mm, val/p_mpjpe 61.0 mm, val/mpjve 5.1 mm/frame
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

__all__ = ["ProgressBar", "ProgressLines", "told"]

_UNITS = {"mpjpe": "mm", "p_mpjpe": "mm", "mpjve": "mm/frame"}


def told(name: str, value: float) -> str:
    """A logged figure with its unit: 84.9 mm for `val/mpjpe`, 0.0512 for one without a unit.

    >>> told("val/mpjve", 5.12), told("train/loss", 0.05123)
    ('5.1 mm/frame', '0.0512')
    """
    unit = _UNITS.get(name.rpartition("/")[2])
    return f"{value:.3g}" if unit is None else f"{value:.1f} {unit}"


class ProgressBar(TQDMProgressBar):
    """Lightning's bar with units and without the number of its logs.

    It ends its line when the training is interrupted, so that the message stands on its own.
    """

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        metrics: Mapping[str, Any] = super().get_metrics(trainer, pl_module)
        return {
            name: told(name, float(value)) if isinstance(value, (int, float)) else value
            for name, value in metrics.items()
            if name != "v_num"
        }

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        for bar in (self._val_progress_bar, self._train_progress_bar):
            if bar is not None:
                bar.close()


class ProgressLines(Callback):
    """Prints a line at the end of each epoch to the error stream, with the validation of that epoch where there was one."""

    def __init__(self) -> None:
        self._validated_step = -1

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._validated_step = trainer.global_step

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        figures = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name == "train/loss" or (name.startswith("val/") and self._validated_step == trainer.global_step)
        }
        shown = ", ".join(f"{name} {told(name, value)}" for name, value in figures.items())
        print(f"epoch {trainer.current_epoch}, step {trainer.global_step}: {shown}", file=sys.stderr, flush=True)
