"""Stability: 1 for heads that never change, known overlaps of those that do, pruned and padded frames put in their places."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import FIVE

from graphpose.analysis.attention.measures.mean_map import mean_map
from graphpose.analysis.attention.measures.stability import overlap, stability, stability_table
from graphpose.analysis.attention.record import Attention, Record, Window
from graphpose.errors import DataError

UNIFORM, IDENTITY = torch.full((5, 5), 0.2), torch.eye(5)


def record(windows: list[Window], maps: list[list[torch.Tensor]]) -> Record:
    """One module over joints in one frame; `maps[window][head]`."""
    weights = torch.stack([torch.stack(heads) for heads in maps])[:, None]
    one = Attention("space", 0, "joints", weights, tuple(range(weights.shape[2])), (0,))
    return Record(FIVE, [one], windows=windows)


def test_overlap() -> None:
    assert overlap(UNIFORM, IDENTITY) == pytest.approx(0.2)
    assert overlap(np.eye(5)[[1, 0, 2, 3, 4]], np.eye(5)) == pytest.approx(0.6)
    missing = np.eye(5)
    missing[0] = np.nan
    assert overlap(missing, np.eye(5)) == 1
    assert np.isnan(overlap(np.full((2, 2), np.nan), np.eye(2)))
    with pytest.raises(DataError, match="two maps of one size"):
        overlap(np.eye(2), np.eye(3))


def test_a_head_that_changes_between_clips() -> None:
    seen = record(
        [Window("a", action="walk"), Window("b", action="run"), Window("b", action="run")],
        [[UNIFORM, IDENTITY], [UNIFORM, UNIFORM], [UNIFORM, UNIFORM]],
    )
    labels, found = stability(seen.attention[0], seen)
    assert [label["clip"] for label in labels] == ["a", "b"]
    # mean of the second head: diagonal (1 + 2 / 5) / 3 = 7/15, else 2/15; with I: 7/15, with uniform: 0.2 + 4 * 2/15
    assert found == pytest.approx(np.array([[1, 7 / 15], [1, 0.2 + 8 / 15]]))
    table = stability_table(seen, "action")
    assert list(table.columns) == ["name", "layer", "axis", "head", "action", "stability"]
    assert table.query("head == 1 and action == 'run'")["stability"].item() == pytest.approx(0.2 + 8 / 15)


def test_one_clip_has_no_stability_and_unknown_clips_are_refused() -> None:
    alone = record([Window("a"), Window("a")], [[UNIFORM], [IDENTITY]])
    assert np.isnan(stability(alone.attention[0], alone)[1]).all()
    unknown = record([], [[UNIFORM], [IDENTITY]])
    with pytest.raises(DataError, match="nothing is known of its clips"):
        stability(unknown.attention[0], unknown)
    assert stability(unknown.attention[0], unknown, "window")[1].shape == (2, 1)
    with pytest.raises(DataError, match="unknown grouping 'clips'"):
        stability(unknown.attention[0], unknown, "clips")


def test_pruned_frames_are_put_in_their_places() -> None:
    weights = torch.tensor([[0.5, 0.5], [0.0, 1.0]]).expand(2, 5, 1, 2, 2)
    one = Attention("time", 0, "frames", weights, (0,), tuple(range(5)), frames=torch.tensor([[0, 3], [0, 2]]))
    found = mean_map(one, Record(FIVE, [one], visible=torch.ones(2, 4, 5, dtype=torch.bool)))[0]
    expected = [[0.5, 0, 0.25, 0.25], [np.nan] * 4, [0, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(found, expected)


def test_frames_that_fill_up_a_window_do_not_count() -> None:
    weights = torch.stack([UNIFORM, IDENTITY, IDENTITY])[None, :, None]
    one = Attention("space", 0, "joints", weights, (0,), (0, 1, 2))
    assert mean_map(one, Record(FIVE, [one], windows=[Window(frames=1)]))[0] == pytest.approx(UNIFORM.numpy())
    assert mean_map(one, Record(FIVE, [one], windows=[Window(frames=2)]))[0] == pytest.approx(
        (UNIFORM + IDENTITY).numpy() / 2
    )
