"""The focal length of a camera that is not known: from its field of view, or from the people it sees.

A person is a stick of one unit that stands upright on the floor, from the middle of the feet A to a top joint S. With `n` the
upward direction in camera space, `H` the height of the camera over the floor and `K = diag(f, f, 1)`:

    Z_a K^-1 a . n = -H          the feet a = (u, v, 1) stand on the floor
    Z_s K^-1 s = Z_a K^-1 a + n  the top is upright above them

Four numbers are unknown: f, two angles of n, and H in units of the stick's length; a frame gives two equations. We minimise

    sum over frames and x, y of  log(1 + ((s' - s) / (c |s - a|))^2)

where `s'` is the top that the four numbers predict: a Cauchy loss, so that people who bend, squat or jump hardly count. c is 0.05
first and then twice the deviation of the residuals, between 0.02 and 0.05. It needs a camera that looks down or up at the people
(level, f and H cannot be told apart) and people at various distances. Both are tested: where the data leave more than 20
percent of uncertainty in f, estimating is refused.

Measured on 43 motion capture clips (Bandai-Namco, 7300 frames) seen from 4 m away and 2.8 m high with f = 1.6: all clips together
1.61 to 1.83 in seven draws of the cameras; of single clips of some seconds 10 were not refused, eight of them within 11 percent,
the others 23 too short and 36 percent too long. From 1 m high every draw was refused. An error of f goes into the depth of
GPA in proportion.

The equations are those of Fei et al., "Single view physical distance estimation using human pose", ICCV 2021; they solve them
linearly for three people and choose with RANSAC. The robust fit to all frames, and the feet and the top taken from the rest
pose of any skeleton, are ours.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import OptimizeResult, least_squares
from torch import Tensor

from graphpose.adaptation.fit_uncertainty import curvature_error, deviation, jackknife_error
from graphpose.errors import ConfigError, DataError
from graphpose.skeleton import Skeleton

__all__ = ["NOISE", "estimate_focal", "feet_and_top", "focal_of_view", "stick_residuals"]

_FRAMES = 1000  # looked at, evenly spread over those there are
_FEWEST = 8  # twice the unknowns
NOISE = 0.05  # of the stick's length: residuals beyond it count less and less at first
_UNCERTAIN = 0.2  # largest standard error of log f
_FLATTEST = 1e12  # condition number beyond which one of the four numbers is not told at all


def focal_of_view(degrees: float) -> float:
    """Focal length `1 / tan(degrees / 2)` in normalised screen units of a camera with that horizontal field of view."""
    if not 0 < degrees < 180:
        raise ConfigError(f"expected a field of view between 0 and 180 degrees (got {degrees!r})")
    return 1 / math.tan(math.radians(degrees) / 2)


def estimate_focal(keypoints: Tensor, visible: Tensor, skeleton: Skeleton) -> float:
    """Focal length, in normalised screen units, of one camera at rest that sees people of about one height on one floor.

    Args:
        keypoints: `[F, J, 2]` normalised screen units, the centre of the lens at (0, 0); frames in order of time.
        visible: `[F, J]` bool.
        skeleton: with a rest pose, by which the feet and the top are found.

    Raises:
        DataError: too few frames with feet and top, no rest pose, or keypoints that do not tell the focal length.
    """
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(skeleton), 2) or visible.shape != keypoints.shape[:2]:
        raise DataError(
            f"expected keypoints [F, {len(skeleton)}, 2] and visible [F, {len(skeleton)}] for skeleton {skeleton.name!r} "
            f"(got {list(keypoints.shape)} and {list(visible.shape)})"
        )
    feet, top = feet_and_top(skeleton)
    whole = visible[:, feet + top].all(-1)
    points = keypoints[whole].double().numpy()
    a, s = points[:, feet].mean(1), points[:, top].mean(1)
    apart = np.linalg.norm(s - a, axis=-1) > 1e-6
    a, s = a[apart], s[apart]
    if len(a) < _FEWEST:
        names = ", ".join(skeleton.joints[j] for j in feet + top)
        raise DataError(
            f"target: expected at least {_FEWEST} frames in which {names} are visible to estimate the focal length (got {len(a)} of "
            f"{len(keypoints)}); {_ASK}"
        )
    whole_frames = len(a)
    chosen = np.unique(np.linspace(0, len(a) - 1, min(len(a), _FRAMES)).round().astype(int))
    a, s = a[chosen], s[chosen]
    rough = _refined(_start(a, s), a, s, NOISE)
    fit = _refined(rough.x, a, s, _scale(rough))
    error = curvature_error(fit, whole_frames, _FLATTEST)
    if error <= _UNCERTAIN:
        scale = _scale(fit)
        error = max(error, jackknife_error(lambda kept: float(_refined(fit.x, a[kept], s[kept], scale).x[0]), len(a)))
    if not error <= _UNCERTAIN:
        about = f"about {100 * error:.0f} %" if error <= 1 else "over 100 %"
        raise DataError(
            f"target: the keypoints do not tell the focal length (its standard error is {about} over {len(a)} frames): expected a camera "
            f"that looks down or up at upright people at various distances; {_ASK}"
        )
    return float(np.exp(fit.x[0]))


_ASK = (
    "give target.view_angle instead, the horizontal field of view in degrees (--target.view_angle 60), or target.focal, "
    "f_pixels / (width / 2)"
)


def feet_and_top(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """The joints between which a person is a stick, by the rest pose.

    The feet are the highest of the joints in the lowest 8 percent of the height, those with a partner where there are any:
    the ankles, since toes point ahead and would make everybody lean back. The top are the
    shoulders: of the paired joints in the highest quarter that hang on the trunk the lowest ones, which sway less than the head.
    Without such joints it is all of the highest quarter.
    """
    if skeleton.rest is None:
        raise DataError(
            f"target: skeleton {skeleton.name!r} has no rest pose, so its feet are not known and no focal length can be estimated; {_ASK}"
        )
    height = skeleton.rest[:, 1]
    paired = skeleton.mirror != np.arange(len(skeleton))
    standing = paired if paired.any() else np.ones(len(skeleton), dtype=bool)
    low, high = height[standing].min(), height.max()
    near = 0.08 * (high - low)
    feet = standing & (height <= low + near)
    feet &= height >= height[feet].max() - near / 8
    top = (height >= high - 0.25 * (high - low)) & ~feet
    on_trunk = np.array([parent < 0 or not paired[parent] for parent in skeleton.parents])
    shoulders = top & paired & on_trunk
    if shoulders.any():
        top = shoulders & (height <= height[shoulders].min() + near)
    return np.flatnonzero(feet).tolist(), np.flatnonzero(top).tolist()


def stick_residuals(x: np.ndarray, a: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Predicted less seen tops in units of the stick's length on the screen `[..., F, 2]`.

    `x [..., 4]`: log f, tilt and roll of the upward direction, log H; a top or feet without a place give a large residual.
    """
    f, tilt, roll, high = (x[..., i, None] for i in range(4))
    f, high = np.exp(f), np.exp(high)
    up = np.stack([np.sin(roll) * np.cos(tilt), -np.cos(roll) * np.cos(tilt), -np.sin(tilt)], axis=-1)  # [..., 1, 3]
    ray = np.concatenate([a / f[..., None], np.ones((*f.shape[:-1], len(a), 1))], axis=-1)
    below = -(ray * up).sum(-1)
    below = np.where(below > 1e-3, below, 1e-3)  # feet at the horizon are far away
    point = ray * (high / below)[..., None] + up
    depth = np.maximum(point[..., 2:], 1e-3)
    return (f[..., None] * point[..., :2] / depth - s) / np.linalg.norm(s - a, axis=-1)[:, None]


