"""A lens from joints and pixels: exact where they come from one, honest where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphpose.formats._pinhole_fit import fit_pinhole


def scene(seed: int, focal: tuple[float, float], center: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    points = np.random.default_rng(seed).uniform([-1, -1, 3], [1, 1, 6], size=(20, 17, 3))
    return points, points[..., :2] / points[..., 2:] * focal + center


@given(st.integers(0, 100), st.floats(100, 3000), st.floats(100, 3000), st.floats(-500, 3000), st.floats(-500, 3000))
def test_an_exact_lens_is_found(seed: int, fx: float, fy: float, cx: float, cy: float) -> None:
    points, pixels = scene(seed, (fx, fy), (cx, cy))
    fit = fit_pinhole(points, pixels)
    assert fit is not None and fit.residual < 1e-8
    np.testing.assert_allclose([*fit.focal, *fit.center], [fx, fy, cx, cy], rtol=1e-8, atol=1e-6)


def test_gaps_and_points_behind_are_left_out() -> None:
    points, pixels = scene(0, (1500, 1500), (1024, 1024))
    points[0, 0], points[1, 1, 2], pixels[2, 2] = np.nan, -1, np.inf
    fit = fit_pinhole(points, pixels)
    assert fit is not None and fit.residual < 1e-8 and fit.focal[0] == pytest.approx(1500)


def test_the_residual_says_how_far_the_pixels_are() -> None:
    points, pixels = scene(0, (1500, 1500), (1024, 1024))
    fit = fit_pinhole(points, pixels + np.random.default_rng(1).normal(0, 10, pixels.shape))
    assert fit is not None and 10 < fit.residual < 13  # the median of a Rayleigh distribution is 1.18 sigma


@pytest.mark.parametrize(
    "change",
    [
        lambda p, x: (p * np.nan, x),
        lambda p, x: (p * [1, 1, -1], x),  # all behind
        lambda p, x: (p * [0, 0, 1], x),  # all on the axis
        lambda p, x: (p, -x),  # mirrored: a negative focal length
        lambda p, x: (p[:1, :2], x[:1, :2]),
    ],
)
def test_what_no_lens_explains(change: object) -> None:
    assert fit_pinhole(*change(*scene(0, (1500, 1500), (1024, 1024)))) is None  # type: ignore[operator]
