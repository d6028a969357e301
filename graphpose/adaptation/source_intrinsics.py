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


def fit_intrinsics(pose: Tensor, keypoints: Tensor, visible: Tensor | None = None) -> Tensor:
    """`(fx, fy, cx, cy)` of each window `[B, 4]`; NaN where the joints do not stand apart in the image."""
    plane = (pose[..., :2] / pose[..., 2:]).flatten(1, 2)  # [B, T J, 2]
    image = keypoints[..., :2].flatten(1, 2)
    weight = torch.ones_like(plane[..., :1]) if visible is None else visible.flatten(1, 2)[..., None].to(plane.dtype)
    total = weight.sum(1, keepdim=True)
    mean_plane, mean_image = (
        (weight * plane).sum(1, keepdim=True) / total,
        (weight * image).sum(1, keepdim=True) / total,
    )
    apart = plane - mean_plane
    focal = (weight * apart * (image - mean_image)).sum(1) / (weight * apart.square()).sum(1)  # [B, 2]
    return torch.cat([focal, mean_image[:, 0] - focal * mean_plane[:, 0]], dim=-1)
