"""A rest pose out of recorded motion: the mean direction and mean length of every bone, in the body's own heading.

With offsets o[t, j] = p[t, j] - p[t, parent(j)] turned about +Y so that the body of frame t faces +Z (its left at +X):
rest[j] = rest[parent(j)] + mean_t |o[t, j]| * unit(mean_t o[t, j]). Positions [T, J, 3] in metres, NaN = missing.
"""

from __future__ import annotations

import numpy as np

from graphpose.errors import SkeletonError
from graphpose.skeleton.skeleton import Skeleton

__all__ = ["rest_from_positions"]


def rest_from_positions(skeleton: Skeleton, positions: np.ndarray) -> np.ndarray:
    """Rest pose [J, 3] in metres: root above the origin, lowest joint at height 0, bone lengths those of the clip.

    Raises:
        SkeletonError: wrong shape, or a bone whose two ends are never seen together (named).
    """
    joints = len(skeleton)
    if positions.ndim != 3 or positions.shape[1:] != (joints, 3) or len(positions) == 0:
        raise SkeletonError(f"expected positions [T, {joints}, 3] with T of at least 1 (got {positions.shape})")
    positions = _face_forward(skeleton, positions)
    rest = np.zeros((joints, 3))
    faults = []
    for joint in skeleton.order[1:]:
        parent = skeleton.parents[joint]
        offsets = positions[:, joint] - positions[:, parent]
        offsets = offsets[np.isfinite(offsets).all(axis=1)]
        if len(offsets) == 0:
            faults.append(f"no frame shows both {skeleton.joints[parent]!r} and {skeleton.joints[joint]!r}")
            continue
        length, mean = np.linalg.norm(offsets, axis=1).mean(), offsets.mean(axis=0)
        if np.linalg.norm(mean) <= 1e-6 * length:  # the directions cancel out: any single frame is as good as another
            mean = offsets[0]
        rest[joint] = rest[parent] + length * mean / max(np.linalg.norm(mean), np.finfo(float).tiny)
    if faults:
        raise SkeletonError(faults, source=f"skeleton {skeleton.name!r}")
    rest[:, 1] -= rest[:, 1].min()
    return rest


def _face_forward(skeleton: Skeleton, positions: np.ndarray) -> np.ndarray:
    """Turn each frame about +Y so that the left-right axis of the pairs nearest to the root lies along +X."""
    if not skeleton.pairs:
        return positions
    nearest = min(skeleton.depths[left] for left in skeleton.left)
    pairs = [
        (left, right)
        for left, right in zip(skeleton.left, skeleton.right, strict=True)
        if skeleton.depths[left] == nearest
    ]
    across = sum(positions[:, left] - positions[:, right] for left, right in pairs)
    x, z = np.asarray(across)[:, 0], np.asarray(across)[:, 2]
    size = np.hypot(x, z)
    known = np.isfinite(size) & (size > 0)
    cos = np.divide(x, size, out=np.ones_like(size), where=known)
    sin = np.divide(z, size, out=np.zeros_like(size), where=known)
    turn = np.zeros((len(positions), 3, 3))
    turn[:, 1, 1] = 1.0
    turn[:, 0, 0], turn[:, 0, 2], turn[:, 2, 0], turn[:, 2, 2] = cos, sin, -sin, cos  # (x, z) -> (1, 0)
    return np.einsum("tab,tjb->tja", turn, positions)
