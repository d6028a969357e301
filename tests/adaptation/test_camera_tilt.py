"""How far cameras look down: read off upright people, taken from known cameras, refused where nothing tells it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from walkers import walker

from graphpose.adaptation.camera_tilt import source_tilts, target_tilt
from graphpose.adaptation.target_keypoints import TargetKeypoints
from graphpose.datasets import PoseWindows, Views
from graphpose.errors import DataError
from graphpose.geometry import Camera, orbit_camera
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

STICK = Skeleton(
    "stick",
    ("hips", "foot", "top", "side"),
    (-1, 0, 0, 0),
    rest=np.array([[0.0, 0.9, 0.0], [0.0, 0.0, 0.0], [0.0, 1.7, 0.0], [0.3, 0.9, 0.0]]),
)


def crowd(skeleton: Skeleton, people: int, seed: int = 0, room: float = 4.0) -> Tensor:
    """Rest poses `[people, J, 3]` upright at random places of a floor, each turned another way."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(people, generator=generator)
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros(people), torch.ones(people)
    turn = torch.stack([c, zero, s, zero, one, zero, -s, zero, c], -1).view(-1, 3, 3)
    place = room * (torch.rand(people, 1, 3, generator=generator) - 0.5) * torch.tensor([1.0, 0.0, 1.0])
    return torch.tensor(np.array(skeleton.rest), dtype=torch.float32) @ turn.mT + place


def looking(tilt: float, *, height: float = 2.0, roll: float = 0.0, distance: float = 7.0, **options: float) -> Camera:
    """A camera of that tilt in degrees, positive looking down, with the middle of the floor ahead."""
    ahead = [0.0, height - distance * math.tan(math.radians(tilt)), 0.0]
    up = [math.sin(math.radians(roll)), math.cos(math.radians(roll)), 0.0]
    return Camera.look_at([0.0, height, distance], ahead, up, **{"focal": 1.5, **options})


def seen(points: Tensor, camera: Camera, skeleton: Skeleton, visible: Tensor | None = None) -> TargetKeypoints:
    keypoints = camera.project(camera.world_to_camera(points))
    shown = torch.ones(keypoints.shape[:2], dtype=torch.bool) if visible is None else visible
    intrinsics = torch.cat([camera.focal, camera.center]).expand(len(points), 4)
    return TargetKeypoints(skeleton, 30.0, keypoints, shown, intrinsics, [len(points)], [30.0])


@settings(max_examples=6)
@given(st.integers(0, 10**6), st.floats(-20, 40), st.floats(-10, 10), st.floats(0.8, 2.5))
def test_sticks_give_the_tilt_exactly(seed: int, tilt: float, roll: float, focal: float) -> None:
    camera = looking(tilt, roll=roll, focal=focal, height=2.5)
    found = target_tilt(seen(crowd(STICK, 30, seed), camera, STICK))
    assert math.degrees(found) == pytest.approx(tilt, abs=0.3)
    # the angle between the optical axis and the horizontal, whatever the roll
    assert float(camera.rotation[2, 1]) == pytest.approx(-math.sin(found), abs=0.006)


@pytest.mark.parametrize("name", ["h36m17", "coco17", "smpl22", "halpe26"])
@pytest.mark.parametrize("tilt", [0.0, 20.0])
def test_people_of_bundled_skeletons_stand_upright(name: str, tilt: float) -> None:
    skeleton = Skeleton.load(name)
    found = target_tilt(seen(crowd(skeleton, 60), looking(tilt), skeleton))
    assert math.degrees(found) == pytest.approx(tilt, abs=3.0)


def test_the_focal_length_and_centre_of_each_camera_count() -> None:
    points = crowd(STICK, 40)
    camera = looking(15.0, focal=1.2)
    far = replace(looking(15.0, focal=3.0), center=torch.tensor([0.1, -0.2]))
    parts = [seen(points[:20], camera, STICK), seen(points[20:], far, STICK)]
    both = TargetKeypoints(
        STICK,
        30.0,
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("keypoints", "visible", "intrinsics")),
        [20, 20],
        [30.0, 30.0],
    )
    assert math.degrees(target_tilt(both)) == pytest.approx(15.0, abs=0.3)


def test_frames_without_feet_and_a_few_who_bend_do_not_matter() -> None:
    points = crowd(STICK, 60)
    points[::6, 2] += torch.tensor([0.4, -0.6, 0.4])  # every sixth bends
    visible = torch.ones(60, 4, dtype=torch.bool)
    visible[1::6, 1] = False
    target = seen(points, looking(20.0), STICK, visible)
    target.keypoints[1::6, 1] = 9.0
    assert math.degrees(target_tilt(target)) == pytest.approx(20.0, abs=1.0)


def test_too_few_frames_are_refused_with_the_joints_and_the_way_out() -> None:
    visible = torch.ones(20, 4, dtype=torch.bool)
    visible[7:, 2] = False
    with pytest.raises(
        DataError, match=r"expected 8 frames in which foot, top are visible.*\(got 7\).*alignment\.tilt"
    ):
        target_tilt(seen(crowd(STICK, 20), looking(20.0), STICK, visible))
    flat = crowd(STICK, 20)
    flat[:, 2] = flat[:, 1]  # feet and top in one place
    with pytest.raises(DataError, match=r"\(got 0\)"):
        target_tilt(seen(flat, looking(20.0), STICK))


