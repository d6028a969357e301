"""KTPFormer without a parameter tied to a joint or a frame: one checkpoint lifts any skeleton and clips of any length.

Priors and positions are functions of the graph (distance, neighbours, place in the tree) and of the frame number, as
`graphpose.nn.index_free` says; everything else is KTPFormer's.

>>> model = graphpose.load("runs/walk/best.safetensors")      # trained on h36m17
>>> hound = model.on("animal17")                              # the same parameters on another skeleton

What it can be asked for is one thing, what it has learned another: the numbers of docs/INDEX_FREE.md say what is lost on the way
to another skeleton. Peng et al., KTPFormer, CVPR 2024, for the model that this is a form of.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphpose.models.ktpformer import KTPFormer, KTPFormerConfig
from graphpose.models.registry import register

__all__ = ["IndexFreeKTPFormer", "IndexFreeKTPFormerConfig"]


@dataclass(frozen=True)
class IndexFreeKTPFormerConfig(KTPFormerConfig):
    """Options of the index-free KTPFormer.

    Attributes:
        frames: T of the training windows. Shorter clips are lifted as they are, longer ones in windows of this length.
        in_features: 2 (x, y) or 3 (x, y, confidence) a joint.
        channels: C, width of a token; the cost grows with its square.
        depth: pairs of blocks after the pair of prior blocks.
        heads: attention heads; must divide `channels`.
        mlp_ratio: hidden width of the MLPs over C.
        drop_path: drop path of the last pair; 0 in the prior blocks, growing linearly.
        prior: "kpa+tpa", one of them, or any relations joined by "+".
        prior_place: "front" (as published), "blocks" (message passing before every block), or "bias" (every attention is biased
            by the distance along the relation).
        index_free: true; false gives KTPFormer.
    """

    index_free: bool = True


@register(
    "ktpformer_index_free",
    IndexFreeKTPFormerConfig,
    "KTPFormer whose parameters belong to no joint and no frame: any skeleton, any length, one checkpoint",
)
class IndexFreeKTPFormer(KTPFormer):
    """`lift` takes `[B, T, J, C_in]` of any T, J being the joints of `skeleton`; `on(skeleton)` for those of another."""
