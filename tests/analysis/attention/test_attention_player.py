"""The player: a frame of the figure a frame of the clip, edges of the chosen joint, plain values that every browser reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_record import made_record, wholebody

from graphpose.analysis.attention.pictures import attention_player
from graphpose.analysis.attention.pictures.edges import WIDTH
from graphpose.analysis.attention.record import Record
from graphpose.analysis.palette import LIGHT
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

pytest.importorskip("plotly", reason="the extra `viz` is not installed")


@pytest.fixture(scope="module")
def record() -> Record:
    return made_record()


def edges(frame: dict, deep: bool) -> list[dict]:
    """The traces of attention of one frame that have points, of the 2D or the 3D view."""
    kind = "scatter3d" if deep else "scatter"
    green = [trace for trace in frame["data"] if trace["type"] == kind]
    # after the bones of the sides (and of the truth) come the classes of thickness
    start = 4 if deep else 3
    return [trace for trace in green[start : start + len(WIDTH)] if trace["x"]]


def test_it_has_a_frame_for_each_frame_and_strict_json(record: Record) -> None:
    figure = attention_player(record, joint="Lwrist", head=1)
    plain = json.loads(figure.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [frame["name"] for frame in plain["frames"]] == [str(t) for t in range(9)]
    assert len(plain["layout"]["sliders"][0]["steps"]) == 9
    for frame in plain["frames"]:
        assert frame["traces"] == list(range(len(frame["data"])))
        assert [t["type"] for t in frame["data"]] == [plain["data"][k]["type"] for k in frame["traces"]]


def test_edges_lead_from_the_joint_to_what_it_looks_at(record: Record) -> None:
    plain = json.loads(attention_player(record, joint="Lwrist", layer=0, head=1, top=1).to_json())
    assert record.prediction is not None
    wrists = [record.skeleton.index(name) for name in ("Lwrist", "Rwrist")]
    for t, frame in enumerate(plain["frames"]):
        [line] = edges(frame, deep=True)
        assert np.allclose(line["x"][:2], record.prediction[0, t, wrists, 0].numpy(), atol=1e-4)
        assert line["x"][2] is None


def test_left_right_and_attention_have_their_colours(record: Record) -> None:
    figure = attention_player(record, joint="Lwrist")
    names = {trace.name: trace.line.color for trace in figure.data if trace.name}
    assert names == {
        "left": LIGHT["left"],
        "right": LIGHT["right"],
        "truth": LIGHT["truth"],
        "attention": LIGHT["curve2"],
    }


def test_over_frames_the_path_of_the_joint_is_marked(record: Record) -> None:
    figure = attention_player(record, joint="Lwrist", axis="frames", head=0)
    frame = json.loads(figure.to_json())["frames"][4]
    marks = [t for t in frame["data"] if "customdata" in t]
    assert len(marks) == 2  # 2D and 3D
    sizes = np.array(marks[0]["marker"]["size"])
    assert set(np.flatnonzero(sizes > sizes.max() / 2).tolist()) == {3, 4, 5}  # head 0 looks at neighbours
    with pytest.raises(DataError, match="expected joint="):
        attention_player(record, axis="frames")


def test_pruned_frames_have_no_edges(record: Record) -> None:
    [one] = record.find("joints", 0)
    kept = torch.tensor([[0, 4, 8], [1, 2, 3]])
    pruned = replace(one, weights=one.weights[:, :3], across=None, frames=kept)
    plain = json.loads(attention_player(replace(record, attention=[pruned]), joint="Lwrist", head=0).to_json())
    assert [bool(edges(frame, deep=True)) for frame in plain["frames"]] == [t in (0, 4, 8) for t in range(9)]


def test_a_mean_over_time_stands_for_every_frame(record: Record) -> None:
    [one] = record.find("joints", 0)
    mean = replace(one, weights=one.weights.mean(dim=(0, 1), keepdim=True), across=None)
    plain = json.loads(attention_player(replace(record, attention=[mean]), joint="Lwrist", head=0).to_json())
    assert all(edges(frame, deep=True) for frame in plain["frames"])


def test_133_joints_stay_small_enough_for_a_notebook() -> None:
    figure = attention_player(made_record(wholebody(), windows=1, frames=27, layers=1), joint="Lwrist")
    assert len(figure.to_json()) < 3_000_000


def test_one_frame_no_pairs_and_either_view_alone() -> None:
    chain = Skeleton.from_parents([-1, 0, 1], ["base", "arm", "tip"], name="a<b>")
    record = made_record(chain, windows=1, frames=1, layers=1, heads=1)
    figure = attention_player(record, joint="tip")
    assert not figure.layout.sliders and len(figure.frames) == 1
    for part in ("prediction", "keypoints"):
        attention_player(replace(record, **{part: None}), joint=2)
    with pytest.raises(DataError, match="keypoints or a prediction"):
        attention_player(replace(record, prediction=None, keypoints=None))


def test_it_is_one_file_that_needs_no_network(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "player.html"
    attention_player(record, joint="Lwrist").write_html(path, include_plotlyjs=True)
    text = path.read_text(encoding="utf-8")
    assert 'src="http' not in text and "plotly.js v" in text


def test_what_is_not_there_is_named(record: Record) -> None:
    with pytest.raises(DataError, match=r"window in 0 \.\.\. 1"):
        attention_player(record, window=5)
    with pytest.raises(DataError, match=r"one of \[0, 1, 2\]"):
        attention_player(record, head=3)
