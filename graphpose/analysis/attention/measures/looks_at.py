"""Which joints a joint looks at: its row of attention over joints, in all frames or only where it is hidden.

    share[j] = mean over layers and heads of  ( mean over the frames chosen of A[i, j] ),   i the joint that looks

    looks_at(record, "Lwrist", when="hidden")

What is given is where attention points, one layer at a time; what reaches the output through all layers is in `rollout.py`, and what the
output depends on in `attribution.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from graphpose.analysis.attention.chosen import chosen_numbers, joint_number
from graphpose.analysis.attention.measures.mean_map import counted_rows, row_frames
from graphpose.analysis.attention.measures.relations import attended_hops, joint_relations, window_length
from graphpose.analysis.attention.record import Attention, Record
from graphpose.analysis.extras import require
from graphpose.errors import DataError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["looks_at"]

When = Literal["always", "hidden", "visible"]


def looks_at(
    record: Record,
    joint: int | str,
    when: When | np.ndarray = "always",
    *,
    layers: int | Iterable[int] | None = None,
    heads: int | Iterable[int] | None = None,
) -> pd.DataFrame:
    """Which joints a joint looks at, the most first: one row a joint.

    Columns: joint (a name), share (sums to 1 over all joints), otherwise (the same in the frames that were not chosen), more (share less
    otherwise), hops (bones between the two), relation (as in `relations.py`), frames (how many, over all windows, the share is a mean of).
    Where no frame is chosen (a joint that is never hidden), share is NaN and frames is 0; otherwise is NaN for "always". Layers without
    a frame that counts, because those frames were pruned before them, are left out of the mean; frames is the number in the layer that
    has most of them.

    Args:
        record: of a model with attention over joints.
        joint: the joint that looks, by name or number.
        when: "always"; "hidden" or "visible": frames in which the keypoint of this joint is missing or there; or frames of one's own
            choice, bool `[B, T]`.
        layers: one or more layers; None: all.
        heads: one or more heads; None: all. Layers without any of these are left out.

    Raises:
        DataError: nothing recorded that fits; it is not known where the joint is hidden, or frames were averaged when recorded.
        SkeletonError: an unknown joint name.
        MissingExtraError: pandas is not installed.
    """
    pandas = require("pandas", "looks_at")
    skeleton = record.skeleton
    looking = joint_number(skeleton, joint)
    chosen = _chosen_frames(record, looking, when)
    modules = record.find("joints")
    wanted = chosen_numbers("layers", layers, sorted({one.layer for one in modules}))
    modules = [one for one in modules if one.layer in wanted]
    heads = chosen_numbers("heads", heads, sorted({head for one in modules for head in one.heads}))
    shares, others, counts = [], [], []
    for one in modules:
        attended_hops(one, record)  # refuses what is not between joints
        if not set(one.heads) & set(heads):
            continue  # a layer with fewer heads
        share, other, count = _row(one, record, looking, chosen, heads)
        shares.append(share)
        others.append(other)
        counts.append(count)
    table = pandas.DataFrame(
        {"joint": skeleton.joints, "share": _mean(shares), "otherwise": _mean(others), "hops": skeleton.hops()[looking]}
    )
    table.insert(3, "more", table["share"] - table["otherwise"])
    table["relation"] = [
        next(name for name, pairs in joint_relations(skeleton).items() if pairs[looking, key])
        for key in range(len(skeleton))
    ]
    table["frames"] = max(counts)
    return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _mean(rows: list[np.ndarray]) -> np.ndarray:
    """Mean of rows [J] that are not NaN; NaN where all are."""
    there = [row for row in rows if not np.isnan(row).any()]
    found: np.ndarray = np.mean(there, axis=0) if there else np.full(len(rows[0]), np.nan)
    return found


def _chosen_frames(record: Record, joint: int, when: When | np.ndarray) -> np.ndarray | None:
    """Bool `[B, T]`; None: all."""
    if isinstance(when, str):
        if when not in ("always", "hidden", "visible"):
            raise DataError(unknown_name("when", when, ("always", "hidden", "visible")))
        if when == "always":
            return None
        if record.visible is None:
            raise DataError(
                f"when={when!r}: expected a record that says where keypoints are missing (got visible None); record with observe, or "
                "set record.visible [B, T, J]"
            )
        seen = record.visible[:, :, joint].numpy().astype(bool)
        return seen if when == "visible" else ~seen
    chosen = np.asarray(when)
    if chosen.dtype != np.bool_ or chosen.ndim != 2 or chosen.shape[1] != window_length(record):
        raise DataError(
            f"when: expected bool [windows, {window_length(record)}] (got {chosen.dtype} {list(chosen.shape)})"
        )
    return chosen


def _row(
    one: Attention, record: Record, joint: int, chosen: np.ndarray | None, heads: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean row [J] over the chosen frames and over the others, NaN where there are none, and how many were chosen."""
    places = [place for place, head in enumerate(one.heads) if head in heads]
    rows = one.weights[:, :, places, joint].double().mean(dim=2).numpy()  # [B, R, J]
    counted = counted_rows(one, record)[:, :, joint]  # [B, R]
    if chosen is None:
        return _over(rows, counted), np.full(rows.shape[-1], np.nan), int(counted.sum())
    numbers = row_frames(one)
    if numbers is None:
        raise DataError(
            f"{one.name}: expected attention of single frames (got one map for all of them); capture without reduce, or, where the model "
            "itself has one graph for all frames, ask with when='always' or for other layers"
        )
    if len(chosen) != len(rows):
        raise DataError(f"when: expected frames of {len(rows)} windows, as recorded (got {len(chosen)})")
    picked = np.take_along_axis(chosen, np.broadcast_to(numbers[:, :, 0], counted.shape), axis=1)
    return _over(rows, counted & picked), _over(rows, counted & ~picked), int((counted & picked).sum())


def _over(rows: np.ndarray, which: np.ndarray) -> np.ndarray:
    found: np.ndarray = rows[which].mean(axis=0) if which.any() else np.full(rows.shape[-1], np.nan)
    return found
