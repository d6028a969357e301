"""Numbers (frames, diffusion steps) as sines and cosines of geometrically spaced frequencies.

    s(p) = [sin(p w_0), ..., sin(p w_{h-1}), cos(p w_0), ..., cos(p w_{h-1})],   w_i = 10000^(-i / (h - 1)),  h = floor(C / 2)

Vaswani et al., "Attention Is All You Need", NeurIPS 2017; frequencies spaced as diffusion models have them (the last is exactly
1/10000). An odd C has one zero at the end; with h = 1 the only frequency is 1.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["sinusoidal"]


def sinusoidal(positions: Tensor, channels: int, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers [...] of any kind -> [..., C], in `dtype` (default: that of the positions, for integers the default one)."""
    if dtype is None:
        dtype = positions.dtype if positions.is_floating_point() else torch.get_default_dtype()
    half = channels // 2
    # One rounding after the other as published: at step 999 the last digit of a frequency shows in the fifth of its sine.
    step = -math.log(10000.0) / max(half - 1, 1)
    frequencies = torch.exp(torch.arange(half, device=positions.device, dtype=dtype) * step)
    angles = positions.to(dtype).unsqueeze(-1) * frequencies
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=-1), (0, channels - 2 * half))
