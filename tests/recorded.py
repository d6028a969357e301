"""What capture records of one pass of a model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from zoo import SMALL

from graphpose.analysis import Record, capture
from graphpose.models import Lifter

__all__ = ["ATTENDING", "recorded"]


ATTENDING = sorted(set(SMALL) - {"residual_mlp", "ridge", "videopose3d"})
"""Small models of the zoo that attend."""


def recorded(model: Lifter, x: Tensor, **options: Any) -> Record:
    with capture(model, **options) as record, torch.no_grad():
        model.lift(x)
    return record
