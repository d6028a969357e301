"""Queries, keys and values from several convolution kernels of different sizes, mixed by learned weights.

    [Q K V] = b + sum_s a_s * Conv_s(x),     a = softmax over the kernels s; one set of weights a for each of Q, K, V and each head

What a convolution of size k (odd, r = (k - 1) / 2) is depends on the axis it runs along:

    a sequence (frames, or joints by number):   Conv_s(x)_i = sum_{|o| <= r} W_{s,o} x_{i+o}              zeros beyond both ends
    a skeleton's graph:                         Conv_s(x)_i = sum_{h = 0..r} W_{s,h} mean{x_j : j is h bones from i}

On the graph there is one weight for each hop distance and no left or right, so the numbering of the joints means nothing, and a
joint with no other joint at distance h gets nothing from there. W is block diagonal: each of the C / group_width groups of
channels gives that group's channels of Q, K and V (`group_width = C` is an ordinary convolution, and then `kernels = (1,)` is the
ordinary linear projection). As convolutions are linear, the mixture of kernels is one convolution of the largest size, whose
weights are put together first: its cost does not grow with the number of kernels.

`MultiHeadAttention(channels, heads, projection=DynamicConvolution(...))` is dynamic multi-headed convolutional self-attention:
Diaz-Arias and Shin, "ConvFormer: Parameter Reduction in Transformer Models for 3D Human Pose Estimation by Leveraging Dynamic
Multi-Headed Convolutional Attention", The Visual Computer 40, 2024 (arXiv 2304.02147); `models/convformer.py` says what of it is theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.skeleton import Skeleton

__all__ = ["DynamicConvolution", "check_kernels", "hop_means"]

LARGEST = 1023
"""Kernel size that is still made; beyond it attention sees more, for less."""


def check_kernels(name: str, kernels: Sequence[int]) -> None:
    """Refuses kernel sizes that are even, below one, above 1023, twice there or none at all; `name` is the option that holds them."""
    odd = all(size % 2 and 1 <= size <= LARGEST for size in kernels)
    if not kernels or not odd or len(set(kernels)) < len(kernels):
        raise ConfigError(
            f"expected {name} as different odd sizes from 1 to {LARGEST}, e.g. [1, 3, 5] (got {list(kernels)})"
        )


def hop_means(skeleton: Skeleton, hops: int) -> Tensor:
    """Matrices `[hops + 1, J, J]`: number h takes the mean over the joints that are exactly h bones away (h = 0: identity).

    Raises:
        ConfigError: no two joints are that far apart.
    """
    distance = torch.from_numpy(skeleton.hops())
    farthest = int(distance.max())
    if hops > farthest:
        raise ConfigError(
            f"expected spatial_kernels <= {2 * farthest + 1} (got {2 * hops + 1}): no two joints of skeleton {skeleton.name!r} "
            f"are more than {farthest} bones apart, a kernel of size k reaches (k - 1) / 2"
        )
    members = distance == torch.arange(hops + 1)[:, None, None]
    matrices = members.to(torch.get_default_dtype())
    return matrices / matrices.sum(-1, keepdim=True).clamp(min=1)


class DynamicConvolution(nn.Module):
    """A `projection` for `MultiHeadAttention`: tokens -> queries, keys and values.

    Args:
        channels: C.
        heads: H; each weighs the kernels for itself.
        kernels: sizes, odd and different.
        group_width: channels that are mixed with each other; must divide C. Parameters and cost grow in proportion to it.
        skeleton: convolve over the neighbourhoods of its graph; None: over the order of the axis.

    Raises:
        ConfigError: sizes that `check_kernels` or `hop_means` refuse, or widths that do not divide each other.

    Shapes: `[..., N, ..., C]` with N at `axis` (N = J with a skeleton) -> `[..., N, ..., 3 C]`: all queries, keys, values,
    each as `[H, C / H]`.
    """

    hops: Tensor | None
    fold: Tensor
    kernel_of_tap: Tensor

    def __init__(
        self, channels: int, heads: int, kernels: Sequence[int], group_width: int, skeleton: Skeleton | None = None
    ) -> None:
        super().__init__()
        check_kernels("kernels", kernels)
        if group_width < 1 or channels % group_width or channels % heads:
            raise ConfigError(
                f"expected channels divisible by heads and by group_width (got channels={channels}, heads={heads}, "
                f"group_width={group_width})"
            )
        self.channels, self.heads, self.group_width = channels, heads, group_width
        self.kernels = tuple(kernels)
        reach = max(kernels) // 2
        if skeleton is None:
            places = [range(reach - size // 2, reach + size // 2 + 1) for size in kernels]
            self.taps = 2 * reach + 1
            self.register_buffer("hops", None)
        else:
            places = [range(size // 2 + 1) for size in kernels]
            self.taps = reach + 1
            self.register_buffer("hops", hop_means(skeleton, reach), persistent=False)
        total = sum(len(place) for place in places)
        fold = torch.zeros(total, self.taps)  # tap of some kernel -> its place in the largest one
        fold[torch.arange(total), torch.tensor([tap for place in places for tap in place])] = 1.0
        owners = torch.tensor([i for i, place in enumerate(places) for _ in place])
        self.register_buffer("fold", fold, persistent=False)
        self.register_buffer("kernel_of_tap", owners, persistent=False)
        self.weight = nn.Parameter(torch.empty(3, channels, group_width, total))
        self.bias = nn.Parameter(torch.empty(3, channels))
        # One kernel has nothing to be weighed against.
        self.mixing = nn.Parameter(torch.empty(3, heads, len(kernels))) if len(kernels) > 1 else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every tap at the size that a linear layer of C inputs and standard deviation 0.02 gives the output; kernels weigh alike."""
        nn.init.trunc_normal_(self.weight, std=0.02 * math.sqrt(self.channels / self.group_width))
        nn.init.zeros_(self.bias)
        if self.mixing is not None:
            nn.init.zeros_(self.mixing)

    def kernel_weights(self) -> Tensor:
        """How much each kernel counts, [3, H, kernels]: for queries, keys and values of each head; sums to one."""
        if self.mixing is None:
            return self.weight.new_ones(3, self.heads, 1)
        return torch.softmax(self.mixing, -1)

    def mixed_weight(self) -> Tensor:
        """The one convolution that the mixture is: [3, C, group_width, taps]."""
        share = self.kernel_weights()[..., self.kernel_of_tap]  # [3, H, taps of all kernels]
        share = share.repeat_interleave(self.channels // self.heads, dim=1)
        return (self.weight * share.unsqueeze(2)) @ self.fold

    def forward(self, x: Tensor, axis: int = -2) -> Tensor:
        """Tokens [..., N, ..., C] -> [..., N, ..., 3 C]; see the class."""
        axis = axis % x.ndim
        nodes, width = x.shape[axis], self.group_width
        before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 : -1])
        # As an image [batch, C, height, width], channels last: taps along its height, everything else along its width.
        if self.hops is None:
            image, padding = x.reshape(before, nodes, after, self.channels), self.taps // 2
        else:
            around = self.hops.flatten(0, 1) @ x.reshape(
                before, nodes, after * self.channels
            )  # [before, taps * J, after * C]
            image, padding = around.view(before, self.taps, nodes * after, self.channels), 0
        # A convolution puts the outputs of a group side by side: queries, keys and values of its channels.
        groups = self.channels // width
        weight = self.mixed_weight().view(3, groups, width, width, self.taps).transpose(0, 1)
        bias = self.bias.view(3, groups, width).transpose(0, 1)
        y = F.conv2d(
            image.permute(0, 3, 1, 2),
            weight.reshape(3 * self.channels, width, self.taps, 1),
            bias.reshape(-1),
            padding=(padding, 0),
            groups=groups,
        )
        y = y.permute(0, 2, 3, 1).reshape(-1, groups, 3, width).transpose(1, 2)  # [M, 3, groups, width]
        return y.reshape(*x.shape[:-1], 3 * self.channels)

    def extra_repr(self) -> str:
        over = "frames or numbers" if self.hops is None else "graph"
        return f"channels={self.channels}, heads={self.heads}, kernels={self.kernels}, group_width={self.group_width}, over={over}"
