"""The matrices of `topology_matrices.py` for the page: graph, as learned, difference, with names on hover."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.attention.pictures.topology_matrices import ordered
from graphpose.analysis.attention.record import Record, Topology
from graphpose.analysis.extras import require
from graphpose.analysis.palette import LIGHT
from graphpose.analysis.style import base_layout

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["topology_figure"]

_LABELS = 40


def topology_figure(record: Record, one: Topology) -> Figure:
    """Three heatmaps side by side, in the light colours of the palette; the difference is orange where the model added."""
    go = require("plotly.graph_objects", "attention_report")
    local, total, names = ordered(record, one)
    change = total - local
    top = max(float(np.abs(local).max()), float(np.abs(total).max()), 1e-9)
    reach = max(float(np.abs(change).max()), 1e-9)
    low = min(0.0, float(local.min()), float(total.min()))
    diverging = [[0.0, LIGHT["left"]], [0.5, LIGHT["card"]], [1.0, LIGHT["right"]]]
    safe = [name.replace("&", "&amp;").replace("<", "&lt;") for name in names]
    joints = one.axis == "joints"
    labels = safe[:: math.ceil(len(safe) / _LABELS)]
    figure = go.Figure()
    layout: dict[str, Any] = {"margin": {"l": 8, "r": 8, "t": 30, "b": 8}, "annotations": []}
    domains = ((0.0, 0.29), (0.33, 0.62), (0.71, 1.0))
    panels = (
        (local, "graph", "Cividis", low, top, None),
        (total, "as learned", "Cividis", low, top, 0.63),
        (change, "difference", diverging, -reach, reach, 1.01),
    )
    for k, (values, title, colours, least, most, bar) in enumerate(panels):
        number = "" if k == 0 else str(k + 1)
        figure.add_heatmap(
            z=values.round(4).tolist(),
            x=safe,
            y=safe,
            colorscale=colours,
            zmin=least,
            zmax=most,
            showscale=bar is not None,
            colorbar={"x": bar, "thickness": 9, "outlinewidth": 0, "len": 0.7, "tickfont": {"size": 10}},
            hovertemplate="%{y} from %{x}: %{z:.3f}<extra></extra>",
            xaxis=f"x{number}",
            yaxis=f"y{number}",
        )
        ticks = {
            "type": "category",
            "tickmode": "array",
            "tickvals": labels,
            "tickfont": {"size": 9 if len(safe) <= 24 else 8},
        }
        quiet = {
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "automargin": True,
            "linecolor": LIGHT["border"],
        }
        across = quiet | (ticks | {"tickangle": -90} if joints else {})
        down = quiet | {"autorange": "reversed"} | (ticks if joints else {})
        layout[f"xaxis{number}"] = across | {"domain": list(domains[k]), "anchor": f"y{number}"}
        layout[f"yaxis{number}"] = down | {
            "anchor": f"x{number}",
            "showticklabels": k == 0,
        }
        layout["annotations"].append(
            {
                "text": title,
                "x": sum(domains[k]) / 2,
                "y": 1.02,
                "xref": "paper",
                "yref": "paper",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 13, "color": LIGHT["text"]},
            }
        )
    figure.update_layout(base_layout(**layout))
    return figure
