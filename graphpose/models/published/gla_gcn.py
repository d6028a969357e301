"""GLA-GCN as published: names and sizes.

No shape tells the widths of the pyramid. Without `filter_widths=` (or `frames=`) they are 3 at each level, as published.

A bias before a BatchNorm in evaluation mode is the same as a smaller running mean, and while training it has no effect: the layers here
have none, and the published ones are taken off the running means.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch

from graphpose.errors import CheckpointError
from graphpose.models.published.family import Family, StateDict
from graphpose.nn.filter_widths import filter_widths

__all__ = ["PyramidFamily", "gla_gcn_name", "gla_gcn_sizes"]


class PyramidFamily(Family):
    """A family whose shapes tell the number of filter widths, but not the widths."""

    def options(self, sizes: dict[str, Any], common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
        """With `frames=` the widths are its factors, with `filter_widths=` the frames are their product.

        Raises:
            CheckpointError: another number of widths than the weights have levels, or no numbers.
        """
        widths, frames = own.get("filter_widths"), own.get("frames")
        if widths is not None and not (isinstance(widths, (tuple, list)) and all(isinstance(w, int) for w in widths)):
            raise CheckpointError(f"filter_widths: expected whole numbers, one a level (got {widths!r})")
        if frames is not None and not isinstance(frames, int):
            raise CheckpointError(f"frames: expected a whole number (got {frames!r})")
        if widths is None and frames is not None:
            widths = filter_widths(frames)
        if widths is not None:
            levels = len(sizes["filter_widths"])
            if len(widths) != levels:
                raise CheckpointError(
                    f"the weights have {levels} levels: expected as many filter_widths (got {list(widths)})"
                )
            own = {"frames": math.prod(widths)} | own | {"filter_widths": tuple(widths)}
        return super().options(sizes, common, own)


def gla_gcn_name(key: str) -> str:
    """A published key (after `gla_gcn_sizes`) -> ours; units 2 i and 2 i + 1 are the two of level i."""

    def level(found: re.Match[str]) -> str:
        number = int(found[1])
        return f"levels.{number // 2}.{'strided' if number % 2 else 'unit'}."

    key = re.sub(r"^layers_tcngcn\.(\d+)\.", level, key)
    for published, ours in (
        ("data_bn.", "input_norm."),
        ("expand_gcn.", "expand."),
        ("gcn1.PA", "graph.learned_topology"),
        ("gcn1.bn.", "graph.norm."),
        ("gcn1.down.", "graph.residual."),
        ("gcn1.", "graph."),
        ("tcn1.conv.", "temporal."),
        ("tcn1.bn.", "temporal.norm."),
        ("residual.conv.", "residual.0."),
        ("residual.bn.", "residual.1."),
        ("fc.", "head."),
    ):
        key = re.sub(rf"(^|\.){re.escape(published)}", rf"\g<1>{ours}", key)
    return key


def gla_gcn_sizes(state: StateDict) -> dict[str, Any]:
    """Sizes from the shapes; rewrites `state` for layers without biases before BatchNorms and with joined partitions."""
    joints = state["expand_gcn.gcn1.PA"].shape[1]
    channels, _, kernel_size, _ = state["expand_gcn.tcn1.conv.weight"].shape
    in_features = state["expand_gcn.gcn1.conv_d.0.weight"].shape[1]
    units = 1 + max((int(found[1]) for key in state if (found := re.match(r"layers_tcngcn\.(\d+)\.", key))), default=-1)
    if units % 2:
        raise ValueError(f"expected two units a level, got {units} units")
    for key in [key for key in state if re.fullmatch(r"data_bn\.(weight|bias|running_mean|running_var)", key)]:
        state[key] = state[key].reshape(joints, in_features)
    for unit in ["expand_gcn", *(f"layers_tcngcn.{i}" for i in range(units))]:
        _join_partitions(state, f"{unit}.gcn1.")
        _fold_bias(state, f"{unit}.tcn1.conv", f"{unit}.tcn1.bn")
        if f"{unit}.gcn1.down.0.weight" in state:
            _flatten(state, f"{unit}.gcn1.down.0.weight")
            _fold_bias(state, f"{unit}.gcn1.down.0", f"{unit}.gcn1.down.1")
        if f"{unit}.residual.conv.weight" in state:
            _flatten(state, f"{unit}.residual.conv.weight")
            _fold_bias(state, f"{unit}.residual.conv", f"{unit}.residual.bn")
    _flatten(state, "fc.weight")
    return {
        "joints": joints,
        "channels": channels,
        "kernel_size": kernel_size,
        "in_features": in_features,
        "filter_widths": (3,) * (units // 2),
        "frames": 3 ** (units // 2),
    }


def _join_partitions(state: StateDict, unit: str) -> None:
    """The 1x1 convolutions of each partition become two linear layers, as `AdaptiveGraphConvolution` has them."""
    partitions = range(state[f"{unit}PA"].shape[0])

    def joined(*kinds: str, part: str) -> torch.Tensor:
        return torch.cat([state.pop(f"{unit}{kind}.{k}.{part}") for kind in kinds for k in partitions])

    state[f"{unit}embeddings.weight"] = joined("conv_a", "conv_b", part="weight").flatten(1)
    state[f"{unit}embeddings.bias"] = joined("conv_a", "conv_b", part="bias")
    state[f"{unit}values.weight"] = joined("conv_d", part="weight").flatten(1)
    state[f"{unit}values.bias"] = torch.stack([state.pop(f"{unit}conv_d.{k}.bias") for k in partitions]).sum(0)
    _fold_bias(state, f"{unit}values", f"{unit}bn")


def _flatten(state: StateDict, key: str) -> None:
    """The weight of a 1x1 convolution becomes that of a linear layer."""
    state[key] = state[key].flatten(1)


def _fold_bias(state: StateDict, layer: str, norm: str) -> None:
    state[f"{norm}.running_mean"] = state[f"{norm}.running_mean"] - state.pop(f"{layer}.bias")
