"""How well a fit to upright people tells its first number: from the curvature of the fit, and by leaving out parts of the time.

Frames next to one another show nearly the same pose, so 30 of them count as one. What all poses have in common (people lean
forward) no number of frames averages out. With the residuals r, their Jacobian J and n frames of two equations each:

    deviation   = 1.4826 median |r|                               of those who stand upright; at least 0.01 of the stick's length
    of one pose = deviation sqrt([(J^T J)^-1]_00 n)
    error       = of one pose * sqrt(30 / frames + 0.15^2)

The jackknife fits eight times, without an eighth of the time each: it also sees what the curvature at the optimum does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeResult

__all__ = ["curvature_error", "deviation", "jackknife_error", "poses_of"]

_ALIKE = 30  # neighbouring frames that count as one pose
_SHARED = 0.15  # share of the noise that all poses have in common
_SURE = 0.01  # of the stick's length; no pose is more upright than that
_BLOCKS = 8


def poses_of(frames: int) -> float:
    """How many poses of their own that many frames count as."""
    return max(1.0, frames / _ALIKE)


def deviation(fit: OptimizeResult) -> float:
    """Standard deviation of the residuals of those who stand upright."""
    return max(_SURE, 1.4826 * float(np.median(np.abs(fit.fun))))


def curvature_error(fit: OptimizeResult, frames: int, flattest: float) -> float:
    """Standard error of the first number of a fit.

    Args:
        fit: with residuals `fun [2 n]` in units of the stick's length, and their Jacobian.
        frames: that there are, of which the fit may have looked at some.
        flattest: condition number of `J^T J` beyond which a number is not told; the error is infinite then.
    """
    information = fit.jac.T @ fit.jac
    if not np.linalg.cond(information) < flattest:
        return math.inf
    of_one = deviation(fit) * math.sqrt(np.linalg.inv(information)[0, 0] * len(fit.fun) / 2)
    return of_one * math.hypot(1 / math.sqrt(poses_of(frames)), _SHARED)


def jackknife_error(refit: Callable[[np.ndarray], float], frames: int) -> float:
    """Standard error from fits that leave out an eighth of the time each; `refit(kept [frames] bool)` gives the first number."""
    blocks = np.arange(frames) * _BLOCKS // frames
    left = [refit(blocks != block) for block in range(_BLOCKS)]
    return math.sqrt((_BLOCKS - 1) * float(np.var(left)))
