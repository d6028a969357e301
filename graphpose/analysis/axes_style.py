"""How matplotlib figures are made, look and are written: no pyplot, so the caller's backend and figures are left alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphpose.analysis.extras import require
from graphpose.analysis.palette import LIGHT
from graphpose.formats._atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["new_figure", "rows_of_marks", "write_png"]


def new_figure(size: tuple[float, float], asked_by: str, **options: Any) -> Figure:
    """A white figure of this size in inches, its parts arranged without overlap; `asked_by` is named where matplotlib lacks."""
    require("matplotlib", asked_by)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(**{"figsize": size, "facecolor": "white", "layout": "constrained", **options})
    FigureCanvasAgg(figure)
    return figure


def write_png(figure: Figure, path: str | Path, dpi: int) -> Path:
    """Writes the picture whole or not at all, its folder too, and returns its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        figure.savefig(draft, dpi=dpi, format="png")
    return path


def rows_of_marks(axes: Axes) -> None:
    """For marks in named rows: only the lower axis, a fine grid across."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT["border"])
    axes.tick_params(colors=LIGHT["text"], labelsize=9, length=0)
    axes.grid(axis="x", color=LIGHT["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
