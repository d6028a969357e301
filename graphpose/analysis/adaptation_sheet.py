"""What an adaptation made of source poses, to be looked at: they must be people, and seen as the target is.

One column a window, its middle frame: the source pose from the front and from the side, the changed pose from the front and from the
side (orthographic, camera axes, root in the middle, all at one scale), then the keypoints made of it and those of the target whose place
they take, cut out of the picture around the same middle, all at one scale.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from graphpose.analysis.axes_style import new_figure, write_png
from graphpose.analysis.palette import LIGHT, sides
from graphpose.errors import FormatError
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


def adaptation_sheet(samples: str | Path, path: str | Path, *, columns: int = 8, dpi: int = 130) -> Path:
    """Draws a file of the folder `samples` of an adaptation as a PNG, and returns its path.

    Args:
        samples: the file, `<steps>.npz`.
        path: of the picture.
        columns: windows to show, at most.
        dpi: dots an inch.

    Raises:
        FormatError: no such file, or another kind of file.
    """
    skeleton, arrays = _read(Path(samples))
    count = min(columns, len(arrays["source"]))
    colours = [LIGHT[side] for side in sides(skeleton)]
    figure = new_figure((1.35 * count + 0.5, 1.45 * len(_ROWS)), "graphpose.analysis.adaptation_sheet")
    grid = figure.subplots(len(_ROWS), count, squeeze=False)
    for name in ("source", "changed"):
        arrays[name] = arrays[name] - arrays[name][:, skeleton.root, None]
    reach = 1.05 * max(float(np.abs(arrays[name][:count]).max()) for name in ("source", "changed"))
    flat = [arrays[name][:count] for name in ("keypoints", "target")]
    screen = 0.6 * max(float(np.nanmax(np.nanmax(points, 1) - np.nanmin(points, 1))) for points in flat)
    for row, (name, label) in enumerate(_ROWS):
        seen = name in ("keypoints", "target")
        for column, axes in enumerate(grid[row]):
            points = arrays[name][column]
            if seen:
                points = points - _middle(arrays["target"][column])
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
    return write_png(figure, path, dpi)


def _middle(points: np.ndarray) -> np.ndarray:
    """Middle of the box of the keypoints that there are, `[2]`."""
    middle: np.ndarray = (np.nanmax(points, 0) + np.nanmin(points, 0)) / 2
    return middle


def _read(path: Path) -> tuple[Skeleton, dict[str, np.ndarray]]:
    try:
        with np.load(path) as content:
            skeleton = Skeleton.from_dict(json.loads(str(content["skeleton"])))
            arrays = {name: content[name] for name in ("source", "changed", "keypoints", "target")}
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(path, f"expected a file of the samples of an adaptation ({error})") from error
    missing = (arrays["target"] == 0).all(-1)
    arrays["target"] = np.where(missing[..., None], np.nan, arrays["target"])
    arrays["keypoints"] = np.where((arrays["keypoints"] == 0).all(-1)[..., None], np.nan, arrays["keypoints"])
    return skeleton, arrays
