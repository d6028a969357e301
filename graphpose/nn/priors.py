"""KPA and TPA: the prior graph convolution on the kinematic and on the trajectory topology.

    KPA(x) = ReLU(BN(GraphPrior_kinematic(x)))                            2D keypoints -> tokens, nodes = joints
    TPA(x) = x + PriorLayer_trajectory(PriorLayer_trajectory(x))          tokens -> tokens,       nodes = frames

Same class, another graph. Peng et al., KTPFormer, CVPR 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.nn.graph_prior import PriorLayer
from graphpose.nn.memory import gibibytes, machine_memory
from graphpose.skeleton import Skeleton

__all__ = ["KinematicPrior", "TrajectoryPrior", "kinematic_topology", "trajectory_topology"]


def kinematic_topology(skeleton: Skeleton) -> Tensor:
    """The published local topology of the bones [J, J]: rows over their degree, ones on the diagonal."""
    return torch.as_tensor(skeleton.normalized_adjacency("published"), dtype=torch.get_default_dtype())


def trajectory_topology(frames: int) -> Tensor:
    """The published local topology of a trajectory [T, T]: frame t and t+1 joined, rows over their degree, ones on the diagonal."""
    topology = torch.zeros(frames, frames)  # filled in place: it may be large
    topology.diagonal(1).fill_(1.0)
    topology.diagonal(-1).fill_(1.0)
    topology /= topology.sum(1, keepdim=True).clamp(min=1)
    topology.diagonal().fill_(1.0)
    return topology


class KinematicPrior(PriorLayer):
    """KPA: mixes the joints of each frame along the bones.

    Shapes: grid `[B, T, J, C_in] -> [B, T, J, C_out]`; edge path as in `GraphPrior`, `node` = joint numbers.
    """

    def __init__(self, in_channels: int, out_channels: int, skeleton: Skeleton) -> None:
        super().__init__(in_channels, out_channels, kinematic_topology(skeleton))


class TrajectoryPrior(nn.Module):
    """TPA: mixes the frames of each joint along its path, with a residual around the pair of layers.

    Shapes: grid `[B, J, T, C] -> [B, J, T, C]` (joints before frames); edge path `x [N, C]`, `node` = frame numbers.

    Raises `ConfigError` where its dense matrices `[T, T]`, one fixed and one learned by each layer, exceed the memory of
    the machine.
    """

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        needed, memory = 3 * frames**2 * torch.get_default_dtype().itemsize, machine_memory()
        if memory is not None and needed > memory:
            raise ConfigError(
                f"frames={frames}: the trajectory prior relates every frame to every other and needs {gibibytes(needed)} "
                f"for its matrices, this machine has {gibibytes(memory)}: use shorter windows (data.frames), or a prior "
                "without 'tpa' (model.options.prior)"
            )
        topology = trajectory_topology(frames)
        self.layers = nn.ModuleList([PriorLayer(channels, channels, topology) for _ in range(2)])

    def forward_grid(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            assert isinstance(layer, PriorLayer)
            y = layer.forward_grid(y)
        return x + y

    def forward(self, x: Tensor, edge_index: Tensor, node: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = layer(y, edge_index, node)
        return x + y
