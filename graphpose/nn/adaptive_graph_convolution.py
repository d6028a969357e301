"""The adaptive graph convolution: a fixed, a learned and a data-dependent topology for each of three partitions of the bones.

Matrix form, X `[J, C_in]` the joints of one frame, k = self, inward, outward:

    Y = ReLU( BN( sum_k (A_k + P_k + S_k)^T X W_k ) + R(X) )
    S_k = softmax_i( sum_t <a_k(x_ti), b_k(x_tj)> / (T' E) )

Node form:

    y_j = ReLU( BN( sum_k sum_i (A_k + P_k + S_k)_ij W_k^T x_i ) + R(x_j) )

A `[3, J, J]` is the fixed topology (`partition_topology`), row i the sender and column j the receiver; P `[3, J, J]` the learned one;
a_k and b_k are linear embeddings of E features, and the sum runs over the T' frames that share one data-dependent graph: all
frames of the window (published), or the frame itself. R is the identity, or a linear layer with BatchNorm where the width changes.

Yu et al., "GLA-GCN: Global-local Adaptive Graph Convolutional Network for 3D Human Pose Estimation from Monocular Video", ICCV 2023;
the layer is from Shi et al., "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based Action Recognition", CVPR 2019.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from graphpose.errors import unknown_name
from graphpose.nn.batch_norm import ChannelNorm
from graphpose.nn.linear import Linear
from graphpose.skeleton import Skeleton

__all__ = ["PARTITIONS", "AdaptiveGraphConvolution", "DataGraph", "partition_topology", "residual_path"]

PARTITIONS = ("self", "inward", "outward")
DataGraph = Literal["window", "frame"]


def partition_topology(skeleton: Skeleton) -> Tensor:
    """The fixed topology [3, J, J]: from each joint to itself, from parent to child (inward), from child to parent (outward).

    Entry `[k, i, j]` is the weight with which joint j receives from joint i. The columns of each partition are divided by their sums:
    a joint averages over its children, and has one parent.
    """
    joints = len(skeleton)
    inward = np.zeros((joints, joints))
    for parent, child in skeleton.bones:
        inward[parent, child] = 1.0
    matrices = np.stack([np.eye(joints), inward, inward.T])
    matrices /= np.maximum(matrices.sum(axis=1, keepdims=True), 1.0)
    return torch.as_tensor(matrices, dtype=torch.get_default_dtype())


def residual_path(in_channels: int, out_channels: int) -> nn.Module:
    """The identity, or BN(linear) where the width changes: [..., C_in] -> [..., C_out]."""
    if in_channels == out_channels:
        return nn.Identity()
    linear = Linear(in_channels, out_channels, bias=False)
    nn.init.normal_(linear.weight, std=math.sqrt(2.0 / out_channels))
    return nn.Sequential(linear, ChannelNorm(out_channels))


class AdaptiveGraphConvolution(nn.Module):
    """One adaptive graph convolution with its BatchNorm, residual and ReLU.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        topology: A `[K, J, J]`, see `partition_topology`; fixes J, so the layer is bound to one skeleton.
        data_graph: "window": one data-dependent graph for all frames of a clip, "frame": one for each frame.
        dropout: probability that an entry of the normalised sum is dropped while training.

    The embeddings have C_out // 4 features each (3 where that is 0). No bias precedes a BatchNorm, which would take it out again.

    Shapes: `[B, T, J, C_in] -> [B, T, J, C_out]`.
    """

    topology: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        topology: Tensor,
        data_graph: DataGraph = "window",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if topology.ndim != 3 or topology.shape[1] != topology.shape[2]:
            raise ValueError(f"expected a topology [partitions, J, J] (got {list(topology.shape)})")
        if data_graph not in get_args(DataGraph):
            raise ValueError(unknown_name("data graph", data_graph, get_args(DataGraph)))
        self.partitions = topology.shape[0]
        self.features = out_channels // 4 or 3
        self.data_graph = data_graph
        self.register_buffer("topology", topology.to(torch.get_default_dtype()), persistent=False)
        self.learned_topology = nn.Parameter(torch.empty(topology.shape))
        self.embeddings = Linear(in_channels, 2 * self.partitions * self.features)
        self.values = Linear(in_channels, self.partitions * out_channels, bias=False)
        self.norm = ChannelNorm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.residual = residual_path(in_channels, out_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As published: the BatchNorm's scale starts at 1e-6, so the layer starts as its residual."""
        in_channels = self.values.in_features
        out_channels = self.norm.num_features
        nn.init.constant_(self.learned_topology, 1e-6)
        nn.init.normal_(self.embeddings.weight, std=math.sqrt(2.0 / self.features))
        nn.init.zeros_(self.embeddings.bias)
        nn.init.normal_(self.values.weight, std=math.sqrt(2.0 / (out_channels * in_channels * self.partitions)))
        self.norm.reset_parameters()
        nn.init.constant_(self.norm.weight, 1e-6)

    def data_topology(self, x: Tensor) -> Tensor:
        """S: x [B, T, J, C_in] -> [B, T, K, J, J] (`data_graph="frame"`) or [B, 1, K, J, J] ("window"); columns sum to one."""
        b, t, j, _ = x.shape
        senders, receivers = self.embeddings(x).view(b, t, j, 2, self.partitions, self.features).unbind(3)
        if self.data_graph == "window":
            scores = torch.einsum("btike,btjke->bkij", senders, receivers).unsqueeze(1) / (t * self.features)
        else:
            scores = torch.einsum("btike,btjke->btkij", senders, receivers) / self.features
        return torch.softmax(scores, dim=-2)

    def forward(self, x: Tensor) -> Tensor:
        b, t, j, _ = x.shape
        topology = self.topology + self.learned_topology + self.data_topology(x)  # [B, T or 1, K, J, J]
        # The sum over partitions and senders is one matrix product: [J, J * K] times [J * K, C_out].
        receive = topology.permute(0, 1, 4, 3, 2).flatten(-2)
        mixed = receive @ self.values(x).view(b, t, j * self.partitions, -1)
        return torch.relu(self.dropout(self.norm(mixed)) + self.residual(x))

    def extra_repr(self) -> str:
        return f"joints={self.topology.shape[-1]}, data_graph={self.data_graph!r}"
