"""What is replaced in the parts of our own models while they are captured. Each replacement calls the method it hides and looks on.

- `MultiHeadAttention`: the very weights of the pass where it makes some (short sequences on a CPU); else, as for `CrossAttention`,
  weights from the queries and keys that the pass itself has made
- `SpaceTimeTransformer.layer`: number of the layer, and which frames are left
- `DSTformer`: how much of each of its two streams goes on after a layer
- `Hourglass`: the frames kept, and those that its recovery looks at
- `D3DP`: the last step of the sampler, first hypothesis; the other evaluations of its denoiser run unseen
- GLA-GCN: the data-dependent graphs, three heads (self, inward, outward), row = the joint that receives

Priors are in `recorded_priors.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from graphpose.analysis.attention.record import Axis
from graphpose.analysis.attention.recording.patching import Patches
from graphpose.analysis.attention.recording.recorder import Recorder, aside
from graphpose.models.d3dp import D3DP
from graphpose.models.dstformer import DSTformer
from graphpose.models.gla_gcn import GLAGCN
from graphpose.models.hourglass import Hourglass
from graphpose.models.space_time import SpaceTimeTransformer
from graphpose.nn.adaptive_graph_convolution import AdaptiveGraphConvolution
from graphpose.nn.attention import CrossAttention, MultiHeadAttention, attention_weights
from graphpose.nn.temporal_pyramid import PyramidLevel
from graphpose.nn.token_recovery import CrossAttentionRecovery

__all__ = ["watch_own"]

Method = Callable[..., Any]
Loose = Callable[[str, Tensor], None]
"""Takes (name, weights `[..., H, N, M]`) of attention whose axis is for the caller to say."""


def watch_own(
    model: nn.Module, recorder: Recorder, patches: Patches, loose: Loose, named: Callable[[str], bool]
) -> None:
    """Replaces what is to be seen of the parts of `model`.

    Args:
        loose: for attention over other tokens than `[B, T, J, C]`.
        named: whether the caller says what a module attends over; then that counts.
    """
    pruned = {module.host for module in model.modules() if isinstance(module, Hourglass)}
    for name, module in model.named_modules():
        if isinstance(module, DSTformer):
            patches.wrap(module, "stream_weights", _fusions(f"{name}." if name else "", recorder))
        if isinstance(module, MultiHeadAttention):
            _watch_attention(name, module, recorder, patches, loose, named)
        elif isinstance(module, CrossAttention):
            _watch_cross_attention(name, module, recorder, patches, loose)
        elif isinstance(module, SpaceTimeTransformer) and module not in pruned:
            patches.wrap(module, "layer", _layers(recorder))
        elif isinstance(module, Hourglass):
            _watch_hourglass(module, recorder, patches)
        elif isinstance(module, D3DP):
            _watch_d3dp(module, recorder, patches)
        elif isinstance(module, GLAGCN):
            _watch_gla_gcn(name, module, recorder, patches)


@contextmanager
def _at(recorder: Recorder, **changes: Any) -> Iterator[None]:
    """The place of the recorder changed for a while."""
    before = {key: getattr(recorder.place, key) for key in changes}
    for key, value in changes.items():
        setattr(recorder.place, key, value)
    try:
        yield
    finally:
        for key, value in before.items():
            setattr(recorder.place, key, value)


def _watch_attention(
    name: str,
    module: MultiHeadAttention,
    recorder: Recorder,
    patches: Patches,
    loose: Loose,
    named: Callable[[str], bool],
) -> None:
    projected: list[Tensor] = []
    made: list[Tensor] = []

    def project(method: Method) -> Method:
        def _project(x: Tensor, axis: int) -> Tensor:
            qkv: Tensor = method(x, axis)
            projected[:] = [qkv]
            return qkv

        return _project

    def mix(method: Method) -> Method:
        def _mix(qkv: Tensor, bias: Tensor | None, shape: torch.Size) -> Tensor:
            made.clear()
            mixed: Tensor = method(qkv, bias, shape, made.append)
            return mixed

        return _mix

    def forward(method: Method) -> Method:
        def _forward(x: Tensor, bias: Tensor | None = None, axis: int = -2) -> Tensor:
            output: Tensor = method(x, bias, axis)
            qkv = projected.pop().detach()
            weights = made.pop() if made else None  # [A * R, H, N, N]
            if recorder.place.skip:
                return output
            call = recorder.called(name)
            q, k = module.queries_and_keys(qkv)  # [A, R, H, N, d]
            bias = None if bias is None else bias.detach()
            axis = axis % x.ndim
            others = (*x.shape[:axis], *x.shape[axis + 1 : -1])
            if x.ndim != 4 or axis == 0 or named(call):
                weights = _weights_of(q, k, bias) if weights is None else weights
                loose(call, weights.view(*others, *weights.shape[-3:]))
                return output
            over: Axis = "joints" if axis == 2 else "frames"
            if weights is not None:
                recorder.weights(call, over, weights.view(*others, *weights.shape[-3:]))
                return output
            if axis == 2:
                q, k = (one.squeeze(1).unflatten(0, x.shape[:2]) for one in (q, k))  # [B, T, H, J, d]
            if bias is not None and bias.ndim > 3:
                bias = bias.expand(q.shape[0] * q.shape[1], *bias.shape[1:]).unflatten(0, q.shape[:2])
            recorder.products(call, over, q, k, bias)
            return output

        return _forward

    patches.wrap(module, "_project", project)
    patches.wrap(module, "_mix", mix)
    patches.wrap(module, "forward", forward)


def _weights_of(q: Tensor, k: Tensor, bias: Tensor | None = None) -> Tensor:
    """Weights `[A * R, H, N, M]` of queries and keys `[A, R, H, ., d]`."""
    with aside():
        bias = None if bias is None else bias.float()
        return attention_weights(q.flatten(0, 1).float(), k.flatten(0, 1).float(), bias)


def _watch_cross_attention(
    name: str, module: CrossAttention, recorder: Recorder, patches: Patches, loose: Loose
) -> None:
    """The recovery of the Hourglass Tokenizer says in `place` which frames the keys are; any other is for the caller to say."""
    projected: list[tuple[Tensor, Tensor]] = []

    def project(method: Method) -> Method:
        def _project(queries: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            q, k, v = method(queries, memory)
            projected[:] = [(q, k)]
            return q, k, v

        return _project

    def forward(method: Method) -> Method:
        def _forward(queries: Tensor, memory: Tensor) -> Tensor:
            output: Tensor = method(queries, memory)
            q, k = (one.detach() for one in projected.pop())  # [..., H, M or N, d]
            q = q.expand(*k.shape[:-2], *q.shape[-2:])
            kept = recorder.place.kept
            if recorder.place.skip:
                return output
            call = recorder.called(name)
            if recorder.place.recovery is None or kept is None:
                with aside():
                    loose(call, attention_weights(q.float(), k.float()))
                return output
            q, k = (one.unflatten(0, (len(kept), -1)) for one in (q, k))  # [B, J, H, T or M, d]
            with _at(recorder, layer=recorder.place.recovery):
                recorder.products(call, "frames", q, k, key_frames=kept[:: recorder.place.every])
            return output

        return _forward

    patches.wrap(module, "_project", project)
    patches.wrap(module, "forward", forward)


def _layers(recorder: Recorder) -> Callable[[Method], Method]:
    def make(method: Method) -> Method:
        def layer(index: int, tokens: Tensor, frames: Tensor | None = None) -> Tensor:
            with _at(recorder, layer=index, kept=frames):
                output: Tensor = method(index, tokens, frames)
            return output

        return layer

    return make


def _fusions(prefix: str, recorder: Recorder) -> Callable[[Method], Method]:
    def make(method: Method) -> Method:
        def stream_weights(index: int, streams: list[Tensor]) -> Tensor:
            weights: Tensor = method(index, streams)
            recorder.fusion(f"{prefix}fusions.{index}", index, weights)
            return weights

        return stream_weights

    return make


def _watch_hourglass(module: Hourglass, recorder: Recorder, patches: Patches) -> None:
    def layer(method: Method) -> Method:
        def _layer(index: int, tokens: Tensor, frames: Tensor | None = None) -> Tensor:
            if frames is not None and index == module.config.layer:
                recorder.keep(frames)
            with _at(recorder, layer=index, kept=frames):
                output: Tensor = method(index, tokens, frames)
            return output

        return _layer

    def recover(method: Method) -> Method:
        def forward(tokens: Tensor, kept: Tensor, frames: int, decode: Any) -> Tensor:
            with _at(recorder, recovery=module.host.depth, kept=kept):
                output: Tensor = method(tokens, kept, frames, decode)
            return output

        return forward

    patches.wrap(module.host, "layer", layer)
    if isinstance(module.recovery, CrossAttentionRecovery):
        patches.wrap(module.recovery, "forward", recover)


def _watch_d3dp(module: D3DP, recorder: Recorder, patches: Patches) -> None:
    """Of each call of `lift` or `propose` the first hypotheses' sampling, of that the prediction of the last step, of that one each."""
    state = {"calls": 0, "counted": -1, "samplings": 0}

    def hypotheses(method: Method) -> Method:
        def _hypotheses(*args: Any, **options: Any) -> Any:
            state["samplings"] = 0
            return method(*args, **options)

        return _hypotheses

    def sample(method: Method) -> Method:
        def _sample(x2d: Tensor, noise: Tensor, steps: int | None = None, *args: Any, **options: Any) -> Any:
            flip = options.get("flip", args[1] if len(args) > 1 else False)
            state["calls"] = 0
            state["counted"] = ((module.config.steps if steps is None else steps) - 1) * (2 if flip else 1)
            try:
                with _at(recorder, skip=recorder.place.skip or state["samplings"] > 0):
                    return method(x2d, noise, steps, *args, **options)
            finally:
                state["samplings"] += 1
                state["counted"] = -1

        return _sample

    def denoise(method: Method) -> Method:
        def _denoise(x2d: Tensor, x3d: Tensor, t: Tensor) -> Any:
            skip = state["counted"] >= 0 and state["calls"] != state["counted"]
            state["calls"] += 1
            every = x3d.shape[1] if x3d.ndim == 5 else 1
            with _at(recorder, skip=recorder.place.skip or skip, every=every):
                return method(x2d, x3d, t)

        return _denoise

    for name, make in (("_hypotheses", hypotheses), ("sample", sample), ("denoise", denoise)):
        patches.wrap(module, name, make)


