"""DSTformer (MotionBERT): two streams that attend over joints and frames in opposite orders, fused by learned weights.

    Z       = W x + P_space + P_time                                   [B, T, J, C]
    for each layer:
        S   = Block_time(Block_space(Z))                               joints first
        R   = Block_space'(Block_time'(Z))                             frames first
        a   = softmax(W_f [S, R])                                      [B, T, J, 2], a weight a token and stream
        Z   = a_0 S + a_1 R
    y       = W_2 tanh(W_1 LN(Z))                                      [B, T, J, 3]

With priors in front, W x is KPA(x) and P_time comes after TPA, as in KTPFormer; both stand before the first layer.

Zhu et al., "MotionBERT: A Unified Perspective on Learning Human Motion Representations", ICCV 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.models.registry import register
from graphpose.models.space_time import AXES, SpaceTimeConfig, SpaceTimeTransformer
from graphpose.nn import Linear, TransformerBlock
from graphpose.nn.prior_specification import Axis
from graphpose.skeleton import Skeleton

__all__ = ["DSTformer", "DSTformerConfig"]

ORDERS: tuple[tuple[Axis, Axis], ...] = (("joints", "frames"), ("frames", "joints"))


@dataclass(frozen=True)
class DSTformerConfig(SpaceTimeConfig):
    """Options of DSTformer.

    Attributes:
        in_features: 2 (x, y) or 3 (x, y, confidence; published) a joint.
        depth: layers, each with two streams of two blocks.
        representation: width of the layer before the last, the motion representation.
    """

    channels: int = 256
    depth: int = 5
    mlp_ratio: float = 4.0
    representation: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.representation < 1:
            raise ConfigError(f"expected representation >= 1 (got {self.representation})")


@register("dstformer", DSTformerConfig, "two streams over joints and frames, fused by weight (MotionBERT, ICCV 2023)")
class DSTformer(SpaceTimeTransformer):
    """DSTformer on any skeleton; `lift` takes `[B, T, J, C_in]` with T = `config.frames` and J = the skeleton's joints."""

    def __init__(self, skeleton: Skeleton, config: DSTformerConfig) -> None:
        super().__init__(skeleton, config)
        channels, width = config.channels, config.representation
        self.streams = nn.ModuleList(
            [
                nn.ModuleList([nn.ModuleList([self.make_block(axis, i) for axis in order]) for order in ORDERS])
                for i in range(self.depth)
            ]
        )
        self.fusions = nn.ModuleList([Linear(2 * channels, 2) for _ in range(self.depth)])
        self.head = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6), Linear(channels, width), nn.Tanh(), Linear(width, 3)
        )
        self.start_small()
        for fusion in self.fusions:  # both streams count alike at first
            assert isinstance(fusion, Linear)
            nn.init.zeros_(fusion.weight)
            nn.init.constant_(fusion.bias, 0.5)

    def layer(self, index: int, tokens: Tensor, frames: Tensor | None = None) -> Tensor:
        """See `SpaceTimeTransformer`; the first layer gives the frames their places."""
        if index == 0:
            tokens = self.frame_embedding(tokens, frames)
        streams = []
        pair: Any = self.streams[index]
        for order, blocks in zip(ORDERS, pair, strict=True):
            stream = tokens
            for axis, block in zip(order, blocks, strict=True):
                stream = block(stream, axis=AXES[axis], nodes=frames if axis == "frames" else None)
            streams.append(stream)
        weights = self.stream_weights(index, streams)
        return weights[..., :1] * streams[0] + weights[..., 1:] * streams[1]

    def stream_weights(self, index: int, streams: list[Tensor]) -> Tensor:
        """How much of each stream [B, T, J, C] a token of this layer is made of: [B, T, J, 2], sums to one."""
        return torch.softmax(self.fusions[index](torch.cat(streams, dim=-1)), dim=-1)

    def temporal_block(self, index: int) -> TransformerBlock:
        pair: Any = self.streams[index]
        block = pair[0][1]
        assert isinstance(block, TransformerBlock)
        return block
