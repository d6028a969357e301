"""Attention rollout: how much of each input token is in an output token, if every layer passes on what it attends to.

    s_L = one-hot at (t, j)
    s_(l-1) = s_l M_l,   M_l = r I + (1 - r) mean_h A_h        from the last layer to the first, s_l [T, J], sums to 1

The products are taken one axis at a time (`space_time_steps.py`), so a window of T frames and J joints costs T J (T + J) a layer and
no matrix [T J, T J]. Of parallel streams a token takes what their fusion gave it; pruned frames and their recovery are followed.

Abnar and Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphpose.analysis.attention.chosen import joint_number
from graphpose.analysis.attention.measures.mean_map import grouped_windows
from graphpose.analysis.attention.measures.source_table import pair_names
from graphpose.analysis.attention.measures.space_time_steps import SpaceTimeSteps, space_time_steps
from graphpose.analysis.attention.record import Record
from graphpose.analysis.extras import require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["joint_rollout", "rollout", "rollout_table"]


def rollout(
    record: Record, joint: int | str, frame: int | None = None, window: int = 0, *, residual: float = 0.5
) -> np.ndarray:
    """What an output joint is made of: shares of the input joints and frames, `[T, J]` float64, sum 1.

    >>> rollout(record, "LeftWrist", frame=13).sum(axis=0)  # over frames: a share for each joint  # doctest: +SKIP

    Args:
        record: of whole attention: all layers, frames and joints, both axes.
        joint: the output joint, by name or number.
        frame: the output frame; None: the centre one (of a model that lifts one frame alone, that one).
        window: of the record.
        residual: r, the share of the residual in each step.

    Weights that are NaN make the shares NaN.

    Raises:
        DataError, ConfigError: as `space_time_steps`, and a frame that is not lifted. SkeletonError: an unknown joint.
    """
    steps = space_time_steps(record, window, residual)
    shares = np.zeros((steps.frames, steps.joints))
    shares[steps.query_frame(frame), joint_number(record.skeleton, joint)] = 1.0
    return carried_back(steps, shares)


def joint_rollout(record: Record, window: int = 0, *, residual: float = 0.5) -> np.ndarray:
    """From every output joint to every input joint, over all lifted frames: `[J, J]` float64, rows sum to 1.

    Row j is the mean over the lifted frames t of `rollout(record, j, t).sum(axis=0)`. Frames that only fill up the window
    (`Window.frames`) are left out; NaN where no others are lifted.
    """
    steps = space_time_steps(record, window, residual)
    lifted = list(steps.lifted)
    if len(record.windows) == len(record.find()[0].weights):
        lifted = [frame for frame in lifted if frame < record.windows[window].frames]
    if not lifted:
        return np.full((steps.joints, steps.joints), np.nan)
    shares = np.zeros((steps.joints, steps.frames, steps.joints))
    for joint in range(steps.joints):
        shares[joint, lifted, joint] = 1.0 / len(lifted)
    return carried_back(steps, shares).sum(axis=1)


def rollout_table(record: Record, *, residual: float = 0.5) -> pd.DataFrame:
    """`joint_rollout` of every window as a tidy table: a row a window, output joint and input joint.

    Columns: window, and clip, action, subject, view, start where the record knows them; joint, from_joint, hops (bones between the
    two), relation (`relations.py`), share.
    """
    pandas = require("pandas", "rollout_table")
    names, hops = np.array(record.skeleton.joints, dtype=object), record.skeleton.hops()
    relation = pair_names(record.skeleton)
    tables = []
    for labels, [window] in grouped_windows(record.find()[0], record, "window"):
        shares = joint_rollout(record, window, residual=residual)
        outputs, inputs = np.indices(shares.shape).reshape(2, -1)
        values = {
            "joint": names[outputs],
            "from_joint": names[inputs],
            "hops": hops[outputs, inputs],
            "relation": relation[outputs, inputs],
            "share": shares[outputs, inputs],
        }
        tables.append(pandas.DataFrame({**labels, **values}))
    table: pd.DataFrame = pandas.concat(tables, ignore_index=True)
    return table


def carried_back(steps: SpaceTimeSteps, shares: np.ndarray) -> np.ndarray:
    """Shares of output tokens `[..., T, J]` -> of input tokens, of the same shape and sum."""
    for layer in steps.layers:
        streams = []
        for stream, share in zip(layer.streams, layer.shares, strict=True):
            carried = shares * share
            for step in stream:
                carried = step.back(carried)
            streams.append(carried)
        shares = np.sum(streams, axis=0)
    return shares
