"""The mean attention of a head, put together by frame number, and which rows count.

    mean map[h, i, j] = sum over windows b and r of A[b, r, h, i, j] / number of rows i that were seen

Rows sum to 1. In attention over frames, i and j are frames of the window, also where tokens are fewer because some were pruned: a frame
that no window kept has a row of NaN. Frames that only fill up the last window of a clip (`Window.frames`) look, but are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphpose.analysis.attention.measures.relations import frame_numbers, window_length
from graphpose.analysis.attention.record import Attention, Record
from graphpose.errors import DataError, unknown_name

__all__ = ["GROUPINGS", "counted_rows", "grouped_windows", "mean_map", "row_frames"]

GROUPINGS = ("window", "clip", "action", "subject")
"""What windows can be put together by."""


def row_frames(attention: Attention) -> np.ndarray | None:
    """Which frame of the window each row belongs to, `[B or 1, R or 1, N or 1]`; None where the mean over R hides it."""
    if attention.axis == "frames":
        return frame_numbers(attention)[0][:, None, :]
    if attention.across is None:
        return None
    if attention.frames is not None:
        return np.asarray(attention.frames, dtype=np.int64)[:, :, None]
    return np.asarray(attention.across, dtype=np.int64)[None, :, None]


def counted_rows(attention: Attention, record: Record) -> np.ndarray:
    """Which rows count, bool `[B, R, N]`: those of frames that are real; all, where it is not known."""
    windows, across, _, rows, _ = attention.weights.shape
    counted = np.ones((windows, across, rows), dtype=bool)
    numbers = row_frames(attention)
    if numbers is not None and len(record.windows) == windows:
        real = np.array([window.frames for window in record.windows])
        counted &= numbers < real[:, None, None]
    return counted


def mean_map(
    attention: Attention,
    record: Record,
    windows: Sequence[int] | None = None,
    across: Sequence[int] | None = None,
) -> np.ndarray:
    """The mean map of each head, float64 `[H, J, J]` or `[H, T, T]`.

    Args:
        attention: of `record`.
        record: what it belongs to.
        windows: which windows; None: all.
        across: places among the R frames or joints that are recorded; None: all.
    """
    chosen = np.arange(len(attention.weights)) if windows is None else np.asarray(windows, dtype=np.int64)
    places = np.arange(attention.weights.shape[1]) if across is None else np.asarray(across, dtype=np.int64)
    counted = counted_rows(attention, record)
    heads, n, m = attention.weights.shape[2:]
    by_number = attention.axis == "frames"
    if by_number:
        queries, keys = frame_numbers(attention)
        n = m = window_length(record)
    total, seen = np.zeros((heads, n, m)), np.zeros(n)
    for window in chosen:
        weights = attention.weights[window].numpy()[places].astype(np.float64)  # [R, H, N, M]
        counts = counted[window][places].astype(np.float64)  # [R, N]
        weights = np.where(counts[:, None, :, None] > 0, weights, 0.0).sum(axis=0)
        if by_number:
            rows, columns = queries[min(window, len(queries) - 1)], keys[min(window, len(keys) - 1)]
            total[:, rows[:, None], columns[None, :]] += weights  # numbers within a window differ
            seen[rows] += counts.sum(axis=0)
        else:
            total += weights
            seen += counts.sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0: a row that was never seen
        return total / seen[:, None]


def grouped_windows(attention: Attention, record: Record, by: str | None) -> list[tuple[dict[str, object], list[int]]]:
    """Windows put together -> for each group its labels, as columns of a table, and the windows in it.

    Args:
        attention: of `record`.
        record: says where windows come from.
        by: one of `GROUPINGS`; None: one group without labels.

    Raises:
        DataError: an unknown grouping, windows that were averaged when they were captured, or of whose clips nothing is known.
    """
    count = len(attention.weights)
    if by is None:
        return [({}, list(range(count)))]
    if by not in GROUPINGS:
        raise DataError(unknown_name("grouping", by, GROUPINGS))
    averaged = attention.across is None and count == 1 and len(record.windows) > 1
    if averaged or (by != "window" and len(record.windows) != count):
        why = "its windows were averaged while they were captured" if averaged else "nothing is known of its clips"
        mend = "capture without reduce='mean'" if averaged else "record them with observe"
        raise DataError(f"{attention.name}: expected windows to group by {by} (got a record where {why}); {mend}")
    known = len(record.windows) == count
    groups: dict[tuple[object, ...], tuple[dict[str, object], list[int]]] = {}
    for number in range(count):
        labels: dict[str, object] = {"window": number} if by == "window" else {}
        if known:
            window = record.windows[number]
            if by in ("window", "clip"):
                labels |= {"clip": window.clip, "action": window.action, "subject": window.subject}
            if by == "window":
                labels |= {"view": window.view, "start": window.start}
            if by in ("action", "subject"):
                labels[by] = getattr(window, by)
        groups.setdefault(tuple(labels.values()), (labels, []))[1].append(number)
    return list(groups.values())
