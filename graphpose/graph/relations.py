"""Named relations: which joints of a frame, or which frames of a joint, an edge connects.

    joint relation: a set R of joint pairs (i, j);  edges (t, i) -> (t, j) for every frame t
    frame relation: a set R of frame pairs (s, t);  edges (s, j) -> (t, j) for every joint j

A relation is a 0/1 matrix `[n, n]` (n = J or T) with `matrix[source, destination]`. A name may end in a number: `hop<k>` gives
hop2, hop3, ... Adding one: a function below with the decorator; every graph, batch and test finds it by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from graphpose.errors import DataError, unknown_name
from graphpose.skeleton import Skeleton

__all__ = ["Relation", "available_relations", "relation", "resolve_relation"]

Axis = Literal["joints", "frames"]
Pairs = tuple[np.ndarray, np.ndarray]
_REGISTRY: dict[str, Relation] = {}


@dataclass(frozen=True)
class Relation:
    """One relation: its name (or pattern `name<k>`), the axis it connects along, and its matrix.

    `build(skeleton)` for joints and `build(frames)` for frames give the 0/1 matrix; patterns get the number `k` too.
    `list_pairs`, of the same arguments, gives the pairs without the matrix, which is too large for long windows.
    """

    name: str
    axis: Axis
    build: Callable[..., np.ndarray]
    description: str
    list_pairs: Callable[..., Pairs] | None = None

    def matrix(self, skeleton: Skeleton, frames: int) -> np.ndarray:
        """bool `[J, J]` or `[T, T]`, `[source, destination]`."""
        return np.asarray(self.build(skeleton if self.axis == "joints" else frames), dtype=bool)

    def pairs(self, skeleton: Skeleton, frames: int) -> Pairs:
        """int64 sources and destinations `[P]` each, in any order."""
        if self.list_pairs is not None:
            return self.list_pairs(skeleton if self.axis == "joints" else frames)
        source, destination = np.nonzero(self.matrix(skeleton, frames))
        return source, destination


def relation(
    name: str, axis: Axis, list_pairs: Callable[..., Pairs] | None = None
) -> Callable[[Callable[..., np.ndarray]], Callable[..., np.ndarray]]:
    """Registers a function as the relation `name`; its docstring describes it."""

    def register(build: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        if name in _REGISTRY:
            raise DataError(f"relation {name!r} is registered already: choose another name")
        _REGISTRY[name] = Relation(name, axis, build, (build.__doc__ or "").strip(), list_pairs)
        return build

    return register


def available_relations() -> dict[str, str]:
    """Name or pattern of every relation, with what it connects."""
    return {name: entry.description for name, entry in sorted(_REGISTRY.items())}


def resolve_relation(name: str) -> Relation:
    """The relation called `name`; `hop3` finds the pattern `hop<k>`. Raises DataError with the nearest name."""
    if name in _REGISTRY and "<k>" not in name:
        return _REGISTRY[name]
    numbered = re.fullmatch(r"(.*?)([1-9][0-9]*)", name)
    pattern = _REGISTRY.get(f"{numbered[1]}<k>") if numbered else None
    if numbered is None or pattern is None:
        raise DataError(unknown_name("relation", name, sorted(_REGISTRY)))
    k, listed = int(numbered[2]), pattern.list_pairs
    return Relation(
        name,
        pattern.axis,
        lambda size: pattern.build(size, k),
        pattern.description,
        None if listed is None else lambda size: listed(size, k),
    )


@relation("kinematic", "joints")
def _kinematic(skeleton: Skeleton) -> np.ndarray:
    """bones, in both directions"""
    return skeleton.adjacency() > 0


@relation("mirror", "joints")
def _mirror(skeleton: Skeleton) -> np.ndarray:
    """each joint and its partner on the other side"""
    paired = np.eye(len(skeleton), dtype=bool)[skeleton.mirror]
    return paired & ~np.eye(len(skeleton), dtype=bool)


@relation("hop<k>", "joints")
def _hop(skeleton: Skeleton, k: int) -> np.ndarray:
    """joints exactly k bones apart"""
    return skeleton.hops() == k


@relation("space", "joints")
def _space(skeleton: Skeleton) -> np.ndarray:
    """all pairs of joints of a frame, a joint with itself included"""
    return np.ones((len(skeleton), len(skeleton)), dtype=bool)


@relation("self", "joints")
def _self(skeleton: Skeleton) -> np.ndarray:
    """each node with itself"""
    return np.eye(len(skeleton), dtype=bool)


def _step_pairs(frames: int, k: int = 1) -> Pairs:
    earlier = np.arange(max(frames - k, 0))
    return np.concatenate([earlier, earlier + k]), np.concatenate([earlier + k, earlier])


@relation("trajectory", "frames", _step_pairs)
def _trajectory(frames: int) -> np.ndarray:
    """the same joint one frame before and after"""
    return _step(frames, 1)


@relation("step<k>", "frames", _step_pairs)
def _step(frames: int, k: int) -> np.ndarray:
    """the same joint exactly k frames before and after"""
    return np.eye(frames, k=k, dtype=bool) | np.eye(frames, k=-k, dtype=bool)


@relation("time", "frames")
def _time(frames: int) -> np.ndarray:
    """all pairs of frames of a joint, a frame with itself included"""
    return np.ones((frames, frames), dtype=bool)
