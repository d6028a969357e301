"""What an adaptation made of source poses, to be looked at: they must be people, and seen as the target is.

One column a window, its middle frame: the source pose from the front and from the side, the changed pose from the front and from the
side (orthographic, as a level camera would see them, root in the middle, all at one scale), then the keypoints made of it and those of
the target whose place they take, cut out of the picture around the same middle, all at one scale. What is missing or behind the camera
is not drawn.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from graphpose.analysis.axes_style import new_figure, write_png
from graphpose.analysis.palette import LIGHT, sides
from graphpose.errors import ConfigError, FormatError
from graphpose.skeleton import Skeleton

__all__ = ["adaptation_sheet"]

_ROWS = (
    ("source", "source, front"),
    ("source", "source, side"),
    ("changed", "changed, front"),
    ("changed", "changed, side"),
    ("keypoints", "its image"),
    ("target", "target"),
)
_WIDTHS = {"source": 3, "changed": 3, "keypoints": 2, "target": 2}


def adaptation_sheet(samples: str | Path, path: str | Path, *, columns: int = 8, dpi: int = 130) -> Path:
    """Draws a file of the folder `samples` of an adaptation as a PNG, and returns its path.

    Args:
        samples: the file, `<steps>.npz`.
        path: of the picture.
        columns: windows to show, at most; at least 1.
        dpi: dots an inch.

    Raises:
        ConfigError: columns below 1. FormatError: no such file, another kind of file, or a damaged one.
    """
    if columns < 1:
        raise ConfigError(f"columns: expected at least 1 (got {columns})")
    skeleton, arrays = _read(Path(samples))
    count = min(columns, len(arrays["source"]))
    colours = [LIGHT[side] for side in sides(skeleton)]
    figure = new_figure((1.35 * count + 0.5, 1.45 * len(_ROWS)), "graphpose.analysis.adaptation_sheet")
    grid = figure.subplots(len(_ROWS), count, squeeze=False)
    for name in ("source", "changed"):
        arrays[name] = arrays[name] - arrays[name][:, skeleton.root, None]
    reach = 1.05 * _largest([np.abs(arrays[name][:count]) for name in ("source", "changed")])
    boxes = [_box(points) for name in ("keypoints", "target") for points in arrays[name][:count]]
    screen = 0.6 * _largest([high - low for low, high in boxes])
    for row, (name, label) in enumerate(_ROWS):
        seen = name in ("keypoints", "target")
        for column, axes in enumerate(grid[row]):
            points = arrays[name][column]
            if seen:
                points = points - _middle(arrays["target"][column], arrays["keypoints"][column])
            else:
                points = points[:, [2, 1]] if label.endswith("side") else points[:, :2]
            for joint, parent in enumerate(skeleton.parents):
                if parent >= 0:
                    axes.plot(*points[[parent, joint]].T, color=colours[joint], linewidth=1.3, solid_capstyle="round")
            size = screen if seen else reach
            axes.set(xlim=(-size, size), ylim=(size, -size), aspect="equal", xticks=[], yticks=[])  # y points down
            for spine in axes.spines.values():
                spine.set(visible=seen, color=LIGHT["border"])
        grid[row][0].set_ylabel(label, fontsize=8, color=LIGHT["text"])
    from matplotlib.lines import Line2D  # of an extra

    told = f"{Path(samples).parent.parent.name}, step {int(Path(samples).stem)}" if Path(samples).stem.isdigit() else ""
    marks = [Line2D([], [], color=LIGHT[side], linewidth=2, label=side) for side in ("left", "right") if skeleton.pairs]
    figure.legend(
        handles=marks, title=told, title_fontsize=8, loc="outside lower right", ncols=2, fontsize=8, frameon=False
    )
    return write_png(figure, path, dpi)


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest of the keypoints `[J, 2]` that there are, `[2]` each; NaN without any."""
    there = points[np.isfinite(points).all(-1)]
    if not len(there):
        return np.full(2, np.nan), np.full(2, np.nan)
    return there.min(0), there.max(0)


def _middle(*choices: np.ndarray) -> np.ndarray:
    """Middle of the box of the first of several `[J, 2]` that has keypoints, `[2]`."""
    for points in choices:
        low, high = _box(points)
        if np.isfinite(low).all():
            middle: np.ndarray = (low + high) / 2
            return middle
    return np.zeros(2)


def _largest(values: list[np.ndarray]) -> float:
    """The largest finite number; 1 where there is none above 0, so that axes have a size."""
    found = np.concatenate([v[np.isfinite(v)].ravel() for v in values])
    return float(found.max(initial=0.0)) or 1.0


def _read(path: Path) -> tuple[Skeleton, dict[str, np.ndarray]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            skeleton = Skeleton.from_dict(json.loads(str(content["skeleton"])))
            arrays = {name: np.asarray(content[name], dtype=np.float64) for name in _WIDTHS}
    except Exception as error:  # damaged bytes make zipfile, zlib and numpy raise errors of a dozen unrelated classes
        told = f"{type(error).__name__}: {error}"
        raise FormatError(path, f"expected a file of the samples of an adaptation ({told})") from error
    windows = len(arrays["source"]) if arrays["source"].ndim else 0
    for name, width in _WIDTHS.items():
        wanted = (windows, len(skeleton), width)
        if not windows or arrays[name].shape != wanted:
            raise FormatError(
                path, f"{name}: expected at least one window {list(wanted)} (got {list(arrays[name].shape)})"
            )
    for name in ("keypoints", "target"):  # missing joints are 0
        arrays[name] = np.where((arrays[name] == 0).all(-1, keepdims=True), np.nan, arrays[name])
    return skeleton, arrays
