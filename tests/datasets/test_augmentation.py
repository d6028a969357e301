"""Mirror images, noise, missing keypoints and confidence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphpose.datasets import Augmentation, flip_points
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

MIRROR = torch.tensor([0, 2, 1, 4, 3])


def windows(size: int, features: int = 3, frames: int = 6) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(size, frames, 5, features, generator=generator)
    if features == 3:
        x[..., 2] = 1.0
    return {
        "x": x,
        "y": torch.randn(size, frames, 5, 3, generator=generator),
        "root": torch.randn(size, frames, 3, generator=generator),
        "visible": torch.ones(size, frames, 5, dtype=torch.bool),
    }


def test_flip_mirrors_the_skeleton(biped: Skeleton) -> None:
    mirror = torch.from_numpy(biped.mirror.copy())
    points = torch.randn(3, 5, 3)
    flipped = flip_points(points, mirror)
    for left, right in biped.pairs:
        ours, theirs = flipped[:, biped.index(left)], points[:, biped.index(right)]
        torch.testing.assert_close(ours, theirs * torch.tensor([-1.0, 1.0, 1.0]))
    lengths, before = ((p[:, 1:] - p[:, list(biped.parents[1:])]).norm(dim=-1) for p in (flipped, points))
    torch.testing.assert_close(lengths, before[:, MIRROR[1:] - 1])


@given(st.integers(1, 4))
def test_flip_twice_changes_nothing(size: int) -> None:
    points = windows(size)["x"]
    assert not torch.equal(flip_points(points, MIRROR), points)
    assert torch.equal(flip_points(flip_points(points, MIRROR), MIRROR), points)


def test_flips_are_drawn_with_their_probability() -> None:
    index = np.arange(4000)
    assert Augmentation(flip=1.0).draw_flips(index, 0, 0).tolist() == [1] * 4000
    assert Augmentation(flip=0.0).draw_flips(index, 0, 0).tolist() == [0] * 4000
    assert abs(Augmentation(flip=0.5).draw_flips(index, 0, 0).mean() - 0.5) < 0.03


def test_noise_and_confidence() -> None:
    before, after = windows(300), windows(300)
    Augmentation(noise=0.02).degrade(after, np.arange(300), 0, 0)
    error = after["x"][..., :2] - before["x"][..., :2]
    assert abs(float(error.std()) - 0.02) < 0.0005
    expected = torch.exp(-0.5 * (error / 0.02).square().sum(-1))
    torch.testing.assert_close(after["x"][..., 2], expected, atol=1e-3, rtol=1e-2)
    assert torch.equal(after["y"], before["y"])


def test_missing_keypoints_are_zero_and_not_visible() -> None:
    after = windows(300)
    Augmentation(missing=0.25, noise=0.01).degrade(after, np.arange(300), 0, 0)
    gone = ~after["visible"]
    assert abs(float(gone.float().mean()) - 0.25) < 0.02
    assert bool((after["x"][gone] == 0).all())
    assert bool((after["x"][~gone][:, :2] != 0).all())


def test_draws_do_not_depend_on_each_other() -> None:
    one, two = windows(50), windows(50)
    Augmentation(noise=0.01).degrade(one, np.arange(50), 0, 0)
    Augmentation(noise=0.01, missing=0.3).degrade(two, np.arange(50), 0, 0)
    seen = two["visible"]
    torch.testing.assert_close(one["x"][seen], two["x"][seen])


@pytest.mark.parametrize("options", [{"flip": 1.5}, {"noise": -1.0}, {"missing": float("nan")}])
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(DataError, match=next(iter(options))):
        Augmentation(**options)
