"""Where and how precisely to compute, by the names that configurations use."""

from __future__ import annotations

import contextlib
import itertools

import torch
from torch import nn

from graphpose.engine.allocator import keep_freed_memory
from graphpose.errors import ConfigError
from graphpose.nn.memory import gibibytes, machine_memory

__all__ = ["autocast", "pick_device", "place_of", "prepare_training"]

_MIXED = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


def pick_device(accelerator: str) -> torch.device:
    """ "auto" takes a GPU when there is one.

    Raises:
        ConfigError: a device that this machine does not have.
    """
    present = {"cpu": True, "gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if accelerator == "auto":
        accelerator = next(name for name in ("gpu", "mps", "cpu") if present[name])
    if not present.get(accelerator, False):
        raise ConfigError(
            f"accelerator {accelerator!r} is not there; use one of: {', '.join(k for k, v in present.items() if v)}"
        )
    return torch.device("cuda" if accelerator == "gpu" else accelerator)


def place_of(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and floating type of a model's weights; the CPU and float32 for one without any."""
    weights = itertools.chain(model.parameters(), model.buffers())
    first = next((weight for weight in weights if weight.is_floating_point()), torch.empty(0, dtype=torch.float32))
    return first.device, first.dtype


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Mixed precision for "16-mixed" and "bf16-mixed"; otherwise the model's own precision."""
    if precision in _MIXED:
        return torch.autocast(device.type, _MIXED[precision])
    return contextlib.nullcontext()


def prepare_training(model: nn.Module, accelerator: str) -> None:
    """Refuses to train where it cannot be done; on a CPU, keeps freed memory for the steps (`allocator.py`).

    What has to fit on a CPU are the weights, their gradients and AdamW's two moments, and the buffers.

    Raises:
        ConfigError: a device that this machine does not have, or they exceed the memory of the machine (which would end the
            process without a word).
    """
    if pick_device(accelerator).type != "cpu":
        return
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    needed, memory = 4 * weights + sum(buffer.nbytes for buffer in model.buffers()), machine_memory()
    if memory is not None and needed > memory:
        raise ConfigError(
            f"{type(model).__name__}: weights, gradients and optimiser need {gibibytes(needed)} to train, this machine has "
            f"{gibibytes(memory)}: use a smaller model or shorter windows (data.frames)"
        )
    keep_freed_memory()
