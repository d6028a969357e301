"""Preparing a store: whatever stops it, the same command finishes it, and the result is that of an undisturbed run."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import signal
import stat
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphpose.config import DataConfig
from graphpose.datasets import ClipStore, SourceFaults, prepare_store, store_files, store_plan, store_prepare
from graphpose.errors import DataError
from graphpose.formats import write
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

fork = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_plan, "GROUP_FILES", 2)


@pytest.fixture
def sources(tmp_path: Path, make_clip) -> Path:
    """Seven files of one clip, so four groups."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for number in range(7):
        write(make_clip(30 + number, number), folder / f"take{number}.npz")
    return folder


def config(sources: Path, **fields: Any) -> DataConfig:
    return DataConfig(paths=[str(sources)], **fields)


def contents(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


def killed(work: Callable[[], object]) -> None:
    """Runs `work` in a process of its own, which has to be killed by its own hand."""
    process = fork.Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def test_what_is_in_a_store(sources: Path, tmp_path: Path, biped: Skeleton) -> None:
    seen: list[tuple[int, int, int]] = []
    made = prepare_store(config(sources), tmp_path / "store", progress=lambda *counts: seen.append(counts))
    assert (made.clips, made.frames, made.shards, made.made, made.skipped) == (7, sum(range(30, 37)), 4, 4, [])
    assert seen[0] == (0, 7, 0) and seen[-1] == (7, 7, made.frames)
    assert sorted(path.name for path in made.path.iterdir()) == [".lock", "index.arrow", "shards", "store.json"]
    store = ClipStore(made.path)
    assert store.skeleton == biped
    assert [clip.name for clip in store.clips] == [f"clip{n}_{30 + n}" for n in range(7)]
    again = prepare_store(config(sources), made.path)
    assert (again.made, again.frames) == (0, made.frames)


def test_files_are_plain_arrow(sources: Path, tmp_path: Path, make_clip) -> None:
    """Anyone's Arrow reads them, without copying: fixed-size lists of float32, not compressed."""
    import pyarrow as pa

    prepare_store(config(sources), tmp_path / "store")
    with (
        pa.memory_map(str(tmp_path / "store" / "shards" / "00001.arrow")) as source,
        pa.ipc.open_file(source) as reader,
    ):
        assert reader.schema.field("positions").type == pa.list_(pa.float32(), 15)
        values = reader.get_batch(0).column(0).flatten().to_numpy(zero_copy_only=True)
        np.testing.assert_array_equal(values.reshape(32, 5, 3), make_clip(32, 2).positions.numpy())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", range(6))
def test_killed_at_any_rename(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int, after: bool
) -> None:
    """store.json, four shards and the index: before and after each of the six becomes visible."""
    whole, store = tmp_path / "whole", tmp_path / "store"
    prepare_store(config(sources), whole)
    rename, count = os.replace, iter(range(100))

    def deadly(source: Path, target: Path) -> None:
        fatal = next(count) == point
        if fatal and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(store_files.os, "replace", deadly)
        killed(lambda: prepare_store(config(sources), store))
    assert any(name.endswith(".part") for name in contents(store)) is not after
    if (point, after) != (5, True):
        with pytest.raises(DataError, match=r"no store here|not finished"):
            ClipStore(store)
    made = prepare_store(config(sources), store)
    assert made.made == max(0, 4 - max(0, point - 1 + after))
    assert contents(store) == contents(whole), "nothing lost, nothing doubled, nothing left over"


@pytest.mark.parametrize("point", [1, 3, 8])
def test_killed_while_a_file_is_written(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    prepare_store(config(sources), tmp_path / "whole")
    sync, count = os.fsync, iter(range(100))

    def deadly(file: int) -> None:
        if next(count) == point:
            if stat.S_ISREG(os.fstat(file).st_mode):  # else a folder is synced
                os.ftruncate(file, 100)
            os.kill(os.getpid(), signal.SIGKILL)
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(store_files.os, "fsync", deadly)
        killed(lambda: prepare_store(config(sources), tmp_path / "store"))
    prepare_store(config(sources), tmp_path / "store", workers=2)
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def slowly(job: Any, **settings: Any) -> Any:
    time.sleep(0.3)
    return store_prepare_make_shard(job, **settings)


store_prepare_make_shard = store_prepare.make_shard


def test_killed_with_workers_at_work(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers leave with the process that started them, so the lock is free and nobody else writes."""
    store = tmp_path / "store"
    prepare_store(config(sources), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(store_prepare, "make_shard", slowly)
        process = fork.Process(target=lambda: prepare_store(config(sources), store, workers=2))
        process.start()
        limit = time.monotonic() + 30
        while not list(store.glob("shards/*.arrow")) and time.monotonic() < limit:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    done = len(list(store.glob("shards/*.arrow")))
    assert 1 <= done < 4
    assert prepare_store(config(sources), store).made == 4 - done
    assert contents(store) == contents(tmp_path / "whole")


def fatal(job: Any, **_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_prepare, "make_shard", fatal)
    with pytest.raises(DataError, match=r"a worker process was killed.*--workers 1"):
        prepare_store(config(sources), tmp_path / "store", workers=2)


def test_only_one_at_a_time(sources: Path, tmp_path: Path) -> None:
    prepare_store(config(sources), tmp_path / "store")
    with (
        store_prepare._locked(tmp_path / "store"),
        pytest.raises(DataError, match="another process is preparing this store"),
    ):
        prepare_store(config(sources), tmp_path / "store")
    assert prepare_store(config(sources), tmp_path / "store").made == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    sync, store = os.fsync, tmp_path / "store"

    def full(file: int) -> None:
        if len(list(store.glob("shards/*.arrow"))) >= 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(store_files.os, "fsync", full)
        with pytest.raises(DataError, match=r"store: the disk is full .*make room and run the same command again"):
            prepare_store(config(sources), store, workers=workers)
    assert not list(store.rglob("*.part"))
    prepare_store(config(sources), tmp_path / "whole")
    assert prepare_store(config(sources), store).made <= 2
    assert contents(store) == contents(tmp_path / "whole")


@pytest.fixture
def broken(sources: Path, make_clip) -> Path:
    """Four files of the seven are broken, each in its own way."""
    whole = (sources / "take0.npz").read_bytes()
    (sources / "take0.npz").write_bytes(whole[: len(whole) // 2])
    holed = make_clip(20, 2)
    holed.positions[3, 1] = float("nan")
    write(holed, sources / "take2.npz")
    write(make_clip(20, 3).replace(fps=10.0), sources / "take3.npz")
    other = Skeleton.from_parents([-1, 0], ["a", "b"])
    write(MotionClip(other, 30.0, torch.rand(9, 2, 3)), sources / "take6.npz")
    return sources


def test_broken_files_are_all_named(broken: Path, tmp_path: Path, make_clip) -> None:
    store = tmp_path / "store"
    with pytest.raises(SourceFaults, match=r"4 of 7 source files cannot be used: .*--skip_broken; the rest") as caught:
        prepare_store(config(broken), store)
    lines = caught.value.faults
    for line, words in zip(
        lines,
        (
            "take0.npz.*no intact npz",
            "take2.npz.*'l_knee' has no position",
            "take3.npz.*10 frames/s",
            "take6.npz.*--skeleton",
        ),
        strict=True,
    ):
        assert re.search(words, line), line
    assert [path.name for path in sorted(store.glob("shards/*"))] == ["00002.arrow"], "the sound group is kept"
    with pytest.raises(DataError, match="not finished"):
        ClipStore(store)
    for number in (0, 2, 3):
        write(make_clip(30 + number, number), broken / f"take{number}.npz")
    (broken / "take6.npz").unlink()
    made = prepare_store(config(broken), store)
    assert (made.made, made.clips) == (3, 6)
    assert [clip.name for clip in ClipStore(store).clips] == [f"clip{n}_{30 + n}" for n in range(6)]


def test_broken_files_left_out(broken: Path, tmp_path: Path) -> None:
    made = prepare_store(config(broken), tmp_path / "store", skip_broken=True, workers=2)
    assert made.clips == 3
    assert [Path(path).name for path, _ in made.skipped] == ["take0.npz", "take2.npz", "take3.npz", "take6.npz"]
    store = ClipStore(tmp_path / "store")
    assert store.skipped == made.skipped
    assert [clip.name for clip in store.clips] == ["clip1_31", "clip4_34", "clip5_35"]
    for path in broken.glob("*.npz"):
        path.write_bytes(b"nothing")
    with pytest.raises(SourceFaults, match="7 of 7 source files"):
        prepare_store(config(broken), tmp_path / "other", skip_broken=True)


def test_a_store_is_not_changed_by_other_settings(sources: Path, tmp_path: Path, biped: Skeleton) -> None:
    store = tmp_path / "store"
    prepare_store(config(sources), store)
    before = contents(store)
    for fields, words in (
        ({"fps": 15.0}, r"was prepared with fps 30.0 \(now 15.0\); give the same, .*--overwrite, or another --out"),
        ({"scale": 2.0}, r"scale None \(now 2.0\)"),
        ({"name_pattern": "(?P<subject>t)"}, "name_pattern None"),
    ):
        with pytest.raises(DataError, match=words):
            prepare_store(config(sources, **fields), store)
    assert contents(store) == before
    made = prepare_store(config(sources, fps=15.0), store, overwrite=True)
    assert (made.made, made.frames) == (4, sum(-(-n // 2) for n in range(30, 37)))


def test_changed_sources_are_noticed(sources: Path, tmp_path: Path, make_clip) -> None:
    store = tmp_path / "store"
    prepare_store(config(sources), store)
    os.utime(sources / "take1.npz", ns=(1, 1))
    (sources / "take2.npz").unlink()
    write(make_clip(9), sources / "take9.npz")
    with pytest.raises(
        DataError,
        match=r"not those it was begun with \(changed: \S*take1.npz; gone: \S*take2.npz; new: \S*take9.npz\).*--overwrite",
    ):
        prepare_store(config(sources), store)
    assert prepare_store(config(sources), store, overwrite=True).clips == 7


def test_other_versions_and_damage(sources: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    prepare_store(config(sources), store)
    whole = contents(store)
    head = json.loads((store / "store.json").read_text())
    (store / "store.json").write_text(json.dumps({**head, "version": 99, "graphpose": "9.9"}))
    for call in (lambda: ClipStore(store), lambda: prepare_store(config(sources), store)):
        with pytest.raises(
            DataError, match=r"format 99, written by graphpose 9.9; this version reads format 1: prepare it again"
        ):
            call()
    (store / "store.json").write_text("{")
    with pytest.raises(DataError, match=r"damaged .*--overwrite"):
        ClipStore(store)
    prepare_store(config(sources), store, overwrite=True)
    assert contents(store) == whole

    shard = store / "shards" / "00001.arrow"
    shard.write_bytes(shard.read_bytes()[:300])
    with pytest.raises(DataError, match=r"00001.arrow: has 300 bytes, expected \d+"):
        ClipStore(store)
    assert prepare_store(config(sources), store).made == 1
    shard.unlink()
    with pytest.raises(DataError, match=r"00001.arrow: is missing"):
        ClipStore(store)
    assert prepare_store(config(sources), store).made == 1
    (store / "index.arrow").write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"index.arrow: damaged .*remove this file and run the same"):
        ClipStore(store)
    (store / "index.arrow").unlink()
    assert prepare_store(config(sources), store).made == 0, "the index is made from the shards alone"
    assert contents(store) == whole


def test_a_folder_of_something_else(sources: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a new folder or a store \(it holds take0.npz"):
        prepare_store(config(sources), sources)
    other = tmp_path / "other"
    other.mkdir()
    (other / "store.json").write_text('{"shop": 1}')
    for overwrite in (False, True):
        with pytest.raises(DataError, match="expected a graphpose store"):
            prepare_store(config(sources), other, overwrite=overwrite)
    assert (other / "store.json").read_text() == '{"shop": 1}'
    with pytest.raises(DataError, match="at least 1 worker"):
        prepare_store(config(sources), tmp_path / "store", workers=0)


def test_warnings_of_the_readers_are_passed_on(tmp_path: Path, make_clip) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    sample = Path(__file__).parents[2] / "data" / "samples" / "walk.bvh"
    (folder / "walk.bvh").write_bytes(sample.read_bytes())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepare_store(DataConfig(paths=[str(folder)], scale=1.0), tmp_path / "store")
    assert any("m" in str(one.message) and "scale" in str(one.message) for one in caught)


def test_where_files_cannot_be_locked(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_store(config(sources), tmp_path / "store")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(DataError, match="stores need Linux or macOS"):
        prepare_store(config(sources), tmp_path / "other")
    monkeypatch.delattr(os, "preadv")
    with pytest.raises(DataError, match="stores need Linux or macOS"):
        ClipStore(tmp_path / "store")
