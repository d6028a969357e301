"""Training losses by name: `create_loss(name, skeleton)` is a module `(pred, target, visible=None) -> scalar`.

With `p` the prediction, `y` the target, `d` the difference of neighbouring frames and `w_j` the skeleton's joint
weights:

    mpjpe           mean |p - y|
    weighted_mpjpe  mean w_j |p - y|
    ktpformer       mean w_j |p - y| + 0.5 mean w_j (dp)^2 + 2.0 mean |dp - dy|
    motionagformer  mean |p - y| + 0.5 mean |a p - y| + 20 mean |dp - dy|,    a = sum_j p.y / sum_j p.p  in each frame

The square is taken for each coordinate, and its mean goes over the coordinates too. Means go over clips, frames and
joints; with `visible` over the visible joints (for differences: visible in both frames). A clip of one frame has no
differences: those terms are 0. So is the loss, with no gradient, of a batch in which nothing is visible. Unlike in
metrics, which answer NaN, one such batch must not end a training run; a NaN that does count still makes the loss NaN.

Shapes: pred, target `[B, T, J, 3]`, metres; visible bool `[B, T, J]`. Half precision is computed in float32.

Peng, Zhou and Mok, "KTPFormer", CVPR 2024; Mehraban, Adeli and Taati, "MotionAGFormer", WACV 2024.

Adding a new loss: subclass `PoseLoss`, give it keyword options in `__init__` (the skeleton comes first), write `term`,
and put `@register_loss("name")` above it. `available_losses()`, the configuration and the contract test over all losses
then know it.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.skeleton import Skeleton

__all__ = [
    "PoseLoss",
    "available_losses",
    "create_loss",
    "ktpformer_loss",
    "register_loss",
    "scaled_error",
    "temporal_consistency",
    "velocity_error",
    "weighted_error",
]

_REGISTRY: dict[str, type[PoseLoss]] = {}
Entry = TypeVar("Entry", bound="type[PoseLoss]")


# -- terms as functions -----------------------------------------------------------------------------------------------


def weighted_error(
    pred: Tensor, target: Tensor, weights: Tensor | None = None, visible: Tensor | None = None
) -> Tensor:
    """`mean w_j |p - y|`: weights `[J]` multiply and are not divided out, as published."""
    return _mean(_scaled(torch.linalg.vector_norm(_hidden_to_zero(pred - target, visible), dim=-1), weights), visible)


def temporal_consistency(pred: Tensor, weights: Tensor | None = None, visible: Tensor | None = None) -> Tensor:
    """`mean w_j (p_t+1 - p_t)^2` over frames, joints and coordinates; 0 for one frame."""
    both = _both(visible)
    squares = _hidden_to_zero(pred[..., 1:, :, :] - pred[..., :-1, :, :], both).square().mean(-1)
    return _mean(_scaled(squares, weights), both)


def velocity_error(pred: Tensor, target: Tensor, visible: Tensor | None = None) -> Tensor:
    """`mean |dp - dy|` (MPJVE); 0 for one frame."""
    gap, both = pred - target, _both(visible)
    change = _hidden_to_zero(gap[..., 1:, :, :] - gap[..., :-1, :, :], both)
    return _mean(torch.linalg.vector_norm(change, dim=-1), both)


def scaled_error(pred: Tensor, target: Tensor, visible: Tensor | None = None) -> Tensor:
    """`mean |a p - y|` with the scale that fits each frame best (N-MPJPE); 0 / 0, a prediction of zeros, is scaled by
    0.
    """
    p, y = _hidden_to_zero(pred, visible), _hidden_to_zero(target, visible)
    square = (p * p).sum((-2, -1), keepdim=True)
    scale = (p * y).sum((-2, -1), keepdim=True) / torch.where(square == 0, 1.0, square)
    return _mean(torch.linalg.vector_norm(scale * p - y, dim=-1), visible)


def ktpformer_loss(
    pred: Tensor,
    target: Tensor,
    weights: Tensor,
    temporal: float = 0.5,
    velocity: float = 2.0,
    visible: Tensor | None = None,
) -> Tensor:
    """The published KTPFormer training loss, see above; pred, target `[B, T, J, 3]`, weights `[J]`."""
    return (
        weighted_error(pred, target, weights, visible)
        + temporal * temporal_consistency(pred, weights, visible)
        + velocity * velocity_error(pred, target, visible)
    )


# -- modules by name --------------------------------------------------------------------------------------------------


class PoseLoss(nn.Module, ABC):
    """A weighted sum of terms.

    Args:
        skeleton: of the poses; its joint weights are the buffer `weights [J]`, which is no part of the state dict.
        coefficients: of the terms, by name; a coefficient of 0 leaves its term out.

    Raises:
        ConfigError: a coefficient that is negative or not finite.
    """

    weights: Tensor

    def __init__(self, skeleton: Skeleton, **coefficients: float) -> None:
        super().__init__()
        for name, value in coefficients.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and 0 <= value < float("inf")):
                raise ConfigError(f"expected a coefficient of 0 or more for loss term {name!r} (got {value!r})")
        self.skeleton = skeleton
        self.coefficients = coefficients
        weights = torch.tensor(skeleton.weights.tolist(), dtype=torch.float32)
        self.register_buffer("weights", weights, persistent=False)

    @abstractmethod
    def term(self, name: str, pred: Tensor, target: Tensor, visible: Tensor | None) -> Tensor:
        """One term before its coefficient, a scalar."""

    def terms(self, pred: Tensor, target: Tensor, visible: Tensor | None = None) -> dict[str, Tensor]:
        """Every term before its coefficient, detached, for logging."""
        pred, target = self._checked(pred, target, visible)
        with torch.no_grad():
            return {name: self.term(name, pred, target, visible) for name in self.coefficients}

    def forward(self, pred: Tensor, target: Tensor, visible: Tensor | None = None) -> Tensor:
        """The loss, a scalar.

        Raises:
            DataError: poses that are not `[B, T, J, 3]` on the skeleton, or a mask that does not fit.
        """
        pred, target = self._checked(pred, target, visible)
        total = pred.new_zeros(())
        for name, coefficient in self.coefficients.items():
            if coefficient:
                total = total + coefficient * self.term(name, pred, target, visible)
        return total

    def extra_repr(self) -> str:
        """Skeleton and coefficients."""
        return ", ".join([self.skeleton.name, *(f"{k}={v:g}" for k, v in self.coefficients.items())])

    def _checked(self, pred: Tensor, target: Tensor, visible: Tensor | None) -> tuple[Tensor, Tensor]:
        joints = self.skeleton.num_joints
        if pred.ndim != 4 or pred.shape[-2:] != (joints, 3) or pred.shape != target.shape:
            raise DataError(
                f"expected pred and target [B, T, {joints}, 3] on skeleton {self.skeleton.name!r} "
                f"(got {list(pred.shape)} and {list(target.shape)})"
            )
        if visible is not None and (visible.shape != pred.shape[:-1] or visible.dtype != torch.bool):
            raise DataError(
                f"expected a boolean visible {list(pred.shape[:-1])} (got {visible.dtype} {list(visible.shape)})"
            )
        half = (torch.float16, torch.bfloat16)
        return (t.float() if t.dtype in half else t for t in (pred, target))  # type: ignore[return-value]


def register_loss(name: str) -> Callable[[Entry], Entry]:
    """Enters a `PoseLoss` class under `name`.

    Raises:
        ConfigError: the name is taken.
    """

    def enter(entry: Entry) -> Entry:
        if name in _REGISTRY:
            raise ConfigError(f"expected a new name for a loss (got {name!r}, which {_REGISTRY[name].__name__} has)")
        _REGISTRY[name] = entry
        return entry

    return enter


def available_losses() -> tuple[str, ...]:
    """Names that `create_loss` knows, sorted."""
    return tuple(sorted(_REGISTRY))


def create_loss(name: str, skeleton: Skeleton, /, **options: Any) -> PoseLoss:
    """The loss of that name for poses on `skeleton`; options are the coefficients of its terms.

    Raises:
        ConfigError: an unknown name or option (the message lists the choices), or a coefficient out of range.
    """
    if name not in _REGISTRY:
        raise ConfigError(unknown_name("loss", name, available_losses()))
    known = list(inspect.signature(_REGISTRY[name]).parameters)[1:]
    for option in options:
        if option not in known:
            raise ConfigError(unknown_name(f"option of loss {name!r}", option, known))
    return _REGISTRY[name](skeleton, **options)


@register_loss("mpjpe")
class PositionLoss(PoseLoss):
    """`mean |p - y|`."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__(skeleton, mpjpe=1.0)

    def term(self, name: str, pred: Tensor, target: Tensor, visible: Tensor | None) -> Tensor:
        """The one term."""
        return weighted_error(pred, target, None, visible)


