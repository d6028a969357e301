"""Map of heads: planted groups are found, alike heads share a place, the numbering of joints does not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import FIVE

from graphpose.analysis.attention.measures.head_map import head_features, head_map
from graphpose.analysis.attention.record import Attention, Axis, Record
from graphpose.errors import DataError


def record(heads: torch.Tensor, axis: Axis = "joints", skeleton: object = FIVE) -> Record:
    one = Attention("block", 0, axis, heads[None, None], tuple(range(len(heads))), None)
    return Record(skeleton, [one])  # type: ignore[arg-type]


def two_kinds(seed: int = 0) -> torch.Tensor:
    """Three heads that look at themselves, three at their partner, each a little different."""
    noise = torch.tensor(np.random.default_rng(seed).dirichlet(np.ones(5), size=(6, 5)))
    kinds = torch.stack([torch.eye(5), torch.eye(5)[list(FIVE.mirror)]]).repeat_interleave(3, dim=0).double()
    return 0.9 * kinds + 0.1 * noise


@pytest.mark.parametrize("features", ["maps", "measures"])
def test_planted_kinds_are_clusters(features: str) -> None:
    table = head_map(record(two_kinds()), features=features, clusters=2)  # type: ignore[arg-type]
    assert table["cluster"].tolist() == [0, 0, 0, 1, 1, 1]
    assert list(table.columns) == ["name", "layer", "axis", "head", "x", "y", "cluster"]
    assert (
        table["x"].iloc[:3].max() < table["x"].iloc[3:].min() or table["x"].iloc[:3].min() > table["x"].iloc[3:].max()
    )


def test_the_number_of_clusters_is_found() -> None:
    assert head_map(record(two_kinds()))["cluster"].tolist() == [0, 0, 0, 1, 1, 1]


def test_the_same_record_gives_the_same_map_in_any_numbering() -> None:
    heads, order = two_kinds(), [3, 1, 4, 0, 2]
    renumbered = record(heads[:, order][:, :, order], skeleton=FIVE.reordered([FIVE.joints[i] for i in order]))
    first, again, other = head_map(record(heads)), head_map(record(heads)), head_map(renumbered)
    assert first.equals(again)
    assert first["cluster"].tolist() == other["cluster"].tolist()
    np.testing.assert_allclose(first[["x", "y"]].to_numpy(), other[["x", "y"]].to_numpy(), atol=1e-9)


def test_distance_is_that_of_hellinger() -> None:
    features = head_features(record(torch.stack([torch.eye(5), torch.full((5, 5), 0.2)])))
    assert ((features[0] - features[1]) ** 2).sum() == pytest.approx(5 * (2 - 2 * 0.2**0.5))


@pytest.mark.parametrize("features", ["maps", "measures"])
def test_one_head_and_equal_heads(features: str) -> None:
    for count in (1, 2, 5):
        table = head_map(record(torch.full((count, 5, 5), 0.2)), features=features)  # type: ignore[arg-type]
        assert (table[["x", "y"]] == 0).all(axis=None)
        assert table["cluster"].tolist() == [0] * count


def test_attention_over_frames_of_which_some_were_pruned() -> None:
    full = Attention("a", 0, "frames", torch.eye(6).expand(1, 1, 1, 6, 6), (0,), None)
    kept = torch.tensor([[0, 2, 5]])
    pruned = Attention("b", 1, "frames", torch.eye(3).expand(1, 1, 1, 3, 3), (0,), None, frames=kept)
    table = head_map(Record(FIVE, [full, pruned]), "frames")
    assert table["name"].tolist() == ["a", "b"]
    assert table[["x", "y"]].abs().to_numpy().max() < 1e-9  # both look at the frame itself


def test_what_cannot_be_done_is_refused() -> None:
    with pytest.raises(DataError, match="expected 1 to 6 clusters"):
        head_map(record(two_kinds()), clusters=7)
    with pytest.raises(DataError, match="unknown features 'map'"):
        head_map(record(two_kinds()), features="map")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="recorded"):
        head_map(record(two_kinds()), "frames")
