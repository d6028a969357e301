"""Training never looks at the test subjects: whatever their clips hold, the same weights come out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from graphpose.config import TrainConfig
from graphpose.engine import train
from graphpose.models import load
from graphpose.motion import MotionClip

POISON: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "NaN": lambda positions: torch.full_like(positions, math.nan),
    "huge": lambda positions: 1e6 * positions,
    "zero": torch.zeros_like,
}


def weights(config: TrainConfig, clips: list[MotionClip]) -> dict[str, dict[str, torch.Tensor]]:
    result = train(config, clips=clips, progress=False)
    return {name: load(result.folder / f"{name}.safetensors").state_dict() for name in ("best", "last")}


@pytest.mark.parametrize("poison", POISON)
def test_poisoned_test_clips_change_no_weight(
    poison: str, walkers: list[MotionClip], small_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Subject C tests, B picks the best epoch, A trains; the data of C are replaced by something else altogether."""
    poisoned = [
        clip.replace(positions=POISON[poison](clip.positions)) if clip.subject == "C" else clip for clip in walkers
    ]
    assert any(clip.subject == "C" for clip in walkers)
    clean = weights(small_config(run__output=str(tmp_path / "clean")), walkers)
    dirty = weights(small_config(run__output=str(tmp_path / "dirty")), poisoned)
    for name, state in clean.items():
        for key, value in state.items():
            torch.testing.assert_close(dirty[name][key], value, rtol=0, atol=0, msg=f"{name}: {key} changed")


def test_the_poison_would_be_seen_if_it_were_looked_at(
    walkers: list[MotionClip], small_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """The counterpart: the same done to a subject that trains does change the weights."""
    changed = [clip.replace(positions=0.9 * clip.positions) if clip.subject == "A" else clip for clip in walkers]
    clean = weights(small_config(run__output=str(tmp_path / "clean")), walkers)["last"]
    other = weights(small_config(run__output=str(tmp_path / "other")), changed)["last"]
    assert any(not torch.equal(clean[key], other[key]) for key in clean)
