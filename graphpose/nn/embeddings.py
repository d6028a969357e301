"""From keypoints to tokens, and where a token stands: which joint, which frame.

    joints:  Z = Embed(x) + P_space,     Embed = linear, or sum_r KPA_r with priors of joints
    frames:  Z = Prior(Z) + P_time,      Prior = identity, or TPA_r one after the other with priors of frames

P_space `[J, C]` and P_time `[T, C]` are learned and start at 0; index-free models compute both from what a joint or a frame is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphpose.nn.index_free import IndexFreeFramePosition, IndexFreeJointPosition
from graphpose.nn.linear import Linear
from graphpose.nn.prior_specification import frame_prior, joint_prior
from graphpose.skeleton import Skeleton

__all__ = ["FrameEmbedding", "JointEmbedding"]


class JointEmbedding(nn.Module):
    """Keypoints `[B, T, J, C_in]` -> tokens `[B, T, J, C]`: linear or by priors, with the place of each joint.

    Args:
        in_features: C_in.
        channels: C.
        skeleton: J joints.
        priors: names of priors of joints; none: a linear layer.
        index_free: nothing tied to a single joint.
    """

    def __init__(
        self,
        in_features: int,
        channels: int,
        skeleton: Skeleton,
        priors: tuple[str, ...] = (),
        index_free: bool = False,
    ) -> None:
        super().__init__()
        self.linear = None if priors else Linear(in_features, channels)
        self.priors = nn.ModuleList([joint_prior(name, in_features, channels, skeleton, index_free) for name in priors])
        if index_free:
            self.index_free_position = IndexFreeJointPosition(channels, skeleton)
        else:
            self.position = nn.Parameter(torch.zeros(len(skeleton), channels))
        self.index_free = index_free

    def forward(self, x: Tensor) -> Tensor:
        if self.linear is not None:
            tokens = self.linear(x)
        else:
            first, *others = [prior.forward_grid(x) for prior in self.priors]  # type: ignore[operator]
            tokens = sum(others, first)
        return tokens + (self.index_free_position() if self.index_free else self.position)


class FrameEmbedding(nn.Module):
    """Tokens `[B, T, J, C]` -> the same, mixed by the priors of frames, with the place of each frame.

    Args:
        channels: C.
        frames: T.
        priors: names of priors of frames, applied one after the other.
        index_free: nothing tied to a single frame; then clips of any length are taken.
    """

    def __init__(self, channels: int, frames: int, priors: tuple[str, ...] = (), index_free: bool = False) -> None:
        super().__init__()
        self.priors = nn.ModuleList([frame_prior(name, channels, frames, index_free) for name in priors])
        if index_free:
            self.index_free_position = IndexFreeFramePosition(channels)
        else:
            self.position = nn.Parameter(torch.zeros(frames, channels))
        self.index_free = index_free

    def forward(self, tokens: Tensor, frames: Tensor | None = None) -> Tensor:
        """Tokens of all frames, or of those that `frames [B, T']` names."""
        paths = tokens.transpose(1, 2)  # [B, J, T, C]
        kept = None if frames is None else frames[:, None]
        for prior in self.priors:
            paths = prior.forward_grid(paths, kept)  # type: ignore[operator]
        tokens = paths.transpose(1, 2)
        if self.index_free:
            numbers = torch.arange(tokens.shape[1], device=tokens.device) if frames is None else frames
            return tokens + self.index_free_position(numbers).unsqueeze(-2)
        place = self.position if frames is None else self.position[frames]
        return tokens + place.unsqueeze(-2)
