"""A still picture of predictions, for a README or a paper: per example one row of 2D input and one of 3D, prediction
over truth.

The 3D row is an orthographic view from a raised, turned viewpoint (`upright.turntable`), so that errors in depth can be
seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphpose.analysis.axes_style import new_figure, write_png
from graphpose.analysis.example import Example
from graphpose.analysis.palette import LIGHT, sides
from graphpose.analysis.upright import finite_bounds, turntable
from graphpose.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from graphpose.skeleton import Skeleton

__all__ = ["poster"]


def poster(
    examples: Sequence[Example], path: str | Path, *, frames: int = 8, azimuth: float = 35.0, dpi: int = 150
) -> Path:
    """Write a PNG with two rows an example (2D input; predicted 3D over true 3D) at `frames` evenly spaced frames;
    return the path.

    Left and right have the colours of the report, the truth is grey and dashed. Each 3D pose is centred, at one scale
    an example. Raises `DataError` without examples or with `frames` under 1.
    """
    if not examples:
        raise DataError("poster: expected at least one example (got none)")
    if frames < 1:
        raise DataError(f"poster: expected frames >= 1 (got {frames})")
    height = 4.1 * len(examples)
    figure = new_figure((1.5 * frames + 0.4, height + 0.35), "graphpose.analysis.still")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.04)  # type: ignore[union-attr, call-arg]
    parts = figure.subfigures(len(examples), 1, squeeze=False)[:, 0]
    for part, example in zip(parts, examples, strict=True):
        grid = part.subplots(2, frames, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        chosen = np.unique(np.linspace(0, example.frames - 1, frames).round().astype(int))
        used = grid[:, : len(chosen)]  # a clip shorter than the row leaves the last places empty
        _flat_row(used[0], example, chosen)
        _space_row(used[1], example, chosen, azimuth)
        heading = {"x": 0.01, "ha": "left", "fontsize": 11, "color": LIGHT["text"], "parse_math": False}
        part.suptitle(example.name, **heading)
    _legend(figure, examples)
    return write_png(figure, path, dpi)


def _bones(axes: Axes, skeleton: Skeleton, points: np.ndarray, colours: Sequence[str], **options: object) -> None:
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            pair = points[[parent, joint]]
            axes.plot(pair[:, 0], pair[:, 1], color=colours[joint], solid_capstyle="round", **options)  # type: ignore[arg-type]


def _frame(axes: Axes, low: np.ndarray, high: np.ndarray, *, down: bool) -> None:
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(*((high[1], low[1]) if down else (low[1], high[1])))
    axes.set_aspect("equal")


def _flat_row(row: Iterable[Axes], example: Example, chosen: np.ndarray) -> None:
    colours = [LIGHT[side] for side in sides(example.skeleton)]
    shown = example.keypoints[chosen]
    middle = _midpoint(shown)
    shown = shown - middle
    low, high = finite_bounds(shown, least=0.7)
    for column, (axes, t) in enumerate(zip(row, chosen, strict=True)):
        _bones(axes, example.skeleton, shown[column], colours, linewidth=2.0)
        axes.scatter(shown[column, :, 0], shown[column, :, 1], s=7, c=colours, zorder=3)
        _frame(axes, low, high, down=True)
        axes.set_title(f"{t / example.fps:.2f} s", fontsize=9, color=LIGHT["muted"])
        if column == 0:
            _row_label(axes, "2D input")


def _space_row(row: Iterable[Axes], example: Example, chosen: np.ndarray, azimuth: float) -> None:
    colours = [LIGHT[side] for side in sides(example.skeleton)]
    whole, truth = example.drawn()
    middle = _midpoint((whole if truth is None else truth)[chosen])
    predicted = turntable(whole[chosen] - middle, azimuth)
    target = None if truth is None else turntable(truth[chosen] - middle, azimuth)
    low, high = finite_bounds(predicted, *([] if target is None else [target]), least=0.7)
    error = example.frame_error()
    for column, (axes, t) in enumerate(zip(row, chosen, strict=True)):
        if target is not None:
            _bones(
                axes,
                example.skeleton,
                target[column],
                [LIGHT["truth"]] * len(colours),
                linewidth=1.6,
                linestyle=(0, (2.5, 1.2)),
            )
        _bones(axes, example.skeleton, predicted[column], colours, linewidth=2.4)
        axes.scatter(predicted[column, :, 0], predicted[column, :, 1], s=8, c=colours, zorder=3)
        _frame(axes, low, high, down=False)
        if error is not None and np.isfinite(error[t]):
            axes.set_title(f"{1000 * error[t]:.0f} mm", fontsize=9, color=LIGHT["muted"], pad=2)
        if column == 0:
            _row_label(axes, "predicted 3D")


def _midpoint(points: np.ndarray) -> np.ndarray:
    """Middle of the finite joints of each frame, `[T, J, C]` -> `[T, 1, C]`; 0 where a frame has none."""
    known = np.isfinite(points).all(axis=-1, keepdims=True)
    low = np.where(known, points, np.inf).min(axis=1, keepdims=True)
    high = np.where(known, points, -np.inf).max(axis=1, keepdims=True)
    return np.where(
        known.any(axis=1, keepdims=True), (np.where(np.isinf(low), 0, low) + np.where(np.isinf(high), 0, high)) / 2, 0.0
    )


def _row_label(axes: Axes, text: str) -> None:
    axes.annotate(
        text,
        (-0.04, 0.5),
        xycoords="axes fraction",
        rotation=90,
        ha="right",
        va="center",
        fontsize=9,
        color=LIGHT["text"],
        parse_math=False,
    )


def _legend(figure: object, examples: Sequence[Example]) -> None:
    from matplotlib.lines import Line2D

    names = [("left", "left"), ("right", "right")] if any(len(e.skeleton.left) for e in examples) else []
    handles = [Line2D([], [], color=LIGHT[colour], linewidth=2.4, label=label) for colour, label in names]
    if any(e.target is not None for e in examples):
        handles.append(Line2D([], [], color=LIGHT["truth"], linewidth=1.6, linestyle=(0, (2.5, 1.2)), label="truth"))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)  # type: ignore[attr-defined]
