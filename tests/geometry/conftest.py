from __future__ import annotations

import numpy as np
import pytest
from shared import shared_path


@pytest.fixture(scope="session")
def camera_reference() -> dict[str, np.ndarray]:
    with np.load(shared_path("reference/metrics_camera.npz")) as arrays:
        return dict(arrays)
