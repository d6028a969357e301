"""A graph convolution over the joints, then a convolution over the frames, with a residual around both.

    Y = ReLU( BN( conv_K(G(X)) ) + R(X) ),   G = adaptive graph convolution,
    R = identity; linear with BatchNorm where the width changes; nothing for strided units, whose residual the pyramid adds

The convolution of kernel size K with stride s puts output q, of `ceil(T / s)`, on the frames `q s - left ... q s - left + K - 1` of
the window; frames outside count as zeros. Symmetric (published): left = (K - 1) / 2. Causal: left = K - s, so that the last frame
read is the last of the s frames that q stands for.

Yu et al., GLA-GCN, ICCV 2023; Shi et al., 2s-AGCN, CVPR 2019.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphpose.nn.adaptive_graph_convolution import AdaptiveGraphConvolution, DataGraph, residual_path
from graphpose.nn.batch_norm import ChannelNorm
from graphpose.nn.windowed_sequence import WindowedSequence

__all__ = ["GraphTemporalUnit", "TemporalConvolution"]


class TemporalConvolution(nn.Module):
    """BN(conv over the frames of each joint): `[B, T, J, C] -> [B, ceil(T / stride), J, C]`.

    Args:
        channels: C.
        kernel_size: K, odd unless `causal`.
        stride: s.
        causal: see the module.
    """

    def __init__(self, channels: int, kernel_size: int = 9, stride: int = 1, causal: bool = False) -> None:
        super().__init__()
        if kernel_size < 1 or not (causal or kernel_size % 2):
            raise ValueError(f"expected an odd kernel size, or a causal convolution (got kernel_size={kernel_size})")
        self.kernel_size = kernel_size
        self.stride = stride
        self.left = kernel_size - stride if causal else kernel_size // 2
        self.right = 0 if causal else kernel_size // 2
        self.weight = nn.Parameter(torch.empty(channels, channels, kernel_size, 1))
        self.norm = ChannelNorm(channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / (self.weight.shape[0] * self.kernel_size)))
        self.norm.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        if self.left == self.right:
            return self.convolve(x, self.stride, padding=self.left)
        return self.convolve(F.pad(x, (0, 0, 0, 0, self.left, self.right)), self.stride)

    def convolve(self, x: Tensor, stride: int = 1, dilation: int = 1, padding: int = 0) -> Tensor:
        """x [B, M, J, C] -> [B, (M + 2 padding - dilation (K - 1) - 1) // stride + 1, J, C], with the BatchNorm."""
        image = x.permute(0, 3, 1, 2)  # [B, C, M, J], channels last in memory: nothing is copied
        y = F.conv2d(image, self.weight, None, (stride, 1), (padding, 0), (dilation, 1))
        return self.norm(y.permute(0, 2, 3, 1))

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, kernel_size={self.kernel_size}, stride={self.stride}, left={self.left}"


class GraphTemporalUnit(nn.Module):
    """See the module.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        topology: fixed topology of the graph convolution `[K, J, J]`.
        kernel_size, causal: of the temporal convolution.
        stride: of the temporal convolution; None: 1, and with a residual around the unit.
        data_graph, dropout: of the graph convolution.

    Shapes: `[B, T, J, C_in] -> [B, ceil(T / stride), J, C_out]`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        topology: Tensor,
        *,
        kernel_size: int = 9,
        stride: int | None = None,
        causal: bool = False,
        data_graph: DataGraph = "window",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.graph = AdaptiveGraphConvolution(in_channels, out_channels, topology, data_graph, dropout)
        self.temporal = TemporalConvolution(out_channels, kernel_size, stride or 1, causal)
        self.residual = residual_path(in_channels, out_channels) if stride is None else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.temporal(self.graph(x))
        return torch.relu(y if self.residual is None else y + self.residual(x))

    def forward_windows(self, x: WindowedSequence) -> WindowedSequence:
        """The same for all windows of a clip at once; evaluation mode and `data_graph="frame"` only."""
        assert not self.training and self.graph.data_graph == "frame"
        y = x.map(self.graph).convolve(self.temporal)
        if self.residual is not None:
            y = y.plus(x.map(self.residual))
        return y.map(torch.relu)
