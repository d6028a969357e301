"""The spatio-temporal graph of a skeleton over T frames: node `n = t * J + j` is joint j in frame t.

    edges = union over relations r of { (source, destination) : R_r }, typed by the position of r in `relations`

Shapes: `edge_index [2, E]` (row 0 source, row 1 destination, sorted by destination, then source, then type), `edge_type [E]`,
`joint [N]`, `frame [N]` with N = T * J. A pair of nodes in two relations has two edges, one of each type.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpose.errors import DataError
from graphpose.graph.relations import Relation, resolve_relation
from graphpose.skeleton import Skeleton

__all__ = ["DEFAULT_RELATIONS", "SpatioTemporalGraph"]

DEFAULT_RELATIONS: tuple[str, ...] = ("kinematic", "trajectory")


class SpatioTemporalGraph:
    """Topology only, immutable: one object serves every clip of this skeleton and length.

    Use `SpatioTemporalGraph.shared(...)`, which builds each topology once a process; graphs pickle as their description.

    Args:
        skeleton: J joints.
        frames: T >= 1.
        relations: names from `available_relations()`; their order numbers the edge types.

    Raises:
        DataError: no frame, no relation, a relation named twice or not known.
    """

    def __init__(self, skeleton: Skeleton, frames: int, relations: Sequence[str] = DEFAULT_RELATIONS) -> None:
        if frames < 1:
            raise DataError(f"expected at least 1 frame (got {frames})")
        if isinstance(relations, str) or not relations or len(set(relations)) != len(relations):
            raise DataError(f"expected one or more different relation names, as a list (got {relations!r})")
        self.skeleton = skeleton
        self.frames = int(frames)
        self.relations = tuple(relations)
        self._resolved: tuple[Relation, ...] = tuple(resolve_relation(name) for name in self.relations)
        nodes = np.arange(self.num_nodes)
        self.joint: Tensor = torch.from_numpy(nodes % len(skeleton))
        self.frame: Tensor = torch.from_numpy(nodes // len(skeleton))
        self.edge_index, self.edge_type = self._edges()

    @classmethod
    def shared(
        cls, skeleton: Skeleton, frames: int, relations: Sequence[str] = DEFAULT_RELATIONS
    ) -> SpatioTemporalGraph:
        """The one graph of this description in this process; do not write into its tensors."""
        return _shared(skeleton, int(frames), tuple(relations) if not isinstance(relations, str) else relations)

    @property
    def num_nodes(self) -> int:
        """N = T * J."""
        return self.frames * len(self.skeleton)

    @property
    def num_edges(self) -> int:
        """E, over all relations."""
        return int(self.edge_index.shape[1])

    def factor(self, relation: str) -> tuple[str, Tensor]:
        """The axis of a relation and its 0/1 matrix: ("joints", `[J, J]`) or ("frames", `[T, T]`), float32."""
        found = self._resolved[self._type(relation)]
        return found.axis, torch.from_numpy(found.matrix(self.skeleton, self.frames)).float()

    def adjacency(self, relation: str | None = None) -> Tensor:
        """0/1 float32 `[N, N]`, `[source, destination]`, of one relation or of all (4 N^2 bytes: see `factor`)."""
        chosen = slice(None) if relation is None else self.edge_type == self._type(relation)
        source, destination = self.edge_index[:, chosen]
        matrix = torch.zeros(self.num_nodes, self.num_nodes)
        matrix[source, destination] = 1.0
        return matrix

    def _type(self, relation: str) -> int:
        if relation not in self.relations:
            raise DataError(f"this graph has no relation {relation!r}, only {', '.join(self.relations)}")
        return self.relations.index(relation)

    def _edges(self) -> tuple[Tensor, Tensor]:
        joints = len(self.skeleton)
        ends: list[np.ndarray] = []
        for number, entry in enumerate(self._resolved):
            source, destination = entry.pairs(self.skeleton, self.frames)
            if entry.axis == "joints":
                along, step, other = 1, joints, self.frames
            else:
                along, step, other = joints, 1, joints
            offset = step * np.arange(other)[:, None]
            pairs = [(offset + along * end[None, :]).ravel() for end in (source, destination)]
            ends.append(np.stack([*pairs, np.full(pairs[0].size, number)]))
        source, destination, kind = np.concatenate(ends, axis=1).astype(np.int64)
        order = np.lexsort((kind, source, destination))
        return torch.from_numpy(np.stack([source, destination])[:, order]), torch.from_numpy(kind[order])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SpatioTemporalGraph):
            return NotImplemented
        return self is other or self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return self.skeleton, self.frames, self.relations

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared, (self.skeleton, self.frames, self.relations)

    def __copy__(self) -> SpatioTemporalGraph:
        return self

    def __deepcopy__(self, memo: Any) -> SpatioTemporalGraph:
        return self

    def __repr__(self) -> str:
        return (
            f"SpatioTemporalGraph({self.skeleton.name}, frames={self.frames}, relations={list(self.relations)}, "
            f"nodes={self.num_nodes}, edges={self.num_edges})"
        )


@lru_cache(maxsize=64)
def _shared(skeleton: Skeleton, frames: int, relations: tuple[str, ...]) -> SpatioTemporalGraph:
    return SpatioTemporalGraph(skeleton, frames, relations)
