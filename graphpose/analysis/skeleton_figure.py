"""Error per joint drawn on the skeleton: colour and size of a joint are its mean error in millimetres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphpose.analysis.extras import require
from graphpose.analysis.palette import LIGHT
from graphpose.analysis.style import axis, base_layout
from graphpose.analysis.upright import finite_bounds

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from graphpose.skeleton import Skeleton

__all__ = ["skeleton_error_figure"]

_LABELS = 24


def skeleton_error_figure(skeleton: Skeleton, error: np.ndarray, place: np.ndarray) -> Figure:
    """`error [J]` metres at `place [J, 2]` (right, up), see `upright.front_pose`; joints of unknown error (NaN) are
    hollow.

    Up to 24 joints are labelled; above that names show on hover only.
    """
    go = require("plotly.graph_objects", "graphpose.analysis.skeleton_figure")
    millimetres = 1000.0 * np.asarray(error, dtype=np.float64)
    known = np.isfinite(millimetres)
    top = float(millimetres[known].max()) if known.any() else 1.0
    figure = go.Figure()
    lines: list[list[float | None]] = [[], []]
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            for k in range(2):
                lines[k] += [float(place[parent, k]), float(place[joint, k]), None]
    figure.add_scatter(
        x=lines[0],
        y=lines[1],
        mode="lines",
        line={"color": LIGHT["truth"], "width": 3},
        hoverinfo="skip",
        showlegend=False,
    )
    labelled = len(skeleton.joints) <= _LABELS
    middle = float(np.median(place[:, 0]))
    span = max(float(np.ptp(place[:, 0])), 1e-9)
    for chosen, shows in ((np.flatnonzero(known), True), (np.flatnonzero(~known), False)):
        if not len(chosen):
            continue
        values = millimetres[chosen]
        if shows:
            marker = {
                "size": (11 + 13 * values / max(top, 1e-9)).round(1).tolist(),
                "color": values.round(1).tolist(),
                "colorscale": "Viridis",
                "cmin": 0,
                "cmax": top,
                "line": {"color": LIGHT["text"], "width": 1},
                "opacity": 1,
                "colorbar": {
                    "orientation": "h",
                    "title": {"text": "mean error (mm)", "side": "top", "font": {"size": 12}},
                    "thickness": 12,
                    "len": 0.8,
                    "outlinewidth": 0,
                    "y": 0,
                    "yanchor": "top",
                },
            }
        else:
            marker = {"size": 11, "color": LIGHT["card"], "line": {"color": LIGHT["muted"], "width": 1.5}}
        figure.add_scatter(
            x=place[chosen, 0].tolist(),
            y=place[chosen, 1].tolist(),
            mode="markers+text" if labelled else "markers",
            marker=marker,
            text=[skeleton.joints[j] for j in chosen],
            textposition=[_label_side(float(place[j, 0]), middle, span) for j in chosen],
            textfont={"size": 11, "color": LIGHT["muted"]},
            customdata=[f"{value:.1f} mm" if shows else "unknown" for value in values],
            hovertemplate="%{text}: %{customdata}<extra></extra>",
            cliponaxis=False,
            showlegend=False,
        )
    low, high = finite_bounds(place, pad=0.08, least=0.6)
    room = 0.22 * (high[0] - low[0]) if labelled else 0.0
    figure.update_layout(
        base_layout(
            xaxis=axis(visible=False, range=[low[0] - room, high[0] + room], fixedrange=True),
            yaxis=axis(visible=False, range=[low[1], high[1]], fixedrange=True, scaleanchor="x"),
        )
    )
    return figure


def _label_side(across: float, middle: float, span: float) -> str:
    """Outwards from the body; above the limbs that branch off for joints on its axis: labels do not run into
    neighbours.
    """
    if abs(across - middle) < 0.04 * span:
        return "top right"
    return "middle left" if across < middle else "middle right"
