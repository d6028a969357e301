"""What the graph tells a model: outputs of its priors while it runs, and the topologies that messages pass along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from graphpose.analysis.attention.record import Axis, Topology
from graphpose.analysis.attention.recording.patching import Patches
from graphpose.analysis.attention.recording.recorder import Recorder
from graphpose.models.space_time import SpaceTimeTransformer
from graphpose.nn.adaptive_graph_convolution import PARTITIONS, AdaptiveGraphConvolution
from graphpose.nn.block_prior import AttentionBias, TokenPrior
from graphpose.nn.embeddings import FrameEmbedding, JointEmbedding
from graphpose.nn.graph_prior import GraphPrior
from graphpose.nn.prior_specification import parse_prior
from graphpose.skeleton import Skeleton

__all__ = ["topologies", "watch_priors"]


def _priors(model: nn.Module) -> Iterator[tuple[str, nn.Module, Axis, str]]:
    """The priors that make tokens: name, layer, axis and the relation or registered name."""
    for name, module in model.named_modules():
        if not isinstance(module, SpaceTimeTransformer):
            continue
        of_axis = parse_prior(module.config.prior)
        for below, part in module.named_modules(prefix=name):
            if isinstance(part, JointEmbedding):
                axis, attribute = "joints", "priors"
            elif isinstance(part, FrameEmbedding):
                axis, attribute = "frames", "priors"
            elif isinstance(part, TokenPrior):
                axis, attribute = part.axis, "layers"
            else:
                continue
            layers: Any = getattr(part, attribute)
            relations = of_axis.joints if axis == "joints" else of_axis.frames
            for place, (layer, relation) in enumerate(
                zip(layers, relations, strict=False)
            ):  # none where the front has them
                yield f"{below}.{attribute}.{place}", layer, "joints" if axis == "joints" else "frames", relation


def watch_priors(model: nn.Module, recorder: Recorder, patches: Patches) -> None:
    """Replaces the methods through which priors give their tokens, and attention biases their numbers."""
    for name, layer, axis, _ in _priors(model):
        patches.wrap(layer, "forward_grid", _tokens(name, axis, recorder))
    for name, module in model.named_modules():
        if isinstance(module, AttentionBias):
            patches.wrap(module, "forward", _bias(name, module, recorder))


def _tokens(name: str, axis: Axis, recorder: Recorder) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(method: Callable[..., Any]) -> Callable[..., Any]:
        def forward_grid(x: Tensor, nodes: Tensor | None = None) -> Tensor:
            tokens: Tensor = method(x) if nodes is None else method(x, nodes)
            recorder.prior(name, tokens if axis == "joints" else tokens.transpose(1, 2))
            return tokens

        return forward_grid

    return make


def _bias(name: str, module: AttentionBias, recorder: Recorder) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(method: Callable[..., Any]) -> Callable[..., Any]:
        def forward(n: int, nodes: Tensor | None = None) -> Tensor:
            bias: Tensor = method(n, nodes)
            with torch.no_grad():
                recorder.bias(name, bias if nodes is None else method(len(module.distance)))
            return bias

        return forward

    return make


@torch.no_grad()
def topologies(model: nn.Module, skeleton: Skeleton) -> list[Topology]:
    """Every graph of `model` that messages pass along: those of its priors, and the partitions of a GLA-GCN (row = receiver)."""
    relations: dict[int, tuple[Axis, str]] = {}
    for _, layer, axis, relation in _priors(model):
        relations |= {id(part): (axis, relation) for part in layer.modules() if isinstance(part, GraphPrior)}
    found = []
    for name, module in model.named_modules():
        if isinstance(module, GraphPrior):
            local = module.local_topology
            axis, relation = relations.get(
                id(module), ("joints" if len(local) == len(skeleton) else "frames", getattr(module, "relation", ""))
            )
            found.append(Topology(name, axis, relation, _kept(local), _kept(module.topology(len(local)))))
        elif isinstance(module, AdaptiveGraphConvolution):
            total = module.topology + module.learned_topology
            names = PARTITIONS if module.partitions == len(PARTITIONS) else tuple(map(str, range(module.partitions)))
            for relation, local, whole in zip(names, module.topology, total, strict=True):
                found.append(Topology(name, "joints", relation, _kept(local.T), _kept(whole.T)))
    return found


def _kept(matrix: Tensor) -> Tensor:
    return matrix.detach().float().cpu().clone(memory_format=torch.contiguous_format)
