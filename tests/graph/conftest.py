from __future__ import annotations

import pytest

from graphpose.skeleton import Skeleton


@pytest.fixture
def biped() -> Skeleton:
    """Five joints, two pairs; the parent of joint 1 comes after it."""
    return Skeleton("biped5", ("lf", "lk", "hip", "rk", "rf"), (1, 2, -1, 2, 3), pairs=(("lf", "rf"), ("lk", "rk")))


@pytest.fixture
def chain() -> Skeleton:
    """Three joints in a line, no pairs."""
    return Skeleton.from_parents([-1, 0, 1])
