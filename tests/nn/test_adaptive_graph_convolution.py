"""The adaptive graph convolution: its formula joint by joint, the partitions of the skeleton, and the normalisations around it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from shared import shared_path
from torch import nn

from graphpose.nn.adaptive_graph_convolution import AdaptiveGraphConvolution, partition_topology
from graphpose.nn.batch_norm import ChannelNorm, JointNorm
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents([-1, 0, 1, 0, 3])
data_graphs = pytest.mark.parametrize("data_graph", ["window", "frame"])


def layer(in_channels: int, data_graph: Literal["window", "frame"]) -> AdaptiveGraphConvolution:
    """In evaluation mode, in float64, with no parameter or statistic at its first value."""
    made = AdaptiveGraphConvolution(in_channels, 8, partition_topology(FIVE), data_graph).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
        for norm in (module for module in made.modules() if isinstance(module, ChannelNorm)):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)
    return made


def test_partitions_are_the_published_ones() -> None:
    with np.load(shared_path("reference/gla_gcn_t27.npz")) as archive:
        parents, expected = archive["parents"].tolist(), archive["partition_adjacency"]
    np.testing.assert_allclose(partition_topology(Skeleton.from_parents(parents)).numpy(), expected, atol=1e-7)


def test_partitions_of_a_small_tree() -> None:
    own, inward, outward = partition_topology(FIVE)
    assert torch.equal(own, torch.eye(5))
    assert inward.nonzero().tolist() == [[0, 1], [0, 3], [1, 2], [3, 4]]  # from parent to child
    assert outward.nonzero().tolist() == [[1, 0], [2, 1], [3, 0], [4, 3]]
    assert outward[:, 0].tolist() == [0, 0.5, 0, 0.5, 0]  # the mean of two children
    single = partition_topology(Skeleton.from_parents([-1]))
    assert single.tolist() == [[[1.0]], [[0.0]], [[0.0]]]


@data_graphs
@pytest.mark.parametrize("in_channels", [2, 8])
def test_is_the_node_form(data_graph: Literal["window", "frame"], in_channels: int) -> None:
    """Written out joint by joint, sender by sender."""
    made = layer(in_channels, data_graph)
    x = torch.randn(2, 3, 5, in_channels, dtype=torch.float64)
    with torch.no_grad():
        senders, receivers = made.embeddings(x).view(2, 3, 5, 2, 3, 2).unbind(3)
        weights = made.values.weight.view(3, 8, in_channels)
        mixed = torch.zeros(2, 3, 5, 8, dtype=torch.float64)
        for clip, frame, k, j in np.ndindex(2, 3, 3, 5):
            frames = range(3) if data_graph == "window" else [frame]
            scores = torch.stack(
                [sum(senders[clip, t, i, k] @ receivers[clip, t, j, k] for t in frames) for i in range(5)]  # type: ignore[misc]
            )
            strength = torch.softmax(scores / (len(frames) * 2), 0)
            for i in range(5):
                total = made.topology[k, i, j] + made.learned_topology[k, i, j] + strength[i]
                mixed[clip, frame, j] += total * (weights[k] @ x[clip, frame, i])
        expected = torch.relu(made.norm(mixed) + made.residual(x))
        torch.testing.assert_close(made(x), expected)


def test_one_frame_has_the_same_graph_either_way() -> None:
    window, frame = layer(8, "window"), layer(8, "frame")
    frame.load_state_dict(window.state_dict())
    x = torch.randn(4, 1, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(frame(x), window(x))
    longer = x.transpose(0, 1)
    assert not torch.allclose(frame(longer), window(longer))
    torch.testing.assert_close(frame(longer), frame(x).transpose(0, 1))  # each frame by itself


def test_starts_as_its_residual() -> None:
    made = AdaptiveGraphConvolution(8, 8, partition_topology(FIVE)).train()
    x = torch.randn(4, 3, 5, 8)
    torch.testing.assert_close(made(x), torch.relu(x), atol=1e-4, rtol=0)


@data_graphs
def test_gradients(data_graph: Literal["window", "frame"]) -> None:
    made = layer(2, data_graph)
    x = torch.randn(1, 2, 5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(made, (x,))


def test_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ValueError, match=r"expected a topology \[partitions, J, J\] \(got \[5, 5\]\)"):
        AdaptiveGraphConvolution(2, 8, torch.eye(5))
    with pytest.raises(ValueError, match="did you mean 'window'"):
        AdaptiveGraphConvolution(2, 8, partition_topology(FIVE), "windows")  # type: ignore[arg-type]


@pytest.mark.parametrize("training", [True, False])
def test_norms_are_those_of_pytorch_in_other_layouts(training: bool) -> None:
    x = torch.randn(4, 3, 5, 2)
    by_channel, by_joint = ChannelNorm(2).train(training), JointNorm(5, 2).train(training)
    theirs, theirs_joint = nn.BatchNorm2d(2).train(training), nn.BatchNorm1d(10).train(training)
    for norm in (by_channel, by_joint, theirs, theirs_joint):
        norm.num_batches_tracked.fill_(100)  # the first ten count otherwise
    for ours, other in ((by_channel, theirs), (by_joint, theirs_joint)):
        for key, value in ours.state_dict().items():
            if value.is_floating_point():
                value.uniform_(0.5, 1.5)
            other.state_dict()[key].copy_(value.reshape(other.state_dict()[key].shape))
    torch.testing.assert_close(by_channel(x), theirs(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
    joined = theirs_joint(x.flatten(2).transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(by_joint(x), joined.reshape(x.shape))
    torch.testing.assert_close(by_joint.running_var.flatten(), theirs_joint.running_var)
    assert by_joint.num_batches_tracked == theirs_joint.num_batches_tracked == 100 + int(training)
