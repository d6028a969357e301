"""Motion as a graph: node `t * J + j` is joint j in frame t, edges are named relations, batches are PyTorch Geometric's.

>>> graph = SpatioTemporalGraph.shared(skeleton, frames=27)
>>> batch = pose_batch(graph, x)          # x [B, T, J, C] -> a Batch of B PoseGraphs, topology built once
>>> [grid] = grids(batch)                 # and back: grid.x [B, T, J, C]

Adding a new relation: write one function with the `@relation` decorator in `relations.py`.
"""

from __future__ import annotations

from graphpose.graph.batching import Grid, grids, pose_batch, scatter_grids
from graphpose.graph.pose_graph import PoseGraph
from graphpose.graph.relations import Relation, available_relations, relation, resolve_relation
from graphpose.graph.spatio_temporal import SpatioTemporalGraph

__all__ = [
    "Grid",
    "PoseGraph",
    "Relation",
    "SpatioTemporalGraph",
    "available_relations",
    "grids",
    "pose_batch",
    "relation",
    "resolve_relation",
    "scatter_grids",
]
