"""ConvFormer: MixSTE with convolutions for its linear projections, on any skeleton, and the temporal joints profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from zoo import FIVE, keypoints, small

import graphpose
from graphpose.errors import ConfigError
from graphpose.losses import create_loss
from graphpose.models import Lifter, create
from graphpose.models.cost import model_cost
from graphpose.nn.dynamic_convolution import DynamicConvolution
from graphpose.recipe_files import find_recipe, load_settings
from graphpose.skeleton import Skeleton

ORDER = [0, 3, 4, 1, 2]
RENAMED = Skeleton.from_parents([-1, 0, 1, 0, 3], [FIVE.joints[i] for i in ORDER], FIVE.pairs)
PUBLISHED = {"channels": 512, "depth": 8, "heads": 8}


def parameters(model: Lifter) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def renumbered_state(model: Lifter) -> dict[str, torch.Tensor]:
    """The position embedding is all that belongs to single joints."""
    state = model.state_dict()
    state["joint_embedding.position"] = state["joint_embedding.position"][ORDER]
    return state


@pytest.mark.parametrize("options", [{}, {"prior": "hop2+tpa", "prior_place": "bias"}, {"spatial_kernels": (1, 9)}])
def test_renumbered_joints_give_the_renumbered_pose(options: dict[str, Any]) -> None:
    model, twin = small("convformer", **options).double(), small("convformer", RENAMED, **options).double()
    twin.load_state_dict(renumbered_state(model))
    x = keypoints(model)
    torch.testing.assert_close(twin.lift(x[:, :, ORDER]), model.lift(x)[:, :, ORDER])


def test_along_the_numbering_joint_numbers_matter() -> None:
    chain = Skeleton.from_parents([-1, 0, 1, 2, 3])
    shuffled = Skeleton.from_parents([1, -1, 1, 0, 2], ["joint_1", "joint_0", "joint_2", "joint_3", "joint_4"])
    for order, same in (("graph", False), ("numbering", True)):
        model = small("convformer", chain, joint_order=order).double()
        twin = small("convformer", shuffled, joint_order=order).double()
        twin.load_state_dict(model.state_dict())
        x = keypoints(model)
        assert torch.allclose(twin.lift(x), model.lift(x)) is same  # along the numbering the bones mean nothing


def test_sides_are_alike_until_their_positions_differ() -> None:
    model = small("convformer").double()
    mirror = torch.from_numpy(FIVE.mirror.copy())
    with torch.no_grad():
        model.joint_embedding.position[mirror] = model.joint_embedding.position.clone()
        model.joint_embedding.position[3:] = model.joint_embedding.position[1:3]
    x = keypoints(model)
    torch.testing.assert_close(model.lift(x[:, :, mirror]), model.lift(x)[:, :, mirror])


@pytest.mark.parametrize("frames", [1, 50])
@pytest.mark.parametrize("options", [{}, {"joint_order": "numbering"}, {"joints_profile": False}, {"group_width": 16}])
def test_lifts_any_length(frames: int, options: dict[str, Any]) -> None:
    model = small("convformer", frames=frames, **options).double().train()
    y = model.lift(keypoints(model, 3))
    assert y.shape == (3, frames, 5, 3)
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    x = keypoints(model, 3)
    torch.testing.assert_close(model.lift(x)[1:2], model.lift(x[1:2]))


def test_input_gradients_match_finite_differences() -> None:
    sizes = {"channels": 4, "heads": 2, "depth": 1, "group_width": 2, "spatial_kernels": (1, 3)}
    model = small("convformer", frames=3, **sizes).double()
    x = keypoints(model, 1).requires_grad_()
    assert torch.autograd.gradcheck(model.lift, (x,))


@pytest.mark.parametrize("order", ["graph", "numbering"])
def test_with_kernels_of_one_it_is_mixste(order: str) -> None:
    sizes = {"frames": 6, "channels": 16, "depth": 2, "heads": 4, "prior": "kpa"}
    ones = {"spatial_kernels": (1,), "temporal_kernels": (1,), "group_width": 16, "joints_profile": False}
    mixste = create("mixste", FIVE, **sizes).eval()
    model = create("convformer", FIVE, joint_order=order, **sizes, **ones).eval()
    state = {key.replace(".qkv.", ".projection."): value for key, value in mixste.state_dict().items()}
    wanted = model.state_dict()
    model.load_state_dict({key: value.reshape(wanted[key].shape) for key, value in state.items()})
    x = torch.randn(2, 6, 5, 2)
    torch.testing.assert_close(model.lift(x), mixste.lift(x))


def test_index_free_lifts_other_skeletons_and_lengths() -> None:
    model = small("convformer", index_free=True, prior="kpa+tpa").double()
    assert model.joints_profile is None and not (model.bound_to_skeleton or model.bound_to_frames)
    body = Skeleton.load("h36m17")
    x = torch.randn(1, 11, 17, 2, dtype=torch.float64)
    lifted = model.on(body).lift(x)
    assert lifted.shape == (1, 11, 17, 3)
    other = small("convformer", body, frames=11, index_free=True, prior="kpa+tpa").double()
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.lift(x), lifted)
    twin = model.on(RENAMED)
    x = keypoints(model)
    torch.testing.assert_close(twin.lift(x[:, :, ORDER]), model.lift(x)[:, :, ORDER])


def test_index_free_leaves_no_room_for_what_is_bound() -> None:
    with pytest.raises(ConfigError, match=r"expected joints_profile=False .* with index_free=True"):
        create("convformer", FIVE, index_free=True, joints_profile=True)
    with pytest.raises(ConfigError, match="expected joint_order='graph' with index_free=True"):
        create("convformer", FIVE, index_free=True, joint_order="numbering")


def test_the_profile_joins_all_frames_before_attention_does() -> None:
    model = small("convformer").double()
    tokens = torch.randn(1, 6, 5, 16, dtype=torch.float64, requires_grad=True)
    model.embed_frames(tokens)[0, 2].sum().backward()
    assert (tokens.grad[0].abs().sum((1, 2)) > 0).all()
    plain = small("convformer", joints_profile=False).double()
    tokens.grad = None
    plain.embed_frames(tokens)[0, 2].sum().backward()
    assert (tokens.grad[0].abs().sum((1, 2)) > 0).tolist() == [False, False, True, False, False, False]


def test_kept_frames_are_a_sequence_and_the_profile_knows_which_they_are() -> None:
    model = small("convformer").double()
    tokens = model.embed(keypoints(model, 2))
    kept = torch.tensor([[0, 2, 5], [1, 2, 4]])
    rows = torch.arange(2)[:, None]
    y = model.layer(0, tokens[rows, kept], kept)
    assert y.shape == (2, 3, 5, 16)
    elsewhere = model.layer(0, tokens[rows, kept], kept.flip(0))
    assert not torch.allclose(y, elsewhere)
    later = model.layer(1, tokens[rows, kept], kept)  # beyond the first layer only the order counts
    torch.testing.assert_close(model.layer(1, tokens[rows, kept], kept.flip(0)), later)


def test_options_survive_a_checkpoint(tmp_path: Path) -> None:
    options = {"spatial_kernels": (3,), "temporal_kernels": (1, 7), "group_width": 2, "profile_kernel": 5}
    model = small("convformer", joint_order="numbering", **options)
    again = graphpose.load(graphpose.models.save(model, tmp_path / "model.safetensors"))
    assert again.config == model.config and again.config.temporal_kernels == (1, 7)
    x = keypoints(model)
    torch.testing.assert_close(again.lift(x), model.lift(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"spatial_kernels": [1, 4]}, r"spatial_kernels as different odd sizes from 1 to 1023.*\(got \[1, 4\]\)"),
        ({"temporal_kernels": []}, r"temporal_kernels as different odd sizes"),
        ({"temporal_kernels": [0]}, r"temporal_kernels as different odd sizes"),
        ({"profile_kernel": 2}, r"profile_kernel"),
        ({"group_width": 7}, r"group_width to divide channels=512 \(got group_width=7\)"),
        ({"group_width": 0}, r"group_width"),
        ({"spatial_kernels": [11]}, r"expected spatial_kernels <= 9 \(got 11\)"),
        ({"joint_order": "names"}, r"joint_order: unknown choice 'names'"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create("convformer", FIVE, frames=9, depth=1, **options)


@pytest.mark.parametrize("frames", [27, 243])
def test_fewer_parameters_and_flops_than_mixste_at_equal_width_and_depth(frames: int) -> None:
    ours, theirs = (model_cost(create(name, "h36m17", frames, **PUBLISHED)) for name in ("convformer", "mixste"))
    assert ours.parameters < 0.7 * theirs.parameters
    assert ours.flops < 0.7 * theirs.flops


def test_groups_are_what_saves_parameters() -> None:
    one = {**PUBLISHED, "depth": 1}
    counts = [parameters(create("convformer", FIVE, 27, group_width=width, **one)) for width in (8, 64, 512)]
    assert counts == sorted(counts) and counts[-1] > parameters(create("mixste", FIVE, 27, **one))


def test_the_recipe_is_no_larger_than_ktpformers() -> None:
    ours, theirs = (
        model_cost(create(recipe["name"], "h36m17", 27, **recipe["options"]))
        for recipe in (
            load_settings(find_recipe(name))["model"] for name in ("cmu_lift_convformer", "cmu_lift_ktpformer")
        )
    )
    assert ours.parameters <= theirs.parameters == 361_622 and ours.flops <= theirs.flops


def test_learns_a_pose_and_which_kernels_count() -> None:
    torch.manual_seed(0)
    model = small("convformer", drop_path=0.0).train()
    x = torch.randn(8, 6, 5, 2)
    y = torch.cat([x, x.roll(1, 2).sum(-1, keepdim=True)], -1)  # depth told by another joint
    loss = create_loss("mpjpe", FIVE)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        value = loss(model.lift(x), y)
        value.backward()
        optimiser.step()
        losses.append(value.item())
    assert losses[-1] < 0.5 * losses[0]
    convolutions = [part for part in model.modules() if isinstance(part, DynamicConvolution)]
    assert len(convolutions) == 4
    assert all((part.kernel_weights() - 1 / 3).abs().max() > 1e-3 for part in convolutions)
