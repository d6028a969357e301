"""What the page's player needs of one example: rounded, thinned coordinates in drawing space as plain JSON values.

Coordinates travel as integers, value = integer * scale (3D: 1 mm; 2D: a 4000th of the picture), missing points as null.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphpose.analysis.example import Example
from graphpose.analysis.palette import sides
from graphpose.analysis.upright import finite_bounds

__all__ = ["chosen_frames", "grid_step", "integers", "player_data"]

_SLOWEST = 10.0  # shown frames a second below which motion stops reading as motion
_ERROR_POINTS = 1000


def chosen_frames(frames: int, fps: float, limit: int) -> range:
    """At most `limit` frames: every k-th of the clip, of its beginning where that would be fewer than 10 a second.

    >>> chosen_frames(300, 30.0, 150)
    range(0, 300, 2)
    >>> chosen_frames(3000, 30.0, 150)
    range(0, 450, 3)
    """
    step = max(1, min(math.ceil(frames / limit), int(fps // _SLOWEST)))
    return range(0, min(frames, limit * step), step)


def integers(values: np.ndarray, scale: float) -> list[int | None]:
    """`values` in units of `scale`, flat; None where one is missing."""
    flat = (values / scale).ravel()
    known = np.isfinite(flat)
    whole = np.where(known, np.rint(np.where(known, flat, 0.0)), 0.0).astype(np.int64).tolist()
    return [number if seen else None for number, seen in zip(whole, known.tolist(), strict=True)]


def grid_step(span: float) -> float:
    """A round grid spacing that cuts `span` into about five: 1, 2 or 5 times a power of ten."""
    rough = max(span, 1e-6) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - rough))


def player_data(example: Example, limit: int = 150) -> dict[str, Any]:
    """The JSON-ready dict of one example; the ranges of the axes are those of all shown frames, so nothing jumps over
    time.
    """
    frames = chosen_frames(example.frames, example.fps, limit)
    shown = np.asarray(frames)
    predicted, target = example.drawn()
    low3, high3 = finite_bounds(predicted[shown], *([] if target is None else [target[shown]]))
    low2, high2 = finite_bounds(example.keypoints[shown], least=0.6)
    scale2 = float((high2 - low2).max()) / 4000
    scale3 = float(10.0 ** min(-3.0, math.floor(math.log10(float((high3 - low3).max()))) - 3))
    data: dict[str, Any] = {
        "name": example.name,
        "joints": list(example.skeleton.joints),
        "parents": list(example.skeleton.parents),
        "sides": sides(example.skeleton),
        "frames": list(frames),
        "fps": example.fps,
        "scale2": scale2,
        "scale3": scale3,
        "range2": [low2.round(6).tolist(), high2.round(6).tolist()],
        "range3": [low3.round(4).tolist(), high3.round(4).tolist()],
        "tick": grid_step(float((high3 - low3).max())),
        "keypoints": integers(example.keypoints[shown], scale2),
        "predicted": integers(predicted[shown], scale3),
        "target": None if target is None else integers(target[shown], scale3),
        "error": None if example.error is None else integers(example.error[shown], 1e-3),
        "curve": None,
    }
    curve = example.frame_error()
    if curve is not None and np.isfinite(curve).any() and example.frames > 1:
        step = math.ceil(example.frames / _ERROR_POINTS)
        # the worst frame of each step: thinning must not hide a peak
        padded = np.concatenate([curve, np.full(-len(curve) % step, np.nan)]).reshape(-1, step)
        worst = np.where(
            np.isnan(padded).all(axis=1), np.nan, np.nanmax(np.where(np.isnan(padded), -np.inf, padded), axis=1)
        )
        data["curve"] = {
            "seconds": [round(k * step / example.fps, 3) for k in range(len(worst))],
            "mm": [None if not math.isfinite(v) else round(1000 * v, 1) for v in worst.tolist()],
        }
    return data
