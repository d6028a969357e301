"""A head whose slice of the output projection is zero does not matter, one that carries the pose does, and the model comes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo import FIVE, keypoints, small

from graphpose.analysis.attention.measures.head_importance import head_importance, without_heads
from graphpose.datasets import Views
from graphpose.errors import ConfigError, DataError
from graphpose.models import Lifter
from graphpose.models.lifter import LifterConfig
from graphpose.motion import MotionClip
from graphpose.nn.attention import MultiHeadAttention

OWN = Views(kind="clip")
POSE = torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [0.3, 0.4, 0], [-0.3, 0, 0], [-0.3, 0.4, 0]])


def clip(name: str = "still", frames: int = 4, **labels: str) -> MotionClip:
    """A standing clip whose keypoints are its pose."""
    truth = POSE.expand(frames, -1, -1)
    return MotionClip(
        FIVE,
        30.0,
        positions=truth + torch.tensor([0.0, 0.0, 3.0]),
        keypoints=truth[..., :2].clone(),
        space="camera",
        name=name,
        **labels,
    )


class OneGoodHead(Lifter):
    """Head 0 attends from each joint to itself and carries its place; head 1 carries numbers that nobody reads."""

    def __init__(self) -> None:
        super().__init__(FIVE, LifterConfig(frames=4))
        self.attention = MultiHeadAttention(10, 2)
        with torch.no_grad():
            for parameter in self.attention.parameters():
                parameter.zero_()
            assert self.attention.qkv is not None
            query, key, value = self.attention.qkv.weight.view(3, 10, 10).unbind(0)
            query[:5, :5] = key[:5, :5] = 30 * torch.eye(5)  # which joint it is
            value[:2, 5:7] = value[5:7, 5:7] = torch.eye(2)  # where it is
            self.attention.proj.weight[:2, :2] = torch.eye(2)

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        joint = torch.eye(5).expand(*x.shape[:2], 5, 5)
        tokens = torch.cat([joint, x, torch.zeros_like(x), torch.zeros_like(x[..., :1])], dim=-1)
        return self.attention(tokens, None, 2)[..., :3]


def test_the_head_that_carries_the_pose_matters_and_the_idle_one_does_not() -> None:
    """Without head 0 every joint is at the root: the error is the mean length of the joints, (0 + 0.3 + 0.5 + 0.3 + 0.5) / 5."""
    model = OneGoodHead().eval()
    table = head_importance(model, [clip()], views=OWN, flip=False, progress=False)
    assert list(table["head"]) == [0, 1]
    assert list(table["name"]) == ["attention"] * 2 and list(table["axis"]) == ["joints"] * 2
    np.testing.assert_allclose(table["error"], 0.0, atol=1e-3)
    np.testing.assert_allclose(table["importance"], [320.0, 0.0], atol=1e-3)
    assert table["importance"][1] == 0.0
    np.testing.assert_allclose(table["error_without"] - table["error"], table["importance"])


def test_it_is_told_by_action_and_joint() -> None:
    model = OneGoodHead().eval()
    clips = [clip("a", action="walk", subject="S1"), clip("b", action="sit", subject="S2")]
    table = head_importance(model, clips, views=OWN, flip=False, by="action", progress=False)
    assert list(table["action"]) == ["sit", "sit", "walk", "walk"] and list(table["head"]) == [0, 1, 0, 1]
    joints = head_importance(model, clips, views=OWN, flip=False, by="joint", heads=[0], progress=False)
    assert list(joints["joint"]) == list(FIVE.joints)
    np.testing.assert_allclose(joints["importance"], [0, 300, 500, 300, 500], atol=1e-3)


@pytest.mark.parametrize("name, modules", [("mixste", 4), ("dstformer", 8), ("hourglass", 7), ("d3dp", 4)])
def test_every_head_of_the_zoo_is_taken_away_in_turn(name: str, modules: int) -> None:
    model = small(name, frames=4)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x = keypoints(model, 1)
    with torch.no_grad():
        pose = model.lift(x)
        table = head_importance(model, [clip()], views=OWN, flip=False, heads=[1], progress=False)
        assert len(table) == modules and table["name"].nunique() == modules
        assert set(table["axis"]) == {"joints", "frames"}
        assert (table["importance"] != 0).any()
        assert torch.equal(model.lift(x), pose)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_layers_are_chosen() -> None:
    table = head_importance(small("mixste", frames=4), [clip()], views=OWN, flip=False, layers=[1], progress=False)
    assert set(table["layer"]) == {1} and len(table) == 8
    assert table["importance"].is_monotonic_decreasing


def test_without_heads_is_the_sum_of_the_others() -> None:
    attention = MultiHeadAttention(8, 4)
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        _, weights = attention.forward_with_weights(x)
        values = attention.qkv(x)[..., 16:].unflatten(-1, (4, 2)).transpose(1, 2)  # type: ignore[misc]
        mixed = weights @ values
        mixed[:, [1, 2]] = 0
        expected = attention.proj(mixed.transpose(1, 2).flatten(-2))
        with without_heads(nn.ModuleDict({"here": attention}), {"here": [1, 2]}):
            assert torch.allclose(attention(x), expected, atol=1e-6)


def test_weights_are_back_after_an_error_and_gradients_go_on() -> None:
    model = nn.ModuleDict({"theirs": nn.MultiheadAttention(8, 2), "ours": MultiHeadAttention(8, 2)})
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="in between"), without_heads(model, {"theirs": [0], "ours": [1, 1]}):
        assert not model["theirs"].out_proj.weight[:, :4].any() and model["theirs"].out_proj.weight[:, 4:].all()
        assert not model["ours"].proj.weight[:, 4:].any()
        model["ours"](torch.randn(1, 3, 8)).sum().backward()
        raise RuntimeError("in between")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model["ours"].proj.weight.grad is not None


def test_what_is_not_there_cannot_be_taken_away() -> None:
    model = small("mixste", frames=4)
    with (
        pytest.raises(ConfigError, match=r"expected heads in 0 \.\.\. 3"),
        without_heads(model, {"spatial_blocks.0.attention": [4]}),
    ):
        pass
    with (
        pytest.raises(ConfigError, match=r"did you mean 'spatial_blocks\.0\.attention'"),
        without_heads(model, {"spatial_blocks.0.atention": [0]}),
    ):
        pass
    arguments = {"views": OWN, "progress": False}
    with pytest.raises(DataError, match="without"):
        head_importance(small("residual_mlp", frames=4), [clip()], **arguments)
    with pytest.raises(DataError, match="without"):
        head_importance(small("gla_gcn", frames=3), [clip()], **arguments)
    for options, message in (
        ({"layers": [2]}, "expected layers of"),
        ({"layers": []}, "at least one layer"),
        ({"heads": [4]}, "expected heads in 0 ... 3"),
        ({"by": "limb"}, "unknown group"),
        ({"metric": "mpje"}, "unknown metric .mpje."),
        ({"flop": True}, "did you mean 'flip'"),
    ):
        with pytest.raises(ConfigError, match=message):
            head_importance(model, [clip()], **arguments, **options)


def test_one_clip_will_do_and_none_is_refused() -> None:
    model = OneGoodHead()
    settings = {"views": OWN, "flip": False, "progress": False}
    assert len(head_importance(model, clip(), **settings)) == 2
    with pytest.raises(DataError, match="one or more clips"):
        head_importance(model, [], **settings)


def test_every_submodule_keeps_its_mode() -> None:
    model = small("mixste", frames=4).train()
    next(iter(model.children())).eval()  # a part that is frozen
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    head_importance(model, clip(), views=OWN, layers=[0], heads=[0], flip=False, progress=False)
    assert [module.training for module in model.modules()] == modes
