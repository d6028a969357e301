"""Batch normalisation whose running statistics are right from the first step, and of poses whose channels come last.

    y = gamma (x - mean) / sqrt(var + eps) + beta
    running <- (1 - m) running + m batch,   m = max(0.1, 1 / n) at step n

PyTorch has m = 0.1 from the start, so that what the statistics begin with (mean 0, variance 1) counts for a hundred steps: where
the true variance is far from 1, a short training is then evaluated as another network than the one that was trained. Here the first
ten batches are averaged evenly. Training itself sees the statistics of the batch, as in PyTorch.

`BatchNorm` is `torch.nn.BatchNorm1d` otherwise; `ChannelNorm` has one mean, variance, gamma and beta a channel (statistics over
clips, frames and joints), `JointNorm` one for each channel of each joint (statistics over clips and frames).

Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", ICML 2015.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BatchNorm", "ChannelNorm", "JointNorm"]


class BatchNorm(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` for `[N, C]` or `[N, C, T]`."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        share = self.momentum
        if self.training:
            self.num_batches_tracked.add_(1)
            share = max(share, 1.0 / int(self.num_batches_tracked))
        return F.batch_norm(
            x,
            self.running_mean.flatten(),
            self.running_var.flatten(),
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
            share,
            self.eps,
        )


class ChannelNorm(BatchNorm):
    """`[..., C] -> [..., C]`."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).view(x.shape)


class JointNorm(BatchNorm):
    """`[..., J, C] -> [..., J, C]`; parameters and running statistics are `[J, C]`, so they move with the joints."""

    def __init__(self, joints: int, channels: int) -> None:
        super().__init__(joints * channels)
        shape = (joints, channels)
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape))
        self.running_mean = torch.zeros(shape)
        self.running_var = torch.ones(shape)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, self.num_features)).view(x.shape)
