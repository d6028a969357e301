"""What priors do at a single block: mix its tokens along their relations, or bias its attention by distance on them.

    tokens:  x <- x + sum_r KPA_r(x)   before attention over joints;   x <- TPA_r(x) for each r   before attention over frames
    bias:    B_h[i, j] = sum_r w_r[h, d_r(i, j)]

d_r is the distance along relation r (bones, frames, ...): one learned number a head, relation and distance, which starts at 0.
Distances from K on share one number, pairs that the relation does not connect have one of their own. No parameter of a bias is
tied to a joint or a frame.

The bias by distance is that of Ying et al., "Do Transformers Really Perform Bad for Graph Representation?" (Graphormer), NeurIPS
2021; over frames it is a relative position bias (Shaw et al., NAACL 2018; Raffel et al., JMLR 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.graph import resolve_relation
from graphpose.nn.prior_specification import Axis, PriorSpecification, frame_prior, is_relation, joint_prior
from graphpose.nn.relation_distance import FARTHEST, relation_distance
from graphpose.skeleton import Skeleton

__all__ = ["AttentionBias", "BiasPrior", "BlockPrior", "TokenPrior", "block_prior"]


class BlockPrior(nn.Module):
    """Base: `forward(x [..., N, ..., C], bias, axis, nodes)` -> tokens of the same shape, and the bias of the attention."""

    def forward(
        self, x: Tensor, bias: Tensor | None, axis: int, nodes: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """`nodes [B, N]`: which frames the N along `axis` are, where some were pruned."""
        raise NotImplementedError


class TokenPrior(BlockPrior):
    """Message passing before a block, one layer a relation."""

    def __init__(self, axis: Axis, layers: list[nn.Module]) -> None:
        super().__init__()
        self.axis = axis
        self.layers = nn.ModuleList(layers)

    def forward(
        self, x: Tensor, bias: Tensor | None, axis: int, nodes: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """See `BlockPrior`."""
        tokens = x.movedim(axis, -2)  # [B, ..., N, C]
        if self.axis == "joints":
            mixed = [layer.forward_grid(tokens) for layer in self.layers]  # type: ignore[operator]
            return x + sum(mixed).movedim(-2, axis), bias
        kept = None if nodes is None else nodes[:, None]
        for layer in self.layers:
            tokens = layer.forward_grid(tokens, kept)  # type: ignore[operator]
        return tokens.movedim(-2, axis), bias


class AttentionBias(nn.Module):
    """One learned number a head and distance on a relation: `[H, N, N]`, or `[B, H, N, N]` for pruned frames."""

    distance: Tensor

    def __init__(self, heads: int, relation: str, skeleton: Skeleton, frames: int) -> None:
        super().__init__()
        self.relation = relation
        self.skeleton = skeleton
        self.axis = resolve_relation(relation).axis
        self.limit = FARTHEST[self.axis]
        self.strength = nn.Parameter(torch.zeros(heads, self.limit + 2))
        self.register_buffer("distance", self._distance(frames), persistent=False)

    def _distance(self, frames: int) -> Tensor:
        return relation_distance(self.relation, self.skeleton, frames, self.limit)

    def forward(self, n: int, nodes: Tensor | None = None) -> Tensor:
        """For the n nodes of a sample, or those that `nodes [B, n]` names."""
        distance = self.distance
        if nodes is not None:
            distance = distance[nodes[:, :, None], nodes[:, None, :]]
            return self.strength[:, distance].transpose(0, 1)
        if n != distance.shape[0]:  # a clip of another length: only models that are bound to none get here
            distance = self._distance(n).to(distance.device)
        return self.strength[:, distance]

    def extra_repr(self) -> str:
        return f"relation={self.relation!r}, heads={self.strength.shape[0]}"


class BiasPrior(BlockPrior):
    """The sum of the attention biases of all relations."""

    def __init__(self, biases: list[AttentionBias]) -> None:
        super().__init__()
        self.biases = nn.ModuleList(biases)

    def forward(
        self, x: Tensor, bias: Tensor | None, axis: int, nodes: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """See `BlockPrior`."""
        for own in self.biases:
            part = own(x.shape[axis], nodes)
            if nodes is not None:  # the bias of a clip, for each of its joints
                part = part.repeat_interleave(x[0].numel() // (x.shape[axis] * x.shape[-1]), 0)
            bias = part if bias is None else bias + part
        return x, bias


def block_prior(
    place: str,
    priors: PriorSpecification,
    axis: Axis,
    *,
    channels: int,
    heads: int,
    skeleton: Skeleton,
    frames: int,
    index_free: bool,
) -> BlockPrior | None:
    """What the priors of one axis do at a block that attends over it; None where there is nothing to do.

    Raises:
        ConfigError: a registered layer that is to be placed as a bias.
    """
    names = priors.joints if axis == "joints" else priors.frames
    if not names or place == "front":
        return None
    if place == "bias":
        for name in names:
            if not is_relation(name):
                raise ConfigError(
                    f"prior_place: {name!r} is a layer, which has no distances to bias attention by: place it 'front' or 'blocks'"
                )
        return BiasPrior([AttentionBias(heads, name, skeleton, frames) for name in names])
    if axis == "joints":
        return TokenPrior(axis, [joint_prior(name, channels, channels, skeleton, index_free) for name in names])
    return TokenPrior(axis, [frame_prior(name, channels, frames, index_free) for name in names])
