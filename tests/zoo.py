"""Small models of the zoo for tests: tiny options of each, and how to make one on a skeleton of five joints."""

from __future__ import annotations

from typing import Any

import torch

from graphpose.models import Lifter, create
from graphpose.models.ridge import RidgeRegression
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents(
    [-1, 0, 1, 0, 3], ["hip", "l_knee", "l_foot", "r_knee", "r_foot"], [("l_knee", "r_knee"), ("l_foot", "r_foot")]
)

_HOST = {"channels": 16, "depth": 2, "heads": 4}
SMALL: dict[str, dict[str, Any]] = {
    "convformer": {**_HOST, "group_width": 4},
    "d3dp": {"denoiser_options": _HOST, "hypotheses": 2, "steps": 2},
    "dstformer": {**_HOST, "representation": 8},
    "gla_gcn": {"channels": 16},
    "hourglass": {"host": "ktpformer", "host_options": _HOST, "tokens": 3, "layer": 1},
    "ktpformer": _HOST,
    "ktpformer_index_free": _HOST,
    "mixste": _HOST,
    "residual_mlp": {"width": 16},
    "ridge": {},
    "videopose3d": {"channels": 16, "filter_widths": (3, 3)},
}
"""One row a model; a model without one fails the contract test. A row with `frames` is of a model that takes clips of any length."""

NUMBERED = {"d3dp": "its 5 input features look like 5 joints to the test; test_d3dp.py has it with 6"}
"""Models whose output of renumbered joints is not the renumbered output, and why."""

FITTED = {"ridge": "weights come from its closed form, not from gradients"}
"""Models that are not trained by gradients, and why."""


def small(name: str, skeleton: Skeleton = FIVE, frames: int = 6, **options: Any) -> Lifter:
    """A tiny model in evaluation mode, away from zero-initialised weights, so that wrong broadcasting would show."""
    options = {"frames": frames, **SMALL[name], **options}
    if "tokens" in options:  # kept frames of the Hourglass Tokenizer
        options["tokens"] = min(options["tokens"], options["frames"])
    model = create(name, skeleton, **options)
    if isinstance(model, RidgeRegression):
        model.fit(torch.randn(99, len(skeleton), model.in_features), torch.randn(99, len(skeleton), 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


def lifted_length(model: Lifter) -> int:
    """Frames that `lift` gives of a window."""
    return model.frames if model.lifted_frame is None else 1


def keypoints(model: Lifter, clips: int = 2, length: int | None = None, features: int = 2) -> torch.Tensor:
    """Random input of a model, `[B, T, J, C]`, in the type of its weights."""
    dtype = next(model.parameters()).dtype
    return torch.randn(clips, model.frames if length is None else length, len(model.skeleton), features, dtype=dtype)
