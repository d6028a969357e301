"""Records made by hand, for measures whose value can be worked out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from zoo import FIVE

from graphpose.analysis.attention.record import Attention, Axis, Record
from graphpose.skeleton import Skeleton


def attention(axis: Axis, weights: Tensor, layer: int = 0, order: int = 0, **fields: Any) -> Attention:
    """Weights `[B, R, H, N, M]` of all heads, frames and joints."""
    values = {
        "name": f"{axis}_blocks.{layer}.attention",
        "heads": tuple(range(weights.shape[2])),
        "across": tuple(range(weights.shape[1])),
        **fields,
    }
    return Attention(layer=layer, axis=axis, weights=weights, order=order, **values)


def uniform(axis: Axis, frames: int, joints: int, layer: int = 0, order: int = 0, **fields: Any) -> Attention:
    """Everybody looks at everybody."""
    r, n = (frames, joints) if axis == "joints" else (joints, frames)
    return attention(axis, torch.full((1, r, 1, n, n), 1.0 / n), layer, order, **fields)


def drawn(axis: Axis, frames: int, joints: int, layer: int = 0, order: int = 0, heads: int = 2) -> Attention:
    """Random rows that sum to 1."""
    r, n = (frames, joints) if axis == "joints" else (joints, frames)
    return attention(axis, torch.softmax(2 * torch.randn(1, r, heads, n, n), dim=-1), layer, order)


def chain(*steps: Attention, skeleton: Skeleton = FIVE, **fields: Any) -> Record:
    """A record of these modules, one after the other."""
    return Record(skeleton=skeleton, attention=list(steps), **fields)


def space_time(frames: int, layers: int = 2, skeleton: Skeleton = FIVE) -> Record:
    """Random attention over joints and frames in turn."""
    steps = []
    for layer in range(layers):
        for axis in ("joints", "frames"):
            steps.append(drawn(axis, frames, len(skeleton), layer, len(steps)))
    return chain(*steps, skeleton=skeleton)
