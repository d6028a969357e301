"""Schedule, samplers, fixed noise, step embedding and aggregation, each against its formula."""

from __future__ import annotations

import math
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from shared import shared_path

from graphpose.errors import ConfigError, DataError
from graphpose.geometry import Camera, place_root, reprojection_error
from graphpose.nn.aggregation import aggregate
from graphpose.nn.diffusion import NoiseSchedule
from graphpose.nn.diffusion_samplers import SAMPLERS, ddim, dpm_solver
from graphpose.nn.fixed_noise import fixed_noise
from graphpose.nn.pose_diffusion import PoseDiffusion, mirrored
from graphpose.nn.step_embedding import StepEmbedding

FOCAL = 2.29


# -- schedule ---------------------------------------------------------------------------------------------------------


def test_published_schedule() -> None:
    with np.load(shared_path("reference/d3dp_t9.npz")) as numbers:
        expected = torch.from_numpy(numbers["alphas_cumprod"])
    torch.testing.assert_close(NoiseSchedule(len(expected)).alphas_cumprod, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("timesteps", [1, 2, 50, 1000])
def test_signal_falls_from_nearly_all_to_nearly_nothing(timesteps: int) -> None:
    schedule = NoiseSchedule(timesteps)
    left = schedule.alphas_cumprod
    assert left.shape == schedule.betas.shape == (timesteps,) and left.dtype == torch.float64
    assert (left.diff() < 0).all() and 0 < left[-1] < 0.01
    assert ((schedule.betas > 0) & (schedule.betas <= 0.999)).all()
    for t in (0, timesteps - 1):
        signal, noise = schedule.scales(t)
        assert signal**2 + noise**2 == pytest.approx(1) and signal**2 == pytest.approx(float(left[t]))


def test_noise_is_read_back_from_what_it_was_added_to() -> None:
    schedule, generator = NoiseSchedule(), torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 3, 4, 5, 3, generator=generator, dtype=torch.float64).unbind(0)
    for t in (0, 500, 999):
        x = schedule.diffuse(x0, torch.full((3,), t), noise)
        torch.testing.assert_close(schedule.noise_in(x, x0, t), noise, rtol=1e-9, atol=1e-9)
    assert schedule.diffuse(x0.float(), torch.tensor([0, 5, 999]), noise.float()).dtype == torch.float32


def test_times_are_evenly_spaced_from_the_last_step_to_clean() -> None:
    schedule = NoiseSchedule(1000)
    assert schedule.times(1) == (999, -1) and schedule.times(3) == (999, 665, 332, -1)
    assert schedule.times(1000) == tuple(range(999, -2, -1))
    for steps in range(1, 60):
        times = schedule.times(steps)
        assert len(times) == steps + 1
        assert all(abs(a - b - 1000 / steps) <= 1 for a, b in pairwise(times))


def test_times_by_signal_are_even_in_its_logarithm() -> None:
    schedule = NoiseSchedule(1000)
    ratio = [math.log(a / b) for a, b in (schedule.scales(t) for t in range(1000))]
    assert schedule.times_by_signal(1) == (999, -1)
    times = schedule.times_by_signal(10)
    assert times[0] == 999 and times[-1] == -1
    steps = [ratio[b] - ratio[a] for a, b in pairwise(times[1:-1])]
    assert max(steps) - min(steps) < 0.25 * max(steps)
    for timesteps in (1, 2, 7, 50, 1000):
        for k in {1, 2, timesteps // 2, timesteps} - {0}:
            if k <= timesteps:
                times = NoiseSchedule(timesteps).times_by_signal(k)
                assert len(times) == k + 1 and all(a > b for a, b in pairwise(times))


def test_schedule_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match=r"timesteps >= 1 \(got 0\)"):
        NoiseSchedule(0)
    for steps in (0, 11):
        with pytest.raises(ConfigError, match=rf"steps in 1..10, .*\(got {steps}\)"):
            NoiseSchedule(10).times(steps)
        with pytest.raises(ConfigError, match=rf"\(got {steps}\)"):
            NoiseSchedule(10).times_by_signal(steps)
    x = torch.zeros(2, 4, 3)
    with pytest.raises(DataError, match=r"expected noise \[2, 4, 3\] and steps \[2\].*\(got \[2, 3, 3\] and \[2\]\)"):
        NoiseSchedule().diffuse(x, torch.zeros(2, dtype=torch.long), x[:, :3])
    with pytest.raises(DataError, match=r"\(got \[2, 4, 3\] and \[1\]\)"):
        NoiseSchedule().diffuse(x, torch.zeros(1, dtype=torch.long), x)
    with pytest.raises(DataError, match=r"integer diffusion steps t \(got torch.float32\)"):
        NoiseSchedule().diffuse(x, torch.zeros(2), x)


