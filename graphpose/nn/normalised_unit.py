"""The unit of networks before Transformers: Dropout(ReLU(BatchNorm(layer(x)))).

The layer is linear, x [N, C_in] -> [N, C], or a convolution over frames, x [N, C_in, T] -> [N, C, T']; statistics are over
all axes but the channels, so the layer needs no bias of its own.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.nn.batch_norm import BatchNorm

__all__ = ["check_unit", "normalised_unit"]


class _FrameNorm(BatchNorm):
    """`BatchNorm`, also of a batch that is a single frame, as an epoch may end: the running statistics serve there."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == self.num_features:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def normalised_unit(layer: nn.Module, channels: int, dropout: float) -> nn.Sequential:
    """`layer`, which gives `channels`, and what follows it."""
    return nn.Sequential(layer, _FrameNorm(channels), nn.ReLU(), nn.Dropout(dropout))


def check_unit(option: str, channels: int, dropout: float) -> None:
    """Raises ConfigError for channels below 1 (named `option`) or a dropout outside [0, 1)."""
    if channels < 1:
        raise ConfigError(f"expected {option} >= 1 (got {channels})")
    if not 0 <= dropout < 1:
        raise ConfigError(f"expected dropout in [0, 1) (got {dropout})")
