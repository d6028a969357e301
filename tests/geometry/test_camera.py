from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpose.errors import DataError
from graphpose.geometry import Camera, normalize_screen

H36M_RADIAL = (-0.207, 0.248, -0.003)
H36M_TANGENTIAL = (-0.0009, -0.00142)
seeds = st.integers(0, 2**31 - 1)


def _rotation(generator: torch.Generator, *batch: int) -> torch.Tensor:
    q, r = torch.linalg.qr(torch.randn(*batch, 3, 3, generator=generator, dtype=torch.float64))
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
    return q * torch.linalg.det(q)[..., None, None]


def _camera(generator: torch.Generator, *batch: int, lens: bool = True) -> Camera:
    normal = lambda *shape: torch.randn(*batch, *shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return Camera(
        rotation=_rotation(generator, *batch),
        position=2 * normal(3),
        focal=2.2 + 0.1 * normal(2),
        center=0.05 * normal(2),
        radial=torch.tensor(H36M_RADIAL, dtype=torch.float64) * lens,
        tangential=torch.tensor(H36M_TANGENTIAL, dtype=torch.float64) * lens,
    )


def _in_front(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Points in front of the camera, within 45 degrees of its axis."""
    depth = 1 + 4 * torch.rand(*shape, 1, generator=generator, dtype=torch.float64)
    plane = 1.8 * torch.rand(*shape, 2, generator=generator, dtype=torch.float64) - 0.9
    return torch.cat([plane * depth, depth], -1)


def _reference_camera(reference: dict[str, np.ndarray], dtype: torch.dtype) -> Camera:
    lens = torch.from_numpy(reference["intrinsics_f_c_k_p"]).to(dtype)
    return Camera.from_quaternion(
        torch.from_numpy(reference["quaternion_wxyz"]).to(dtype),
        torch.from_numpy(reference["translation"]).to(dtype),
        lens[:2],
        center=lens[2:4],
        radial=lens[4:7],
        tangential=lens[7:],
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_camera_agrees_with_the_published_implementation(camera_reference: dict[str, np.ndarray], dtype: torch.dtype):
    camera = _reference_camera(camera_reference, dtype)
    tensors = {k: torch.from_numpy(v).to(dtype) for k, v in camera_reference.items() if v.ndim == 3}
    pairs = {
        "camera": camera.world_to_camera(tensors["world"]),
        "projected": camera.project(tensors["points_in_camera"]),
        "projected_linear": camera.project(tensors["points_in_camera"], distort=False),
    }
    for name, ours in pairs.items():
        tolerance = 1e-5 * max(1.0, tensors[name].abs().max().item())
        assert (ours - tensors[name]).abs().max().item() <= tolerance, name
    back = camera.camera_to_world(tensors["camera"])
    assert torch.allclose(back, tensors["world"], atol=2e-5)


def test_published_form_holds_coordinates_within_its_limit():
    options = {"focal": 2.0, "center": torch.zeros(2)}
    published = Camera.from_quaternion([1.0, 0.0, 0.0, 0.0], torch.zeros(3), **options)
    free = Camera.from_quaternion([1.0, 0.0, 0.0, 0.0], torch.zeros(3), limit=None, **options)
    wide = torch.tensor([[3.0, -0.5, 1.0]])
    assert published.project(wide).tolist() == [[2.0, -1.0]]
    assert free.project(wide).tolist() == [[6.0, -1.0]]


def test_quaternion_convention_on_a_known_turn():
    half = math.sqrt(0.5)  # 90 degrees about +Z: the camera's x axis points along world y
    camera = Camera.from_quaternion([half, 0.0, 0.0, half], torch.tensor([1.0, 2.0, 3.0]), 1.0)
    seen = camera.world_to_camera(torch.tensor([[1.0, 3.0, 3.0]]))
    assert torch.allclose(seen, torch.tensor([[1.0, 0.0, 0.0]]), atol=1e-6)


@given(seeds, st.sampled_from([(), (3,), (2, 1), (2, 3)]))
def test_world_to_camera_and_back(seed: int, batch: tuple[int, ...]):
    generator = torch.Generator().manual_seed(seed)
    camera = _camera(generator, *batch)
    points = 10 * torch.randn(2, 3, 5, 3, generator=generator, dtype=torch.float64)
    seen = camera.world_to_camera(points)
    assert torch.allclose(camera.camera_to_world(seen), points, atol=1e-10)
    assert torch.allclose(torch.cdist(seen, seen), torch.cdist(points, points), atol=1e-6)


@given(seeds, st.floats(0.1, 20.0))
def test_projection_forgets_scale_and_distortion_of_zero(seed: int, scale: float):
    generator = torch.Generator().manual_seed(seed)
    points = _in_front(generator, 4, 5)
    camera = _camera(generator)
    assert torch.allclose(camera.project(scale * points), camera.project(points), atol=1e-9)
    plain = _camera(generator, lens=False)
    assert torch.equal(plain.project(points), plain.project(points, distort=False))


@given(seeds)
def test_projection_forgets_a_motion_of_camera_and_world(seed: int):
    generator = torch.Generator().manual_seed(seed)
    camera, points = _camera(generator), _in_front(generator, 4, 5)
    world = camera.camera_to_world(points)
    turn, shift = _rotation(generator), torch.randn(3, generator=generator, dtype=torch.float64)
    moved = Camera(
        camera.rotation @ turn.mT,
        turn @ camera.position + shift,
        camera.focal,
        camera.center,
        camera.radial,
        camera.tangential,
    )
    again = moved.world_to_camera(world @ turn.mT + shift)
    assert torch.allclose(again, points, atol=1e-9)
    assert torch.allclose(moved.project(again), camera.project(points), atol=1e-8)


@given(seeds, st.sampled_from([(), (4,)]))
def test_unproject_undoes_project(seed: int, batch: tuple[int, ...]):
    generator = torch.Generator().manual_seed(seed)
    camera, points = _camera(generator, *batch), _in_front(generator, 4, 5)
    image = camera.project(points)
    assert torch.allclose(camera.unproject(image, points[..., 2]), points, atol=1e-9)
    assert torch.allclose(camera.undistort(image), camera.project(points, distort=False), atol=1e-9)


def test_unproject_says_nan_where_no_direction_leads():
    squeezed = Camera(torch.eye(3), torch.zeros(3), torch.ones(2), radial=torch.tensor([-0.3, 0.0, 0.0]))
    # r (1 - 0.3 r^2) never exceeds 0.703, at r = 1.054
    out = squeezed.unproject(torch.tensor([[0.9, 0.0], [0.2, 0.1]]), torch.ones(2))
    assert out[0, :2].isnan().all() and out[1].isfinite().all()


@given(seeds)
def test_look_at_puts_the_target_on_the_axis(seed: int):
    generator = torch.Generator().manual_seed(seed)
    eye, target = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64) * 3
    camera = Camera.look_at(eye, target)
    seen = camera.world_to_camera(target[:, None])[:, 0]
    distance = (target - eye).norm(dim=-1)
    assert torch.allclose(seen[:, :2], torch.zeros(6, 2, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(seen[:, 2], distance)
    above = camera.world_to_camera((target + torch.tensor([0.0, 0.01, 0.0]))[:, None])[:, 0]
    assert (above[:, 1] < 0).all() and torch.allclose(above[:, 0], torch.zeros(6, dtype=torch.float64), atol=1e-9)


def test_points_behind_the_camera_are_missing_and_harm_no_gradient():
    camera = Camera(torch.eye(3), torch.zeros(3), torch.ones(2))
    points = torch.tensor([[0.5, 0.5, 1.0], [0.5, 0.5, 0.0], [0.5, 0.5, -1.0]], requires_grad=True)
    image = camera.project(points)
    assert image.isnan().all(-1).tolist() == [False, True, True]
    image[0].sum().backward()
    assert points.grad is not None and points.grad.isfinite().all()


def test_gradients_of_points_and_of_every_camera_field():
    generator = torch.Generator().manual_seed(0)
    camera, points = _camera(generator, 2), _in_front(generator, 2, 3)
    image = camera.project(points)
    fields = [t.clone().requires_grad_() for t in (camera.focal, camera.center, camera.radial, camera.tangential)]
    points = points.requires_grad_()

    def build(*values: torch.Tensor) -> Camera:
        return Camera(camera.rotation, camera.position, *values)

    assert torch.autograd.gradcheck(lambda p, *f: build(*f).project(p), (points, *fields))
    image = image.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda i, *f: build(*f).unproject(i, points[..., 2].detach()), (image, *fields), atol=1e-4
    )
    eye = camera.position.clone().requires_grad_()
    world = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda e, w: Camera.look_at(e, torch.zeros(3, dtype=torch.float64)).world_to_camera(w), (eye, world)
    )


def test_batch_stack_index_unsqueeze_and_cast():
    generator = torch.Generator().manual_seed(3)
    cameras = [_camera(generator) for _ in range(4)]
    batch = Camera.stack(cameras)
    assert batch.shape == (4,) and batch[2].shape == () and batch[1:3].shape == (2,)
    points = _in_front(generator, 4, 6, 5)
    each = torch.stack([c.project(p) for c, p in zip(cameras, points, strict=True)])
    assert torch.allclose(batch.unsqueeze(-1).project(points), each)
    assert torch.equal(batch[2].rotation, cameras[2].rotation)
    small = batch.to(torch.float32)
    assert small.rotation.dtype == small.radial.dtype == torch.float32


def test_normalized_camera_sees_the_normalised_image():
    generator = torch.Generator().manual_seed(4)
    pixels = Camera(
        torch.eye(3),
        torch.zeros(3),
        torch.tensor([1145.0, 1143.8]),
        torch.tensor([512.5, 515.5]),
        width=1000,
        height=1002,
    )
    points = _in_front(generator, 7).float()
    expected = normalize_screen(pixels.project(points), 1000, 1002)
    screen = pixels.normalized()
    assert screen.width is None and screen.normalized() is screen
    assert torch.allclose(screen.project(points), expected, atol=1e-5)


EYE, ZERO, ONE = torch.eye(3), torch.zeros(3), torch.ones(2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Camera(torch.eye(2), ZERO, ONE), r"expected rotation \[\.\.\., 3, 3\] \(got \[2, 2\]\)"),
        (lambda: Camera(EYE, torch.zeros(2), ONE), r"expected position \[\.\.\., 3\]"),
        (lambda: Camera(EYE, ZERO, ONE, radial=torch.zeros(2)), r"expected radial \[\.\.\., 3\]"),
        (lambda: Camera(EYE * torch.tensor([1.0, 1.0, -1.0]), ZERO, ONE), "determinant"),
        (lambda: Camera(2 * EYE, ZERO, ONE), "rotation matrices"),
        (lambda: Camera(EYE * float("nan"), ZERO, ONE), "NaN"),
        (lambda: Camera(EYE.expand(2, 3, 3), torch.zeros(3, 3), ONE), "one batch shape"),
        (lambda: Camera(EYE, ZERO, ONE, width=10), "both width and height"),
        (lambda: Camera(EYE, ZERO, ONE, limit=0.0), "positive limit"),
        (lambda: Camera.from_quaternion([2.0, 0, 0, 0], ZERO, 1.0), "length 1"),
        (lambda: Camera.from_quaternion([1.0, 0, 0], ZERO, 1.0), "w, x, y, z"),
        (lambda: Camera.look_at(ZERO, ZERO), "away from its target"),
        (lambda: Camera.look_at(torch.tensor([0.0, 5, 0]), ZERO), "along `up`"),
        (lambda: Camera.stack([]), "at least one"),
        (lambda: Camera.stack([Camera(EYE, ZERO, ONE), Camera(EYE, ZERO, ONE, width=4, height=3)]), "one width"),
        (lambda: Camera(EYE, ZERO, ONE)[0], "one camera"),
        (lambda: Camera(EYE, ZERO, ONE).project(torch.zeros(4, 2)), r"camera-space points \[\.\.\., N, 3\]"),
        (lambda: Camera(EYE.expand(4, 3, 3), ZERO, ONE).project(torch.zeros(2, 5, 3)), "line up"),
        (lambda: Camera(EYE, ZERO, ONE).unproject(torch.zeros(4, 2), torch.zeros(3)), r"expected a depth \[4\]"),
    ],
)
def test_bad_input_gets_one_clear_error(build, message: str):
    with pytest.raises(DataError, match=message):
        build()


@settings(max_examples=20)
@given(seeds)
def test_single_precision_projection_follows_double(seed: int):
    generator = torch.Generator().manual_seed(seed)
    camera, points = _camera(generator), _in_front(generator, 10)
    assert torch.allclose(camera.to(torch.float32).project(points.float()).double(), camera.project(points), atol=1e-5)
