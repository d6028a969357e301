"""Stability: does a head look the same way in every clip (or action), or does it depend on the motion?

    stability(g, h) = mean over rows i of  sum_j min(A^g_ij, A_ij)

with A^g the mean map of head h in group g and A that of all windows (`mean_map.py`). 1: the same map, 0: nothing in common. NaN with fewer
than two groups, where the map would be compared with itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.attention.measures.mean_map import grouped_windows, mean_map
from graphpose.analysis.attention.record import Attention, Record
from graphpose.analysis.extras import require
from graphpose.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["overlap", "stability", "stability_table"]


def overlap(first: Any, second: Any) -> np.ndarray:
    """Overlap of two maps `[..., N, M]` whose rows sum to 1 -> `[...]`, over the rows that both have (no NaN); NaN if none.

    Raises:
        DataError: maps of another size.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape[-2:] != b.shape[-2:]:
        raise DataError(f"expected two maps of one size (got {list(a.shape)} and {list(b.shape)})")
    rows = np.minimum(a, b).sum(axis=-1)
    both = ~np.isnan(rows)
    with np.errstate(invalid="ignore"):
        found: np.ndarray = np.where(both, rows, 0.0).sum(axis=-1) / both.sum(axis=-1)
    return found


def stability(attention: Attention, record: Record, over: str = "clip") -> tuple[list[dict[str, object]], np.ndarray]:
    """Labels of the G groups, and the stability of each head in each, `[G, H]`.

    Args:
        attention: of `record`.
        record: says where windows come from.
        over: "clip", "action", "subject" or "window".

    Raises:
        DataError: the record does not tell its windows apart that way.
    """
    groups = grouped_windows(attention, record, over)
    labels = [label for label, _ in groups]
    if len(groups) < 2:
        return labels, np.full((len(groups), len(attention.heads)), np.nan)
    whole = mean_map(attention, record)
    return labels, np.stack([overlap(mean_map(attention, record, windows), whole) for _, windows in groups])


def stability_table(record: Record, over: str = "clip") -> pd.DataFrame:
    """One row for each head and clip (action, subject, window): name, layer, axis, head, those of the group, stability.

    Raises:
        DataError: no attention was recorded, or the record does not tell its windows apart that way.
        MissingExtraError: pandas is not installed.
    """
    pandas = require("pandas", "stability_table")
    return pandas.DataFrame(
        [
            {"name": one.name, "layer": one.layer, "axis": one.axis, "head": head} | label | {"stability": value}
            for one in record.find()
            for label, values in zip(*stability(one, record, over), strict=True)
            for head, value in zip(one.heads, values.tolist(), strict=True)
        ]
    )
