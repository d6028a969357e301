"""The Plotly layout that all figures of the report share, in the light colours of `palette`."""

from __future__ import annotations

from typing import Any

from graphpose.analysis.palette import FONT, LIGHT

__all__ = ["axis", "base_layout"]

CLEAR = "rgba(0,0,0,0)"


def axis(**options: Any) -> dict[str, Any]:
    """A quiet axis: fine grid, no zero line, `title` as text; `options` are Plotly's."""
    quiet = {
        "gridcolor": LIGHT["grid"],
        "linecolor": LIGHT["border"],
        "zeroline": False,
        "automargin": True,
    }
    title = {"text": options.pop("title", ""), "standoff": 6, "font": {"size": 12, "color": LIGHT["muted"]}}
    return quiet | {"title": title} | options


def base_layout(**options: Any) -> dict[str, Any]:
    """Transparent, system font, no template (a template would add its own light-only colours)."""
    layout = {
        "template": {},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": FONT, "size": 13, "color": LIGHT["text"]},
        "hoverlabel": {
            "bgcolor": LIGHT["card"],
            "bordercolor": LIGHT["border"],
            "font": {"color": LIGHT["text"], "size": 13},
        },
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "dragmode": False,
    }
    return layout | options
