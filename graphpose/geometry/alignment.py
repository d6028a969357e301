"""Similarity alignment of point sets: the rotation, scale and translation that bring one closest to another.

    min over (s, R, t) of  sum_n w_n |s R x_n + t - y_n|^2,    R^T R = I,  det R = +1,  s >= 0

Symbols: `x_n` source, `y_n` target, `w_n` weights. Reflections are excluded, so a mirrored pose does not align with its
original. Where the minimiser is not unique, because all points of either set coincide or lie on one line, or because
the two sets share fewer than two directions, the result is NaN and never a lucky guess. Solved in float64.

Shapes: points `[..., N, 3]`, weights `[..., N]`.

Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991.
"""

from __future__ import annotations

from typing import NamedTuple

import roma
import torch
from torch import Tensor

from graphpose.errors import DataError

__all__ = ["Similarity", "fit_similarity", "similarity_align"]

# Second against first singular value below which a point set counts as a line.
_FLAT = 1e-6


class Similarity(NamedTuple):
    """`x -> scale * rotation x + translation`; leading dimensions are a batch."""

    rotation: Tensor  # [..., 3, 3]
    translation: Tensor  # [..., 3]
    scale: Tensor  # [...]

    def apply(self, points: Tensor) -> Tensor:
        """Moves points `[..., N, 3]`."""
        turned = points.to(self.rotation.dtype) @ self.rotation.mT
        return (self.scale[..., None, None] * turned + self.translation[..., None, :]).to(points.dtype)


def fit_similarity(source: Tensor, target: Tensor, mask: Tensor | None = None) -> Similarity:
    """The similarity (float64, no reflection) that brings `source [..., N, 3]` closest to `target [..., N, 3]`.

    `mask [..., N]` (bool) leaves points out, whatever they hold. Degenerate or non-finite sets give NaN throughout.

    Raises:
        DataError: shapes that differ or do not end in `[N, 3]`.
    """
    _check(source, target, mask)
    x, y = source.to(_precise(source)), target.to(_precise(target))
    used = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device) if mask is None else mask.bool()
    finite = (torch.isfinite(x) & torch.isfinite(y)).all(-1)
    whole = (finite | ~used).all(-1)
    # What is left out, or would break the decomposition, becomes a harmless constant before any arithmetic: gradients
    # stay finite.
    keep = (used & finite)[..., None]
    x, y = torch.where(keep, x, 0.0), torch.where(keep, y, 0.0)
    weight = (used & finite).to(x.dtype)
    count = weight.sum(-1, keepdim=True).clamp(min=1.0)
    centred_x = (x - (x.sum(-2) / count)[..., None, :]) * keep
    centred_y = (y - (y.sum(-2) / count)[..., None, :]) * keep
    with torch.no_grad():
        cross = centred_y.mT @ centred_x
        unique = whole & _spans_plane(centred_x.mT @ centred_x, _rounding(source, x))
        unique &= _spans_plane(centred_y.mT @ centred_y, _rounding(target, y))
        unique &= _spans_plane(cross.mT @ cross, 0.0)
    example = torch.eye(x.shape[-2], 3, dtype=x.dtype, device=x.device)
    usable = unique[..., None, None]
    fitted = roma.rigid_points_registration(
        torch.where(usable, x, example),
        torch.where(usable, y, example),
        weights=torch.where(unique[..., None], weight, 1.0),
        compute_scaling=True,
    )
    nan = float("nan")
    rotation, translation, scale = fitted
    return Similarity(
        torch.where(usable, rotation, nan),
        torch.where(unique[..., None], translation, nan),
        torch.where(unique, scale, nan),
    )


def similarity_align(pred: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """`pred [..., N, 3]` after the similarity that brings it closest to `target [..., N, 3]`; same shape and dtype.

    A degenerate set (all points equal or on one line, or a NaN among the points that count) gives NaN for that set.

    Raises:
        DataError: shapes that differ or do not end in `[N, 3]`.
    """
    return fit_similarity(pred, target, mask).apply(pred)


def _spans_plane(gram: Tensor, rounding: Tensor | float) -> Tensor:
    """Whether the points behind a Gram matrix `[..., 3, 3]` span two directions beyond `rounding` (a squared
    length).
    """
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    pairs = (
        trace**2 - (gram**2).sum((-2, -1))
    ) / 2  # sum of products of two eigenvalues: 0 for a line, without an eigensolver
    return pairs > trace * torch.clamp(trace * _FLAT**2, min=0.0).maximum(
        torch.as_tensor(rounding, dtype=trace.dtype, device=trace.device)
    )


def _rounding(original: Tensor, points: Tensor) -> Tensor:
    """How far, squared and summed, rounding of the given dtype can move points `[..., N, 3]` off a line."""
    step = 4 * torch.finfo(original.dtype).eps * points.abs().amax((-2, -1))
    return points.shape[-2] * step**2


def _precise(points: Tensor) -> torch.dtype:
    return torch.float32 if points.device.type == "mps" else torch.float64  # MPS has no float64


def _check(source: Tensor, target: Tensor, mask: Tensor | None) -> None:
    if source.ndim < 2 or source.shape[-1] != 3 or source.shape[-2] == 0:
        raise DataError(f"expected points [..., N, 3] with N >= 1 (got {list(source.shape)})")
    if source.shape != target.shape:
        raise DataError(f"expected source and target of one shape (got {list(source.shape)} and {list(target.shape)})")
    if not (source.is_floating_point() and target.is_floating_point()):
        raise DataError(f"expected floating-point points (got {source.dtype} and {target.dtype})")
    if mask is not None and mask.shape != source.shape[:-1]:
        raise DataError(f"expected a mask {list(source.shape[:-1])} (got {list(mask.shape)})")
