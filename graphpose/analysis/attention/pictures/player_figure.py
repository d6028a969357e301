"""A clip to play in a notebook: 2D input, prediction and truth, and what a joint looks at, frame by frame.

Over joints, attention is edges from the joint; over frames it is marks on the path of the joint, the larger the more a frame is looked
at from the frame that is shown. Thickness has the classes of `edges.py`. The figure is an ordinary plotly figure: it shows in
JupyterLab and nbviewer, and `figure.write_html(path)` makes one file that needs no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.attention.chosen import joint_number
from graphpose.analysis.attention.pictures.edges import OPACITY, WIDTH, class_of, strongest
from graphpose.analysis.attention.pictures.pose_places import input_places, space_places
from graphpose.analysis.attention.pictures.selection import (
    choose,
    heading,
    key_frames,
    place_of,
    query_frames,
    shown_weights,
    window_number,
)
from graphpose.analysis.attention.pictures.skeleton_attention import ATTENTION
from graphpose.analysis.attention.record import Attention, Axis, Record
from graphpose.analysis.extras import require
from graphpose.analysis.palette import LIGHT, sides
from graphpose.analysis.pose_player import chosen_frames
from graphpose.analysis.style import base_layout
from graphpose.analysis.upright import finite_bounds
from graphpose.errors import DataError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["attention_player"]

_FRAMES = 150
_MANY = 48  # joints above which bones and joints are drawn finer
_SIDES = ("left", "right", "middle")


def attention_player(
    record: Record,
    *,
    joint: str | int | None = None,
    axis: Axis = "joints",
    layer: int | None = None,
    head: int | None = None,
    window: int = 0,
    top: int | None = None,
    name: str | None = None,
) -> Figure:
    """A plotly figure with a slider in time and a play button.

    Args:
        record: with keypoints, a prediction, or both.
        joint: who looks, by name or number; None shows the strongest edges of all joints (attention over joints only).
        axis: what is looked at: "joints" or "frames".
        layer, name: which module, see `selection.choose`.
        head: None is the mean of the heads.
        window: number of the window.
        top: edges; None is 6 of one joint, and as many as there are joints of all.

    Of more than 150 frames every k-th is shown. In frames that were pruned before the layer there is no attention to draw.

    Raises:
        DataError: no poses in the record, or what was not recorded; `axis="frames"` without a joint.
        MissingExtraError: plotly (the extra `viz`) is not installed.
    """
    go = require("plotly.graph_objects", "attention_player")
    window_number(record, window)
    one = choose(record, axis, layer, name)
    query = None if joint is None else joint_number(record.skeleton, joint)
    if axis == "frames" and query is None:
        raise DataError("expected joint= with axis='frames': over frames each joint looks at itself at other times")
    shown_weights(record, one, head=head)  # refuses a head that is not there
    flat, (space, truth) = input_places(record, window), space_places(record, window)
    if flat is None and space is None:
        raise DataError(
            "expected a record with keypoints or a prediction to draw (got neither); make it with `observe`"
        )
    length = len(space if space is not None else flat)  # type: ignore[arg-type]
    fps = record.windows[window].fps if record.windows else 30.0
    if record.windows:
        length = min(length, record.windows[window].frames)
    scene = _Scene(record, one, head, window, query, top, flat, space, truth)
    shown = list(chosen_frames(length, fps, _FRAMES))
    figure = go.Figure([*scene.traces(shown[0], full=True), *scene.keys()])
    figure.frames = [go.Frame(name=str(t), data=scene.traces(t), traces=scene.numbers) for t in shown]
    figure.update_layout(_layout(record, scene, shown, fps))
    who = "strongest edges of all joints" if query is None else f"what {record.skeleton.joints[query]} looks at"
    figure.update_layout(
        title={"text": f"{_safe(who)}: {_safe(heading(record, one, head))}", "font": {"size": 14}, "x": 0.01}
    )
    return figure


class _Scene:
    """The traces of one frame, always as many and in the same order, so that frames replace each other."""

    def __init__(
        self,
        record: Record,
        one: Attention,
        head: int | None,
        window: int,
        query: int | None,
        top: int | None,
        flat: np.ndarray | None,
        space: np.ndarray | None,
        truth: np.ndarray | None,
    ) -> None:
        self.record, self.one, self.head, self.window, self.query = record, one, head, window, query
        self.joints = len(record.skeleton)
        self.top = top or (self.joints if query is None else 6)
        self.views = [points for points in (flat, space) if points is not None]
        self.flat, self.space, self.truth = flat, space, truth
        self.side = sides(record.skeleton)
        self.thin = 0.5 if self.joints > _MANY else 1.0
        self.numbers: list[int] = list(range(len(self.traces(0))))

    def traces(self, frame: int, full: bool = False) -> list[dict[str, Any]]:
        """All traces at one frame; with `full=False` only what changes."""
        weights = self._weights(frame)
        found: list[dict[str, Any]] = []
        for points in self.views:
            deep = points.shape[-1] == 3
            if deep and self.truth is not None:
                found.append(
                    self._lines(self.record.skeleton.bones, self.truth[frame], "truth", 3 * self.thin, 0.8, full)
                )
            for side in _SIDES:
                bones = [(a, b) for a, b in self.record.skeleton.bones if self.side[b] == side]
                found.append(self._lines(bones, points[frame], side, (6 if deep else 3) * self.thin, 0.6, full))
            found += self._attention(points, frame, weights, full)
            found.append(self._points(points[frame], weights, full))
        return found

    def _weights(self, frame: int) -> np.ndarray | None:
        """`[J, J]` over joints, `[M]` over frames; None where the frame was pruned or not recorded."""
        if self.one.axis == "joints":
            if place_of(self.one, frame, self.window) is None:
                return None
            return shown_weights(self.record, self.one, head=self.head, window=self.window, at=frame)
        there = query_frames(self.one, self.window)
        if frame not in there or place_of(self.one, self.query or 0, self.window) is None:
            return None
        return shown_weights(self.record, self.one, head=self.head, window=self.window, at=self.query)[
            there.index(frame)
        ]

    def _attention(
        self, points: np.ndarray, frame: int, weights: np.ndarray | None, full: bool
    ) -> list[dict[str, Any]]:
        if self.one.axis == "frames":
            return [self._path(points, weights, full)]
        classes: list[list[tuple[int, int]]] = [[] for _ in WIDTH]
        if weights is not None:
            for edge in strongest(weights, self.top, self.query):
                classes[class_of(edge.weight, self.joints)].append((edge.query, edge.key))
        wide = 1.6 if points.shape[-1] == 3 else 1.0
        thin = 0.6 if self.query is None or self.joints > _MANY else 1.0
        return [
            self._lines(pairs, points[frame], ATTENTION, wide * thin * WIDTH[rank], OPACITY[rank], full)
            for rank, pairs in enumerate(classes)
        ]

    def _path(self, points: np.ndarray, weights: np.ndarray | None, full: bool) -> dict[str, Any]:
        assert self.query is not None
        keys = key_frames(self.one, self.window)
        path = points[:, self.query][np.minimum(keys, len(points) - 1)]
        values = np.zeros(len(keys)) if weights is None else weights
        trace = self._place(path)
        trace["marker"] = {"size": np.minimum(26, 5 * np.sqrt(values * len(keys))).round(1).tolist()}
        trace["customdata"] = [
            f"frame {key}: {100 * value:.1f} %" for key, value in zip(keys, values.tolist(), strict=True)
        ]
        if full:
            trace["marker"] |= {"color": LIGHT[ATTENTION], "opacity": 0.7, "line": {"width": 0}, "sizemode": "diameter"}
            trace |= {"mode": "markers", "hovertemplate": "%{customdata}<extra></extra>", "showlegend": False}
        return trace

    def _points(self, points: np.ndarray, weights: np.ndarray | None, full: bool) -> dict[str, Any]:
        deep = points.shape[-1] == 3
        trace = self._place(points)
        names = [_safe(name) for name in self.record.skeleton.joints]
        if weights is not None and weights.ndim == 2 and self.query is not None:
            row = weights[self.query].tolist()
            names = [f"{name}: {100 * value:.1f} %" for name, value in zip(names, row, strict=True)]
        trace["text"] = names
        if full:
            size = (3.5 if deep else 6.0) * (0.6 if self.joints > _MANY else 1.0)
            sizes = [size * (2.2 if j == self.query else 1.0) for j in range(self.joints)]
            colours = [LIGHT[ATTENTION] if j == self.query else LIGHT[side] for j, side in enumerate(self.side)]
            trace["marker"] = {"size": sizes, "color": colours, "line": {"width": 0}}
            trace |= {"mode": "markers", "hovertemplate": "%{text}<extra></extra>", "showlegend": False}
        return trace

    def _lines(
        self, pairs: Any, points: np.ndarray, colour: str, width: float, opacity: float, full: bool
    ) -> dict[str, Any]:
        gap = np.full(points.shape[1], np.nan)
        rows = [row for a, b in pairs for row in (points[a], points[b], gap)]
        trace = self._place(np.array(rows).reshape(-1, points.shape[1]))
        if full:
            trace |= {
                "mode": "lines",
                "line": {"color": LIGHT[colour], "width": round(width, 2)},
                "opacity": opacity,
                "hoverinfo": "skip",
                "showlegend": False,
            }
        return trace

    def keys(self) -> list[dict[str, Any]]:
        """Traces without a point: the entries of the legend."""
        named = {"left": "left", "right": "right"} if self.record.skeleton.pairs else {}
        named |= {"truth": "truth"} if self.truth is not None and self.space is not None else {}
        style = {"x": [None], "y": [None], "mode": "lines", "hoverinfo": "skip"}
        return [
            {"type": "scatter", "name": name, "line": {"color": LIGHT[colour], "width": 4}, **style}
            for colour, name in (named | {ATTENTION: "attention"}).items()
        ]

    def _place(self, points: np.ndarray) -> dict[str, Any]:
        deep = points.shape[-1] == 3
        known = [[None if np.isnan(v) else round(v, 4) for v in column] for column in points.T.tolist()]
        known = known or [[]] * points.shape[-1]
        return {"type": "scatter3d" if deep else "scatter", **dict(zip("xyz", known, strict=False))}


def _layout(record: Record, scene: _Scene, shown: list[int], fps: float) -> dict[str, Any]:
    both = scene.flat is not None and scene.space is not None
    hidden = {"visible": False, "fixedrange": True}
    layout = base_layout(
        paper_bgcolor=LIGHT["card"],
        height=560,
        margin={"l": 10, "r": 10, "t": 44, "b": 10},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "top", "itemclick": False},
    )
    if scene.flat is not None:
        low, high = finite_bounds(scene.flat[shown], least=0.6)
        layout["xaxis"] = {"range": [low[0], high[0]], "domain": [0, 0.42 if both else 1], **hidden}
        layout["yaxis"] = {"range": [high[1], low[1]], "scaleanchor": "x", **hidden}
    if scene.space is not None:
        given = [scene.space[shown], *([] if scene.truth is None else [scene.truth[shown]])]
        low, high = finite_bounds(*given)
        span = high - low
        layout["scene"] = {
            "domain": {"x": [0.44 if both else 0, 1], "y": [0, 1]},
            "aspectmode": "manual",
            "aspectratio": dict(zip("xyz", (1.25 * span / span.max()).tolist(), strict=True)),
            "camera": {"eye": {"x": 0.72, "y": -1.46, "z": 0.4}, "center": {"x": 0, "y": 0, "z": -0.08}},
            "dragmode": "orbit",
        }
        for k, letter in enumerate("xyz"):
            layout["scene"][f"{letter}axis"] = {
                "range": [float(low[k]), float(high[k])],
                "showticklabels": False,
                "title": {"text": ""},
                "gridcolor": LIGHT["grid"],
                "zeroline": False,
                "showspikes": False,
                "showbackground": k == 2,
                "backgroundcolor": LIGHT["background"],
            }
    if len(shown) > 1:
        layout |= _controls(shown, fps)
    return layout


def _controls(shown: list[int], fps: float) -> dict[str, Any]:
    now = {"mode": "immediate", "transition": {"duration": 0}}
    step = 1000 * (shown[1] - shown[0]) / fps
    play = {"frame": {"duration": step, "redraw": True}, "fromcurrent": True, **now}
    still = {"frame": {"duration": 0, "redraw": True}, **now}
    buttons = [
        {"label": "Play", "method": "animate", "args": [None, play]},
        {"label": "Pause", "method": "animate", "args": [[None], still]},
    ]
    menu = {"type": "buttons", "direction": "left", "showactive": False, "buttons": buttons, "x": 0, "y": 0}
    steps = [{"label": str(t), "method": "animate", "args": [[str(t)], still]} for t in shown]
    slider = {
        "steps": steps,
        "x": 0.16,
        "len": 0.84,
        "y": 0,
        "pad": {"t": 24},
        "currentvalue": {"prefix": "frame ", "font": {"size": 12, "color": LIGHT["muted"]}},
    }
    return {"updatemenus": [menu | {"xanchor": "left", "yanchor": "top", "pad": {"t": 30}}], "sliders": [slider]}


def _safe(text: str) -> str:
    """Plotly reads a little HTML in texts."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
