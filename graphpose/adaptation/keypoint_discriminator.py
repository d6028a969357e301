"""Does this 2D pose look like one of the target's? Judged by its shape alone, not by its place or size in the picture.

    k_j = (x_j - x_root) / s          s = mean of width and height of the box of the visible joints
    score = W LeakyReLU(... (V [k ; m]))        m_j = 1 where joint j is visible, else 0 and k_j = 0

From PoseAug: a discriminator on root-centred 2D poses beside the one on 3D parts. Our reading: divided by the size of the box, so
that the distance to the camera, which global position alignment sets, is not judged; the mask as an input, so that a target with
missing joints can be compared (give both sides masks of the same kind, else the mask itself tells them apart).

Shapes: keypoints `[N, J, 2]` in any unit, visible `[N, J]` bool, scores `[N, 1]`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError, DataError
from graphpose.nn.linear import Linear
from graphpose.skeleton import Skeleton

__all__ = ["KeypointDiscriminator", "shape_of_keypoints"]


class KeypointDiscriminator(nn.Module):
    """Scores `[N, 1]` of 2D poses.

    Args:
        skeleton: of the keypoints.
        channels: hidden width.
        depth: hidden layers.

    Raises:
        ConfigError: a width or depth below 1.
    """

    def __init__(self, skeleton: Skeleton, *, channels: int = 128, depth: int = 3) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("depth", depth)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name}: expected a whole number of at least 1 (got {value!r})")
        self.skeleton = skeleton
        layers: list[nn.Module] = [Linear(3 * len(skeleton), channels), nn.LeakyReLU(0.2)]
        for _ in range(depth - 1):
            layers += [Linear(channels, channels), nn.LeakyReLU(0.2)]
        self.judge = nn.Sequential(*layers, Linear(channels, 1))

    def forward(self, keypoints: Tensor, visible: Tensor | None = None) -> Tensor:
        """Scores of `keypoints [N, J, 2]`; all joints count where `visible [N, J]` is None.

        Raises:
            DataError: shapes that do not fit.
        """
        joints = len(self.skeleton)
        if keypoints.ndim != 3 or keypoints.shape[1:] != (joints, 2):
            raise DataError(f"expected keypoints [N, {joints}, 2] (got {list(keypoints.shape)})")
        if visible is None:
            visible = torch.ones(keypoints.shape[:2], dtype=torch.bool, device=keypoints.device)
        if visible.shape != keypoints.shape[:2]:
            raise DataError(f"visible: expected the shape {list(keypoints.shape[:2])} (got {list(visible.shape)})")
        shape = shape_of_keypoints(keypoints, visible, self.skeleton.root)
        seen = visible[:, self.skeleton.root, None] & visible
        return self.judge(torch.cat([shape.flatten(1), seen.to(shape.dtype)], -1))


def shape_of_keypoints(keypoints: Tensor, visible: Tensor, root: int) -> Tensor:
    """`[N, J, 2]` relative to the root and divided by the box size; 0 where missing, and throughout without a root or a size."""
    points = torch.where(visible[..., None], keypoints, torch.zeros_like(keypoints))  # NaN of missing joints goes
    far = torch.full_like(points, torch.inf)
    low = torch.where(visible[..., None], points, far).amin(1)
    high = torch.where(visible[..., None], points, -far).amax(1)
    size = torch.where(visible.any(1, keepdim=True), high - low, torch.zeros_like(low)).mean(-1)
    usable = visible & visible[:, root, None] & (size > 1e-6)[:, None]
    size = torch.where(size > 1e-6, size, torch.ones_like(size))
    centred = (points - points[:, root, None]) / size[:, None, None]
    return torch.where(usable[..., None], centred, torch.zeros_like(centred))
