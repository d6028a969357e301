"""How far cameras look down: of the target, read off upright people; of the source, from its cameras.

The target's focal length is known here, so keypoints become directions with f = 1, and of the four numbers by which `intrinsics.py`
describes a camera over a floor three are left: tilt, roll and height. The fit is the same.

    tilt = angle between the optical axis and the horizontal, positive looking down       up in camera space: (., -cos, -sin)

Ours; PoseDA leaves poses turned as the source's cameras saw them, and learns turns. One tilt is assumed for all of the target: one
camera, or several set up alike.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor

from graphpose.adaptation.intrinsics import NOISE, feet_and_top, stick_residuals
from graphpose.adaptation.target_keypoints import TargetKeypoints
from graphpose.datasets import PoseWindows
from graphpose.errors import DataError

__all__ = ["source_tilts", "target_tilt"]

_FRAMES = 2000  # looked at, evenly spread over those there are
_FEWEST = 8
_UNCERTAIN = math.radians(5.0)
_BLOCKS = 8


def target_tilt(target: TargetKeypoints) -> float:
    """Tilt of the target's cameras, radians.

    Raises:
        DataError: too few frames with feet and top of the body, or keypoints that do not tell the tilt (a standard error above 5
            degrees); the message says how to give it.
    """
    ask = "give alignment.tilt in degrees, or 'source' to leave poses as the source's cameras saw them"
    feet, top = feet_and_top(target.skeleton)
    whole = target.visible[:, feet + top].all(-1)
    camera = target.intrinsics[whole].double()
    points = ((target.keypoints[whole].double() - camera[:, None, 2:]) / camera[:, None, :2]).numpy()
    if len(points) < _FEWEST:
        names = ", ".join(target.skeleton.joints[j] for j in feet + top)
        raise DataError(
            f"target: expected {_FEWEST} frames in which {names} are visible to read off the tilt (got {len(points)}); {ask}"
        )
    chosen = np.unique(np.linspace(0, len(points) - 1, min(len(points), _FRAMES)).round().astype(int))
    a, s = points[chosen][:, feet].mean(1), points[chosen][:, top].mean(1)
    apart = np.linalg.norm(s - a, axis=-1) > 1e-6
    a, s = a[apart], s[apart]
    start = min(_grid(), key=lambda x: float(np.log1p((_residuals(x, a, s) / NOISE) ** 2).sum()))
    fit = _fitted(start, a, s)
    blocks = np.arange(len(a)) * _BLOCKS // len(a)
    left = [_fitted(fit, a[blocks != b], s[blocks != b])[0] for b in range(_BLOCKS)]
    error = math.sqrt((_BLOCKS - 1) * float(np.var(left)))  # jackknife: neighbouring frames are alike
    if not error <= _UNCERTAIN:
        raise DataError(
            f"target: the keypoints do not tell how far the cameras look down (a standard error of {math.degrees(error):.0f} degrees); "
            f"expected upright people at various distances; {ask}"
        )
    return float(fit[0])


def source_tilts(windows: PoseWindows) -> Tensor:
    """Tilt `[tracks]` of the camera of each track, radians; the mean of a camera that moves.

    Raises:
        DataError: a track whose camera is not known.
    """
    tilts = []
    for number, camera in enumerate(windows.cameras):
        if camera is None:
            clip = windows.clips[int(windows.track_clip[number])]
            raise DataError(
                f"source clip {clip.name!r}: expected a camera, to know how far it looks down (got none); set alignment.tilt to 'source'"
            )
        up = camera.rotation[..., :, 1].reshape(-1, 3).mean(0)  # world +Y in camera axes
        tilts.append(torch.atan2(-up[2], -up[1]))
    return torch.stack(tilts).float()


def _grid() -> list[np.ndarray]:
    tilts, heights = np.radians(np.linspace(-75, 75, 31)), np.log(np.geomspace(0.25, 8.0, 14))
    return [np.array([tilt, 0.0, height]) for tilt in tilts for height in heights]


def _residuals(x: np.ndarray, a: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Of tilt, roll and log height `[3]`, the focal length being 1."""
    return stick_residuals(np.concatenate([[0.0], x]), a, s).ravel()


def _fitted(start: np.ndarray, a: np.ndarray, s: np.ndarray) -> np.ndarray:
    limits = ([-1.55, -1.0, math.log(0.05)], [1.55, 1.0, math.log(100)])
    fit = least_squares(_residuals, start, bounds=limits, loss="cauchy", f_scale=NOISE, args=(a, s), max_nfev=60)
    found: np.ndarray = fit.x
    return found
