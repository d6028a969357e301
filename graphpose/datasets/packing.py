"""Several tensors in one buffer and back, so that a worker hands over one block of shared memory a batch and not six."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Packed", "pack", "unpack"]

Packed = tuple[Tensor, list[tuple[str, torch.dtype, tuple[int, ...], int]]]
_ALIGN = 8


def pack(tensors: dict[str, Tensor]) -> Packed:
    """One uint8 buffer, and (name, dtype, shape, first byte) of each tensor in it; the bytes are exact."""
    layout, parts, at = [], [], 0
    for name, value in tensors.items():
        flat = value.contiguous().view(-1).view(torch.uint8)
        layout.append((name, value.dtype, tuple(value.shape), at))
        parts.append(flat)
        at += flat.numel()
        if at % _ALIGN:
            parts.append(torch.zeros(_ALIGN - at % _ALIGN, dtype=torch.uint8))
            at += _ALIGN - at % _ALIGN
    return torch.cat(parts), layout


def unpack(packed: Packed) -> dict[str, Tensor]:
    """The tensors of `pack`, as views of its buffer."""
    buffer, layout = packed
    tensors = {}
    for name, dtype, shape, at in layout:
        size = torch.Size(shape).numel() * dtype.itemsize
        tensors[name] = buffer[at : at + size].view(dtype).view(shape)
    return tensors
