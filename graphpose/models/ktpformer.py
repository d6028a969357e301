"""KTPFormer: MixSTE whose first pair of blocks attends over Kinematics and Trajectory Prior tokens (KPA, TPA).

The published model has one pair of prior blocks and then `depth` ordinary pairs, so KTPFormer(depth=7) is
MixSTE(depth=8, prior="kpa+tpa").

Peng et al., "KTPFormer: Kinematics and Trajectory Prior Knowledge-Enhanced Transformer for 3D Human Pose Estimation", CVPR 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphpose.models.mixste import MixSTE, MixSTEConfig
from graphpose.models.registry import register
from graphpose.skeleton import Skeleton

__all__ = ["KTPFormer", "KTPFormerConfig"]


@dataclass(frozen=True)
class KTPFormerConfig(MixSTEConfig):
    """Options of KTPFormer.

    Attributes:
        depth: pairs of blocks after the pair of prior blocks (published: 7).
        drop_path: drop path of the last pair; 0 in the prior blocks, growing linearly.
        prior: "kpa+tpa" (published), one of them, or any relations and registered priors joined by "+".
    """

    depth: int = 7
    prior: str | None = "kpa+tpa"


@register("ktpformer", KTPFormerConfig, "MixSTE with Kinematics and Trajectory Prior Attention (CVPR 2024)")
class KTPFormer(MixSTE):
    """KTPFormer on any skeleton: one prior pair and `depth` ordinary pairs of blocks."""

    def __init__(self, skeleton: Skeleton, config: KTPFormerConfig) -> None:
        super().__init__(skeleton, config, depth=config.depth + 1)
