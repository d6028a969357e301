"""KPA and TPA: the prior graph convolution on a topology of joints and on a topology of frames.

    KPA(x) = ReLU(BN(GraphPrior_kinematic(x)))                            2D keypoints -> tokens, nodes = joints
    TPA(x) = x + PriorLayer_trajectory(PriorLayer_trajectory(x))          tokens -> tokens,       nodes = frames

Same class, another graph: `relation` takes any relation of joints (`mirror`, `hop2`, ...) or of frames (`step3`, ...).
Peng et al., KTPFormer, CVPR 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.nn.graph_prior import GraphPrior, PriorLayer
from graphpose.nn.index_free import IndexFreePrior
from graphpose.nn.memory import gibibytes, machine_memory
from graphpose.nn.relation_topology import NOBODY, relation_topology
from graphpose.skeleton import Skeleton

__all__ = ["KinematicPrior", "TrajectoryPrior", "kinematic_topology", "trajectory_topology"]


def kinematic_topology(skeleton: Skeleton, relation: str = "kinematic") -> Tensor:
    """The published local topology of the joints [J, J]: rows over their degree, ones on the diagonal."""
    return relation_topology(relation, skeleton)


def trajectory_topology(frames: int, relation: str = "trajectory") -> Tensor:
    """The published local topology of the frames [T, T]: rows over their degree, ones on the diagonal."""
    return relation_topology(relation, frames=frames)


class KinematicPrior(PriorLayer):
    """KPA: mixes the joints of each frame along the bones, or along another relation of joints.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        skeleton: J joints.
        relation: of joints.
        index_free: no parameter tied to a joint (`IndexFreePrior`).

    Shapes: grid `[B, T, J, C_in] -> [B, T, J, C_out]`; edge path as in `GraphPrior`, `node` = joint numbers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        skeleton: Skeleton,
        relation: str = "kinematic",
        index_free: bool = False,
    ) -> None:
        super().__init__(
            IndexFreePrior(in_channels, out_channels, relation, skeleton, 1)
            if index_free
            else GraphPrior(in_channels, out_channels, kinematic_topology(skeleton, relation))
        )


class TrajectoryPrior(nn.Module):
    """TPA: mixes the frames of each joint along its path, with a residual around the pair of layers.

    Args:
        channels: C.
        frames: T.
        relation: of frames.
        index_free: no parameter tied to a frame (`IndexFreePrior`); then other lengths are taken too.

    Shapes: grid `[B, J, T, C] -> [B, J, T, C]` (joints before frames); edge path `x [N, C]`, `node` = frame numbers.

    Raises `ConfigError` where its dense matrices `[T, T]`, one fixed and one learned by each layer, exceed the memory of
    the machine.
    """

    def __init__(self, channels: int, frames: int, relation: str = "trajectory", index_free: bool = False) -> None:
        super().__init__()
        matrices = 8 if index_free else 3  # index-free ones keep tables of distances instead of learned matrices
        needed, memory = matrices * frames**2 * torch.get_default_dtype().itemsize, machine_memory()
        if memory is not None and needed > memory:
            raise ConfigError(
                f"frames={frames}: the trajectory prior relates every frame to every other and needs {gibibytes(needed)} "
                f"for its matrices, this machine has {gibibytes(memory)}: use shorter windows (data.frames), or a prior "
                "without 'tpa' (model.options.prior)"
            )
        if index_free:
            layers: list[GraphPrior] = [IndexFreePrior(channels, channels, relation, NOBODY, frames) for _ in range(2)]
        else:
            topology = trajectory_topology(frames, relation)
            layers = [GraphPrior(channels, channels, topology) for _ in range(2)]
        first, last = layers
        self.layers = nn.ModuleList([PriorLayer(first, gain=1.0), PriorLayer(last)])

    def forward_grid(self, x: Tensor, nodes: Tensor | None = None) -> Tensor:
        y = x
        for layer in self.layers:
            assert isinstance(layer, PriorLayer)
            y = layer.forward_grid(y, nodes)
        return x + y

    def forward(self, x: Tensor, edge_index: Tensor, node: Tensor) -> Tensor:
        y = x
        for layer in self.layers:
            y = layer(y, edge_index, node)
        return x + y
