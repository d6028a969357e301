"""What the page of a record needs: poses of some windows, and the weights of all modules, rounded, thinned, as plain JSON values.

A page has room for about 5 MB of weights. What does not fit is thinned in this order: windows, keys of a row (the strongest stay),
frames; `thinned` says in words what was left out. Weights travel as `quantised.py` has them; the mean of the heads is stored as one
head more, after the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphpose.analysis.attention.pictures.limb_order import limb_order
from graphpose.analysis.attention.pictures.pose_places import input_places, space_places
from graphpose.analysis.attention.pictures.quantised import packed, size_of
from graphpose.analysis.attention.pictures.selection import key_frames, mean_of_heads, place_of, query_frames
from graphpose.analysis.attention.record import Attention, Record
from graphpose.analysis.palette import sides
from graphpose.analysis.pose_player import chosen_frames, grid_step, integers
from graphpose.analysis.upright import finite_bounds

__all__ = ["Plan", "page_data", "plan_page", "window_names"]

_BYTES = 5_000_000
_MAP = 64  # frames of a map; longer ones are averaged


@dataclass(frozen=True)
class Plan:
    """What of a record fits on a page.

    Attributes:
        windows: numbers of those shown.
        frames: of each of them, those shown.
        top: keys kept of a row; None: all.
    """

    windows: tuple[int, ...]
    frames: tuple[tuple[int, ...], ...]
    top: int | None

    def thinned(self, record: Record) -> str:
        """What was left out, in words; "" for nothing."""
        words = []
        there = _windows(record)
        if len(self.windows) < there:
            words.append(f"{len(self.windows)} of {there} windows")
        step = max((f[1] - f[0] for f in self.frames if len(f) > 1), default=1)
        if step > 1:
            words.append(f"one frame in {step}")
        if self.top is not None:
            words.append(f"the {self.top} strongest of each row of attention")
        return ", ".join(words)


def _windows(record: Record) -> int:
    sizes = [one.weights.shape[0] for one in record.attention]
    return max([*sizes, *([] if record.prediction is None else [len(record.prediction)])], default=0)


def _length(record: Record, window: int) -> int:
    for points in (record.prediction, record.keypoints):
        if points is not None:
            return min(points.shape[1], record.windows[window].frames) if record.windows else points.shape[1]
    over = [one.weights.shape[4] for one in record.attention if one.axis == "frames"]
    across = [one.weights.shape[1] for one in record.attention if one.axis == "joints"]
    return max([*over, *across], default=1)


def _fps(record: Record, window: int) -> float:
    return record.windows[window].fps if record.windows else 30.0


def plan_page(record: Record, windows: Sequence[int] | None = None, budget: int = _BYTES) -> Plan:
    """The richest plan within `budget` bytes; the poorest one where none is. `windows` given are kept, all of them."""
    count = _windows(record)
    spread = [tuple(np.unique(np.linspace(0, count - 1, n).astype(int)).tolist()) for n in (4, 2, 1)] if count else [()]
    choices = [tuple(windows)] if windows is not None else list(dict.fromkeys(spread))
    steps = [(150, None), (150, 24), (150, 16), (150, 10), (80, 10), (40, 10), (20, 8), (10, 8)]
    plan = Plan((), (), None)
    # fewer windows before poorer ones, but all windows thinly before a single frame in many
    for limit, top in steps:
        for chosen in choices:
            frames = tuple(tuple(chosen_frames(_length(record, w), _fps(record, w), limit)) for w in chosen)
            plan = Plan(chosen, frames, top)
            if _cost(record, plan) <= budget:
                return plan
    return plan


def _cost(record: Record, plan: Plan) -> int:
    total = 0
    for one in record.attention:
        _, r, h, n, m = one.weights.shape
        for frames in plan.frames:
            rows = min(r, len(frames)) * n if one.axis == "joints" else r * min(n, len(frames))
            total += size_of(rows * (h + 1), m, plan.top)
        total += (
            (h + 1) * min(n, max(_MAP, n if one.axis == "joints" else 0)) * min(m, m if one.axis == "joints" else _MAP)
        )
    return total


def window_names(record: Record) -> list[str]:
    """What each window is called: its clip, view and first frame, as far as they are known."""
    if not record.windows:
        return [f"window {k}" for k in range(_windows(record))]
    several = len({one.view for one in record.windows}) > 1
    names = []
    for one in record.windows:
        view = f", view {one.view}" if several else ""
        names.append(f"{one.clip or 'clip'}{view}, from frame {one.start}")
    return names


def page_data(record: Record, plan: Plan) -> dict[str, Any]:
    """The JSON-ready dict that `attention.js` draws from."""
    skeleton = record.skeleton
    names = window_names(record)
    return {
        "joints": list(skeleton.joints),
        "parents": list(skeleton.parents),
        "sides": sides(skeleton),
        "order": limb_order(skeleton).tolist(),
        "windows": [_poses(record, w, f, names[w]) for w, f in zip(plan.windows, plan.frames, strict=True)],
        "modules": [_module(record, one, plan) for one in record.attention],
    }


def _poses(record: Record, window: int, frames: Sequence[int], name: str) -> dict[str, Any]:
    shown = list(frames)
    data: dict[str, Any] = {
        "name": name,
        "frames": shown,
        "start": record.windows[window].start if record.windows else 0,
        "fps": _fps(record, window),
    }
    flat, (space, truth) = input_places(record, window), space_places(record, window)
    data |= {"keypoints": None, "predicted": None, "target": None}
    if flat is not None:
        low, high = finite_bounds(flat[shown], least=0.6)
        data["scale2"] = float((high - low).max()) / 4000
        data["range2"] = [low.round(6).tolist(), high.round(6).tolist()]
        data["keypoints"] = integers(flat[shown], data["scale2"])
    if space is not None:
        known = [space[shown], *([] if truth is None else [truth[shown]])]
        low, high = finite_bounds(*known)
        data["scale3"] = float(10.0 ** min(-3.0, np.floor(np.log10(float((high - low).max()))) - 3))
        data["range3"] = [low.round(4).tolist(), high.round(4).tolist()]
        data["tick"] = grid_step(float((high - low).max()))
        data["predicted"] = integers(space[shown], data["scale3"])
        data["target"] = None if truth is None else integers(truth[shown], data["scale3"])
    return data


def _module(record: Record, one: Attention, plan: Plan) -> dict[str, Any]:
    alike = [other for other in record.attention if (other.axis, other.layer) == (one.axis, one.layer)]
    maps = mean_of_heads(record, one)
    maps = _pooled(np.concatenate([maps, maps.mean(axis=0, keepdims=True)]), one.axis)
    return {
        "axis": one.axis,
        "layer": one.layer,
        "label": f"{one.layer} ({one.name})" if len(alike) > 1 else f"{one.layer}",
        "name": one.name,
        "heads": list(one.heads),
        "keys": one.weights.shape[4],
        "map": {"shape": list(maps.shape[1:]), **packed(maps, None)},
        "windows": [_rows(one, w, f, plan.top) for w, f in zip(plan.windows, plan.frames, strict=True)],
    }


def _pooled(maps: np.ndarray, axis: str) -> np.ndarray:
    """Maps over frames `[H, N, M]` with at most 64 rows and columns, each the mean of neighbours; rows of NaN are left out."""
    if axis == "joints":
        return maps
    for place in (1, 2):
        size = maps.shape[place]
        if size > _MAP:
            starts = np.unique(np.linspace(0, size, _MAP, endpoint=False).astype(int))
            counts = np.add.reduceat(~np.isnan(maps), starts, axis=place, dtype=np.int64)
            with np.errstate(invalid="ignore"):
                maps = np.add.reduceat(np.nan_to_num(maps), starts, axis=place) / counts
    return maps


def _rows(one: Attention, window: int, frames: Sequence[int], top: int | None) -> dict[str, Any]:
    """Weights of one window: `[R, H + 1, N, M]` of the frames that are shown, and what the places along R, N and M are.

    `places`: frame (or joint) of each R, [null] for a mean over all; `queries`, `keys`: frames of an attention over frames.
    """
    if window >= one.weights.shape[0]:  # a streaming mean over windows stands for each
        window = 0
    weights = one.weights[window].double().numpy()
    data: dict[str, Any] = {"queries": None, "keyFrames": None}
    mean = one.across is None and weights.shape[0] == 1
    if one.axis == "joints":
        there = [(frame, place_of(one, frame, window)) for frame in frames]
        known = [(frame, place) for frame, place in there if place is not None]
        data["places"] = [None] if mean else [frame for frame, _ in known]
        weights = weights if mean else weights[[place for _, place in known]]
    else:
        queries = query_frames(one, window)
        chosen = [place for place, frame in enumerate(queries) if frame in set(frames)]
        data["places"] = [None] if mean else list(one.across or range(weights.shape[0]))
        data["queries"] = [queries[place] for place in chosen]
        data["keyFrames"] = key_frames(one, window)
        weights = weights[:, :, chosen]
    weights = np.concatenate([weights, weights.mean(axis=1, keepdims=True)], axis=1)
    return data | {"shape": list(weights.shape), **packed(weights, top)}
