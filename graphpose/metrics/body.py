"""Whether the prediction is a body: bone lengths against the truth, over time, and left against right.

    bone error = mean |l(p) - l(y)|,    bone variance = mean over bones of Var_t l(p)
    symmetry error = mean |l_left(p) - l_right(p)|

Symbols: `l` length of a bone, metres; `p` pred, `y` target. Shapes: poses `[..., T, J, 3]`; E bones as in
`skeleton.bones`, and the pairs of bones that `skeleton.pairs` mirrors onto each other. A bone counts when both of its
joints are visible.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphpose.errors import DataError
from graphpose.metrics.arrays import Array, Measured, Poses, masked, measure
from graphpose.skeleton import Skeleton

__all__ = [
    "bone_errors",
    "bone_length_error",
    "bone_length_variance",
    "bone_pairs",
    "bone_variances",
    "symmetry_error",
    "symmetry_errors",
]


def bone_length_error(
    pred: Array, target: Array, skeleton: Skeleton, *, visible: Array | None = None, reduction: str = "mean"
) -> Any:
    """Mean difference of predicted and true bone lengths, metres.

    `reduction="joint"` gives one value for each of `skeleton.bones`.

    Raises:
        DataError: shapes that do not fit each other or the skeleton. ConfigError: an unknown reduction.
    """
    return measure(lambda poses: bone_errors(poses, skeleton), pred, target, visible, reduction)


def bone_length_variance(
    pred: Array, skeleton: Skeleton, *, visible: Array | None = None, reduction: str = "mean"
) -> Any:
    """Variance over time of each bone's length within its clip, averaged, square metres.

    A bone seen in fewer than two frames does not count, and alone gives NaN. `reduction="none"` has T = 1.

    Raises:
        DataError: shapes that do not fit each other or the skeleton. ConfigError: an unknown reduction.
    """
    return measure(lambda poses: bone_variances(poses, skeleton), pred, pred, visible, reduction)


def symmetry_error(pred: Array, skeleton: Skeleton, *, visible: Array | None = None, reduction: str = "mean") -> Any:
    """Mean difference of the lengths of left bones and their right partners, metres; NaN where there are no such pairs.

    Raises:
        DataError: shapes that do not fit each other or the skeleton. ConfigError: an unknown reduction.
    """
    return measure(lambda poses: symmetry_errors(poses, skeleton), pred, pred, visible, reduction)


def bone_errors(poses: Poses, skeleton: Skeleton) -> Measured:
    """`|l(p) - l(y)|` `[..., T, E]`."""
    pred, target = masked(poses)
    bones = _bones(skeleton, poses.pred)
    return Measured((_lengths(pred, bones) - _lengths(target, bones)).abs(), _counted(poses.visible, bones))


def bone_variances(poses: Poses, skeleton: Skeleton) -> Measured:
    """`Var_t l(p)` `[..., 1, E]`, dividing by the number of frames; a bone seen in fewer than two does not count."""
    pred, _ = masked(poses)
    bones = _bones(skeleton, poses.pred)
    lengths, counted = _lengths(pred, bones), _counted(poses.visible, bones)
    seen = torch.ones_like(lengths) if counted is None else counted.to(lengths.dtype)
    count = seen.sum(-2, keepdim=True)
    mean = (lengths * seen).sum(-2, keepdim=True) / count
    variance = ((lengths - mean).square() * seen).sum(-2, keepdim=True) / count
    return Measured(variance, count >= 2)


def symmetry_errors(poses: Poses, skeleton: Skeleton) -> Measured:
    """`|l_left(p) - l_right(p)|` `[..., T, pairs]`."""
    pred, _ = masked(poses)
    _bones(skeleton, poses.pred)
    pairs = bone_pairs(skeleton)
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    counted = None
    if poses.visible is not None:
        counted = _seen(poses.visible, left) & _seen(poses.visible, right)
    return Measured((_lengths(pred, left) - _lengths(pred, right)).abs(), counted)


def bone_pairs(skeleton: Skeleton) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """Pairs of (left bone, right bone), a bone being (parent, child), the left one that whose child is a left joint."""
    bones, left, mirror = set(skeleton.bones), set(skeleton.left), skeleton.mirror
    pairs = []
    for parent, child in skeleton.bones:
        partner = (int(mirror[parent]), int(mirror[child]))
        if child in left and partner in bones:
            pairs.append(((parent, child), partner))
    return tuple(pairs)


def _bones(skeleton: Skeleton, poses: Tensor) -> list[tuple[int, int]]:
    if poses.shape[-2] != skeleton.num_joints:
        raise DataError(
            f"expected poses [..., T, {skeleton.num_joints}, 3] on skeleton {skeleton.name!r} (got {list(poses.shape)})"
        )
    return list(skeleton.bones)


def _lengths(joints: Tensor, bones: list[tuple[int, int]]) -> Tensor:
    near, far = [parent for parent, _ in bones], [child for _, child in bones]
    return torch.linalg.vector_norm(joints[..., far, :] - joints[..., near, :], dim=-1)


def _counted(visible: Tensor | None, bones: list[tuple[int, int]]) -> Tensor | None:
    return None if visible is None else _seen(visible, bones)


def _seen(visible: Tensor, bones: list[tuple[int, int]]) -> Tensor:
    return visible[..., [parent for parent, _ in bones]] & visible[..., [child for _, child in bones]]
