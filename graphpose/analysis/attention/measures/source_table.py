"""Where an output joint comes from, as a tidy table: a row for each input joint and frame of a rollout, flow or attribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphpose.analysis.attention.chosen import frame_number, joint_number, window_number
from graphpose.analysis.attention.measures.relations import joint_relations
from graphpose.analysis.attention.record import Record
from graphpose.analysis.extras import require
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["pair_names", "source_table"]


def source_table(
    record: Record, shares: np.ndarray, joint: int | str, frame: int, window: int = 0, *, measure: str = "rollout"
) -> pd.DataFrame:
    """Shares of the input `[T, J]` as a table, the largest (of either sign) first.

    >>> source_table(record, rollout(record, "LeftWrist", 13), "LeftWrist", 13)  # doctest: +SKIP

    Columns: window; clip, action, subject, view, start where the record knows them; measure, joint, frame, from_joint, from_frame
    (number in the window), offset = from_frame - frame, seconds (the offset; NaN where the rate is not known), visible (of the
    keypoint; None where it is not known), hops, relation (`relations.py`), share.

    Args:
        record: whose window it is.
        shares: `[T, J]`, of `rollout`, `flow(to="tokens")` or `attribution`.
        joint, frame, window: the output that was asked for.
        measure: what the shares are called.

    Raises:
        DataError: shares that are not [T, J], a frame, joint or window that is not there. SkeletonError: an unknown joint.
    """
    pandas = require("pandas", "source_table")
    skeleton = record.skeleton
    shares = np.asarray(shares, dtype=np.float64)
    if shares.ndim != 2 or shares.shape[1] != len(skeleton):
        raise DataError(f"expected shares [T, {len(skeleton)}] (got {list(shares.shape)})")
    query = joint_number(skeleton, joint)
    frame_number(frame, len(shares))
    labels: dict[str, object] = {"window": window}
    rate = float("nan")
    if record.windows:
        place = record.windows[window_number(window, len(record.windows))]
        labels |= {"clip": place.clip, "action": place.action, "subject": place.subject}
        labels |= {"view": place.view, "start": place.start}
        rate = place.fps
    frames, joints = np.indices(shares.shape).reshape(2, -1)
    visible = None if record.visible is None else record.visible[window].cpu().numpy()[frames, joints]
    table: pd.DataFrame = pandas.DataFrame(
        {
            **labels,
            "measure": measure,
            "joint": skeleton.joints[query],
            "frame": frame,
            "from_joint": np.array(skeleton.joints, dtype=object)[joints],
            "from_frame": frames,
            "offset": frames - frame,
            "seconds": (frames - frame) / rate,
            "visible": visible,
            "hops": skeleton.hops()[query, joints],
            "relation": pair_names(skeleton)[query, joints],
            "share": shares.reshape(-1),
        }
    )
    return table.iloc[np.argsort(-np.abs(shares.reshape(-1)), kind="stable")].reset_index(drop=True)


def pair_names(skeleton: Skeleton) -> np.ndarray:
    """Name of the relation of each pair of joints, `[J, J]`, object."""
    names = np.full((len(skeleton), len(skeleton)), "", dtype=object)
    for name, matrix in joint_relations(skeleton).items():
        names[matrix] = name
    return names