# -- samplers ---------------------------------------------------------------------------------------------------------


def gaussian(mean: float, spread: float, schedule: NoiseSchedule):  # type: ignore[no-untyped-def]
    """The exact denoiser of N(mean, spread^2): E[x_0 | x_t]."""

    def predict(x: torch.Tensor, t: int) -> torch.Tensor:
        signal, noise = schedule.scales(t)
        return mean + signal * spread**2 / (signal**2 * spread**2 + noise**2) * (x - signal * mean)

    return predict


def test_exact_denoiser_of_a_gaussian_samples_that_gaussian() -> None:
    schedule = NoiseSchedule()
    torch.manual_seed(0)
    noise = torch.randn(20_000, dtype=torch.float64)
    for eta in (0.0, 1.0):
        last = ddim(schedule, gaussian(0.4, 0.3, schedule), noise, 200, eta=eta)[-1]
        assert last.mean() == pytest.approx(0.4, abs=0.01) and last.std() == pytest.approx(0.3, abs=0.01)


def test_solver_needs_fewer_steps_than_ddim_for_the_same_curve() -> None:
    """On the probability flow of a Gaussian, whose end is known: 0.4 + 0.3 z."""
    pytest.importorskip("diffusers", reason="the extra `diffusion` is not installed")
    schedule = NoiseSchedule()
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64)
    predict, exact = gaussian(0.4, 0.3, schedule), 0.4 + 0.3 * noise

    def error(predictions: torch.Tensor) -> float:
        return float((predictions[-1] - exact).abs().max())

    for steps in (5, 10, 20):
        found = error(dpm_solver(schedule, predict, noise, steps))
        assert found < 0.5 * error(ddim(schedule, predict, noise, steps, eta=0.0))
    assert found < 0.01


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step_is_the_first_prediction(name: str) -> None:
    if name != "ddim":
        pytest.importorskip("diffusers", reason="the extra `diffusion` is not installed")
    schedule, noise = NoiseSchedule(), torch.randn(2, 3)
    predict = gaussian(0.1, 0.5, schedule)
    found = SAMPLERS[name](schedule, predict, noise, 1, None)
    torch.testing.assert_close(found, predict(noise, 999)[None], rtol=0, atol=0)
    several = SAMPLERS[name](schedule, predict, noise, 4, None)
    assert several.shape == (4, 2, 3)
    torch.testing.assert_close(several[0], found[0], rtol=0, atol=0)


def test_step_noises_are_taken_in_turn() -> None:
    schedule = NoiseSchedule()
    predict = gaussian(0.0, 1.0, schedule)
    noise, noises = torch.randn(3), torch.randn(4, 3)
    full = ddim(schedule, predict, noise, 3, noises)
    torch.testing.assert_close(ddim(schedule, predict, noise, 3, noises[:2]), full, rtol=0, atol=0)
    changed = ddim(schedule, predict, noise, 3, torch.stack([noises[0], -noises[1]]))
    torch.testing.assert_close(changed[:2], full[:2], rtol=0, atol=0)
    assert not torch.allclose(changed[2], full[2])


