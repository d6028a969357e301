"""AdamW and its learning rate over time.

    rate(s) = lr * min(1, s / warmup) * f(s)
    f(s)    = gamma^epoch  |  (1 + cos(pi s / S)) / 2  |  1          for "exponential" | "cosine" | "constant"

s counts optimiser steps from 1, S is their total number. The published KTPFormer recipe is lr 8e-5, gamma 0.99, no warm-up.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from graphpose.config import OptimConfig
from graphpose.errors import ConfigError

__all__ = ["learning_rate_factor", "make_optimiser"]


def learning_rate_factor(config: OptimConfig, steps: int | None, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor on `config.lr` as a function of the optimiser steps done so far.

    Args:
        config: schedule, gamma and warm-up.
        steps: S; needed by "cosine".
        steps_per_epoch: optimiser steps an epoch; needed by "exponential".

    Raises:
        ConfigError: a cosine without an end.
    """
    if config.schedule == "cosine" and not steps:
        raise ConfigError(
            "optim.schedule: 'cosine' needs the end of the training: give run.max_steps or run.max_epochs"
        )

    def factor(done: int) -> float:
        step = done + 1
        warm = min(1.0, step / config.warmup_steps) if config.warmup_steps else 1.0
        if config.schedule == "exponential":
            return warm * config.gamma ** (done // max(1, steps_per_epoch))
        if config.schedule == "cosine":
            assert steps is not None
            return warm * (1.0 + math.cos(math.pi * min(step, steps) / steps)) / 2.0
        return warm

    return factor


def make_optimiser(model: nn.Module, config: OptimConfig, *, fused: bool = True) -> torch.optim.AdamW:
    """AdamW over all parameters of the model; `fused` does a step in one kernel (not with clipping in mixed precision)."""
    return torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=fused
    )
