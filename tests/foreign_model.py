"""A model that is not ours: PyTorch's layers over joints, its products over frames."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SITES", "Product", "SpaceTime"]


SITES: Any = {"spatial*": "joints", "temporal*": "frames"}


class Product(nn.Module):
    """Attention by `F.scaled_dot_product_attention` over tokens [N, L, C], with whatever options."""

    def __init__(self, channels: int, heads: int, **options: Any) -> None:
        super().__init__()
        self.heads, self.options = heads, options
        self.qkv = nn.Linear(channels, 3 * channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return x + F.scaled_dot_product_attention(q, k, v, **self.options).transpose(1, 2).flatten(2)


class SpaceTime(nn.Module):
    """Not ours: PyTorch's layers over joints, products over frames; windows of any length."""

    def __init__(self, norm_first: bool = False, **options: Any) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 8)
        self.spatial = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first)
        self.temporal = Product(8, 2, **options)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        b, t, j, _ = x.shape
        tokens = self.spatial(self.embed(x).flatten(0, 1)).unflatten(0, (b, t))
        tokens = self.temporal(tokens.transpose(1, 2).flatten(0, 1)).unflatten(0, (b, j)).transpose(1, 2)
        return self.head(tokens)
