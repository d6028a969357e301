"""Focal length and centre of a camera from joints and their pixels, where a published file holds both and no lens.

    u = f_x X / Z + c_x,    v = f_y Y / Z + c_y

Symbols: (X, Y, Z) joints in camera space `[N, 3]`, (u, v) pixels `[N, 2]`. Each axis is one linear least-squares
problem with two unknowns; the median distance of the fit in pixels says whether the joints are what the pixels show.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["PinholeFit", "fit_pinhole"]

_NEAREST = 1e-6  # a joint at or behind the camera says nothing


class PinholeFit(NamedTuple):
    """Focal lengths `(f_x, f_y)` and centre `(c_x, c_y)` in pixels, and the median distance of the fit in pixels."""

    focal: tuple[float, float]
    center: tuple[float, float]
    residual: float


def fit_pinhole(points: np.ndarray, pixels: np.ndarray) -> PinholeFit | None:
    """The pinhole camera that sees `points [..., 3]` at `pixels [..., 2]`; NaN in either is left out.

    None where the joints do not determine one: fewer than three of them in front of the camera, all in one line of
    sight, or a best focal length that is not positive.
    """
    points, pixels = points.reshape(-1, 3).astype(np.float64), pixels.reshape(-1, 2).astype(np.float64)
    known = np.isfinite(points).all(-1) & np.isfinite(pixels).all(-1)
    known[known] &= points[known, 2] > _NEAREST
    points, pixels = points[known], pixels[known]
    if len(points) < 3:
        return None
    plane = points[:, :2] / points[:, 2:]
    offset, middle = plane - plane.mean(0), pixels.mean(0)
    spread = (offset**2).sum(0)
    if not bool((spread > 1e-12).all()):
        return None
    focal = (offset * (pixels - middle)).sum(0) / spread
    if not bool((focal > 0).all()):
        return None
    center = middle - focal * plane.mean(0)
    residual = float(np.median(np.linalg.norm(focal * plane + center - pixels, axis=-1)))
    return PinholeFit((float(focal[0]), float(focal[1])), (float(center[0]), float(center[1])), residual)
