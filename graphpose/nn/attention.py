"""THE attention: multi-head scaled dot-product attention with one fused query-key-value projection.

    Attention(X) = concat_h( softmax(Q_h K_h^T / sqrt(d) + B_h) V_h ) W_o,   [Q K V] = X W_qkv + b

B is an optional additive bias `[H, N, N]` (a graph prior, a mask). Everything that attends in graphpose attends through this
file, along any axis of its input: over the joints of `[B, T, J, C]` with `axis=2`, over the frames with `axis=1`. The tokens
stay where they are; only queries, keys and values are brought into the order that the products want.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphpose.nn.linear import Linear
from graphpose.nn.short_attention import ShortAttention, prefers_short_attention

__all__ = ["CrossAttention", "MultiHeadAttention", "attend", "attention_weights"]


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(d) + B) V: queries `[..., M, d]`, keys and values `[..., N, d]` -> `[..., M, d]`."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def attention_weights(q: Tensor, k: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(d) + B): queries `[..., M, d]`, keys `[..., N, d]` -> `[..., M, N]`, rows sum to one."""
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    return torch.softmax(scores if bias is None else scores + bias, dim=-1)


def _check_heads(channels: int, heads: int) -> None:
    if heads < 1 or channels % heads:
        raise ValueError(f"expected channels divisible by heads (got channels={channels}, heads={heads})")


class MultiHeadAttention(nn.Module):
    """Self-attention along one axis.

    Below, N is the length of the attended axis, A and R are the products of the axes before and after it.

    Args:
        channels: C, divisible by `heads`.
        heads: H.
        projection: makes queries, keys and values in place of the linear layer: `projection(x, axis)`, `[..., N, ..., C]` ->
            `[..., N, ..., 3 C]`.

    Shapes: input `[..., N, ..., C]`, bias `[H, N, N]` or broadcastable to `[A * R, H, N, N]`, output as the input, weights
    `[A * R, H, N, N]`.
    """

    def __init__(self, channels: int, heads: int, projection: nn.Module | None = None) -> None:
        super().__init__()
        _check_heads(channels, heads)
        self.channels = channels
        self.heads = heads
        self.projection = projection
        self.qkv = Linear(channels, 3 * channels) if projection is None else None
        self.proj = Linear(channels, channels)

    def forward(self, x: Tensor, bias: Tensor | None = None, axis: int = -2) -> Tensor:
        """Tokens [..., N, ..., C], N at `axis` -> the same shape; the attention weights are not kept."""
        return self._mix(self._project(x, axis), bias, x.shape)

    def forward_with_weights(self, x: Tensor, bias: Tensor | None = None, axis: int = -2) -> tuple[Tensor, Tensor]:
        """The output of `forward`, bit for bit, and the weights [A * R, H, N, N] for those who want to look at them."""
        qkv = self._project(x, axis)
        q, k, _ = self._split(qkv)
        return self._mix(qkv, bias, x.shape), attention_weights(q, k, bias)

    def queries_and_keys(self, qkv: Tensor) -> tuple[Tensor, Tensor]:
        """[A, N, R, 3 C] -> queries and keys, each [A, R, H, N, C/H]; nothing is copied."""
        q, k, _ = self._heads(qkv).unbind(0)
        return q, k

    def _mix(
        self, qkv: Tensor, bias: Tensor | None, shape: torch.Size, seen: Callable[[Tensor], None] | None = None
    ) -> Tensor:
        """[A, N, R, 3 C] -> the values mixed by the weights and projected, of the shape of the tokens.

        `seen` is called with the weights [A * R, H, N, N] where they are made at all: not by PyTorch's fused kernel.
        """
        if (bias is None or bias.ndim == 3) and prefers_short_attention(qkv):
            return self.proj(ShortAttention.apply(qkv, self.heads, bias, seen).view(shape))
        return self.proj(self._join(attend(*self._split(qkv), bias), qkv).reshape(shape))

    def _project(self, x: Tensor, axis: int) -> Tensor:
        """Tokens -> [A, N, R, 3 C]."""
        axis = axis % x.ndim
        before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 : -1])
        projected = self.qkv(x) if self.qkv is not None else self.projection(x, axis)  # type: ignore[misc]
        return projected.reshape(before, x.shape[axis], after, 3 * self.channels)

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[A, N, R, 3 C] -> queries, keys, values, each [A * R, H, N, C/H]."""
        q, k, v = self._heads(qkv).flatten(1, 2).unbind(0)
        return q, k, v

    def _heads(self, qkv: Tensor) -> Tensor:
        """[A, N, R, 3 C] -> [3, A, R, H, N, C/H]."""
        a, n, r, _ = qkv.shape
        return qkv.view(a, n, r, 3, self.heads, self.channels // self.heads).permute(3, 0, 2, 4, 1, 5)

    def _join(self, mixed: Tensor, qkv: Tensor) -> Tensor:
        """[A * R, H, N, C/H] -> [A, N, R, H, C/H]."""
        a, n, r, _ = qkv.shape
        return mixed.view(a, r, self.heads, n, -1).permute(0, 3, 1, 2, 4)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, heads={self.heads}"


class CrossAttention(nn.Module):
    """Attention of queries to a memory: queries `[..., M, C]`, memory `[..., N, C]` -> `[..., M, C]`."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        _check_heads(channels, heads)
        self.heads = heads
        self.linear_q = Linear(channels, channels)
        self.linear_k = Linear(channels, channels)
        self.linear_v = Linear(channels, channels)
        self.proj = Linear(channels, channels)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Leading axes of queries broadcast to those of the memory."""
        q, k, v = self._project(queries, memory)
        mixed = attend(q.expand(*k.shape[:-2], *q.shape[-2:]), k, v)  # [..., H, M, d]
        return self.proj(mixed.transpose(-3, -2).flatten(-2))

    def _project(self, queries: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [..., H, M or N, C/H]."""
        q = self._heads(self.linear_q(queries))
        return q, self._heads(self.linear_k(memory)), self._heads(self.linear_v(memory))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def extra_repr(self) -> str:
        return f"heads={self.heads}"
