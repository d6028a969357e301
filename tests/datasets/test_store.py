"""Windows out of a store are those out of memory, and nothing of it stays in memory."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared import shared_path
from stored_clips import assert_same_windows, cameras, stored

from graphpose.config import DataConfig, SplitConfig
from graphpose.datasets import (
    Augmentation,
    ClipStore,
    PoseDataModule,
    PoseLoader,
    PoseWindows,
    StoredClip,
    Views,
    check_leaks,
    prepare_clips,
    prepare_store,
    split_clips,
    store,
    window_dataset,
)
from graphpose.errors import DataError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
NOISY = Augmentation(flip=0.5, noise=0.02, missing=0.1)


@pytest.fixture
def walks(make_clip) -> list[MotionClip]:
    return [make_clip(frames, frames) for frames in (40, 3, 25, 12)]


@pytest.mark.parametrize(
    "views", [Views(), Views("orbit", (0.0, 100.0)), Views("random", count=3)], ids=lambda v: v.kind
)
@pytest.mark.parametrize("sampling", ["grid", "published", "random"])
@pytest.mark.parametrize("confidence", [False, True])
def test_projected_windows(walks, tmp_path: Path, views: Views, sampling: str, confidence: bool) -> None:
    clips, others = stored(walks, tmp_path / "a")
    for augmentation in (NOISY, None):
        assert_same_windows(
            clips, others, views=views, sampling=sampling, confidence=confidence, augmentation=augmentation, seed=4
        )


@pytest.mark.parametrize("kind", cameras())
@pytest.mark.parametrize("keypoints", [True, False], ids=["keypoints", "projected"])
def test_cameras_of_the_files(make_clip, tmp_path: Path, kind: str, keypoints: bool) -> None:
    clips = []
    for seed in range(3):
        clip = make_clip(25, seed)
        seen = clip.seen_by(cameras()[kind])
        points, sure = seen.keypoints.clone(), torch.rand(25, 5, generator=torch.Generator().manual_seed(seed))
        points[seed * 3, 2] = float("nan")
        changes: dict[str, Any] = {"keypoints": points, "confidence": None if seed == 1 else sure}
        if not keypoints:
            changes = {"keypoints": None}
        clips.append(seen.replace(name=f"c{seed}", **changes))
    memory, files = stored(clips, tmp_path / "a")
    for confidence in (False, True):
        assert_same_windows(
            memory, files, views=Views("clip"), sampling="random", augmentation=NOISY, confidence=confidence
        )
    assert_same_windows(memory, files, views=Views(azimuths=(5.0,)), augmentation=Augmentation(flip=1.0))


def test_bare_keypoints_and_mixtures(make_clip, walks, biped: Skeleton, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(20, 5, 2, generator=generator)
    points[4, 1] = float("nan")
    bare = [MotionClip(biped, 30.0, keypoints=points, name="bare"), MotionClip(biped, 30.0, keypoints=points[:5])]
    assert_same_windows(*stored(bare, tmp_path / "bare"), confidence=True, augmentation=Augmentation(flip=0.5))
    camera = cameras()["lens"]
    mixed = [walks[0].seen_by(camera), walks[2].replace(camera=camera), walks[3].seen_by(cameras()["plain"])]
    mixed[0].keypoints[3] = float("nan")
    clips, others = stored(mixed, tmp_path / "mixed")
    assert_same_windows(clips, others, views=Views("clip"), sampling="random", augmentation=NOISY, confidence=True)
    local = make_clip(10, 1).replace(space="camera", keypoints=points[:10].nan_to_num())
    assert_same_windows(*stored([local], tmp_path / "local"), views=Views("clip"), augmentation=NOISY)


def test_samples_on_another_skeleton(tmp_path: Path) -> None:
    config = DataConfig(paths=[str(SAMPLES)], skeleton="h36m17", fps=25.0)
    prepare_store(config, tmp_path / "store", workers=2)
    others = prepare_clips(replace(config, paths=[str(tmp_path / "store")]))
    assert_same_windows(prepare_clips(config), others, frames=27, sampling="random", augmentation=NOISY)


def test_recordings(tmp_path: Path) -> None:
    path = shared_path("benchmark/cmu_lift.npz")
    prepare_store(DataConfig(paths=[str(path)]), tmp_path / "store")
    modules = [
        PoseDataModule(DataConfig(paths=[str(one)], split=SplitConfig("tag", [], 0.0)), seed=2)
        for one in (path, tmp_path / "store")
    ]
    for part in ("train_dataloader", "test_dataloader"):
        for one, other in zip(*(islice(getattr(module, part)(), 30) for module in modules), strict=True):
            assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y)
    assert modules[0].data_statement() | {"paths": None} == modules[1].data_statement() | {"paths": None}


# ------------------------------------------------------------------------------------------------------------- the loader
@pytest.fixture(scope="module")
def many(make_clip, tmp_path_factory) -> list[MotionClip]:
    """Stored clips of 1 to 60 frames."""
    lengths = (1, 60, 2, 5, 33, 4, 17, 6, 48, 9)
    folder = tmp_path_factory.mktemp("many")
    return stored([make_clip(length, seed) for seed, length in enumerate(lengths)], folder / "a")[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    first=st.integers(0, 9),
    count=st.integers(1, 10),
    batch=st.integers(1, 9),
    world=st.integers(1, 4),
    shuffle=st.booleans(),
    group=st.integers(0, 100),
    data=st.data(),
)
def test_processes_share_the_windows_of_a_store(many, first, count, batch, world, shuffle, group, data) -> None:
    """Whatever the processes, the batch size, how many batches are read at once, and where it was resumed: nothing twice."""
    clips = many[first : first + count]
    windows = PoseWindows(clips, 5, views=Views(azimuths=(0.0,)), sampling="random" if shuffle else "grid")
    windows.tracks.at_once = group
    world = min(world, len(windows)) if shuffle else world
    whole = windows.fetch(np.arange(len(windows)), 0)
    seen: list[int] = []
    for rank in range(world):
        loader = PoseLoader(windows, batch, shuffle=shuffle, seed=1, rank=rank, world_size=world)
        resumed = PoseLoader(windows, batch, shuffle=shuffle, seed=1, rank=rank, world_size=world)
        parts = list(islice(loader, data.draw(st.integers(0, max(0, len(loader) - 1)))))
        if parts:
            resumed.load_state_dict(json.loads(json.dumps(loader.state_dict())))
        for one in [*parts, *resumed]:
            assert torch.equal(one.y, whole["y"][one.window].view(-1, 3))
            seen += one.window.tolist()
    assert len(set(seen)) == len(seen) == (len(windows) // world * world if shuffle else len(windows))


def test_workers_and_processes(walks, tmp_path: Path) -> None:
    clips, others = stored(walks, tmp_path / "a")
    options: dict[str, Any] = {"sampling": "random", "augmentation": NOISY, "seed": 3, "stride": 2}
    memory, files = (PoseWindows(part, 6, **options) for part in (clips, others))
    for rank in range(2):
        loaders = [
            PoseLoader(windows, 5, shuffle=True, seed=1, workers=workers, rank=rank, world_size=2)
            for windows, workers in ((memory, 0), (files, 0), (files, 2))
        ]
        for _ in range(2):
            batches = [[(one.window.tolist(), one.x, one.y) for one in loader] for loader in loaders]
            assert len(batches[0]) == len(loaders[0])
            for one, *rest in zip(*batches, strict=True):
                for other in rest:
                    assert one[0] == other[0] and torch.equal(one[1], other[1]) and torch.equal(one[2], other[2])


def test_windows_too_many_to_be_planned(walks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, others = stored(walks, tmp_path / "a")
    options: dict[str, Any] = {"sampling": "random", "augmentation": NOISY}
    planned = PoseWindows(clips, 6, **options).fetch([3, 0, 17], 2)
    monkeypatch.setattr(window_dataset, "_PLANNED", 5)
    for part in (clips, others):
        found = PoseWindows(part, 6, **options).fetch([3, 0, 17], 2)
        assert all(torch.equal(value, found[name]) for name, value in planned.items())


def test_files_are_closed_and_opened_again(walks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphpose.datasets.store_plan.GROUP_FILES", 1)
    monkeypatch.setattr(store, "_OPEN_FILES", 2)
    _, clips = stored(walks, tmp_path / "a")
    windows = PoseWindows(clips, 6)
    expected = windows.fetch(np.arange(len(windows)))["y"]
    assert len(clips[0].store._files) == 2
    copy = pickle.loads(pickle.dumps(windows))
    assert torch.equal(copy.fetch(np.arange(len(windows)))["y"], expected)
    clips[0].store.close()
    assert torch.equal(windows.fetch(np.arange(len(windows)))["y"], expected)
    shard = tmp_path / "a_store" / "shards" / "00002.arrow"
    clips[0].store.close()
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(DataError, match=r"00002.arrow: ends before byte \d+"):
        windows.fetch(np.arange(len(windows)))


# -------------------------------------------------------------------------------------------------------------- the clips
def test_a_stored_clip_is_the_clip(make_clip, tmp_path: Path) -> None:
    camera = cameras()["moving"]
    clip = make_clip(25, 3, subject="S1", action="walk", tags={"split": "test"}).seen_by(camera)
    [one], [other] = stored([clip], tmp_path / "a")
    for field in ("name", "subject", "action", "source", "tags", "fps", "space", "skeleton"):
        assert getattr(one, field) == getattr(other, field)
    for part in (slice(None), slice(3, 20), slice(-4, None), slice(0, 20, 3)):
        piece, same = one[part], other[part]
        assert len(piece) == len(same)
        assert torch.equal(piece.positions, same.positions) and torch.equal(piece.keypoints, same.keypoints)
        assert torch.equal(piece.camera.position, same.camera.position)
    assert isinstance(other[3:20], StoredClip) and isinstance(other[3:20][2:5].replace(name="x"), StoredClip)
    assert torch.equal(other[3:20][2:5].positions, one[5:8].positions)
    assert_same_windows([one[3:20]], [other[3:20]], sampling="random", augmentation=NOISY)
    assert_same_windows([one[3:20]], [other[3:20]], views=Views("clip"), augmentation=NOISY)
    assert other.missing.sum() == 0 and other.summary()["frames"] == 25
    for change in (
        lambda c: c.resample(15.0),
        lambda c: c.fill_gaps(),
        lambda c: c.replace(fps=9.0),
        lambda c: c.seen_by(cameras()["plain"]),
    ):
        memory = change(other)
        assert not isinstance(memory, StoredClip)
        assert torch.equal(change(one).keypoints, memory.keypoints) and change(one).fps == memory.fps
    assert other.to(other.skeleton) is other and other.resample(30.0) is other
    with pytest.raises(DataError, match="none of them"):
        other[30:40]
    with pytest.raises(DataError, match="unknown clip field"):
        other.replace(nam="x")


def test_splits_read_no_frames(make_clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [
        make_clip(
            30 + n, n, subject=f"S{n % 4}", action=("walk", "run")[n % 2], tags={"split": ("train", "test")[n > 6]}
        )
        for n in range(9)
    ]
    clips, others = stored(many, tmp_path / "a")

    def none(*_: object) -> None:
        raise AssertionError("frames were read")

    with monkeypatch.context() as patch:
        patch.setattr(ClipStore, "read", none)
        for by, test, val in (
            ("subject", ["S1"], 0.2),
            ("action", ["run"], 0.2),
            ("file", ["clip3_33"], ["clip4_34"]),
            ("tag", [], 0.1),
        ):
            one, other = (split_clips(part, by, test, val, 5) for part in (clips, others))
            for part in ("train", "val", "test"):
                assert [c.name for c in one.parts()[part]] == [c.name for c in other.parts()[part]]
        PoseWindows(others, 9)
        with pytest.raises(DataError, match="leak"):
            check_leaks(replace(other, val=[other.train[0].replace(name="same", source="elsewhere")]))
    [tail] = split_clips(others[:1], "subject", (), 0.2).val
    assert isinstance(tail, StoredClip) and len(tail) == 6


def test_frames_are_read_and_not_mapped(walks, tmp_path: Path) -> None:
    """A mapping's pages would count as memory of the process; what is kept are places and cameras."""
    _, clips = stored(walks, tmp_path / "a")
    windows = PoseWindows(clips, 6)
    windows.fetch(np.arange(len(windows)))
    assert windows.nbytes < 1000 * len(windows.lengths)
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not list mappings")
    assert str(tmp_path) not in maps.read_text()
