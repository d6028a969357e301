from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphpose.errors import ConfigError, DataError
from graphpose.metrics import functional as F
from graphpose.metrics.body import bone_pairs
from graphpose.skeleton import Skeleton

seeds = st.integers(0, 2**31 - 1)
SIMPLE = {n: getattr(F, n) for n in ("mpjpe", "p_mpjpe", "n_mpjpe", "mpjve", "acceleration_error", "pck", "auc")}
BIPED = Skeleton(
    name="biped7",
    joints=("hip", "l_knee", "r_knee", "l_foot", "r_foot", "neck", "head"),
    parents=(-1, 0, 0, 1, 2, 0, 5),
    pairs=(("l_knee", "r_knee"), ("l_foot", "r_foot")),
)
EVERY = {
    **SIMPLE,
    "bone_length_error": lambda p, t, **k: F.bone_length_error(p, t, BIPED, **k),
    "bone_length_variance": lambda p, t, **k: F.bone_length_variance(p, BIPED, **k),
    "symmetry_error": lambda p, t, **k: F.symmetry_error(p, BIPED, **k),
}


def _poses(seed: int, *shape: int, scale: float = 0.3) -> torch.Tensor:
    return scale * torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _pair(seed: int, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    target = _poses(seed, *shape)
    return target + _poses(seed + 1, *shape, scale=0.1), target


def _turn(seed: int) -> torch.Tensor:
    q, r = torch.linalg.qr(_poses(seed, 3))
    q = q * r.diagonal().sign()
    return q * torch.linalg.det(q)


def _numpy_p_mpjpe(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """P-MPJPE of each frame [N, J, 3] by NumPy's SVD, written independently of the library."""
    errors = []
    for p, t in zip(pred, target, strict=True):
        x, y = p - p.mean(0), t - t.mean(0)
        u, s, vt = np.linalg.svd(x.T @ y)
        flip = np.array([1.0, 1.0, np.linalg.det(u @ vt)])
        errors.append(np.linalg.norm((s * flip).sum() / (x**2).sum() * x @ (u * flip @ vt) - y, axis=-1).mean())
    return np.array(errors)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_the_published_numbers(metrics_reference: dict[str, np.ndarray], dtype: type):
    pred, target = (metrics_reference[name].astype(dtype) for name in ("pred", "target"))
    ours = {name: SIMPLE[name](pred, target) for name in ("mpjpe", "p_mpjpe", "n_mpjpe", "mpjve")}
    ours |= {f"{name}_per_clip": SIMPLE[name](pred, target, reduction="clip") for name in ("mpjpe", "p_mpjpe")}
    for name, value in ours.items():
        reference = metrics_reference[name]
        assert np.abs(value - reference).max() <= 1e-5 * max(1.0, np.abs(reference).max()), name


@given(seeds)
def test_p_mpjpe_agrees_with_numpy(seed: int):
    pred, target = _pair(seed, 6, 7)
    ours = F.p_mpjpe(pred, target, reduction="none")
    assert np.allclose(ours.numpy(), _numpy_p_mpjpe(pred.numpy(), target.numpy()), atol=1e-9)


def test_a_perfect_prediction():
    target = _poses(0, 2, 5, 7)
    expected = {"pck": 1.0, "auc": 30 / 31}  # strictly nearer than 0 is nothing: as published
    for name, metric in SIMPLE.items():
        assert metric(target, target).item() == pytest.approx(expected.get(name, 0.0), abs=1e-9), name
    assert F.bone_length_error(target, target, BIPED).item() == 0.0


def test_a_constant_offset():
    target = _poses(1, 2, 5, 7)
    pred = target + torch.tensor([0.03, 0.0, 0.04], dtype=torch.float64)
    expected = {"mpjpe": 0.05, "p_mpjpe": 0.0, "mpjve": 0.0, "acceleration_error": 0.0, "pck": 1.0}
    for name, value in expected.items():
        assert SIMPLE[name](pred, target).item() == pytest.approx(value, abs=1e-9), name
    assert F.pck(pred, target, threshold=0.049).item() == 0.0
    assert F.bone_length_error(pred, target, BIPED).item() == pytest.approx(0.0, abs=1e-9)


def test_a_rotated_a_scaled_and_a_mirrored_prediction():
    target = _poses(2, 2, 5, 7)
    rotated, scaled, mirrored = target @ _turn(3).mT, 2 * target, target * torch.tensor([-1.0, 1.0, 1.0])
    assert F.p_mpjpe(rotated, target).item() == pytest.approx(0.0, abs=1e-9)
    assert F.mpjpe(rotated, target) > 0.05 and F.n_mpjpe(rotated, target) > 0.05
    assert F.n_mpjpe(scaled, target).item() == pytest.approx(0.0, abs=1e-9)
    assert F.p_mpjpe(scaled, target).item() == pytest.approx(0.0, abs=1e-9)
    assert torch.allclose(F.mpjpe(scaled, target), target.norm(dim=-1).mean())
    assert F.p_mpjpe(mirrored, target) > 0.05, "reflections are excluded"


def test_velocity_and_acceleration_of_known_motions():
    t = torch.arange(6, dtype=torch.float64)[:, None, None]
    direction = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    still = torch.zeros(6, 7, 3, dtype=torch.float64)
    steady, speeding = still + 0.01 * t * direction, still + 0.01 * t**2 * direction
    assert F.mpjve(steady, still).item() == pytest.approx(0.01)
    assert F.mpjve(steady, still, fps=30.0).item() == pytest.approx(0.3)
    assert F.acceleration_error(steady, still).item() == pytest.approx(0.0, abs=1e-12)
    assert F.acceleration_error(speeding, still).item() == pytest.approx(0.02)
    assert F.acceleration_error(speeding, still, fps=10.0).item() == pytest.approx(2.0)


def test_velocity_never_crosses_clips():
    pred, target = torch.zeros(2, 3, 4, 3), torch.zeros(2, 3, 4, 3)
    pred[1] += 5.0  # the second clip is far off, but does not move
    assert F.mpjve(pred, target).item() == 0.0
    assert F.mpjve(pred.flatten(0, 1), target.flatten(0, 1)).item() > 0


def test_pck_and_auc_follow_their_definition():
    errors = torch.tensor([0.0, 0.0024, 0.0074, 0.1499, 0.15, 0.2, 1.0], dtype=torch.float64)
    target = torch.zeros(1, 7, 3, dtype=torch.float64)
    pred = target.clone()
    pred[0, :, 1] = errors
    assert F.pck(pred, target).item() == pytest.approx(4 / 7)
    curve = [sum(float(e) < k * 0.005 for e in errors) / 7 for k in range(31)]
    assert F.auc(pred, target).item() == pytest.approx(sum(curve) / 31)


def test_body_metrics_of_a_body_with_one_long_leg():
    rest = torch.tensor(
        [[0, 1, 0], [0.1, 0.5, 0], [-0.1, 0.5, 0], [0.1, 0, 0], [-0.1, 0, 0], [0, 1.5, 0], [0, 1.7, 0]],
        dtype=torch.float64,
    )
    target = rest.expand(4, 7, 3)
    pred = target.clone()
    pred[2:, 3, 1] = -0.2  # the left shin grows from 0.5 to 0.7 in the second half
    assert bone_pairs(BIPED) == (((0, 1), (0, 2)), ((1, 3), (2, 4)))
    assert F.symmetry_error(target, BIPED).item() == pytest.approx(0.0, abs=1e-12)
    assert torch.allclose(F.symmetry_error(pred, BIPED, reduction="none"), torch.tensor([0, 0, 0.1, 0.1]).double())
    per_bone = F.bone_length_error(pred, target, BIPED, reduction="joint")
    assert per_bone[list(BIPED.bones).index((1, 3))].item() == pytest.approx(0.1)
    assert per_bone.sum().item() == pytest.approx(0.1)
    assert F.bone_length_variance(pred, BIPED).item() == pytest.approx(0.01 / 6)
    assert F.bone_length_variance(target, BIPED).item() == pytest.approx(0.0, abs=1e-12)
    assert F.bone_length_variance(pred[:1], BIPED).isnan(), "one frame has no variance"
    chain = Skeleton.from_parents([-1, 0, 1])
    assert F.symmetry_error(torch.zeros(2, 3, 3), chain).isnan(), "nothing to compare"


@pytest.mark.parametrize("name", EVERY)
def test_reductions_are_averages_of_one_another(name: str):
    metric = partial(EVERY[name], *_pair(5, 3, 6, 7))
    every = metric(reduction="all")
    assert every.shape[0] == 3 and every.ndim == 3
    assert torch.allclose(metric(), every.mean())
    assert torch.allclose(metric(reduction="clip"), every.mean((1, 2)))
    assert torch.allclose(metric(reduction="none"), every.mean(2))
    assert torch.allclose(metric(reduction="joint"), every.mean((0, 1)))


@pytest.mark.parametrize("name", EVERY)
def test_numpy_in_numpy_out(name: str):
    pred, target = _pair(6, 2, 6, 7)
    metric = EVERY[name]
    scalar = metric(pred.numpy(), target.numpy())
    assert isinstance(scalar, float) and scalar == pytest.approx(metric(pred, target).item(), abs=1e-12)
    frames = metric(pred.float().numpy(), target.float().numpy(), reduction="none")
    assert isinstance(frames, np.ndarray) and frames.dtype == np.float32
    assert np.allclose(frames, metric(pred, target, reduction="none").numpy(), atol=1e-3)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_masked_does_not_count_and_what_is_missing_is_nan(name: str):
    pred, target = _pair(7, 2, 6, 7)
    metric = EVERY[name]
    broken = pred.clone()
    broken[0, 2, 3] = float("nan")
    assert math.isnan(metric(broken, target)), "NaN never becomes 0"
    assert metric(broken, target, reduction="clip").isnan().tolist() == [True, False]
    visible = torch.ones(2, 6, 7, dtype=torch.bool)
    assert torch.allclose(metric(pred, target, visible=visible), metric(pred, target))
    visible[0, 2, 3] = False
    value = metric(broken, target, visible=visible)
    other = pred.clone()
    other[0, 2, 3] = 1e3
    assert value.isfinite() and torch.equal(metric(other, target, visible=visible), value)
    both = metric(broken, broken, visible=visible.numpy())
    assert both.isfinite()
    assert metric(pred, target, visible=torch.zeros(2, 6, dtype=torch.bool)).isnan(), "an average over nothing"


@pytest.mark.parametrize("name", EVERY)
def test_padded_frames_masked_give_the_value_of_the_clip(name: str):
    pred, target = _pair(8, 5, 7)
    padded = [torch.cat([x, x[-1:].expand(3, 7, 3)]) for x in (pred, target)]
    real = torch.arange(8) < 5
    metric = EVERY[name]
    assert torch.allclose(metric(*padded, visible=real), metric(pred, target))
    assert torch.allclose(metric(*padded, visible=real, reduction="joint"), metric(pred, target, reduction="joint"))


def test_degenerate_frames_are_nan_under_p_mpjpe_and_n_mpjpe():
    pred, target = _pair(9, 4, 7)
    pred[1] = 0.0
    pred[2] = torch.linspace(0, 1, 7)[:, None] * torch.tensor([1.0, 2.0, 3.0])
    target[3] = 0.25
    assert F.p_mpjpe(pred, target, reduction="none").isnan().tolist() == [False, True, True, True]
    assert F.p_mpjpe(pred, target).isnan()
    assert F.n_mpjpe(pred, target, reduction="none").isnan().tolist() == [False, True, False, False]


def test_a_clip_without_velocity_is_nan():
    one = torch.zeros(1, 7, 3)
    assert F.mpjve(one, one).isnan() and F.acceleration_error(one.expand(2, 7, 3), one.expand(2, 7, 3)).isnan()
    assert F.mpjve(one, one, reduction="none").shape == (0,)
    assert math.isnan(F.mpjve(one.numpy(), one.numpy()))


@given(seeds, st.floats(0.2, 5.0))
def test_invariances(seed: int, scale: float):
    pred, target = _pair(seed, 4, 7)
    turn, shift = _turn(seed + 2), _poses(seed + 3, 1)
    base = {name: metric(pred, target) for name, metric in SIMPLE.items()}
    for name, metric in SIMPLE.items():
        assert torch.allclose(metric(pred @ turn.mT, target @ turn.mT), base[name], atol=1e-7), name
        assert torch.allclose(metric(pred[:, [3, 1, 0, 2, 6, 5, 4]], target[:, [3, 1, 0, 2, 6, 5, 4]]), base[name]), (
            name
        )
        if name != "n_mpjpe":
            assert torch.allclose(metric(pred + shift, target + shift), base[name], atol=1e-7), name
        if name not in ("pck", "auc"):
            assert torch.allclose(metric(scale * pred, scale * target), scale * base[name], atol=1e-7), name
    assert torch.allclose(F.p_mpjpe(scale * pred @ turn.mT + shift, target), base["p_mpjpe"], atol=1e-7)
    assert torch.allclose(F.n_mpjpe(scale * pred, target), base["n_mpjpe"], atol=1e-9)
    assert torch.allclose(F.mpjve(pred + shift, target), base["mpjve"], atol=1e-9)


@pytest.mark.parametrize("name", ["mpjpe", "p_mpjpe", "n_mpjpe", "mpjve", "acceleration_error"])
def test_distances_have_gradients_that_masked_rubbish_does_not_reach(name: str):
    pred, target = _pair(10, 1, 4, 5)
    pred.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: SIMPLE[name](p, target), (pred,), atol=1e-4)
    target[0, 1, 2] = float("nan")
    visible = target.isfinite().all(-1)
    SIMPLE[name](pred, target, visible=visible).backward()
    assert pred.grad is not None and pred.grad.isfinite().all() and (pred.grad[0, 1, 2] == 0).all()


ZERO = torch.zeros(2, 4, 7, 3)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("pred", "target", "options", "error", "message"),
    [
        (ZERO[..., :2], ZERO[..., :2], {}, DataError, r"\[\.\.\., T, J, 3\]"),
        (ZERO[0, 0], ZERO[0, 0], {}, DataError, r"a single pose is pose\[None\]"),
        (ZERO.long(), ZERO.long(), {}, DataError, "floating-point pred"),
        ([[0.0]], ZERO, {}, DataError, "torch tensor or a NumPy array"),
        (ZERO, ZERO, {"visible": torch.ones(2, 7, dtype=torch.bool)}, DataError, r"visible \[2, 4, 7\] or \[2, 4\]"),
        (ZERO, ZERO, {"visible": torch.ones(2, 4, 7)}, DataError, "boolean visible"),
        (ZERO, ZERO, {"reduction": "sum"}, ConfigError, "unknown reduction 'sum'"),
    ],
)
def test_bad_input_gets_one_clear_error(name: str, pred, target, options, error, message: str):
    with pytest.raises(error, match=message):
        EVERY[name](pred, target, **options)


def test_more_bad_input():
    for name in (*SIMPLE, "bone_length_error"):
        with pytest.raises(DataError, match="one shape"):
            EVERY[name](ZERO, ZERO[:, :3])
    with pytest.raises(DataError, match=r"\[\.\.\., T, 7, 3\] on skeleton 'biped7' \(got \[2, 4, 6, 3\]\)"):
        F.symmetry_error(ZERO[:, :, :6], BIPED)
    with pytest.raises(ConfigError, match="positive fps"):
        F.mpjve(ZERO, ZERO, fps=0.0)
    with pytest.raises(ConfigError, match="positive threshold"):
        F.pck(ZERO, ZERO, threshold=-1.0)
