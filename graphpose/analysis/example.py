"""One clip to look at: 2D input, predicted 3D and, where it is known, the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.upright import upright
from graphpose.errors import DataError, unknown_name

if TYPE_CHECKING:
    from graphpose.skeleton import Skeleton

__all__ = ["SPACES", "Example"]

SPACES = ("camera", "world")


def as_array(values: Any) -> np.ndarray:
    """A float64 copy of a numpy array, nested list or (also differentiable, also device) torch tensor."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.array(values, dtype=np.float64)


@dataclass
class Example:
    """A predicted clip as the report and the poster draw it; arrays may be numpy or torch, kept as float64 numpy.

    Args:
        name: heading.
        skeleton: of all arrays.
        keypoints: `[T, J, 2]`, the input: normalised screen units or pixels, y down.
        predicted: `[T, J, 3]`, metres in `space`.
        target: `[T, J, 3]`, the truth, metres in `space`; None where it is not known.
        fps: frames a second.
        error: `[T, J]`, metres; by default the distance from `predicted` to `target`.
        space: "camera" (x right, y down, z away) or "world" (+Y up).
        up: `[3]`, the world's up as a direction of `space`, so that a tilted camera does not draw people leaning.

    NaN marks what is missing.

    Raises `DataError` when shapes, joints or the rate do not agree.
    """

    name: str
    skeleton: Skeleton
    keypoints: np.ndarray
    predicted: np.ndarray
    target: np.ndarray | None = None
    fps: float = 30.0
    error: np.ndarray | None = None
    space: str = "camera"
    up: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise DataError(f"example {self.name!r}: {unknown_name('space', self.space, SPACES)}")
        self.fps = float(self.fps)
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise DataError(f"example {self.name!r}: expected fps > 0 (got {self.fps})")
        joints = len(self.skeleton.joints)
        self.predicted = self._checked("predicted", self.predicted, (None, joints, 3))
        frames = len(self.predicted)
        if frames == 0:
            raise DataError(f"example {self.name!r}: expected at least one frame (got 0); leave empty clips out")
        self.keypoints = self._checked("keypoints", self.keypoints, (frames, joints, 2))
        if self.target is not None:
            self.target = self._checked("target", self.target, (frames, joints, 3))
        if self.error is not None:
            self.error = self._checked("error", self.error, (frames, joints))
        elif self.target is not None:
            self.error = np.linalg.norm(self.predicted - self.target, axis=-1)
        if self.up is not None:
            self.up = self._checked("up", self.up, (3,))
            if not (np.isfinite(self.up).all() and np.linalg.norm(self.up) > 0):
                raise DataError(f"example {self.name!r}: expected up to be a direction (got {self.up.tolist()})")

    def _checked(self, field: str, values: Any, shape: tuple[int | None, ...]) -> np.ndarray:
        array = as_array(values)
        if array.ndim != len(shape) or any(
            want not in (None, got) for want, got in zip(shape, array.shape, strict=True)
        ):
            expected = ", ".join("T" if want is None else str(want) for want in shape)
            raise DataError(
                f"example {self.name!r}: expected {field} of shape [{expected}] for the {len(self.skeleton.joints)} "
                f"joints of skeleton {self.skeleton.name!r} (got {list(array.shape)})"
            )
        return array

    def drawn(self) -> tuple[np.ndarray, np.ndarray | None]:
        """`predicted` and `target` turned upright for drawing (x right, y away, z up)."""
        target = None if self.target is None else upright(self.target, self.space, self.up)
        return upright(self.predicted, self.space, self.up), target

    @property
    def frames(self) -> int:
        """T."""
        return len(self.predicted)

    def frame_error(self) -> np.ndarray | None:
        """Mean error over the joints that have one `[T]` in metres, NaN where no joint has; None without truth."""
        if self.error is None:
            return None
        known = np.isfinite(self.error)
        count = known.sum(axis=1)
        total = np.where(known, self.error, 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)
