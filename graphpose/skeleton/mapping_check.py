"""What makes a joint mapping sound: every fault in words, left/right consistency included.

With mirrors m_s, m_t of source and target: `M[m_t(i), m_s(j)] = M[i, j]` for all i, j; because exchanging left and right
everywhere satisfies that too, no joint may weigh the other side more than its own. An offset must hang on mirrored joints
with equal lengths, and on a joint of the midline it must not point sideways (no head sits beside its neck).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from graphpose.errors import unknown_name
from graphpose.skeleton.skeleton import Skeleton

__all__ = ["mapping_faults"]

TOLERANCE = 1e-6
AXES = ("x", "y", "z")
Rows = Mapping[str, Mapping[str, float]]
Points = Mapping[str, tuple[float, float, float]]


def mapping_faults(
    weights: Rows, points: Points, sideways: Mapping[str, str], source: Skeleton, target: Skeleton
) -> list[str]:
    """Every fault of a mapping's rows between two skeletons; an empty list when it is sound."""
    faults = [
        f"target: {unknown_name('joint', joint, target.joints)}" for joint in weights if joint not in target.joints
    ]
    missing = [joint for joint in target.joints if joint not in weights]
    if missing:
        faults.append(f"expected a row for every target joint (missing: {', '.join(missing)})")
    for joint, row in weights.items():
        faults += [
            f"{joint}: {unknown_name('joint', name, source.joints)}" for name in row if name not in source.joints
        ]
        faults += [
            f"{joint}: weight of {n!r} is not a finite number ({w})" for n, w in row.items() if not math.isfinite(w)
        ]
        total = sum(row.values())
        if not abs(total - 1.0) <= TOLERANCE:
            faults.append(f"{joint}: expected weights that sum to 1 (got {total:g})")
    for joint, point in points.items():
        if len(weights.get(joint, {})) != 1:
            faults.append(f"{joint}: an offset needs exactly one joint to hang on (got {len(weights.get(joint, {}))})")
        if len(point) != 3 or not all(math.isfinite(v) for v in point):
            faults.append(f"{joint}: expected an offset of three finite numbers in metres (got {list(point)})")
    faults += [
        f"{joint}: expected the sideways axis x, y or z (got {a!r})" for joint, a in sideways.items() if a not in AXES
    ]
    if faults or not source.pairs or not target.pairs:
        return faults  # sides are compared between sound rows only
    return [
        *_mirror_faults(weights, source, target),
        *_swap_faults(weights, source, target),
        *_offset_faults(weights, points, sideways, source, target),
    ]


def _mirrored(skeleton: Skeleton, joint: str) -> str:
    return skeleton.joints[skeleton.mirror[skeleton.index(joint)]]


def _text(row: Mapping[str, float]) -> str:
    return " + ".join(f"{weight:g} {name}" for name, weight in sorted(row.items()))


def _mirror_faults(weights: Rows, source: Skeleton, target: Skeleton) -> list[str]:
    faults = []
    for joint in target.joints:
        partner = _mirrored(target, joint)
        if target.index(partner) < target.index(joint):
            continue  # said once, at the first of the two
        image = {_mirrored(source, name): weight for name, weight in weights[joint].items()}
        other = weights[partner]
        if any(abs(image.get(name, 0.0) - other.get(name, 0.0)) > TOLERANCE for name in {*image, *other}):
            if partner == joint:
                faults.append(f"{joint} is on the midline, but {_text(other)} is not the mirror image of itself")
            else:
                faults.append(
                    f"left and right disagree: {joint} = {_text(weights[joint])}, "
                    f"so {partner} should be {_text(image)} (got {_text(other)})"
                )
    return faults


def _swap_faults(weights: Rows, source: Skeleton, target: Skeleton) -> list[str]:
    """The target joints of one side that are made of the source's other side, so that the motion would be mirrored."""
    faults = []
    for joint in target.joints:
        side = _side(target, joint)
        if not side:
            continue
        share = {"left": 0.0, "right": 0.0, "": 0.0}
        for name, weight in weights[joint].items():
            share[_side(source, name)] += weight
        other = "right" if side == "left" else "left"
        if share[other] > share[side] + TOLERANCE:
            names = ", ".join(name for name in weights[joint] if _side(source, name) == other)
            faults.append(
                f"left and right are exchanged: {joint} ({side} in {target.name!r}) is made of {names} ({other} in "
                f"{source.name!r}; pairs are [left, right] in that order): exchange the rows of the two sides, or the "
                "names in the pairs of the skeleton that has them the other way round"
            )
    return faults


def _side(skeleton: Skeleton, joint: str) -> str:
    index = skeleton.index(joint)
    return "left" if index in skeleton.left else "right" if index in skeleton.right else ""


def _offset_faults(
    weights: Rows, points: Points, sideways: Mapping[str, str], source: Skeleton, target: Skeleton
) -> list[str]:
    faults = []
    for joint, point in points.items():
        partner = _mirrored(target, joint)
        if partner != joint:
            length, other = math.hypot(*point), math.hypot(*points.get(partner, (0.0, 0.0, 0.0)))
            if abs(length - other) > TOLERANCE:
                faults.append(f"the offsets of {joint} and {partner} differ in length ({length:g} and {other:g} m)")
            continue
        axis = sideways.get(joint, "x")
        amount = point[AXES.index(axis)]
        if abs(amount) > TOLERANCE:
            faults.append(
                f"{joint} is on the midline, but its offset has {amount:g} m along the sideways axis {axis} of "
                f"{next(iter(weights[joint]))} (if another local axis points sideways, say so: `sideways: z`)"
            )
    return faults
