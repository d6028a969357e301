"""MixSTE(prior=None) is MixSTE; with prior="kpa+tpa" it is KTPFormer."""

from __future__ import annotations

import pytest
import torch

from graphpose.models import create
from graphpose.nn import KinematicPrior, TrajectoryPrior
from graphpose.skeleton import Skeleton

SIZES = {"channels": 16, "heads": 4, "drop_path": 0.2}


def test_mixste_with_both_priors_is_ktpformer() -> None:
    skeleton = Skeleton.load("h36m17")
    mixste = create("mixste", skeleton, frames=9, depth=4, prior="kpa+tpa", **SIZES).eval()
    ktpformer = create("ktpformer", skeleton, frames=9, depth=3, **SIZES).eval()
    ktpformer.load_state_dict(mixste.state_dict())
    x = torch.randn(2, 9, 17, 2)
    torch.testing.assert_close(ktpformer.lift(x), mixste.lift(x), rtol=0, atol=0)
    rates = [block.drop_path.rate for block in ktpformer.spatial_blocks]
    assert rates == pytest.approx([0, 0.2 / 3, 0.4 / 3, 0.2])
    assert [block.drop_path.rate for block in mixste.temporal_blocks] == rates


def test_each_prior_stands_alone() -> None:
    plain, kpa, tpa = (create("mixste", "h36m17", frames=9, depth=2, prior=p, **SIZES) for p in (None, "kpa", "tpa"))
    assert not any(isinstance(part, (KinematicPrior, TrajectoryPrior)) for part in plain.modules())
    assert isinstance(kpa.joint_embedding.priors[0], KinematicPrior) and not kpa.frame_embedding.priors
    assert isinstance(tpa.frame_embedding.priors[0], TrajectoryPrior) and not tpa.joint_embedding.priors


def test_published_size() -> None:
    model = create("ktpformer", "h36m17", frames=243)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(35.21e6, rel=1e-3)