def _watch_gla_gcn(name: str, model: GLAGCN, recorder: Recorder, patches: Patches) -> None:
    numbers = list(range(model.frames - model.receptive_field, model.frames))
    prefix = f"{name}." if name else ""
    _watch_graph(f"{prefix}expand.graph", model.expand.graph, numbers, recorder, patches)
    for place, level in enumerate(model.levels):
        assert isinstance(level, PyramidLevel)
        for part in ("unit", "strided"):
            graph: Any = getattr(level, part).graph
            _watch_graph(f"{prefix}levels.{place}.{part}.graph", graph, numbers, recorder, patches)
        numbers = numbers[level.kept :: level.width]


def _watch_graph(
    name: str, module: AdaptiveGraphConvolution, numbers: list[int], recorder: Recorder, patches: Patches
) -> None:
    def data_topology(method: Method) -> Method:
        def _data_topology(x: Tensor) -> Tensor:
            graphs: Tensor = method(x)
            weights = graphs.detach().mT  # [B, T' or 1, K, receivers, senders]
            frames = tuple(numbers) if weights.shape[1] == len(numbers) else None
            recorder.weights(name, "joints", weights, frames, shared=module.data_graph == "window")
            return graphs

        return _data_topology

    patches.wrap(module, "data_topology", data_topology)
