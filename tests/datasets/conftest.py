from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

MakeClip = Callable[..., MotionClip]


@pytest.fixture(scope="session")
def biped() -> Skeleton:
    return Skeleton(
        "biped5",
        ("hip", "l_knee", "r_knee", "l_foot", "r_foot"),
        (-1, 0, 0, 1, 2),
        pairs=(("l_knee", "r_knee"), ("l_foot", "r_foot")),
    )


@pytest.fixture(scope="session")
def make_clip(biped: Skeleton) -> MakeClip:
    """A biped that wanders near the origin; another seed, another motion."""

    def make(frames: int, seed: int = 0, **fields: object) -> MotionClip:
        generator = torch.Generator().manual_seed(seed * 1000 + frames)
        rest = torch.tensor([[0, 0.9, 0], [0.1, 0.5, 0], [-0.1, 0.5, 0], [0.1, 0, 0], [-0.1, 0, 0]])
        sway = 0.05 * torch.randn(frames, 5, 3, generator=generator)
        path = 0.02 * torch.randn(frames, 1, 3, generator=generator).cumsum(0)
        return MotionClip(biped, 30.0, rest + sway + path, **({"name": f"clip{seed}_{frames}"} | fields))

    return make
