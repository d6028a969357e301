"""Windows by their number are the windows of the lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphpose.datasets import counted_frames, published_train_bounds, window_bounds
from graphpose.datasets.window_table import WindowTable


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 20), st.data())
def test_equal_to_the_lists(lengths: list[int], frames: int, data: st.DataObject) -> None:
    published, stride = data.draw(st.booleans()), data.draw(st.integers(1, frames))
    tracks = np.array(lengths)
    clip, view = np.arange(len(lengths)) + 5, np.arange(len(lengths)) % 2
    table = WindowTable(tracks, clip, view, frames, None if published else stride, published=published)
    bounds = published_train_bounds(lengths, frames) if published else window_bounds(lengths, frames, stride)
    assert len(table) == len(bounds)
    order = np.array(data.draw(st.permutations(range(len(bounds)))), dtype=np.int64)
    rows = table.rows(order)
    assert np.stack([rows["track"], rows["start"], rows["end"]], axis=1).tolist() == bounds[order].tolist()
    assert np.stack([rows["first"], rows["stop"]], axis=1).tolist() == counted_frames(bounds, tracks)[order].tolist()
    assert rows["clip"].tolist() == (rows["track"] + 5).tolist()
    assert rows["view"].tolist() == (rows["track"] % 2).tolist()


def test_outside() -> None:
    table = WindowTable(np.array([5, 9]), np.arange(2), np.arange(2), 4)
    for index in ([-1], [5], [0, 7]):
        with pytest.raises(IndexError, match=r"windows in 0\.\.4"):
            table.rows(np.array(index))
    assert len(table.rows(np.array([], dtype=np.int64))) == 0


def test_a_window_in_a_thousand_million_costs_nothing() -> None:
    table = WindowTable(np.full(4, 10**9), np.arange(4), np.zeros(4, dtype=np.int64), 27, 1)
    assert len(table) == 4 * (10**9 - 26)
    assert table.rows(np.array([len(table) - 1]))[0].tolist() == (3, 0, 3, 10**9 - 27, 10**9, 26, 27)
