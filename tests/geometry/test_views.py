from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graphpose.errors import DataError
from graphpose.geometry import orbit_camera, random_cameras, static_views


@pytest.mark.parametrize("target", [(0.0, 0.9, 0.0), (-3.0, 1.1, 7.5)])
def test_static_views_follow_the_written_formula(target: tuple[float, ...]):
    views = static_views(torch.tensor(target, dtype=torch.float64))
    assert [v.name for v in views] == ["azimuth 45", "azimuth 135", "azimuth 225", "azimuth 315"]
    for view, degrees in zip(views, (45, 135, 225, 315), strict=True):
        a = math.radians(degrees)
        eye = np.array(target) + 5 * np.array([math.sin(a), 0, math.cos(a)])
        eye[1] = 1.5
        z = np.array(target) - eye
        z /= np.linalg.norm(z)
        x = np.cross(z, [0, 1, 0])
        x /= np.linalg.norm(x)
        assert np.allclose(view.rotation.numpy(), np.stack([x, np.cross(z, x), z]), atol=1e-12)
        assert np.allclose(view.position.numpy(), eye, atol=1e-12)
        assert view.focal.tolist() == [2.29, 2.29] and view.center.tolist() == [0.0, 0.0] and view.limit is None


def test_front_view_shows_the_person_upright_and_mirrored():
    (view,) = static_views(torch.tensor([0.0, 1.5, 0.0]), azimuths=(0.0,))
    head, left_hand = torch.tensor([[0.0, 1.7, 0.0], [0.5, 1.5, 0.0]])  # facing +Z, the left side is +X
    image = view.project(view.world_to_camera(torch.stack([head, left_hand])))
    assert image[0, 1] < 0, "up in the world is up in the image (smaller y)"
    assert image[1, 0] > 0, "seen from the front, the left hand is on the right of the image"


def test_orbit_goes_round_once_and_keeps_looking():
    target = torch.tensor([1.0, 1.0, -2.0])
    camera = orbit_camera(target, 8, start=45.0, distance=4.0, height=1.2)
    assert camera.shape == (8,) and camera.rotation.dtype == torch.float32
    first = static_views(target, distance=4.0, height=1.2)
    for step, view in zip((0, 2, 4, 6), first, strict=True):
        assert torch.allclose(camera[step].rotation, view.rotation, atol=1e-6)
        assert torch.allclose(camera[step].position, view.position, atol=1e-6)
    seen = camera.world_to_camera(target.expand(8, 1, 3))
    assert torch.allclose(seen[..., :2], torch.zeros(8, 1, 2), atol=1e-6)
    followed = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) * 0.3
    seen = orbit_camera(followed, 8).world_to_camera(followed[:, None])
    assert torch.allclose(seen[..., :2], torch.zeros(8, 1, 2), atol=1e-5)


def test_random_cameras_are_seeded_and_within_their_ranges():
    target = torch.tensor([0.0, 0.9, 0.0])

    def make(seed: int):
        return random_cameras(target, 50, torch.Generator().manual_seed(seed), distance=(3.0, 4.0), height=(1.0, 2.0))

    cameras, again, other = make(1), make(1), make(2)
    assert all(torch.equal(a.position, b.position) for a, b in zip(cameras, again, strict=True))
    assert not torch.equal(cameras[0].position, other[0].position)
    positions = torch.stack([c.position for c in cameras])
    ground = (positions - target)[:, [0, 2]].norm(dim=-1)
    assert (ground >= 3.0 - 1e-5).all() and (ground <= 4.0 + 1e-5).all() and ground.std() > 0.1
    assert (positions[:, 1] >= 1.0).all() and (positions[:, 1] <= 2.0).all()
    focal = torch.stack([c.focal for c in cameras])
    assert (focal >= 2.0).all() and (focal <= 2.6).all() and torch.equal(focal[:, 0], focal[:, 1])
    assert random_cameras(target, 0, torch.Generator()) == []


TARGET = torch.tensor([0.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: static_views(torch.zeros(2)), r"target \[3\] \(got \[2\]\)"),
        (lambda: static_views(torch.full((3,), float("nan"))), "finite target"),
        (lambda: static_views(TARGET, distance=0.0), "positive distance"),
        (lambda: static_views(TARGET, focal=-1.0), "positive focal"),
        (lambda: orbit_camera(TARGET, 0), "at least 1 frame"),
        (lambda: orbit_camera(torch.zeros(4, 3), 5), r"\[3\] or \[5, 3\]"),
        (lambda: random_cameras(TARGET, -1, torch.Generator()), "0 or more"),
        (lambda: random_cameras(TARGET, 1, torch.Generator(), distance=(4.0, 3.0)), "distance range"),
        (lambda: random_cameras(TARGET, 1, torch.Generator(), focal=(0.0, 3.0)), "above 0"),
    ],
)
def test_bad_input_gets_one_clear_error(build, message: str):
    with pytest.raises(DataError, match=message):
        build()
