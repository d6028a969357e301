"""A plain KTPFormer to measure against: the published formulas with PyTorch's elementary operations, eager, nothing fused.

It is the peer of `bench_model.py` (attention by explicit matrix products and softmax, one rearrangement before every block) and,
being written apart from the package, an independent check of its numbers (`tests/models/test_plain_peer.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PlainAttention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        m, n, c = x.shape
        q, k, v = self.qkv(x).reshape(m, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weights = ((q @ k.transpose(-2, -1)) * (c // self.heads) ** -0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(m, n, c))


class PlainBlock(nn.Module):
    def __init__(self, channels: int, heads: int, mlp_ratio: float, first_eps: float, drop: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=first_eps)
        self.attn = PlainAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        hidden = int(channels * mlp_ratio)
        self.fc1, self.act, self.fc2 = nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels)
        self.drop = drop

    def _drop_path(self, x: Tensor) -> Tensor:
        if self.drop == 0.0 or not self.training:
            return x
        keep = 1 - self.drop
        mask = (keep + torch.rand((x.shape[0], 1, 1), dtype=x.dtype, device=x.device)).floor_()
        return x.div(keep) * mask

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._drop_path(self.attn(self.norm1(x)))
        return x + self._drop_path(self.fc2(self.act(self.fc1(self.norm2(x)))))


class PlainPrior(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, adjacency: Tensor) -> None:
        super().__init__()
        self.W = nn.Parameter(nn.init.xavier_uniform_(torch.empty(2, fan_in, fan_out)))
        self.M = nn.Parameter(nn.init.xavier_uniform_(torch.empty(len(adjacency), fan_out)))
        self.adj2 = nn.Parameter(torch.full_like(adjacency, 1e-6))
        self.bias = nn.Parameter(torch.zeros(fan_out))
        self.bn = nn.BatchNorm1d(fan_out)
        self.register_buffer("adjacency", adjacency)

    def forward(self, x: Tensor) -> Tensor:
        own, neighbours = x @ self.W[0], x @ self.W[1]
        total = self.adjacency + self.adj2
        total = (total + total.T) / 2
        eye = torch.eye(len(total), dtype=x.dtype, device=x.device)
        y = (total * eye) @ (self.M * own) + (total * (1 - eye)) @ (self.M * neighbours) + self.bias
        return torch.relu(self.bn(y.transpose(1, 2)).transpose(1, 2))


class PlainKTPFormer(nn.Module):
    """Input `[B, T, J, 2]`, output `[B, T, J, 3]`; `depth` pairs after the prior pair, as published."""

    def __init__(
        self,
        spatial: Tensor,
        temporal: Tensor,
        channels: int,
        depth: int,
        heads: int = 8,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        joints, frames = len(spatial), len(temporal)
        self.kpa = PlainPrior(2, channels, spatial)
        self.tpa = nn.ModuleList([PlainPrior(channels, channels, temporal) for _ in range(2)])
        self.space_position = nn.Parameter(torch.zeros(1, joints, channels))
        self.time_position = nn.Parameter(torch.zeros(1, frames, channels))
        rates = torch.linspace(0, drop_path, depth + 1).tolist()

        def blocks() -> nn.ModuleList:
            return nn.ModuleList(
                [PlainBlock(channels, heads, mlp_ratio, 1e-5 if i == 0 else 1e-6, r) for i, r in enumerate(rates)]
            )

        self.space, self.time = blocks(), blocks()
        self.space_norm, self.time_norm = nn.LayerNorm(channels, eps=1e-6), nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        b, t, j, _ = x.shape
        z = self.kpa(x.reshape(b * t, j, -1)) + self.space_position  # [B*T, J, C]
        for i, (space, time) in enumerate(zip(self.space, self.time, strict=True)):
            z = self.space_norm(space(z))
            z = z.reshape(b, t, j, -1).permute(0, 2, 1, 3).reshape(b * j, t, -1)
            if i == 0:
                z = z + self.tpa[1](self.tpa[0](z)) + self.time_position
            z = self.time_norm(time(z))
            z = z.reshape(b, j, t, -1).permute(0, 2, 1, 3).reshape(b * t, j, -1)
        return self.head(z).reshape(b, t, j, 3)
