"""GLA-GCN: the published numbers, whole clips against windows, the causal form, and what its options refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from shared import shared_path
from torch import Tensor
from zoo import FIVE

from graphpose.errors import CheckpointError, ConfigError, DataError
from graphpose.losses import create_loss
from graphpose.models import create, from_published, gla_gcn
from graphpose.models.gla_gcn import GLAGCN
from graphpose.models.lifter import Lifter
from graphpose.nn.adaptive_graph_convolution import partition_topology
from graphpose.skeleton import Skeleton

FIFTEEN = Skeleton.from_parents([-1, 0, 1, 2, 1, 4, 5, 0, 7, 8, 0, 10, 11, 1, 13])


def moved(model: Lifter) -> Any:
    """In float64 and evaluation mode, with every parameter and statistic away from its first value."""
    generator = torch.Generator().manual_seed(3)
    for key, value in model.double().state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value.add_(0.1 * torch.randn(value.shape, dtype=value.dtype, generator=generator))
            if key.endswith("graph.norm.weight"):
                value.add_(0.5)
    return model.eval()


def small(**options: Any) -> Any:
    return moved(create("gla_gcn", FIVE, **{"channels": 8, "frames": 15, **options}))


def weights(archive: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.removeprefix("weight/"): value for key, value in archive.items() if key.startswith("weight/")}


# ---------------------------------------------------------------- the published numbers


def test_reference_numbers() -> None:
    path = shared_path("reference/gla_gcn_t27.npz")
    with np.load(path) as archive:
        numbers = {key: archive[key] for key in archive.files}
    skeleton = Skeleton.from_parents(numbers["parents"].tolist())
    x, expected = torch.from_numpy(numbers["input_2d"]), numbers["output_3d"]
    bound = 1e-5 * max(1.0, float(np.abs(expected).max()))
    for source in (weights(numbers), path):
        model = from_published("gla_gcn", source, skeleton=skeleton)
        assert model.frames == 27 and model.config.widths == (3, 3, 3) and model.lifts == "centre"
        with torch.no_grad():
            assert np.abs(model.lift(x).numpy() - expected).max() <= bound
            assert np.abs(model.lift_sequence(x)[:, 13:14].numpy() - expected).max() <= bound
    own_graphs = from_published("gla_gcn", path, skeleton=skeleton, data_graph="frame")
    assert np.abs(own_graphs.lift(x).detach().numpy() - expected).max() > 1e-3


def published_weights(channels: int, joints: int, levels: int, kernel_size: int = 9) -> dict[str, Tensor]:
    """Random weights under the published names."""
    state: dict[str, Tensor] = {}

    def convolution(name: str, outputs: int, inputs: int, *kernel: int) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs, *kernel) / math.sqrt(inputs * kernel[0])
        state[f"{name}.bias"] = 0.1 * torch.randn(outputs)

    def norm(name: str, size: int) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = 1 + 0.1 * torch.randn(size), 0.1 * torch.randn(size)
        state[f"{name}.running_mean"], state[f"{name}.running_var"] = 0.1 * torch.randn(size), 0.5 + torch.rand(size)
        state[f"{name}.num_batches_tracked"] = torch.tensor(0)

    norm("data_bn", 2 * joints)
    for unit in ["expand_gcn", *(f"layers_tcngcn.{i}" for i in range(2 * levels))]:
        inputs = 2 if unit == "expand_gcn" else channels
        state[f"{unit}.gcn1.PA"] = 0.1 * torch.randn(3, joints, joints)
        for k in range(3):
            convolution(f"{unit}.gcn1.conv_a.{k}", channels // 4, inputs, 1, 1)
            convolution(f"{unit}.gcn1.conv_b.{k}", channels // 4, inputs, 1, 1)
            convolution(f"{unit}.gcn1.conv_d.{k}", channels, inputs, 1, 1)
        if inputs != channels:
            convolution(f"{unit}.gcn1.down.0", channels, inputs, 1, 1)
            norm(f"{unit}.gcn1.down.1", channels)
            convolution(f"{unit}.residual.conv", channels, inputs, 1, 1)
            norm(f"{unit}.residual.bn", channels)
        norm(f"{unit}.gcn1.bn", channels)
        convolution(f"{unit}.tcn1.conv", channels, channels, kernel_size, 1)
        norm(f"{unit}.tcn1.bn", channels)
    convolution("fc", 3, channels, 1)
    return state


def published_form(state: dict[str, Tensor], x: Tensor, skeleton: Skeleton, widths: tuple[int, ...]) -> Tensor:
    """What the published model computes, in its layout [B, C, T, J], from its own weights."""

    def convolved(name: str, x: Tensor, **options: Any) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    def normed(name: str, x: Tensor) -> Tensor:
        parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts)

    def unit(name: str, x: Tensor, stride: int | None = None) -> Tensor:
        graph = f"{name}.gcn1"
        total: Any = 0
        for k, fixed in enumerate(partition_topology(skeleton)):
            a, b = convolved(f"{graph}.conv_a.{k}", x), convolved(f"{graph}.conv_b.{k}", x)
            scores = torch.einsum("nctv,nctw->nvw", a, b) / (a.shape[1] * a.shape[2])
            topology = torch.softmax(scores, -2) + fixed + state[f"{graph}.PA"][k]
            total = total + convolved(f"{graph}.conv_d.{k}", torch.einsum("nctv,nvw->nctw", x, topology))
        skip = x
        if f"{graph}.down.0.weight" in state:
            skip = normed(f"{graph}.down.1", convolved(f"{graph}.down.0", x))
        y = F.relu(normed(f"{graph}.bn", total) + skip)
        kernel_size = state[f"{name}.tcn1.conv.weight"].shape[2]
        y = convolved(f"{name}.tcn1.conv", y, stride=(stride or 1, 1), padding=(kernel_size // 2, 0))
        y = normed(f"{name}.tcn1.bn", y)
        if f"{name}.residual.conv.weight" in state:
            y = y + normed(f"{name}.residual.bn", convolved(f"{name}.residual.conv", x))
        elif stride is None:
            y = y + x
        return F.relu(y)

    b, t, j, c = x.shape
    hidden = normed("data_bn", x.reshape(b, t, j * c).transpose(1, 2)).reshape(b, j, c, t).permute(0, 2, 3, 1)
    hidden = unit("expand_gcn", hidden)
    for level, width in enumerate(widths):
        deeper = unit(f"layers_tcngcn.{2 * level + 1}", unit(f"layers_tcngcn.{2 * level}", hidden), width)
        hidden = hidden[:, :, width // 2 :: width] + deeper
    pooled = hidden.mean(2).transpose(1, 2)  # [B, J, C]
    return (pooled @ state["fc.weight"][:, :, 0].T + state["fc.bias"])[:, None]


@pytest.mark.parametrize(
    ("channels", "widths", "kernel_size"), [(10, (3, 3), 9), (4, (5, 3), 9), (3, (11,), 9), (8, (), 9), (8, (3, 5), 5)]
)
def test_other_sizes_against_the_published_form(channels: int, widths: tuple[int, ...], kernel_size: int) -> None:
    state = published_weights(channels, 15, len(widths), kernel_size)
    if channels < 4:  # the published embeddings then have 3 features
        for key in [key for key in state if ".conv_a." in key or ".conv_b." in key]:
            state[key] = torch.randn(3, *state[key].shape[1:]) / 2
    x = torch.randn(4, math.prod(widths), 15, 2)
    expected = published_form(state, x, FIFTEEN, widths)
    wide = {} if widths == (3,) * len(widths) else {"filter_widths": widths}
    prefixed = {f"module.{key}": value.clone() for key, value in state.items()}
    model = from_published("gla_gcn", {"model_pos": prefixed}, skeleton=FIFTEEN, **wide)
    found = model.lift(x)
    assert found.shape == (4, 1, 15, 3)
    assert (found - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


def test_widths_come_from_the_frames_or_the_other_way_round() -> None:
    state = published_weights(8, 5, 2)
    assert from_published("gla_gcn", state, skeleton=FIVE).frames == 9
    assert from_published("gla_gcn", state, skeleton=FIVE, frames=15).config.widths == (3, 5)
    assert from_published("gla_gcn", state, skeleton=FIVE, filter_widths=(5, 3)).frames == 15
    with pytest.raises(CheckpointError, match=r"the weights have 2 levels.*\(got \[27\]\)"):
        from_published("gla_gcn", state, skeleton=FIVE, filter_widths=(27,))
    with pytest.raises(CheckpointError, match=r"the weights have 2 levels.*\(got \[3, 3, 3\]\)"):
        from_published("gla_gcn", state, skeleton=FIVE, frames=27)
    with pytest.raises(CheckpointError, match="for 5 joints"):
        from_published("gla_gcn", state, skeleton="h36m17")
    del state["expand_gcn.gcn1.conv_b.1.weight"]
    with pytest.raises(CheckpointError, match=r"no key 'expand_gcn.gcn1.conv_b.1.weight'"):
        from_published("gla_gcn", state, skeleton=FIVE)
    with pytest.raises(CheckpointError, match="two units a level, got 3"):
        from_published(
            "gla_gcn", {k: v for k, v in published_weights(8, 5, 2).items() if ".3." not in k}, skeleton=FIVE
        )


# ---------------------------------------------------------------- whole clips


@pytest.mark.parametrize("data_graph", ["window", "frame"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("widths", [(), (3,), (3, 5), (5, 3), (11,), (3, 3, 3), (3, 3, 9)])
def test_whole_clips_give_the_numbers_of_their_windows(
    data_graph: str, causal: bool, widths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = math.prod(widths)
    model = small(frames=frames, filter_widths=widths, causal=causal, data_graph=data_graph)
    for length in (1, 4, 2 * frames + 7):  # shorter than the receptive field, too
        x = torch.randn(2, length, 5, 2, dtype=torch.float64)
        with torch.no_grad():
            one_by_one = Lifter.lift_sequence(model, x)
            scale = max(1.0, float(one_by_one.abs().max()))
            assert (model.lift_sequence(x) - one_by_one).abs().max() <= 1e-10 * scale
            monkeypatch.setattr(gla_gcn, "FRAMES_AT_ONCE", 6 * 2 * frames)
            assert (model.lift_sequence(x) - one_by_one).abs().max() <= 1e-10 * scale
            monkeypatch.undo()
    single = model.float()
    difference = (single.lift_sequence(x.float()) - Lifter.lift_sequence(single, x.float())).abs().max()
    assert difference <= 1e-5 * scale


@pytest.mark.parametrize("data_graph", ["window", "frame"])
@pytest.mark.parametrize("causal", [False, True])
def test_causal_output_does_not_see_the_future(data_graph: str, causal: bool) -> None:
    model = small(causal=causal, data_graph=data_graph)
    x = torch.randn(1, 40, 5, 2, dtype=torch.float64)
    later = x.clone()
    later[:, 20:] += 1.0
    same = (model.lift_sequence(x) - model.lift_sequence(later)).abs().amax((0, 2, 3)) < 1e-9
    if causal:
        assert same[:20].all() and not same[20]
        assert model.lifts == "last"
    else:
        assert same[:13].all() and not same[13:].any()  # 15 frames, 7 of them to come


def test_layers_of_the_causal_form_look_back_only() -> None:
    """Not only the window: each unit's frame reads none after the last of those that it stands for."""
    model = small(frames=45, filter_widths=(3, 15), causal=True, data_graph="frame")
    x = torch.randn(1, 45, 5, 8, dtype=torch.float64)
    later = x.clone()
    later[:, 30:] += 1.0
    changed = (model.levels[0](x) - model.levels[0](later)).abs().amax((0, 2, 3)) > 1e-9
    assert not changed[:10].any() and changed[10:].all()


