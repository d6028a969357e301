"""Error per joint drawn on the body: a joint is the larger and the lighter the larger its mean error is.

e_j = mean over windows and frames of |prediction - target|      [J], millimetres
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.attention.pictures.pose_places import front_places
from graphpose.analysis.attention.record import Record
from graphpose.analysis.axes_style import new_figure
from graphpose.analysis.palette import LIGHT, sides
from graphpose.analysis.upright import finite_bounds
from graphpose.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_joint_error", "joint_error"]

_LABELS = 24


def joint_error(record: Record) -> np.ndarray:
    """Mean error of each joint `[J]` in metres, frames that repeat the last one left out; NaN where nothing is known.

    Raises:
        DataError: a record without prediction or target.
    """
    if record.prediction is None or record.target is None:
        raise DataError("expected a record with prediction and target (got none): observe clips that have 3D positions")
    error = (record.prediction.double() - record.target.double()).norm(dim=-1).numpy()
    for b, window in enumerate(record.windows):
        error[b, window.frames :] = np.nan
    known = np.isfinite(error)
    total, count = np.where(known, error, 0.0).sum(axis=(0, 1)), known.sum(axis=(0, 1))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def draw_joint_error(record: Record, *, ax: Axes | None = None) -> Axes:
    """Draws the body from the front and returns the axes; joints of unknown error are hollow.

    Raises:
        DataError: a record without prediction or target.
    """
    millimetres = 1000 * joint_error(record)
    place, skeleton = front_places(record), record.skeleton
    ax = ax or new_figure((5.0, 5.6), "draw_joint_error").add_subplot()
    side = sides(skeleton)
    for parent, child in skeleton.bones:
        ax.plot(*place[[parent, child]].T, color=LIGHT[side[child]], linewidth=2, alpha=0.5, zorder=1)
    known = np.isfinite(millimetres)
    ax.scatter(place[~known, 0], place[~known, 1], s=40, facecolors="white", edgecolors=LIGHT["muted"], zorder=2)
    if known.any():
        top = max(float(millimetres[known].max()), 1e-9)
        scale = 1.0 if len(skeleton) <= _LABELS else 0.3
        marks = ax.scatter(
            place[known, 0],
            place[known, 1],
            c=millimetres[known],
            s=scale * (40 + 260 * millimetres[known] / top),
            cmap="viridis",
            vmin=0,
            vmax=top,
            edgecolors=LIGHT["text"],
            linewidths=0.6,
            zorder=3,
        )
        bar = ax.figure.colorbar(marks, ax=ax, orientation="horizontal", shrink=0.7, pad=0.02)
        bar.set_label("mean error (mm)", fontsize=8, color=LIGHT["text"])
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    low, high = finite_bounds(place, pad=0.1, least=0.6)
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_aspect("equal")
    ax.set_axis_off()
    if len(skeleton) <= _LABELS:
        middle = float(np.median(place[:, 0]))
        for joint, name in enumerate(skeleton.joints):
            out = -1 if place[joint, 0] < middle - 1e-9 else 1
            style: dict[str, Any] = {"fontsize": 7, "color": LIGHT["muted"], "parse_math": False}
            ax.annotate(
                name,
                tuple(place[joint]),
                xytext=(9 * out, 5),
                textcoords="offset points",
                ha="left" if out > 0 else "right",
                **style,
            )
    ax.set_title(f"error per joint, {record.model or 'prediction'}", fontsize=10, color=LIGHT["text"], parse_math=False)
    return ax
