"""The prior graph convolution: message passing over a local topology that the graph gives and a global one that is learned.

Matrix form, over the n nodes of one sample (joints of a frame, or frames of a joint):

    A = sym(L + G),   sym(X) = (X + X^T) / 2
    Y = diag(A) (M * X W_self) + offdiag(A) (M * X W_neighbour) + b

Node form:

    y_i = A_ii (M_i * x_i W_self) + sum_{j != i} A_ij (M_j * x_j W_neighbour) + b

L `[n, n]` is the fixed local topology (`local_topology`), G `[n, n]` the learned global one (`global_topology`), M `[n, C_out]`
the node modulation, `*` the elementwise product.

Peng et al., "KTPFormer: Kinematics and Trajectory Prior Knowledge-Enhanced Transformer for 3D Human Pose Estimation",
CVPR 2024; the modulated graph convolution is from Zou and Tang, "Modulated Graph Convolutional Network for 3D Human Pose
Estimation", ICCV 2021.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.aggr import SumAggregation
from torch_geometric.utils import remove_self_loops, sort_edge_index

from graphpose.errors import DataError
from graphpose.nn.batch_norm import ChannelNorm

__all__ = ["GraphPrior", "PriorLayer"]


class GraphPrior(MessagePassing):
    """One prior graph convolution, with two paths that agree to float precision.

    The **grid path** (`forward_grid`) serves samples that share one topology: one matrix product over `[..., n, C]`.
    The **edge path** (`forward`) serves any PyG graph, with ragged batches and missing nodes: gather and segment reduction
    over `edge_index` (torch-scatter's kernel where it is installed, PyTorch's otherwise).

    Because G is dense, the two agree when the edges join every pair of nodes of a sample (relations `space` for joints, `time`
    for frames). With fewer edges (say `kinematic`) the edge path is the same layer restricted to those edges.

    A subclass may draw topology and modulation from other parameters: it overrides `add_node_parameters`,
    `reset_node_parameters`, `topology` and `modulations`, and both paths work unchanged.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        local_topology: L `[n, n]`; fixes n, so the layer is bound to one skeleton (or one clip length).

    Shapes: grid `[..., n, C_in] -> [..., n, C_out]`; edges `x [N, C_in]`, `edge_index [2, E]`, `node [N]` (index of each
    node in 0..n-1) -> `[N, C_out]`.
    """

    def __init__(self, in_channels: int, out_channels: int, local_topology: Tensor) -> None:
        super().__init__(aggr=SumAggregation(), node_dim=-2)
        if local_topology.ndim != 2 or local_topology.shape[0] != local_topology.shape[1]:
            raise ValueError(f"expected a square local topology [n, n] (got {list(local_topology.shape)})")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.nodes = local_topology.shape[0]
        self.register_buffer("local_topology", local_topology.to(torch.get_default_dtype()), persistent=False)
        self.weight_self = nn.Parameter(torch.empty(in_channels, out_channels))
        self.weight_neighbour = nn.Parameter(torch.empty(in_channels, out_channels))
        self.add_node_parameters()
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def add_node_parameters(self) -> None:
        """Registers what `topology` and `modulations` are made of: here one number a pair of nodes, one vector a node."""
        self.modulation = nn.Parameter(torch.empty(self.nodes, self.out_channels))
        self.global_topology = nn.Parameter(torch.empty(self.nodes, self.nodes))

    def reset_parameters(self) -> None:
        """As published: W is drawn as one tensor [2, in, out], whose fans are in * out and 2 * out, so its entries are small.

        BatchNorm follows, so their size changes no output but sets how fast an optimiser turns the weights.
        """
        super().reset_parameters()
        both = torch.empty(2, self.in_channels, self.out_channels, dtype=self.weight_self.dtype)
        nn.init.xavier_uniform_(both, gain=math.sqrt(2.0))
        with torch.no_grad():
            self.weight_self.copy_(both[0])
            self.weight_neighbour.copy_(both[1])
        self.reset_node_parameters()
        bound = 1.0 / math.sqrt(self.out_channels)
        nn.init.uniform_(self.bias, -bound, bound)

    def reset_node_parameters(self) -> None:
        """G starts at 1e-6 everywhere, as published, and M at 1: all nodes share the weights until training tells them apart.

        The published M is random, which gives each node a basis of its own that has to be learned alone. With that, and BatchNorms
        that start at 1, KTPFormer had 99.8 mm on the lifting benchmark (seed 0); with this and the `gain` of `PriorLayer` 83.7 mm.
        """
        nn.init.ones_(self.modulation)
        nn.init.constant_(self.global_topology, 1e-6)

    def topology(self, n: int | None = None) -> Tensor:
        """A = sym(L + G) [n, n]; n is the size of the sample, which only layers that are not bound to one look at."""
        total = self.local_topology + self.global_topology
        return 0.5 * (total + total.transpose(0, 1))

    def modulations(self, n: int | None = None) -> Tensor:
        """M [n, C_out]."""
        return self.modulation

    def forward_grid(self, x: Tensor, nodes: Tensor | None = None) -> Tensor:
        """The grid path: x [..., n, C_in] -> [..., n, C_out].

        Args:
            x: all n nodes, or those of them that `nodes` names.
            nodes: int64 [..., m], broadcastable to the leading axes of x [..., m, C_in]: which of the n nodes these are.
        """
        n = x.shape[-2] if nodes is None else None
        topology, modulation = self.topology(n), self.modulations(n)
        if nodes is not None:
            topology, modulation = topology[nodes[..., :, None], nodes[..., None, :]], modulation[nodes]
        own = topology.diagonal(dim1=-2, dim2=-1)  # [..., n]
        neighbours = topology - torch.diag_embed(own)
        own_messages = x @ self.weight_self
        neighbour_messages = modulation * (x @ self.weight_neighbour)
        return torch.addcmul(self.bias, own.unsqueeze(-1) * modulation, own_messages) + neighbours @ neighbour_messages

    def forward(self, x: Tensor, edge_index: Tensor, node: Tensor) -> Tensor:
        """The edge path: x [N, C_in], edge_index [2, E] (source, target), node [N] in 0..n-1 -> [N, C_out].

        Raises:
            DataError: a node number outside this layer's topology.
        """
        if node.numel() and int(node.max()) >= self.nodes:
            raise DataError(f"this prior knows {self.nodes} nodes, the graph holds node number {int(node.max())}")
        topology = self.topology()
        edge_index, _ = remove_self_loops(edge_index)
        edge_index = sort_edge_index(edge_index, num_nodes=x.shape[0], sort_by_row=False)
        strength = topology[node[edge_index[1]], node[edge_index[0]]]  # [E]
        modulation = self.modulations()[node]  # [N, C_out]
        own = topology.diagonal()[node].unsqueeze(-1) * modulation * (x @ self.weight_self)
        messages = modulation * (x @ self.weight_neighbour)
        return own + self.propagate(edge_index, x=messages, strength=strength, size=None) + self.bias

    def message(self, x_j: Tensor, strength: Tensor) -> Tensor:
        return strength.unsqueeze(-1) * x_j

    def aggregate(self, inputs: Tensor, index: Tensor, dim_size: int | None = None) -> Tensor:
        """Segment sums: the edges are sorted by target, so the targets' runs are the segments."""
        assert dim_size is not None
        counts = torch.bincount(index, minlength=dim_size)
        pointer = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return self.aggr_module(inputs, ptr=pointer, dim_size=dim_size, dim=-2)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, nodes={self.nodes})"


class PriorLayer(nn.Module):
    """ReLU(BatchNorm(GraphPrior(x))), statistics over samples and nodes; both paths, shapes as in `GraphPrior`.

    Args:
        convolution: the message passing.
        gain: weight of the BatchNorm at the start. Small, where the output becomes tokens or is added to tokens: those of a linear
            embedding are as small (truncated normal, 0.02), and positions start at 0. Not 0, or ReLU would pass no gradient.
    """

    def __init__(self, convolution: GraphPrior, gain: float = 0.02) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = ChannelNorm(convolution.out_channels)
        nn.init.constant_(self.norm.weight, gain)

    def forward_grid(self, x: Tensor, nodes: Tensor | None = None) -> Tensor:
        """x [..., n, C_in] -> [..., n, C_out]."""
        return torch.relu(self.norm(self.convolution.forward_grid(x, nodes)))

    def forward(self, x: Tensor, edge_index: Tensor, node: Tensor) -> Tensor:
        """x [N, C_in], edge_index [2, E], node [N] -> [N, C_out]."""
        return torch.relu(self.norm(self.convolution(x, edge_index, node)))
