"""Pixels to normalised screen units and back, keeping the aspect ratio.

    x' = 2 x / width - 1,    y' = 2 y / width - height / width

so that x spans [-1, 1] and y spans [-height/width, height/width]. Shapes: `[..., 2]` in and out.

Pavllo et al., "3D human pose estimation in video with temporal convolutions and semi-supervised training", CVPR 2019.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from graphpose.errors import DataError

__all__ = ["denormalize_screen", "normalize_screen"]

Array = TypeVar("Array", Tensor, np.ndarray)


def normalize_screen(pixels: Array, width: int, height: int) -> Array:
    """Pixels `[..., 2]` of an image of `width` x `height` in normalised screen units `[..., 2]`; torch or numpy, same
    kind out.
    """
    _check(pixels, width, height)
    return pixels * (2.0 / width) - _corner(pixels, width, height)


def denormalize_screen(points: Array, width: int, height: int) -> Array:
    """Normalised screen units `[..., 2]` in pixels `[..., 2]`: the inverse of `normalize_screen`."""
    _check(points, width, height)
    return (points + _corner(points, width, height)) * (width / 2.0)


def _corner(like: Array, width: int, height: int) -> Array:
    if isinstance(like, Tensor):
        return torch.tensor([1.0, height / width], dtype=like.dtype, device=like.device)
    return np.array([1.0, height / width], dtype=like.dtype)


def _check(points: Array, width: int, height: int) -> None:
    if points.ndim < 1 or points.shape[-1] != 2:
        raise DataError(f"expected image points [..., 2] (got {list(points.shape)}); leave a confidence column out")
    floating = points.is_floating_point() if isinstance(points, Tensor) else np.issubdtype(points.dtype, np.floating)
    if not floating:
        raise DataError(f"expected floating-point image points (got {points.dtype}); convert them first")
    if not (width > 0 and height > 0):
        raise DataError(f"expected an image of positive size (got width {width}, height {height})")
