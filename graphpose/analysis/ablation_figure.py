"""The picture of an ablation: hosts in groups, a row a prior; a mark a seed, a bar at the mean, a line at the host without priors.

    x: MPJPE, P-MPJPE and MPJVE, a panel each, smaller is better          right: parameters, FLOPs, seconds a step

Priors differ in colour (Okabe and Ito) and in marker, and each row is named, so that the picture can be read without colour.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphpose.analysis.ablation_table import METRICS, AblationTable, Row, count
from graphpose.analysis.axes_style import new_figure, rows_of_marks, write_png
from graphpose.analysis.palette import CURVES, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ablation_figure", "draw_ablation"]

_MARKERS = "osD^vP"
_GAP = 0.7  # rows between two groups
_GRID = 0.36  # inches a row
_ROOM = 0.5  # for the numbers, as a share of what the marks take
_TEXT = 0.99
_RIGHT: dict[str, Any] = {"ha": "right", "va": "center"}


def draw_ablation(table: AblationTable, path: str | Path, *, dpi: int = 150) -> Path:
    """Writes a PNG and returns its path."""
    return write_png(ablation_figure(table), path, dpi)


def ablation_figure(table: AblationTable) -> Figure:
    """The picture, to go on with."""
    places = list(_places(table))
    bottom = places[-1][0] + 0.6
    figure = new_figure((13.0, 1.5 + _GRID * bottom), "graphpose.analysis.ablation_figure")
    panels = figure.subplots(1, len(METRICS) + 1, sharey=True, width_ratios=[1.0] * len(METRICS) + [0.62])
    for axes, (metric, (label, unit)) in zip(panels, METRICS.items(), strict=False):
        _quiet(axes, table, places)
        _panel(axes, table, places, metric)
        axes.set_title(f"{label} in {unit}", loc="left", fontsize=10, color=LIGHT["text"])
    panels[0].set_yticks([y for y, _ in places], [_named(row) for _, row in places], fontsize=9)
    panels[0].set_ylim(bottom, -0.6)
    _costs(panels[-1], places)
    counts = {len(row.figures) for row in table.rows}
    told = "open mark: a seed; thick bar: their mean" if max(counts, default=0) > 1 else "bar: the one seed there is"
    if table.reference is not None:
        told += f"; dashed line: the same host with prior {table.reference!r}"
    told += (
        "; arrow: beyond the axis" if any(line.get_gid() == "beyond" for a in panels for line in a.get_lines()) else ""
    )
    figure.supxlabel(f"{told}; smaller is better", fontsize=9, color=LIGHT["muted"], x=0.01, ha="left")
    return figure


def _places(table: AblationTable) -> Iterator[tuple[float, Row]]:
    """Each row and where it lies; groups stand apart, extra rows are one group."""
    y, before = -1.0, ""
    for row in table.rows:
        group = row.host if row.prior is not None else "extra rows"
        y += 1.0 + (_GAP if before not in ("", group) else 0.0)
        before = group
        yield y, row


def _panel(axes: Axes, table: AblationTable, places: list[tuple[float, Row]], metric: str) -> None:
    priors = list(dict.fromkeys(row.prior for row in table.rows if row.prior is not None))
    ends: dict[str, list[float]] = {}
    low, high = _limits(table, metric)
    beside = axes.get_yaxis_transform()
    for y, row in places:
        if row.prior is not None:
            ends.setdefault(row.host, []).append(y)
        if not row.figures:
            axes.text(_TEXT, y, "not run", transform=beside, fontsize=8, style="italic", color=LIGHT["muted"], **_RIGHT)
            continue
        place = None if row.prior is None else priors.index(row.prior)
        colour = LIGHT["middle"] if place is None else LIGHT[CURVES[place % len(CURVES)]]
        values, mean, gain = row.values(metric), row.mean(metric), table.difference(row, metric)
        text = f"{mean:.1f}" + (f" ({gain:+.1f})" if math.isfinite(gain) else "")
        axes.text(_TEXT, y, text, transform=beside, fontsize=8, color=LIGHT["text"], **_RIGHT)
        if not low <= mean <= high:
            end, arrow = (low, "<") if mean < low else (high, ">")
            axes.plot([end], [y], marker=arrow, markersize=7.0, color=colour, linestyle="none", gid="beyond")
            continue
        axes.plot([min(values), max(values)], [y, y], color=colour, linewidth=1.2, zorder=2)
        axes.plot([mean, mean], [y - 0.33, y + 0.33], color=colour, linewidth=3.2, solid_capstyle="butt", zorder=3)
        if len(values) > 1:
            shape = "X" if place is None else _MARKERS[place % len(_MARKERS)]
            style: dict[str, Any] = {
                "markersize": 6.0,
                "markerfacecolor": "white",
                "markeredgecolor": colour,
                "markeredgewidth": 1.4,
            }
            axes.plot(values, [y] * len(values), marker=shape, linestyle="none", zorder=4, gid="seeds", **style)
    for host, lines in ends.items():
        of = next((row for row in table.rows if (row.host, row.prior) == (host, table.reference)), None)
        if of is not None and of.figures:
            at, span = of.mean(metric), [min(lines) - 0.45, max(lines) + 0.45]
            axes.plot(
                [at, at], span, color=LIGHT["text"], linewidth=1.0, linestyle=(0, (4, 3)), zorder=1, gid="reference"
            )
    margin = 0.05 * (high - low)
    axes.set_xlim(low - margin, high + margin + _ROOM * (high - low))


def _limits(table: AblationTable, metric: str) -> tuple[float, float]:
    """The range of the hosts, and of the extra rows as far as they do not squeeze it."""
    hosts = [value for row in table.rows if row.prior is not None for value in row.values(metric)]
    extra = [value for row in table.rows if row.prior is None for value in row.values(metric)]
    found = [value for value in hosts or extra if math.isfinite(value)] or [0.0]
    low, high = min(found), max(found)
    reach = max(high - low, 0.1 * abs(high), 1e-9)
    near = [value for value in extra if low - reach <= value <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    return (low, high) if high > low else (low - reach / 2, high + reach / 2)


def _costs(axes: Axes, places: list[tuple[float, Row]]) -> None:
    """What each row costs, as text beside the panels."""
    axes.set_axis_off()
    where = axes.get_yaxis_transform()
    columns = ((0.30, "parameters"), (0.62, "MFLOPs"), (0.95, "s/step"))
    for x, head in columns:
        axes.text(x, -0.75, head, transform=where, ha="right", va="bottom", fontsize=9, color=LIGHT["text"])
    for y, row in places:
        if row.record is None:
            continue
        seconds = row.seconds("seconds_a_step")
        texts = (
            f"{row.record.parameters:,}",
            count(row.record.flops / 1e6),
            f"{seconds:.3g}" if math.isfinite(seconds) else "-",
        )
        for (x, _), text in zip(columns, texts, strict=True):
            axes.text(x, y, text, transform=where, ha="right", va="center", fontsize=9, color=LIGHT["text"])


def _named(row: Row) -> str:
    name = row.host if row.prior is None else f"{row.host}  {row.prior}"
    return name.replace("$", r"\$")


def _quiet(axes: Axes, table: AblationTable, places: list[tuple[float, Row]]) -> None:
    rows_of_marks(axes)
    for (y, _), (following, _) in itertools.pairwise(places):
        if following - y > 1.0 + _GAP / 2:
            axes.axhline((y + following) / 2, color=LIGHT["border"], linewidth=1.0)
