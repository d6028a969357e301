"""Roles: planted heads get the name of what was planted."""

from __future__ import annotations

import pytest
import torch
from zoo import FIVE

from graphpose.analysis.attention.measures.head_roles import ROLES, head_roles
from graphpose.analysis.attention.record import Attention, Axis, Record, Window
from graphpose.errors import DataError


def roles(heads: list[torch.Tensor], axis: Axis = "joints", **thresholds: float) -> list[str]:
    weights = torch.stack(heads)[None, None]
    one = Attention("block", 0, axis, weights, tuple(range(len(heads))), None)
    found: list[str] = head_roles(Record(FIVE, [one]), **thresholds)["role"].tolist()
    assert set(found) <= set(ROLES)
    return found


def test_planted_roles_over_joints() -> None:
    hub = torch.zeros(5, 5)
    hub[:, 2] = 1
    distant = torch.zeros(5, 5)
    distant[[0, 0, 1, 2, 3, 4], [2, 4, 4, 3, 2, 1]] = torch.tensor([0.5, 0.5, 1, 1, 1, 1])
    bones = torch.tensor(FIVE.normalized_adjacency("row")).float()
    two_keys = torch.zeros(5, 5)
    two_keys[:, [0, 2]] = 0.5  # the hip, which is near all, and a foot
    found = roles(
        [torch.full((5, 5), 0.2), torch.eye(5), bones, torch.eye(5)[list(FIVE.mirror)], hub, distant, two_keys]
    )
    assert found == ["global", "self", "bone", "mirror", "hub", "distant", "mixed"]


def test_planted_roles_over_frames() -> None:
    step = torch.zeros(32, 32)
    step[range(1, 32), range(31)] = 1
    step[0, 1] = 1
    far = torch.roll(torch.eye(32), 16, dims=1)
    near = torch.zeros(32, 32)
    near[range(3, 32), range(29)] = 1
    near[range(3), range(3, 6)] = 1
    found = roles([torch.full((32, 32), 1 / 32), torch.eye(32), step, near, far], "frames")
    assert found == ["global", "self", "trajectory", "near", "far"]


def test_one_frame_has_no_role() -> None:
    assert roles([torch.ones(1, 1)], "frames") == ["undefined"]


def test_thresholds() -> None:
    half = 0.5 * torch.eye(5) + 0.1  # excess of self: (0.6 - 0.2) / 0.8 = 0.5
    assert roles([half], excess=0.49) == ["self"]
    assert roles([half], excess=0.51) == ["global"]
    assert roles([half], excess=0.51, entropy=0.9) == ["mixed"]
    with pytest.raises(DataError, match="excess from 0 to 1"):
        roles([half], excess=2)


@pytest.mark.parametrize("real", [1, 2, 20, 27])
def test_uniform_attention_is_global_however_many_frames_fill_up_the_window(real: int) -> None:
    uniform = torch.full((1, 5, 1, 27, 27), 1 / 27)
    one = Attention("time", 0, "frames", uniform, (0,), tuple(range(5)))
    [row] = head_roles(Record(FIVE, [one], windows=[Window(frames=real)])).to_dict("records")
    assert [row[f"excess_{name}"] for name in ("self", "step", "near", "far")] == pytest.approx([0] * 4, abs=1e-6)
    assert row["role"] == "global"
