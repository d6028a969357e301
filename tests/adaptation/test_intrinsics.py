"""The focal length: of a field of view, and estimated from people; what does not tell it is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import shared_path
from torch import Tensor

from graphpose import formats
from graphpose.adaptation.intrinsics import estimate_focal, focal_of_view
from graphpose.errors import ConfigError, DataError
from graphpose.geometry import Camera, static_views
from graphpose.skeleton import Skeleton

H36M = Skeleton.load("h36m17")
STICK = Skeleton(
    "stick",
    ("hips", "foot", "top"),
    (-1, 0, 0),
    rest=np.array([[0.0, 0.9, 0.0], [0.0, 0.0, 0.0], [0.0, 1.7, 0.0]]),
)


def crowd(skeleton: Skeleton, seed: int, people: int = 40, room: float = 4.0, height: float = 1.0) -> Tensor:
    """Rest poses `[people, J, 3]` that stand on the floor at random, each turned another way."""
    generator = torch.Generator().manual_seed(seed)
    rest = height * torch.tensor(np.array(skeleton.rest), dtype=torch.float32)
    angle = 2 * math.pi * torch.rand(people, generator=generator)
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros(people), torch.ones(people)
    turn = torch.stack([c, zero, s, zero, one, zero, -s, zero, c], -1).view(-1, 3, 3)
    place = room * (torch.rand(people, 1, 3, generator=generator) - 0.5) * torch.tensor([1.0, 0.0, 1.0])
    return rest @ turn.mT + place


def estimated(points: Tensor, camera: Camera, skeleton: Skeleton) -> float:
    keypoints = camera.project(camera.world_to_camera(points))
    assert not bool(keypoints.isnan().any())
    return estimate_focal(keypoints, torch.ones(keypoints.shape[:2], dtype=torch.bool), skeleton)


def looking_down(focal: float, height: float = 3.0, distance: float = 6.0, roll: float = 0.0) -> Camera:
    up = [math.sin(roll), math.cos(roll), 0.0]
    return Camera.look_at([0.0, height, distance], [0.0, 0.3 * height, 0.0], up, focal=focal)


def test_field_of_view():
    assert focal_of_view(90) == pytest.approx(1)
    half = math.degrees(math.atan(1 / 2.29))
    assert focal_of_view(2 * half) == pytest.approx(2.29)
    for wrong in (0, -10, 180, math.nan):
        with pytest.raises(ConfigError, match="field of view between 0 and 180 degrees"):
            focal_of_view(wrong)


@settings(max_examples=5)
@given(st.integers(0, 10**6), st.floats(0.8, 3.0), st.floats(2.5, 4.0), st.floats(-0.3, 0.3), st.floats(0.2, 4.0))
def test_sticks_give_the_focal_length_exactly(seed: int, focal: float, height: float, roll: float, tall: float):
    points = crowd(STICK, seed, height=tall, room=4 * tall)
    camera = looking_down(focal, height * tall, 6 * tall, roll)
    assert estimated(points, camera, STICK) == pytest.approx(focal, rel=1e-3)


def test_a_camera_that_looks_up():
    camera = Camera.look_at([0.0, 0.2, 4.0], [0.0, 2.0, 0.0], focal=1.7)
    assert estimated(crowd(STICK, 0), camera, STICK) == pytest.approx(1.7, rel=1e-3)


@pytest.mark.parametrize("name", ["h36m17", "coco17", "halpe26", "smpl22", "cmu31"])
def test_bundled_skeletons_stand_between_feet_and_shoulders(name: str):
    skeleton = Skeleton.load(name)
    assert estimated(crowd(skeleton, 1), looking_down(1.6), skeleton) == pytest.approx(1.6, rel=0.05)


def test_one_of_five_who_squats_matters_little():
    points = crowd(H36M, 2, people=90)
    points[::5, :, 1] *= 0.6
    assert estimated(points, looking_down(1.6), H36M) == pytest.approx(1.6, rel=0.1)


def test_only_feet_and_shoulders_have_to_be_visible_and_nothing_else_is_read():
    camera = looking_down(1.6)
    keypoints = camera.project(camera.world_to_camera(crowd(H36M, 3)))
    used = [H36M.index(name) for name in ("Lankle", "Rankle", "Lshoulder", "Rshoulder")]
    visible = torch.zeros(keypoints.shape[:2], dtype=torch.bool)
    visible[:, used] = True
    visible[5, used[0]] = False
    poisoned = keypoints.masked_fill(~visible[..., None], 1e6)
    assert estimate_focal(poisoned, visible, H36M) == estimate_focal(keypoints, visible, H36M)


def test_real_people_seen_by_a_static_camera():
    folder = shared_path("mocap/bandai-namco")
    files = sorted(folder.glob("*/*.bvh"))[::40]
    seen = []
    for number, file in enumerate(files):
        clip = formats.read(file).to(H36M)
        assert clip.positions is not None
        root = clip.positions[:, H36M.root].mean(0)
        [camera] = static_views(root, (77.0 * number,), distance=4.0, height=2.8, focal=1.6)
        points = clip.seen_by(camera).keypoints
        assert points is not None
        seen.append(points)
    keypoints = torch.cat(seen)
    visible = ~keypoints.isnan().any(-1)
    assert estimate_focal(keypoints.nan_to_num(), visible, H36M) == pytest.approx(1.6, rel=0.2)


def test_what_does_not_tell_the_focal_length_is_refused():
    told = (
        "do not tell the focal length.*looks down or up at upright people at various distances; give target.view_angle"
    )
    level = Camera.look_at([0.0, 0.9, 6.0], [0.0, 0.9, 0.0], focal=1.6)
    with pytest.raises(DataError, match=told):
        estimated(crowd(H36M, 4), level, H36M)
    with pytest.raises(DataError, match=told):  # all in one place
        estimated(crowd(H36M, 4, room=0.0), looking_down(1.6), H36M)
    generator = torch.Generator().manual_seed(5)
    with pytest.raises(DataError, match=told):
        noise = 0.2 * torch.randn(200, 17, 2, generator=generator)
        estimate_focal(noise, torch.ones(200, 17, dtype=torch.bool), H36M)


def test_bad_input_is_refused():
    camera = looking_down(1.6)
    keypoints = camera.project(camera.world_to_camera(crowd(H36M, 6)))
    visible = torch.ones(keypoints.shape[:2], dtype=torch.bool)
    visible[7:, H36M.index("Lankle")] = False
    with pytest.raises(DataError, match=r"at least 8 frames in which Rankle, Lankle, Lshoulder, .*got 7 of 40"):
        estimate_focal(keypoints, visible, H36M)
    with pytest.raises(DataError, match=r"expected keypoints \[F, 3, 2\].*'stick'"):
        estimate_focal(keypoints, visible, STICK)
    bare = Skeleton("bare", STICK.joints, STICK.parents)
    with pytest.raises(DataError, match=r"^target: .*'bare' has no rest pose.*--target.view_angle 60"):
        estimate_focal(keypoints[:, :3], visible[:, :3], bare)
