"""Local pose transformation: bone directions, bone lengths and the rigid turn of a pose changed by a few numbers.

For the bone b_j(t) = p_j(t) - p_parent(j)(t) of joint j, with R_j the rotation of the vector turns_j and ratio_j a factor:

    b'_j(t) = ratio_j  L( Q(t) R_j Q(t)^T b_j(t) )       L: the limits of the skeleton (`joint_limits.py`)
    p'_j(t) = p_root(t) + sum of b' on the way from the root to j
    p''_j(t) = c + G (p'_j(t) - c),                      G = R_z(roll) R_x(pitch) R_y(yaw),  c = root of the middle frame

Camera space: x right, y down, z away. From PoseAug and PoseDA: the three changes (bone angle, bone length, rigid motion), one
set a pose, bone lengths shared by both sides. Our reading: rotation vectors where the published generators add vectors to bones
and renormalise; one set for a whole window, in a frame Q(t) that moves with the body (`body_frame.py`), Q = identity in the
middle frame T // 2, so that a person who turns round keeps the same change; joint limits; no translation, since the place in
front of the camera is the matter of global position alignment.

With no change (turns 0, ratios 1, rotation 0) the pose comes back as it was.

PoseAug: Gong, Zhang and Feng, CVPR 2021, arXiv 2105.02465. PoseDA: Chai et al., ICCV 2023, arXiv 2303.16456.
"""

from __future__ import annotations

import roma
import torch
from torch import Tensor

from graphpose.adaptation.body_frame import body_rotation
from graphpose.adaptation.joint_limits import keep_limits
from graphpose.errors import DataError
from graphpose.motion.kinematics import euler_matrices
from graphpose.skeleton import Limits, Skeleton

__all__ = ["allowed_ratios", "symmetric", "transform_pose"]


def transform_pose(pose: Tensor, skeleton: Skeleton, turns: Tensor, ratios: Tensor, rotation: Tensor) -> Tensor:
    """The pose `[B, T, J, 3]` (metres, camera space, with its root path) after the change above; differentiable.

    Args:
        pose: positions; relative to the root or not.
        skeleton: of the J joints.
        turns: `[B, J, 3]` rotation vectors in radians, in camera axes at the middle frame. The root's is not used.
        ratios: `[B, J]`, new length over old of each joint's bone, see `allowed_ratios`. The root's is not used.
        rotation: `[B, 3]` (pitch, yaw, roll) in radians about x, y, z, yaw applied first.

    Bones without a length stay without. The root path is turned by `rotation` and otherwise stays.

    Raises:
        DataError: shapes that do not fit each other or the skeleton.
    """
    _check(pose, skeleton, turns, ratios, rotation)
    middle = pose.shape[1] // 2
    parents = [p if p >= 0 else j for j, p in enumerate(skeleton.parents)]
    given = pose - pose[:, :, parents]  # the root's own is 0
    eye = torch.eye(3, dtype=pose.dtype, device=pose.device)
    # what changes is added to what is there, (R - I) b: no change is then no change to the last bit
    change = roma.rotvec_to_rotmat(turns) - eye
    if pose.shape[1] == 1:
        added = torch.einsum("bjxy,btjy->btjx", change, given)
    else:
        frame = body_rotation(pose, pose[:, middle, None], skeleton)
        local = torch.einsum("btyx,btjy->btjx", frame, given)
        added = torch.einsum("btxy,btjy->btjx", frame, torch.einsum("bjxy,btjy->btjx", change, local))
    bones = keep_limits(given + added, given, pose, skeleton)
    bones = bones * allowed_ratios(ratios, skeleton)[:, None, :, None]
    paths = _paths(skeleton).to(pose)
    posed = pose + torch.einsum("ij,btjx->btix", paths, bones - given)
    centre = pose[:, middle, None, None, skeleton.root]
    pitch, yaw, roll = rotation.unbind(-1)
    spin = euler_matrices(torch.stack([roll, pitch, yaw], -1), "ZXY") - eye
    return posed + torch.einsum("bxy,btjy->btjx", spin, posed - centre)


def symmetric(values: Tensor, skeleton: Skeleton) -> Tensor:
    """`[..., J]` with the mean of both sides for every pair of mirror partners; joints without a partner keep theirs."""
    mirror = torch.from_numpy(skeleton.mirror.copy()).to(values.device)
    return 0.5 * (values + values.index_select(-1, mirror))


def allowed_ratios(ratios: Tensor, skeleton: Skeleton) -> Tensor:
    """Length ratios `[..., J]` as `transform_pose` applies them: the same for mirror partners, clamped to the limits.

    Limits are those of the skeleton's `limits.lengths`, 0.8 to 1.25 for a skeleton that gives none.
    """
    bounds = torch.from_numpy((skeleton.limits or Limits()).length_bounds(skeleton.joints)).to(ratios)
    return torch.minimum(torch.maximum(symmetric(ratios, skeleton), bounds[:, 0]), bounds[:, 1])


def _paths(skeleton: Skeleton) -> Tensor:
    """`[J, J]`: 1 where joint j is on the way from the root to joint i, the root not counted."""
    paths = torch.zeros(len(skeleton), len(skeleton))
    for joint in skeleton.order[1:]:
        paths[joint] = paths[skeleton.parents[joint]]
        paths[joint, joint] = 1.0
    return paths


def _check(pose: Tensor, skeleton: Skeleton, turns: Tensor, ratios: Tensor, rotation: Tensor) -> None:
    joints = len(skeleton)
    if pose.ndim != 4 or pose.shape[1] == 0 or pose.shape[2:] != (joints, 3):
        raise DataError(f"expected a pose [B, T, {joints}, 3] with T >= 1 (got {list(pose.shape)})")
    batch = len(pose)
    wanted = {"turns": (batch, joints, 3), "ratios": (batch, joints), "rotation": (batch, 3)}
    for (name, shape), given in zip(wanted.items(), (turns, ratios, rotation), strict=True):
        if given.shape != shape:
            raise DataError(f"{name}: expected the shape {list(shape)} (got {list(given.shape)})")
