"""How far cameras look down: of the target, read off upright people; of the source, from its cameras.

The target's focal length is known here, so keypoints become directions with f = 1, and of the four numbers by which `intrinsics.py`
describes a camera over a floor three are left: tilt, roll and height. The fit is the same, and as there the keypoints must tell the
answer: people in one place, as in a single short clip, fit a whole range of tilts and heights equally well, and are refused.

    tilt = angle between the optical axis and the horizontal, positive looking down       up in camera space: (., -cos, -sin)

Measured on some twenty motion capture clips together (Bandai-Namco, over 2000 frames), seen by cameras all around: 22.9 degrees for
24.2 (2.8 m high, 4 m away), 2.3 for 2.3 (1.2 m, 5 m), 18.8 for 19.7 (3.5 m, 7 m). Of single clips of some
seconds three in four are refused.

Ours; PoseDA leaves poses turned as the source's cameras saw them, and learns turns. One tilt is assumed for all of the target: one
camera, or several set up alike.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import OptimizeResult, least_squares
from torch import Tensor

from graphpose.adaptation.fit_uncertainty import curvature_error, jackknife_error, poses_of
from graphpose.adaptation.intrinsics import NOISE, feet_and_top, stick_residuals
from graphpose.adaptation.target_keypoints import TargetKeypoints
from graphpose.datasets import PoseWindows
from graphpose.errors import DataError

__all__ = ["source_tilts", "target_tilt"]

_FRAMES = 2000  # looked at, evenly spread over those there are
_FEWEST = 8
_UNCERTAIN = math.radians(5.0)
_FLATTEST = 5e4  # condition number beyond which one of the three numbers is hardly told


def target_tilt(target: TargetKeypoints) -> float:
    """Tilt of the target's cameras, radians.

    Raises:
        DataError: a skeleton without a rest pose, too few frames with feet and top of the body, or keypoints that do not tell the
            tilt (a standard error above 5 degrees); the message says how to give it.
    """
    ask = (
        "give alignment.tilt in degrees, positive looking down (--alignment.tilt 20), or 'source' to leave poses as the source's "
        "cameras saw them"
    )
    if target.skeleton.rest is None:
        raise DataError(
            f"skeleton {target.skeleton.name!r}: expected a rest pose, by which feet and top of the body are known, to read off the tilt "
            f"(got none); {ask}"
        )
    feet, top = feet_and_top(target.skeleton)
    whole = target.visible[:, feet + top].all(-1)
    camera = target.intrinsics[whole].double()
    points = ((target.keypoints[whole].double() - camera[:, None, 2:]) / camera[:, None, :2]).numpy()
    a, s = points[:, feet].mean(1), points[:, top].mean(1)
    apart = np.linalg.norm(s - a, axis=-1) > 1e-6
    a, s = a[apart], s[apart]
    if len(a) < _FEWEST:
        names = ", ".join(target.skeleton.joints[j] for j in feet + top)
        raise DataError(
            f"target: expected {_FEWEST} frames in which {names} are visible, and apart, to read off the tilt (got {len(a)}); {ask}"
        )
    whole_frames = len(a)
    chosen = np.unique(np.linspace(0, len(a) - 1, min(len(a), _FRAMES)).round().astype(int))
    a, s = a[chosen], s[chosen]
    start = min(_grid(), key=lambda x: float(np.log1p((_residuals(x, a, s) / NOISE) ** 2).sum()))
    fit = _fitted(start, a, s)
    error = curvature_error(fit, whole_frames, _FLATTEST)
    if error <= _UNCERTAIN:
        error = max(error, jackknife_error(lambda kept: float(_fitted(fit.x, a[kept], s[kept]).x[0]), len(a)))
    if not error <= _UNCERTAIN:
        degrees, clips = math.degrees(error), len(target.lengths)
        about = f"of {degrees:.0f} degrees" if degrees <= 90 else "above 90 degrees"
        raise DataError(
            f"target: the keypoints do not tell how far the cameras look down (a standard error {about} from {whole_frames} frames in "
            f"{clips} clip{'' if clips == 1 else 's'}, which count as {poses_of(whole_frames):.0f} poses; expected "
            f"{math.degrees(_UNCERTAIN):.0f} degrees or less): people in one place fit a whole range of tilts. Give more clips of "
            "upright people at various distances, about twenty of some seconds each (2,000 frames), all in one target; or "
            f"{ask}"
        )
    return float(fit.x[0])


def source_tilts(windows: PoseWindows, *, needed: bool = True) -> Tensor:
    """Tilt `[tracks]` of the camera of each track, radians; the mean of a camera that moves.

    Args:
        windows: of the source.
        needed: refuse a camera whose tilt is not known; else it counts as level.

    Raises:
        DataError: a track whose camera is not there, or that stands on its head: +Y is then not up, as where positions are in
            the camera's own axes.
    """
    tilts = []
    for number, camera in enumerate(windows.cameras):
        clip = windows.clips[int(windows.track_clip[number])]
        up = (
            torch.zeros(3) if camera is None else camera.rotation[..., :, 1].reshape(-1, 3).mean(0)
        )  # +Y in camera axes
        upright = clip.space == "world" and bool(up[1] < 0)
        if needed and not upright:
            got = (
                "none"
                if camera is None
                else "positions in the camera's own axes"
                if clip.space != "world"
                else "+Y down"
            )
            raise DataError(
                f"source clip {clip.name!r}: expected a camera that sees +Y of the world up, to know how far it looks down (got {got}); "
                "set alignment.tilt to 'source'"
            )
        tilts.append(torch.atan2(-up[2], up[:2].norm()).float() if upright else torch.zeros(()))
    return torch.stack(tilts)


def _grid() -> list[np.ndarray]:
    tilts, heights = np.radians(np.linspace(-75, 75, 31)), np.log(np.geomspace(0.25, 8.0, 14))
    return [np.array([tilt, 0.0, height]) for tilt in tilts for height in heights]


def _residuals(x: np.ndarray, a: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Of tilt, roll and log height `[3]`, the focal length being 1."""
    return stick_residuals(np.concatenate([[0.0], x]), a, s).ravel()


def _fitted(start: np.ndarray, a: np.ndarray, s: np.ndarray) -> OptimizeResult:
    limits = ([-1.55, -1.0, math.log(0.05)], [1.55, 1.0, math.log(100)])
    return least_squares(_residuals, start, bounds=limits, loss="cauchy", f_scale=NOISE, args=(a, s), max_nfev=60)
