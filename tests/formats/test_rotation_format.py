"""A format of joint rotations is its parser: options, units, labels and the checks of the result are those of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats._rotation_format import Recording, rotation_format
from graphpose.skeleton import Skeleton

ARM = Skeleton("arm", ("shoulder", "hand"), (-1, 0))


def parse(path: Path, skeleton: Any, allow_truncated: bool) -> Recording:
    """Four frames of an arm of 30 units that turns about the shoulder, a quarter in all; three of the truncated file."""
    angle = np.linspace(0, np.pi / 2, 4)[: 3 if allow_truncated else 4]
    local = np.zeros((3, 4, 2, len(angle)))
    local[:, :3] = np.eye(3)[..., None, None]
    local[0, 0, 0] = local[1, 1, 0] = np.cos(angle)
    local[1, 0, 0], local[0, 1, 0] = np.sin(angle), -np.sin(angle)
    local[0, 3, 1] = float(skeleton or 30.0)
    return Recording(ARM, ARM.parents, local, 0.01, 25.0, "S1", "wave")


TURNING = rotation_format("turning", ".turn", parse, "an arm that turns")


def test_options_replace_what_the_file_says() -> None:
    [clip] = TURNING.read(Path("left.turn"))
    assert (clip.fps, clip.subject, clip.action, clip.name, clip.source) == (25.0, "S1", "wave", "left", "left.turn")
    torch.testing.assert_close(clip.positions[[0, 3], 1], torch.tensor([[0.3, 0, 0], [0, 0.3, 0]]))
    torch.testing.assert_close(clip.rotations[3, 1] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))
    [other] = TURNING.read(Path("left.turn"), scale=0.1, fps=50.0, allow_truncated=True)
    assert (other.frames, other.fps) == (3, 50.0)
    torch.testing.assert_close(other.positions, 10 * clip.positions[:3])


def test_numbers_without_end_are_refused() -> None:
    with pytest.raises(FormatError, match=r"left\.turn: its numbers are too large"):
        TURNING.read(Path("left.turn"), skeleton=np.inf)


def test_the_bundled_ones_take_the_same_options() -> None:
    for name in ("asf_amc", "bvh"):
        assert formats.available()[name].options == TURNING.options == ("allow_truncated",)
