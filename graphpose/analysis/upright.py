"""Poses turned so that people stand upright on paper and screen.

Drawing space: x right, y away from the viewer, z up (metres). Both turns are proper rotations (determinant +1), so left
stays left:

    camera space (x right, y down, z away):  (x, y, z) -> (x, z, -y)
    world space (+Y up):                     (x, y, z) -> (x, -z, y)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphpose.analysis.example import Example
    from graphpose.skeleton import Skeleton

__all__ = ["finite_bounds", "front_pose", "tree_layout", "turntable", "upright"]

_TURNS = {
    "camera": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    "world": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
}


def upright(points: np.ndarray, space: str, up: np.ndarray | None = None) -> np.ndarray:
    """`points [..., 3]` of `space` ("camera" or "world") in drawing space `[..., 3]`.

    `up [3]`, the world's up as a direction of `space`, takes the tilt of the camera out: the smallest rotation that
    brings it to z, with v = up x z and c = up . z:  I + [v] + [v]^2 / (1 + c)  (Rodrigues).
    """
    turn = _TURNS[space]
    if up is not None:
        x, y, c = turn @ (up / np.linalg.norm(up))
        if c < -1 + 1e-9:  # upside down: any half turn about a horizontal axis
            turn = np.diag([1.0, -1.0, -1.0]) @ turn
        else:
            v = np.array([[0.0, 0.0, -x], [0.0, 0.0, -y], [x, y, 0.0]])
            turn = (np.eye(3) + v + v @ v / (1 + c)) @ turn
    return points @ turn.T


def finite_bounds(*points: np.ndarray, pad: float = 0.06, least: float = 0.45) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner `[C]` of all finite `points [..., C]`: padded, no side under `least` of the longest one.

    A clip without any finite point gets the box from -1 to 1, so that an axis can still be drawn.
    """
    channels = points[0].shape[-1]
    rows = np.concatenate([p.reshape(-1, channels) for p in points])
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        return -np.ones(channels), np.ones(channels)
    low, high = rows.min(axis=0), rows.max(axis=0)
    longest = max(float((high - low).max()), 1e-6)
    half = np.maximum((high - low) / 2 + pad * longest, least * longest / 2)
    middle = (high + low) / 2
    return middle - half, middle + half


def turntable(points: np.ndarray, azimuth: float = 35.0, elevation: float = 12.0) -> np.ndarray:
    """Drawing-space `points [..., 3]` seen from a turned, raised viewpoint: orthographic `[..., 2]` (right, up); angles
    in degrees.
    """
    a, e = np.radians([azimuth, elevation])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    up = np.array([-np.sin(e) * np.sin(a), np.sin(e) * np.cos(a), np.cos(e)])
    return np.stack([points @ right, points @ up], axis=-1)


def _facing_us(points: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Each frame of drawing-space `points [T, J, 3]` about its root, turned about the vertical until left-right lies
    along x.
    """
    points = points - points[:, skeleton.root : skeleton.root + 1]
    if not len(skeleton.left):
        return points
    across = points[:, list(skeleton.left)].mean(axis=1) - points[:, list(skeleton.right)].mean(axis=1)
    angle = np.arctan2(across[:, 1], across[:, 0])
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos[:, None] * x + sin[:, None] * y, cos[:, None] * y - sin[:, None] * x, points[..., 2]], axis=-1)


def tree_layout(skeleton: Skeleton) -> np.ndarray:
    """The skeleton as a tree on paper `[J, 2]`: root on top, one row a generation, leaves evenly spaced."""
    place = np.zeros((len(skeleton.joints), 2))
    children: dict[int, list[int]] = {j: [] for j in range(len(skeleton.joints))}
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            children[parent].append(joint)
    leaves = 0
    for joint in reversed(_depth_first(skeleton.root, children)):
        if children[joint]:
            place[joint, 0] = float(np.mean([place[child, 0] for child in children[joint]]))
        else:
            place[joint, 0] = leaves
            leaves += 1
    for joint in _depth_first(skeleton.root, children):
        for child in children[joint]:
            place[child, 1] = place[joint, 1] - 1.0
    return place


def _depth_first(root: int, children: dict[int, list[int]]) -> list[int]:
    order, stack = [], [root]
    while stack:
        joint = stack.pop()
        order.append(joint)
        stack.extend(reversed(children[joint]))
    return order


def front_pose(skeleton: Skeleton, examples: list[Example]) -> tuple[np.ndarray, str]:
    """A flat picture of the skeleton `[J, 2]` (right, up) and, in words, what it shows.

    The rest pose if the skeleton has one; else the mean pose of the first example on it, facing the viewer; else the
    tree. Seen from the front, or obliquely from the side, where left does not hide right, if it is more
    than twice as long as wide (animals).
    """
    pose, kind = None, "joint tree"
    if skeleton.rest is not None:
        pose, kind = upright(np.asarray(skeleton.rest, dtype=np.float64), "world"), "rest pose"
    else:
        for example in examples:
            if tuple(example.skeleton.joints) != tuple(skeleton.joints):
                continue
            predicted, target = example.drawn()
            points = predicted if target is None else target
            whole = points[np.isfinite(points).all(axis=(1, 2))]
            if len(whole):
                pose, kind = _facing_us(whole, skeleton).mean(axis=0), "mean pose"
                break
    if pose is None:
        return tree_layout(skeleton), kind
    if np.ptp(pose[:, 1]) > 2 * np.ptp(pose[:, 0]):
        return turntable(pose, azimuth=65.0, elevation=15.0), f"{kind}, seen from the side"
    return pose[:, [0, 2]], f"{kind}, seen from the front"
