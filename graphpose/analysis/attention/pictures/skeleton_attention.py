"""The skeleton with attention as edges: green, the thicker the more attention; in 2D an arrow leads from who looks to what is looked at.

It shows attention over joints; attention over frames leads from a joint to itself, see `profiles.py` and `player_figure.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphpose.analysis.attention.chosen import joint_number
from graphpose.analysis.attention.pictures.edges import OPACITY, WIDTH, bound_texts, class_of, strongest
from graphpose.analysis.attention.pictures.pose_places import flat_places, space_places
from graphpose.analysis.attention.pictures.selection import choose, heading, shown_weights, window_number
from graphpose.analysis.attention.record import Record
from graphpose.analysis.axes_style import new_figure
from graphpose.analysis.palette import LIGHT, sides
from graphpose.analysis.upright import finite_bounds, upright
from graphpose.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ATTENTION", "draw_attention"]

ATTENTION = "curve2"
"""Name of the colour of attention in `graphpose.analysis.palette`."""

_LABELS = 24
_MARKERS = {"left": "s", "right": "^", "middle": "o"}


def draw_attention(
    record: Record,
    *,
    joint: str | int | None = None,
    layer: int | None = None,
    head: int | None = None,
    window: int = 0,
    frame: int | None = None,
    dims: Literal[2, 3] = 2,
    top: int | None = None,
    threshold: float = 0.0,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the skeleton and the strongest attention over joints, and returns the axes.

    Args:
        record: with attention over joints.
        joint: whose attention is drawn; None draws the strongest edges of all joints.
        layer, name: which module, see `selection.choose`.
        head: None is the mean of the heads.
        window, frame: pose and attention of one frame; `frame=None` is the mean over the frames of the window, on the body seen
            from the front (2D) or on the pose in the middle of the window (3D).
        dims: 2 (the 2D input, arrows) or 3 (the prediction, else the rest pose, lines).
        top: edges; None is 6 of one joint, and as many as there are joints of all.
        threshold: no edge for less than this share of the attention.
        ax: where to draw; None makes a figure. With dims=3 axes made with projection="3d".

    Raises:
        DataError: what was not recorded, flat axes for dims=3, dims that are neither 2 nor 3.
    """
    if dims not in (2, 3):
        raise DataError(f"expected dims 2 or 3 (got {dims})")
    skeleton = record.skeleton
    window_number(record, window)
    one = choose(record, "joints", layer, name)
    weights = shown_weights(record, one, head=head, window=window, at=frame)
    query = None if joint is None else joint_number(skeleton, joint)
    edges = strongest(weights, top or (len(skeleton) if query is None else 6), query, threshold)
    if dims == 2:
        ax = ax or new_figure((5.2, 5.6), "draw_attention").add_subplot()
        places = flat_places(record, window, frame)
    else:
        ax = ax or new_figure((5.6, 5.6), "draw_attention", layout="none").add_axes((0, 0, 1, 0.92), projection="3d")
        if not hasattr(ax, "get_zlim"):
            raise DataError("expected 3D axes, made with projection='3d', for dims=3 (got flat ones)")
        places = _space(record, window, frame)
    _bones(ax, record, places)
    used = set()
    thin = 0.6 if query is None or len(skeleton) > 2 * _LABELS else 1.0
    for edge in reversed(edges):  # the strongest lie on top
        rank = class_of(edge.weight, weights.shape[1])
        ends = places[[edge.query, edge.key]]
        if np.isfinite(ends).all():
            _edge(ax, ends, rank, thin)
            used.add(rank)
    _joints(ax, record, places, query)
    if dims == 2:
        few = len(skeleton) <= _LABELS
        named = (
            range(len(skeleton))
            if few
            else {*(e.key for e in edges if query is not None), *([] if query is None else [query])}
        )
        _names(ax, record, places, named)
    asks = "strongest edges of all joints" if query is None else f"what {skeleton.joints[query]} looks at"
    if query is not None:
        asks += f" (itself {100 * weights[query, query]:.0f} %)"
    ax.set_title(f"{asks}\n{heading(record, one, head)}", fontsize=10, color=LIGHT["text"], parse_math=False)
    _legend(ax, used, weights.shape[1], bool(skeleton.pairs), thin)
    return ax


