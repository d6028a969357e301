"""The standard error of a fit: that of least squares where frames are poses of their own, infinite where nothing tells it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import OptimizeResult, least_squares

from graphpose.adaptation.fit_uncertainty import curvature_error, deviation, jackknife_error, poses_of


def line(frames: int, noise: float, seed: int = 0) -> tuple[OptimizeResult, np.ndarray]:
    """A slope and a height fitted to points with noise, two equations a frame."""
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, size=2 * frames)
    y = 0.7 * x + 0.2 + noise * random.normal(size=2 * frames)
    return least_squares(lambda p: p[0] * x + p[1] - y, np.zeros(2)), x


def test_it_is_the_error_of_least_squares_with_the_poses_in_place_of_the_frames() -> None:
    frames = 3000
    fit, x = line(frames, 0.1)
    independent = 0.1 / math.sqrt(float(((x - x.mean()) ** 2).sum()))  # of 2 n independent equations
    expected = independent * math.sqrt(frames) * math.hypot(1 / math.sqrt(frames / 30), 0.15)
    assert curvature_error(fit, frames, 1e12) == pytest.approx(expected, rel=0.05)


def test_more_frames_make_it_smaller_down_to_what_all_poses_share() -> None:
    fit, _ = line(100, 0.1)
    errors = [curvature_error(fit, frames, 1e12) for frames in (10, 30, 3000, 10**9)]
    assert errors[0] == errors[1] > errors[2] > errors[3]  # 30 frames and fewer are one pose
    assert errors[3] == pytest.approx(0.15 / math.hypot(1, 0.15) * errors[1], rel=1e-3)
    assert (poses_of(1), poses_of(30), poses_of(300)) == (1, 1, 10)


def test_perfect_data_keep_a_little_doubt_and_outliers_do_not_count() -> None:
    exact, _ = line(50, 0.0)
    assert deviation(exact) == 0.01 and curvature_error(exact, 50, 1e12) > 0
    noisy, _ = line(500, 0.1)
    before = deviation(noisy)
    noisy.fun[:100] = 50.0
    assert before == pytest.approx(0.1, rel=0.1) and deviation(noisy) < 1.5 * before


def test_what_is_not_told_is_infinite() -> None:
    flat = OptimizeResult(fun=np.ones(6), jac=np.array([[1.0, 1.0]] * 6))
    assert curvature_error(flat, 100, 1e12) == math.inf
    told = OptimizeResult(fun=np.ones(6), jac=np.array([[1.0, 1.0], [1.0, -1.0]] * 3))
    assert math.isfinite(curvature_error(told, 100, 1e12))
    assert curvature_error(told, 100, 1.0) == math.inf


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=8)
    found = jackknife_error(lambda kept: float(values[kept].mean()), 8)
    assert found == pytest.approx(float(values.std(ddof=1)) / math.sqrt(8), rel=1e-9)


def test_the_jackknife_leaves_out_each_part_of_the_time_once() -> None:
    left_out = []

    def refit(kept: np.ndarray) -> float:
        left_out.append(np.flatnonzero(~kept))
        return 0.0

    assert jackknife_error(refit, 100) == 0
    assert np.concatenate(left_out).tolist() == list(range(100)) and len(left_out) == 8
