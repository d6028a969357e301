"""A skeleton as a picture: the tree with names (2D) or the rest pose in metres (3D), with matplotlib.

Left is blue, right is orange and the middle grey, colours of Okabe and Ito that colour-blind readers tell apart; left
joints are squares and right joints triangles too, so that the sides survive a black-and-white print. 2D: one row for
each depth, a parent above the middle of its children, the body's left on the right of the page (we face the body).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from graphpose.errors import SkeletonError, unknown_name
from graphpose.skeleton.skeleton import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SIDE_COLORS", "SIDE_MARKERS", "draw", "tree_layout"]

SIDE_COLORS = {"left": "#0072B2", "right": "#D55E00", "middle": "#555555"}
SIDE_MARKERS = {"left": "s", "right": "^", "middle": "o"}
_SIDES: tuple[Literal["left", "right", "middle"], ...] = ("left", "right", "middle")


def draw(skeleton: Skeleton, ax: Axes | None = None, mode: Literal["2d", "3d"] = "2d") -> Axes:
    """Draw into `ax` (a new figure of fitting size when None) and return the axes.

    Raises:
        SkeletonError: an unknown mode, a 3D picture without a rest pose, or 3D into axes that are flat.
    """
    if mode == "2d":
        return _draw_tree(skeleton, ax)
    if mode != "3d":
        raise SkeletonError(unknown_name("drawing mode", str(mode), ["2d", "3d"]))
    if skeleton.rest is None:
        raise SkeletonError(
            "there is no rest pose to draw: add `rest:` to the file or use Skeleton.from_clip(clip)",
            source=f"skeleton {skeleton.name!r}",
        )
    return _draw_rest(skeleton, skeleton.rest, ax)


def tree_layout(skeleton: Skeleton) -> np.ndarray:
    """Page coordinates [J, 2] of the tree: x in units of one leaf, y = -depth; no two joints at one place.

    Children stand side by side: those of the body's right, of the middle, of its left, the left ones in reverse, so
    that mirrored limbs are mirrored on the page.
    """
    rank = {"right": 0, "middle": 1, "left": 2}
    place = np.zeros((len(skeleton), 2))
    next_leaf = 0.0
    stack = [(skeleton.root, False)]
    while stack:
        joint, finished = stack.pop()
        children = sorted(
            skeleton.children[joint], key=lambda c: (rank[skeleton.side(c)], -c if skeleton.side(c) == "left" else c)
        )
        place[joint, 1] = -skeleton.depths[joint]
        if finished:
            place[joint, 0] = (place[children[0], 0] + place[children[-1], 0]) / 2
        elif children:
            stack.append((joint, True))
            stack.extend((child, False) for child in reversed(children))
        else:
            place[joint, 0] = next_leaf
            next_leaf += 1.0
    return place


def _draw_tree(skeleton: Skeleton, ax: Axes | None) -> Axes:
    place = tree_layout(skeleton)
    leaves, rows = place[:, 0].max() + 1, -place[:, 1].min() + 1
    if ax is None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(max(4.5, 1.15 * leaves + 0.8), max(3.0, 0.8 * rows + 1.2)), layout="constrained")
        ax = figure.add_subplot()
    for parent, child in skeleton.bones:
        ax.plot(*place[[parent, child]].T, color=SIDE_COLORS[skeleton.side(child)], linewidth=2, zorder=1)
    _scatter(skeleton, ax, place)
    longest = max(len(name) for name in skeleton.joints)
    for joint, name in enumerate(skeleton.joints):
        ax.annotate(
            f"{name}\n{joint}",
            place[joint],
            xytext=(0, -8),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8 if longest <= 14 else 7,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
            zorder=3,
        )
    ax.set_xlim(-0.7, leaves - 0.3)
    ax.set_ylim(-rows + 0.2, 0.4)
    ax.set_axis_off()
    _finish(skeleton, ax)
    return ax


def _draw_rest(skeleton: Skeleton, rest: np.ndarray, ax: Any) -> Axes:
    if ax is None:
        from matplotlib.figure import Figure

        # a 3D axes reports no room for its labels, so an automatic layout would cut them off
        ax = Figure(figsize=(6.0, 6.0)).add_axes((0.04, 0.02, 0.9, 0.92), projection="3d")
    elif not hasattr(ax, "get_zlim"):
        raise SkeletonError("expected 3D axes, made with projection='3d' (got flat ones)")
    page = rest[:, [2, 0, 1]]  # matplotlib's vertical is z: our (z forward, x left, y up)
    for parent, child in skeleton.bones:
        ax.plot(*page[[parent, child]].T, color=SIDE_COLORS[skeleton.side(child)], linewidth=2.5)
    _scatter(skeleton, ax, page)
    middle, size = (page.max(0) + page.min(0)) / 2, max(float((page.max(0) - page.min(0)).max()), 1e-3) / 2 * 1.05
    ax.set_xlim(middle[0] - size, middle[0] + size)
    ax.set_ylim(middle[1] - size, middle[1] + size)
    ax.set_zlim(middle[2] - size, middle[2] + size)
    ax.set_box_aspect((1, 1, 1))
    ax.set_xlabel("forward z (m)")
    ax.set_ylabel("left x (m)")
    ax.set_zlabel("up y (m)")
    ax.tick_params(labelsize=7)
    ax.locator_params(nbins=5)
    ax.view_init(elev=12, azim=25)
    _finish(skeleton, ax)
    return ax


def _scatter(skeleton: Skeleton, ax: Any, place: np.ndarray) -> None:
    for side in _SIDES:
        chosen = [joint for joint in range(len(skeleton)) if skeleton.side(joint) == side]
        if chosen:
            label = side if skeleton.pairs else None
            ax.scatter(*place[chosen].T, c=SIDE_COLORS[side], marker=SIDE_MARKERS[side], s=36, label=label, zorder=2)


def _finish(skeleton: Skeleton, ax: Axes) -> None:
    ax.set_title(f"{skeleton.name}: {len(skeleton)} joints", fontsize=11)
    if skeleton.pairs:
        ax.legend(loc="upper right", fontsize=8, frameon=False)
