"""What makes a list of joints one body: every fault of a skeleton is found, in words, before any is reported."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from reprlib import repr as short  # a value in a message never fills the screen
from typing import Any

import numpy as np

from graphpose.skeleton.limits import limit_faults

__all__ = ["find_faults", "short"]


def find_faults(fields: Mapping[str, Any], *, parent_names: Sequence[Any] | None = None) -> list[str]:
    """Every fault of a skeleton's `fields` (the tree, the names, the pairs, the limbs, the weights, the rest pose,
    the limits).

    `parent_names` are the parents as a file spells them, for the message about a parent that does not exist.
    """
    faults = _wrong_types(fields)
    if faults:
        return faults  # nothing below can be said about fields of the wrong type
    joints = fields["joints"]
    if not joints:
        return ["expected at least one joint (got none)"]
    faults += [f"joint {name!r} is given {n} times" for name, n in Counter(joints).items() if n > 1]
    faults += _tree_faults(joints, fields["parents"], parent_names)
    faults += _pair_faults(joints, fields["pairs"])
    faults += _group_faults(joints, fields["groups"])
    faults += _weight_faults(joints, fields["loss_weights"])
    faults += _rest_faults(joints, fields["rest"])
    if not faults:
        faults += limit_faults(fields["limits"], joints, fields["parents"], fields["pairs"])
    return faults


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_index(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _wrong_types(fields: Mapping[str, Any]) -> list[str]:
    faults = []
    name, joints, parents, pairs = (fields[key] for key in ("name", "joints", "parents", "pairs"))
    groups, weights, source = (fields[key] for key in ("groups", "loss_weights", "source"))
    if not isinstance(name, str) or not name:
        faults.append(f"name: expected a non-empty text (got {short(name)})")
    if not _is_sequence(joints):
        faults.append(f"joints: expected a list of names (got {short(joints)})")
    else:
        faults += [f"joints: expected names (got {short(j)})" for j in joints if not isinstance(j, str) or not j]
    if not _is_sequence(parents) or not all(_is_index(p) for p in parents):
        faults.append(f"parents: expected a list of joint indices (got {short(parents)})")
    if not _is_sequence(pairs):
        faults.append(f"pairs: expected a list of [left, right] (got {short(pairs)})")
    else:
        for pair in pairs:
            if not _is_sequence(pair) or len(pair) != 2 or not all(isinstance(j, str) for j in pair):
                faults.append(f"pairs: expected [left, right] (got {short(pair)})")
    if not isinstance(groups, Mapping):
        faults.append(f"groups: expected limb names with lists of joints (got {short(groups)})")
    else:
        for group, members in groups.items():
            if not isinstance(group, str) or not _is_sequence(members) or not all(isinstance(j, str) for j in members):
                faults.append(f"groups: expected a list of joint names for {short(group)} (got {short(members)})")
    if not _is_sequence(weights):
        faults.append(f"loss_weights: expected a list of numbers (got {short(weights)})")
    if not isinstance(source, str):
        faults.append(f"source: expected a text (got {short(source)})")
    return faults


def _tree_faults(joints: Sequence[str], parents: Sequence[int], spelled: Sequence[Any] | None) -> list[str]:
    if len(parents) != len(joints):
        return [f"expected one parent a joint, {len(joints)} in all (got {len(parents)})"]
    faults = []
    for j, p in enumerate(parents):
        if p == j:
            faults.append(f"joint {joints[j]!r} is its own parent")
        elif p < -1 or p >= len(joints):
            unknown = f"{p} (expected -1 to {len(joints) - 1})" if spelled is None else short(spelled[j])
            faults.append(f"joint {joints[j]!r} has the unknown parent {unknown}")
    roots = [joints[j] for j, p in enumerate(parents) if p == -1]
    if not roots:
        faults.append("there is no root: give exactly one joint no parent")
    elif len(roots) > 1:
        faults.append(f"there are {len(roots)} roots, expected one: {', '.join(roots)}")
    return faults + [f"the parents go in a circle: {' -> '.join(joints[j] for j in c)}" for c in _cycles(parents)]


def _cycles(parents: Sequence[int]) -> Iterable[list[int]]:
    """Each circle of two joints or more once, closed: [a, b, a]."""
    state = [0] * len(parents)  # 0 not seen, else the number of the walk that saw it
    for walk, start in enumerate(range(len(parents)), 1):
        path, joint = [], start
        while 0 <= joint < len(parents) and state[joint] == 0:
            state[joint] = walk
            path.append(joint)
            joint = parents[joint]
        if 0 <= joint < len(parents) and state[joint] == walk and parents[joint] != joint:
            yield [*path[path.index(joint) :], joint]


def _pair_faults(joints: Sequence[str], pairs: Sequence[Sequence[str]]) -> list[str]:
    faults = []
    for left, right in pairs:
        faults += [
            f"pair [{left}, {right}]: there is no joint {name!r}" for name in (left, right) if name not in joints
        ]
        if left == right:
            faults.append(f"joint {left!r} is paired with itself")
    count = Counter(name for left, right in pairs for name in {left, right})
    return faults + [f"joint {name!r} is in {n} pairs, expected at most one" for name, n in count.items() if n > 1]


def _group_faults(joints: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    faults = []
    for name, members in groups.items():
        faults += [f"group {name!r}: there is no joint {joint!r}" for joint in members if joint not in joints]
        faults += [f"group {name!r}: joint {j!r} is given {n} times" for j, n in Counter(members).items() if n > 1]
    return faults


def _weight_faults(joints: Sequence[str], weights: Sequence[float]) -> list[str]:
    if not weights:
        return []
    if len(weights) != len(joints):
        return [f"loss_weights: expected {len(joints)} numbers, one a joint (got {len(weights)})"]
    faults = []
    for joint, weight in zip(joints, weights, strict=True):
        number = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            faults.append(f"loss weight of {joint!r}: expected a number of at least 0 (got {short(weight)})")
    if not faults and sum(weights) == 0:
        faults.append("loss_weights: expected at least one above 0 (got only zeros)")
    return faults


def _rest_faults(joints: Sequence[str], rest: Any) -> list[str]:
    if rest is None:
        return []
    try:
        array = np.asarray(rest, dtype=np.float64)
    except (TypeError, ValueError):
        return ["rest: expected a table of numbers [J, 3] in metres"]
    if array.shape != (len(joints), 3):
        return [f"rest: expected the shape ({len(joints)}, 3) (got {array.shape})"]
    bad = [joints[int(j)] for j in np.flatnonzero(~np.isfinite(array).all(axis=1))]
    return [f"rest: expected finite metres (got NaN or infinity for {', '.join(bad)})"] if bad else []
