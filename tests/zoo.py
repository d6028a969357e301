"""Small models of the zoo for tests: tiny options of each, and how to make one on a skeleton of five joints."""

from __future__ import annotations

from typing import Any

import torch

from graphpose.models import Lifter, create
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents(
    [-1, 0, 1, 0, 3], ["hip", "l_knee", "l_foot", "r_knee", "r_foot"], [("l_knee", "r_knee"), ("l_foot", "r_foot")]
)

_HOST = {"channels": 16, "depth": 2, "heads": 4}
SMALL: dict[str, dict[str, Any]] = {
    "dstformer": {**_HOST, "representation": 8},
    "ktpformer": _HOST,
    "mixste": _HOST,
}
"""One row a model; a model without one fails the contract test."""


def small(name: str, skeleton: Skeleton = FIVE, frames: int = 6, **options: Any) -> Lifter:
    """A tiny model in evaluation mode, away from zero-initialised weights, so that wrong broadcasting would show."""
    model = create(name, skeleton, frames=frames, **{**SMALL[name], **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval()
