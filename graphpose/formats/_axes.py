"""Turning points so that a named axis points up, and a warning when a standing person would lie.

`up` is the axis of the file that points up, with a minus where it points down. Each turn is a rotation (determinant 1),
so left stays left: "z" takes (x, y, z) to (x, z, -y), "x" takes it to (z, x, y).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from graphpose.errors import FormatError, unknown_name
from graphpose.formats.plausibility import ImplausibleMotionWarning, limbs
from graphpose.motion.clip import MotionClip

__all__ = ["UP_AXES", "check_up", "to_y_up", "warn_if_lying"]

# (source axis, sign) of the new x, y and z
_TURNS = {
    "x": ((2, 1), (0, 1), (1, 1)),
    "-x": ((2, 1), (0, -1), (1, -1)),
    "y": ((0, 1), (1, 1), (2, 1)),
    "-y": ((0, 1), (1, -1), (2, -1)),
    "z": ((0, 1), (2, 1), (1, -1)),
    "-z": ((0, 1), (2, -1), (1, 1)),
}
UP_AXES = tuple(_TURNS)
_ALONG = (
    0.98  # cosine: people who stand or walk keep trunk and legs within 11 degrees of the vertical; crawling ones do not
)


def check_up(path: Path, up: str) -> str:
    """The axis in lower case without a plus; raises `FormatError` when it is none."""
    axis = str(up).strip().lower().removeprefix("+")
    if axis not in _TURNS:
        raise FormatError(path, unknown_name("axis up=", str(up), UP_AXES))
    return axis


def to_y_up(points: np.ndarray, up: str) -> np.ndarray:
    """`points [..., 3]` of a world in which `up` points up, in one with +Y up."""
    return np.stack([points[..., axis] * sign for axis, sign in _TURNS[up]], axis=-1)


def warn_if_lying(clip: MotionClip, up: str) -> None:
    """Warn when trunk and legs of a clip, read with the axis `up`, stand along an axis other than +Y.

    Skeletons without left and right arms and legs are not judged. A person who lies stretched all along is warned of
    too.
    """
    parts = limbs(clip.skeleton)
    if clip.positions is None or any((side, kind) not in parts for side in "LR" for kind in ("arm", "leg")):
        return
    points = clip.positions.double().numpy()
    shoulders = np.mean([points[:, parts[side, "arm"][0]] for side in "LR"], axis=0)
    hips = np.mean([points[:, parts[side, "leg"][0]] for side in "LR"], axis=0)
    feet = np.mean([points[:, parts[side, "leg"][-1]] for side in "LR"], axis=0)
    trunk, legs = _direction(shoulders - hips), _direction(hips - feet)
    if trunk is None or legs is None:
        return
    for axis, sign in ((0, 1), (0, -1), (1, -1), (2, 1), (2, -1)):
        if sign * trunk[axis] > _ALONG and sign * legs[axis] > _ALONG:
            source, turn = _TURNS[up][axis]
            right = ("-" if sign * turn < 0 else "") + "xyz"[source]
            warnings.warn(
                f"{clip.source or clip.name}: the person stands along another axis at up={up!r}, or lies stretched all "
                f"along; perhaps up={right!r} is right",
                ImplausibleMotionWarning,
                stacklevel=5,
            )
            return


def _direction(vectors: np.ndarray) -> np.ndarray | None:
    """The unit vector of the median of `vectors [T, 3]`; None when there is none."""
    known = vectors[np.isfinite(vectors).all(-1)]
    middle = np.median(known, axis=0) if len(known) else np.zeros(3)
    length = float(np.linalg.norm(middle))
    return middle / length if length > 1e-6 else None
