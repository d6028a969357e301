"""Which weights are drawn as edges, and how thick.

The strongest `top` keys of each query (or of all queries together), the query itself left out. Thickness has five classes, by how
many times the weight is what even attention would give, 1 / M: under 1, 1-2, 2-4, 4-8, above 8. So an edge means the same in every
frame, head and skeleton, and a head that looks at everything alike is drawn with thin lines only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["BOUNDS", "OPACITY", "WIDTH", "Edge", "bound_texts", "class_of", "strongest"]

BOUNDS = (1.0, 2.0, 4.0, 8.0)
"""Between the five classes, in units of 1 / M."""

WIDTH = (0.8, 1.4, 2.2, 3.3, 5.0)
"""Of each class, in points or pixels."""

OPACITY = (0.35, 0.55, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class Edge:
    """`query` looks at `key`, with this share of its attention."""

    query: int
    key: int
    weight: float


def strongest(weights: np.ndarray, top: int, query: int | None = None, threshold: float = 0.0) -> list[Edge]:
    """Edges of `weights [N, M]`, strongest first: `top` of one query, or of all together; none on the diagonal.

    Weights of 0, NaN or below `threshold` give no edge. Of equally strong ones that of the lower query and key comes first.
    """
    chosen = np.nan_to_num(np.array(weights, dtype=np.float64))
    rows = min(chosen.shape)
    chosen[np.arange(rows), np.arange(rows)] = 0.0
    if query is not None:
        only = np.zeros_like(chosen)
        only[query] = chosen[query]
        chosen = only
    order = np.argsort(-chosen, axis=None, kind="stable")[: max(0, top)]
    pairs = np.stack(np.unravel_index(order, chosen.shape), axis=1).tolist()
    found = [Edge(n, m, float(chosen[n, m])) for n, m in pairs]
    return [edge for edge in found if edge.weight > 0 and edge.weight >= threshold]


def class_of(weight: float, keys: int) -> int:
    """The class of thickness, 0 to 4, of a weight on one of M = `keys` keys."""
    return int(np.searchsorted(BOUNDS, weight * keys, side="right"))


def bound_texts(keys: int) -> list[str]:
    """The classes in words, for a legend: shares of the attention in percent.

    >>> bound_texts(20)
    ['under 5 %', '5-10 %', '10-20 %', '20-40 %', 'above 40 %']
    """
    ends = [f"{100 * bound / keys:.2g}" for bound in BOUNDS if bound < keys]
    if not ends:
        return ["100 %"]
    between = [f"{low}-{high} %" for low, high in pairwise(ends)]
    return [f"under {ends[0]} %", *between, f"above {ends[-1]} %"]
