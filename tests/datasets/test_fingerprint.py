"""The fingerprint knows what clips hold, and nothing of where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphpose.datasets.fingerprint import clip_digest, fingerprint
from graphpose.formats import read_all
from graphpose.geometry import Camera
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

THREE = Skeleton.from_parents([-1, 0, 1], ["a", "b", "c"])


def clip(name: str = "one", **changes: Any) -> MotionClip:
    values = {"positions": torch.arange(36.0).view(4, 3, 3), "subject": "S1", "action": "walk", "source": "x/one.npz"}
    return MotionClip(THREE, 30.0, name=name, **{**values, **changes})


def test_order_and_place_change_nothing() -> None:
    first, second = clip("one"), clip("two", positions=torch.ones(5, 3, 3))
    assert fingerprint([first, second]) == fingerprint([second, first])
    moved = first.replace(source="elsewhere/one.npz", subject="other", action="run", tags={"split": "test"})
    assert clip_digest(moved) == clip_digest(first)
    assert fingerprint([first]).startswith("sha256:") and len(fingerprint([first])) == 71


def test_moved_files_are_the_same_data(tmp_path: Path, repository: Path) -> None:
    samples = repository / "data" / "samples"
    (tmp_path / "elsewhere" / "deeper").mkdir(parents=True)
    for number, file in enumerate(sorted(samples.glob("*.bvh"))[:3]):
        (tmp_path / "elsewhere" / ("deeper" if number else ".") / file.name).write_bytes(file.read_bytes())
    here = read_all(sorted(samples.glob("*.bvh"))[:3])
    assert fingerprint(here) == fingerprint(read_all(tmp_path / "elsewhere"))
    assert fingerprint(here) != fingerprint(here[:2])


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": torch.arange(36.0).view(4, 3, 3) + torch.eye(3) * 1e-4},
        {"keypoints": torch.zeros(4, 3, 2)},
        {"name": "other"},
        {"positions": torch.arange(36.0).view(4, 3, 3)[:3]},
        {"camera": Camera(torch.eye(3), torch.zeros(3), torch.ones(2))},
    ],
    ids=["positions", "keypoints", "name", "length", "camera"],
)
def test_content_changes_it(changes: dict[str, Any]) -> None:
    assert clip_digest(clip(**changes)) != clip_digest(clip())


def test_rate_counts_and_missing_is_missing_however_it_is_spelled() -> None:
    assert clip_digest(MotionClip(THREE, 25.0, positions=clip().positions, name="one")) != clip_digest(clip())
    gap = torch.arange(36.0).view(4, 3, 3)
    gap[1, 2] = float("nan")
    other = gap.clone()
    other[1, 2] = -float("nan")
    assert clip_digest(clip(positions=gap)) == clip_digest(clip(positions=other)) != clip_digest(clip())
    assert clip_digest(clip(positions=torch.zeros(2, 3, 3))) == clip_digest(clip(positions=-torch.zeros(2, 3, 3)))


def test_clips_of_one_content_count_as_often_as_they_come() -> None:
    assert fingerprint([clip(), clip()]) != fingerprint([clip()])
