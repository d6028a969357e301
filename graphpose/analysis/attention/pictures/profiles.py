"""How far attention reaches: in bones over the joints, in frames over time.

    hops:  p_d = mean over queries of the attention on keys d bones away                 sums to 1 over d
    time:  p_o = mean weight of the keys o frames later (o < 0: earlier), over all queries that have one

A line a layer, the mean of its heads, with a band from the lowest head to the highest; dashed is what even attention would give.
Frames that only fill up the last window of a clip look, but are not counted.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.attention.measures.head_measures import distance_profile
from graphpose.analysis.attention.measures.mean_map import counted_rows
from graphpose.analysis.attention.pictures.selection import (
    choose,
    key_frames,
    mean_of_heads,
    query_frames,
    window_number,
)
from graphpose.analysis.attention.record import Attention, Record
from graphpose.analysis.axes_style import new_figure
from graphpose.analysis.palette import LIGHT
from graphpose.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_hop_profile", "draw_time_profile"]


def draw_hop_profile(record: Record, *, window: int | None = None, ax: Axes | None = None) -> Axes:
    """Draws the attention over joints by distance in bones, and returns the axes.

    Raises:
        DataError: no attention over joints was recorded, or not this window.
    """
    choose(record, "joints")
    ax = ax or new_figure((5.6, 3.6), "draw_hop_profile").add_subplot()
    hops = record.skeleton.hops()
    modules = record.find(axis="joints")
    for place, one in enumerate(modules):
        _layer(ax, *distance_profile(mean_of_heads(record, one, window), hops), one, place, modules)
    bones, even = distance_profile(_uniform(hops), hops)
    style: dict[str, Any] = {"color": LIGHT["muted"], "linewidth": 1.2, "linestyle": (0, (4, 3))}
    ax.plot(bones, even, label="even attention", zorder=1, **style)
    ax.set_xlabel("bones between the joints", fontsize=9, color=LIGHT["muted"])
    ax.set_ylabel("share of attention", fontsize=9, color=LIGHT["muted"])
    ax.set_xticks(bones if len(bones) < 20 else bones[::2])
    return _finished(ax, len(modules))


def draw_time_profile(record: Record, *, window: int | None = None, ax: Axes | None = None) -> Axes:
    """Draws the attention over frames by time offset, and returns the axes; seconds are on top where the rate is known.

    Raises:
        DataError: no attention over frames was recorded, or not this window.
    """
    choose(record, "frames")
    ax = ax or new_figure((5.6, 3.6), "draw_time_profile").add_subplot()
    modules = record.find(axis="frames")
    for place, one in enumerate(modules):
        # pruned frames differ from window to window, so offsets are taken in each
        pairs = [_by_offset(*_counted(record, one, b), key_frames(one, b)) for b in _windows(record, one, window)]
        offsets = np.unique(np.concatenate([found for found, _ in pairs]))
        total, count = np.zeros((len(one.heads), len(offsets))), np.zeros(len(offsets))
        for found, values in pairs:
            where = np.searchsorted(offsets, found)
            total[:, where] += values
            count[where] += 1
        _layer(ax, offsets, total / count, one, place, modules)
    keys = modules[0].weights.shape[4]
    ax.axhline(1 / keys, color=LIGHT["muted"], linewidth=1, linestyle=(0, (4, 3)), label="even attention", zorder=1)
    ax.set_xlabel("frames from who looks to what is looked at", fontsize=9, color=LIGHT["muted"])
    ax.set_ylabel("mean weight", fontsize=9, color=LIGHT["muted"])
    rates = {one.fps for one in record.windows}
    if len(rates) == 1:
        fps = rates.pop()
        seconds = ax.secondary_xaxis("top", functions=(partial(operator.mul, 1 / fps), partial(operator.mul, fps)))
        seconds.tick_params(labelsize=8, colors=LIGHT["muted"], length=2)
        seconds.set_xlabel("seconds", fontsize=8, color=LIGHT["muted"])
        seconds.spines["top"].set_visible(False)
    return _finished(ax, len(modules))


def _uniform(distance: np.ndarray) -> np.ndarray:
    return np.full(distance.shape, 1 / distance.shape[1])


def _by_offset(weights: np.ndarray, queries: Sequence[int], keys: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """`weights [H, N, M]` of frames `queries` on frames `keys` -> offsets in frames `[O]` and mean weights `[H, O]`.

    The attention at an offset over that of even attention, in units of 1 / M: few queries have a partner far away.
    """
    offset = np.asarray(keys)[None, :] - np.asarray(queries)[:, None]
    found, mass = distance_profile(weights, offset)
    _, even = distance_profile(_uniform(offset), offset)
    return found, mass / even / len(keys)


def _windows(record: Record, one: Attention, window: int | None) -> list[int]:
    """Numbers of the windows chosen in which some frame counts; a streaming mean over the windows stands for each."""
    count = len(one.weights)
    chosen = list(range(count)) if window is None else [window_number(record, window) if count > 1 else 0]
    counted = counted_rows(one, record)
    there = [b for b in chosen if counted[b].any()]
    if not there:
        raise DataError(f"{one.name}: expected frames of the clip (got only frames that fill up the window)")
    return there


def _counted(record: Record, one: Attention, window: int) -> tuple[np.ndarray, list[int]]:
    """Mean weights of each head over the joints, `[H, N, M]`, and the frames that look: those that count."""
    rows = counted_rows(one, record)[window].any(axis=0)
    weights = one.weights[window].double().mean(dim=0).numpy()[:, rows]
    return weights, [frame for frame, counts in zip(query_frames(one, window), rows, strict=True) if counts]


def _layer(
    ax: Axes, x: np.ndarray, values: np.ndarray, one: Attention, place: int, modules: Sequence[Attention]
) -> None:
    """`values [H, X]` of a layer as a line and a band; dark layers come first, light ones last."""
    from matplotlib import colormaps

    colour = colormaps["viridis"](0.05 + 0.85 * place / max(1, len(modules) - 1))
    alike = sum(other.layer == one.layer for other in modules) > 1
    label = f"layer {one.layer}" + (f" {one.name}" if alike else "")
    ax.plot(
        x, values.mean(axis=0), color=colour, linewidth=1.8, label=label, zorder=3, marker="o" if len(x) < 3 else None
    )
    ax.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.12, linewidth=0, zorder=2)


def _finished(ax: Axes, modules: int) -> Axes:
    ax.set_ylim(bottom=0)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(LIGHT["border"])
    ax.tick_params(labelsize=8, colors=LIGHT["text"], length=2)
    ax.grid(color=LIGHT["grid"], linewidth=0.7)
    ax.set_axisbelow(True)
    ax.legend(fontsize=7.5, frameon=False, ncols=1 if modules <= 6 else 2)
    return ax
