"""Named sets of joints that skeletons have in common (14, 16 or 17 of them), for evaluation across datasets.

`topologies/joint_sets/common.yaml` says which parts of the body a set holds, which joint of a bundled skeleton is which
part, and where the sets are from. A skeleton is recognised by its joints and parents, not by its name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from graphpose.errors import SkeletonError, unknown_name
from graphpose.skeleton.bundled import load_skeleton, topologies_folder
from graphpose.skeleton.skeleton import Skeleton
from graphpose.skeleton.yaml_file import read_yaml

__all__ = ["common_joints", "common_sets", "parts_of"]


def common_sets() -> dict[int, tuple[str, ...]]:
    """Number of the set -> its parts of the body, in order."""
    return {int(number): tuple(parts) for number, parts in _table()["sets"].items()}


def parts_of(skeleton: Skeleton) -> dict[str, str]:
    """Part of the body -> joint of `skeleton`; raises SkeletonError for one that the table does not know."""
    table: dict[str, dict[str, str]] = _table()["skeletons"]
    for name, parts in table.items():
        if skeleton.tree() == load_skeleton(name).tree():
            return dict(parts)
    raise SkeletonError(
        f"no common joints are named for skeleton {skeleton.name!r}; they are for: {', '.join(table)} (map the clips to "
        "one of them, or measure all joints with common_joints null)"
    )


def common_joints(skeleton: Skeleton, number: int) -> tuple[str, ...]:
    """The joints of `skeleton` in the set `number` (14, 16 or 17), in the order of the skeleton.

    Raises:
        SkeletonError: no such set, or a skeleton that lacks some of its joints; the message names them.
    """
    sets = common_sets()
    if number not in sets:
        raise SkeletonError(unknown_name("set of common joints", str(number), map(str, sets)))
    parts = parts_of(skeleton)
    lacking = [part for part in sets[number] if part not in parts]
    if lacking:
        possible = [str(n) for n, wanted in sets.items() if set(wanted) <= set(parts)]
        raise SkeletonError(
            f"the {number} common joints are not all on skeleton {skeleton.name!r}: it has no {', '.join(lacking)} "
            f"(sets that it has: {', '.join(possible) or 'none'})"
        )
    wanted = {parts[part] for part in sets[number]}
    return tuple(joint for joint in skeleton.joints if joint in wanted)


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    path = topologies_folder() / "joint_sets" / "common.yaml"
    table, faults = read_yaml(path)
    for name, parts in table["skeletons"].items():
        known = load_skeleton(name).joints
        faults += [f"{name}: {unknown_name('joint', joint, known)}" for joint in parts.values() if joint not in known]
    if faults:
        raise SkeletonError(faults, source=str(path))
    return table
