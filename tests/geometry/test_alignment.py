from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphpose.errors import DataError
from graphpose.geometry import fit_similarity, similarity_align

seeds = st.integers(0, 2**31 - 1)


def _numpy_align(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama for one set of points through NumPy's SVD: an independent second opinion."""
    x, y = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(y.T @ x)
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = np.trace(np.diag(s) @ sign) / (x**2).sum()
    return scale * x @ (u @ sign @ vt).T + target.mean(0)


def _points(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _turn(seed: int) -> torch.Tensor:
    q, r = torch.linalg.qr(_points(seed, 3))
    q = q * r.diagonal().sign()
    return q * torch.linalg.det(q)


@given(seeds, st.floats(0.05, 20.0), st.integers(3, 30))
def test_undoes_a_similarity(seed: int, scale: float, n: int):
    target = _points(seed, n)
    moved = scale * target @ _turn(seed + 1).mT + _points(seed + 2, 1)
    assert torch.allclose(similarity_align(moved, target), target, atol=1e-6)
    assert torch.allclose(fit_similarity(moved, target).scale, torch.tensor(1 / scale, dtype=torch.float64), rtol=1e-6)


@given(seeds, st.integers(4, 20))
def test_agrees_with_numpy(seed: int, n: int):
    source, target = _points(seed, 2, n)
    assert np.allclose(
        similarity_align(source, target).numpy(), _numpy_align(source.numpy(), target.numpy()), atol=1e-8
    )


@given(seeds, st.floats(0.1, 10.0))
def test_result_forgets_any_similarity_of_the_source(seed: int, scale: float):
    source, target = _points(seed, 2, 9)
    moved = scale * source @ _turn(seed + 1).mT + 3 * _points(seed + 2, 1)
    assert torch.allclose(similarity_align(moved, target), similarity_align(source, target), atol=1e-6)


def test_a_mirrored_pose_does_not_align():
    target = _points(0, 17)
    mirrored = target * torch.tensor([-1.0, 1.0, 1.0])
    assert (similarity_align(mirrored, target) - target).norm(dim=-1).mean() > 0.1
    assert torch.linalg.det(fit_similarity(mirrored, target).rotation).item() == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_degenerate_sets_are_nan_beside_sound_ones(dtype: torch.dtype, shift: float):
    sound = _points(0, 6).to(dtype)
    line = torch.linspace(0, 1, 6, dtype=dtype)[:, None] * torch.tensor([0.3, -0.7, 0.2], dtype=dtype) + shift
    point = torch.full((6, 3), 0.1 + shift, dtype=dtype)
    source = torch.stack([sound, line, point, sound, sound, sound * 0])
    target = torch.stack([sound + 1, sound, sound, line, point, sound])
    aligned = similarity_align(source, target)
    assert aligned.isnan().flatten(1).all(1).tolist() == [False, True, True, True, True, True]
    assert torch.allclose(aligned[0], target[0], atol=1e-5)
    assert similarity_align(sound[:2], sound[:2]).isnan().all(), "two points leave the rotation open"
    assert similarity_align(sound[:3], sound[:3]).isfinite().all(), "three points in a plane do not"


def test_masked_points_do_not_count_and_missing_ones_do():
    target = _points(1, 8)
    source = 2 * target + 1
    source[3] = float("nan")
    assert similarity_align(source, target).isnan().all()
    mask = torch.ones(8, dtype=torch.bool)
    mask[3] = False
    aligned = similarity_align(source, target, mask)
    assert torch.allclose(aligned[mask], target[mask], atol=1e-9) and aligned[3].isnan().all()
    source[3] = 1e6
    assert torch.allclose(similarity_align(source, target, mask)[mask], target[mask], atol=1e-9)
    assert similarity_align(source, target, mask & False).isnan().all()


def test_gradients_are_right_and_survive_a_degenerate_neighbour():
    source, target = _points(2, 2, 2, 5)
    source.requires_grad_()
    assert torch.autograd.gradcheck(similarity_align, (source, target))
    mixed = torch.stack([source[0].detach(), torch.zeros(5, 3, dtype=torch.float64)]).requires_grad_()
    similarity_align(mixed, target)[0].square().sum().backward()
    assert mixed.grad is not None and mixed.grad[0].abs().sum() > 0 and mixed.grad[0].isfinite().all()


@pytest.mark.parametrize(
    ("source", "target", "mask", "message"),
    [
        (torch.zeros(4, 2), torch.zeros(4, 2), None, r"\[\.\.\., N, 3\]"),
        (torch.zeros(4, 3), torch.zeros(5, 3), None, "one shape"),
        (torch.zeros(4, 3).long(), torch.zeros(4, 3), None, "floating-point"),
        (torch.zeros(4, 3), torch.zeros(4, 3), torch.ones(3).bool(), r"mask \[4\] \(got \[3\]\)"),
    ],
)
def test_bad_input_gets_one_clear_error(source, target, mask, message: str):
    with pytest.raises(DataError, match=message):
        similarity_align(source, target, mask)
