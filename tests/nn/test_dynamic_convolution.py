"""The dynamic convolution is the mixture of convolutions that its formula says, along a sequence and on a skeleton's graph."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from zoo import FIVE

from graphpose.errors import ConfigError
from graphpose.nn import Linear, MultiHeadAttention
from graphpose.nn.dynamic_convolution import DynamicConvolution, hop_means
from graphpose.skeleton import Skeleton

CHAIN = Skeleton.from_parents([-1, 0, 1, 2, 3, 4])
MIXED = (1, 3, 5)


def layer(kernels: tuple[int, ...] = MIXED, skeleton: Skeleton | None = None, width: int = 4) -> DynamicConvolution:
    """Eight channels, two heads, in float64, with kernels that do not weigh alike and a bias."""
    made = DynamicConvolution(8, 2, kernels, width, skeleton).double()
    with torch.no_grad():
        made.bias.normal_()
        if made.mixing is not None:
            made.mixing.normal_()
    return made


def test_on_a_graph_by_hand() -> None:
    convolution = DynamicConvolution(1, 1, (3,), 1, FIVE).double()
    with (
        torch.no_grad()
    ):  # queries: 2 x own + 3 x mean of the neighbours; keys: own; values: mean of the neighbours + 1
        convolution.weight[:, 0, 0] = torch.tensor([[2.0, 3.0], [1.0, 0.0], [0.0, 1.0]])
        convolution.bias[2] = 1.0
    x = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)[
        :, None
    ]  # hip, left knee and foot, right knee and foot
    queries, keys, values = convolution(x).T
    assert queries.tolist() == [2 + 3 * 3, 4 + 3 * 2, 6 + 3 * 2, 8 + 3 * 3, 10 + 3 * 4]
    assert keys.tolist() == [1, 2, 3, 4, 5]
    assert values.tolist() == [3 + 1, 2 + 1, 2 + 1, 3 + 1, 4 + 1]


def test_two_bones_by_hand() -> None:
    convolution = DynamicConvolution(1, 1, (5,), 1, FIVE).double()
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[..., 2] = 1.0
    x = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)[:, None]
    assert convolution(x)[:, 0].tolist() == [(3 + 5) / 2, 4, 1, 2, 1]  # a knee is two bones from the other knee


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_hop_means_are_means_over_paths_in_the_tree(data: st.DataObject) -> None:
    parents = [-1, *(data.draw(st.integers(0, i - 1)) for i in range(1, data.draw(st.integers(2, 9))))]
    skeleton = Skeleton.from_parents(parents)
    lengths = dict(nx.all_pairs_shortest_path_length(skeleton.to_networkx()))
    farthest = max(max(row.values()) for row in lengths.values())
    x = torch.randn(len(parents), 3)
    means = hop_means(skeleton, farthest) @ x
    for h in range(farthest + 1):
        for i in range(len(parents)):
            there = [j for j in range(len(parents)) if lengths[i][j] == h]
            expected = x[there].mean(0) if there else torch.zeros(3)
            torch.testing.assert_close(means[h, i], expected)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_one_kernel_along_a_sequence_is_pytorchs_convolution(size: int) -> None:
    convolution = layer((size,), width=8)
    x = torch.randn(4, 9, 8, dtype=torch.float64)
    weight, bias = convolution.weight.flatten(0, 1), convolution.bias.flatten()
    expected = F.conv1d(x.mT, weight, bias, padding=size // 2).mT
    torch.testing.assert_close(convolution(x), expected)


@pytest.mark.parametrize("skeleton", [None, FIVE])
def test_kernel_of_one_is_the_linear_projection(skeleton: Skeleton | None) -> None:
    convolution, linear = layer((1,), skeleton, width=8), Linear(8, 24).double()
    with torch.no_grad():
        linear.weight.copy_(convolution.weight.reshape(24, 8))
        linear.bias.copy_(convolution.bias.flatten())
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(convolution(x), linear(x))
    assert sum(p.numel() for p in convolution.parameters()) == sum(p.numel() for p in linear.parameters())


@pytest.mark.parametrize("skeleton", [None, CHAIN])
def test_the_mixture_is_the_weighted_sum_of_its_kernels(skeleton: Skeleton | None) -> None:
    mixture = layer(MIXED, skeleton)
    shares = mixture.kernel_weights()
    torch.testing.assert_close(shares.sum(-1), torch.ones(3, 2, dtype=torch.float64))
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    taps = [size // 2 + 1 if skeleton else size for size in MIXED]
    expected = mixture.bias.flatten().expand(3, 6, 24)
    for i, (size, weight) in enumerate(zip(MIXED, mixture.weight.split(taps, -1), strict=True)):
        single = layer((size,), skeleton)
        with torch.no_grad():
            single.weight.copy_(weight)
            single.bias.zero_()
        expected = expected + single(x) * shares[..., i].repeat_interleave(4, 1).flatten()  # four channels a head
    torch.testing.assert_close(mixture(x), expected)


@pytest.mark.parametrize("skeleton", [None, FIVE])
def test_the_axis_may_stand_anywhere(skeleton: Skeleton | None) -> None:
    convolution = layer(MIXED, skeleton)
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    expected = convolution(x, axis=2)
    torch.testing.assert_close(convolution(x), expected)
    torch.testing.assert_close(convolution(x.transpose(1, 2), axis=1).transpose(1, 2), expected)
    torch.testing.assert_close(convolution(x.movedim(2, 0), axis=0).movedim(0, 2), expected)
    torch.testing.assert_close(convolution(x[1, 2]), expected[1, 2])


@pytest.mark.parametrize("skeleton", [None, FIVE])
def test_groups_of_channels_do_not_mix(skeleton: Skeleton | None) -> None:
    convolution = layer(MIXED, skeleton, width=2)
    x = torch.randn(5, 8, dtype=torch.float64)
    other = x.clone()
    other[:, 4:6] += 1.0
    changed = (convolution(other) - convolution(x)).abs().amax(0).view(3, 8) > 0
    assert changed[:, 4:6].all() and not changed[:, :4].any() and not changed[:, 6:].any()


def test_on_a_graph_numbers_and_sides_mean_nothing() -> None:
    order = [0, 3, 4, 1, 2]
    renamed = Skeleton.from_parents([-1, 0, 1, 0, 3], [FIVE.joints[i] for i in order], FIVE.pairs)
    convolution, twin = layer(MIXED, FIVE), layer(MIXED, renamed)
    twin.load_state_dict(convolution.state_dict())
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(twin(x[:, order]), convolution(x)[:, order])
    mirror = torch.from_numpy(FIVE.mirror.copy())
    torch.testing.assert_close(convolution(x[:, mirror]), convolution(x)[:, mirror])


def test_nothing_beyond_the_largest_kernel_is_seen() -> None:
    x = torch.zeros(1, 6, 8, dtype=torch.float64)
    other = x.clone()
    other[:, 0] = 1.0
    for skeleton in (None, CHAIN):
        convolution = layer((1, 5), skeleton)
        changed = (convolution(other) - convolution(x)).abs().amax((0, 2)) > 0
        assert changed.tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize("skeleton", [None, FIVE])
def test_gradients_match_finite_differences(skeleton: Skeleton | None) -> None:
    convolution = layer(MIXED, skeleton)
    x = torch.randn(2, 5, 8, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(convolution, dict(zip(names, parameters, strict=True)), (x,))

    names = [name for name, _ in convolution.named_parameters()]
    assert names == ["weight", "bias", "mixing"]
    assert torch.autograd.gradcheck(run, (x, *convolution.parameters()))


def test_attention_attends_with_what_it_projects() -> None:
    convolution = layer(MIXED, FIVE)
    attention = MultiHeadAttention(8, 2, convolution).double()
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    q, k, v = convolution(x).view(3, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
    mixed = (torch.softmax(q @ k.mT / 2.0, -1) @ v).transpose(1, 2).reshape(3, 5, 8)
    torch.testing.assert_close(attention(x), attention.proj(mixed))


@pytest.mark.parametrize("kernels", [(), (2,), (1, 4), (0,), (-1, 3), (3, 3), (1025,)])
def test_sizes_that_are_no_kernels_are_refused(kernels: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"expected kernels as different odd sizes from 1 to 1023.*\(got \["):
        DynamicConvolution(8, 2, kernels, 4)


def test_kernels_that_reach_beyond_the_skeleton_are_refused() -> None:
    assert DynamicConvolution(8, 2, (9,), 4, FIVE).taps == 5  # the feet are four bones apart
    with pytest.raises(ConfigError, match=r"expected spatial_kernels <= 9 \(got 11\)"):
        DynamicConvolution(8, 2, (1, 11), 4, FIVE)
    assert DynamicConvolution(8, 2, (1, 11), 4)(torch.randn(1, 5, 8)).shape == (
        1,
        5,
        24,
    )  # frames: zeros beyond the ends


@pytest.mark.parametrize(("heads", "width"), [(3, 4), (2, 3), (2, 0)])
def test_widths_that_do_not_divide_are_refused(heads: int, width: int) -> None:
    with pytest.raises(ConfigError, match="divisible by heads and by group_width"):
        DynamicConvolution(8, heads, (1, 3), width)
