"""Batch normalisation of poses whose channels come last.

    y = gamma (x - mean) / sqrt(var + eps) + beta

`ChannelNorm` has one mean, variance, gamma and beta a channel (statistics over clips, frames and joints), `JointNorm` one for each
channel of each joint (statistics over clips and frames). In training mode the statistics are the batch's, as in PyTorch.

Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", ICML 2015.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ChannelNorm", "JointNorm"]


class ChannelNorm(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` for `[..., C] -> [..., C]`."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).view(x.shape)


class JointNorm(nn.BatchNorm1d):
    """`[..., J, C] -> [..., J, C]`; parameters and running statistics are `[J, C]`, so they move with the joints."""

    def __init__(self, joints: int, channels: int) -> None:
        super().__init__(joints * channels)
        shape = (joints, channels)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.running_mean = torch.zeros(shape)
        self.running_var = torch.ones(shape)

    def forward(self, x: Tensor) -> Tensor:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        if self.training:
            self.num_batches_tracked.add_(1)
        y = F.batch_norm(
            x.reshape(-1, self.num_features),
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.view(-1),
            self.bias.view(-1),
            self.training,
            self.momentum,
            self.eps,
        )
        return y.view(x.shape)