def test_samplers_refuse_step_noises_that_do_not_fit() -> None:
    schedule, noise = NoiseSchedule(), torch.zeros(2, 3)
    for wrong in (torch.zeros(1, 2, 3), torch.zeros(4, 3, 2)):
        with pytest.raises(DataError, match=r"expected step noises \[2 or more, 2, 3\] for 3 steps"):
            ddim(schedule, gaussian(0, 1, schedule), noise, 3, wrong)
    with pytest.raises(DataError, match=r"no step noises for dpm-solver\+\+"):
        dpm_solver(schedule, gaussian(0, 1, schedule), noise, 3, torch.zeros(4, 2, 3))


def test_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "diffusers"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoDiffusers(), *sys.meta_path])
    schedule = NoiseSchedule()
    with pytest.raises(ConfigError, match=r'needs the package diffusers: pip install "graphpose\[diffusion\]"'):
        dpm_solver(schedule, gaussian(0, 1, schedule), torch.zeros(2), 2)


class NoDiffusers:
    """An import system without that one package."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "diffusers":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


# -- poses ------------------------------------------------------------------------------------------------------------


def test_poses_are_held_before_and_after_the_denoiser() -> None:
    seen = []

    def denoise(x2d: torch.Tensor, x3d: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(x3d)
        return 5 * x3d

    diffusion = PoseDiffusion(scale=2.0, limit=0.8)
    found = diffusion.sample(denoise, torch.zeros(1, 1, 2, 2), 9 * torch.randn(1, 4, 1, 2, 3), 2)
    assert found.shape == (1, 2, 4, 1, 2, 3)
    assert found.abs().max() == pytest.approx(0.8) and max(x.abs().max() for x in seen) == pytest.approx(0.8)
    noisy, t = diffusion.draw(torch.full((500, 1, 1, 3), 0.3))
    assert noisy.abs().max() == pytest.approx(0.8) and t.min() >= 0 and t.max() <= 999 and len(t.unique()) > 300
    clean = noisy[t < 30].mean()
    assert clean == pytest.approx(0.3, abs=0.05), "metres stay metres under a scale"


def test_a_mirrored_denoiser_knows_no_sides() -> None:
    torch.manual_seed(0)
    mirror, weight = torch.tensor([0, 2, 1]), torch.randn(5, 3)

    def denoise(x2d: torch.Tensor, x3d: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return (torch.cat([x2d[:, None].expand(-1, 2, -1, -1, -1), x3d], -1) @ weight).cumsum(-2)

    def flip(points: torch.Tensor) -> torch.Tensor:
        return points[..., mirror, :] * torch.tensor([-1.0, 1.0, 1.0][: points.shape[-1]])

    both = mirrored(denoise, mirror)
    x2d, x3d, t = torch.randn(4, 6, 3, 2), torch.randn(4, 2, 6, 3, 3), torch.zeros(4, dtype=torch.long)
    torch.testing.assert_close(both(flip(x2d), flip(x3d), t), flip(both(x2d, x3d, t)))
    assert not torch.allclose(denoise(flip(x2d), flip(x3d), t), flip(denoise(x2d, x3d, t)))


def test_unknown_samplers_and_scales_are_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'ddim'"):
        PoseDiffusion().sample(lambda x2d, x3d, t: x3d, torch.zeros(1), torch.zeros(1, 1), 1, "dddim")
    for bad in ({"scale": 0.0}, {"limit": math.inf}, {"scale": math.nan}):
        with pytest.raises(ConfigError, match=f"expected {next(iter(bad))} > 0"):
            PoseDiffusion(**bad)


# -- what starts and conditions it ------------------------------------------------------------------------------------


def test_fixed_noise_is_a_function_of_seed_hypothesis_joint_and_draw() -> None:
    joints = ["hip", "l_knee", "r_knee"]
    noise = fixed_noise(3, joints, draws=4, hypotheses=5, frames=6)
    assert noise.shape == (4, 5, 6, 3, 3) and noise.dtype == torch.float32
    torch.testing.assert_close(fixed_noise(3, joints, 2, 3, 6), noise[:2, :3], rtol=0, atol=0)
    torch.testing.assert_close(fixed_noise(3, joints[::-1], 4, 5, 6), noise.flip(3), rtol=0, atol=0)
    assert not torch.allclose(fixed_noise(4, joints, 4, 5, 6), noise)
    large = fixed_noise(0, joints, 10, 20, 50).flatten()
    assert large.mean() == pytest.approx(0, abs=0.01) and large.std() == pytest.approx(1, abs=0.01)
    flat = noise.permute(0, 1, 3, 2, 4).flatten(0, 2).flatten(1)
    assert len(flat.unique(dim=0)) == len(flat), "no two draws, hypotheses or joints share their noise"


def test_step_embedding_tells_steps_apart() -> None:
    embedding = StepEmbedding(16).double()
    found = embedding(torch.arange(1000))
    assert found.shape == (1000, 16) and found.dtype == torch.float64
    assert torch.pdist(found).min() > 1e-6


# -- aggregation ------------------------------------------------------------------------------------------------------


def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Camera]:
    """A pose [B, T, J, 3], its root, its keypoints, and the camera that saw it."""
    generator = torch.Generator().manual_seed(1)
    pose = 0.4 * torch.randn(2, 4, 5, 3, generator=generator, dtype=torch.float64)
    pose[..., 0, :] = 0
    root = torch.tensor([0.3, -0.2, 5.0], dtype=torch.float64) + 0.2 * torch.randn(
        2, 4, 3, generator=generator, dtype=torch.float64
    )
    camera = Camera(torch.eye(3).double(), torch.zeros(3).double(), torch.tensor([FOCAL, FOCAL]).double())
    return pose, root, camera.project(pose + root[..., None, :]), camera


def test_the_root_of_a_pose_is_found_from_its_keypoints() -> None:
    pose, root, keypoints, camera = scene()
    torch.testing.assert_close(place_root(pose, keypoints, camera), root, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(reprojection_error(pose, root, keypoints, camera), torch.zeros(2, 4, 5).double())
    weights = torch.ones(2, 4, 5)
    weights[..., 3], keypoints[..., 3, :] = 0, 0
    torch.testing.assert_close(place_root(pose, keypoints, camera, weights), root, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(place_root(pose, keypoints, camera), root)


def test_the_root_is_found_through_a_real_lens() -> None:
    pose, root, _, _ = scene()
    camera = Camera(
        torch.eye(3).double(),
        torch.zeros(3).double(),
        torch.tensor([1145.0, 1143.0]).double(),
        torch.tensor([512.5, 515.4]).double(),
        torch.tensor([-0.2, 0.24, -0.002]).double(),
        torch.tensor([-0.0009, -0.0014]).double(),
        width=1000,
        height=1002,
    )
    seen = camera.project(pose + root[..., None, :])
    torch.testing.assert_close(place_root(pose, seen, camera), root, rtol=1e-6, atol=1e-6)


def test_a_root_that_keypoints_do_not_tell_is_not_guessed() -> None:
    pose, _, keypoints, camera = scene()
    assert place_root(pose, torch.zeros_like(keypoints), camera).isnan().all(), "all keypoints on one point"
    assert place_root(-pose, keypoints, camera).isnan().all(), "behind the camera"
    with pytest.raises(DataError, match=r"keypoints \[..., J, 2\] \(got \[2, 4, 5, 3\] and \[2, 4, 4, 2\]\)"):
        place_root(pose, keypoints[:, :, :4], camera)


def wrong_hypotheses(pose: torch.Tensor) -> torch.Tensor:
    """Three hypotheses, each of which has some joints right; the second has most."""
    moved = torch.tensor([0.3, 0.2, 0.1]).double()
    hypotheses = pose.repeat(3, 1, 1, 1, 1)
    hypotheses[0, ..., [1, 2, 3], :] += moved
    hypotheses[1, ..., 4, :] -= moved
    hypotheses[2, ..., [1, 3, 4], :] += moved
    return hypotheses


def test_each_aggregation_chooses_by_its_formula() -> None:
    pose, root, keypoints, camera = scene()
    hypotheses = wrong_hypotheses(pose)
    torch.testing.assert_close(aggregate(hypotheses), hypotheses.mean(0))
    joints = aggregate(hypotheses, "jpma", keypoints=keypoints, camera=camera, root=root)
    torch.testing.assert_close(joints, pose)
    poses = aggregate(hypotheses, "pose", keypoints=keypoints, camera=camera, root=root)
    torch.testing.assert_close(poses, hypotheses[1])
    by_focal = aggregate(hypotheses, "jpma", keypoints=keypoints, camera=FOCAL, root=root)
    torch.testing.assert_close(by_focal, joints)


def test_without_the_true_root_hypotheses_that_fit_still_win() -> None:
    pose, _, keypoints, camera = scene()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20, *pose.shape, generator=generator, dtype=torch.float64)
    hypotheses = pose + 0.05 * noise
    hypotheses[..., 0, :] = 0

    def error(found: torch.Tensor) -> float:
        return float(
            (found - pose)[..., :2].norm(dim=-1).mean()
        )  # in the plane of the image, which is what it can tell

    single = error(hypotheses[0])
    for kind in ("jpma", "pose"):
        assert error(aggregate(hypotheses, kind, keypoints=keypoints, camera=camera)) < 0.8 * single


def test_missing_keypoints_choose_nothing() -> None:
    pose, root, keypoints, camera = scene()
    hypotheses = wrong_hypotheses(pose)
    seen = torch.ones(2, 4, 5, 1).double()
    seen[..., 2, :] = 0
    keypoints[..., 2, :] = 0
    with_confidence = torch.cat([keypoints, seen], dim=-1)
    joints = aggregate(hypotheses, "jpma", keypoints=with_confidence, camera=camera, root=root)
    torch.testing.assert_close(joints[..., 2, :], hypotheses.mean(0)[..., 2, :])
    torch.testing.assert_close(joints[..., [0, 1, 3, 4], :], pose[..., [0, 1, 3, 4], :])
    poses = aggregate(hypotheses, "pose", keypoints=with_confidence, camera=camera, root=root)
    torch.testing.assert_close(poses, hypotheses[1])
    nothing = torch.zeros_like(with_confidence)
    for kind in ("jpma", "pose"):
        torch.testing.assert_close(aggregate(hypotheses, kind, keypoints=nothing, camera=camera), hypotheses.mean(0))


def test_hypotheses_behind_the_camera_are_not_chosen() -> None:
    pose, root, keypoints, camera = scene()
    hypotheses = torch.stack([pose - torch.tensor([0, 0, 9.0]), pose + 0.5])
    for kind in ("jpma", "pose"):
        torch.testing.assert_close(
            aggregate(hypotheses, kind, keypoints=keypoints, camera=camera, root=root), pose + 0.5
        )


def test_aggregations_refuse_what_they_cannot_use() -> None:
    pose, root, keypoints, camera = scene()
    hypotheses = wrong_hypotheses(pose)
    with pytest.raises(ConfigError, match="did you mean 'jpma'"):
        aggregate(hypotheses, "jmpa")
    for missing in ({"keypoints": keypoints}, {"camera": camera}):
        with pytest.raises(ConfigError, match="'pose' compares reprojections: expected keypoints and a camera"):
            aggregate(hypotheses, "pose", **missing)
    with pytest.raises(
        DataError, match=r"of keypoints \[..., T, J, 2 or 3\] \(got \[3, 2, 4, 5, 3\] and \[2, 4, 4, 2\]\)"
    ):
        aggregate(hypotheses, "jpma", keypoints=keypoints[:, :, :4], camera=camera)
    with pytest.raises(DataError, match=r"expected root \[2, 4, 3\] \(got \[2, 4, 1, 3\]\)"):
        aggregate(hypotheses, "jpma", keypoints=keypoints, camera=camera, root=root[..., None, :])