def _start(a: np.ndarray, s: np.ndarray) -> np.ndarray:
    """The best of a grid of focal lengths, tilts and heights, with up to 300 of the frames."""
    some = np.linspace(0, len(a) - 1, min(len(a), 300)).round().astype(int)
    axes = (
        np.log(np.geomspace(0.6, 6.0, 10)),
        np.radians(np.linspace(-75, 75, 16)),
        np.zeros(1),
        np.log(np.geomspace(0.25, 8.0, 14)),
    )
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 4)
    cost = np.concatenate(
        [
            np.log1p((stick_residuals(part, a[some], s[some]) / NOISE) ** 2).sum((-2, -1))
            for part in np.array_split(grid, 20)
        ]
    )
    best: np.ndarray = grid[cost.argmin()]
    return best


def _refined(start: np.ndarray, a: np.ndarray, s: np.ndarray, scale: float) -> OptimizeResult:
    """The four numbers that minimise the Cauchy loss of that scale, from a start."""
    limits = ([math.log(0.2), -1.55, -1.0, math.log(0.05)], [math.log(20), 1.55, 1.0, math.log(100)])
    return least_squares(
        lambda x: stick_residuals(x, a, s).ravel(),
        start,
        bounds=limits,
        loss="cauchy",
        f_scale=scale,
        x_scale="jac",
        max_nfev=60,
    )


def _scale(fit: OptimizeResult) -> float:
    """Residuals beyond twice their deviation count less and less."""
    return min(NOISE, 2 * deviation(fit))
