"""Joints in an order in which limbs stand together, so that a matrix of joints has its limbs as blocks."""

from __future__ import annotations

import numpy as np

from graphpose.skeleton import Skeleton

__all__ = ["limb_blocks", "limb_order"]


def limb_order(skeleton: Skeleton) -> np.ndarray:
    """A permutation `[J]` of the joints: depth first along the tree from the root, shorter side branches before longer ones.

    Neighbours in the order are mostly neighbours on the body; it does not depend on how joints are numbered but where two branches
    are alike.
    """
    size = [1] * len(skeleton)
    for joint in reversed(skeleton.order):
        parent = skeleton.parents[joint]
        if parent >= 0:
            size[parent] += size[joint]
    found: list[int] = []
    stack = [skeleton.root]
    while stack:
        joint = stack.pop()
        found.append(joint)
        stack += sorted(skeleton.children[joint], key=lambda child: (size[child], skeleton.joints[child]), reverse=True)
    return np.array(found, dtype=np.int64)


def limb_blocks(skeleton: Skeleton, order: np.ndarray) -> list[int]:
    """Places in `order` where a new limb begins: where a joint is no child of the one before it. 0 is left out."""
    return [place for place in range(1, len(order)) if skeleton.parents[int(order[place])] != int(order[place - 1])]
