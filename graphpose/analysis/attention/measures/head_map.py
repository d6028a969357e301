"""Map of heads: clusters, and a plane in which heads that attend alike lie side by side.

    features of a head = square roots of its mean map (joints) or of its time profile (frames), or its measures, standardised
    (x, y) = first two principal components;   clusters = Ward's, as many as have the best silhouette

The Euclidean distance of square roots of shares is the Hellinger distance of two heads (times sqrt 2 for each row). Attention over frames
is compared by how much it looks how far back or ahead, because rows of pruned frames are missing. No random numbers: the same record
gives the same map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphpose.analysis.attention.measures.head_measures import distance_profile
from graphpose.analysis.attention.measures.head_table import MEASURES, head_table
from graphpose.analysis.attention.measures.mean_map import mean_map
from graphpose.analysis.attention.measures.relations import attended_hops, window_length
from graphpose.analysis.attention.record import Attention, Axis, Record
from graphpose.analysis.extras import require
from graphpose.errors import DataError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["head_features", "head_map"]

Features = Literal["maps", "measures"]
_MOST_CLUSTERS = 8


def head_map(
    record: Record, axis: Axis = "joints", features: Features = "maps", clusters: int | None = None
) -> pd.DataFrame:
    """One row for each recorded head of an axis: name, layer, axis, head, x, y, cluster (from 0, in order of appearance).

    Args:
        record: what was captured.
        axis: attention over joints or over frames.
        features: "maps" (what they look at) or "measures" (how they look: entropy, mass, hops, ... of `head_table`).
        clusters: how many; None: from 2 to 8, as many as have the best silhouette. Heads that are all alike are one cluster.

    Raises:
        DataError: no attention of this axis, unknown features, or more clusters than heads.
        MissingExtraError: pandas is not installed.
    """
    pandas = require("pandas", "head_map")
    heads = [(one.name, one.layer, one.axis, head) for one in record.find(axis) for head in one.heads]
    if clusters is not None and not 1 <= clusters <= len(heads):
        raise DataError(f"expected 1 to {len(heads)} clusters, as there are heads (got {clusters})")
    vectors = head_features(record, axis, features)
    table = pandas.DataFrame(heads, columns=["name", "layer", "axis", "head"])
    table["x"], table["y"] = _plane(vectors).T
    table["cluster"] = _clusters(vectors, clusters)
    return table


def head_features(record: Record, axis: Axis = "joints", features: Features = "maps") -> np.ndarray:
    """What heads are compared by, `[heads, features]`, heads in the order of the record; measures that are NaN are 0 (the mean).

    Raises:
        DataError: no attention of this axis, or unknown features.
    """
    if features == "maps":
        return np.concatenate([_shares(one, record) for one in record.find(axis)]) ** 0.5
    if features != "measures":
        raise DataError(unknown_name("features", features, ("maps", "measures")))
    values = head_table(record, axis=axis)[list(MEASURES)].to_numpy(dtype=np.float64)
    values = values[:, ~np.isnan(values).all(axis=0)]
    spread = np.nanstd(values, axis=0)
    varied = spread > 1e-9
    standard = (values[:, varied] - np.nanmean(values[:, varied], axis=0)) / spread[varied]
    return np.nan_to_num(standard) if varied.any() else np.zeros((len(values), 1))


def _shares(one: Attention, record: Record) -> np.ndarray:
    """Mean maps [H, J * J], or time profiles [H, 2 T - 1]."""
    maps = mean_map(one, record)
    if one.axis == "joints":
        attended_hops(one, record)  # refuses what is not between joints
        return maps.reshape(len(maps), -1)
    frames = window_length(record)
    seen = ~np.isnan(maps[0]).any(axis=1)
    profile = np.zeros((len(maps), 2 * frames - 1))
    if seen.any():
        offsets = np.arange(frames)[None, :] - np.arange(frames)[seen, None]
        distances, shares = distance_profile(maps[:, seen], offsets)
        profile[:, distances + frames - 1] = shares
    return profile


def _plane(vectors: np.ndarray) -> np.ndarray:
    """First two principal components `[heads, 2]`; 0 for what is not there (a single head, heads that are all alike)."""
    from sklearn.decomposition import PCA

    plane = np.zeros((len(vectors), 2))
    if len(vectors) > 1 and _differ(vectors):
        count = min(2, *vectors.shape)
        plane[:, :count] = PCA(count, svd_solver="full").fit_transform(vectors)
    return plane


def _clusters(vectors: np.ndarray, count: int | None) -> list[int]:
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import silhouette_score

    heads = len(vectors)
    if count is None and (heads < 3 or not _differ(vectors)):
        return [0] * heads
    if count == 1 or heads == 1:
        return [0] * heads

    def cluster(number: int) -> Any:
        return AgglomerativeClustering(number, linkage="ward").fit_predict(vectors)

    if count is None:
        different = len(np.unique(vectors.round(9), axis=0))
        counts = range(2, min(_MOST_CLUSTERS, heads - 1, different) + 1)
        count = max(
            counts, key=lambda number: float(silhouette_score(vectors, cluster(number)))
        )  # of equal ones the fewest
    order: dict[int, int] = {}
    return [order.setdefault(int(label), len(order)) for label in cluster(count)]


def _differ(vectors: np.ndarray) -> bool:
    return bool(np.ptp(vectors, axis=0).max() > 1e-9)
