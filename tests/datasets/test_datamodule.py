"""From settings to batches, on files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shared import shared_path

from graphpose.config import DataConfig, SplitConfig, ViewsConfig
from graphpose.datasets import PoseDataModule, absolute_places, content_of, prepare_clips
from graphpose.errors import ConfigError, DataError, FormatError
from graphpose.formats import write
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
    content = statement["test"].pop("content")
    assert statement["test"] == {"clips": ["S2_walk2", "S2_walk5"], "frames": 40 + 55, "subjects": ["S2"]}
    assert len(set(content)) == 2 and all(len(digits) == 16 for digits in content)
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


def test_the_rate_of_a_recording_can_be_corrected(archive: Path) -> None:
    [first, *_] = prepare_clips(config(archive, recorded_fps=120.0, fps=30.0))
    assert (first.fps, len(first)) == (30.0, 15), "every fourth of 60 frames"
    with pytest.raises(DataError, match=r"has 25 frames/s.*data\.recorded_fps corrects a rate"):
        prepare_clips(config(archive, recorded_fps=25.0))
    with pytest.raises(ConfigError, match="recorded_fps: expected a number above 0"):
        DataConfig(recorded_fps=0.0)


def test_options_of_the_format_reach_the_reader(tmp_path: Path, repository: Path) -> None:
    """One file that was cut short does not stop a folder, when whole frames are asked for."""
    walk = (repository / "data" / "samples" / "walk.bvh").read_bytes()
    (tmp_path / "walk.bvh").write_bytes(walk)
    (tmp_path / "cut.bvh").write_bytes(walk[: len(walk) // 2])
    settings = DataConfig(paths=[str(tmp_path)])
    with pytest.raises(FormatError, match=r"cut\.bvh.*cut short.*--data\.reader_options '\{allow_truncated: true\}'"):
        prepare_clips(settings)
    cut, whole = prepare_clips(replace(settings, reader_options={"allow_truncated": True}))
    assert (cut.name, whole.name) == ("cut", "walk") and 0 < len(cut) < len(whole)
    with pytest.raises(FormatError, match=r"unknown option 'alow_truncated' \(did you mean 'allow_truncated'"):
        prepare_clips(replace(settings, reader_options={"alow_truncated": True}))
    with pytest.raises(ConfigError, match=r"reader_options: .*a setting of their own \(got \['fps'\]\)"):
        DataConfig(reader_options={"fps": 30})


def test_a_folder_may_hold_bare_arrays_and_named_ones(tmp_path: Path, make_clip, biped: Skeleton) -> None:
    np.savez(tmp_path / "bare.npz", positions=make_clip(40).positions.numpy(), fps=30.0)
    write(make_clip(30), tmp_path / "named.npz")
    biped.save(tmp_path / "biped.yaml")
    settings = DataConfig(paths=[str(tmp_path)], skeleton=str(tmp_path / "biped.yaml"))
    clips = prepare_clips(settings)
    assert [len(clip) for clip in clips] == [40, 30]
    assert all(clip.skeleton == biped for clip in clips)
    with pytest.raises(FormatError, match=r"bare\.npz: 5 joints without names"):
        prepare_clips(replace(settings, skeleton=None))


def test_seventeen_bare_joints_are_those_of_the_skeleton_asked_for(tmp_path: Path) -> None:
    coco = Skeleton.load("coco17")
    np.savez(tmp_path / "bare.npz", positions=np.repeat(coco.rest[None], 9, 0), fps=30.0)
    [clip] = prepare_clips(DataConfig(paths=[str(tmp_path)], skeleton="coco17"))
    assert clip.skeleton == coco
    np.testing.assert_allclose(clip.positions[0], coco.rest, atol=1e-6)


def test_a_recording_is_known_again_by_its_content(archive: Path, tmp_path: Path, biped: Skeleton) -> None:
    """Under another name, mapped, resampled and cut; but not another recording."""
    folder = tmp_path / "copies"
    folder.mkdir()
    shutil.copy(archive, folder / "copy.npz")
    legs = Skeleton.from_parents([-1, 0, 0], ["hip", "l_knee", "r_knee"], [("l_knee", "r_knee")], name="legs")
    legs.save(tmp_path / "legs.yaml")
    first = prepare_clips(config(archive))
    other = prepare_clips(config(folder, skeleton=str(tmp_path / "legs.yaml"), fps=20.0))
    assert other[0].skeleton == legs
    assert [content_of(clip) for clip in first] == [content_of(clip[3:9]) for clip in other]
    assert len({content_of(clip) for clip in first}) == len(first)


def test_places_are_kept_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, biped: Skeleton) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h36m17").mkdir()  # a bundled name stays one
    kept = absolute_places(DataConfig(paths=["clips", str(tmp_path / "b.npz")], skeleton="a.yaml", mapping="m.yaml"))
    assert kept.paths == [str(tmp_path / "clips"), str(tmp_path / "b.npz")]
    assert (kept.skeleton, kept.mapping) == (str(tmp_path / "a.yaml"), str(tmp_path / "m.yaml"))
    named = absolute_places(DataConfig(skeleton="h36m17"))
    assert (named.paths, named.skeleton, named.mapping) == ([], "h36m17", None)


def test_a_path_that_is_not_there_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: no such file or folder \(in data\.paths\); give --data"):
        prepare_clips(DataConfig(paths=[str(tmp_path / "gone")]))


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
