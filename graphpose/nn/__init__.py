"""Layers: prior message passing, THE attention, THE block. Everything a model of the zoo is put together from.

Adding a new layer: one file, named after its idea; if it is a variant of a layer here, make it an argument of that layer instead.
"""

from graphpose.nn.attention import CrossAttention, MultiHeadAttention, attend
from graphpose.nn.block import MLP, TransformerBlock
from graphpose.nn.block_prior import AttentionBias, BlockPrior, block_prior
from graphpose.nn.drop_path import DropPath
from graphpose.nn.embeddings import FrameEmbedding, JointEmbedding
from graphpose.nn.graph_prior import GraphPrior, PriorLayer
from graphpose.nn.index_free import IndexFreePrior
from graphpose.nn.linear import Linear
from graphpose.nn.prior_specification import PriorSpecification, parse_prior, register_prior
from graphpose.nn.priors import KinematicPrior, TrajectoryPrior, kinematic_topology, trajectory_topology
from graphpose.nn.relation_distance import relation_distance
from graphpose.nn.sinusoidal import sinusoidal

__all__ = [
    "MLP",
    "AttentionBias",
    "BlockPrior",
    "CrossAttention",
    "DropPath",
    "FrameEmbedding",
    "GraphPrior",
    "IndexFreePrior",
    "JointEmbedding",
    "KinematicPrior",
    "Linear",
    "MultiHeadAttention",
    "PriorLayer",
    "PriorSpecification",
    "TrajectoryPrior",
    "TransformerBlock",
    "attend",
    "block_prior",
    "kinematic_topology",
    "parse_prior",
    "register_prior",
    "relation_distance",
    "sinusoidal",
    "trajectory_topology",
]
