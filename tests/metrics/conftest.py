from __future__ import annotations

import numpy as np
import pytest
from shared import shared_path

from graphpose.skeleton import Skeleton


@pytest.fixture(scope="session")
def metrics_reference() -> dict[str, np.ndarray]:
    with np.load(shared_path("reference/metrics.npz")) as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def biped() -> Skeleton:
    return Skeleton(
        name="biped7",
        joints=("hip", "l_knee", "r_knee", "l_foot", "r_foot", "neck", "head"),
        parents=(-1, 0, 0, 1, 2, 0, 5),
        pairs=(("l_knee", "r_knee"), ("l_foot", "r_foot")),
    )
