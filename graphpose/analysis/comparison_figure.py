"""The picture of a comparison: each result's figure for every action, and the differences to the first with intervals.

One row an action, the mean over frames on top. Results differ in colour (Okabe and Ito) and in marker, so that the picture
can be read without colour.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.axes_style import new_figure, rows_of_marks, write_png
from graphpose.analysis.comparison import FEWEST, LEVEL, Comparison, Difference
from graphpose.analysis.comparison_text import letters
from graphpose.analysis.palette import CURVES, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_comparison"]

_MARKERS = "osD^vP"
_MOST = 40  # actions that one picture holds


def draw_comparison(found: Comparison, path: str | Path, *, dpi: int = 150) -> Path:
    """Writes a PNG and returns its path; with more than 40 actions, those whose figures differ most are shown."""
    rows = ["mean over frames", *_chosen(found)]
    panels = 2 if found.paired else 1
    size = (4.2 + 3.4 * (panels - 1) + 2.0, 1.7 + 0.36 * len(rows) + 0.22 * len(found.names))
    figure = new_figure(size, "graphpose.analysis.comparison_figure")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    short = letters(len(found.names))
    _values(axes[0], found, rows)
    if found.paired:
        _differences(axes[1], found, rows)
        axes[1].set_title(f"difference to A, {LEVEL:.0%} interval", loc="left", fontsize=10, color=LIGHT["text"])
    axes[0].set_yticks(range(len(rows)), [name.replace("$", r"\$") for name in rows], fontsize=9)
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    title = f"{found.label(found.metric)} in {found.unit(found.metric)}"
    axes[0].set_title(f"{title}, by action", loc="left", fontsize=10, color=LIGHT["text"])
    labels = [f"{s}  {_tail(name)}".replace("$", r"\$") for s, name in zip(short, found.names, strict=True)]
    handles = [_handle(place) for place in range(len(labels))]
    figure.legend(handles, labels, loc="outside lower left", ncols=1, frameon=False, fontsize=9)
    return write_png(figure, path, dpi)


def _chosen(found: Comparison) -> list[str]:
    actions = found.actions
    if len(actions) <= _MOST:
        return actions

    def spread(action: str) -> float:
        values = [result["by_action"].get(action, {}).get(found.metric, math.nan) for result in found.results]
        gap = max(values) - min(values)
        return -gap if math.isfinite(gap) else 0.0

    return sorted(sorted(actions, key=spread)[:_MOST])


def _values(axes: Axes, found: Comparison, rows: list[str]) -> None:
    _quiet(axes, len(rows))
    for place, result in enumerate(found.results):
        values = [result["frame_average"][found.metric]]
        values += [result["by_action"].get(action, {}).get(found.metric, math.nan) for action in rows[1:]]
        axes.plot(values, np.arange(len(rows)) + _shift(place, len(found.results)), **_style(place), linestyle="none")


def _differences(axes: Axes, found: Comparison, rows: list[str]) -> None:
    _quiet(axes, len(rows))
    axes.axvline(0.0, color=LIGHT["middle"], linewidth=1.2, zorder=1)
    for place in range(1, len(found.results)):
        of: list[Difference] = [found.overall[place, found.metric]]
        of += [found.by_action[place, action] for action in rows[1:]]
        where = np.arange(len(rows)) + _shift(place, len(found.results))
        style = _style(place)
        for y, one in zip(where, of, strict=True):
            if one.known:
                axes.plot([one.low, one.high], [y, y], color=style["color"], linewidth=2.0, solid_capstyle="butt")
            full = style["color"] if one.excludes_zero else "white"
            axes.plot([one.value], [y], **{**style, "markerfacecolor": full}, linestyle="none")
    note = f"{found.unit(found.metric)}; filled: the interval excludes 0; no line: under {FEWEST} recordings"
    axes.set_xlabel(note, fontsize=9, color=LIGHT["muted"])


def _quiet(axes: Axes, rows: int) -> None:
    rows_of_marks(axes)
    if rows > 1:
        axes.axhline(0.5, color=LIGHT["border"], linewidth=1.0)


def _shift(place: int, count: int) -> float:
    """Results of one row lie one below the other."""
    return 0.0 if count < 2 else 0.5 * (place / (count - 1) - 0.5)


def _style(place: int) -> dict[str, Any]:
    colour = LIGHT[CURVES[place % len(CURVES)]]
    marker = _MARKERS[place % len(_MARKERS)]
    return {"color": colour, "marker": marker, "markersize": 6.0, "markeredgecolor": colour, "markeredgewidth": 1.4}


def _handle(place: int) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", **_style(place))


def _tail(name: str) -> str:
    return name if len(name) <= 70 else f"...{name[-67:]}"
