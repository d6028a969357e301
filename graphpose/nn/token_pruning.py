"""Which frames of a clip are kept when a Transformer goes on with fewer tokens; one interface, several rules by name.

tokens [B, T, J, C] (or the features [B, T, C] of the frames) -> the numbers of the M kept frames [B, M], rising

Features are the tokens averaged over the joints. Every rule is deterministic: where two frames count alike, the earlier one wins.

- "density-peak" (published): frames that are typical of their neighbourhood and far from any that is more so,
      d_ij = |f_i - f_j| / sqrt(C),   rho_i = exp(-mean of d_ij^2 over the k nearest j, i included),
      delta_i = min_{rho_j > rho_i} d_ij (the largest distance for the densest),   keep the M largest rho_i delta_i.
  Two frames that are nearest to each other have equal densities for k = 2. The published code adds random numbers up to 1e-6 to
  the densities, so that chance says which of the two counts as the denser one; here it is the earlier one.
- "uniform": evenly spaced over the clip.
- "motion": evenly spaced over the path that the features travel, so more frames where much moves.
- "attention": the M frames that the frames of the clip attend to most in the temporal block that follows, averaged over heads and
  joints.

Li et al., "Hourglass Tokenizer for Efficient Transformer-Based 3D Human Pose Estimation", CVPR 2024; Rodriguez and Laio,
"Clustering by fast search and find of density peaks", Science 2014.

Adding a new rule: a subclass of `TokenPruning` with `@register_pruning("name")`; `score` for a rule that ranks frames by themselves,
`select` for any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.nn.block import TransformerBlock

__all__ = ["TokenPruning", "available_prunings", "create_pruning", "keep_frame", "register_pruning"]


class TokenPruning:
    """Base of the rules. A rule has no parameters and gives no gradient.

    Args:
        kept: M, frames that are kept.
        neighbours: k of rules that look at the nearest frames.
    """

    def __init__(self, kept: int, neighbours: int = 2) -> None:
        for name, value in (("tokens", kept), ("neighbours", neighbours)):
            if value < 1:
                raise ConfigError(f"expected {name} >= 1 (got {value})")
        self.kept = kept
        self.neighbours = neighbours

    def __call__(self, tokens: Tensor, block: TransformerBlock | None = None) -> Tensor:
        """Tokens [B, T, J, C] or features [B, T, C] -> kept frames [B, M], int64, rising.

        Args:
            tokens: of all T frames.
            block: the block that will attend over the frames of these tokens; only "attention" asks for it.

        Raises:
            ConfigError: fewer than M frames.
            DataError: another number of axes.
        """
        if tokens.ndim == 3:
            tokens = tokens.unsqueeze(2)
        if tokens.ndim != 4:
            raise DataError(f"expected tokens [B, T, J, C] or features [B, T, C] (got {list(tokens.shape)})")
        if self.kept > tokens.shape[1]:
            raise ConfigError(f"expected tokens <= frames (got tokens={self.kept}, frames={tokens.shape[1]})")
        return self.select(tokens.detach(), block)

    def select(self, tokens: Tensor, block: TransformerBlock | None) -> Tensor:
        """Tokens [B, T, J, C] -> kept frames [B, M]: those of highest score, of equal ones the earlier."""
        score = self.score(tokens, block)
        rank = _exceeds(score).sum(dim=2)  # how many frames come before this one
        number = torch.arange(score.shape[1], device=score.device)
        places = torch.where(rank < self.kept, number, len(number))
        return places.topk(self.kept, dim=1, largest=False, sorted=True).values

    def score(self, tokens: Tensor, block: TransformerBlock | None) -> Tensor:
        """Tokens [B, T, J, C] -> how much each frame counts [B, T]."""
        raise NotImplementedError(f"{type(self).__name__}: expected score or select")


RuleT = TypeVar("RuleT", bound=type[TokenPruning])
_RULES: dict[str, type[TokenPruning]] = {}


def register_pruning(name: str) -> Callable[[RuleT], RuleT]:
    """Class decorator: makes a rule known by `name`, which `prune=` of the Hourglass Tokenizer then takes.

    Raises:
        ConfigError: a name that is taken.
    """

    def decorate(rule: RuleT) -> RuleT:
        if name in _RULES and _RULES[name] is not rule:
            raise ConfigError(f"prune: expected a new name (got {name!r}, which is {_RULES[name].__name__})")
        _RULES[name] = rule
        return rule

    return decorate


def available_prunings() -> list[str]:
    """Names of the rules, sorted."""
    return sorted(_RULES)


def create_pruning(name: str, kept: int, neighbours: int = 2) -> TokenPruning:
    """The rule called `name` that keeps `kept` frames.

    Raises:
        ConfigError: no rule of that name, kept or neighbours below 1.
    """
    if name not in _RULES:
        raise ConfigError(unknown_name("prune", name, available_prunings()))
    return _RULES[name](kept, neighbours)


def keep_frame(kept: Tensor, frame: int) -> Tensor:
    """Kept frames [B, M] -> the same with `frame` among them, in the place of the nearest one (of two, the earlier)."""
    nearest = (kept - frame).abs().argmin(dim=1, keepdim=True)
    return kept.scatter(1, nearest, frame)


@register_pruning("density-peak")
class DensityPeakPruning(TokenPruning):
    """Density peaks, see the module."""

    def score(self, tokens: Tensor, block: TransformerBlock | None) -> Tensor:
        features = tokens.mean(dim=2)  # [B, T, C]
        distance = pairwise_distance(features) / math.sqrt(features.shape[-1])
        nearest = distance.topk(min(self.neighbours, distance.shape[-1]), dim=-1, largest=False).values
        density = torch.exp(-nearest.square().mean(dim=-1))  # [B, T]
        largest = distance.flatten(1).amax(dim=1)[:, None, None]
        return density * torch.where(_exceeds(density), distance, largest).amin(dim=-1)


@register_pruning("uniform")
class UniformPruning(TokenPruning):
    """Frames in the middles of M equal parts of the clip."""

    def select(self, tokens: Tensor, block: TransformerBlock | None) -> Tensor:
        clips, frames = tokens.shape[:2]
        middles = (2 * torch.arange(self.kept, device=tokens.device) + 1) * frames // (2 * self.kept)
        return middles.expand(clips, -1)


@register_pruning("motion")
class MotionPruning(TokenPruning):
    """Frames in the middles of M equal parts of the path that the features travel, see the module.

    The path is s_t = sum of |f_i - f_(i-1)| for i <= t. Each part keeps the nearest frame that leaves enough for the parts before
    and after it, so all M differ. A clip without any motion is parted evenly.
    """

    def select(self, tokens: Tensor, block: TransformerBlock | None) -> Tensor:
        features = tokens.mean(dim=2).double()
        frames = features.shape[1]
        steps = (features[:, 1:] - features[:, :-1]).norm(dim=-1) + torch.finfo(features.dtype).tiny
        path = torch.cat([steps.new_zeros(len(steps), 1), steps.cumsum(dim=1)], dim=1)  # [B, T]
        part = torch.arange(self.kept, device=path.device)
        goals = path[:, -1:] * (2 * part + 1) / (2 * self.kept)  # [B, M]
        after = (path[:, None] < goals[:, :, None]).sum(dim=2).clamp(max=frames - 1)
        before = (after - 1).clamp(min=0)
        nearer = goals - path.gather(1, before) <= path.gather(1, after) - goals
        wanted = torch.where(nearer, before, after)
        spare = (wanted - part)[:, None].expand(-1, self.kept, -1)
        rising = part + torch.where(part <= part[:, None], spare, 0).amax(dim=2)  # the earliest distinct frames
        return torch.minimum(rising, part + frames - self.kept)


@register_pruning("attention")
class AttentionPruning(TokenPruning):
    """Frames that are attended to most, see the module."""

    def score(self, tokens: Tensor, block: TransformerBlock | None) -> Tensor:
        if block is None:
            raise ConfigError("prune 'attention': expected the temporal block whose attention is meant (got none)")
        bias = None
        if block.prior is not None:
            tokens, bias = block.prior(tokens, None, 1)
        _, weights = block.attention.forward_with_weights(
            block.attention_norm(tokens), bias, axis=1
        )  # [B * J, H, T, T]
        return weights.detach().mean(dim=(1, 2)).unflatten(0, (len(tokens), -1)).mean(dim=1)


def _exceeds(value: Tensor) -> Tensor:
    """Values [B, T] -> [B, T, T], true at (i, j) where j has the larger value, or an equal one and comes earlier."""
    number = torch.arange(value.shape[1], device=value.device)
    mine, others = value.unsqueeze(2), value.unsqueeze(1)
    return (others > mine) | ((others == mine) & (number < number[:, None]))


def pairwise_distance(features: Tensor) -> Tensor:
    """Features [B, T, C] -> |f_i - f_j| [B, T, T], exactly symmetric and zero on the diagonal.

    Not by the products f_i . f_j: their rounding is as large as the distances of frames that follow each other.
    """
    if torch.compiler.is_exporting():  # ONNX has no such operator; written out it needs T times the memory
        return (features[:, :, None] - features[:, None]).square().sum(dim=-1).sqrt()
    return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
