"""The widths of a temporal pyramid give the receptive field that was asked for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphpose.nn.filter_widths import filter_widths


@pytest.mark.parametrize(
    ("frames", "widths"),
    [(1, ()), (2, ()), (3, (3,)), (27, (3, 3, 3)), (243, (3,) * 5), (45, (3, 3, 5)), (50, (7, 7)), (241, (241,))],
)
def test_known_pyramids(frames: int, widths: tuple[int, ...]) -> None:
    assert filter_widths(frames) == widths


@given(st.integers(1, 10**6))
def test_widths_are_odd_primes_whose_product_is_the_largest_not_above(frames: int) -> None:
    widths = filter_widths(frames)
    assert math.prod(widths) == (frames if frames % 2 else frames - 1)
    assert list(widths) == sorted(widths)
    assert all(width % 2 and all(width % k for k in range(3, math.isqrt(width) + 1, 2)) for width in widths)