def test_a_skeleton_without_a_rest_pose_is_refused() -> None:
    bare = replace(STICK, rest=None)
    with pytest.raises(
        DataError, match=r"'stick': expected a rest pose.*give alignment\.tilt in degrees, .*or 'source'"
    ):
        target_tilt(seen(crowd(STICK, 20), looking(20.0), bare))


def test_keypoints_that_do_not_tell_it_are_refused() -> None:
    generator = torch.Generator().manual_seed(1)
    lying = crowd(STICK, 24) + torch.randn(24, 4, 3, generator=generator)
    with pytest.raises(
        DataError,
        match=r"do not tell how far the cameras look down \(a standard error of \d+ degrees from 24 frames in 1 clip.*"
        r"expected 5 degrees or less\).*about twenty.*\(2,000 frames\).*--alignment\.tilt 20\), or 'source'",
    ):
        target_tilt(seen(lying, looking(20.0, distance=12.0), STICK))


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_people_in_one_place_fit_many_tilts_and_are_refused(spread: float) -> None:
    generator = torch.Generator().manual_seed(1)
    still = crowd(STICK, 1).expand(60, 4, 3)
    moved = still + spread * torch.randn(60, 4, 3, generator=generator)
    with pytest.raises(DataError, match=r"a standard error (of \d+|above 90) degrees.*at various distances"):
        target_tilt(seen(moved, looking(20.0), STICK))


def test_one_more_place_is_enough() -> None:
    places = crowd(STICK, 2, room=0.0) + torch.tensor([[[0.0, 0.0, -1.5]], [[0.5, 0.0, 1.5]]])
    found = target_tilt(seen(places.repeat(15, 1, 1), looking(20.0), STICK))
    assert math.degrees(found) == pytest.approx(20.0, abs=0.3)


def source(cameras: list[Camera]) -> PoseWindows:
    clips = [walker(20, f"clip{i}").seen_by(camera) for i, camera in enumerate(cameras)]
    return PoseWindows(clips, 5, views=Views("clip"))


def test_source_cameras_at_rest() -> None:
    wanted = [0.0, 25.0, -10.0]
    tilts = source_tilts(source([looking(tilt) for tilt in wanted]))
    assert tilts.dtype == torch.float32
    assert np.degrees(tilts.numpy()) == pytest.approx(wanted, abs=1e-3)


def test_the_tilt_of_a_rolled_camera_is_that_of_its_axis() -> None:
    [tilt] = np.degrees(source_tilts(source([looking(25.0, roll=30.0)])).numpy())
    assert tilt == pytest.approx(25.0, abs=1e-3)


def test_synthetic_views_are_tracks_of_their_own() -> None:
    windows = PoseWindows([walker(20, "clip")], 5, views=Views("static", azimuths=(0.0, 120.0)))
    tilts = source_tilts(windows)
    assert len(tilts) == len(windows.lengths) == 2
    for tilt, camera in zip(tilts, windows.cameras, strict=True):
        assert camera is not None
        assert math.sin(tilt) == pytest.approx(-float(camera.rotation[2, 1]), abs=1e-6)


def test_a_camera_that_moves_has_its_mean() -> None:
    around = orbit_camera(torch.tensor([0.0, 1.0, 0.0]), 20, start=0.0)
    [still] = source_tilts(source([around[0]]))
    [moving] = source_tilts(source([around]))
    assert float(moving) == pytest.approx(float(still), abs=1e-5)
    nodding = [looking(tilt) for tilt in np.linspace(10.0, 30.0, 20)]
    camera = replace(
        nodding[0],
        rotation=torch.stack([c.rotation for c in nodding]),
        position=torch.stack([c.position for c in nodding]),
    )
    assert math.degrees(float(source_tilts(source([camera])))) == pytest.approx(20.0, abs=0.05)


def keypoints_alone() -> MotionClip:
    clip = walker(20, "bare").seen_by(looking(20.0))
    return clip.replace(camera=None, space="camera")


def test_source_cameras_that_are_not_known_are_refused_where_they_are_needed() -> None:
    windows = PoseWindows([walker(20, "fine").seen_by(looking(20.0)), keypoints_alone()], 5, views=Views("clip"))
    with pytest.raises(DataError, match=r"source clip 'bare': expected a camera.*\(got none\); set alignment\.tilt"):
        source_tilts(windows)
    assert np.degrees(source_tilts(windows, needed=False).numpy()) == pytest.approx([20.0, 0.0], abs=1e-3)


def test_positions_in_the_axes_of_a_camera_are_not_taken_for_people_on_their_heads() -> None:
    camera = Camera(rotation=torch.eye(3), position=torch.zeros(3), focal=torch.tensor([1.5, 1.5]))
    inside = walker(20, "inside")
    there = looking(20.0)
    assert inside.positions is not None
    local = there.world_to_camera(inside.positions)
    clip = inside.replace(positions=local, keypoints=there.project(local), camera=camera, space="camera")
    windows = PoseWindows([clip], 5, views=Views("clip"))
    with pytest.raises(DataError, match=r"'inside': expected a camera.*\(got positions in the camera's own axes\)"):
        source_tilts(windows)
    assert source_tilts(windows, needed=False).tolist() == [0.0]
    claimed = PoseWindows([clip.replace(space="world")], 5, views=Views("clip"))
    with pytest.raises(DataError, match=r"\(got \+Y down\)"):
        source_tilts(claimed)
