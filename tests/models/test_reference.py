"""Number for number against the published implementations: every intermediate, the output, a training step and its gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from shared import shared_path

from graphpose.losses import create_loss
from graphpose.models import from_published
from graphpose.models.ktpformer import KTPFormer
from graphpose.models.lifter import Lifter
from graphpose.models.published import read_state_dict
from graphpose.models.published.families import FAMILIES
from graphpose.skeleton import Skeleton

KTPFORMERS = ["ktpformer_h36m17_t9", "ktpformer_h36m17_t27"]


def reference(name: str) -> dict[str, np.ndarray]:
    with np.load(shared_path(f"reference/{name}.npz")) as archive:
        return {key: archive[key] for key in archive.files}


def load(family: str, numbers: dict[str, np.ndarray]) -> Any:
    weights = {key.removeprefix("weight/"): value for key, value in numbers.items() if key.startswith("weight/")}
    return from_published(family, weights, skeleton=Skeleton.from_parents(numbers["parents"].tolist()))


def check(ours: torch.Tensor, theirs: np.ndarray, tolerance: float = 1e-5) -> None:
    """max |ours - theirs| <= tolerance * max(1, max |theirs|)"""
    expected = torch.from_numpy(theirs)
    error = float((ours.detach().reshape(expected.shape) - expected).abs().max())
    assert error <= tolerance * max(1.0, float(expected.abs().max())), error


@pytest.mark.parametrize("name", KTPFORMERS)
def test_ktpformer_every_intermediate(name: str) -> None:
    numbers = reference(name)
    model: KTPFormer = load("ktpformer", numbers)
    x = torch.from_numpy(numbers["input_2d"])
    [kpa], [tpa] = model.joint_embedding.priors, model.frame_embedding.priors
    check(kpa.convolution.local_topology, numbers["adjacency_spatial"], 1e-7)
    check(tpa.layers[0].convolution.local_topology, numbers["adjacency_temporal"], 1e-7)
    with torch.no_grad():
        check(kpa.forward_grid(x), numbers["kpa_output"])
        after_kpa = model.spatial_norm(model.spatial_blocks[0](model.joint_embedding(x), axis=2))  # [B, T, J, C]
        check(after_kpa.transpose(1, 2), numbers["after_kpa_block"])
        check(tpa.forward_grid(after_kpa.transpose(1, 2)), numbers["tpa_output"])
        after_tpa = model.temporal_norm(model.temporal_blocks[0](model.frame_embedding(after_kpa), axis=1))
        check(after_tpa.transpose(1, 2), numbers["after_tpa_block"])
        check(model.lift(x), numbers["output_3d"])


@pytest.mark.parametrize("name", KTPFORMERS)
def test_ktpformer_training_step(name: str) -> None:
    """Batch statistics, the loss pinned there (MPJPE), and the gradient of every parameter."""
    numbers = reference(name)
    if "train_output_3d" not in numbers:
        pytest.skip(f"{name} pins no training step")
    model: KTPFormer = load("ktpformer", numbers)
    model.train()
    pred = model.lift(torch.from_numpy(numbers["input_2d"]))
    check(pred, numbers["train_output_3d"])
    loss = create_loss("mpjpe", model.skeleton)(pred, torch.from_numpy(numbers["train_target"]))
    assert loss.item() == pytest.approx(float(numbers["train_loss"]), rel=1e-5)
    loss.backward()
    rename = FAMILIES["ktpformer"].rename
    parameters = dict(model.named_parameters())
    checked = set()
    for key, value in numbers.items():
        if not key.startswith("grad/"):
            continue
        name = key.removeprefix("grad/")
        if name.endswith("gconv.W"):
            pairs = [
                (name.removesuffix("W") + kind, value[i]) for i, kind in enumerate(("weight_self", "weight_neighbour"))
            ]
        else:
            pairs = [(name, value)]
        for published, gradient in pairs:
            parameter = parameters[rename(published)]
            assert parameter.grad is not None, published
            check(parameter.grad, gradient, 2e-4)
            checked.add(rename(published))
    assert len(checked) > 30


def test_mixste() -> None:
    numbers = reference("mixste_t27")
    model: Lifter = load("mixste", numbers)
    with torch.no_grad():
        check(model.lift(torch.from_numpy(numbers["input_2d"])), numbers["output_3d"])


@pytest.mark.parametrize("wrapping", ["model_pos", "module", "both"])
def test_wrapped_and_prefixed_checkpoint_files(wrapping: str, tmp_path: Any) -> None:
    numbers = reference("mixste_t27")
    state = {key: torch.from_numpy(value) for key, value in read_numpy(numbers).items()}
    if wrapping in ("module", "both"):
        state = {f"module.{key}": value for key, value in state.items()}
    content: Any = {"epoch": 3, "model_pos": state} if wrapping in ("model_pos", "both") else state
    torch.save(content, tmp_path / "best.bin")
    model = from_published("mixste", tmp_path / "best.bin", skeleton="h36m17")
    with torch.no_grad():
        check(model.lift(torch.from_numpy(numbers["input_2d"])), numbers["output_3d"])


def test_npz_of_weights_is_read_by_path() -> None:
    path = shared_path("reference/mixste_t27.npz")
    assert set(read_state_dict(path)) == set(read_numpy(reference("mixste_t27")))
    assert from_published("mixste", path).skeleton.name == "h36m17"


def read_numpy(numbers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.removeprefix("weight/"): value for key, value in numbers.items() if key.startswith("weight/")}