@register_loss("weighted_mpjpe")
class WeightedPositionLoss(PoseLoss):
    """`mean w_j |p - y|` with the skeleton's joint weights."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__(skeleton, weighted_mpjpe=1.0)

    def term(self, name: str, pred: Tensor, target: Tensor, visible: Tensor | None) -> Tensor:
        """The one term."""
        return weighted_error(pred, target, self.weights, visible)


@register_loss("ktpformer")
class KTPFormerLoss(PoseLoss):
    """Joint-weighted position, temporal consistency and velocity, with the published coefficients as defaults."""

    def __init__(self, skeleton: Skeleton, temporal: float = 0.5, velocity: float = 2.0) -> None:
        super().__init__(skeleton, position=1.0, temporal=temporal, velocity=velocity)

    def term(self, name: str, pred: Tensor, target: Tensor, visible: Tensor | None) -> Tensor:
        """One of position, temporal, velocity."""
        if name == "position":
            return weighted_error(pred, target, self.weights, visible)
        if name == "temporal":
            return temporal_consistency(pred, self.weights, visible)
        return velocity_error(pred, target, visible)


@register_loss("motionagformer")
class MotionAGFormerLoss(PoseLoss):
    """Position, position after scaling, and velocity, with the published coefficients as defaults."""

    def __init__(self, skeleton: Skeleton, scale: float = 0.5, velocity: float = 20.0) -> None:
        super().__init__(skeleton, position=1.0, scale=scale, velocity=velocity)

    def term(self, name: str, pred: Tensor, target: Tensor, visible: Tensor | None) -> Tensor:
        """One of position, scale, velocity."""
        if name == "position":
            return weighted_error(pred, target, None, visible)
        return scaled_error(pred, target, visible) if name == "scale" else velocity_error(pred, target, visible)


# -- within -----------------------------------------------------------------------------------------------------------


def _hidden_to_zero(values: Tensor, visible: Tensor | None) -> Tensor:
    """Zeros where nothing is visible, before any norm: what is there reaches neither the loss nor its gradient."""
    return values if visible is None else torch.where(visible[..., None], values, 0.0)


def _scaled(values: Tensor, weights: Tensor | None) -> Tensor:
    return values if weights is None else values * weights.to(values)


def _both(visible: Tensor | None) -> Tensor | None:
    return None if visible is None else visible[..., 1:, :] & visible[..., :-1, :]


def _mean(values: Tensor, counted: Tensor | None) -> Tensor:
    """The mean of what counts (the rest is 0 already); 0 of nothing."""
    if counted is None:
        return values.sum() / max(values.numel(), 1)
    return values.sum() / counted.sum().clamp(min=1)
