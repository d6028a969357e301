"""Any prior at any place in any host, indexed or index-free."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from zoo import FIVE, keypoints, small

from graphpose.errors import ConfigError
from graphpose.models import create, hosts
from graphpose.nn import GraphPrior, KinematicPrior, PriorLayer, kinematic_topology, parse_prior, register_prior
from graphpose.skeleton import Skeleton

PRIORS = [None, "kpa", "tpa", "kpa+tpa", "mirror+hop2+step3", "kpa+mirror+tpa+step2"]
every_host = pytest.mark.parametrize("host", hosts())


class _Doubled(GraphPrior):
    """A prior of a user's own: twice the published convolution."""

    def forward_grid(self, x: torch.Tensor, nodes: torch.Tensor | None = None) -> torch.Tensor:
        return 2.0 * super().forward_grid(x, nodes)


@register_prior("doubled", axis="joints")
def _doubled(in_channels: int, out_channels: int, skeleton: Skeleton) -> nn.Module:
    return PriorLayer(_Doubled(in_channels, out_channels, kinematic_topology(skeleton)))


@every_host
@pytest.mark.parametrize("place", ["front", "blocks", "bias"])
@pytest.mark.parametrize("index_free", [False, True])
def test_every_combination(host: str, place: str, index_free: bool) -> None:
    outputs = []
    for prior in PRIORS:
        torch.manual_seed(0)
        model = small(host, prior=prior, prior_place=place, index_free=index_free).double()
        assert (model.bound_to_skeleton, model.bound_to_frames) == (not index_free, not index_free)
        x = torch.linspace(-1, 1, 60, dtype=torch.float64).view(1, 6, 5, 2).sin()
        outputs.append(model.lift(x))
        assert outputs[-1].shape == (1, 6, 5, 3) and outputs[-1].isfinite().all()
        model.train().lift(keypoints(model, 4)).square().sum().backward()
        without = [k for k, v in model.named_parameters() if v.grad is None or not v.grad.abs().sum() > 0]
        assert not without, (prior, without)
        twin = small(host, prior=prior, prior_place=place, index_free=index_free).double()
        twin.load_state_dict(model.state_dict())
        torch.testing.assert_close(twin.eval().lift(x), model.eval().lift(x), rtol=0, atol=0)
    for i, one in enumerate(outputs):
        assert all(not torch.equal(one, other) for other in outputs[:i]), "a prior without effect"


@every_host
def test_a_bias_starts_as_no_prior(host: str) -> None:
    torch.manual_seed(1)
    plain = create(host, FIVE, frames=6, channels=16, depth=2, heads=4, prior=None).eval()
    biased = create(host, FIVE, frames=6, channels=16, depth=2, heads=4, prior="kpa+tpa", prior_place="bias").eval()
    missing, unexpected = biased.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and all(key.endswith("strength") for key in missing)
    x = keypoints(plain)
    torch.testing.assert_close(biased.lift(x), plain.lift(x))


@every_host
def test_kept_frames_are_told_to_the_priors(host: str) -> None:
    """All frames named one by one give what naming none gives, whatever the prior and its place."""
    for place in ("front", "blocks", "bias"):
        model = small(host, prior="kpa+tpa+step2", prior_place=place).double()
        tokens = model.embed(keypoints(model, 3))  # type: ignore[operator]
        every = torch.arange(6).expand(3, 6)
        torch.testing.assert_close(model.layer(0, tokens, every), model.layer(0, tokens))  # type: ignore[operator]


@every_host
def test_a_prior_of_ones_own(host: str) -> None:
    model = small(host, prior="doubled+tpa", index_free=False).double()
    assert any(isinstance(part, _Doubled) for part in model.modules())
    assert model.lift(keypoints(model)).isfinite().all()
    small(host, prior="doubled", prior_place="blocks", index_free=False)
    with pytest.raises(ConfigError, match="'doubled' is a layer"):
        small(host, prior="doubled", prior_place="bias", index_free=False)


def test_names_of_priors() -> None:
    assert parse_prior("kpa+step3+mirror").joints == ("kinematic", "mirror")
    assert parse_prior("kpa+step3+mirror").frames == ("step3",)
    assert parse_prior(None) == parse_prior(None) and not parse_prior(None).joints
    for bad, said in (("kpa+kinematic", "once"), ("kpa+", "unknown prior ''"), ("kap", "did you mean 'kpa'")):
        with pytest.raises(ConfigError, match=said):
            parse_prior(bad)
    with pytest.raises(ConfigError, match="exists already"):
        register_prior("mirror", "joints")
    with pytest.raises(ConfigError, match="small letters"):
        register_prior("a+b", "joints")


def test_a_layer_of_ones_own_goes_index_free_only_where_it_promises_to() -> None:
    with pytest.raises(ConfigError, match=r"prior 'doubled' may have parameters of single joints.*index_free=False"):
        small("mixste", prior="doubled", index_free=True)

    @register_prior("untied", axis="joints", index_free=True)
    def _untied(in_channels: int, out_channels: int, skeleton: Skeleton) -> nn.Module:
        return KinematicPrior(in_channels, out_channels, skeleton, index_free=True)

    model = small("mixste", prior="untied", index_free=True)
    hand = model.on("hand21")
    assert hand.lift(torch.rand(1, 6, 21, 2)).isfinite().all()


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        ("mirror", "prior 'mirror' relates no two joints of skeleton 'plain': each is left to itself"),
        ("kpa+step7", "prior 'step7' relates no two of 6 frames: each is left to itself"),
    ],
)
def test_a_prior_that_relates_nothing_is_said(prior: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    small("mixste", Skeleton.from_parents([-1, 0, 1], name="plain"), prior=prior)
    assert [record.message for record in caplog.records] == [said]
    caplog.clear()
    small("mixste", Skeleton.from_parents([-1], name="point"), frames=1, prior="kpa+tpa")
    assert not caplog.records, "a single node has nobody to be related to"
