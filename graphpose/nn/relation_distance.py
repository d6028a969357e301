"""How far apart two nodes are along a relation: the smallest number of its edges from one to the other.

On the kinematic relation this is the distance in bones, on the trajectory the time offset in frames, on the mirror relation 1
for partners and nothing else is reached.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from graphpose.graph import resolve_relation
from graphpose.skeleton import Skeleton

__all__ = ["FARTHEST", "relation_distance"]


FARTHEST = {"joints": 8, "frames": 32}
"""Distance from which on all are one; a body has few joints farther apart, a window of 243 frames many frames."""


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)  # what is kept has to serve gradients too
def relation_distance(relation: str, skeleton: Skeleton, frames: int, limit: int) -> Tensor:
    """Distances int64 [n, n], n = J or T: those beyond `limit` count as `limit`, nodes out of reach as `limit + 1`.

    The tensor is shared: do not write into it.
    """
    found = resolve_relation(relation)
    n = len(skeleton) if found.axis == "joints" else frames
    stride = _stride(relation)
    if stride is not None:  # |s - t| / k, where k divides it: a long window has too many pairs to search
        offset = torch.arange(frames)
        offset = (offset[:, None] - offset).abs()
        return (offset // stride).clamp_(max=limit).masked_fill_(offset % stride != 0, limit + 1)
    source, destination = found.pairs(skeleton, frames)
    if len(source) >= n * n:  # everything with everything
        return 1 - torch.eye(n, dtype=torch.int64)
    edges = csr_matrix((np.ones(len(source), dtype=np.int8), (source, destination)), shape=(n, n))
    distance = shortest_path(edges, directed=True, unweighted=True, method="D")
    reached = np.isfinite(distance)
    counted = np.where(reached, np.minimum(np.where(reached, distance, 0), limit), limit + 1)
    return torch.from_numpy(counted.astype(np.int64))


def _stride(relation: str) -> int | None:
    """k of the relations that join each frame to those k before and after it."""
    step = re.fullmatch(r"step([0-9]+)", relation)
    return 1 if relation == "trajectory" else int(step[1]) if step else None
