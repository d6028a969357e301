"""Poses of a record stand upright in 3D pictures, however the camera was held."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_record import made_record
from zoo import FIVE, small

from graphpose.analysis import Record, observe
from graphpose.analysis.attention.pictures import rerun_export
from graphpose.analysis.attention.pictures.page_data import page_data, plan_page
from graphpose.analysis.attention.pictures.pose_places import front_places, space_places
from graphpose.datasets import Views
from graphpose.geometry import Camera
from graphpose.motion import MotionClip

BODY = torch.tensor([[0, 1, 0], [0.2, 0.5, 0], [0.2, 0, 0], [-0.2, 0.5, 0.1], [-0.2, 0, 0]])


def walk(frames: int = 8) -> MotionClip:
    noise = 0.05 * torch.randn(frames, 5, 3, generator=torch.Generator().manual_seed(0))
    return MotionClip(FIVE, 25.0, positions=BODY + noise, name="walk")


def heights(record: Record, window: int) -> np.ndarray:
    """Of the true poses in drawing space, above the root."""
    truth = space_places(record, window)[1]
    assert truth is not None
    return truth[..., 2]


@pytest.mark.parametrize("views", [Views(height=6.0), Views(kind="random", count=3), Views(kind="orbit", height=4.0)])
def test_heights_in_pictures_are_those_of_the_world(views: Views) -> None:
    clip = walk()
    record = observe(small("mixste"), clip, views=views, progress=False)
    assert clip.positions is not None
    above_root = (clip.positions - clip.positions[:, :1])[..., 1].numpy()
    for number, window in enumerate(record.windows):
        assert window.up is not None and np.linalg.norm(window.up) == pytest.approx(1.0, abs=1e-5)
        expected = above_root[window.start : window.start + window.frames]
        np.testing.assert_allclose(heights(record, number)[: window.frames], expected, atol=1e-4)
    level = replace(record, windows=[replace(one, up=None) for one in record.windows])
    assert np.abs(heights(level, 0)[:6] - above_root[:6]).max() > 0.02, "the camera does look down"


def test_up_is_that_of_the_first_frame_of_a_window() -> None:
    """A camera that rises while it looks at the body: each window has its own direction."""
    target = torch.tensor([0.0, 0.5, 0.0])
    held = [Camera.look_at(torch.tensor([0.0, 0.5 + 0.4 * t, 5.0]), target) for t in range(12)]
    moving = replace(
        held[0],
        rotation=torch.stack([one.rotation for one in held]),
        position=torch.stack([one.position for one in held]),
    )
    record = observe(small("mixste"), walk(12).seen_by(moving), progress=False)
    assert [one.start for one in record.windows] == [0, 6]
    for window in record.windows:
        np.testing.assert_allclose(window.up, held[window.start].rotation[:, 1].tolist(), atol=1e-6)
    assert record.windows[0].up != record.windows[1].up


def test_keypoints_alone_know_no_up() -> None:
    keypoints = torch.rand(6, 5, 2, generator=torch.Generator().manual_seed(1))
    record = observe(small("mixste"), MotionClip(FIVE, 25.0, keypoints=keypoints), progress=False)
    assert [one.up for one in record.windows] == [None]
    assert record.prediction is not None
    drawn = space_places(record, 0)[0]
    x, y, z = record.prediction[0].double().numpy().transpose(2, 0, 1)
    np.testing.assert_allclose(drawn, np.stack([x, z, -y], axis=-1))


def leaning() -> tuple[Record, np.ndarray]:
    """A record seen by a camera that looks 40 degrees down, and its true poses as a level one would see them."""
    record = made_record(frames=4)
    level = space_places(record, 0)[1]
    assert level is not None and record.target is not None and record.prediction is not None
    angle = np.radians(40.0)
    turn = torch.tensor(
        [[1.0, 0.0, 0.0], [0.0, np.cos(angle), -np.sin(angle)], [0.0, np.sin(angle), np.cos(angle)]],
        dtype=torch.float32,
    )
    up = (turn @ torch.tensor([0.0, -1.0, 0.0])).tolist()
    record = replace(record, target=record.target @ turn.mT, prediction=record.prediction @ turn.mT)
    return replace(record, windows=[replace(one, up=tuple(up)) for one in record.windows]), level


def test_page_and_rerun_draw_what_a_level_camera_would_see() -> None:
    record, level = leaning()
    np.testing.assert_allclose(space_places(record, 0)[1], level, atol=1e-5)
    page = page_data(record, plan_page(record, [0]))["windows"][0]
    drawn = np.array(page["target"]).reshape(4, -1, 3) * page["scale3"]
    np.testing.assert_allclose(drawn, level, atol=2 * page["scale3"])

    rerun = pytest.importorskip("rerun", reason="the extra `rerun` is not installed")
    logged: list[tuple[str, Any]] = []

    class Stream:
        def log(self, place: str, what: Any, **options: Any) -> None:
            logged.append((place, what))

        def set_time(self, *args: Any, **options: Any) -> None:
            pass

    rerun_export._window(rerun, Stream(), record, 0, "/0", 3)
    assert dict(logged)["/0"] == rerun.ViewCoordinates.RFU
    [first, *_] = [what for place, what in logged if place == "/0/truth/joints"]
    np.testing.assert_allclose(np.array(first.positions.as_arrow_array().to_pylist()), level[0], atol=1e-5)


def test_the_body_from_the_front_stands_too() -> None:
    record, _ = leaning()
    bare = replace(record.skeleton, rest=None)
    straight = front_places(replace(made_record(frames=4), skeleton=bare))
    np.testing.assert_allclose(front_places(replace(record, skeleton=bare)), straight, atol=1e-5)
