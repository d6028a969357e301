"""What is done to windows on the way to the model: mirror images, keypoint noise, missing keypoints, confidence.

    flip:    (u, v) of joint j <- (-u, v) of joint mirror(j);   X, Y, Z likewise with -X
    noise:   (u, v) <- (u, v) + sigma * e,  e ~ N(0, I);        confidence c <- c * exp(-|e|^2 / 2)
    missing: (u, v, c) <- 0 and visible <- False, with probability p a keypoint

exp(-|e|^2 / 2) of a 2D normal is uniform in (0, 1): a keypoint far off has a low confidence, as detectors' have. Shapes:
`x [B, T, J, 2 or 3]`, `y [B, T, J, 3]`, `root [B, T, 3]`, `visible [B, T, J]`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphpose.datasets.draws import normal, uniform
from graphpose.errors import DataError

__all__ = ["Augmentation", "flip_points"]


@dataclass(frozen=True)
class Augmentation:
    """How training windows are changed; every draw depends on (seed, epoch, window) only.

    Attributes:
        flip: probability that a window is mirrored, through the skeleton's left/right pairs.
        noise: standard deviation of the keypoint noise, normalised screen units, each axis.
        missing: probability that a keypoint is dropped.
    """

    flip: float = 0.0
    noise: float = 0.0
    missing: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("flip", 1.0), ("noise", math.inf), ("missing", 1.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= most):
                raise DataError(f"{name}: expected a number from 0 to {most:g} (got {value!r})")

    def draw_flips(self, index: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """int64 `[n]`: 1 for the windows `index` that are mirrored in this epoch, else 0."""
        if not self.flip:
            return np.zeros(len(index), dtype=np.int64)
        return (uniform(seed, epoch, index, "flip", 1)[:, 0] < self.flip).astype(np.int64)

    def degrade(self, window: dict[str, Tensor], index: np.ndarray, seed: int, epoch: int) -> None:
        """Noise and missing keypoints on the stacked arrays of the windows `index [B]`, in place; adds `visible` if need be."""
        x = window["x"]
        count = x.shape[1] * x.shape[2]
        if self.noise:
            draws = torch.from_numpy(normal(seed, epoch, index, "noise", 2 * count)).float()
            draws = draws.view(*x.shape[:3], 2)
            x[..., :2] += self.noise * draws
            if x.shape[-1] == 3:
                x[..., 2] *= torch.exp(-0.5 * draws.square().sum(-1))
        if self.missing:
            draws = torch.from_numpy(uniform(seed, epoch, index, "missing", count))
            seen = (draws >= self.missing).view(x.shape[:3])
            window["visible"] = window["visible"] & seen if "visible" in window else seen
        if "visible" in window:
            x *= window["visible"][..., None]


def flip_points(points: Tensor, mirror: Tensor) -> Tensor:
    """The mirror image of `[..., J, 2 or more]`: first coordinate negated, left and right joints exchanged."""
    flipped = points.index_select(-2, mirror)
    flipped[..., 0].neg_()
    return flipped
