"""The check of unit and rate by the body: limbs of any number of bones, standing or in an impossible fall."""

from __future__ import annotations

import warnings

import pytest
import torch

from graphpose.formats.plausibility import ImplausibleMotionWarning, warn_if_implausible
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton


def figure(bones: int) -> Skeleton:
    """A trunk with arms and legs of `bones` bones each."""
    joints, parents, pairs = ["hip", "neck"], [-1, 0], []
    for kind, start in (("leg", 0), ("arm", 1)):
        for side in "lr":
            above = start
            for number in range(bones):
                joints.append(f"{side}_{kind}{number}")
                parents.append(above)
                above = len(joints) - 1
        pairs += [(f"l_{kind}{number}", f"r_{kind}{number}") for number in range(bones)]
    return Skeleton.from_parents(parents, joints, pairs, name=f"figure{bones}")


def clip(bones: int, height: torch.Tensor) -> MotionClip:
    """A person of 1.8 m who moves up and down by `height [T]`."""
    skeleton = figure(bones)
    rest = torch.zeros(len(skeleton), 3)
    for j in skeleton.order:
        parent, name = skeleton.parents[j], skeleton.joints[j]
        if parent >= 0:
            side = {"l": 0.05, "r": -0.05}.get(name[0], 0.0)
            rest[j] = rest[parent] + torch.tensor([side, 0.5 if name == "neck" else -0.8 / bones, 0.0])
    positions = rest + 1.0 + height[:, None, None] * torch.tensor([0.0, 1.0, 0.0])
    return MotionClip(skeleton, 60.0, positions=positions)


@pytest.mark.parametrize("bones", [1, 2, 4])
def test_limbs_of_one_bone_and_of_many_are_judged(bones: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_implausible(clip(bones, torch.zeros(60)), 0.01)
    time = torch.arange(60) / 60.0
    with pytest.warns(ImplausibleMotionWarning, match="pulled down with 40 m/s2"):
        warn_if_implausible(clip(bones, -20 * time**2), 0.01)  # half of 40 m/s2


def test_the_warnings_name_the_options_of_the_command_line() -> None:
    time = torch.arange(60) / 60.0
    with pytest.warns(
        ImplausibleMotionWarning, match=r"fps=30 \(predict, data info, data check: --fps; train, evaluate: --data.rec"
    ):
        warn_if_implausible(clip(2, -20 * time**2), 0.01)
    giant = clip(2, torch.zeros(60))
    with pytest.warns(ImplausibleMotionWarning, match=r"--scale; train, evaluate: --data\.scale"):
        warn_if_implausible(giant.replace(positions=100 * giant.positions), 1.0)
