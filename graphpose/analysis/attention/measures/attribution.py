"""Gradient attribution: which input keypoints move an output joint, by the gradients of the whole model and not its attention alone.

    F(x) = |y_tj(x)|, or one coordinate of y_tj                 metres; y_tj the lifted joint j in frame t, relative to the root
    integrated gradients   a_si = sum_c (x - x')_sic  mean over the path x' -> x of dF/dx_sic      metres, sum = F(x) - F(x')
    input x gradient       a_si = sum_c x_sic dF/dx_sic                                            metres
    saliency               a_si = |dF/dx_si|, the norm over the features                           metres per screen unit

x `[T, J, C]` is the normalised input. The baseline x' is 0 by default, which is what a missing keypoint is to a model. Which frames an
Hourglass Tokenizer keeps is held as it is for x, or F would jump along the path.

Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017; computed by captum (extra `analysis`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from graphpose.analysis.attention.chosen import frame_number, joint_number
from graphpose.analysis.extras import require
from graphpose.engine.device import place_of
from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.models import Lifter
from graphpose.models.hourglass import Hourglass
from graphpose.nn.modes import evaluating

__all__ = ["Method", "attribution"]

Method = Literal["integrated_gradients", "input_x_gradient", "saliency"]
COORDINATES = ("x", "y", "z")
POINTS_AT_ONCE = 16
"""Points of the path that are lifted at a time: bounds the memory."""


def attribution(
    model: Lifter,
    keypoints: Tensor,
    joint: int | str,
    frame: int | None = None,
    *,
    method: Method = "integrated_gradients",
    coordinate: Literal["x", "y", "z"] | None = None,
    baseline: Tensor | None = None,
    points: int = 32,
    shares: bool = False,
) -> np.ndarray:
    """What each keypoint of a window adds to an output joint: `[T, J]` float64, units as in the module.

    >>> attribution(model, record.keypoints[0], "LeftWrist", frame=13)  # doctest: +SKIP

    Args:
        model: any lifter; its mode, weights and gradients stay as they are.
        keypoints: `[T, J, C]` of one window, normalised, missing ones 0 (as `Record.keypoints`).
        joint: the output joint, by name or number.
        frame: the output frame; None: the centre one (of a model that lifts one frame alone, that one).
        method: see the module.
        coordinate: of the lifted joint; None is its distance from the root, whose gradient is not defined where that is 0.
        baseline: `[T, J, C]`, x'; None is 0. Only of integrated gradients.
        points: of the path at which gradients are taken.
        shares: give |a| / sum |a|, which can stand beside a rollout; NaN where nothing counts.

    Raises:
        DataError: keypoints that the model does not take, or NaN among them; a frame that it does not lift.
        ConfigError: an unknown method or coordinate, fewer than one point. SkeletonError: an unknown joint.
    """
    if method not in get_args(Method):
        raise ConfigError(unknown_name("method", method, get_args(Method)))
    if coordinate is not None and coordinate not in COORDINATES:
        raise ConfigError(unknown_name("coordinate", coordinate, COORDINATES))
    if points < 1:
        raise ConfigError(f"expected points >= 1 (got {points})")
    if baseline is not None and method != "integrated_gradients":
        raise ConfigError(f"expected no baseline for method {method!r}, which has none (got one)")
    captum = require("captum.attr", "attribution")
    number = joint_number(model.skeleton, joint)
    device, dtype = place_of(model)
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        x = _window(model, keypoints, "keypoints").to(device, dtype).clone()
        start = torch.zeros_like(x) if baseline is None else _window(model, baseline, "baseline").to(x).clone()
        if start.shape != x.shape:
            raise DataError(f"expected a baseline {list(x.shape[1:])} (got {list(start.shape[1:])})")
        function = _function(model, x, number, frame, coordinate)
        if method == "integrated_gradients":
            found = captum.IntegratedGradients(function).attribute(
                x, start, n_steps=points, internal_batch_size=POINTS_AT_ONCE
            )
        elif method == "input_x_gradient":
            found = captum.InputXGradient(function).attribute(x.requires_grad_())
        else:
            found = captum.Saliency(function).attribute(x.requires_grad_(), abs=False)
    features = found[0].detach().cpu().double()
    values = features.norm(dim=-1) if method == "saliency" else features.sum(dim=-1)
    if shares:
        values = values.abs()
        total = values.sum()
        values = values / total if total > 0 else torch.full_like(values, torch.nan)
    result: np.ndarray = values.numpy()
    return result


def _window(model: Lifter, keypoints: Tensor, what: str) -> Tensor:
    """[T, J, C] -> [1, T, J, C] without what the model does not take."""
    if keypoints.ndim != 3:
        raise DataError(f"expected {what} [T, J, C] of one window (got {list(keypoints.shape)})")
    window = keypoints.detach()[None, ..., : model.in_features]
    model.check_input(window)
    if window.isnan().any():
        frame, joint = window[0].isnan().any(dim=-1).nonzero()[0].tolist()
        raise DataError(
            f"expected {what} without NaN (got NaN at frame {frame}, joint {model.skeleton.joints[joint]!r}): a missing keypoint is "
            "0 to a model (keypoints.nan_to_num(0))"
        )
    return window


def _function(
    model: Lifter, x: Tensor, joint: int, frame: int | None, coordinate: str | None
) -> Callable[[Tensor], Tensor]:
    """F, from windows [B, T, J, C] to [B]."""
    lifted = model.lifted_frame
    if frame is not None:
        frame_number(frame, x.shape[1])
    if lifted is not None and frame not in (None, lifted):
        raise DataError(f"expected frame {lifted}, the only one that this model lifts (got {frame})")
    place = 0 if lifted is not None else x.shape[1] // 2 if frame is None else frame
    kept = model.selected_frames(x).clone() if isinstance(model, Hourglass) else None

    def function(windows: Tensor) -> Tensor:
        if kept is None:
            pose = model.lift(windows)
        else:
            assert isinstance(model, Hourglass)
            pose = model.lift(windows, kept=kept.expand(len(windows), -1))
        point = pose[:, place, joint]  # [B, 3]
        return point.norm(dim=-1) if coordinate is None else point[:, COORDINATES.index(coordinate)]

    return function
