"""Which joints a joint looks at, always and where it is hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from zoo import FIVE

from graphpose.analysis.attention.measures.looks_at import looks_at
from graphpose.analysis.attention.record import Attention, Record, Window
from graphpose.errors import DataError, SkeletonError

L_FOOT, R_FOOT, L_KNEE = (FIVE.index(name) for name in ("l_foot", "r_foot", "l_knee"))


def hidden_foot(**more: Any) -> Record:
    """Four frames; the left foot is hidden in the last two and looks at its partner there, at its knee in the others."""
    weights = torch.full((1, 4, 2, 5, 5), 0.2)
    weights[0, :, :, L_FOOT] = 0
    weights[0, :2, :, L_FOOT, L_KNEE] = 1
    weights[0, 2:, :, L_FOOT, R_FOOT] = 1
    visible = torch.ones(1, 4, 5, dtype=torch.bool)
    visible[0, 2:, L_FOOT] = False
    one = Attention("space", 0, "joints", weights, (0, 3), (0, 1, 2, 3))
    return Record(FIVE, [one], visible=visible, **more)


def test_where_a_joint_looks_when_it_is_hidden() -> None:
    first = looks_at(hidden_foot(), "l_foot", "hidden").iloc[0]
    assert (first["joint"], first["share"], first["otherwise"], first["more"]) == ("r_foot", 1, 0, 1)
    assert (first["hops"], first["relation"], first["frames"]) == (4, "mirror", 2)
    assert looks_at(hidden_foot(), "l_foot", "visible")["joint"].iloc[0] == "l_knee"
    always = looks_at(hidden_foot(), L_FOOT).set_index("joint")["share"]
    assert always["l_knee"] == always["r_foot"] == 0.5 and always.sum() == pytest.approx(1)
    own = looks_at(hidden_foot(), "l_foot", np.array([[True, False, False, True]])).set_index("joint")["share"]
    assert own["l_knee"] == own["r_foot"] == 0.5


def test_a_joint_that_is_never_hidden() -> None:
    table = looks_at(hidden_foot(), "hip", "hidden")
    assert table["share"].isna().all() and (table["frames"] == 0).all()
    assert table["otherwise"].tolist() == pytest.approx([0.2] * 5)


def test_frames_that_fill_up_a_window_do_not_count() -> None:
    table = looks_at(hidden_foot(windows=[Window(frames=3)]), "l_foot", "hidden")
    assert (table["frames"] == 1).all()


def test_pruned_frames_are_told_by_their_numbers() -> None:
    record = hidden_foot()
    pruned = record.attention[0].weights[:, [0, 3]]
    record.attention = [Attention("space", 1, "joints", pruned, (0, 3), (0, 1), frames=torch.tensor([[0, 3]]))]
    assert looks_at(record, "l_foot", "hidden")["joint"].iloc[0] == "r_foot"
    record.attention = [Attention("space", 1, "joints", pruned[:, :1], (0, 3), (0,), frames=torch.tensor([[0]]))]
    assert looks_at(record, "l_foot", "hidden")["share"].isna().all()  # no hidden frame was kept


def test_layers_and_heads_are_averaged_or_chosen() -> None:
    record = hidden_foot()
    itself = torch.eye(5).expand(1, 4, 1, 5, 5)
    record.attention.append(Attention("later", 1, "joints", itself, (0,), (0, 1, 2, 3)))
    shares = looks_at(record, "l_foot", "hidden").set_index("joint")["share"]
    assert (shares["r_foot"], shares["l_foot"]) == (0.5, 0.5)
    assert looks_at(record, "l_foot", layers=[1])["joint"].iloc[0] == "l_foot"
    assert looks_at(record, "l_foot", "hidden", layers=0, heads=3)["joint"].iloc[0] == "r_foot"


def test_what_cannot_be_told_is_refused() -> None:
    record = hidden_foot()
    with pytest.raises(SkeletonError, match="did you mean 'l_foot'"):
        looks_at(record, "l_fot")
    with pytest.raises(SkeletonError, match="did you mean 'r_foot'"):
        looks_at(record, "R_FOOT")
    with pytest.raises(DataError, match="unknown when 'never'"):
        looks_at(record, "hip", "never")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="expected layers"):
        looks_at(record, "hip", layers=5)
    with pytest.raises(DataError, match="expected heads among 0, 3"):
        looks_at(record, "hip", heads=1)
    with pytest.raises(DataError, match=r"bool \[windows, 4\]"):
        looks_at(record, "hip", np.ones((1, 3), dtype=bool))
    record.attention = [Attention("space", 0, "joints", torch.full((1, 1, 1, 5, 5), 0.2), (0,), None)]
    assert looks_at(record, "hip")["share"].tolist() == pytest.approx([0.2] * 5)
    with pytest.raises(DataError, match="capture without reduce"):
        looks_at(record, "l_foot", "hidden")
    record.visible = None
    with pytest.raises(DataError, match="visible None"):
        looks_at(record, "l_foot", "hidden")


def test_all_layers_and_heads_asked_for_have_to_be_there() -> None:
    with pytest.raises(DataError, match=r"expected layers among 0 \(got 99\)"):
        looks_at(hidden_foot(), "hip", layers=[0, 99])
    with pytest.raises(DataError, match=r"expected heads among 0, 3 \(got 99\)"):
        looks_at(hidden_foot(), "hip", heads=[0, 99])
    with pytest.raises(DataError, match="whole numbers"):
        looks_at(hidden_foot(), "hip", heads=[0.5])  # type: ignore[list-item]
    numbers = looks_at(hidden_foot(), np.int64(L_FOOT), "hidden", layers=np.int64(0), heads=np.array([3]))  # type: ignore[arg-type]
    assert numbers["joint"].iloc[0] == "r_foot"
    more = hidden_foot()
    more.attention.append(Attention("later", 1, "joints", torch.eye(5).expand(1, 4, 1, 5, 5), (0,), (0, 1, 2, 3)))
    assert looks_at(more, "l_foot", "hidden", heads=3)["share"].iloc[0] == 1  # the layer without a head 3 is left out
