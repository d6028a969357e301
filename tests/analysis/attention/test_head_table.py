"""Tables of heads: planted heads give their values, groups of windows, one frame, no pairs, pruned frames."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from zoo import FIVE

from graphpose.analysis.attention.measures.head_table import MEASURES, head_table, joint_table
from graphpose.analysis.attention.record import Attention, Axis, Record, Topology, Window
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

EYE = torch.eye(5)
HEADS = torch.stack(
    [torch.full((5, 5), 0.2), EYE, torch.tensor(FIVE.normalized_adjacency("row")).float(), EYE[list(FIVE.mirror)]]
)


def module(weights: torch.Tensor, axis: Axis = "joints", **more: Any) -> Attention:
    return Attention("block", 0, axis, weights, tuple(range(weights.shape[2])), tuple(range(weights.shape[1])), **more)


def planted(frames: int = 3, windows: int = 2) -> Record:
    """Uniform, identity, adjacency and mirror heads over joints; the same kind over frames but for adjacency and mirror."""
    joints = HEADS.expand(windows, frames, -1, -1, -1)
    times = torch.stack([torch.full((frames, frames), 1 / frames), torch.eye(frames)]).expand(windows, 5, -1, -1, -1)
    origin = [Window(f"clip{i}", "S1", "walk", start=i, frames=frames, fps=10.0) for i in range(windows)]
    return Record(FIVE, [module(joints), module(times, "frames")], windows=origin)  # weights are float32


def test_planted_heads_over_joints() -> None:
    table = head_table(planted(), axis="joints")
    assert table["head"].tolist() == [0, 1, 2, 3]
    assert table["rows"].tolist() == [30] * 4 and table["keys"].tolist() == [5] * 4
    assert table["entropy"].tolist() == pytest.approx([1, 0, 3 / 5 * math.log(2) / math.log(5), 0], abs=1e-6)
    assert table["mass_self"].tolist() == pytest.approx([0.2, 1, 0, 0.2], abs=1e-6)
    assert table["mass_bone"].tolist() == pytest.approx([0.32, 0, 1, 0], abs=1e-6)
    assert table["mass_mirror"].tolist() == pytest.approx([0.16, 0, 0, 0.8], abs=1e-6)
    assert table["excess_bone"].tolist() == pytest.approx([0, -0.32 / 0.68, 1, -0.32 / 0.68], abs=1e-6)
    assert table["hops"].tolist() == pytest.approx([8 / 5, 0, 1, 12 / 5], abs=1e-6)
    assert table["symmetry"].tolist() == pytest.approx([1] * 4, abs=1e-6)
    assert table["kinematic"].tolist() == pytest.approx(
        [(3 / 5 + 3 / 5 + 2 / 5 + 3 / 5 + 2 / 5) / 5, 0.5, 0.5, 0.1], abs=1e-6
    )
    assert table["key_share"].tolist() == pytest.approx([0.2, 0.2, 0.3, 0.2], abs=1e-6)
    assert table["stability"].tolist() == pytest.approx([1] * 4, abs=1e-6)
    assert table[["span", "mass_step", "prior"]].isna().all(axis=None)


def test_planted_heads_over_frames() -> None:
    table = head_table(planted(), axis="frames")
    assert table["span"].tolist() == pytest.approx([(1 + 2 / 3 + 1) / 3, 0], abs=1e-6)
    assert table["span_seconds"].tolist() == pytest.approx([8 / 90, 0], abs=1e-6)
    assert table["mass_step"].tolist() == pytest.approx([4 / 9, 0], abs=1e-6)
    assert table["symmetry"].tolist() == pytest.approx([1, 1], abs=1e-6)
    assert table["hops"].isna().all()


def test_agreement_with_the_graphs_of_the_model() -> None:
    record = planted()
    learned = torch.tensor(FIVE.adjacency()).float()
    record.topologies = [Topology("kpa", "joints", "kinematic", learned, learned)]
    table = head_table(record)
    assert table["prior"].tolist() == pytest.approx([0.32, 0, 1, 0, math.nan, math.nan], abs=1e-6, nan_ok=True)


def test_groups_say_where_they_come_from() -> None:
    table = head_table(planted(), "window", axis="joints")
    assert len(table) == 2 * 4
    assert {"name", "layer", "axis", "head", "window", "clip", "action", "subject", "view", "start"} <= set(
        table.columns
    )
    assert table["clip"].tolist() == ["clip0"] * 4 + ["clip1"] * 4
    assert head_table(planted(), "subject")["subject"].unique().tolist() == ["S1"]
    assert head_table(planted(), "action")["stability"].isna().all()  # one action
    with pytest.raises(DataError, match="unknown grouping 'camera'"):
        head_table(planted(), "camera")


@pytest.mark.filterwarnings("error")
def test_one_frame_one_window_and_no_pairs() -> None:
    arm = Skeleton.load("panda7")
    record = Record(
        arm,
        [module(torch.full((1, 1, 2, 7, 7), 1 / 7)), module(torch.ones(1, 7, 2, 1, 1), "frames")],
        windows=[Window()],
    )
    joints, frames = (head_table(record, axis=axis) for axis in ("joints", "frames"))
    assert joints[["symmetry", "mass_mirror", "stability"]].isna().all(axis=None)
    assert joints["entropy"].tolist() == pytest.approx([1, 1])
    assert frames[["entropy", "span", "mass_step", "excess_self", "symmetry"]].isna().all(axis=None)


def test_pruned_frames_count_by_their_numbers() -> None:
    one = module(torch.full((2, 5, 1, 2, 2), 0.5), "frames", frames=torch.tensor([[0, 20], [3, 4]]))
    record = Record(FIVE, [one], visible=torch.ones(2, 27, 5, dtype=torch.bool))
    table = head_table(record, "window")
    assert table["span"].tolist() == pytest.approx([10, 0.5])
    assert table["mass_far"].tolist() == pytest.approx([0.5, math.nan], nan_ok=True)
    assert head_table(record)["span"].tolist() == pytest.approx([5.25])
    recovery = module(torch.full((1, 5, 1, 6, 2), 0.5), "frames", key_frames=torch.tensor([[0, 5]]))
    assert head_table(Record(FIVE, [recovery]))["span"].tolist() == pytest.approx([2.5])


def test_frames_that_fill_up_a_window_do_not_count() -> None:
    weights = torch.stack([HEADS[:1], HEADS[1:2], HEADS[1:2]])[None]  # uniform, then identity
    table = head_table(Record(FIVE, [module(weights)], windows=[Window(frames=2)]))
    assert table["entropy"].tolist() == pytest.approx([0.5])
    assert table["rows"].tolist() == [10]


@pytest.mark.parametrize("order", [[4, 2, 0, 1, 3], [1, 0, 3, 2, 4]])
def test_the_table_does_not_depend_on_the_numbering_of_joints(order: list[int]) -> None:
    generator = np.random.default_rng(0)
    joints = torch.tensor(generator.dirichlet(np.ones(5), size=(2, 3, 2, 5)))
    times = torch.tensor(generator.dirichlet(np.ones(3), size=(2, 5, 2, 3)))
    origin = [Window("a", frames=3), Window("b", frames=2)]
    renumbered = [module(joints[..., order, :][..., order]), module(times[:, order], "frames")]
    before = head_table(Record(FIVE, [module(joints), module(times, "frames")], windows=origin))
    after = head_table(Record(FIVE.reordered([FIVE.joints[i] for i in order]), renumbered, windows=origin))
    np.testing.assert_allclose(before[list(MEASURES)].to_numpy(), after[list(MEASURES)].to_numpy(), atol=1e-12)
    assert before["key"].tolist() == after["key"].tolist()


def test_joint_table() -> None:
    table = joint_table(planted(), heads=[3])
    assert len(table) == 25
    foot = table.query("query == 'l_foot' and key == 'r_foot'").iloc[0]
    assert (foot["weight"], foot["hops"], foot["relation"]) == (1.0, 4, "mirror")
    assert table.groupby("query")["weight"].sum().tolist() == pytest.approx([1] * 5)
    assert joint_table(planted(), "clip", layer=0)["clip"].nunique() == 2
    with pytest.raises(DataError, match="layer=7"):
        joint_table(planted(), layer=7)


def test_heads_of_a_joint_table_are_chosen() -> None:
    one = joint_table(planted(), heads=0)
    assert set(one["head"]) == {0}
    assert set(joint_table(planted(), heads=np.array([1, 3]))["head"]) == {1, 3}
    for heads in ([99], [0, 99], []):
        with pytest.raises(DataError, match="expected heads among 0, 1, 2, 3"):
            joint_table(planted(), heads=heads)
