"""ConvFormer: attention over joints and over frames whose queries, keys and values come from convolutions of several sizes.

    Z = MixSTE's tokens and layers, with two changes:
    [Q K V] = sum_s a_s * Conv_s(LN(Z))     in every attention: over the joints of a frame, over the frames of a joint
    Z       = Z + Profile(Z)                once, before the first attention over frames: the temporal joints profile

What is from the paper (its abstract and the abstract of the authors' patent US 11482048 are what we could read; its code was never
published): convolutional Transformers over space and then over time; dynamic multi-headed convolutional self-attention, which
analyses parts of limbs that belong together; a temporal joints profile, which fuses all frames at once for a local neighbourhood of
joint features; far fewer parameters than Transformers before it.

What is our reading, for which no agreement with the published numbers is claimed:
 - "Dynamic multi-headed": kernels of several sizes, mixed by a softmax over learned weights, one set for each of Q, K, V and each head;
   the weights do not depend on the input (`nn/dynamic_convolution.py`).
 - Convolution over joints follows the skeleton: a kernel of size k reaches (k - 1) / 2 bones and has one weight for each number
   of bones, so it means the same on every skeleton. `joint_order="numbering"` slides along the joint numbers instead.
 - Convolution over frames takes the frames that are there as a sequence: after token pruning, neighbours are the kept frames before
   and after, however far off.
 - Parameters are saved by convolving in groups of `group_width` channels; the output projection and the MLP mix the groups.
 - The profile takes the frames as the channels of a convolution along the features of each joint (`nn/joints_profile.py`).
 - Layers in pairs, position embeddings, norms and the head are MixSTE's, so that the two compare at equal width and depth.

Diaz-Arias and Shin, "ConvFormer: Parameter Reduction in Transformer Models for 3D Human Pose Estimation by Leveraging Dynamic
Multi-Headed Convolutional Attention", The Visual Computer 40, 2024 (arXiv 2304.02147).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.models.mixste import MixSTE
from graphpose.models.registry import register
from graphpose.models.space_time import SpaceTimeConfig
from graphpose.nn import TransformerBlock
from graphpose.nn.dynamic_convolution import DynamicConvolution, check_kernels
from graphpose.nn.joints_profile import JointsProfile
from graphpose.nn.prior_specification import Axis
from graphpose.skeleton import Skeleton

__all__ = ["ConvFormer", "ConvFormerConfig"]


@dataclass(frozen=True)
class ConvFormerConfig(SpaceTimeConfig):
    """Options of ConvFormer.

    Attributes:
        depth: pairs of a spatial and a temporal block.
        drop_path: drop path of the last pair; grows linearly from 0 at the first.
        spatial_kernels: sizes of the convolutions over joints, odd; size k reaches (k - 1) / 2 bones.
        temporal_kernels: sizes of the convolutions over frames, odd.
        group_width: channels that a convolution mixes with each other; must divide `channels`, and equal to it mixes all.
        joint_order: "graph" (neighbourhoods of the skeleton) or "numbering" (joint numbers as a line).
        joints_profile: the temporal joints profile, which is bound to T; None: wherever the model is not index-free.
        profile_kernel: features that the profile sees at once, odd.
    """

    spatial_kernels: tuple[int, ...] = (1, 3, 5)
    temporal_kernels: tuple[int, ...] = (1, 3, 5)
    group_width: int = 8
    joint_order: Literal["graph", "numbering"] = "graph"
    joints_profile: bool | None = None
    profile_kernel: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_kernels("spatial_kernels", self.spatial_kernels)
        check_kernels("temporal_kernels", self.temporal_kernels)
        check_kernels("profile_kernel", [self.profile_kernel])
        if self.group_width < 1 or self.channels % self.group_width:
            raise ConfigError(
                f"expected group_width to divide channels={self.channels} (got group_width={self.group_width})"
            )
        if self.index_free and self.joints_profile:
            raise ConfigError(
                "the temporal joints profile has a weight for each pair of the T frames: expected joints_profile=False (or not "
                "given) with index_free=True (got joints_profile=True)"
            )
        if self.index_free and self.joint_order == "numbering":
            raise ConfigError(
                "joint numbers mean something else on each skeleton: expected joint_order='graph' with index_free=True "
                "(got joint_order='numbering')"
            )


@register("convformer", ConvFormerConfig, "MixSTE with dynamic convolutional attention and a joints profile (2023)")
class ConvFormer(MixSTE):
    """ConvFormer on any skeleton; `lift` takes `[B, T, J, C_in]` with T = `config.frames` and J = the skeleton's joints."""

    config: ConvFormerConfig

    def __init__(self, skeleton: Skeleton, config: ConvFormerConfig) -> None:
        super().__init__(skeleton, config)
        wanted = not config.index_free if config.joints_profile is None else config.joints_profile
        self.joints_profile = JointsProfile(config.frames, config.profile_kernel) if wanted else None

    def make_block(
        self, axis: Axis, layer: int, attention_norm_eps: float = 1e-6, projection: nn.Module | None = None
    ) -> TransformerBlock:
        """A block of MixSTE with convolutions for queries, keys and values."""
        config = self.config
        kernels = config.spatial_kernels if axis == "joints" else config.temporal_kernels
        graph = self.skeleton if axis == "joints" and config.joint_order == "graph" else None
        convolution = DynamicConvolution(config.channels, config.heads, kernels, config.group_width, graph)
        return super().make_block(axis, layer, attention_norm_eps, convolution)

    def embed_frames(self, tokens: Tensor, frames: Tensor | None = None) -> Tensor:
        """Tokens [B, T', J, C] -> the same with the place of each frame and the temporal joints profile."""
        tokens = super().embed_frames(tokens, frames)
        return tokens if self.joints_profile is None else self.joints_profile(tokens, frames)
