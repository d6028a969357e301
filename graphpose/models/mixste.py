"""MixSTE: alternating attention over joints and over frames, sequence to sequence; with priors it is KTPFormer.

    Z   = Embed(x) + P_space                              [B, T, J, C], Embed = linear, or KPA with prior "kpa"
    Z   = Prior(Z) + P_time   (once, before the first temporal block; Prior = identity, or TPA with prior "tpa")
    for each of the `depth` pairs:
        Z = LN_space(Block_space(Z))                      attends over the J joints of a frame
        Z = LN_time(Block_time(Z))                        attends over the T frames of a joint
    y   = W LN(Z)                                         [B, T, J, 3]

The two LayerNorms are shared by all pairs, as published.

Zhang et al., "MixSTE: Seq2seq Mixed Spatio-Temporal Encoder for 3D Human Pose Estimation in Video", CVPR 2022;
Peng et al., "KTPFormer", CVPR 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from graphpose.models.registry import register
from graphpose.models.space_time import AXES, SpaceTimeConfig, SpaceTimeTransformer
from graphpose.nn import TransformerBlock
from graphpose.skeleton import Skeleton

__all__ = ["MixSTE", "MixSTEConfig"]


@dataclass(frozen=True)
class MixSTEConfig(SpaceTimeConfig):
    """Options of MixSTE.

    Attributes:
        depth: pairs of a spatial and a temporal block.
        drop_path: drop path of the last pair; grows linearly from 0 at the first.
    """


@register("mixste", MixSTEConfig, "alternating spatial and temporal Transformer (CVPR 2022); prior= adds KPA and TPA")
class MixSTE(SpaceTimeTransformer):
    """MixSTE on any skeleton; `lift` takes `[B, T, J, C_in]` with T = `config.frames` and J = the skeleton's joints."""

    def __init__(self, skeleton: Skeleton, config: SpaceTimeConfig, depth: int | None = None) -> None:
        super().__init__(skeleton, config, depth)
        # The published prior blocks use LayerNorm's default epsilon before their attention, all others 1e-6.
        space = 1e-5 if len(self.joint_embedding.priors) else 1e-6
        time = 1e-5 if len(self.frame_embedding.priors) else 1e-6
        pairs = range(self.depth)
        self.spatial_blocks = nn.ModuleList([self.make_block("joints", i, space if i == 0 else 1e-6) for i in pairs])
        self.temporal_blocks = nn.ModuleList([self.make_block("frames", i, time if i == 0 else 1e-6) for i in pairs])
        self.spatial_norm = nn.LayerNorm(config.channels, eps=1e-6)
        self.temporal_norm = nn.LayerNorm(config.channels, eps=1e-6)
        self.start_small()

    def layer(self, index: int, tokens: Tensor, frames: Tensor | None = None) -> Tensor:
        """See `SpaceTimeTransformer`; the first layer gives the frames their places."""
        tokens = self.spatial_norm(self.spatial_blocks[index](tokens, axis=AXES["joints"]))
        if index == 0:
            tokens = self.embed_frames(tokens, frames)
        return self.temporal_norm(self.temporal_blocks[index](tokens, axis=AXES["frames"], nodes=frames))

    def embed_frames(self, tokens: Tensor, frames: Tensor | None = None) -> Tensor:
        """Tokens [B, T', J, C] -> the same with the place of each frame, once, before the first attention over frames."""
        return self.frame_embedding(tokens, frames)

    def temporal_block(self, index: int) -> TransformerBlock:
        block = self.temporal_blocks[index]
        assert isinstance(block, TransformerBlock)
        return block
