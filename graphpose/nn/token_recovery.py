"""From the tokens of M kept frames back to the poses of all T frames; one interface, two ways by name.

tokens [B, M, J, C] of the frames kept [B, M] -> poses [B, T, J, 3]

- "cross-attention" (published): one learned query a frame, Q [T, C], shared by the joints, looks at the kept tokens Z_j of its joint:
      poses_j = decode(Q + CrossAttention(Q, Z_j)).
  It has to be trained, and is bound to T.
- "interpolation": the kept frames are decoded, and the *poses* in between are linear in time; before the first and after the last
  kept frame the pose is held. It has no parameters, so a trained model can be pruned without training, and takes any T. Poses rather
  than tokens, because decoding M frames costs less than T, and because a kept frame then keeps the pose that it was given.

Li et al., "Hourglass Tokenizer for Efficient Transformer-Based 3D Human Pose Estimation", CVPR 2024.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError, unknown_name
from graphpose.nn.attention import CrossAttention

__all__ = ["RECOVERIES", "CrossAttentionRecovery", "InterpolationRecovery", "TokenRecovery", "create_recovery"]

Decode = Callable[[Tensor], Tensor]


class TokenRecovery(nn.Module, ABC):
    """Base: tokens of kept frames to poses of all frames."""

    @abstractmethod
    def forward(self, tokens: Tensor, kept: Tensor, frames: int, decode: Decode) -> Tensor:
        """Tokens [B, M, J, C] of the frames kept [B, M] (int64, rising) -> poses [B, T, J, 3].

        Args:
            tokens: after the last layer.
            kept: which of the T frames they are.
            frames: T.
            decode: tokens [..., C] -> poses [..., 3].
        """


class CrossAttentionRecovery(TokenRecovery):
    """Learned queries of all frames attend to the kept tokens of each joint.

    Args:
        channels: C.
        heads: H.
        frames: T.
    """

    def __init__(self, channels: int, heads: int, frames: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(frames, channels))
        self.cross_attention = CrossAttention(channels, heads)

    def forward(self, tokens: Tensor, kept: Tensor, frames: int, decode: Decode) -> Tensor:
        """See `TokenRecovery`; which frames were kept is told by the tokens themselves."""
        memory = tokens.transpose(1, 2).flatten(0, 1)  # [B * J, M, C]
        recovered = self.queries + self.cross_attention(self.queries, memory)  # [B * J, T, C]
        return decode(recovered.unflatten(0, (len(tokens), -1)).transpose(1, 2))


class InterpolationRecovery(TokenRecovery):
    """Linear in time between the poses of kept frames."""

    def forward(self, tokens: Tensor, kept: Tensor, frames: int, decode: Decode) -> Tensor:
        """See `TokenRecovery`."""
        poses = decode(tokens)  # [B, M, J, 3]
        last = kept.shape[1] - 1
        number = torch.arange(frames, device=kept.device)
        after = (kept[:, None] < number[:, None]).sum(dim=2).clamp(max=last)  # [B, T], the first kept frame from t on
        before = (after - (kept.gather(1, after) > number).long()).clamp(min=0)
        start, end = kept.gather(1, before), kept.gather(1, after)
        share = ((number - start).to(poses) / (end - start).clamp(min=1)).clamp(0, 1)  # any where start is end

        def take(place: Tensor) -> Tensor:
            return torch.take_along_dim(poses, place[:, :, None, None], dim=1)

        return torch.lerp(take(before), take(after), share[:, :, None, None])


RECOVERIES: dict[str, Callable[[int, int, int], TokenRecovery]] = {
    "cross-attention": CrossAttentionRecovery,
    "interpolation": lambda channels, heads, frames: InterpolationRecovery(),
}
"""Name -> what makes it from (channels, heads, frames). Adding a way: a subclass of `TokenRecovery` and a row here."""


def create_recovery(name: str, channels: int, heads: int, frames: int) -> TokenRecovery:
    """The way called `name`.

    Raises:
        ConfigError: no way of that name.
    """
    if name not in RECOVERIES:
        raise ConfigError(unknown_name("recover", name, sorted(RECOVERIES)))
    return RECOVERIES[name](channels, heads, frames)
