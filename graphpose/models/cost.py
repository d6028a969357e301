"""What a model costs: parameters, floating-point operations and seconds of lifting one window of T frames.

Convention: FLOPs = 2 x multiply-adds of matrix products, convolutions and attention, as `torch.utils.flop_counter` counts them in
evaluation mode. Elementwise work, norms, softmax and sorting are not counted. Papers differ by this factor of 2: many print
multiply-adds (MACs) and call them FLOPs; `Cost.macs` is that number.

    MixSTE, T = 243, C = 512, depth 8:  138.6 GMACs in linear layers, 147.4 with attention

Counting runs the model on fake tensors, which have shapes and no numbers: the largest models take a second and no memory.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from graphpose.errors import ConfigError
from graphpose.models.lifter import Lifter
from graphpose.nn.modes import evaluating

__all__ = ["Cost", "count_flops", "model_cost", "seconds_per_window"]

_WITH_WEIGHTS = ("mm", "addmm", "convolution")
"""Operators that multiply tokens by weights; the others multiply tokens by tokens, or by a topology."""


@dataclass(frozen=True)
class Cost:
    """What lifting one window costs.

    Attributes:
        frames: T, the window's length.
        parameters: numbers that are learned.
        operators: FLOPs by operator of PyTorch ("addmm", "bmm", ...).
        seconds: median wall time of one window (batch of 1) on the model's device; None where it was not measured.
    """

    frames: int
    parameters: int
    operators: dict[str, int]
    seconds: float | None = None

    @property
    def flops(self) -> int:
        """2 x multiply-adds."""
        return sum(self.operators.values())

    @property
    def macs(self) -> float:
        """Multiply-adds."""
        return self.flops / 2

    @property
    def linear_flops(self) -> int:
        """The part of the FLOPs in linear layers and convolutions; the rest are attention and products with a topology."""
        return sum(count for name, count in self.operators.items() if name in _WITH_WEIGHTS)


def model_cost(model: Lifter, frames: int | None = None, *, repeats: int = 0) -> Cost:
    """Parameters, FLOPs and, with `repeats`, seconds of `model.lift` on one window.

    Args:
        model: any lifter; its mode (training or evaluation) and its weights are left as they are.
        frames: T; default: the model's own. Only models that are not bound to it can be asked for another.
        repeats: timed runs, of which the median is taken; 0: no timing.

    Raises:
        ConfigError: frames below 1, or a length to which the model is not bound by choice.
    """
    frames = model.frames if frames is None else frames
    if frames < 1 or (model.bound_to_frames and frames != model.frames):
        expected = f"{model.frames}, to which this {type(model).__name__} is bound" if model.bound_to_frames else ">= 1"
        raise ConfigError(f"expected frames = {expected} (got {frames})")
    return Cost(
        frames=frames,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        operators=count_flops(model, model.lift, _window(model, frames)),
        seconds=seconds_per_window(model, frames=frames, repeats=repeats) if repeats else None,
    )


def seconds_per_window(model: Lifter, frames: int | None = None, *, batch: int = 1, repeats: int = 5) -> float:
    """Median wall time of lifting `batch` windows at once, over `batch`; one run before it warms up."""
    x = _window(model, model.frames if frames is None else frames, batch)
    measured = []
    with evaluating(model), torch.no_grad():
        for _ in range(repeats + 1):
            _finish(x)
            start = time.perf_counter()
            model.lift(x)
            _finish(x)
            measured.append(time.perf_counter() - start)
    return statistics.median(measured[1:]) / batch


def count_flops(module: nn.Module, function: Callable[..., Any], *inputs: Tensor) -> dict[str, int]:
    """FLOPs of `function(*inputs)`, which uses `module` in evaluation mode, by operator.

    A function that needs the numbers themselves (an index out of a tensor) cannot run on fake tensors and is run for real; what is
    counted is the same.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with evaluating(module), torch.no_grad():
        try:
            with fake, (counter := _counter()):
                function(*(fake.from_tensor(value) for value in inputs))
        except Exception:  # whatever else is wrong with the function, the real run raises it again
            with (counter := _counter()):
                function(*inputs)
    counts = counter.get_flop_counts().get("Global", {})
    return {str(operator).rpartition(".")[2]: int(count) for operator, count in counts.items()}


def _counter() -> FlopCounterMode:
    """PyTorch's counter, which knows the fused attention of accelerators but not the one of CPUs."""
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(display=False, custom_mapping={fused: _attention_flops})


def _attention_flops(
    query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: Any, out_shape: Any = None, **__: Any
) -> int:
    """Q K^T and P V of shapes [B, H, N, d], [B, H, M, d], [B, H, M, d_v]."""
    batch, heads, n, d = query
    return 2 * batch * heads * n * key[2] * (d + value[3])


def _window(model: Lifter, frames: int, batch: int = 1) -> Tensor:
    like = next(model.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, frames, len(model.skeleton), model.in_features, generator=generator)
    return x.to(like)


def _finish(x: Tensor) -> None:
    """Waits for work that an accelerator has been given and not done yet."""
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
