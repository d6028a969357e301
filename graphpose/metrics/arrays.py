"""What every metric shares: checked input, values that know which of them count, averages, torch or NumPy on both ends.

A metric is a function from joints `[..., T, J, 3]` to `Measured` values `[..., T', K]` (K joints, bones or pairs of
bones), followed by one of the averages in `REDUCTIONS`. With `c` the 0/1 counts an average is `sum(c v) / sum(c)`:
NaN when nothing counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphpose.errors import ConfigError, DataError, unknown_name

__all__ = ["REDUCTIONS", "Array", "Measured", "Poses", "check_poses", "masked", "measure", "reduce"]

Array = Tensor | np.ndarray
REDUCTIONS = ("mean", "clip", "none", "joint", "all")


class Measured(NamedTuple):
    """Values `[..., T', K]` and which of them count (None: all)."""

    values: Tensor
    counted: Tensor | None = None


class Poses(NamedTuple):
    """Checked input of a metric: tensors `[..., T, J, 3]` of one dtype and a bool mask `[..., T, J]` or None."""

    pred: Tensor
    target: Tensor
    visible: Tensor | None = None


def measure(
    values: Callable[[Poses], Measured], pred: Array, target: Array, visible: Array | None, reduction: str
) -> Any:
    """Runs `values` on checked tensors, averages, and gives back the kind that came in."""
    if reduction not in REDUCTIONS:
        raise ConfigError(unknown_name("reduction", reduction, REDUCTIONS))
    result = reduce(values(check_poses(pred, target, visible)), reduction)
    if isinstance(pred, Tensor) or isinstance(target, Tensor):
        return result
    return result.item() if result.ndim == 0 else result.numpy()


def check_poses(pred: Array, target: Array, visible: Array | None = None) -> Poses:
    """`pred`, `target` and `visible` as tensors that fit each other.

    Raises:
        DataError: not `[..., T, J, 3]`, shapes that differ, a mask of another shape or one that is not boolean.
    """
    p, t = _tensor("pred", pred), _tensor("target", target)
    if p.ndim < 3 or p.shape[-1] != 3:
        raise DataError(f"expected poses [..., T, J, 3] (got {list(p.shape)}); a single pose is pose[None]")
    if p.shape != t.shape:
        raise DataError(f"expected pred and target of one shape (got {list(p.shape)} and {list(t.shape)})")
    dtype = torch.promote_types(p.dtype, t.dtype)
    if dtype in (torch.float16, torch.bfloat16):
        dtype = torch.float32
    p, t = p.to(dtype), t.to(p.device, dtype)
    return Poses(p, t, None if visible is None else _mask(visible, p))


def masked(poses: Poses) -> tuple[Tensor, Tensor]:
    """`pred` and `target` with zeros where a joint does not count, so that what it holds reaches no value and no
    gradient.
    """
    if poses.visible is None:
        return poses.pred, poses.target
    seen = poses.visible[..., None]
    return torch.where(seen, poses.pred, 0.0), torch.where(seen, poses.target, 0.0)


def reduce(measured: Measured, reduction: str) -> Tensor:
    """Averages of `Measured` values, see `REDUCTIONS`."""
    values, counted = measured
    if reduction == "all":
        return values if counted is None else torch.where(counted, values, float("nan"))
    dims = {
        "mean": tuple(range(values.ndim)),
        "clip": (-2, -1),
        "none": (-1,),
        "joint": tuple(range(values.ndim - 1)),
    }[reduction]
    if counted is None:
        return values.mean(dims)
    return torch.where(counted, values, 0.0).sum(dims) / counted.sum(dims)


def _tensor(what: str, value: Array) -> Tensor:
    if not isinstance(value, Tensor | np.ndarray):
        raise DataError(f"expected {what} as a torch tensor or a NumPy array (got {type(value).__name__})")
    tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
    if not tensor.is_floating_point():
        raise DataError(f"expected floating-point {what} in metres (got {tensor.dtype})")
    return tensor


def _mask(visible: Array, poses: Tensor) -> Tensor:
    mask = torch.as_tensor(visible, device=poses.device)
    if mask.dtype != torch.bool:
        raise DataError(f"expected a boolean visible (got {mask.dtype}); compare a confidence with a threshold first")
    joints, frames = poses.shape[:-1], poses.shape[:-2]
    if mask.shape == frames:
        return mask[..., None].expand(joints)
    if mask.shape != joints:
        raise DataError(f"expected visible {list(joints)} or {list(frames)} (got {list(mask.shape)})")
    return mask
