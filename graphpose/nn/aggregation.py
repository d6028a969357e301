"""One pose from several hypotheses, without the truth: their mean, or what fits the 2D keypoints best.

    mean   p_tj = mean_h p_htj
    jpma   p_tj = p_h*tj,  h*(t, j) = argmin_h e_htj           joint-wise reprojection (JPMA)
    pose   p_tj = p_h*tj,  h*(t)    = argmin_h mean_j e_htj    pose-wise reprojection

`e_htj` is the distance between joint j of hypothesis h, placed at the root and seen by the camera, and its keypoint. The
published JPMA takes the *true* path of the root, which is a little of the truth: give it as `root` to repeat those numbers. With
`root=None` it is estimated in each frame from the mean pose, its keypoints and the camera (`geometry/reprojection.py`): that one
can be deployed. Hypotheses behind the camera are not chosen; where none can be (no keypoint, a root that cannot be told) the
mean is taken.
Choices by the truth (oracles) are no aggregation: `graphpose.metrics.hypotheses`.

Shapes: hypotheses `[H, ..., T, J, 3]` (metres, relative to the root), keypoints `[..., T, J, 2]` or with confidence
`[..., T, J, 3]` in the camera's image unit, root `[..., T, 3]` (metres, camera axes).

Shan et al., "Diffusion-Based 3D Human Pose Estimation with Multi-Hypothesis Aggregation" (D3DP), ICCV 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.geometry import Camera, place_root, reprojection_error

__all__ = ["AGGREGATES", "aggregate"]

AGGREGATES = ("mean", "jpma", "pose")


def aggregate(
    hypotheses: Tensor,
    kind: str = "mean",
    *,
    keypoints: Tensor | None = None,
    camera: Camera | float | None = None,
    root: Tensor | None = None,
) -> Tensor:
    """Hypotheses `[H, ..., T, J, 3]` -> one pose `[..., T, J, 3]`.

    Args:
        hypotheses: as above.
        kind: of `AGGREGATES`; "jpma" and "pose" look at the keypoints.
        keypoints: what was lifted; a confidence of 0 marks a missing one.
        camera: that saw them, its place and rotation do not matter; normalised keypoints need a normalised camera. A number
            is the focal length of a camera without lens distortion whose centre is at 0.
        root: the true path of the root (published), or None for one estimated from keypoints (deployable).

    Raises:
        ConfigError: an unknown kind, or one that needs keypoints and a camera without them.
        DataError: shapes that do not fit each other.
    """
    if kind not in AGGREGATES:
        raise ConfigError(unknown_name("aggregation", kind, AGGREGATES))
    mean = hypotheses.mean(0)
    if kind == "mean":
        return mean
    if keypoints is None or camera is None:
        raise ConfigError(f"aggregation {kind!r} compares reprojections: expected keypoints and a camera (got None)")
    if hypotheses.ndim < 4 or keypoints.shape[:-1] != mean.shape[:-1] or keypoints.shape[-1] < 2:
        raise DataError(
            f"expected hypotheses [H, ..., T, J, 3] of keypoints [..., T, J, 2 or 3] (got {list(hypotheses.shape)} and "
            f"{list(keypoints.shape)})"
        )
    if not isinstance(camera, Camera):
        camera = Camera(torch.eye(3).to(mean), mean.new_zeros(3), mean.new_full((2,), camera))
    seen = torch.ones_like(keypoints[..., 0], dtype=torch.bool) if keypoints.shape[-1] == 2 else keypoints[..., 2] > 0
    if root is None:
        root = place_root(mean.detach(), keypoints[..., :2], camera, seen)
    elif root.shape != (*mean.shape[:-2], 3):
        raise DataError(f"expected root {[*mean.shape[:-2], 3]} (got {list(root.shape)})")
    errors = torch.stack([reprojection_error(one.detach(), root, keypoints[..., :2], camera) for one in hypotheses])
    errors = torch.where(errors.isfinite(), errors, float("inf"))  # [H, ..., T, J]
    if kind == "pose":
        count = seen.sum(-1, keepdim=True)  # 0 / 0 where nothing is seen
        errors = (torch.where(seen, errors, 0.0).sum(-1, keepdim=True) / count).expand_as(errors)
        usable = errors.amin(0).isfinite()
    else:
        usable = errors.amin(0).isfinite() & seen
    best = errors.argmin(0, keepdim=True)  # [1, ..., T, J]
    chosen = hypotheses.gather(0, best[..., None].expand(1, *mean.shape))[0]
    return torch.where(usable[..., None], chosen, mean)