@pytest.mark.parametrize("frames", [2, 6, 50])
def test_even_windows_lift_their_centre(frames: int) -> None:
    model = small(frames=frames)
    assert model.receptive_field == frames - 1
    x = torch.randn(2, frames, 5, 2, dtype=torch.float64)
    found = model.lift(x)
    torch.testing.assert_close(found, model.lift_sequence(x)[:, frames // 2][:, None])
    x[:, 0] += 1.0  # not read
    torch.testing.assert_close(model.lift(x), found)
    x[:, -1] += 1.0
    assert not torch.allclose(model.lift(x), found)


def test_mirrored_parameters_give_the_mirrored_pose() -> None:
    """The partitions know no side: with the joints' own parameters exchanged, left and right are exchanged."""
    model, twin = small(), small()
    mirror = torch.tensor(FIVE.mirror.tolist())
    state = model.state_dict()
    for key, value in state.items():
        if "learned_topology" in key:
            state[key] = value[:, mirror][:, :, mirror]
        elif key.startswith("input_norm.") and value.ndim:
            state[key] = value[mirror]
    twin.load_state_dict(state)
    x = torch.randn(2, 15, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(twin.lift(x[:, :, mirror]), model.lift(x)[:, :, mirror])


# ---------------------------------------------------------------- training and export


def test_learns() -> None:
    """Batch statistics, dropout, gradients everywhere, and a loss that falls."""
    model = create("gla_gcn", FIVE, frames=9, channels=16)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    x = torch.randn(32, 9, 5, 2)
    y = torch.cat([x, x[..., :1] - x[..., 1:]], -1)
    loss_of = create_loss("mpjpe", FIVE)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = loss_of(model.lift_for_loss(x, y), y[:, 4:5])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(value.grad is not None and value.grad.any() for value in model.parameters())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert model.get_buffer("input_norm.num_batches_tracked") == 40
    assert not torch.equal(model.lift(x), model.lift(x))  # dropout
    model.eval()
    assert torch.equal(model.lift(x), model.lift(x))


@pytest.mark.parametrize("options", [{"causal": True}, {"data_graph": "frame"}])
def test_exports_in_its_other_forms(options: dict[str, Any]) -> None:
    model = small(**options)
    x = torch.randn(2, 15, 5, 2, dtype=torch.float64)

    class Lift(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            return self.model.lift(x)

    torch.testing.assert_close(torch.export.export(Lift(), (x,)).module()(x), model.lift(x))


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("frames", "widths"), [(1, ()), (27, (3, 3, 3)), (45, (3, 3, 5)), (50, (7, 7)), (243, (3,) * 5)]
)
def test_widths_are_the_factors_of_the_frames(frames: int, widths: tuple[int, ...]) -> None:
    model = create("gla_gcn", FIVE, frames=frames, channels=4)
    assert isinstance(model, GLAGCN) and model.config.widths == widths and len(model.levels) == len(widths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filter_widths": (3, 3)}, r"filter_widths whose product is frames=243 \(got \[3, 3\], product 9\).*frames=9"),
        ({"filter_widths": (2, 3), "frames": 6}, r"filter_widths as odd numbers from 3 \(got \[2, 3\]\)"),
        ({"filter_widths": (1, 3), "frames": 3}, r"filter_widths as odd numbers from 3 \(got \[1, 3\]\)"),
        ({"channels": 0}, r"channels >= 1 \(got 0\)"),
        ({"kernel_size": 4}, r"odd kernel_size \(got 4\)"),
        ({"dropout": 1.0}, r"dropout in \[0, 1\) \(got 1.0\)"),
        ({"graph_dropout": -0.1}, r"graph_dropout in \[0, 1\) \(got -0.1\)"),
        ({"data_graph": "frames"}, r"data_graph: unknown choice 'frames' \(did you mean 'frame'\?\)"),
        ({"width": 3}, r"unknown key 'width'"),
    ],
)
def test_options_that_do_not_fit_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create("gla_gcn", FIVE, **options)


def test_clips_that_do_not_fit_are_named() -> None:
    model = small()
    for shape in ((2, 20, 4, 2), (2, 20, 5, 3), (20, 5, 2)):
        with pytest.raises(DataError, match=r"GLAGCN: expected keypoints \[B, 15, 5, 2\]"):
            model.lift_sequence(torch.zeros(shape, dtype=torch.float64))
