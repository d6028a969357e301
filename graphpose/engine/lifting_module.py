"""A lifter in training: what Lightning calls.

Randomness (drop path) is drawn from a generator state that depends on (seed, optimiser step, process) alone, and the windows from
(seed, epoch, window): a run that is interrupted and resumed, in the middle of an epoch too, repeats the uninterrupted one bit for bit.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from graphpose.config import OptimConfig
from graphpose.engine.device import place_of
from graphpose.engine.optimiser import learning_rate_factor, make_optimiser
from graphpose.graph import Grid, grids
from graphpose.losses import create_loss
from graphpose.metrics import PoseMetrics
from graphpose.models import Lifter

__all__ = ["LiftingModule", "step_seed"]

VALIDATION_METRICS = ("mpjpe", "p_mpjpe", "mpjve")


def step_seed(seed: int, step: int, rank: int) -> int:
    """A seed for one optimiser step of one process; neighbouring arguments give unrelated seeds."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) & (2**64 - 1)
    mixed ^= mixed >> 31
    return (mixed * 0xD6E8FEB86659FD93) & (2**63 - 1)


class LiftingModule(L.LightningModule):
    """Trains `model` on PoseGraph batches (`x`, `y`, `visible`) and validates it in mm.

    Logs `train/<term>` of the loss, `val/mpjpe`, `val/p_mpjpe`, `val/mpjve` (mm, every frame of the validation clips once) and the
    learning rate.

    Args:
        model: any lifter.
        config: optimiser and loss.
        seed: of everything that is drawn while training.
        log_every: steps between two logs of the terms of the loss.
        max_steps: the limit in steps, where there is one; a learning rate that falls to the end of the run looks at it.
    """

    def __init__(
        self, model: Lifter, config: OptimConfig, seed: int, log_every: int = 50, max_steps: int | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.optim_config = config
        self.seed = seed
        self.log_every = log_every
        self.max_steps = max_steps
        self.loss = create_loss(config.loss, model.skeleton, **config.loss_options)
        # velocities are measured within windows, and a window of one frame has none
        names = [name for name in VALIDATION_METRICS if model.frames > 1 or name != "mpjve"]
        self.validation = PoseMetrics(model.skeleton, names, prefix="val/")

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(step_seed(self.seed, self.global_step, self.global_rank))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        groups = grids(batch)
        clips = sum(len(group.x) for group in groups)
        total = torch.zeros((), device=batch.x.device)
        for group in groups:
            x, target = self._window(batch, group)
            pred = self.model.lift_for_loss(x, target)
            if self.model.lifted_frame is not None:
                target = target[:, self.model.lifted_frame][:, None]
            total = total + len(pred) / clips * self.loss(pred, target)
            if self.global_step % self.log_every == 0:
                terms = self.loss.terms(pred.detach(), target)
                self.log_dict({f"train/{name}": value for name, value in terms.items()}, batch_size=len(pred))
        self.log("train/loss", total.detach(), batch_size=clips, prog_bar=True)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return total

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        for group in grids(batch):
            x, target = self._window(batch, group)
            pred = self.model.lift_sequence(x)
            self.validation.update(pred.float(), target.float(), visible=batch.counted[group.clips])

    def on_validation_epoch_end(self) -> None:
        figures = {name: 1000.0 * value.float() for name, value in self.validation.compute().items()}
        self.log_dict(figures, prog_bar=True, sync_dist=True)  # equal in all processes already; says so to Lightning
        self.validation.reset()

    def _window(self, batch: Any, group: Grid) -> tuple[Tensor, Tensor]:
        """One group of equal graphs -> keypoints [b, T, J, C] and target [b, T, J, 3]."""
        _, dtype = place_of(self.model)  # float64 where run.precision says so; windows are float32
        x = group.x.to(dtype)
        return x, batch.y[group.nodes].view(*x.shape[:3], 3).to(dtype)

    def configure_optimizers(self) -> Any:
        optimiser = make_optimiser(self.model, self.optim_config, fused=self.trainer.gradient_clip_val is None)
        # Not from `trainer.estimated_stepping_batches`: it sets the loaders up before a checkpoint can restore their place.
        per_epoch = len(self.trainer.datamodule.train_dataloader())  # type: ignore[attr-defined]
        limits = [self.max_steps or -1, (self.trainer.max_epochs or -1) * per_epoch]
        steps = min((limit for limit in limits if limit > 0), default=None)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, learning_rate_factor(self.optim_config, steps, per_epoch)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
