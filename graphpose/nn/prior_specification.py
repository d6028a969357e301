"""Which priors a model takes, as one word: relations of joints and of frames, joined by "+".

    "kpa"                = "kinematic"                  the published prior of the joints
    "tpa"                = "trajectory"                 the published prior of the frames
    "kpa+mirror+step3"   = kinematic and mirror on the joints, step3 on the frames

Every relation of `graphpose.graph.available_relations()` is a prior, those that users register included; a layer of one's own
becomes one through `register_prior`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.graph import available_relations, resolve_relation
from graphpose.nn.priors import KinematicPrior, TrajectoryPrior
from graphpose.skeleton import Skeleton

__all__ = ["GridLayer", "PriorSpecification", "frame_prior", "joint_prior", "parse_prior", "register_prior"]

ALIASES = {"kpa": "kinematic", "tpa": "trajectory"}
Axis = Literal["joints", "frames"]


class GridLayer(Protocol):
    """What a prior is to a model: nodes on the axis before the last, some of them missing where `nodes` is given."""

    def forward_grid(self, x: Tensor, nodes: Tensor | None = None) -> Tensor:
        """x [..., n, C_in] -> [..., n, C_out]."""
        ...


@dataclass(frozen=True)
class _OwnPrior:
    axis: Axis
    index_free: bool
    make: Callable[..., nn.Module]


_OWN: dict[str, _OwnPrior] = {}


@dataclass(frozen=True)
class PriorSpecification:
    """Names of the priors by the axis they mix."""

    joints: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()


def register_prior(
    name: str, axis: Axis, index_free: bool = False
) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Decorator: makes a layer known as the prior `name`, which every host then takes.

    The decorated class or function makes a `GridLayer`: `make(in_channels, out_channels, skeleton)` for joints (tokens of every
    joint), `make(channels, frames)` for frames (it brings its own residual, as TPA does). Usually it returns a `PriorLayer`
    around a subclass of `GraphPrior`. As an attention bias it cannot be placed: that takes the distances of a relation.

    `index_free` promises that no parameter of the layer belongs to a single joint or frame; hosts with index_free=True take no
    others.

    Raises:
        ConfigError: a name that is taken, or that would not be understood within "a+b".
    """
    if name in _OWN or name in ALIASES or name in available_relations():
        raise ConfigError(f"prior {name!r} exists already: choose another name")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ConfigError(f"name of a prior: expected small letters, digits, - and _ (got {name!r})")

    def decorate(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        _OWN[name] = _OwnPrior(axis, index_free, make)
        return make

    return decorate


def parse_prior(text: str | None) -> PriorSpecification:
    """The priors that `text` names.

    Raises:
        ConfigError: an unknown name (the nearest one is named), or one that stands twice.
    """
    names = [ALIASES.get(word, word) for word in text.split("+")] if text is not None else []
    by_axis: dict[str, list[str]] = {"joints": [], "frames": []}
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"prior: expected each name once (got {name!r} twice in {text!r})")
        if name in _OWN:
            axis: str = _OWN[name].axis
        else:
            try:
                axis = resolve_relation(name).axis
            except DataError:
                known = [*ALIASES, *sorted(_OWN), *available_relations()]
                raise ConfigError(unknown_name("prior", name, known)) from None
        by_axis[axis].append(name)
    return PriorSpecification(tuple(by_axis["joints"]), tuple(by_axis["frames"]))


def _own(name: str, index_free: bool) -> Callable[..., nn.Module]:
    """What makes a registered layer; refused where no parameter may be tied to a node and nobody promised that none is."""
    if index_free and not _OWN[name].index_free:
        raise ConfigError(
            f"prior {name!r} may have parameters of single {_OWN[name].axis}: expected index_free=False of the model, or "
            f"register_prior({name!r}, {_OWN[name].axis!r}, index_free=True) for a layer that has none"
        )
    return _OWN[name].make


def is_relation(name: str) -> bool:
    """Whether a prior is message passing on a relation of the graph (and not a registered layer)."""
    return name not in _OWN


def joint_prior(name: str, in_channels: int, out_channels: int, skeleton: Skeleton, index_free: bool) -> Any:
    """The `GridLayer` of a prior on joints, without residual."""
    if name in _OWN:
        return _own(name, index_free)(in_channels, out_channels, skeleton)
    return KinematicPrior(in_channels, out_channels, skeleton, name, index_free)


def frame_prior(name: str, channels: int, frames: int, index_free: bool) -> Any:
    """The `GridLayer` of a prior on frames, its residual included."""
    if name in _OWN:
        return _own(name, index_free)(channels, frames)
    return TrajectoryPrior(channels, frames, name, index_free)
