"""What a body can do: smallest and largest angles at joints, joints that are hinges, ratios of bone lengths.

For joint j with the bone a_j = p_parent(j) - p_j and a child's bone b_c = p_c - p_j:

    angle_j = angle(a_j, b_c)                  degrees, 180 = straight, kept in [low, high] for every child c
    hinge                                      bends to one side only, like a knee
    ratio_j = |new a_j| / |given a_j|          kept in [low, high] with low <= 1 <= high

Limits are for those who change poses (augmentation); they are no part of a skeleton's identity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import repr as short
from types import MappingProxyType
from typing import Any

import numpy as np

from graphpose.errors import unknown_name

__all__ = ["Limits", "Range", "limit_faults", "limits_from_dict"]

Range = tuple[float, float]
KEYS = ("angles", "hinges", "lengths")
OTHERS = "default"


@dataclass(frozen=True)
class Limits:
    """Limits of a skeleton's joints and bones; what is not named is free, but for the bone lengths.

    Attributes:
        angles: joint name -> (low, high) in degrees, within 0..180: the interior angle between the bone to the parent and those
            to the children; or joint name -> {child: (low, high)}, for the children that are named.
        hinges: names of joints that bend to one side only.
        lengths: (low, high) of the ratio of a bone's length to the given one, for the bones that `bone_lengths` does not name.
        bone_lengths: joint name -> (low, high) for the bone between this joint and its parent.
    """

    angles: Mapping[str, Range | Mapping[str, Range]] = field(default_factory=dict)
    hinges: tuple[str, ...] = ()
    lengths: Range = (0.8, 1.25)
    bone_lengths: Mapping[str, Range] = field(default_factory=dict)

    def angle_bounds(self, joint: str, child: str) -> Range | None:
        """(low, high) in degrees of the angle at `joint` between the bones to its parent and to `child`; None where free."""
        bounds = self.angles.get(joint)
        return bounds.get(child) if isinstance(bounds, Mapping) else bounds

    def length_bounds(self, joints: Sequence[str]) -> np.ndarray:
        """`[J, 2]` float64: smallest and largest length ratio of each joint's bone."""
        return np.array([self.bone_lengths.get(joint, self.lengths) for joint in joints], dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """The layout of the section `limits` of a skeleton file; what is empty is left out."""
        data: dict[str, Any] = {}
        if self.angles:
            data["angles"] = _plain(self.angles)
        if self.hinges:
            data["hinges"] = list(self.hinges)
        default = list(self.lengths)
        data["lengths"] = {OTHERS: default, **_plain(self.bone_lengths)} if self.bone_lengths else default
        return data

    def __post_init__(self) -> None:
        put = object.__setattr__  # frozen; what cannot be normalised stays as given, for `limit_faults` to name
        put(self, "angles", _ranges(self.angles))
        put(self, "hinges", tuple(self.hinges) if _is_list(self.hinges) else self.hinges)
        put(self, "lengths", _range(self.lengths))
        put(self, "bone_lengths", _ranges(self.bone_lengths))

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy cannot be pickled
        return Limits, (_plain(self.angles), self.hinges, self.lengths, _plain(self.bone_lengths))


def limits_from_dict(data: Any, faults: list[str]) -> Limits | None:
    """The limits in the section `limits`; what has the wrong layout is added to `faults` and left out."""
    if data is None:
        return None
    if not isinstance(data, Mapping):
        faults.append(f"limits: expected the keys {', '.join(KEYS)} (got {short(data)})")
        return None
    faults += [f"limits: {unknown_name('key', str(key), KEYS)}" for key in data if key not in KEYS]
    fields: dict[str, Any] = {}
    for key in ("angles", "hinges"):
        if data.get(key) is not None:
            fields[key] = data[key]
    lengths = data.get("lengths")
    if isinstance(lengths, Mapping):
        bones = {joint: bounds for joint, bounds in lengths.items() if joint != OTHERS}
        fields["bone_lengths"] = bones
        lengths = lengths.get(OTHERS)
    if lengths is not None:
        fields["lengths"] = lengths
    return Limits(**fields)


def limit_faults(
    limits: Any, joints: Sequence[str], parents: Sequence[int], pairs: Sequence[Sequence[str]]
) -> list[str]:
    """Every fault of the limits of a skeleton whose other fields are in order."""
    if limits is None:
        return []
    if not isinstance(limits, Limits):
        return [f"limits: expected Limits(angles, hinges, lengths, bone_lengths) (got {short(limits)})"]
    faults = _table_faults("angles", limits.angles, joints, lambda bounds: _angle_fault(bounds, joints))
    faults += _table_faults("lengths", limits.bone_lengths, joints, _ratio_fault)
    faults += [f"limits.lengths: {problem}" for problem in [_ratio_fault(limits.lengths)] if problem]
    if not _is_list(limits.hinges):
        faults.append(f"limits.hinges: expected a list of joint names (got {short(limits.hinges)})")
    else:
        unknown = [joint for joint in limits.hinges if joint not in joints]
        faults += [f"limits.hinges: {unknown_name('joint', str(joint), joints)}" for joint in unknown]
    if faults:
        return faults
    inner = {joints[p] for j, p in enumerate(parents) if p >= 0 and parents[p] >= 0}
    for section, named in (("angles", limits.angles), ("hinges", limits.hinges)):
        faults += [
            f"limits.{section} of {joint!r}: expected a joint between two bones (this one has no "
            f"{'child' if parents[list(joints).index(joint)] >= 0 else 'parent'})"
            for joint in named
            if joint not in inner
        ]
    for joint, bounds in limits.angles.items():
        if isinstance(bounds, Mapping):
            own = [name for name, p in zip(joints, parents, strict=True) if p >= 0 and joints[p] == joint]
            strange = [child for child in bounds if child not in own]
            faults += [
                f"limits.angles of {joint!r}: expected its children {', '.join(own)} (got {child!r})"
                for child in strange
            ]
    for left, right in pairs:
        first, second = (limits.bone_lengths.get(joint, limits.lengths) for joint in (left, right))
        if first != second:
            faults.append(
                f"limits.lengths: expected the same for {left!r} and {right!r}, which mirror each other "
                f"(got {list(first)} and {list(second)})"
            )
    return faults


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _range(value: Any) -> Any:
    if _is_list(value) and all(type(number) in (int, float) for number in value):
        return tuple(float(number) for number in value)
    return value


def _ranges(table: Any) -> Any:
    if not isinstance(table, Mapping):
        return table
    return MappingProxyType(
        {joint: _ranges(bounds) if isinstance(bounds, Mapping) else _range(bounds) for joint, bounds in table.items()}
    )


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    return {joint: _plain(bounds) if isinstance(bounds, Mapping) else list(bounds) for joint, bounds in table.items()}


def _table_faults(section: str, table: Any, joints: Sequence[str], fault: Any) -> list[str]:
    if not isinstance(table, Mapping):
        return [f"limits.{section}: expected lines `joint: [low, high]` (got {short(table)})"]
    faults = [
        f"limits.{section}: {unknown_name('joint', str(joint), joints)}" for joint in table if joint not in joints
    ]
    found = {joint: fault(bounds) for joint, bounds in table.items() if joint in joints}
    return faults + [f"limits.{section} of {joint!r}: {problem}" for joint, problem in found.items() if problem]


def _numbers(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, float) for v in value)


def _angle_fault(bounds: Any, joints: Sequence[str] = ()) -> str:
    if isinstance(bounds, Mapping) and joints:  # a range for each child
        unknown = [unknown_name("joint", str(child), joints) for child in bounds if child not in joints]
        problems = [f"for {c!r}: {_angle_fault(b)}" for c, b in bounds.items() if c in joints and _angle_fault(b)]
        return "; ".join(unknown + problems)
    if _numbers(bounds) and 0 <= bounds[0] < bounds[1] <= 180:
        return ""
    return f"expected [low, high] in degrees with 0 <= low < high <= 180 (got {_shown(bounds)})"


def _ratio_fault(bounds: Any) -> str:
    if _numbers(bounds) and 0 < bounds[0] <= 1 <= bounds[1] and math.isfinite(bounds[1]):
        return ""
    return f"expected [low, high] with 0 < low <= 1 <= high (got {_shown(bounds)})"


def _shown(bounds: Any) -> str:
    return short(list(bounds) if isinstance(bounds, tuple) else bounds)
