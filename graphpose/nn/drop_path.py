"""Stochastic depth: a residual branch is dropped for whole samples.

    y = x + f * b / (1 - p),   b ~ Bernoulli(1 - p), one draw a sample;   y = x + f in evaluation mode

A sample is what attention keeps together: all tokens along the attended axis.

Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DropPath"]


class DropPath(nn.Module):
    """Adds a residual branch, which is dropped for a sample with probability `rate` while training.

    Args:
        rate: probability in [0, 1) that a sample's branch is dropped while training.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"expected a drop path rate in [0, 1) (got {rate})")
        self.rate = rate

    def forward(self, x: Tensor, branch: Tensor, axis: int = -2) -> Tensor:
        """Skip connection x and branch f, both [..., N, ..., C] with N at `axis` -> the same shape."""
        if not self.training or self.rate == 0.0:
            return x + branch
        keep = 1.0 - self.rate
        shape = list(branch.shape)
        shape[axis] = shape[-1] = 1
        kept = torch.empty(shape, dtype=branch.dtype, device=branch.device).bernoulli_(keep).div_(keep)
        return torch.addcmul(x, branch, kept)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"
