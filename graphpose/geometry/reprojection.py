"""Poses relative to their root seen by a camera again: where the root stands, and how far the image is from the keypoints.

With m_j = (u_j, v_j) the keypoints on the plane at depth 1 (lens and focal length taken off), P_j the pose and r its root,
a joint that projects on its keypoint fulfils `r_x - u_j r_z = u_j P_jz - P_jx` and the same in y. Weighted least squares over
the joints, with means `<.>` and `a_j = (u_j P_jz - P_jx, v_j P_jz - P_jy)`:

    r_z  = - sum_j w_j (m_j - <m>) . (a_j - <a>) / sum_j w_j |m_j - <m>|^2
    r_xy = <m> r_z + <a>

Shapes: pose `[..., J, 3]` (metres, camera axes, relative to the root), keypoints `[..., J, 2]` in the camera's image unit,
root `[..., 3]` metres. Exact for a pose and keypoints that fit each other.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphpose.errors import DataError
from graphpose.geometry.camera import Camera

__all__ = ["place_root", "reprojection_error"]


def place_root(pose: Tensor, keypoints: Tensor, camera: Camera, weights: Tensor | None = None) -> Tensor:
    """The root `[..., 3]` that fits the pose to its keypoints best; NaN where they do not tell.

    They do not where fewer than two keypoints stand apart, or where the pose would stand behind the camera.

    Args:
        pose, keypoints: as above.
        camera: focal length, centre and lens; its place and rotation do not matter.
        weights: `[..., J]`, 0 for joints whose keypoint is missing; None counts all alike.

    Raises:
        DataError: shapes that do not fit each other.
    """
    if pose.ndim < 2 or pose.shape[-1] != 3 or keypoints.shape != (*pose.shape[:-1], 2):
        raise DataError(
            f"expected pose [..., J, 3] and keypoints [..., J, 2] (got {list(pose.shape)} and {list(keypoints.shape)})"
        )
    w = torch.ones_like(pose[..., :1]) if weights is None else weights[..., None].to(pose.dtype)
    ray = camera.unproject(keypoints, torch.ones_like(keypoints[..., 0]))[..., :2]  # (u, v)
    offset = ray * pose[..., 2:] - pose[..., :2]
    total = w.sum(-2)
    middle, mean = (w * ray).sum(-2) / total, (w * offset).sum(-2) / total  # [..., 2]
    apart = ray - middle[..., None, :]
    spread = (w * apart.square()).sum((-2, -1))
    depth = -(w * apart * (offset - mean[..., None, :])).sum((-2, -1)) / spread
    root = torch.cat([middle * depth[..., None] + mean, depth[..., None]], dim=-1)
    return torch.where(((depth > 0) & depth.isfinite())[..., None], root, float("nan"))


def reprojection_error(pose: Tensor, root: Tensor, keypoints: Tensor, camera: Camera) -> Tensor:
    """Distance `[..., J]` between the image of the pose and its keypoints; NaN for a joint behind the camera."""
    image = camera.project(pose + root[..., None, :])
    return torch.linalg.vector_norm(image - keypoints, dim=-1)
