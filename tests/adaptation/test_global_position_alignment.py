"""GPA: the published numbers, place and size of the target, what stays of the source, gradients, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shared import shared_path
from torch import Tensor

from graphpose.adaptation.global_position_alignment import align, align_windows, box_size, project
from graphpose.errors import DataError

seeds = st.integers(0, 2**31 - 1)


def made(seed: int, batch: int = 4, frames: int = 5, joints: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Sources that move, targets, and a camera of its own for each window; float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    path = 0.05 * normal(batch, frames, 1, 3).cumsum(1)
    source = 0.4 * normal(batch, frames, joints, 3) + path + torch.tensor([0.0, 0.0, 5.0])
    target = 0.2 * normal(batch, frames, joints, 2)
    intrinsics = torch.cat([1.5 + 0.5 * normal(batch, 2).sigmoid(), 0.05 * normal(batch, 2)], -1)
    return source, target, intrinsics


def some_visible(seed: int, target: Tensor, root: int) -> Tensor:
    """About two thirds of the joints, with the root and another one in the first frame of each window at least."""
    visible = torch.rand(target.shape[:-1], generator=torch.Generator().manual_seed(seed)) < 0.67
    visible[:, 0, [root, (root + 1) % target.shape[-2]]] = True
    return visible


def test_published_numbers():
    reference = np.load(shared_path("reference/gpa.npz"))
    source, target, intrinsics = (torch.from_numpy(reference[k]) for k in ("source_3d", "target_2d", "fx_fy_cx_cy"))
    aligned = align(source, target, intrinsics)
    np.testing.assert_allclose(aligned.numpy(), reference["aligned_3d"], atol=1e-5)
    np.testing.assert_allclose(aligned[:, 0].numpy(), reference["position"], atol=1e-5)


@given(seeds, st.integers(0, 6), st.booleans())
def test_a_flat_pose_takes_the_targets_box_and_root(seed: int, root: int, partly: bool):
    source, target, intrinsics = (values[:, 0] if values.ndim == 4 else values for values in made(seed))
    source[..., 2] = 3.0
    visible = some_visible(seed, target[:, None], root)[:, 0] if partly else None
    seen = project(align(source, target, intrinsics, root=root, visible=visible), intrinsics)
    torch.testing.assert_close(seen[:, root], target[:, root], atol=1e-9, rtol=0)
    sizes = (box_size(points, visible).mean(-1) for points in (seen, target))
    torch.testing.assert_close(*sizes, atol=1e-9, rtol=0)


@given(seeds)
def test_each_row_has_its_own_camera(seed: int):
    source, target, intrinsics = (values[:, 0] if values.ndim == 4 else values for values in made(seed))
    together = align(source, target, intrinsics)
    alone = [align(source[i : i + 1], target[i : i + 1], intrinsics[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone))


@given(seeds, st.integers(0, 6))
def test_a_window_of_one_frame_is_align(seed: int, root: int):
    source, target, intrinsics = made(seed, frames=1)
    visible = some_visible(seed, target, root)
    windows = align_windows(source, target, intrinsics, root=root, visible=visible)
    frames = align(source[:, 0], target[:, 0], intrinsics, root=root, visible=visible[:, 0])
    torch.testing.assert_close(windows[:, 0], frames, atol=0, rtol=0)


@given(seeds)
def test_a_moving_person_keeps_every_distance(seed: int):
    source, target, intrinsics = made(seed)
    aligned = align_windows(source, target, intrinsics, visible=some_visible(seed, target, 0))
    before, after = (torch.cdist(v.flatten(1, 2), v.flatten(1, 2)) for v in (source, aligned))
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0)
    steps = (aligned[:, 1:] - aligned[:, :-1], source[:, 1:] - source[:, :-1])
    torch.testing.assert_close(*steps)


@given(seeds, st.tuples(*[st.floats(-9, 9)] * 3))
def test_where_the_source_stood_does_not_matter(seed: int, shift: tuple[float, float, float]):
    source, target, intrinsics = made(seed)
    moved = source + torch.tensor(shift, dtype=source.dtype)
    torch.testing.assert_close(
        align_windows(moved, target, intrinsics), align_windows(source, target, intrinsics), atol=1e-9, rtol=0
    )


@given(seeds)
def test_a_window_lies_on_the_mean_ray_at_the_depth_of_the_mean_boxes(seed: int):
    source, target, intrinsics = made(seed)
    visible = some_visible(seed, target, 2)
    aligned = align_windows(source, target, intrinsics, root=2, visible=visible)
    for b, (fx, fy, cx, cy) in enumerate(intrinsics.tolist()):
        extents, sizes, rays, roots = [], [], [], []
        for t in range(target.shape[1]):
            shown = visible[b, t]
            if not shown[2] or shown.sum() < 2:
                continue
            x, y = source[b, t, shown, 0], source[b, t, shown, 1]
            u, v = target[b, t, shown].unbind(-1)
            extents.append(float(fx * (x.max() - x.min()) + fy * (y.max() - y.min())))
            sizes.append(float(u.max() - u.min() + v.max() - v.min()) / 2)
            rays.append([float(target[b, t, 2, 0] - cx) / fx, float(target[b, t, 2, 1] - cy) / fy, 1.0])
            roots.append(aligned[b, t, 2].numpy())
        depth = np.mean(extents) / (2 * np.mean(sizes))
        np.testing.assert_allclose(np.mean(roots, axis=0), depth * np.mean(rays, axis=0), atol=1e-9)


def test_what_is_not_visible_is_not_read():
    source, target, intrinsics = made(0)
    visible = some_visible(0, target, 0)
    expected = align_windows(source, target, intrinsics, visible=visible)
    poisoned = target.masked_fill(~visible[..., None], float("nan"))
    assert torch.equal(align_windows(source, poisoned, intrinsics, visible=visible), expected)


def test_twice_the_focal_length_is_twice_the_depth():
    source, target, intrinsics = made(0)
    intrinsics[:, 2:] = 0
    longer = intrinsics * torch.tensor([2.0, 2.0, 1.0, 1.0])
    near, far = (align_windows(source, target, k)[:, :, 0].mean(1) for k in (intrinsics, longer))
    torch.testing.assert_close(far[:, 2], 2 * near[:, 2])
    torch.testing.assert_close(far[:, :2], near[:, :2])  # the same place on the screen


def test_gradient_reaches_the_source_and_is_right():
    source, target, intrinsics = made(3, batch=2, frames=3, joints=4)
    visible = torch.ones(2, 3, 4, dtype=torch.bool)
    visible[0, 1] = False  # a frame that shows nothing
    source.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: align_windows(s, target, intrinsics, visible=visible), source)
    project(align_windows(source, target, intrinsics, visible=visible), intrinsics[:, None]).sum().backward()
    assert source.grad is not None and bool(source.grad.isfinite().all()) and float(source.grad.abs().max()) > 0


def test_projection_by_hand_and_behind_the_camera():
    points = torch.tensor([[1.0, -0.5, 2.0], [1.0, 1.0, 0.0], [0.0, 0.0, -1.0]], requires_grad=True)
    image = project(points, torch.tensor([2.0, 3.0, 0.1, -0.2]))
    torch.testing.assert_close(image[0], torch.tensor([1.1, -0.95]))
    assert bool(image[1:].isnan().all())
    image[0].sum().backward()
    assert points.grad is not None and bool(points.grad.isfinite().all())


def test_refuses_what_has_no_place():
    source, target, intrinsics = made(0)
    visible = torch.ones(target.shape[:-1], dtype=torch.bool)
    visible[2, :, 0] = False
    with pytest.raises(DataError, match=r"target 2: expected its root and another joint.*TargetKeypoints"):
        align_windows(source, target, intrinsics, visible=visible)
    with pytest.raises(DataError, match="target 1: expected its root"):
        target[1] = 0.3  # all joints in one point
        align_windows(source, target, intrinsics)
    source, target, intrinsics = made(0)
    source[3] = 1.0
    with pytest.raises(DataError, match="source 3: expected a pose of some extent"):
        align_windows(source, target, intrinsics)


def test_refuses_shapes_that_do_not_fit():
    source, target, intrinsics = made(0)
    with pytest.raises(DataError, match=r"expected source \[B, T, J, 3\].*got \[4, 5, 7, 2\]"):
        align_windows(target, target, intrinsics)
    with pytest.raises(DataError, match=r"expected source \[N, J, 3\]"):
        align(source, target, intrinsics)
    with pytest.raises(DataError, match=r"intrinsics \[N, 4\].*\[3, 4\]"):
        align(source[:, 0], target[:, 0], intrinsics[:3])
    with pytest.raises(DataError, match="expected visible"):
        align(source[:, 0], target[:, 0], intrinsics, visible=torch.ones(4, 7))
    with pytest.raises(DataError, match="expected a root below 7 joints"):
        align(source[:, 0], target[:, 0], intrinsics, root=7)
    with pytest.raises(DataError, match=r"expected points \[..., J, 3\]"):
        project(target, intrinsics)
