"""Who gets which windows: complete, without repeats, equal numbers of batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphpose.datasets import WindowSampler
from graphpose.errors import DataError


def shards(length: int, batch: int, world: int, shuffle: bool, epoch: int = 0) -> list[list[np.ndarray]]:
    samplers = [WindowSampler(length, batch, shuffle=shuffle, seed=5, rank=r, world_size=world) for r in range(world)]
    found = [sampler.batches(epoch) for sampler in samplers]
    for sampler, batches in zip(samplers, found, strict=True):
        assert len(batches) == len(sampler)
        assert all(1 <= len(ids) <= batch for ids in batches)
    return found


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 5))
def test_evaluation_shards_are_exact(length: int, batch: int, world: int) -> None:
    found = shards(length, batch, world, shuffle=False)
    assert np.concatenate([ids for shard in found for ids in shard]).tolist() == list(range(length))
    if length >= world and batch > 1:
        assert len({len(shard) for shard in found}) == 1


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 5), st.integers(0, 9))
def test_training_shards_do_not_overlap(length: int, batch: int, world: int, epoch: int) -> None:
    if length < world:
        with pytest.raises(DataError, match="one training window a process"):
            shards(length, batch, world, shuffle=True)
        return
    found = shards(length, batch, world, shuffle=True, epoch=epoch)
    ids = np.concatenate([ids for shard in found for ids in shard])
    assert len(set(ids.tolist())) == len(ids) == length // world * world
    assert [len(ids) for ids in found[0]] == [len(ids) for ids in found[-1]]


def test_order_depends_on_seed_and_epoch() -> None:
    orders = {
        tuple(WindowSampler(50, 50, shuffle=True, seed=seed).order(epoch).tolist())
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(orders) == 4
    again = WindowSampler(50, 7, shuffle=True, seed=0).order(0)
    assert tuple(again.tolist()) in orders


def test_iteration_goes_on_from_its_position() -> None:
    sampler = WindowSampler(10, 3, shuffle=True)
    whole = [ids.tolist() for ids in sampler]
    sampler.position = 2
    assert [ids.tolist() for ids in sampler] == whole[2:]
    sampler.set_epoch(0)
    assert sampler.position == 2
    sampler.set_epoch(1)
    assert sampler.position == 0
    assert [ids.tolist() for ids in sampler] != whole


@pytest.mark.parametrize("place", [{"rank": 2, "world_size": 2}, {"rank": 0}, {"world_size": 2}])
def test_bad_place(place: dict[str, int]) -> None:
    with pytest.raises(DataError, match="rank below world_size"):
        WindowSampler(10, 2, **place)


@pytest.mark.parametrize(("length", "batch"), [(0, 1), (1, 0)])
def test_nothing_to_sample(length: int, batch: int) -> None:
    with pytest.raises(DataError, match="at least 1 window"):
        WindowSampler(length, batch)


def test_batches_are_a_sequence() -> None:
    batches = WindowSampler(10, 4).batches(0)
    assert [ids.tolist() for ids in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[-1].tolist() == [8, 9] and len(batches[1:]) == 2 and len(batches[3:]) == len(batches[2:1]) == 0
    with pytest.raises(IndexError, match="below 3"):
        batches[3]
    with pytest.raises(ValueError, match="step of 2"):
        batches[::2]
