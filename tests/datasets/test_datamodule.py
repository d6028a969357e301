"""From settings to batches, on files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shared import shared_path

from graphpose.config import DataConfig, SplitConfig, ViewsConfig
from graphpose.datasets import PoseDataModule
from graphpose.datasets.datamodule import prepare_clips
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton


@pytest.fixture
def archive(tmp_path: Path, make_clip, biped: Skeleton) -> Path:
    clips = [make_clip(60 + 10 * i, i) for i in range(6)]
    path = tmp_path / "clips.npz"
    np.savez(
        path,
        positions=torch.cat([clip.positions for clip in clips]).numpy(),
        lengths=[len(clip) for clip in clips],
        clip_names=[f"S{i % 3}_walk{i}" for i in range(6)],
        joints=biped.joints,
        parents=biped.parents,
        fps=60.0,
    )
    return path


def config(path: Path, **fields: object) -> DataConfig:
    split = SplitConfig("subject", ["S2"], 0.2)
    return DataConfig(paths=[str(path)], frames=9, split=split, batch_size=4, **fields)


def test_batches_of_each_part(archive: Path) -> None:
    module = PoseDataModule(config(archive, noise=0.01, missing=0.1, confidence=True), seed=1)
    module.setup("fit")
    assert module.split is not None
    assert [clip.name for clip in module.split.test] == ["S2_walk2", "S2_walk5"]
    assert len(module.split.val) == 1
    assert {clip.fps for clip in module.split.train} == {30.0}
    for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader()):
        batch = next(iter(loader))
        assert batch.validate()
        assert batch.x.shape == (4 * 9 * 5, 3)
    assert module.windows["train"].sampling == "random"
    assert not next(iter(module.train_dataloader())).visible.all()
    test = list(module.test_dataloader())
    assert sum(int(batch.counted.sum()) for batch in test) == 4 * sum(len(clip) for clip in module.split.test)
    assert all(bool(batch.visible.all()) and bool((batch.x[:, 2] == 1).all()) for batch in test)
    assert module.train_dataloader() is module.train_dataloader(), "its position is part of a checkpoint"


def test_same_seed_same_batches(archive: Path) -> None:
    def first(seed: int) -> torch.Tensor:
        return next(iter(PoseDataModule(config(archive), seed=seed).train_dataloader())).x

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_statement_names_what_was_trained_on(archive: Path) -> None:
    statement = PoseDataModule(config(archive)).data_statement()
    assert statement["test"] == {"clips": ["S2_walk2", "S2_walk5"], "frames": 40 + 55, "subjects": ["S2"]}
    assert statement["fps"] == [30.0]


def test_no_validation_and_no_test(archive: Path) -> None:
    module = PoseDataModule(replace(config(archive), split=SplitConfig("subject", [], 0.0)))
    assert module.val_dataloader() == []
    with pytest.raises(DataError, match="no test clips"):
        module.test_dataloader()


def test_rates(archive: Path) -> None:
    with pytest.raises(DataError, match=r"has 60 frames/s, data.fps asks for 120: set data.fps to 60 or lower"):
        prepare_clips(config(archive, fps=120.0))
    assert {clip.fps for clip in prepare_clips(config(archive, fps=None))} == {60.0}
    with pytest.raises(DataError, match=r"data\.paths: expected files"):
        prepare_clips(DataConfig())
    with pytest.raises(DataError, match="at least one clip"):
        prepare_clips(DataConfig(), [])


def test_bare_arrays_take_the_configured_skeleton(tmp_path: Path, make_clip, biped: Skeleton) -> None:
    biped.save(tmp_path / "biped.yaml")
    np.savez(tmp_path / "bare.npz", positions=make_clip(40).positions.numpy(), fps=30.0)
    settings = DataConfig(paths=[str(tmp_path / "bare.npz")], skeleton=str(tmp_path / "biped.yaml"))
    assert prepare_clips(settings)[0].skeleton == biped


def test_samples_of_the_project_on_the_human36m_skeleton() -> None:
    folder = Path(__file__).parents[2] / "data" / "samples"
    settings = DataConfig(
        paths=[str(folder)], skeleton="h36m17", split=SplitConfig("file", ["walk"]), views=ViewsConfig("orbit", (0.0,))
    )
    module = PoseDataModule(settings)
    assert module.skeleton.name == "h36m17"
    assert [clip.name for clip in module.split.test] == ["walk"]
    batch = next(iter(module.train_dataloader()))
    assert batch.y.isfinite().all()
    assert batch.root[:, 2].min() > 1


def test_benchmark_by_its_tags() -> None:
    path = shared_path("benchmark/cmu_lift.npz")
    module = PoseDataModule(DataConfig(paths=[str(path)], split=SplitConfig("tag", [], 0.0)))
    module.setup()
    described = module.split.describe()
    assert "train: 57 clips, 24,553 frames" in described
    assert "test: 11 clips, 5,991 frames" in described
    assert len(next(iter(module.train_dataloader()))) == 16
