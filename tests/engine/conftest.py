"""Small worlds for the engine: five-joint walkers, seen by two cameras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from walkers import six_walkers

from graphpose.config import TrainConfig
from graphpose.motion import MotionClip


@pytest.fixture
def walkers() -> list[MotionClip]:
    """Six clips of three subjects, 40 to 90 frames."""
    return six_walkers()


@pytest.fixture
def small_config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """A configuration that trains in a second; keyword arguments replace dotted keys."""

    def make(**changes: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "data": {
                "frames": 9,
                "batch_size": 8,
                "views": {"azimuths": [30.0, 200.0]},
                "split": {"by": "subject", "test": ["C"], "val": ["B"]},
            },
            "model": {"name": "ktpformer", "options": {"channels": 16, "depth": 1, "heads": 2}},
            "optim": {"lr": 2e-3},
            "run": {"max_epochs": 2, "output": str(tmp_path / "run"), "accelerator": "cpu", "log_every": 1},
        }
        for dotted, value in changes.items():
            *path, last = dotted.split("__")
            below = values
            for key in path:
                below = below.setdefault(key, {})
            below[last] = value
        return TrainConfig.from_dict(values)

    return make
