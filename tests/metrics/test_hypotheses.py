"""Oracles choose as their formulas say, stand in columns of their own, and never touch the figures beside them."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import torch

from graphpose.errors import ConfigError, DataError
from graphpose.metrics import ErrorTable, j_best, mean_pose, mpjpe, p_best, p_mpjpe
from graphpose.skeleton import Skeleton

TARGET = torch.zeros(1, 3, 3)
# two hypotheses, one frame, three joints: errors 10, 50, 30 mm and 40, 20, 60 mm along x
TWO = torch.zeros(2, 1, 3, 3)
TWO[:, 0, :, 0] = torch.tensor([[0.01, 0.05, 0.03], [0.04, 0.02, 0.06]])


def drawn(hypotheses: int, frames: int = 5, joints: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = 0.3 * torch.randn(frames, joints, 3, generator=generator)
    return target + 0.05 * torch.randn(hypotheses, frames, joints, 3, generator=generator), target


def test_the_two_oracles_are_their_formulas() -> None:
    assert p_best(TWO, TARGET) == pytest.approx((0.01 + 0.05 + 0.03) / 3)
    assert j_best(TWO, TARGET) == pytest.approx((0.01 + 0.02 + 0.03) / 3)
    assert mpjpe(mean_pose(TWO), TARGET) == pytest.approx((0.025 + 0.035 + 0.045) / 3)


def test_oracles_agree_with_loops_over_frames_and_joints() -> None:
    many, target = drawn(6)
    errors = (many - target).norm(dim=-1)  # [H, T, J]
    best = np.mean([errors[:, t].mean(-1).min().item() for t in range(5)])
    assert p_best(many, target) == pytest.approx(best, rel=1e-6)
    assert j_best(many.numpy(), target.numpy()) == pytest.approx(errors.min(0).values.mean().item(), rel=1e-6)
    aligned = torch.stack([p_mpjpe(one, target, reduction="none") for one in many])
    assert p_best(many, target, metric="p_mpjpe") == pytest.approx(aligned.min(0).values.mean().item(), rel=1e-5)
    assert j_best(many, target) <= p_best(many, target) <= min(mpjpe(one, target) for one in many)


def test_one_hypothesis_leaves_nothing_to_choose() -> None:
    one, target = drawn(1)
    assert p_best(one, target) == pytest.approx(mpjpe(one[0], target).item())
    assert j_best(one, target) == pytest.approx(mpjpe(one[0], target).item())


def test_joints_that_do_not_count_have_no_say_in_the_choice() -> None:
    visible = torch.tensor([[True, False, True]])
    wild = TWO.clone()
    wild[0, 0, 1, 0] = 99.0
    assert p_best(wild, TARGET, visible=visible) == pytest.approx((0.01 + 0.03) / 2)
    assert j_best(wild, TARGET, visible=visible, reduction="joint").tolist()[::2] == pytest.approx([0.01, 0.03])


def test_aligned_errors_of_joints_that_do_not_count_have_no_say_either() -> None:
    many, target = drawn(8, frames=40)
    visible = torch.tensor([True] * 5 + [False] * 2).expand(40, 7)
    each = torch.stack([p_mpjpe(one, target, visible=visible, reduction="none") for one in many])
    found = p_best(many, target, metric="p_mpjpe", visible=visible)
    assert found == pytest.approx(each.min(0).values.mean().item(), rel=1e-5)


def test_what_is_not_a_number_stays_one() -> None:
    broken = TWO.clone()
    broken[1, 0, 0] = torch.nan
    assert torch.isnan(p_best(broken, TARGET)) and torch.isnan(j_best(broken, TARGET))


def test_wrong_input_is_one_clear_error() -> None:
    with pytest.raises(DataError, match=r"expected hypotheses \[H, \.\.\., T, J, 3\]"):
        p_best(TARGET, TARGET)
    with pytest.raises(DataError, match="unknown metric of an oracle 'mpjve'"):
        j_best(TWO, TARGET, metric="mpjve")
    with pytest.raises(ConfigError, match="unknown reduction"):
        p_best(TWO, TARGET, reduction="some")


def test_tables_keep_oracles_in_columns_named_so(biped: Skeleton) -> None:
    many, target = drawn(4)
    plain = ErrorTable(biped)
    plain.add(mean_pose(many), target, action="walk", subject="S1", name="a")
    table = ErrorTable(biped, oracles=("p_best", "j_best"))
    table.add(mean_pose(many), target, action="walk", subject="S1", name="a", hypotheses=many)
    honest = {name for name in table.overall() if "oracle" not in name}
    assert {name: table.overall()[name] for name in honest} == plain.overall()
    assert table.overall()["oracle_p_best_mpjpe"] == pytest.approx(1000 * p_best(many, target).item(), rel=1e-5)
    assert table.by_action()["walk"]["oracle_j_best_mpjpe"] == pytest.approx(
        1000 * j_best(many, target).item(), rel=1e-5
    )
    per_joint = 1000 * j_best(many, target, reduction="joint")
    found = [row["oracle_j_best_mpjpe"] for row in table.by_joint().values()]
    assert found == pytest.approx(per_joint.tolist(), rel=1e-5)
    text = table.to_text()
    assert "oracle P-Best MPJPE mm" in text and "Oracle: the best of several hypotheses by the truth" in text
    heads = next(csv.reader(io.StringIO(table.to_csv())))
    assert "oracle_p_best_mpjpe [mm]" in heads and "mpjpe [mm]" in heads
    content = json.loads(table.to_json())
    assert set(content["oracles"]) == {name for name in content["overall"] if name.startswith("oracle_")}
    assert len(content["oracles"]) == 6
    assert "racle" not in plain.to_text()


def test_a_table_with_oracles_needs_hypotheses_and_one_without_refuses_them(biped: Skeleton) -> None:
    many, target = drawn(2)
    with pytest.raises(DataError, match=r"'a': expected hypotheses .* \(got none and 6 columns"):
        ErrorTable(biped, oracles=("p_best", "j_best")).add(many[0], target, name="a")
    with pytest.raises(DataError, match=r"\(got some and 0 columns of oracles\)"):
        ErrorTable(biped).add(many[0], target, hypotheses=many)
    with pytest.raises(DataError, match="did you mean 'p_best'"):
        ErrorTable(biped, oracles=("p_bets",))
