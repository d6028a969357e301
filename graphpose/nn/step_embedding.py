"""The diffusion step as a vector that conditions every token: a two-layer MLP on its sines and cosines.

    c(t) = W_2 GELU(W_1 s(t) + b_1) + b_2,      s = `sinusoidal`,   hidden width 2 C

Shan et al., "Diffusion-Based 3D Human Pose Estimation with Multi-Hypothesis Aggregation" (D3DP), ICCV 2023.
"""

from __future__ import annotations

from torch import Tensor, nn

from graphpose.nn.block import MLP
from graphpose.nn.sinusoidal import sinusoidal

__all__ = ["StepEmbedding"]


class StepEmbedding(nn.Module):
    """Steps t `[B]` (integers) -> conditions `[B, C]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.mlp = MLP(channels, 2 * channels)

    def forward(self, t: Tensor) -> Tensor:
        return self.mlp(sinusoidal(t, self.channels, self.mlp.fc1.weight.dtype))
