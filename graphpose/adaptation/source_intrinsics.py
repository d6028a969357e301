"""The camera that saw a window, read off the window itself: poses and keypoints tell focal length and centre.

    u = fx (X / Z) + cx,   v = fy (Y / Z) + cy        least squares over the visible joints of all frames of a window

Exact where the keypoints are projections without noise and lens; otherwise the pinhole camera that fits best. It lets a changed
pose be seen by the camera of the source, which batches do not carry.

Shapes: pose `[B, T, J, 3]` metres in camera space, keypoints `[B, T, J, 2]` normalised screen units, result `[B, 4]`.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fit_intrinsics"]

_APART = 1e-5
"""Standard deviation of X / Z below which joints stand in one place: rounding alone makes some."""


def fit_intrinsics(pose: Tensor, keypoints: Tensor, visible: Tensor | None = None) -> Tensor:
    """`(fx, fy, cx, cy)` of each window `[B, 4]`; NaN where the visible joints do not stand apart in the image.

    `visible` is `[B, T, J]` bool, None for all; what is not visible may hold any numbers, NaN too.
    """
    plane = (pose[..., :2] / pose[..., 2:]).flatten(1, 2)  # [B, T J, 2]
    image = keypoints[..., :2].flatten(1, 2)
    weight = torch.ones_like(plane[..., :1])
    if visible is not None:
        seen = visible.flatten(1, 2)[..., None]
        plane, image = torch.where(seen, plane, 0.0), torch.where(seen, image, 0.0)
        weight = seen.to(plane.dtype)
    total = weight.sum(1, keepdim=True)
    mean_plane, mean_image = (
        (weight * plane).sum(1, keepdim=True) / total,
        (weight * image).sum(1, keepdim=True) / total,
    )
    apart = plane - mean_plane
    spread = (weight * apart.square()).sum(1)
    focal = (weight * apart * (image - mean_image)).sum(1) / spread  # [B, 2]
    focal = torch.where(spread > total[:, 0] * _APART**2, focal, torch.nan)
    return torch.cat([focal, mean_image[:, 0] - focal * mean_plane[:, 0]], dim=-1)
