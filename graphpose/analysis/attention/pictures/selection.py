"""Which weights a picture shows: one module, one head or the mean of all, one window or the mean of all.

A = mean of weights[b, r, h]  over the windows b, places r and heads h that were not chosen         [N, M], rows sum to 1

Frames that only fill up the last window of a clip look, but are not counted, as in `measures/mean_map.py`: a row that no frame counts in
is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from graphpose.analysis.attention import chosen
from graphpose.analysis.attention.measures.mean_map import counted_rows
from graphpose.analysis.attention.record import Attention, Axis, Record
from graphpose.errors import DataError, unknown_name

__all__ = [
    "choose",
    "heading",
    "key_frames",
    "mean_of_heads",
    "place_of",
    "query_frames",
    "shown_weights",
    "window_number",
]


def choose(record: Record, axis: Axis, layer: int | None = None, name: str | None = None) -> Attention:
    """The first recorded attention that fits, in order of use: where a layer attends twice, `name` tells which.

    Raises:
        DataError: nothing fits, or an axis that there is not.
    """
    if axis not in ("joints", "frames"):
        raise DataError(unknown_name("axis", str(axis), ["joints", "frames"]))
    return record.find(axis=axis, layer=layer, name=name)[0]


def window_number(record: Record, window: int) -> int:
    """`window`, if there is one of this number. Raises DataError where there is none."""
    sizes = [one.weights.shape[0] for one in record.attention]
    if record.prediction is not None:
        sizes.append(record.prediction.shape[0])
    count = max(sizes, default=0)
    return chosen.window_number(window, count)


def place_of(one: Attention, number: int, window: int = 0) -> int | None:
    """Where frame (of attention over joints) or joint (over frames) `number` stands along R; None where it was not recorded.

    Where the weights are a mean over all of them, that mean stands for each.
    """
    if one.across is None and one.frames is None:
        return 0 if one.weights.shape[1] == 1 else number
    if one.axis == "joints" and one.frames is not None and one.frames.shape[1] == one.weights.shape[1]:
        there = one.frames[min(window, len(one.frames) - 1)].tolist()
    elif one.across is not None:
        there = list(one.across)
    else:
        return 0
    return there.index(number) if number in there else None


def query_frames(one: Attention, window: int = 0) -> list[int]:
    """Which frames of the window the N queries of an attention over frames are."""
    if one.frames is None:
        return list(range(one.weights.shape[3]))
    return [int(frame) for frame in one.frames[window]]


def key_frames(one: Attention, window: int = 0) -> list[int]:
    """Which frames of the window the M keys of an attention over frames are."""
    if one.key_frames is not None:
        return [int(frame) for frame in one.key_frames[window]]
    return query_frames(one, window)


def mean_of_heads(
    record: Record, one: Attention, window: int | None = None, places: Sequence[int] | None = None
) -> np.ndarray:
    """Mean weights of each head over windows and R, float64 `[H, N, M]`, as the tokens stand; rows that do not count are NaN.

    Args:
        record: that the module belongs to.
        one: the module.
        window: None is the mean of all; a streaming mean over the windows stands for each.
        places: along R; None: all.

    Raises:
        DataError: a window that was not recorded.
    """
    weights, counted = one.weights, torch.from_numpy(counted_rows(one, record))
    if window is not None:
        number = window_number(record, window)
        if len(weights) > 1:
            number = chosen.window_number(number, len(weights))
            weights, counted = weights[[number]], counted[[number]]
    if places is not None:
        weights, counted = weights[:, list(places)], counted[:, list(places)]
    if counted.all():
        return weights.double().mean(dim=(0, 1)).numpy()
    total = torch.zeros(weights.shape[2:], dtype=torch.float64)
    for one_window, rows in zip(weights, counted, strict=True):  # one at a time, for the memory
        total += one_window.double().masked_fill(~rows[:, None, :, None], 0.0).sum(dim=0)
    return (total / counted.sum(dim=(0, 1))[None, :, None]).numpy()  # 0 / 0 is NaN


def shown_weights(
    record: Record, one: Attention, *, head: int | None = None, window: int | None = None, at: int | None = None
) -> np.ndarray:
    """A `[N, M]`, float64.

    Args:
        record: that the module belongs to.
        one: the module.
        head: its number; None is the mean of those recorded.
        window: None is the mean of all.
        at: the frame of an attention over joints, or the joint of one over frames; None is the mean of those recorded.

    Raises:
        DataError: a head, window, frame or joint that was not recorded; those that were are named. A frame that only fills up the window.
    """
    if head is not None:
        if head not in one.heads:
            raise DataError(f"{one.name}: expected a recorded head, one of {list(one.heads)} (got {head})")
        one = replace(one, weights=one.weights[:, :, [one.heads.index(head)]], heads=(head,))
    places = None
    if at is not None:
        place = place_of(one, at, window or 0)
        if place is None or not 0 <= place < one.weights.shape[1]:
            what = "frame" if one.axis == "joints" else "joint"
            raise DataError(f"{one.name}: {what} {at} was not recorded (it was pruned, or others were asked for)")
        places = [place]
    found: np.ndarray = mean_of_heads(record, one, window, places).mean(axis=0)
    if at is not None and one.axis == "joints" and np.isnan(found).all():
        raise DataError(f"{one.name}: expected a frame of the clip (got {at}, which only fills up the window)")
    return found


def heading(record: Record, one: Attention, head: int | None) -> str:
    """A line that says what is shown: layer, axis, head, and the module where the layer has several."""
    alike = record.find(axis=one.axis, layer=one.layer)
    module = f" ({one.name})" if len(alike) > 1 else ""
    which = "mean of the heads" if head is None else f"head {head}"
    return f"layer {one.layer}{module}, over {one.axis}, {which}"
