"""A residual network on single frames: what a number without time and without a graph is.

    h = U(x)                                  x [J C_in], the keypoints of one frame as one vector
    h = h + U(U(h))                           `blocks` times, U = Dropout(ReLU(BatchNorm(linear)))
    y = W h + b                               [3 J], relative to the root

Published: 2D input and 3D target are both standardised, coordinate by coordinate, with mean and standard deviation of the training
set, the error is the squared one, and the norms of the weights are limited to 1. Here the input is that of every model of the zoo
(normalised screen units; the first BatchNorm scales what it becomes), the target is in metres, loss and optimiser are those of the
run, and no norm is limited. Dropout is drawn anew for every frame: to a loss that measures velocities (`ktpformer`) it is jitter, so
less of it serves there than published.

Martinez, Hossain, Romero, Little: "A simple yet effective baseline for 3d human pose estimation", ICCV 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.models.lifter import Lifter, LifterConfig
from graphpose.models.registry import register
from graphpose.nn.linear import Linear
from graphpose.nn.normalised_unit import check_unit, normalised_unit
from graphpose.skeleton import Skeleton

__all__ = ["ResidualMLP", "ResidualMLPConfig"]


@dataclass(frozen=True)
class ResidualMLPConfig(LifterConfig):
    """Options of the residual MLP.

    Attributes:
        frames: frames of a training window; every frame is lifted alone, and clips of any length are.
        in_features: 2 (x, y) or 3 (x, y, confidence) a joint.
        width: hidden width (published: 1024).
        blocks: residual blocks of two layers each (published: 2).
        dropout: share of the hidden numbers that are dropped while training (published: 0.5).
    """

    width: int = 1024
    blocks: int = 2
    dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unit("width", self.width, self.dropout)
        if self.blocks < 0:
            raise ConfigError(f"expected blocks >= 0 (got {self.blocks})")


@register("residual_mlp", ResidualMLPConfig, "baseline: residual MLP on single frames (Martinez et al., ICCV 2017)")
class ResidualMLP(Lifter):
    """`lift` takes `[B, T, J, C_in]` of any T and gives `[B, T, J, 3]`; no frame sees another (while training: but for BatchNorm)."""

    bound_to_frames = False
    whole_clips = True

    def __init__(self, skeleton: Skeleton, config: ResidualMLPConfig) -> None:
        super().__init__(skeleton, config)
        width, joints = config.width, len(skeleton)

        def unit(inputs: int) -> nn.Sequential:
            return normalised_unit(Linear(inputs, width, bias=False), width, config.dropout)

        self.stem = unit(joints * config.in_features)
        self.blocks = nn.ModuleList(nn.Sequential(unit(width), unit(width)) for _ in range(config.blocks))
        self.head = Linear(width, joints * 3)

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        hidden = self.stem(x.flatten(2).flatten(0, 1))  # [B T, width]
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.head(hidden).view(*x.shape[:3], 3)
