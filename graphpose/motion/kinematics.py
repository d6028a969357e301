"""Forward kinematics: `R_j = R_parent(j) L_j`, `p_j = p_parent(j) + R_parent(j) o_j`, and Euler angles.

L `[..., J, 3, 3]` are local rotations, o `[..., J, 3]` local translations (bone offsets); R and p are global. The work is
done with the coordinates in front, `[L | o]` as `[3, 4, J, ...]`: every product is then a few long multiplications
instead of many small ones. Tensors keep their gradient; the readers use the same functions on NumPy arrays, which
cost less a call where clips are short.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from graphpose.errors import DataError

__all__ = [
    "compose",
    "euler_angles",
    "euler_components",
    "euler_matrices",
    "forward_kinematics",
    "pose_arrays",
    "pose_tree",
    "topological_levels",
]

Array = TypeVar("Array", np.ndarray, Tensor)


def topological_levels(parents: Sequence[int]) -> list[list[int]]:
    """The joints by depth, roots first; raises `DataError` when a joint hangs on itself or on none there is."""
    return [list(level) for level in _levels(tuple(parents))]


@lru_cache(maxsize=256)  # the files of a collection share their skeleton
def _levels(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    depth = [-1] * len(parents)
    levels: list[tuple[int, ...]] = []
    while True:
        level = tuple(
            j
            for j, p in enumerate(parents)
            if depth[j] < 0 and (p < 0 or (p < len(parents) and 0 <= depth[p] < len(levels)))
        )
        if not level:
            break
        for j in level:
            depth[j] = len(levels)
        levels.append(level)
    stray = [j for j, d in enumerate(depth) if d < 0]
    if stray:
        raise DataError(f"expected parents that form a tree (joints {stray} hang on no root)")
    return tuple(levels)


def compose(first: Array, second: Array) -> Array:
    """The matrix product of `first [3, 3, ...]` and `second [3, C, ...]`, coordinates in front: `[3, C, ...]`."""
    return first[:, 0, None] * second[0] + first[:, 1, None] * second[1] + first[:, 2, None] * second[2]


def pose_tree(local: Array, parents: Sequence[int]) -> Array:
    """Global `[R | p]` from local `[L | o]`, both `[3, 4, J, ...]`, one level of the tree after the other.

    Raises `DataError` when the parents are no tree. Numbers too large for their dtype become infinite.
    """
    levels = _levels(tuple(parents))
    world = local.copy() if isinstance(local, np.ndarray) else local.clone()
    with np.errstate(over="ignore", invalid="ignore"):
        for level in levels[1:]:
            joints = list(level)
            above = world[:, :, [parents[j] for j in level]]  # a copy: what a gradient needs is not overwritten
            # one product carries the child's axes and its offset: [R_p L_j | R_p o_j]
            moved = compose(above, local[:, :, joints])
            moved[:, 3] += above[:, 3]
            world[:, :, joints] = moved
    return world


def forward_kinematics(rotations: Tensor, translations: Tensor, parents: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Global positions and rotations of every joint, all frames at once.

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
    local = torch.cat([rotations, translations[..., None]], -1).movedim((-2, -1, -3), (0, 1, 2))
    world = pose_tree(local, parents).movedim((0, 1, 2), (-2, -1, -3))
    return world[..., 3].contiguous(), world[..., :3].contiguous()


def pose_arrays(world: np.ndarray, scale: float) -> tuple[Tensor, Tensor]:
    """A clip's float32 positions `[T, J, 3]`, times `scale`, and rotations `[T, J, 3, 3]` from `world [3, 4, J, T]`."""
    with np.errstate(over="ignore", invalid="ignore"):
        positions = np.ascontiguousarray((world[:, 3] * scale).transpose(2, 1, 0), dtype=np.float32)
        rotations = np.ascontiguousarray(world[:, :3].transpose(3, 2, 0, 1), dtype=np.float32)
    return torch.from_numpy(positions), torch.from_numpy(rotations)


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
    front = angles.movedim(-1, 0)
    result = angles.new_empty(3, 3, *angles.shape[:-1])
    return _fill_euler(result, front.cos(), front.sin(), order).movedim((0, 1), (-2, -1)).contiguous()


def euler_components(angles: np.ndarray, order: str) -> np.ndarray:
    """`euler_matrices` with the coordinates in front: NumPy angles `[3, ...]` to `[3, 3, ...]`."""
    return _fill_euler(np.empty((3, *angles.shape), angles.dtype), np.cos(angles), np.sin(angles), order)


def _fill_euler(result: Array, cos: Array, sin: Array, order: str) -> Array:
    """`result [3, 3, ...]` from the cosines and sines `[3, ...]` of the angles in the order of the axes."""
    i, j, k, sign = _axes(order)
    ca, cb, cc = cos[0], cos[1], cos[2]
    sa, sb, sc = sign * sin[0], sign * sin[1], sign * sin[2]
    ca_sb, sa_sb = ca * sb, sa * sb
    result[i, i] = cb * cc
    result[i, j] = -cb * sc
    result[i, k] = sb
    result[j, i] = ca * sc + sa_sb * cc
    result[j, j] = ca * cc - sa_sb * sc
    result[j, k] = -sa * cb
    result[k, i] = sa * sc - ca_sb * cc
    result[k, j] = sa * cc + ca_sb * sc
    result[k, k] = ca * cb
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
