"""Still pictures: they draw into the axes given, show what the heads look at, and say what they cannot draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_record import made_record, wholebody

from graphpose.analysis.attention.pictures import (
    draw_attention,
    draw_head_grid,
    draw_hop_profile,
    draw_joint_error,
    draw_time_profile,
    draw_topology,
)
from graphpose.analysis.attention.pictures.edges import BOUNDS, bound_texts, class_of, strongest
from graphpose.analysis.attention.pictures.limb_order import limb_order
from graphpose.analysis.attention.pictures.page_data import _pooled, page_data, plan_page
from graphpose.analysis.attention.pictures.selection import shown_weights
from graphpose.analysis.attention.record import Attention, Record
from graphpose.errors import DataError, SkeletonError
from graphpose.skeleton import Skeleton

pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")

CHAIN = Skeleton.from_parents([-1, 0, 1], ["base", "arm", "tip"], name="chain")


@pytest.fixture(scope="module")
def record() -> Record:
    return made_record()


def test_the_strongest_edges_leave_out_the_joint_itself() -> None:
    weights = np.array([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.0, 0.0, 1.0]])
    assert [(e.query, e.key) for e in strongest(weights, 2)] == [(1, 0), (1, 2)]
    assert [(e.query, e.key) for e in strongest(weights, 5, query=0)] == [(0, 1), (0, 2)]
    assert strongest(weights, 5, query=2) == []
    assert [e.weight for e in strongest(weights, 9, threshold=0.3)] == [0.5, 0.4]
    assert strongest(np.full((2, 2), np.nan), 3) == []


@given(st.integers(1, 200), st.floats(0, 1))
def test_thickness_grows_with_the_weight_and_has_a_text(keys: int, weight: float) -> None:
    rank = class_of(weight, keys)
    assert 0 <= rank <= len(BOUNDS)
    assert rank >= class_of(weight / 2, keys)
    assert len(bound_texts(keys)) >= 1
    assert min(rank, len(bound_texts(keys)) - 1) >= 0


@given(st.permutations(range(7)))
def test_the_order_of_limbs_does_not_depend_on_the_numbers_of_joints(places: list[int]) -> None:
    names = ["hip", "l_knee", "l_foot", "r_knee", "r_foot", "neck", "nose"]
    body = Skeleton.from_parents([-1, 0, 1, 0, 3, 0, 5], names)
    other = body.reordered([names[k] for k in places])
    told = [[one.joints[j] for j in limb_order(one)] for one in (body, other)]
    assert told[0] == told[1]
    assert sorted(told[0]) == sorted(names)
    for limb in (["l_knee", "l_foot"], ["r_knee", "r_foot"], ["neck", "nose"]):
        assert told[0].index(limb[1]) == told[0].index(limb[0]) + 1


def test_a_joint_is_drawn_with_edges_to_what_it_looks_at(record: Record) -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    assert draw_attention(record, joint="Lwrist", layer=0, head=0, threshold=0.05, ax=axes) is axes
    arrows = [patch for patch in axes.patches if patch.get_gid() == "attention"]
    assert len(arrows) == 1  # head 0 looks along bones, and a wrist has one
    assert "Lwrist looks at" in axes.get_title()
    mirrored = draw_attention(record, joint="Lwrist", layer=0, head=1, dims=3, threshold=0.05)
    [line] = [line for line in mirrored.get_lines() if line.get_gid() == "attention"]
    assert record.prediction is not None
    wrists = [record.skeleton.index(name) for name in ("Lwrist", "Rwrist")]
    pose = record.prediction[0, record.prediction.shape[1] // 2].double().numpy()
    drawn = np.array(line.get_data_3d()).T
    assert np.allclose(drawn, np.stack([pose[wrists, 0], pose[wrists, 2], -pose[wrists, 1]], -1))  # turned upright


def test_a_missing_keypoint_has_no_edges_in_its_frame(record: Record) -> None:
    assert record.visible is not None
    joint = record.skeleton.index("Lwrist")
    hidden = replace(record, visible=record.visible.clone())
    assert hidden.visible is not None
    hidden.visible[0, 2] = True
    seen = draw_attention(hidden, joint="Lwrist", head=0, frame=2)
    hidden.visible[0, 2, joint] = False
    unseen = draw_attention(hidden, joint="Lwrist", head=0, frame=2)
    assert seen.patches and not unseen.patches


@pytest.mark.parametrize("skeleton", [CHAIN, wholebody()], ids=["no pairs", "133 joints"])
def test_any_skeleton_and_a_single_frame(skeleton: Skeleton) -> None:
    record = made_record(skeleton, windows=1, frames=1, layers=1, heads=2)
    draw_attention(record, joint=skeleton.joints[-1], dims=3)
    draw_attention(record, frame=0)
    for axis in ("joints", "frames"):
        assert draw_head_grid(record, axis).shape == (1, 2)  # type: ignore[arg-type]
    for draw in (draw_hop_profile, draw_time_profile, draw_joint_error):
        draw(record).figure.draw_without_rendering()
    draw_topology(record)[0].figure.draw_without_rendering()


def test_the_grid_has_a_map_for_each_head(record: Record) -> None:
    grid = draw_head_grid(record)
    assert grid.shape == (2, 3)
    image = np.asarray(grid[0, 0].images[0].get_array())
    order = limb_order(record.skeleton)
    expected = shown_weights(record, record.find("joints", 0)[0], head=0)[np.ix_(order, order)]
    assert np.allclose(image, expected)
    with pytest.raises(DataError, match=r"expected axes \[2, 3\]"):
        draw_head_grid(record, ax=np.empty((1, 3), dtype=object))


def test_the_hop_profile_of_bones_has_its_top_at_one(record: Record) -> None:
    only = replace(
        record, attention=[replace(one, weights=one.weights[:, :, :1], heads=(0,)) for one in record.attention]
    )
    line = draw_hop_profile(only).get_lines()[0]
    assert np.argmax(line.get_ydata()) == 1
    assert np.isclose(np.sum(line.get_ydata()), 1)
    time = draw_time_profile(only).get_lines()[0]
    assert abs(time.get_xdata()[int(np.argmax(time.get_ydata()))]) <= 1
    assert len(time.get_xdata()) == 2 * 9 - 1


def test_pruned_frames_keep_their_places_in_time() -> None:
    weights = torch.zeros(2, 1, 1, 2, 2)
    weights[..., 1] = 1  # everybody looks at the later frame
    kept = torch.tensor([[0, 4], [3, 8]])
    one = Attention("t", 0, "frames", weights, (0,), None, frames=kept)
    line = draw_time_profile(Record(CHAIN, [one])).get_lines()[0]
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) == {-5: 0, -4: 0, 0: 0.5, 4: 1, 5: 1}


def test_the_topology_shows_what_was_learned(record: Record) -> None:
    graph, learned, change = draw_topology(record)
    values = [np.asarray(axes.images[0].get_array()) for axes in (graph, learned, change)]
    assert np.allclose(values[1] - values[0], values[2])
    names = [label.get_text() for label in graph.get_yticklabels()]
    assert sorted(names) == sorted(record.skeleton.joints)
    with pytest.raises(DataError, match=r"unknown topology 'embeding.prior' \(did you mean 'embedding.prior'"):
        draw_topology(record, "embeding.prior")
    with pytest.raises(DataError, match="no graph prior"):
        draw_topology(Record(CHAIN))


def test_unknown_errors_are_hollow(record: Record) -> None:
    assert record.target is not None
    target = record.target.clone()
    target[:, :, 3] = float("nan")
    axes = draw_joint_error(replace(record, target=target))
    hollow, known = axes.collections[:2]
    assert len(hollow.get_offsets()) == 1 and len(known.get_offsets()) == 16
    with pytest.raises(DataError, match="prediction and target"):
        draw_joint_error(replace(record, target=None))


def test_what_is_not_there_is_named(record: Record) -> None:
    with pytest.raises(SkeletonError, match="did you mean 'Lwrist'"):
        draw_attention(record, joint="Lwrst")
    with pytest.raises(DataError, match=r"joint in 0 \.\.\. 16"):
        draw_attention(record, joint=17)
    with pytest.raises(DataError, match=r"one of \[0, 1, 2\] \(got 7\)"):
        draw_attention(record, head=7)
    with pytest.raises(DataError, match=r"window in 0 \.\.\. 1"):
        draw_attention(record, window=2)
    with pytest.raises(DataError, match="layer=9"):
        draw_attention(record, layer=9)
    with pytest.raises(DataError, match="frame 99 was not recorded"):
        draw_attention(record, frame=99)
    with pytest.raises(DataError, match="dims 2 or 3"):
        draw_attention(record, dims=4)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="unknown axis 'time'"):
        draw_head_grid(record, "time")  # type: ignore[arg-type]


def padded() -> tuple[Record, Record]:
    """Two windows of 5 frames, of which the second has 2; and the same where the others look elsewhere."""
    record = made_record(frames=5, heads=2, layers=1)
    record.windows[1] = replace(record.windows[1], frames=2)
    other = replace(record, attention=[replace(one, weights=one.weights.clone()) for one in record.attention])
    other.attention[0].weights[1, 2:] = torch.eye(17)
    other.attention[1].weights[1, :, :, 2:] = torch.eye(5)[[0, 0, 0]]
    return record, other


def test_frames_that_fill_up_a_window_are_not_shown() -> None:
    for window in (None, 1):
        for draw in (draw_hop_profile, draw_time_profile):
            first, second = (draw(one, window=window).get_lines()[0].get_xydata() for one in padded())
            assert np.array_equal(first, second) and np.isfinite(first).all()
        for axis in ("joints", "frames"):
            first, second = (
                np.asarray(draw_head_grid(one, axis, window=window)[0, 0].images[0].get_array().filled(-1))  # type: ignore[arg-type]
                for one in padded()
            )
            assert np.array_equal(first, second)
    record = padded()[0]
    over_frames = shown_weights(record, record.find("frames")[0], window=1)
    assert np.isnan(over_frames).all(axis=1).tolist() == [False, False, True, True, True]
    with pytest.raises(DataError, match="got 3, which only fills up the window"):
        draw_attention(record, window=1, frame=3)
    draw_attention(record, window=0, frame=3)
    one_map = page_data(record, plan_page(record))["modules"]
    assert one_map[0]["map"] == page_data(padded()[1], plan_page(record))["modules"][0]["map"]
    assert one_map[1]["map"] == page_data(padded()[1], plan_page(record))["modules"][1]["map"]


def test_maps_of_long_windows_are_pooled_over_the_rows_that_count() -> None:
    maps = np.random.default_rng(0).dirichlet(np.ones(130), size=(1, 130))
    whole = _pooled(maps, "frames")
    assert whole.shape == (1, 64, 64)
    maps[:, 100:] = np.nan
    part = _pooled(maps, "frames")
    assert np.array_equal(part[:, :48], whole[:, :48]) and np.isnan(part[:, 50:]).all()


def test_a_window_that_is_not_there_has_no_profile(record: Record) -> None:
    for draw in (draw_hop_profile, draw_time_profile):
        with pytest.raises(DataError, match=r"window in 0 \.\.\. 1 \(got 99\)"):
            draw(record, window=99)
        assert draw(record, window=np.int64(1)).get_lines()  # type: ignore[arg-type]
