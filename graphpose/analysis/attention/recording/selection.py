"""Which attention is kept of all that a model computes: axes, layers, heads, and a few frames or joints of the axis not attended over."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from graphpose.analysis.attention.record import Axis
from graphpose.errors import ConfigError, unknown_name
from graphpose.skeleton import Skeleton

__all__ = ["Rows", "Selection"]


@dataclass(frozen=True)
class Rows:
    """Which of the R frames or joints are kept: `places` `[R']` or, where windows differ, `[B, R']`; None: all."""

    places: Tensor | None
    across: tuple[int, ...]  # their numbers, or those that were asked for where windows differ

    def of(self, tensor: Tensor) -> Tensor:
        """`[B, R, ...]` -> `[B, R', ...]`."""
        if self.places is None:
            return tensor
        places = self.places.to(tensor.device)
        if places.ndim == 1:
            return tensor.index_select(1, places)
        return torch.take_along_dim(tensor, places.view(*places.shape, *(1,) * (tensor.ndim - 2)), dim=1)


@dataclass(frozen=True)
class Selection:
    """What the caller of `capture` asks for; None: all."""

    axes: tuple[Axis, ...] = ("joints", "frames")
    layers: frozenset[int] | None = None
    heads: tuple[int, ...] | None = None
    frames: tuple[int, ...] | None = None
    joints: tuple[int, ...] | None = None

    @classmethod
    def of(
        cls,
        skeleton: Skeleton,
        axes: Axis | Sequence[Axis],
        layers: Iterable[int] | None,
        heads: Iterable[int] | None,
        frames: Iterable[int] | None,
        joints: Iterable[int | str] | None,
    ) -> Selection:
        """From the options of `capture`, joints by name or number.

        Raises:
            ConfigError: an unknown axis or joint, or numbers that are none.
        """
        named: tuple[Axis, ...] = (axes,) if isinstance(axes, str) else tuple(axes or ())
        if not named:
            raise ConfigError(f"axes: expected 'joints', 'frames' or both (got {axes!r})")
        for axis in named:
            if axis not in get_args(Axis):
                raise ConfigError(unknown_name("axis", axis, get_args(Axis)))
        if joints is not None:
            joints = [
                _joint(skeleton, joint)
                for joint in ([joints] if not isinstance(joints, Iterable) or isinstance(joints, str) else joints)
            ]
        chosen = _numbers("layers", layers)
        return cls(
            named,
            None if chosen is None else frozenset(chosen),
            _numbers("heads", heads),
            _numbers("frames", frames),
            _numbers("joints", joints),  # type: ignore[arg-type]
        )

    def wants(self, axis: Axis, layer: int) -> bool:
        """Whether attention of this axis and layer is kept."""
        return axis in self.axes and (self.layers is None or layer in self.layers)

    def heads_of(self, count: int, name: str) -> tuple[int, ...]:
        """The heads that are kept of a module with `count`; ConfigError where one is not there."""
        heads = tuple(range(count)) if self.heads is None else self.heads
        if max(heads) >= count:
            raise ConfigError(f"heads: expected numbers in 0 ... {count - 1}, the heads of {name!r} (got {max(heads)})")
        return heads

    def rows_of(self, axis: Axis, numbers: Sequence[int], kept: Tensor | None, name: str) -> Rows:
        """Which rows are kept where R of them are there.

        Args:
            axis: what is attended over.
            numbers: of the R frames or joints; of pruned frames, their places. Where only some frames are there (a level of a pyramid),
                the nearest to each that is asked for is kept.
            kept: `[B, R]`, which frames the rows are, where some were pruned; of these the nearest to each that is asked for is kept.
            name: of the module.
        """
        asked = self.frames if axis == "joints" else self.joints
        if asked is None:
            return Rows(None, tuple(numbers))
        if kept is not None:
            wanted = torch.tensor(asked, device=kept.device)
            return Rows((kept[:, None] - wanted[:, None]).abs().argmin(dim=2), asked)
        if numbers != range(len(numbers)):  # a level of a pyramid, which has some of the frames
            nearest = sorted({min(numbers, key=lambda number: abs(number - one)) for one in asked})
            return Rows(torch.tensor([numbers.index(number) for number in nearest]), tuple(nearest))
        if missing := [number for number in asked if number not in numbers]:
            what = "frames" if axis == "joints" else "joints"
            raise ConfigError(
                f"{what}: expected numbers among {numbers[0]} ... {numbers[-1]}, which {name!r} has (got {missing[0]})"
            )
        return Rows(torch.tensor(asked), asked)


def _joint(skeleton: Skeleton, joint: int | str) -> int:
    if isinstance(joint, str):
        if joint not in skeleton.joints:
            raise ConfigError(unknown_name("joint", joint, skeleton.joints))
        return skeleton.joints.index(joint)
    number = _whole(joint)
    if number is None or not 0 <= number < len(skeleton):
        raise ConfigError(f"joints: expected numbers in 0 ... {len(skeleton) - 1} or names (got {joint})")
    return number


def _whole(value: object) -> int | None:
    """A whole number of any library as an int; None for anything else, truth values among them."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _numbers(what: str, values: Iterable[int] | None) -> tuple[int, ...] | None:
    """Distinct numbers from 0, rising; None as it is."""
    if values is None:
        return None
    listed = list(values) if isinstance(values, Iterable) else [values]
    numbers = [number for value in listed if (number := _whole(value)) is not None and number >= 0]
    if not listed or len(numbers) < len(listed):
        raise ConfigError(f"{what}: expected one or more whole numbers from 0 (got {listed})")
    return tuple(sorted(set(numbers)))
