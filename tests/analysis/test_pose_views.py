"""Examples, their upright turn, what the player gets, and the poster."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphpose.analysis import Example, poster
from graphpose.analysis.pose_player import chosen_frames, player_data
from graphpose.analysis.upright import finite_bounds, front_pose, tree_layout, turntable, upright
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

PNG = b"\x89PNG\r\n\x1a\n"


def standing(frames: int = 5, known: bool = True, **options: object) -> Example:
    """The rest pose of Human3.6M in front of a level camera: y down, and facing it (a half turn about x)."""
    skeleton = Skeleton.load("h36m17")
    assert skeleton.rest is not None
    target = np.repeat(skeleton.rest[None] * [1.0, -1.0, -1.0], frames, axis=0)
    return Example("stand", skeleton, target[..., :2], target + 0.01, target if known else None, **options)


@pytest.mark.parametrize("space", ["camera", "world"])
def test_upright_is_a_proper_rotation(space: str) -> None:
    turn = upright(np.eye(3), space)
    assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1.0)
    up = np.array([0.0, -1.0, 0.0] if space == "camera" else [0.0, 1.0, 0.0])
    assert np.allclose(upright(up, space), [0, 0, 1])


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: math.hypot(*v) > 1e-2))
def test_given_up_becomes_up(up: list[float]) -> None:
    turn = upright(np.eye(3), "camera", np.array(up))
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-6) and np.linalg.det(turn) == pytest.approx(1.0)
    assert np.allclose(upright(np.array(up), "camera", np.array(up)), [0, 0, math.hypot(*up)], atol=1e-6)


def test_upside_down_camera_is_turned_back() -> None:
    assert np.allclose(upright(np.array([0.0, 1.0, 0.0]), "camera", np.array([0.0, 1.0, 0.0])), [0, 0, 1])


def test_turntable_keeps_up_up_and_projects_orthogonally() -> None:
    axes = turntable(np.eye(3))
    assert np.allclose(axes.T @ axes, np.eye(2)), "rows of an orthographic view are orthonormal"
    assert axes[2, 1] > 0.9 and axes[2, 0] == 0


def test_people_stand_with_head_up_and_left_on_the_viewers_right() -> None:
    example = standing()
    drawn, target = example.drawn()
    skeleton = example.skeleton
    head, ankle = skeleton.index("head"), skeleton.index("Lankle")
    assert (drawn[:, head, 2] > drawn[:, ankle, 2] + 1).all()
    assert target is not None
    assert (target[:, skeleton.index("Lhip"), 0] > target[:, skeleton.index("Rhip"), 0]).all()


@given(st.integers(1, 5000), st.floats(1, 240), st.integers(10, 150))
def test_chosen_frames_are_few_even_and_not_choppy(frames: int, fps: float, limit: int) -> None:
    chosen = chosen_frames(frames, fps, limit)
    assert 1 <= len(chosen) <= limit and chosen[0] == 0 and chosen[-1] < frames
    assert fps / chosen.step >= min(10.0, fps)
    if frames <= limit:
        assert list(chosen) == list(range(frames))


def test_player_coordinates_come_back_within_half_a_step() -> None:
    example = standing(320, fps=50.0)
    example.predicted[2, 4] = np.nan
    data = player_data(example)
    assert len(data["frames"]) <= 150
    drawn, _ = example.drawn()
    shown = drawn[data["frames"]].ravel()
    back = np.array([math.nan if v is None else v * data["scale3"] for v in data["predicted"]])
    assert np.array_equal(np.isnan(back), np.isnan(shown))
    assert np.nanmax(abs(back - shown)) <= 0.5e-3 + 1e-12
    flat = np.array(data["keypoints"]) * data["scale2"]
    assert abs(flat - example.keypoints[data["frames"]].ravel()).max() <= data["scale2"]


def test_thinning_the_error_curve_keeps_its_peak() -> None:
    example = standing(3333)
    assert example.error is not None
    example.error[1234] = 2.0
    example.error[7] = np.nan
    curve = player_data(example)["curve"]
    assert len(curve["mm"]) <= 1000 and max(v for v in curve["mm"] if v is not None) == pytest.approx(2000.0)
    assert abs(curve["seconds"][int(np.argmax([v or 0 for v in curve["mm"]]))] - 1234 / 30) < 4 / 30


def test_unknown_errors_stay_unknown() -> None:
    example = standing(6)
    assert example.error is not None
    example.error[2] = np.nan
    example.error[3, :16] = np.nan
    mean = example.frame_error()
    assert mean is not None and np.isnan(mean[2]) and mean[3] == pytest.approx(example.error[3, 16])
    data = player_data(example)
    assert data["curve"]["mm"][2] is None
    assert data["error"][2 * 17 : 3 * 17] == [None] * 17


def test_nothing_known_at_all_still_has_axes() -> None:
    skeleton = Skeleton.from_parents([-1, 0])
    example = Example("gap", skeleton, np.full((3, 2, 2), np.nan), np.full((3, 2, 3), np.nan))
    data = player_data(example)
    assert data["predicted"] == [None] * 18
    assert np.isfinite(data["range3"]).all() and np.isfinite(data["range2"]).all()


def test_bounds_hold_all_points_and_no_side_is_thin() -> None:
    points = np.array([[0.0, 0.0, 0.0], [2.0, 0.1, 0.0], [np.nan, 9.0, 9.0]])
    low, high = finite_bounds(points, least=0.4)
    assert (low < 0).all() and (high > [2.0, 0.1, 0.0]).all() and (high < 9).all()
    assert ((high - low) >= 0.8 - 1e-9).all()


def test_torch_input_is_taken_and_not_shared() -> None:
    skeleton = Skeleton.from_parents([-1, 0])
    predicted = torch.zeros(4, 2, 3, requires_grad=True)
    keypoints = np.zeros((4, 2, 2))
    example = Example("t", skeleton, keypoints, predicted)
    keypoints[:] = 5
    assert isinstance(example.predicted, np.ndarray) and example.frames == 4 and (example.keypoints == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predicted": np.zeros((5, 16, 3))}, r"predicted of shape \[T, 17, 3\].*got \[5, 16, 3\]"),
        ({"predicted": np.zeros((0, 17, 3))}, "at least one frame"),
        ({"keypoints": np.zeros((4, 17, 2))}, r"keypoints of shape \[5, 17, 2\]"),
        ({"target": np.zeros((5, 17, 2))}, "target of shape"),
        ({"error": np.zeros(5)}, "error of shape"),
        ({"fps": 0.0}, "fps > 0"),
        ({"fps": math.nan}, "fps > 0"),
        ({"space": "wrold"}, "did you mean 'world'"),
        ({"up": np.zeros(3)}, "up to be a direction"),
    ],
)
def test_examples_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    good = standing()
    fields = {"keypoints": good.keypoints, "predicted": good.predicted, "target": good.target} | change
    with pytest.raises(DataError, match=message):
        Example("bad", good.skeleton, **fields)


def test_front_pose_prefers_rest_then_mean_then_tree() -> None:
    full = Skeleton.load("h36m17")
    bare = Skeleton.from_parents(full.parents, full.joints, full.pairs, name="bare")
    assert front_pose(full, [])[1] == "rest pose, seen from the front"
    place, shows = front_pose(bare, [])
    assert shows == "joint tree" and np.array_equal(place, tree_layout(bare))
    place, shows = front_pose(bare, [standing()])
    assert shows == "mean pose, seen from the front"
    assert place[bare.index("Lhip"), 0] > place[bare.index("Rhip"), 0]
    assert place[bare.index("head"), 1] > place[bare.index("Rankle"), 1]


@pytest.mark.parametrize("name", Skeleton.available())
def test_tree_layout_sets_joints_apart(name: str) -> None:
    skeleton = Skeleton.load(name)
    place = tree_layout(skeleton)
    assert len(np.unique(place.round(9), axis=0)) == len(skeleton.joints)
    for parent, child in skeleton.bones:
        assert place[child, 1] == place[parent, 1] - 1


def test_poster_is_a_picture_with_two_rows_an_example(tmp_path: Path) -> None:
    from matplotlib.image import imread

    one = poster([standing(30)], tmp_path / "deep" / "one.png", frames=3, dpi=50)
    many = poster([standing(30), standing(1, known=False)], tmp_path / "two.png", frames=3, dpi=50)
    assert one.read_bytes()[:8] == PNG
    small, large = imread(one), imread(many)
    assert large.shape[0] > 1.7 * small.shape[0]
    assert small[..., :3].std() > 0.05, "something is drawn"


def test_poster_takes_names_and_gaps_as_they_are(tmp_path: Path) -> None:
    example = standing(4)
    example.name = r"$\frac{1}$ <b> a very long name of a clip _1_"
    example.predicted[1] = np.nan
    example.keypoints[:, 3] = np.nan
    assert poster([example], tmp_path / "odd.png", dpi=40).stat().st_size > 1000


def test_poster_refuses_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one example"):
        poster([], tmp_path / "x.png")
    with pytest.raises(DataError, match="frames >= 1"):
        poster([standing()], tmp_path / "x.png", frames=0)
