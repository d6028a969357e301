"""Training curves: what belongs together in one panel, against the step (or the epoch)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphpose.analysis.extras import require
from graphpose.analysis.palette import CURVES, LIGHT
from graphpose.analysis.style import axis, base_layout

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["curve_figures", "panels"]

_POSITION = ("step", "epoch")
_STAGES = ("train", "val", "valid", "validation", "test")
_POINTS = 1500
_RATES = "Learning rate"


def _stem(column: str) -> str:
    """The quantity a column measures: `val/mpjpe`, `val_mpjpe` and `train_mpjpe_epoch` are all `mpjpe`."""
    words = column.replace("/", "_").split("_")
    if len(words) > 1 and words[0] in _STAGES:
        words = words[1:]
    if len(words) > 1 and words[-1] in ("step", "epoch"):
        words = words[:-1]
    return "_".join(words)


def panels(history: Sequence[Mapping[str, float]]) -> dict[str, list[str]]:
    """Panel title -> columns: every loss in one panel, learning rates in one, each other quantity with all its stages
    in its own.
    """
    columns = list(dict.fromkeys(name for row in history for name in row if name not in _POSITION))
    groups: dict[str, list[str]] = {}
    for column in columns:
        stem = _stem(column)
        if "loss" in stem.lower():
            title = "Loss"
        elif stem == "lr" or stem.startswith(("lr-", "lr_", "learning_rate")):
            title = _RATES
        else:
            title = stem
        groups.setdefault(title, []).append(column)
    rank = {"Loss": 0, _RATES: 2}
    return dict(sorted(groups.items(), key=lambda item: rank.get(item[0], 1)))


def curve_figures(history: Sequence[Mapping[str, float]]) -> list[tuple[str, Figure]]:
    """One (title, figure) a panel. Values that are not finite leave a gap; long curves are thinned to about 1,500
    points.

    The value axis is logarithmic where a panel (learning rates excepted) is positive throughout and spans more than a
    factor of 50.
    """
    go = require("plotly.graph_objects", "graphpose.analysis.curves")
    position = next((name for name in _POSITION if any(name in row for row in history)), None)
    figures = []
    for title, columns in panels(history).items():
        figure = go.Figure()
        finite: list[float] = []
        for number, column in enumerate(columns):
            points = [
                (row.get(position, k) if position else k, row[column]) for k, row in enumerate(history) if column in row
            ]
            points = points[:: math.ceil(len(points) / _POINTS)]
            values = [value if math.isfinite(value) else None for _, value in points]
            finite += [value for value in values if value is not None]
            colour = LIGHT[CURVES[number % len(CURVES)]]
            figure.add_scatter(
                x=[where for where, _ in points],
                y=values,
                name=column,
                mode="lines+markers" if len(points) <= 40 else "lines",
                line={"color": colour, "width": 2, "dash": ("solid", "dot", "dash")[number // len(CURVES) % 3]},
                marker={"size": 6, "color": colour},
                hovertemplate="%{y:.5g}",
            )
        wide = bool(finite) and title != _RATES and min(finite) > 0 and max(finite) > 50 * min(finite)
        scale = axis(type="log", dtick=1, exponentformat="power") if wide else axis(nticks=6, exponentformat="power")
        figure.update_layout(
            base_layout(
                hovermode="x unified",
                showlegend=True,
                legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
                xaxis=axis(title=position or "row", fixedrange=True),
                yaxis=scale | {"fixedrange": True},
            )
        )
        figures.append((title, figure))
    return figures
