"""What a prediction may be scaled by before it is measured, because body sizes differ between datasets.

    root        p                                                  as predicted, relative to the true root (published MPJPE)
    scale       a_t p_t,  a_t = sum_j p_tj.y_tj / sum_j p_tj.p_tj   one scale a frame, so that MPJPE becomes N-MPJPE
    clip-scale  a p,      a = sum_tj p_tj.y_tj / sum_tj p_tj.p_tj   one scale a clip and view: a body size, not a pose

Symbols: `p` pred, `y` target, metres, relative to the true root; sums over the joints that count. Nothing is turned or
moved. A prediction of zeros has no scale and gives NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphpose.errors import ConfigError, unknown_name

__all__ = ["ALIGNMENTS", "scale_to"]

ALIGNMENTS: dict[str, tuple[int, ...]] = {"root": (), "scale": (-2, -1), "clip-scale": (-3, -2, -1)}
"""Name -> the axes of `[..., T, J, 3]` that share one scale."""


def scale_to(pred: Tensor, target: Tensor, alignment: str, counted: Tensor | None = None) -> Tensor:
    """`pred [..., T, J, 3]` after the scaling that brings it closest to `target` (same shape, or one that broadcasts).

    `counted [..., T, J]` (bool) leaves joints out of the fit; they are scaled too.

    Raises:
        ConfigError: an unknown alignment.
    """
    if alignment not in ALIGNMENTS:
        raise ConfigError(unknown_name("alignment", alignment, ALIGNMENTS))
    axes = ALIGNMENTS[alignment]
    if not axes:
        return pred
    p, y = pred.double(), target.double()
    both, own = p * y, p * p
    if counted is not None:
        both, own = (torch.where(counted[..., None], products, 0.0) for products in (both, own))
    return (both.sum(axes, keepdim=True) / own.sum(axes, keepdim=True) * p).to(pred.dtype)
