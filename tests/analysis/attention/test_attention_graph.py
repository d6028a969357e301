"""Attention as graphs: edges, their attributes, thresholds, choices of heads, frames and joints."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import FIVE

from graphpose.analysis.attention.measures.attention_graph import attention_graph, attention_networkx
from graphpose.analysis.attention.record import Attention, Record, Window
from graphpose.errors import DataError

EYE = torch.eye(5)


def record() -> Record:
    """Over joints: head 0 looks at itself in frame 0 and at its partner in frame 1, head 1 uniformly; over frames: at frame 0."""
    partner = EYE[list(FIVE.mirror)]
    uniform = torch.full((5, 5), 0.2)
    joints = torch.stack([torch.stack([EYE, uniform]), torch.stack([partner, uniform])])[None]
    frames = torch.zeros(1, 5, 1, 2, 2)
    frames[..., 0] = 1
    frames[:, 4, 0, 0] = torch.tensor([0.25, 0.75])
    return Record(
        FIVE,
        [
            Attention("space", 0, "joints", joints, (0, 1), (0, 1)),
            Attention("time", 0, "frames", frames, (0,), tuple(range(5))),
        ],
    )


def test_a_planted_mirror_head() -> None:
    data = attention_graph(record(), head=0, frames=1)
    assert data.validate()
    assert data.num_nodes == 5 and data.names == list(FIVE.joints)
    assert data.edge_index.tolist() == [[0, 3, 4, 1, 2], [0, 1, 2, 3, 4]]
    assert data.edge_weight.tolist() == [1] * 5
    assert data.hops.tolist() == [0, 2, 4, 2, 4]
    assert [data.relations[kind] for kind in data.relation] == ["self"] + ["mirror"] * 4
    assert data.time_offset.tolist() == [0] * 5


def test_edges_go_from_what_is_looked_at_to_what_looks() -> None:
    graph = attention_networkx(record(), "frames", joints="hip")
    assert dict(graph.edges) == {
        (0, 0): {"weight": 1.0, "hops": 0, "relation": "self", "time_offset": 0},
        (0, 1): {"weight": 1.0, "hops": 0, "relation": "step", "time_offset": -1},
    }
    assert graph.nodes[1]["name"] == "1"


def test_the_mean_of_all_and_of_some() -> None:
    data = attention_graph(record())  # (I + partner + 2 uniform) / 4
    dense = torch.zeros(5, 5)
    dense[data.edge_index[1], data.edge_index[0]] = data.edge_weight
    torch.testing.assert_close(dense, (EYE + EYE[list(FIVE.mirror)]) / 4 + 0.1)
    joint = attention_graph(record(), "frames", joints=["r_foot"])
    assert joint.edge_weight.tolist() == [0.25, 0.75, 1]
    assert joint.time_offset.tolist() == [0, 1, -1]


def test_thresholds() -> None:
    assert attention_graph(record(), threshold=0.3).num_edges == 9  # self and partner, and the hip, whose partner it is
    assert attention_graph(record(), head=1).num_edges == 25
    kept = attention_graph(record(), head=1, top_k=2)
    assert kept.edge_index[1].bincount().tolist() == [2] * 5
    assert attention_graph(record(), head=1, top_k=2, threshold=0.3).num_edges == 0
    sides = attention_networkx(record()).nodes(data="side")
    assert sides[FIVE.index("l_foot")] == "left"


def test_pruned_frames_keep_their_numbers() -> None:
    seen = record()
    seen.attention = [
        Attention(
            "time",
            0,
            "frames",
            torch.eye(2).flip(0).expand(1, 5, 1, 2, 2),
            (0,),
            tuple(range(5)),
            frames=torch.tensor([[1, 4]]),
        )
    ]
    seen.visible = torch.ones(1, 6, 5, dtype=torch.bool)
    data = attention_graph(seen, "frames")
    assert data.num_nodes == 6
    assert data.edge_index.tolist() == [[4, 1], [1, 4]]
    assert data.time_offset.tolist() == [3, -3]


def test_what_was_not_recorded_is_refused() -> None:
    seen = record()
    for chosen, message in (
        ({"layer": 3}, "layer=3"),
        ({"head": 2}, "expected heads among 0, 1"),
        ({"frames": 2}, r"expected frames in 0 \.\.\. 1"),
        ({"window": 1}, r"expected window in 0 \.\.\. 0"),
        ({"threshold": 2.0}, "threshold from 0 to 1"),
        ({"top_k": 0}, "top_k >= 1"),
        ({"joints": "hip"}, "whose nodes they are"),
    ):
        with pytest.raises(DataError, match=message):
            attention_graph(seen, **chosen)  # type: ignore[arg-type]
    seen.attention = [Attention("space", 0, "joints", EYE.expand(1, 1, 1, 5, 5), (0,), None)]
    with pytest.raises(DataError, match="capture without reduce"):
        attention_graph(seen, frames=0)


def test_numbers_of_numpy_and_choices_of_nothing() -> None:
    data = attention_graph(record(), head=np.int64(0), frames=np.array([1]), window=np.int64(0))  # type: ignore[arg-type]
    assert data.edge_index.tolist() == attention_graph(record(), head=0, frames=1).edge_index.tolist()
    foot = attention_graph(record(), "frames", joints=np.int64(4))  # type: ignore[arg-type]
    assert foot.edge_weight.tolist() == [0.25, 0.75, 1]
    for choice in ("head", "window", "frames"):
        with pytest.raises(DataError, match=r"\(got none\)"):
            attention_graph(record(), **{choice: []})
    with pytest.raises(DataError, match=r"\(got none\)"):
        attention_graph(record(), "frames", joints=[])


def test_frames_that_fill_up_a_window_do_not_count() -> None:
    padded = record()
    padded.windows = [Window(frames=1)]
    data = attention_graph(padded, head=0, frames=[0, 1])
    assert (
        data.edge_index.tolist() == [list(range(5))] * 2
    )  # frame 1, where it looks at its partner, is none of the clip
    with pytest.raises(DataError, match="only fill up the window"):
        attention_graph(padded, head=0, frames=1)
