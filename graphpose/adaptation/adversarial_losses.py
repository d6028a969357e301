"""The aims of adversarial augmentation, as functions: who judges, who is judged, how much variety, how hard.

    discriminator   1/2 mean (D(real) - 1)^2 + 1/2 mean D(fake)^2
    generator       1/2 mean (D(fake) - 1)^2
    diversity       mean 1 / ( |c_1 - c_2| / |n_1 - n_2| + 0.1 ),   c_i the change that noise n_i asks for on the same pose
    hardness        ( log( (L(augmented) / L(source)) / wanted ) )^2,   L the lifter's loss

Least squares: Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017. Diversity: mode seeking, Mao et al., "Mode
Seeking Generative Adversarial Networks for Diverse Image Synthesis", CVPR 2019; there on images, here on the parameters of the
change. Hardness: the lifter's error feeds back to the generator so that augmented poses are harder than the source's, but not
beyond use; PoseAug (Gong, Zhang and Feng, CVPR 2021) holds the loss on augmented poses near a multiple of the loss on source
poses that it widens step by step. Ours is one smooth term on the ratio, with the wanted ratio given by the schedule; means of
batches, not single poses, because the loss of one pose says little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from graphpose.adaptation.local_pose_augmentation import Augmented
from graphpose.errors import ConfigError, DataError

__all__ = ["discriminator_loss", "diversity_loss", "generator_loss", "hardness_loss"]


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares: scores of real poses go to 1, of made ones to 0; any shapes, both not empty.

    Detach the made poses, not the scores, before they are judged.
    """
    _not_empty("real", real)
    _not_empty("fake", fake)
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Least squares: scores of made poses go to 1."""
    _not_empty("fake", fake)
    return 0.5 * (fake - 1).square().mean()


def diversity_loss(
    first: Augmented,
    second: Augmented,
    noise: tuple[Tensor, Tensor] | None = None,
    parts: Sequence[str] = ("turns", "ratios", "rotation"),
) -> Tensor:
    """Small where two noises change the same poses differently: the mean over turns, log ratios and rotation, 0 without any.

    Args:
        first, second: two changes of the same B poses; the poses themselves are not looked at.
        noise: `[B, K]` each, what they were made from. None: two independent draws, whose numbers are 2 / sqrt(pi) apart on
            average.
        parts: those that count; one that cannot change would add its worst value throughout.

    |.| are mean absolute differences. At most 1 / 0.1, where the changes do not differ: there it must not outweigh all else.

    Raises:
        DataError: shapes that differ, or an empty batch.
    """
    checked = [(name, getattr(first, name), getattr(second, name)) for name in ("turns", "ratios", "rotation")]
    for name, a, b in checked if noise is None else [*checked, ("noise", *noise)]:
        if a.shape != b.shape or a.numel() == 0 or len(a) != len(first.turns):
            raise DataError(f"{name}: expected two of one shape, not empty (got {list(a.shape)} and {list(b.shape)})")
    asked: Tensor | float = 2 / math.sqrt(math.pi)
    if noise is not None:
        asked = _apart(*noise).clamp(min=1e-6)
    terms = {
        "turns": _apart(first.turns, second.turns),
        "ratios": _apart(first.ratios.log(), second.ratios.log()),
        "rotation": _apart(first.rotation, second.rotation),
    }
    if not parts:
        return 0.0 * terms["turns"].mean()
    return torch.stack([(1 / (terms[part] / asked + 0.1)).mean() for part in parts]).mean()


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """`[B]`."""
    return (first - second).abs().flatten(1).mean(1)


def hardness_loss(augmented: Tensor, source: Tensor, wanted: float) -> Tensor:
    """Zero where the lifter's loss on augmented poses is `wanted` times that on the source poses.

    Args:
        augmented: the lifter's loss on the augmented poses, one number; its gradient goes to the generator.
        source: the same on the source poses, one number; taken as constant.
        wanted: above 0; 1 is as hard as the source.

    Raises:
        ConfigError: `wanted` not above 0.
        DataError: losses that are not one number each.
    """
    if not 0 < wanted < float("inf"):
        raise ConfigError(f"wanted: expected a ratio above 0 (got {wanted!r})")
    if augmented.numel() != 1 or source.numel() != 1:
        raise DataError(
            f"expected one loss each, the mean of a batch (got {list(augmented.shape)} and {list(source.shape)})"
        )
    floor = torch.finfo(source.dtype).eps
    ratio = augmented.clamp(min=floor) / source.detach().clamp(min=floor)
    return (ratio / wanted).log().square().squeeze()


def _not_empty(name: str, scores: Tensor) -> None:
    if scores.numel() == 0:
        raise DataError(f"{name}: expected scores of at least one pose (got {list(scores.shape)})")
