"""Forward kinematics: `R_j = R_parent(j) L_j`, `p_j = p_parent(j) + R_parent(j) o_j`, and Euler angles.

L `[..., J, 3, 3]` are local rotations, o `[..., J, 3]` local translations (bone offsets); R and p are global.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from graphpose.errors import DataError

__all__ = ["euler_angles", "euler_matrices", "forward_kinematics", "topological_levels"]


def topological_levels(parents: Sequence[int]) -> list[list[int]]:
    """The joints by depth, roots first; raises `DataError` when a joint hangs on itself or on none there is."""
    depth = [-1] * len(parents)
    levels: list[list[int]] = []
    while True:
        level = [
            j
            for j, p in enumerate(parents)
            if depth[j] < 0 and (p < 0 or (p < len(parents) and 0 <= depth[p] < len(levels)))
        ]
        if not level:
            break
        for j in level:
            depth[j] = len(levels)
        levels.append(level)
    stray = [j for j, d in enumerate(depth) if d < 0]
    if stray:
        raise DataError(f"expected parents that form a tree (joints {stray} hang on no root)")
    return levels


def forward_kinematics(rotations: Tensor, translations: Tensor, parents: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Global positions and rotations of every joint, all frames at once, one level of the tree after the other.

    Args:
        rotations: `[..., J, 3, 3]` local rotations (joint frame to parent frame).
        translations: `[..., J, 3]` or `[J, 3]` offsets in the parent's frame; a root's is its world position.
        parents: index of the parent of each joint, -1 for a root.

    Returns:
        positions `[..., J, 3]` in the unit of `translations`, rotations `[..., J, 3, 3]` (joint frame to world).

    Raises `DataError` when the shapes disagree or the parents are no tree.
    """
    joints = len(parents)
    if rotations.shape[-3:] != (joints, 3, 3) or translations.shape[-2:] != (joints, 3):
        raise DataError(
            f"expected rotations [..., {joints}, 3, 3] and translations [..., {joints}, 3] "
            f"(got {list(rotations.shape)} and {list(translations.shape)})"
        )
    translations = translations.expand(*rotations.shape[:-2], 3)
    oriented: list[Tensor | None] = [None] * joints
    placed: list[Tensor | None] = [None] * joints
    levels = topological_levels(parents)
    for j in levels[0]:
        oriented[j], placed[j] = rotations[..., j, :, :], translations[..., j, :]
    for level in levels[1:]:
        above = [parents[j] for j in level]
        turn = torch.stack([oriented[p] for p in above], -3)  # type: ignore[misc]
        start = torch.stack([placed[p] for p in above], -2)  # type: ignore[misc]
        # one product carries the child's axes and its offset: [R_p L_j | R_p o_j]
        child = torch.cat([rotations[..., level, :, :], translations[..., level, :, None]], -1)
        moved = turn @ child
        for i, j in enumerate(level):
            oriented[j], placed[j] = moved[..., i, :, :3], start[..., i, :] + moved[..., i, :, 3]
    return torch.stack(placed, -2), torch.stack(oriented, -3)  # type: ignore[arg-type]


def _axes(order: str) -> tuple[int, int, int, float]:
    """The three axes and the sign of the sines.

    Renaming the axes to 0, 1, 2 keeps the formulas; an odd permutation swaps handedness, hence the sign.
    """
    axes = ["XYZ".find(letter) for letter in order.upper()]
    if sorted(axes) != [0, 1, 2]:
        raise DataError(f"expected an order of X, Y and Z, such as 'ZXY' (got {order!r})")
    return axes[0], axes[1], axes[2], 1.0 if (axes[1] - axes[0]) % 3 == 1 else -1.0


def euler_matrices(angles: Tensor, order: str) -> Tensor:
    """`R_a(angles[..., 0]) R_b(angles[..., 1]) R_c(angles[..., 2])` for three different axes `order`, such as "ZXY".

    Angles `[..., 3]` in radians, result `[..., 3, 3]`. Raises `DataError` when `order` is no permutation of XYZ.
    """
    if angles.shape[-1] != 3:
        raise DataError(f"expected angles [..., 3] (got {list(angles.shape)})")
    i, j, k, sign = _axes(order)
    ca, cb, cc = angles.cos().unbind(-1)
    sa, sb, sc = (angles.sin() * sign).unbind(-1)
    result = angles.new_empty(*angles.shape[:-1], 3, 3)
    result[..., i, i] = cb * cc
    result[..., i, j] = -cb * sc
    result[..., i, k] = sb
    result[..., j, i] = ca * sc + sa * sb * cc
    result[..., j, j] = ca * cc - sa * sb * sc
    result[..., j, k] = -sa * cb
    result[..., k, i] = sa * sc - ca * sb * cc
    result[..., k, j] = sa * cc + ca * sb * sc
    result[..., k, k] = ca * cb
    return result


def euler_angles(rotations: Tensor, order: str) -> Tensor:
    """The angles `[..., 3]` in radians that `euler_matrices(angles, order)` turns into `rotations [..., 3, 3]`.

    The middle angle is within 90 degrees. Where it reaches them (gimbal lock) the last angle is 0.
    """
    i, j, k, sign = _axes(order)
    second = torch.atan2(rotations[..., i, k], torch.hypot(rotations[..., i, i], rotations[..., i, j]))
    first = torch.atan2(-rotations[..., j, k], rotations[..., k, k])
    third = torch.atan2(-rotations[..., i, j], rotations[..., i, i])
    locked = second.abs() > math.pi / 2 - 1e-6
    first = torch.where(locked, torch.atan2(rotations[..., k, j], rotations[..., j, j]), first)
    third = torch.where(locked, torch.zeros_like(third), third)
    return torch.stack([first, second, third], -1) * sign
