"""Ridge regression of a frame's joints on its keypoints: what a number without anything learned deeply is.

    y = W x + b,    (W, b) = argmin  sum_frames |y - W x - b|^2 + alpha |W|^2        x [J C_in], y [3 J], relative to the root

Solved at once, in float64, with scikit-learn's `Ridge` (Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal
problems", Technometrics 1970); `graphpose train` calls `fit` with every training frame once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from graphpose.errors import ConfigError, DataError
from graphpose.models.lifter import Lifter, LifterConfig
from graphpose.models.registry import register
from graphpose.skeleton import Skeleton

__all__ = ["RidgeConfig", "RidgeRegression"]


@dataclass(frozen=True)
class RidgeConfig(LifterConfig):
    """Options of the ridge regression.

    Attributes:
        frames: frames of a training window, of no other effect; every frame is lifted alone, and clips of any length are.
        in_features: 2 (x, y) or 3 (x, y, confidence) a joint.
        alpha: weight of |W|^2 against the sum of squared errors over all training frames, m^2.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ConfigError(f"expected alpha > 0 (got {self.alpha})")


@register("ridge", RidgeConfig, "baseline: ridge regression on single frames, solved in closed form")
class RidgeRegression(Lifter):
    """`lift` takes `[B, T, J, C_in]` of any T and gives `[B, T, J, 3]`; refuses until `fit` was called or fitted weights are loaded.

    Attributes:
        weight: W `[3 J, J C_in]`, coordinate k of joint j in row 3 j + k, feature c of joint j in column C_in j + c.
        bias: b `[3 J]`.
        fitted: bool, whether they mean anything; before, W and b are NaN.
    """

    bound_to_frames = False
    whole_clips = True
    fitted: Tensor

    def __init__(self, skeleton: Skeleton, config: RidgeConfig) -> None:
        super().__init__(skeleton, config)
        joints = len(skeleton)
        self.weight = nn.Parameter(torch.full((joints * 3, joints * config.in_features), torch.nan))
        self.bias = nn.Parameter(torch.full((joints * 3,), torch.nan))
        self.register_buffer("fitted", torch.tensor(False))

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        # What is traced has no numbers to look at; the graph of an unfitted model gives NaN.
        if not (torch.compiler.is_compiling() or isinstance(x, FakeTensor) or self.fitted):
            raise ConfigError(
                "this ridge regression is not fitted: train it (graphpose train --model.name ridge), call fit(x, y), or load a "
                "checkpoint"
            )
        return F.linear(x.flatten(2), self.weight, self.bias).unflatten(2, (-1, 3))

    def fit(self, x: Tensor, y: Tensor) -> None:
        """Solves for the weights.

        Args:
            x: keypoints `[..., J, C_in]` of n frames (normalised screen units).
            y: joints `[..., J, 3]` of the same frames (metres, relative to the root).

        Needs about 24 n J (C_in + 3) bytes for a while. Raises `DataError` for shapes that do not fit, no frames, and numbers that
        are not finite.
        """
        from sklearn.linear_model import Ridge

        joints = len(self.skeleton)
        if x.shape[-2:] != (joints, self.in_features) or y.shape != (*x.shape[:-1], 3) or not x.numel():
            raise DataError(
                f"ridge: expected keypoints [..., {joints}, {self.in_features}] and joints [..., {joints}, 3] of the same frames "
                f"(got {list(x.shape)} and {list(y.shape)})"
            )
        if not (x.isfinite().all() and y.isfinite().all()):
            raise DataError("ridge: expected finite keypoints and joints (got NaN or infinity)")
        columns, targets = (one.detach().cpu().double().reshape(-1, joints * one.shape[-1]).numpy() for one in (x, y))
        found = Ridge(alpha=self.config.alpha, solver="cholesky").fit(columns, targets)
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(found.coef_))
            self.bias.copy_(torch.from_numpy(found.intercept_))
        self.fitted.fill_(True)
