"""One clip as a `torch_geometric.data.Data`, with its skeleton along.

| attribute | shape | meaning | in a batch |
| --- | --- | --- | --- |
| `x` | `[N, 2 or 3]` | normalised 2D of each node, optional confidence | concatenated |
| `y` | `[N, 3]` | metres, camera space, relative to the root (optional) | concatenated |
| `root` | `[T, 3]` | metres, camera space, path of the root (optional) | concatenated |
| `visible` | `[N]` bool | False where the keypoint is missing | concatenated |
| `joint`, `frame` | `[N]` | joint and frame number of a node, in its own clip | concatenated, never offset |
| `edge_index`, `edge_type` | `[2, E]`, `[E]` | edges and their relation | concatenated; `edge_index` offset by the nodes before |
| `graph` | object | the `SpatioTemporalGraph`: `skeleton`, `frames`, `relations` | list |

N = T * J, node `t * J + j`. PyTorch Geometric offsets every attribute whose key contains `index` or `batch`; here only
`edge_index` is, whatever other keys a user adds.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpose.errors import DataError
from graphpose.graph.spatio_temporal import SpatioTemporalGraph
from graphpose.skeleton import Skeleton

__all__ = ["PoseGraph", "check_shape"]


class PoseGraph(Data):
    """A clip on a skeleton as a graph; make one with `PoseGraph.build`. Batches of it are `torch_geometric.data.Batch`."""

    @classmethod
    def build(
        cls,
        graph: SpatioTemporalGraph,
        x: Tensor,
        y: Tensor | None = None,
        root: Tensor | None = None,
        visible: Tensor | None = None,
        **extra: Tensor,
    ) -> PoseGraph:
        """The graph of one clip.

        Args:
            graph: topology; its tensors are shared, not copied.
            x: `[T, J, C]` normalised 2D, optional confidence.
            y: `[T, J, 3]` metres, camera space, root-relative.
            root: `[T, 3]` metres, camera space.
            visible: `[T, J]` bool; all True when left out.
            extra: further tensors, kept under their names and concatenated along their first axis in batches.

        Raises:
            DataError: a shape that does not fit the graph.
        """
        frames, joints = graph.frames, len(graph.skeleton)
        check_shape("x", x, (frames, joints, None))
        data = cls(x=x.reshape(frames * joints, -1))
        if y is not None:
            check_shape("y", y, (frames, joints, 3))
            data.y = y.reshape(-1, 3)
        if root is not None:
            check_shape("root", root, (frames, 3))
            data.root = root
        if visible is None:
            visible = torch.ones(frames, joints, dtype=torch.bool, device=x.device)
        check_shape("visible", visible, (frames, joints))
        data.visible = visible.reshape(-1)
        for key in ("joint", "frame", "edge_index", "edge_type"):
            data[key] = getattr(graph, key).to(x.device)
        data.graph = graph
        for key, value in extra.items():
            data[key] = value
        return data

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return -1 if key == "edge_index" else 0

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return self.num_nodes if key == "edge_index" else 0

    @property
    def skeleton(self) -> Skeleton | list[Skeleton]:
        """The skeleton; of a batch, the list of them."""
        graph = self._store["graph"]
        return [one.skeleton for one in graph] if isinstance(graph, list) else graph.skeleton

    @property
    def frames(self) -> int | list[int]:
        """T; of a batch, the list of them."""
        graph = self._store["graph"]
        return [one.frames for one in graph] if isinstance(graph, list) else graph.frames

    @property
    def relations(self) -> tuple[str, ...]:
        """Names of the edge types, in the order of their numbers; raises DataError where the clips of a batch disagree."""
        graph = self._store["graph"]
        found = {one.relations for one in graph} if isinstance(graph, list) else {graph.relations}
        if len(found) != 1:
            raise DataError(f"the graphs of this batch number their relations differently: {sorted(found)}")
        return found.pop()


def check_shape(name: str, value: Tensor, shape: tuple[int | None, ...]) -> None:
    """Raises DataError unless `value` has this shape; None stands for any size."""
    if value.shape == shape:  # the common case, at a tenth of the cost
        return
    fits = value.ndim == len(shape) and all(s is None or s == n for s, n in zip(shape, value.shape, strict=True))
    if not fits:
        wanted = ", ".join("C" if size is None else str(size) for size in shape)
        raise DataError(f"{name}: expected [{wanted}] (got {list(value.shape)})")
