"""What a store, and windows out of it, cannot be used for is told in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stored_clips import assert_same_windows, cameras, stored

from graphpose.config import DataConfig, TrainConfig, ViewsConfig
from graphpose.datasets import (
    Augmentation,
    ClipStore,
    PoseDataModule,
    PoseWindows,
    Views,
    prepare_clips,
    prepare_store,
)
from graphpose.errors import DataError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


@pytest.fixture
def walks(make_clip) -> list[MotionClip]:
    return [make_clip(frames, frames) for frames in (40, 3, 25, 12)]


def test_a_store_is_used_as_it_was_prepared(walks, tmp_path: Path, biped: Skeleton) -> None:
    stored(walks, tmp_path / "a")
    path = str(tmp_path / "a_store")
    base = DataConfig(paths=[path])
    assert len(prepare_clips(base)) == 4
    for fields, words in (
        (
            {"skeleton": "h36m17"},
            r"on skeleton 'biped5', asked for is 'h36m17'; leave data.skeleton out, or prepare another",
        ),
        ({"fps": 25.0}, r"has 30 frames/s, data.fps asks for 25; set data.fps to 30"),
        ({"scale": 0.01}, r"prepared with scale None \(got data.scale 0.01\)"),
        ({"name_pattern": "(?P<subject>a)"}, "prepared with name_pattern None"),
        ({"paths": [path, str(SAMPLES)]}, "a store alone"),
    ):
        with pytest.raises(DataError, match=words):
            prepare_clips(replace(base, **fields))
        with pytest.raises(DataError, match=words.replace("data.", "target.")):
            prepare_clips(replace(base, **fields), section="target", option="--target")
    with pytest.raises(DataError, match="those of a store: expected all or none"):
        PoseWindows([*prepare_clips(base), walks[0]], 5)
    with pytest.raises(DataError, match=r"no store here; make one with `graphpose data prepare"):
        ClipStore(tmp_path)


def test_clips_that_cameras_cannot_see_are_named(make_clip, biped: Skeleton, tmp_path: Path) -> None:
    """The same words as in memory; what the index alone cannot decide is read."""
    runner = make_clip(30, name="runner")
    runner.positions += torch.linspace(-9, 9, 30)[:, None, None] * torch.tensor([1.0, 0.0, 1.0])
    far = make_clip(20, name="far")
    far.positions += torch.linspace(-4.2, 4.2, 20)[:, None, None] * torch.tensor([1.0, 0.0, 0.0])
    points = make_clip(20, 2).seen_by(cameras()["plain"])
    large = points.replace(name="large", keypoints=100 + points.keypoints)
    lost = points.replace(name="lost", camera=None)
    local = make_clip(20, 4, name="local").replace(space="camera")
    bare = MotionClip(biped, 30.0, keypoints=torch.zeros(9, 5, 2), name="bare")
    for number, (clips, views) in enumerate(
        (
            ([make_clip(9), runner], Views()),
            ([make_clip(9), runner], Views("orbit")),
            ([large], Views("clip")),
            ([lost], Views("clip")),
            ([local], Views()),
            ([make_clip(9)], Views("clip")),
            ([make_clip(9)], Views("statics")),
            ([make_clip(9), bare], Views()),
        )
    ):
        memory, files = stored(clips, tmp_path / str(number))
        with pytest.raises(DataError) as expected:
            PoseWindows(memory, 5, views=views)
        with pytest.raises(DataError) as found:
            PoseWindows(files, 5, views=views)
        assert str(found.value) == str(expected.value)
    assert_same_windows(*stored([far], tmp_path / "far"), views=Views(azimuths=(0.0,)))


def test_a_root_that_has_a_partner(tmp_path: Path) -> None:
    paired = Skeleton.from_parents([-1, 0], ["l_hip", "r_hip"], [("l_hip", "r_hip")])
    _, clips = stored([MotionClip(paired, 30.0, torch.rand(9, 2, 3))], tmp_path / "a")
    PoseWindows(clips, 3)
    with pytest.raises(DataError, match="its root is one of a left/right pair"):
        PoseWindows(clips, 3, augmentation=Augmentation(flip=0.5))


def test_without_pyarrow(walks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(walks, tmp_path / "a")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    for call in (
        lambda: ClipStore(tmp_path / "a_store"),
        lambda: prepare_store(DataConfig(paths=[str(tmp_path / "a")]), tmp_path / "b"),
    ):
        with pytest.raises(DataError, match=r'need pyarrow: pip install "graphpose\[store\]"'):
            call()


def test_the_configuration_reaches_the_windows(walks, tmp_path: Path) -> None:
    stored(walks, tmp_path / "a")
    config = TrainConfig.from_dict(
        {
            "data": {
                "paths": [str(tmp_path / "a_store")],
                "frames": 9,
                "views": {"kind": "orbit"},
                "split": {"by": "file", "val": 0.3},
            }
        }
    )
    assert config.data.views == ViewsConfig("orbit")
    module = PoseDataModule(config.data)
    batch = next(iter(module.train_dataloader()))
    assert batch.validate() and batch.y.isfinite().all()
    assert sum(int(one.counted.sum()) for one in module.val_dataloader()) == 4 * sum(map(len, module.split.val))
