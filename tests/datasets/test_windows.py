"""Window bounds: coverage, padding, and agreement with the published sampler."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_path

from graphpose.datasets import counted_frames, published_train_bounds, window_bounds
from graphpose.datasets.windows import window_frames
from graphpose.errors import DataError

lengths_of_clips = st.lists(st.integers(1, 200), min_size=1, max_size=6)


@pytest.mark.parametrize("frames", [27, 81])
def test_published_bounds(frames: int) -> None:
    with np.load(shared_path("reference/metrics_windows.npz")) as reference:
        bounds = published_train_bounds(reference["lengths"], frames)
        np.testing.assert_array_equal(bounds, reference[f"train_chunks_T{frames}"])


@given(lengths_of_clips, st.integers(1, 40), st.data())
def test_each_frame_counts_once(lengths: list[int], frames: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, frames))
    for bounds in (window_bounds(lengths, frames, stride), published_train_bounds(lengths, frames)):
        counts = [np.zeros(length, dtype=int) for length in lengths]
        for (clip, _, _), places, (first, stop) in zip(
            bounds, window_frames(bounds, lengths), counted_frames(bounds, lengths), strict=True
        ):
            assert 0 <= first < stop <= frames, "a window in which nothing counts is of no use"
            np.add.at(counts[clip], places[first:stop], 1)
        assert all((count == 1).all() for count in counts)


@given(lengths_of_clips, st.integers(1, 40))
def test_padding_repeats_the_edges(lengths: list[int], frames: int) -> None:
    for bounds in (window_bounds(lengths, frames), published_train_bounds(lengths, frames)):
        for (clip, start, end), places in zip(bounds, window_frames(bounds, lengths), strict=True):
            padded = np.pad(np.arange(lengths[clip]), (frames, frames), mode="edge")
            np.testing.assert_array_equal(places, padded[start + frames : end + frames])


def test_bounds_by_hand() -> None:
    assert window_bounds([5, 10], 4).tolist() == [[0, 0, 4], [0, 4, 8], [1, 0, 4], [1, 4, 8], [1, 8, 12]]
    assert window_bounds([5], 4, 1).tolist() == [[0, 0, 4], [0, 1, 5]]
    assert counted_frames(window_bounds([5], 4, 1), [5]).tolist() == [[0, 4], [3, 4]]


@pytest.mark.parametrize(
    ("lengths", "frames", "stride", "message"),
    [
        ([3, 0], 4, None, "at least 1 frame"),
        ([3], 0, None, "windows of at least 1 frame"),
        ([3], 4, 5, "stride in 1..4"),
        ([3], 4, 0, "stride in 1..4"),
    ],
)
def test_bad_windows(lengths: list[int], frames: int, stride: int | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        window_bounds(lengths, frames, stride)
