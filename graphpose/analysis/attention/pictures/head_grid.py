"""All heads side by side: a row a layer, a column a head, each the mean map of who looks at whom.

Maps over joints have their joints in the order of the limbs; each map has its own scale from 0 to its largest weight off the diagonal,
which is what tells heads apart; how much lies on the diagonal is in the table of heads.
"""

from __future__ import annotations

import numpy as np

from graphpose.analysis.attention.pictures.limb_order import limb_blocks, limb_order
from graphpose.analysis.attention.pictures.selection import choose, shown_weights
from graphpose.analysis.attention.record import Axis, Record
from graphpose.analysis.axes_style import new_figure
from graphpose.analysis.palette import LIGHT
from graphpose.errors import DataError

__all__ = ["draw_head_grid", "top_of"]


def top_of(weights: np.ndarray) -> float:
    """The largest weight off the diagonal of `[N, M]`: the end of a scale that a strong diagonal does not squeeze."""
    masked = np.array(weights, dtype=np.float64)
    if min(masked.shape) > 1:
        np.fill_diagonal(masked, 0.0)
    top = float(np.nanmax(masked)) if np.isfinite(masked).any() else 0.0
    return top if top > 0 else 1.0


def draw_head_grid(
    record: Record, axis: Axis = "joints", *, window: int | None = None, ax: np.ndarray | None = None
) -> np.ndarray:
    """Draws the grid and returns its axes `[modules, heads]`.

    Args:
        record: with attention over `axis`.
        axis: "joints" or "frames".
        window: None is the mean of all.
        ax: an array of axes `[modules, heads]` to draw into; None makes a figure.

    Raises:
        DataError: no attention over this axis, or axes of another shape.
    """
    choose(record, axis)
    modules = record.find(axis=axis)
    columns = max(len(one.heads) for one in modules)
    if ax is None:
        size = (max(3.2, 0.6 + 1.15 * columns), 1.0 + 1.2 * len(modules))
        figure = new_figure(size, "draw_head_grid")
        grid = figure.subplots(len(modules), columns, squeeze=False)
        over = "joints, limb by limb" if axis == "joints" else "frames"
        note = f"over {over}\nrow: who looks, column: at what\nscale: 0 to the largest off the diagonal"
        figure.supxlabel(note, fontsize=7.5, color=LIGHT["muted"])
    else:
        grid = np.asarray(ax, dtype=object)
        if grid.shape != (len(modules), columns):
            raise DataError(f"expected axes [{len(modules)}, {columns}], modules by heads (got {list(grid.shape)})")
    order = limb_order(record.skeleton)
    alike = len({one.layer for one in modules}) < len(modules)
    for row, one in zip(grid, modules, strict=True):
        for column, axes in enumerate(row):
            axes.set_xticks([])
            axes.set_yticks([])
            if column >= len(one.heads):
                axes.set_axis_off()
                continue
            weights = shown_weights(record, one, head=one.heads[column], window=window)
            if axis == "joints":
                weights = weights[np.ix_(order, order)]
                for place in limb_blocks(record.skeleton, order) if len(order) <= 40 else []:
                    axes.axhline(place - 0.5, color="white", linewidth=0.3, alpha=0.6)
                    axes.axvline(place - 0.5, color="white", linewidth=0.3, alpha=0.6)
            axes.imshow(weights, cmap="viridis", vmin=0.0, vmax=top_of(weights), aspect="auto", interpolation="nearest")
            for spine in axes.spines.values():
                spine.set_visible(False)
            if axes in grid[0]:
                axes.set_title(f"head {one.heads[column]}", fontsize=8, color=LIGHT["text"])
        label = f"layer {one.layer}" + (f"\n{one.name}" if alike else "")
        row[0].set_ylabel(label, fontsize=7 if alike else 8, color=LIGHT["text"], parse_math=False)
    return grid
