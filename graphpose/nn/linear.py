"""y = x W^T + b, on the kernel that is fastest for it.

PyTorch multiplies matrices on CPUs through BLAS, convolutions through oneDNN. For wide layers oneDNN's kernel is the faster of
the two (AVX-512 AMD machine, 2 cores, 4131 x 512 -> 1536: 1.4 times forward, 1.2 times backward), and a linear layer *is* a
convolution of kernel size 1 over the tokens. Parameters, names and results are those of `torch.nn.Linear`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Linear"]

WIDE = 128
"""Input and output features from which the convolution kernel wins; below, the two are equal within noise."""


class Linear(nn.Linear):
    """`torch.nn.Linear` for `[..., C_in] -> [..., C_out]`."""

    def forward(self, x: Tensor) -> Tensor:
        if self._convolution_is_faster(x):
            tokens = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)  # [1, C_in, 1, M], channels last
            y = F.conv2d(tokens, self.weight[:, :, None, None], self.bias)
            return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)
        return super().forward(x)

    def _convolution_is_faster(self, x: Tensor) -> bool:
        return (
            not torch.compiler.is_compiling()
            and min(self.in_features, self.out_features) >= WIDE
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and torch.backends.mkldnn.is_available()
        )
