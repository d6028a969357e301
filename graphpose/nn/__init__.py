"""Layers: prior message passing, THE attention, THE block. Everything a model of the zoo is put together from.

Adding a new layer: one file, named after its idea; if it is a variant of a layer here, make it an argument of that layer instead.
"""

from graphpose.nn.attention import MultiHeadAttention
from graphpose.nn.block import MLP, TransformerBlock
from graphpose.nn.drop_path import DropPath
from graphpose.nn.graph_prior import GraphPrior, PriorLayer
from graphpose.nn.linear import Linear
from graphpose.nn.priors import KinematicPrior, TrajectoryPrior, kinematic_topology, trajectory_topology

__all__ = [
    "MLP",
    "DropPath",
    "GraphPrior",
    "KinematicPrior",
    "Linear",
    "MultiHeadAttention",
    "PriorLayer",
    "TrajectoryPrior",
    "TransformerBlock",
    "kinematic_topology",
    "trajectory_topology",
]
