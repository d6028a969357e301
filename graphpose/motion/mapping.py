"""A clip's joints on another skeleton: `p'_k = sum_j W[k, j] p_j`, plus `R_j o_k` for a joint at an offset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphpose.errors import DataError

if TYPE_CHECKING:
    from graphpose.motion.clip import MotionClip
    from graphpose.skeleton import JointMapping, Skeleton

__all__ = ["map_channels"]


def map_channels(clip: MotionClip, target: Skeleton, mapping: JointMapping) -> dict[str, Tensor | None]:
    """Positions, keypoints and confidence of `clip` on the joints of `target`.

    A target joint is missing when one of the joints it is made of is, and as sure as the least sure of them. Raises
    `DataError` when the mapping has offsets and the clip no rotations, or keypoints (an offset has no 2D counterpart).
    """
    matrix = torch.as_tensor(mapping.apply_matrix(clip.skeleton, target), dtype=torch.float32)
    anchors = [int(j) for j in mapping.offset_joint(clip.skeleton, target)]
    shifted = [k for k, j in enumerate(anchors) if j >= 0]
    if shifted:
        names = ", ".join(target.joints[k] for k in shifted)
        if clip.keypoints is not None:
            raise DataError(
                f"clip {clip.name!r}: {names} of {target.name!r} lie at 3D offsets from {clip.skeleton.name!r} joints, "
                "so keypoints cannot be mapped; map the clip first, then let a camera see it"
            )
        if clip.rotations is None:
            raise DataError(
                f"clip {clip.name!r}: {names} of {target.name!r} lie at offsets from {clip.skeleton.name!r} joints and "
                "need its rotations (got none); read the clip from its motion file, or give a mapping without offsets"
            )
    result: dict[str, Tensor | None] = {"positions": None, "keypoints": None, "confidence": None}
    if clip.positions is not None:
        positions = _weighted(clip.positions, matrix)
        if shifted:
            assert clip.rotations is not None
            joints = [anchors[k] for k in shifted]
            offsets = torch.as_tensor(mapping.offsets(clip.skeleton, target), dtype=torch.float32)[shifted]
            turned = (clip.rotations[:, joints] @ offsets[..., None])[..., 0]
            positions[:, shifted] = clip.positions[:, joints] + turned
        result["positions"] = positions
    if clip.keypoints is not None:
        result["keypoints"] = _weighted(clip.keypoints, matrix)
    if clip.confidence is not None:
        used = matrix != 0
        # [T, Jt, Js]: joints that are not used count as sure
        result["confidence"] = torch.where(used, clip.confidence[:, None], 1.0).amin(-1)
    return result


def _weighted(values: Tensor, matrix: Tensor) -> Tensor:
    """`matrix [Jt, Js] @ values [T, Js, C]`, where a NaN reaches only the joints that use it."""
    missing = values.isnan().any(-1, keepdim=True)
    mixed = matrix @ values.masked_fill(missing, 0.0)
    gone = (matrix != 0).float() @ missing.float() > 0
    return mixed.masked_fill(gone, torch.nan)
