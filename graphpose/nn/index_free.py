"""Positions of joints and frames, and the prior graph convolution, without a parameter that belongs to one joint or frame.

    P_joint[i] = D_i W,                         D_i = what the tree says about joint i    [J, C] = [J, F] [F, C]
    P_frame[t] = s(t) W / sqrt(C),              s = sines and cosines of the frame number [T, C] = [T, C] [C, C]
    G_ij       = g[d_ij] / sqrt(n_i(d) n_j(d)), n_i(d) = number of nodes at distance d = d_ij from i
    M_i        = D_i W                                                                    [n, C] = [n, F] [F, C]

G and M stand in for the learned global topology and the modulation of `GraphPrior`: one strength g a distance along the relation
(hops, or frames over the step), one for pairs that it does not connect. The division makes what a node hears from a distance an
average: the same on a body with more joints, and in a longer clip.

D (`joint_description`, `frame_description`) counts in thermometer code, `(m >= 1, m >= 2, ..., m >= K)`, so W holds steps: a
joint farther out than any of the training is taken for the farthest known, not for a random one. All shapes depend on the
channels alone: one state dict fits every skeleton and every length, and numbering the joints otherwise changes nothing.

Peng et al., KTPFormer, CVPR 2024, for what is replaced.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from graphpose.graph import resolve_relation
from graphpose.nn.graph_prior import GraphPrior
from graphpose.nn.relation_distance import FARTHEST, relation_distance
from graphpose.nn.relation_topology import NOBODY, relation_degrees, relation_topology
from graphpose.nn.sinusoidal import sinusoidal
from graphpose.skeleton import Skeleton

__all__ = [
    "IndexFreeFramePosition",
    "IndexFreeJointPosition",
    "IndexFreePrior",
    "frame_description",
    "joint_description",
]

DEEPEST, MOST_NEIGHBOURS = 8, 4
"""Counts from which on all are one: hops from the root and to the leaves, neighbours of a joint."""


def joint_description(skeleton: Skeleton, relation: str = "kinematic") -> Tensor:
    """What the tree says about each joint [J, F], values in [0, 1], in the default dtype.

    Columns: 1; hops from the root >= 1 ... 8; hops to the farthest leaf below >= 1 ... 8; neighbours on the relation >= 1 ... 4;
    share of the way from the root to that leaf; left; right.
    """
    depths = np.array(skeleton.depths)
    heights = np.zeros(len(skeleton), dtype=np.int64)
    for joint in reversed(skeleton.order[1:]):  # children before their parents
        parent = skeleton.parents[joint]
        heights[parent] = max(heights[parent], heights[joint] + 1)
    numbers = np.arange(len(skeleton))
    columns = [
        _at_least(depths, 0, DEEPEST),
        _at_least(heights, 1, DEEPEST),
        _at_least(relation_degrees(relation, skeleton), 1, MOST_NEIGHBOURS),
        (depths / np.maximum(depths + heights, 1))[:, None],
        np.isin(numbers, skeleton.left)[:, None],
        np.isin(numbers, skeleton.right)[:, None],
    ]
    return torch.as_tensor(np.concatenate(columns, axis=1), dtype=torch.get_default_dtype())


def frame_description(frames: int, relation: str) -> Tensor:
    """What a relation says about each frame [T, F]: neighbours on it >= 0, 1, 2 (an end of the clip has fewer)."""
    return torch.as_tensor(_at_least(relation_degrees(relation, frames=frames), 0, 2), dtype=torch.get_default_dtype())


def _at_least(counts: np.ndarray, first: int, last: int) -> np.ndarray:
    """Thermometer code: counts [n] -> 0/1 [n, last - first + 1], whether `counts >= k` for k from first to last."""
    return (counts[:, None] >= np.arange(first, last + 1)).astype(np.float64)


class IndexFreeJointPosition(nn.Module):
    """Position of each joint [J, C], the same for joints that lie alike in the tree; starts at 0.

    Args:
        channels: C.
        skeleton: J joints; only the buffer `description` [J, F], which no state dict holds, depends on it.
    """

    description: Tensor

    def __init__(self, channels: int, skeleton: Skeleton) -> None:
        super().__init__()
        self.register_buffer("description", joint_description(skeleton), persistent=False)
        self.weight = nn.Parameter(torch.zeros(self.description.shape[1], channels))

    def forward(self) -> Tensor:
        """-> [J, C]."""
        return self.description @ self.weight


class IndexFreeFramePosition(nn.Module):
    """Position of frames by their number, int64 `[...]` -> `[..., C]`; starts at 0.

    The division by sqrt(C) keeps the pace at which an optimiser moves a position near that of a table of positions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, channels))

    def forward(self, frames: Tensor) -> Tensor:
        channels = self.weight.shape[0]
        return sinusoidal(frames, channels, self.weight.dtype) @ self.weight / math.sqrt(channels)


