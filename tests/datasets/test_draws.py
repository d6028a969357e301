"""The counter-based draws: order, batch and neighbours make no difference, and they are spread as they should be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from graphpose.datasets.draws import normal, uniform


@given(st.integers(0, 2**32), st.integers(0, 500), st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_draws_of_an_index_are_its_own(seed: int, epoch: int, index: list[int]) -> None:
    together = normal(seed, epoch, np.array(index), "noise", 7)
    alone = np.concatenate([normal(seed, epoch, np.array([i]), "noise", 7) for i in index])
    np.testing.assert_array_equal(together, alone)


def test_every_part_of_the_key_matters() -> None:
    index = np.arange(100)
    base = uniform(1, 2, index, "flip", 4)
    others = [uniform(2, 2, index, "flip", 4), uniform(1, 3, index, "flip", 4), uniform(1, 2, index, "start", 4)]
    others += [uniform(2, 1, index, "flip", 4), uniform(1, 2, index + 1, "flip", 4)]
    assert all((base != other).all() for other in others)
    assert len(np.unique(np.concatenate([base, others[0], others[1], others[2]]))) == 1600


def test_moments_and_independence() -> None:
    u = uniform(0, 0, np.arange(2000), "missing", 50)
    assert u.min() > 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 0.003
    assert abs(u.var() - 1 / 12) < 0.002
    n = normal(0, 0, np.arange(2000), "noise", 51)
    assert n.shape == (2000, 51)
    assert abs(n.mean()) < 0.01
    assert abs(n.std() - 1) < 0.01
    correlation = np.corrcoef(n.T) - np.eye(51)
    assert np.abs(correlation).max() < 0.1
    assert abs(np.corrcoef(n[:-1, 0], n[1:, 0])[0, 1]) < 0.08
