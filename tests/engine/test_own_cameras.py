"""Clips that bring cameras of their own are not silently measured in the views of the training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from walkers import walker

from graphpose.config import EvaluateConfig
from graphpose.engine import Evaluation, OwnCamerasWarning, evaluate
from graphpose.formats import write
from graphpose.geometry import static_views
from graphpose.models import create, save

ADAPTED = json.dumps({"adapted_to": "other cameras"})


def quick(path: Path, data: dict[str, object]) -> Evaluation:
    return evaluate(path, EvaluateConfig(data=data, accelerator="cpu", flip=False), progress=False)


def weights(folder: Path, statement: str, data: dict[str, object]) -> Path:
    """Untrained weights of a training in two views."""
    skeleton = walker(2, "any").skeleton
    model = create("mixste", skeleton, frames=3, channels=8, depth=1, heads=2)
    config = {"data": {"frames": 3, "views": {"azimuths": [30.0, 120.0]}, **data}}
    return save(model, folder / "weights.safetensors", config=config, data_statement=statement)


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """A walker with the camera that saw him, and one without."""
    (tmp_path / "seen").mkdir()
    clip = walker(8, "there")
    assert clip.positions is not None
    [camera] = static_views(clip.positions[:, 0].mean(0), azimuths=[80.0], distance=6.0, height=3.0, focal=1.5)
    write(clip.seen_by(camera), tmp_path / "seen" / "there.npz")
    write(walker(9, "bare"), tmp_path / "seen" / "bare.npz")
    return tmp_path / "seen"


@pytest.mark.parametrize(
    ("statement", "more"), [(ADAPTED, ", and this checkpoint was adapted to other"), ("words", "")]
)
def test_other_views_than_the_cameras_of_the_clips_are_warned_of(
    statement: str, more: str, seen: Path, tmp_path: Path
) -> None:
    path = weights(tmp_path, statement, {})
    told = rf"^1 of 2 clips bring a camera of their own.*the static views of the training{more}.*--data.views.kind clip"
    with pytest.warns(OwnCamerasWarning, match=told):
        assert len(quick(path, {"paths": [str(seen)]}).clips) == 4


@pytest.mark.parametrize(("kind", "views"), [("clip", 1), ("static", 2)])
def test_views_that_were_asked_for_are_a_choice(kind: str, views: int, seen: Path, tmp_path: Path) -> None:
    path = weights(tmp_path, ADAPTED, {})
    result = quick(path, {"paths": [str(seen / "there.npz")], "views": {"kind": kind}})
    assert len(result.clips) == views


def test_nothing_is_said_of_the_clips_of_the_training_or_of_clips_without_a_camera(seen: Path, tmp_path: Path) -> None:
    path = weights(tmp_path, "words", {"paths": [str(seen / "there.npz")]})
    assert len(quick(path, {}).clips) == 2
    assert len(quick(path, {"paths": [str(seen / "bare.npz")]}).clips) == 2
