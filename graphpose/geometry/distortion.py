"""Radial and tangential lens distortion of directions `x = (X/Z, Y/Z)`, and its inverse.

    d(x) = x (1 + k1 r^2 + k2 r^4 + k3 r^6 + p . x) + p r^2,    r^2 = |x|^2

Symbols: `k` radial `[..., 3]`, `p` tangential `[..., 2]`. Shapes: `plane [..., 2]` in and out, coefficients broadcast
against it.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["distort", "undistort"]

_STEPS = 20


def distort(plane: Tensor, radial: Tensor, tangential: Tensor) -> Tensor:
    """Where the lens puts directions `plane [..., 2]`."""
    square = (plane * plane).sum(-1, keepdim=True)
    factor = 1 + square * (radial[..., 0:1] + square * (radial[..., 1:2] + square * radial[..., 2:3]))
    return plane * (factor + (tangential * plane).sum(-1, keepdim=True)) + tangential * square


def undistort(distorted: Tensor, radial: Tensor, tangential: Tensor) -> Tensor:
    """The directions `[..., 2]` that `distort` puts at `distorted [..., 2]`; NaN where Newton's method finds none.

    Differentiable in all arguments through the implicit function theorem: one last Newton step carries the gradient.
    """
    with torch.no_grad():
        plane = distorted.clone()
        for _ in range(_STEPS):
            plane = plane - _solve(_jacobian(plane, radial, tangential), distort(plane, radial, tangential) - distorted)
        miss = (distort(plane, radial, tangential) - distorted).abs().amax(-1, keepdim=True)
        scale = 1 + distorted.abs().amax(-1, keepdim=True)
        found = miss <= 32 * torch.finfo(distorted.dtype).eps * scale
        inverse = _jacobian(plane, radial, tangential)
    # `plane` is a constant here, so only the residual depends on the arguments, exactly as the theorem has it.
    solved = plane - _solve(inverse, distort(plane, radial, tangential) - distorted)
    return torch.where(found, solved, float("nan"))


def _jacobian(plane: Tensor, radial: Tensor, tangential: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four entries `[...]` of the derivative of `distort` by `plane`, row by row."""
    k1, k2, k3 = radial.unbind(-1)
    p1, p2 = tangential.unbind(-1)
    x, y = plane.unbind(-1)
    square = x * x + y * y
    factor = 1 + square * (k1 + square * (k2 + square * k3)) + p1 * x + p2 * y
    slope = 2 * (k1 + square * (2 * k2 + square * 3 * k3))
    gx, gy = slope * x + p1, slope * y + p2
    return factor + x * gx + 2 * p1 * x, x * gy + 2 * p1 * y, y * gx + 2 * p2 * x, factor + y * gy + 2 * p2 * y


def _solve(matrix: tuple[Tensor, Tensor, Tensor, Tensor], value: Tensor) -> Tensor:
    a, b, c, d = matrix
    u, v = value.unbind(-1)
    return torch.stack([d * u - b * v, a * v - c * u], dim=-1) / (a * d - b * c)[..., None]
