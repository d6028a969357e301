"""THE attention: multi-head scaled dot-product attention with one fused query-key-value projection.

    Attention(X) = concat_h( softmax(Q_h K_h^T / sqrt(d) + B_h) V_h ) W_o,   [Q K V] = X W_qkv + b

B is an optional additive bias `[H, N, N]` (a graph prior, a mask). Everything that attends in graphpose attends through this
class: over joints when the tokens are `[B*T, J, C]`, over frames when they are `[B*J, T, C]`.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphpose.nn.linear import Linear
from graphpose.nn.short_attention import ShortAttention, prefers_short_attention

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(nn.Module):
    """Self-attention over the second to last axis.

    Args:
        channels: C, divisible by `heads`.
        heads: H.

    Shapes: input `[M, N, C]`, bias broadcastable to `[M, H, N, N]`, output `[M, N, C]`, weights `[M, H, N, N]`.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise ValueError(f"expected channels divisible by heads (got channels={channels}, heads={heads})")
        self.channels = channels
        self.heads = heads
        self.qkv = Linear(channels, 3 * channels)
        self.proj = Linear(channels, channels)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x [M, N, C], bias [.., H, N, N] or None -> [M, N, C]; the weights are never formed (fused kernel)."""
        qkv = self.qkv(x)  # [M, N, 3 C]
        if bias is None and prefers_short_attention(qkv):
            return self.proj(ShortAttention.apply(qkv, self.heads))
        q, k, v = self._split(qkv)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)  # [M, H, N, d]
        return self.proj(mixed.transpose(1, 2).reshape(x.shape))

    def forward_with_weights(self, x: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same output, and the weights [M, H, N, N] (rows sum to one) for those who want to look at them."""
        q, k, v = self._split(self.qkv(x))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        weights = torch.softmax(scores if bias is None else scores + bias, dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(x.shape)), weights

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[M, N, 3 C] -> queries, keys, values, each [M, H, N, C/H] (views)."""
        m, n, _ = qkv.shape
        q, k, v = qkv.view(m, n, 3, self.heads, self.channels // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def extra_repr(self) -> str:
        return f"channels={self.channels}, heads={self.heads}"
