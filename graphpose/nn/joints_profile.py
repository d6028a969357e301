"""The temporal joints profile: all frames are fused at once, for a small neighbourhood of joint features.

    Y[t, j, c] = X[t, j, c] + b[t] + sum_s sum_{|o| <= r} K[t, s, o] X[s, j, c + o],      r = (size - 1) / 2

A convolution that takes the T frames of a window as its channels and slides over the features of each joint (zeros beyond the first
and the last feature), around which tokens pass unchanged: T * T * size + T parameters, the same for all joints. K is bound to T.

Diaz-Arias and Shin, "ConvFormer", 2024 (arXiv 2304.02147), name the idea; this form is our reading of it (`models/convformer.py`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.nn.memory import gibibytes, machine_memory

__all__ = ["JointsProfile"]


class JointsProfile(nn.Module):
    """Tokens plus what a convolution over all frames at once makes of them.

    Args:
        frames: T.
        size: features that one step of the convolution sees, odd.

    Raises:
        ConfigError: a size that is even or below one, or a kernel `[T, T, size]` that exceeds the memory of this machine.

    Shapes: `[B, T, J, C] -> [B, T, J, C]`; with `nodes [B, T']` (the frames that were kept, ascending) `[B, T', J, C]`.
    """

    def __init__(self, frames: int, size: int = 3) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ConfigError(f"expected profile_kernel as an odd size >= 1 (got {size})")
        needed, memory = frames**2 * size * torch.get_default_dtype().itemsize, machine_memory()
        if memory is not None and needed > memory:
            raise ConfigError(
                f"frames={frames}: the temporal joints profile relates every frame to every other and needs {gibibytes(needed)} "
                f"for its weights, this machine has {gibibytes(memory)}: use shorter windows (data.frames), or "
                "joints_profile=False"
            )
        self.frames = frames
        self.weight = nn.Parameter(torch.empty(frames, frames, size))
        self.bias = nn.Parameter(torch.empty(frames))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small beside the tokens that pass unchanged: a fifth of their size, whatever T is."""
        nn.init.trunc_normal_(self.weight, std=0.2 * (self.frames * self.weight.shape[-1]) ** -0.5)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, nodes: Tensor | None = None) -> Tensor:
        """See the class; frames that were not kept count as zeros."""
        if nodes is None:
            return x + self.profile(x)
        where = nodes[:, :, None, None].expand(-1, -1, *x.shape[2:])
        whole = x.new_zeros(x.shape[0], self.frames, *x.shape[2:]).scatter(1, where, x)
        return x + self.profile(whole).gather(1, where)

    def profile(self, x: Tensor) -> Tensor:
        """The convolution alone: [B, T, J, C] -> [B, T, J, C]."""
        return F.conv2d(x, self.weight.unsqueeze(2), self.bias, padding=(0, self.weight.shape[-1] // 2))

    def extra_repr(self) -> str:
        return f"frames={self.frames}, size={self.weight.shape[-1]}"
