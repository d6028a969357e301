"""The published local topology of a relation, and how many neighbours each node has on it.

L = offdiag(D^-1 R) + I,   R the 0/1 matrix of the relation [n, n], D its row sums, n = J or T
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphpose.graph import resolve_relation
from graphpose.skeleton import Skeleton

__all__ = ["NOBODY", "relation_degrees", "relation_topology"]

NOBODY = Skeleton.from_parents([-1], ["joint"])
"""For relations of frames, which do not look at the skeleton."""


def relation_topology(relation: str, skeleton: Skeleton = NOBODY, frames: int = 1) -> Tensor:
    """L [n, n] in the default dtype: rows over their degree, then ones written on the diagonal.

    Args:
        relation: of joints (then `frames` is not looked at) or of frames (then `skeleton` is not).
        skeleton: J joints.
        frames: T.
    """
    found = resolve_relation(relation)
    n = len(skeleton) if found.axis == "joints" else frames
    source, destination = found.pairs(skeleton, frames)
    topology = torch.zeros(n, n)  # filled in place: it may be large
    topology[torch.from_numpy(source), torch.from_numpy(destination)] = 1.0
    topology /= topology.sum(1, keepdim=True).clamp(min=1)
    topology.diagonal().fill_(1.0)
    return topology


def relation_degrees(relation: str, skeleton: Skeleton = NOBODY, frames: int = 1) -> np.ndarray:
    """Number of other nodes that each node is joined to, int64 [n]; arguments as in `relation_topology`."""
    found = resolve_relation(relation)
    source, destination = found.pairs(skeleton, frames)
    n = len(skeleton) if found.axis == "joints" else frames
    return np.bincount(source[source != destination], minlength=n)
