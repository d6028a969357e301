"""A learned topology beside the graph it began from, joints limb by limb: the graph, what is passed along, and the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.attention.pictures.limb_order import limb_order
from graphpose.analysis.attention.record import Record, Topology
from graphpose.analysis.axes_style import new_figure
from graphpose.analysis.palette import LIGHT
from graphpose.errors import DataError, unknown_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_topology", "named_topology", "ordered"]

_LABELS = 40


def named_topology(record: Record, name: str | None) -> Topology:
    """The topology of a module by its name, the first where `name` is None.

    Raises:
        DataError: none of this name, or none at all.
    """
    if not record.topologies:
        raise DataError(
            "expected a record with topologies (got none: the model has no graph prior, or none was captured)"
        )
    for one in record.topologies:
        if name in (None, one.name):
            return one
    raise DataError(unknown_name("topology", str(name), [one.name for one in record.topologies]))


def ordered(record: Record, one: Topology) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """`local` and `total` `[n, n]`, float64, joints limb by limb, and the names of the nodes."""
    local, total = one.local.double().numpy(), one.total.double().numpy()
    if one.axis == "frames":
        return local, total, [str(frame) for frame in range(len(local))]
    order = limb_order(record.skeleton)
    square = np.ix_(order, order)
    return local[square], total[square], [record.skeleton.joints[j] for j in order]


def draw_topology(record: Record, name: str | None = None, *, ax: np.ndarray | None = None) -> np.ndarray:
    """Draws the graph, the learned topology and their difference, and returns the three axes.

    The difference is blue where the model weakened an edge and orange where it added or strengthened one.

    Args:
        record: with topologies.
        name: of the module; None is the first.
        ax: three axes; None makes a figure.

    Raises:
        DataError: no such topology, or not three axes.
    """
    one = named_topology(record, name)
    local, total, names = ordered(record, one)
    if ax is None:
        labelled = len(names) <= _LABELS and one.axis == "joints"
        ax = new_figure((11.5, 4.4 if labelled else 4.0), "draw_topology").subplots(1, 3)
    axes: list[Axes] = list(np.asarray(ax, dtype=object).ravel())
    if len(axes) != 3:
        raise DataError(f"expected three axes: graph, learned, difference (got {len(axes)})")
    top = max(float(np.abs(local).max()), float(np.abs(total).max()), 1e-12)
    change = total - local
    reach = max(float(np.abs(change).max()), 1e-12)
    panels = (
        (local, f"graph ({one.relation})", "cividis", min(0.0, float(local.min())), top),
        (total, "as learned", "cividis", min(0.0, float(total.min())), top),
        (change, "difference", _diverging(), -reach, reach),
    )
    for place, (axis, (values, title, colours, low, high)) in enumerate(zip(axes, panels, strict=True)):
        image = axis.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(title, fontsize=10, color=LIGHT["text"], parse_math=False)
        ticks = list(range(len(names))) if len(names) <= _LABELS and one.axis == "joints" else []
        axis.set_xticks(ticks, [names[k] for k in ticks], rotation=90, fontsize=6.5)
        axis.set_yticks(ticks if place == 0 else [], [names[k] for k in ticks] if place == 0 else [], fontsize=6.5)
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_color(LIGHT["border"])
        if one.axis == "frames":
            axis.set_xlabel("frame", fontsize=8, color=LIGHT["muted"])
        bar = axis.figure.colorbar(image, ax=axis, shrink=0.8, pad=0.02)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    axes[0].set_ylabel(one.name, fontsize=8, color=LIGHT["muted"], parse_math=False)
    return np.array(axes, dtype=object)


def _diverging() -> Any:
    """Blue, white, orange: the two ends are told apart by all kinds of colour vision."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("weakened_added", [LIGHT["left"], "#ffffff", LIGHT["right"]])
