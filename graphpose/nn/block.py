"""THE Transformer block (pre-norm), shared by every model of the zoo.

x <- x + DropPath(Attention(LN(x)))
x <- x + DropPath(MLP(LN(x))),     MLP(x) = W_2 GELU(W_1 x + b_1) + b_2,  hidden width = mlp_ratio * C
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from graphpose.nn.attention import MultiHeadAttention
from graphpose.nn.block_prior import BlockPrior
from graphpose.nn.drop_path import DropPath
from graphpose.nn.linear import Linear

__all__ = ["MLP", "TransformerBlock"]


class MLP(nn.Module):
    """Two linear layers with the exact GELU between them: `[..., C] -> [..., hidden] -> [..., C]`."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(channels, hidden)
        self.fc2 = Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class TransformerBlock(nn.Module):
    """Attention along one axis of `[..., N, ..., C]` and an MLP on every token.

    Args:
        channels: C.
        heads: H.
        mlp_ratio: hidden width of the MLP over C.
        drop_path: probability that a branch of a sample is dropped while training.
        attention_norm_eps: epsilon of the LayerNorm before the attention (KTPFormer's prior blocks use 1e-5).
        norm_eps: epsilon of the LayerNorm before the MLP.
        prior: mixes the tokens before the block, or biases its attention.
        projection: makes queries, keys and values in place of a linear layer (as in the attention).
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.0,
        attention_norm_eps: float = 1e-6,
        norm_eps: float = 1e-6,
        prior: BlockPrior | None = None,
        projection: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.prior = prior
        self.attention_norm = nn.LayerNorm(channels, eps=attention_norm_eps)
        self.attention = MultiHeadAttention(channels, heads, projection)
        self.mlp_norm = nn.LayerNorm(channels, eps=norm_eps)
        self.mlp = MLP(channels, int(channels * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, bias: Tensor | None = None, axis: int = -2, nodes: Tensor | None = None) -> Tensor:
        """Tokens [..., N, ..., C] with N at `axis`, attention bias or None (as in the attention) -> the same shape.

        `nodes [B, N]` says which frames the N are where some were pruned; only priors look at it.
        """
        if self.prior is not None:
            x, bias = self.prior(x, bias, axis, nodes)
        x = self.drop_path(x, self.attention(self.attention_norm(x), bias, axis), axis)
        return self.drop_path(x, self.mlp(self.mlp_norm(x)), axis)