def _space(record: Record, window: int, frame: int | None) -> np.ndarray:
    predicted, _ = space_places(record, window)
    if predicted is not None:
        at = len(predicted) // 2 if frame is None else frame
        if not 0 <= at < len(predicted):
            raise DataError(f"expected a frame from 0 to {len(predicted) - 1} of the window (got {frame})")
        return predicted[at]
    if record.skeleton.rest is None:
        raise DataError("expected a record with a prediction, or a skeleton with a rest pose, for dims=3 (got neither)")
    return upright(np.asarray(record.skeleton.rest, dtype=np.float64), "world")


def _bones(ax: Any, record: Record, places: np.ndarray) -> None:
    side = sides(record.skeleton)
    small = len(places) > 2 * _LABELS
    for parent, child in record.skeleton.bones:
        ax.plot(
            *places[[parent, child]].T,
            color=LIGHT[side[child]],
            linewidth=1.2 if small else 2.2,
            alpha=0.55,
            solid_capstyle="round",
            zorder=1,
        )


def _edge(ax: Any, ends: np.ndarray, rank: int, thin: float) -> None:
    style: dict[str, Any] = {"color": LIGHT[ATTENTION], "linewidth": thin * WIDTH[rank], "alpha": OPACITY[rank]}
    if ends.shape[1] == 3:
        ax.plot(*ends.T, zorder=2, gid="attention", solid_capstyle="round", **style)
        return
    from matplotlib.patches import FancyArrowPatch

    arrow = FancyArrowPatch(
        tuple(ends[0]),
        tuple(ends[1]),
        connectionstyle="arc3,rad=0.18",
        arrowstyle=f"-|>,head_length={thin * (3 + 0.9 * WIDTH[rank])},head_width={thin * (1.5 + 0.5 * WIDTH[rank])}",
        shrinkA=3,
        shrinkB=4,
        zorder=2,
        gid="attention",
        **style,
    )
    ax.add_patch(arrow)


def _joints(ax: Any, record: Record, places: np.ndarray, query: int | None) -> None:
    skeleton, side = record.skeleton, sides(record.skeleton)
    flat = places.shape[1] == 2
    size = 26 if len(skeleton) <= _LABELS else 6
    for name, marker in _MARKERS.items():
        chosen = [j for j, one in enumerate(side) if one == name]
        if chosen:
            edge: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.5}
            ax.scatter(*places[chosen].T, s=size, c=LIGHT[name], marker=marker, zorder=3, **edge)
    if query is not None:
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": LIGHT[ATTENTION], "linewidths": 2.2, "zorder": 4}
        ax.scatter(*places[[query]].T, s=110, **ring)
    known = places[np.isfinite(places).all(axis=1)]
    low, high = finite_bounds(known, pad=0.1, least=0.5 if flat else 1.0)
    if flat:
        ax.set_xlim(low[0], high[0])
        ax.set_ylim(low[1], high[1])
        ax.set_aspect("equal")
    else:
        for set_limits, lo, hi in zip((ax.set_xlim, ax.set_ylim, ax.set_zlim), low, high, strict=True):
            set_limits(lo, hi)
        ax.set_box_aspect(tuple(high - low))
        ax.view_init(elev=12, azim=-65)
    ax.set_axis_off()


def _names(ax: Any, record: Record, places: np.ndarray, joints: Iterable[int]) -> None:
    middle = float(np.nanmedian(places[:, 0])) if np.isfinite(places).any() else 0.0
    for joint in joints:
        if np.isfinite(places[joint]).all():
            out = -1 if places[joint, 0] < middle - 1e-9 else 1
            ax.annotate(
                record.skeleton.joints[joint],
                tuple(places[joint]),
                xytext=(6 * out, 3),
                textcoords="offset points",
                ha="left" if out > 0 else "right",
                fontsize=7,
                color=LIGHT["muted"],
                parse_math=False,
            )


def _legend(ax: Any, used: set[int], keys: int, paired: bool, thin: float) -> None:
    from matplotlib.lines import Line2D

    texts = bound_texts(keys)
    handles = []
    if paired:
        for side in ("left", "right"):
            handles.append(Line2D([], [], color=LIGHT[side], marker=_MARKERS[side], linewidth=2, alpha=0.8, label=side))
    for rank in sorted(used):
        style: dict[str, Any] = {"color": LIGHT[ATTENTION], "linewidth": thin * WIDTH[rank], "alpha": OPACITY[rank]}
        handles.append(Line2D([], [], label=f"{texts[min(rank, len(texts) - 1)]} of the attention", **style))
    if handles:
        ax.legend(handles=handles, loc="lower left", fontsize=7.5, frameon=False)