class IndexFreePrior(GraphPrior):
    """`GraphPrior` whose parameters are functions of distance, neighbours and place in the tree; both paths work on it.

    It starts where the indexed layer does: strengths at 1e-6, W_self and W_neighbour as there, and a modulation of 1 for all
    nodes, from which the steps of W lead away (they start at 0).

    On a relation of frames the grid path takes samples of any length; the edge path sees samples of `frames` frames.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        relation: of joints or of frames.
        skeleton: J joints; for relations of joints.
        frames: T; for relations of frames, the length that is usual.
    """

    distance: Tensor
    share: Tensor
    description: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, relation: str, skeleton: Skeleton = NOBODY, frames: int = 1
    ) -> None:
        # Plain attributes, which the base class needs to make the parameters.
        self.relation = relation
        self.axis = resolve_relation(relation).axis
        self.skeleton = skeleton
        self.features = (joint_description(NOBODY) if self.axis == "joints" else frame_description(1, relation)).shape[
            1
        ]
        super().__init__(in_channels, out_channels, relation_topology(relation, skeleton, frames))
        distance, share = _node_tables(relation, skeleton, frames)
        self.register_buffer("distance", distance, persistent=False)
        self.register_buffer("share", share.to(torch.get_default_dtype()), persistent=False)
        described = (
            joint_description(skeleton, relation) if self.axis == "joints" else frame_description(frames, relation)
        )
        self.register_buffer("description", described, persistent=False)

    def add_node_parameters(self) -> None:
        self.modulation = nn.Parameter(torch.empty(self.features, self.out_channels))
        self.strength = nn.Parameter(torch.empty(FARTHEST[self.axis] + 2))

    def reset_node_parameters(self) -> None:
        """Strengths of 1e-6 and modulations of 1, as the indexed layer has them."""
        nn.init.constant_(self.strength, 1e-6)
        nn.init.zeros_(self.modulation)
        nn.init.ones_(self.modulation[0])

    def topology(self, n: int | None = None) -> Tensor:
        """A = sym(L + G) [n, n]."""
        local, distance, share = self.local_topology, self.distance, self.share
        if self._is_another(n):
            assert n is not None
            distance, share = (table.to(self.share.device) for table in _node_tables(self.relation, NOBODY, n))
            local, share = relation_topology(self.relation, frames=n).to(self.share), share.to(self.share)
        total = local + self.strength[distance] * share
        return 0.5 * (total + total.transpose(0, 1))

    def modulations(self, n: int | None = None) -> Tensor:
        """M [n, C_out]."""
        description = self.description
        if self._is_another(n):
            assert n is not None
            description = frame_description(n, self.relation).to(description)
        return description @ self.modulation

    def _is_another(self, n: int | None) -> bool:
        """Whether a sample has another length than is usual."""
        return n is not None and n != self.nodes and self.axis == "frames"


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)  # what is kept has to serve gradients too
def _node_tables(relation: str, skeleton: Skeleton, frames: int) -> tuple[Tensor, Tensor]:
    """Distances int64 [n, n] and the share of each pair 1 / sqrt(n_i(d) n_j(d)) float64 [n, n]; shared: do not write into them."""
    limit = FARTHEST[resolve_relation(relation).axis]
    distance = relation_distance(relation, skeleton, frames, limit)
    ones = torch.ones_like(distance)
    reached, reaching = (
        torch.zeros(len(distance), limit + 2, dtype=torch.int64).scatter_add_(1, one, ones)
        for one in (distance, distance.T)
    )
    pairs = reached.gather(1, distance) * reaching.gather(1, distance.T).T
    return distance, pairs.double().rsqrt()
