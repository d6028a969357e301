"""D3DP: the published numbers, what `lift` promises, any denoiser with any prior, training, and proposals for an evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from shared import shared_path
from zoo import FIVE, small

import graphpose
from graphpose.datasets.augmentation import flip_points
from graphpose.engine import evaluate_clips, evaluate_hypotheses, lift_clips
from graphpose.errors import CheckpointError, ConfigError, DataError
from graphpose.geometry import Camera
from graphpose.losses import create_loss
from graphpose.models import create, from_published
from graphpose.models.d3dp import D3DP
from graphpose.motion import MotionClip
from graphpose.nn.aggregation import aggregate
from graphpose.nn.diffusion import NoiseSchedule
from graphpose.skeleton import Skeleton

HOST = {"channels": 16, "depth": 2, "heads": 4}


def d3dp(denoiser: str = "mixste", skeleton: Skeleton = FIVE, prior: str | None = None, **options: Any) -> D3DP:
    own = {**HOST, **options.pop("denoiser_options", {})} | ({} if prior is None else {"prior": prior})
    model = small("d3dp", skeleton, denoiser=denoiser, denoiser_options=own, **options)
    assert isinstance(model, D3DP)
    return model


@pytest.fixture
def numbers() -> dict[str, np.ndarray]:
    with np.load(shared_path("reference/d3dp_t9.npz")) as archive:
        return {key: archive[key] for key in archive.files}


def published(numbers: dict[str, np.ndarray], **options: Any) -> D3DP:
    weights = {key.removeprefix("weight/"): value for key, value in numbers.items() if key.startswith("weight/")}
    model = from_published("d3dp", weights, skeleton=Skeleton.from_parents(numbers["parents"].tolist()), **options)
    assert isinstance(model, D3DP)
    return model


# -- parity -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_published_numbers(numbers: dict[str, np.ndarray]) -> None:
    model = published(numbers)

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(numbers[name])

    def check(found: torch.Tensor, name: str) -> None:
        expected = tensor(name)
        assert found.shape == expected.shape
        error = float((found - expected).abs().max())
        assert error <= 3e-6 * max(1.0, float(expected.abs().max())), (name, error)

    check(model.q_sample(tensor("target_3d"), tensor("t"), tensor("noise")), "q_sample")
    x2d, noise = tensor("input_2d"), tensor("initial_noise")
    check(model.denoise(x2d, noise, tensor("t")), "denoiser_output")
    for hypothesis in range(noise.shape[1]):
        found = model.denoise(x2d, noise[:, hypothesis], tensor("t"))
        torch.testing.assert_close(found, tensor("denoiser_output")[:, hypothesis], rtol=0, atol=3e-6)
    check(model.sample(x2d, noise, 1, step_noises=tensor("step_noises")), "ddim_1_step")
    check(model.sample(x2d, noise, 3, step_noises=tensor("step_noises")), "ddim_3_steps")


def test_published_checkpoints_with_schedule_prefixes_and_options(numbers: dict[str, np.ndarray]) -> None:
    bare = published(numbers)
    tables = {
        "weight/betas": NoiseSchedule(1000).betas.numpy(),
        "weight/alphas_cumprod": NoiseSchedule(1000).alphas_cumprod.numpy(),
        "weight/sqrt_one_minus_alphas_cumprod": np.zeros(1000),
        "weight/posterior_mean_coef1": np.zeros(1000),
    }
    model = published(numbers | tables, hypotheses=3, steps=2)
    assert (model.config.timesteps, model.config.hypotheses, model.config.steps) == (1000, 3, 2)
    for key, value in bare.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value, rtol=0, atol=0)
    with pytest.raises(CheckpointError, match="noise schedule is not the cosine one"):
        published(numbers | tables | {"weight/alphas_cumprod": np.linspace(1, 0, 1000)})
    with pytest.raises(CheckpointError, match=r"left over .*surplus"):
        published(numbers | {"weight/pose_estimator.surplus": np.zeros(3)})
    lacking = {key: value for key, value in numbers.items() if "time_mlp.3" not in key}
    with pytest.raises(CheckpointError, match=r"missing step_embedding\.mlp\.fc2"):
        published(lacking)


# -- lifting ----------------------------------------------------------------------------------------------------------


def test_lifting_depends_on_nothing_but_the_clip() -> None:
    model = d3dp(hypotheses=3, steps=3).double()
    x = torch.randn(4, 6, 5, 2, dtype=torch.float64)
    torch.manual_seed(1)
    once = model.lift(x)
    torch.manual_seed(2)
    torch.testing.assert_close(model.lift(x), once, rtol=0, atol=0)
    torch.testing.assert_close(model.lift(x[[2, 0]]), once[[2, 0]])
    torch.testing.assert_close(model.lift(x.repeat(20, 1, 1, 1))[-4:], once), "many windows, fewer hypotheses at a time"
    assert not torch.allclose(d3dp_like(model, seed=1).lift(x), once)


def d3dp_like(model: D3DP, **options: Any) -> D3DP:
    """The same weights under other options."""
    other = d3dp(model.config.denoiser, model.skeleton, **{"hypotheses": 3, "steps": 3, **options}).to(
        model.noise.dtype
    )
    other.load_state_dict(model.state_dict())
    return other


def test_lift_is_the_mean_of_the_hypotheses_that_sampling_gives() -> None:
    model = d3dp(hypotheses=3, steps=4).double()
    x = torch.randn(2, 6, 5, 2, dtype=torch.float64)
    noise = model.noise[:, None].expand(-1, 2, -1, -1, -1, -1)
    sampled = model.sample(x, noise[0], step_noises=noise[1:])
    assert sampled.shape == (2, 4, 3, 6, 5, 3)
    torch.testing.assert_close(model.lift(x), sampled[:, -1].mean(1))
    assert sampled[:, -1].std(1).mean() > 1e-4, "hypotheses differ"


def test_more_hypotheses_and_steps_leave_the_first_noise() -> None:
    model = d3dp(hypotheses=2, steps=2)
    x = torch.randn(2, 6, 5, 2)
    torch.testing.assert_close(model.propose(x, hypotheses=5)[:2], model.propose(x))
    torch.testing.assert_close(
        model.propose(x, steps=1),
        model.sample(x, model.noise[0].expand(2, -1, -1, -1, -1), 1)[:, -1].transpose(0, 1).detach(),
    )


def test_renumbered_joints_give_the_renumbered_pose() -> None:
    order = [0, 3, 4, 1, 2]
    renumbered = Skeleton.from_parents([-1, 0, 1, 0, 3], [FIVE.joints[i] for i in order], FIVE.pairs)
    model, twin = d3dp(in_features=3).double(), d3dp(skeleton=renumbered, in_features=3).double()
    state = model.state_dict()
    for key, value in state.items():
        for axis, size in enumerate(value.shape):
            if size == 5:
                value = value.index_select(axis, torch.tensor(order))
        state[key] = value
    twin.load_state_dict(state)
    x = torch.randn(2, 6, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(twin.lift(x[:, :, order]), model.lift(x)[:, :, order])


def test_sampling_with_flip_knows_no_left_and_right() -> None:
    """With mirrored noise the published flip inside the steps gives the mirrored poses exactly."""
    model, mirror = d3dp(hypotheses=2, steps=3).double(), torch.tensor(FIVE.mirror.tolist())
    x, noise = torch.randn(2, 6, 5, 2).double(), torch.randn(2, 2, 6, 5, 3).double()
    noises = torch.randn(2, 2, 2, 6, 5, 3).double()
    found = model.sample(x, noise, step_noises=noises, flip=True)
    mirrored = model.sample(
        flip_points(x, mirror), flip_points(noise, mirror), step_noises=flip_points(noises, mirror), flip=True
    )
    torch.testing.assert_close(mirrored, flip_points(found, mirror))
    assert not torch.allclose(model.sample(x, noise, step_noises=noises), found)


def test_hypotheses_are_chosen_by_reprojection() -> None:
    model = d3dp(hypotheses=4, aggregate="jpma", focal=2.29)
    x = torch.cat([0.1 * torch.randn(2, 6, 5, 2), torch.ones(2, 6, 5, 1)], dim=-1)[..., :2]
    proposed = model.propose(x)
    camera = Camera(torch.eye(3), torch.zeros(3), torch.tensor([2.29, 2.29]))
    with torch.no_grad():
        lifted = model.lift(x)
    torch.testing.assert_close(lifted, aggregate(proposed, "jpma", keypoints=x, camera=camera), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(lifted, proposed.mean(0))


def test_solver_lifts_too() -> None:
    pytest.importorskip("diffusers", reason="the extra `diffusion` is not installed")
    model = d3dp(hypotheses=3, steps=1)
    x = torch.randn(2, 6, 5, 2)
    torch.testing.assert_close(model.propose(x, sampler="dpm-solver++"), model.propose(x))
    lifted = d3dp_like(model, steps=4, sampler="dpm-solver++").lift(x)
    assert lifted.shape == (2, 6, 5, 3) and lifted.abs().max() <= 1.1
    assert model.propose(x, steps=4, sampler="dpm-solver++", flip=True).isfinite().all()


# -- denoisers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("denoiser", "prior", "place"),
    [
        ("mixste", "kpa+tpa", "front"),
        ("mixste", "kpa+tpa", "bias"),
        ("mixste", "kpa+mirror", "blocks"),
        ("ktpformer", None, "front"),
    ],
)
def test_priors_in_the_denoiser(denoiser: str, prior: str | None, place: str) -> None:
    options = {"prior_place": place}
    model = d3dp(denoiser, prior=prior, denoiser_options=options).double()
    x = torch.randn(3, 6, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(model.lift(x)[1:2], model.lift(x[1:2]))
    plain = d3dp(denoiser_options={"depth": model.denoiser.depth})
    assert set(plain.state_dict()) != set(model.state_dict())
    every_parameter_learns(model.train())


def test_ktpformer_denoiser_is_mixste_with_both_priors_and_one_more_pair() -> None:
    published_variant = d3dp("ktpformer")
    same = d3dp("mixste", prior="kpa+tpa", denoiser_options={"depth": 3})
    same.load_state_dict(published_variant.state_dict())
    x = torch.randn(2, 6, 5, 2)
    torch.testing.assert_close(same.lift(x), published_variant.lift(x))


def every_parameter_learns(model: D3DP) -> None:
    torch.manual_seed(0)
    dtype = model.noise.dtype
    x, y = torch.randn(4, 6, 5, 2, dtype=dtype), 0.3 * torch.randn(4, 6, 5, 3, dtype=dtype)
    found = model.lift_for_loss(x, y)
    assert found.shape == y.shape
    create_loss("mpjpe", FIVE)(found, y).backward()
    without = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert not without


def test_one_checkpoint_of_an_index_free_denoiser_lifts_other_skeletons_and_lengths(tmp_path: Any) -> None:
    model = d3dp("mixste", prior="kpa+tpa", denoiser_options={"index_free": True})
    three = Skeleton.from_parents([-1, 0, 0], ["hip", "left", "right"], [("left", "right")])
    assert not model.bound_to_frames and not model.bound_to_skeleton
    assert model.lift(torch.randn(2, 9, 5, 2)).shape == (2, 9, 5, 3)
    assert model.on(three).lift(torch.randn(2, 4, 3, 2)).shape == (2, 4, 3, 3)
    again = graphpose.load(graphpose.models.save(model, tmp_path / "free.safetensors"))
    x = torch.randn(1, 11, 5, 2)
    torch.testing.assert_close(again.lift(x), model.lift(x))
    assert model.propose(torch.randn(1, 4, 5, 2)).shape == (2, 1, 4, 5, 3)


# -- training ---------------------------------------------------------------------------------------------------------


def test_training_draws_anew_and_repeats_with_the_seed() -> None:
    model = d3dp()
    x, y = torch.randn(4, 6, 5, 2), 0.3 * torch.randn(4, 6, 5, 3)
    torch.manual_seed(0)
    first, second = model.lift_for_loss(x, y), model.lift_for_loss(x, y)
    assert not torch.allclose(first, second)
    torch.manual_seed(0)
    torch.testing.assert_close(model.lift_for_loss(x, y), first, rtol=0, atol=0)


def test_a_denoiser_learns_poses_that_lifting_then_finds() -> None:
    """Two clips that their keypoints tell apart; after some steps lifting gives their poses."""
    torch.manual_seed(0)
    model = create("d3dp", FIVE, 6, denoiser_options={**HOST, "drop_path": 0.0}, hypotheses=2, steps=2)
    x, y = torch.randn(2, 6, 5, 2), 0.3 * torch.randn(2, 6, 5, 3)
    loss = create_loss("mpjpe", FIVE)
    optimiser = torch.optim.AdamW(model.parameters(), 5e-3)
    before = float(loss(model.lift(x).detach(), y))
    several, truth = x.repeat(8, 1, 1, 1), y.repeat(8, 1, 1, 1)
    for _ in range(100):
        optimiser.zero_grad()
        loss(model.lift_for_loss(several, truth), truth).backward()
        optimiser.step()
    with torch.no_grad():
        after = float(loss(model.eval().lift(x), y))
    assert after < 0.5 * before


# -- proposals --------------------------------------------------------------------------------------------------------


def walk(frames: int = 15) -> MotionClip:
    generator = torch.Generator().manual_seed(0)
    positions = 0.3 * torch.randn(frames, 5, 3, generator=generator)
    positions[:, 0] = torch.tensor([0.0, 1.0, 0.0])
    return MotionClip(FIVE, positions=positions, fps=30.0, name="walk", subject="S1", action="Walk")


def test_proposals_are_evaluated_with_their_oracles_apart() -> None:
    model, clip = d3dp(hypotheses=4, steps=2), walk()
    result = evaluate_hypotheses(model, model.propose, [clip], progress=False, flip=False)
    plain = evaluate_clips(model, [clip], progress=False, flip=False)
    found, lifted = result.errors.overall(), lift_clips(model, plain.clips[0].x[None], flip=False)[0]
    assert found == pytest.approx(plain.errors.overall()), "a model with proposals is evaluated with them"
    torch.testing.assert_close(plain.clips[0].predicted, lifted, rtol=1e-4, atol=1e-5)
    assert found["oracle_j_best_mpjpe"] < found["oracle_p_best_mpjpe"] < found["mpjpe"] * 1.5
    with pytest.raises(ConfigError, match=r"steps: the function that proposes decides it \(got steps=3\)"):
        evaluate_hypotheses(model, model.propose, [clip], progress=False, steps=3)


def test_proposals_of_clips_of_any_length_fit_what_the_engine_lifts() -> None:
    model = d3dp(hypotheses=3, steps=2).train()
    for length in (1, 6, 15):
        x = torch.randn(2, length, 5, 3)  # a confidence that the model does not take
        proposed = model.propose(x)
        assert proposed.shape == (3, 2, length, 5, 3) and model.training
        torch.testing.assert_close(proposed.mean(0), lift_clips(model, x, flip=False), rtol=1e-4, atol=1e-5)


def test_options_that_need_no_training_change_on_a_model_that_shares_its_parameters(tmp_path: Any) -> None:
    model, x = d3dp(hypotheses=3, steps=3), torch.randn(2, 6, 5, 2)
    assert model.with_options() is model and model.with_options(steps=3) is model
    other = model.with_options(hypotheses=4, steps=2, aggregate="jpma", focal=2.29, seed=1)
    assert (other.config.hypotheses, other.config.steps, model.config.steps) == (4, 2, 3)
    assert not other.training and other.noise.shape[:2] == (2, 4)
    fresh = d3dp_like(model, hypotheses=4, steps=2, aggregate="jpma", focal=2.29, seed=1)
    torch.testing.assert_close(other.lift(x), fresh.lift(x), rtol=0, atol=0)
    assert [p.data_ptr() for p in other.parameters()] == [p.data_ptr() for p in model.parameters()]
    again = graphpose.load(graphpose.models.save(other, tmp_path / "model.safetensors"))
    assert again.config == other.config
    torch.testing.assert_close(again.lift(x), other.lift(x), rtol=0, atol=0)
    for options, said in (
        ({"hypothesis": 4}, "did you mean 'hypotheses'"),
        ({"timesteps": 10}, "option that can change after the training"),
        ({"hypotheses": 0}, "hypotheses >= 1"),
        ({"aggregate": "jpma"}, "expected focal > 0"),
    ):
        with pytest.raises(ConfigError, match=said):
            model.with_options(**options)
    with pytest.raises(ConfigError, match=r"MixSTE has no option that can change after its training \(got 'depth'\)"):
        small("mixste").with_options(depth=3)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"denoiser": "mixstee"}, "did you mean 'mixste'"),
        ({"denoiser": "d3dp"}, r"expected denoiser to be one of .*mixste.* \(got 'd3dp'\)"),
        (
            {"denoiser_options": {"frames": 3, "in_features": 2}},
            "no frames or in_features: these are options of d3dp itself",
        ),
        ({"denoiser_options": {"chanels": 8}}, "did you mean 'channels'"),
        ({"hypotheses": 0}, r"hypotheses >= 1 and seed >= 0 \(got 0 and 0\)"),
        ({"seed": -1}, r"\(got 5 and -1\)"),
        ({"steps": 0}, r"steps in 1..1000.*\(got 0\)"),
        ({"steps": 11, "timesteps": 10}, r"steps in 1..10.*\(got 11\)"),
        ({"timesteps": 0}, r"timesteps >= 1 \(got 0\)"),
        ({"scale": 0.0}, r"scale > 0 \(got 0.0\)"),
        ({"limit": float("nan")}, "limit > 0"),
        ({"sampler": "dim"}, "did you mean 'ddim'"),
        ({"aggregate": "jmpa"}, "did you mean 'jpma'"),
        ({"aggregate": "jpma"}, r"expected focal > 0.*\(got focal=None, aggregate='jpma'\)"),
        ({"focal": -1.0}, r"expected focal > 0.*\(got focal=-1.0"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create("d3dp", FIVE, 6, **options)


def test_input_that_does_not_fit_is_named() -> None:
    model = d3dp()
    x, poses, t = torch.zeros(2, 6, 5, 2), torch.zeros(2, 3, 6, 5, 3), torch.zeros(2, dtype=torch.long)
    for bad in (poses[:1], poses[:, 0, :5], poses[..., :2], poses[None]):
        with pytest.raises(
            DataError, match=r"expected noisy poses \[B, \(H,\) T, J, 3\] and steps \[B\] for keypoints \[2, 6, 5, 2\]"
        ):
            model.denoise(x, bad, t)
    with pytest.raises(DataError, match=r"\(got \[2, 3, 6, 5, 3\] and \[1\]\)"):
        model.denoise(x, poses, t[:1])
    with pytest.raises(DataError, match="integer diffusion steps"):
        model.denoise(x, poses, t.float())
    with pytest.raises(DataError, match=r"expected noise \[B, H, T, J, 3\].*\(got \[2, 6, 5, 3\]\)"):
        model.sample(x, poses[:, 0])
    with pytest.raises(DataError, match=r"expected step noises \[2 or more, 2, 3, 6, 5, 3\] for 3 steps"):
        model.sample(x, poses, 3, step_noises=poses[None])
    with pytest.raises(ConfigError, match=r"steps in 1..1000.*\(got 0\)"):
        model.sample(x, poses, 0)
    with pytest.raises(ConfigError, match="did you mean 'ddim'"):
        model.sample(x, poses, sampler="dddim")
    with pytest.raises(DataError, match=r"expected keypoints \[B, 6, 5, 2\] \(got \[6, 5, 2\]\)"):
        model.propose(x[0])
    with pytest.raises(ConfigError, match="hypotheses >= 1"):
        model.propose(x, hypotheses=0)
