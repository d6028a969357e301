"""Running statistics from the first batch on, and PyTorch's batch normalisation otherwise."""

from __future__ import annotations

import copy

import torch
from torch import nn

from graphpose.nn.batch_norm import BatchNorm, ChannelNorm, JointNorm


def test_the_first_batches_count_alike() -> None:
    norm = BatchNorm(3).train()
    batches = [5.0 + 0.01 * torch.randn(40, 3) for _ in range(4)]
    for batch in batches:
        norm(batch)
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in batches]).mean(0))


def test_later_batches_count_as_in_pytorch() -> None:
    ours, theirs = BatchNorm(3).train(), nn.BatchNorm1d(3).train()
    for _ in range(10):
        ours(torch.randn(20, 3))
    theirs.load_state_dict(ours.state_dict())
    for _ in range(5):
        x = torch.randn(20, 3, 4)
        torch.testing.assert_close(ours(x), theirs(x))
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value)
    x = torch.randn(2, 3)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_poses_with_channels_last() -> None:
    x = torch.randn(6, 5, 4, 3)  # [B, T, J, C]
    channel, joint = ChannelNorm(3).train(), JointNorm(4, 3).train()
    torch.testing.assert_close(channel(x).mean((0, 1, 2)), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(joint(x).mean((0, 1)), torch.zeros(4, 3), atol=1e-6, rtol=0)
    twin = copy.deepcopy(joint).eval()
    order = [2, 0, 3, 1]
    twin.load_state_dict({k: v[order] if v.ndim else v for k, v in joint.state_dict().items()})
    torch.testing.assert_close(twin(x[:, :, order]), joint.eval()(x)[:, :, order])
