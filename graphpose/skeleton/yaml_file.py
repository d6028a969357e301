"""Skeletons as YAML: a loader that refuses repeated keys, and the layout `name, source, joints, pairs, groups, ...`.

A skeleton file lists its joints in order as `name: parent` (the root's parent is `null`):

    name: biped3
    joints: {hip: null, l_foot: hip, r_foot: hip}
    pairs: [[l_foot, r_foot]]
    groups: {legs: [l_foot, r_foot]}              # optional
    loss_weights: {l_foot: 2.5, r_foot: 2.5}      # optional; joints not named get 1; without it the rule of `Skeleton`
    rest: {hip: [0, 0.9, 0], ...}                 # optional, metres, +Y up, facing +Z, left = +X
    limits:                                       # optional; see `limits.py`
      angles: {l_knee: [25, 180]}                 # degrees between the bones that meet at the joint, 180 = straight;
                                                  # or {chest: {neck: [110, 180]}}, for the bones to single children
      hinges: [l_knee]                            # bends to one side only
      lengths: [0.8, 1.25]                        # or {default: [0.8, 1.25], l_foot: [0.9, 1.1]}: ratios of bone lengths
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from graphpose.errors import SkeletonError, unknown_name
from graphpose.skeleton.limits import limits_from_dict
from graphpose.skeleton.skeleton import Skeleton
from graphpose.skeleton.validation import find_faults, short

__all__ = ["read_skeleton", "read_yaml", "skeleton_from_dict", "skeleton_to_dict", "write_skeleton"]

KEYS = ("name", "source", "joints", "pairs", "groups", "loss_weights", "rest", "limits")


class _Loader(yaml.SafeLoader):
    """SafeLoader that notes every key given twice in one mapping (YAML itself lets the last one win in silence)."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        if isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, _ in node.value:
                line = key.start_mark.line + 1
                text = key.value if isinstance(key, yaml.ScalarNode) else None
                if text is not None and text in first:
                    self.repeated.append(f"line {line}: the key {text!r} is given again (first in line {first[text]})")
                elif text is not None:
                    first[text] = line
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: str | Path) -> tuple[dict[str, Any], list[str]]:
    """The mapping in a YAML file, and a message for every repeated key.

    Raises:
        SkeletonError: no such file, not text, not YAML (with the line), or not a mapping at its top.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SkeletonError(f"cannot be read ({error.strerror or error})", source=str(path)) from error
    except UnicodeDecodeError as error:
        raise SkeletonError(f"expected UTF-8 text (byte {error.start} is not)", source=str(path)) from error
    try:
        loader = _Loader(text)
        try:
            data = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SkeletonError(f"{where}expected YAML ({problem})", source=str(path)) from error
    except (ValueError, OverflowError) as error:  # e.g. a date that does not exist
        raise SkeletonError(f"expected YAML ({error})", source=str(path)) from error
    except RecursionError as error:
        raise SkeletonError("expected YAML (nested too deeply)", source=str(path)) from error
    if not isinstance(data, dict):
        what = "an empty file" if data is None else f"a {type(data).__name__}"
        raise SkeletonError(f"expected `key: value` lines at the top (got {what})", source=str(path))
    return data, loader.repeated


def read_skeleton(path: str | Path) -> Skeleton:
    """The skeleton in a YAML file; raises one SkeletonError that names the file and lists every fault."""
    data, repeated = read_yaml(path)
    return skeleton_from_dict(data, source=str(path), more_faults=repeated)


def skeleton_from_dict(
    data: Mapping[str, Any], *, source: str | None = None, more_faults: list[str] | None = None
) -> Skeleton:
    """A skeleton from the layout above; raises one SkeletonError that lists every fault, `more_faults` first."""
    faults = list(more_faults or [])
    faults += [unknown_name("key", str(key), KEYS) for key in data if key not in KEYS]
    faults += [f"the key {key!r} is missing" for key in ("name", "joints") if key not in data]
    joints, parents, spelled = _read_joints(data.get("joints", {}), faults)
    fields = {
        "name": data.get("name", "unnamed"),
        "joints": joints,
        "parents": parents,
        "pairs": _or_empty(data.get("pairs"), ()),
        "groups": _or_empty(data.get("groups"), {}),
        "loss_weights": _read_weights(data.get("loss_weights"), joints, faults),
        "rest": _read_rest(data.get("rest"), joints, faults),
        "source": _or_empty(data.get("source"), ""),
        "limits": limits_from_dict(data.get("limits"), faults),
    }
    if joints or not faults:  # without joints, everything else would be reported as unknown
        faults += find_faults(fields, parent_names=spelled)
    if faults:
        raise SkeletonError(faults, source=source or f"skeleton {short(fields['name'])}")
    fields["pairs"] = tuple((left, right) for left, right in fields["pairs"])
    fields["groups"] = {group: tuple(members) for group, members in fields["groups"].items()}
    return Skeleton(**fields)


def _or_empty(value: Any, empty: Any) -> Any:
    return empty if value is None else value  # `pairs:` with nothing after it


def _read_joints(table: Any, faults: list[str]) -> tuple[tuple[str, ...], tuple[int, ...], list[Any]]:
    if not isinstance(table, Mapping):
        faults.append(f"joints: expected lines `name: parent` with `null` for the root (got {short(table)})")
        return (), (), []
    for name in table:
        if not isinstance(name, str):
            faults.append(f"joints: expected names (got {short(name)}; a name that YAML reads otherwise needs quotes)")
    named = {str(name): parent for name, parent in table.items()}
    place = {name: i for i, name in enumerate(named)}
    outside = len(named)  # an index that no joint has: reported as unknown, with the parent as spelled
    parents = tuple(
        -1 if p is None else place.get(p, outside) if isinstance(p, str) else outside for p in named.values()
    )
    return tuple(named), parents, list(named.values())


def _read_weights(table: Any, joints: tuple[str, ...], faults: list[str]) -> tuple[Any, ...]:
    if table is None:
        return ()
    if not isinstance(table, Mapping):
        faults.append(f"loss_weights: expected lines `joint: weight` (got {short(table)})")
        return ()
    faults += [f"loss_weights: {unknown_name('joint', str(name), joints)}" for name in table if name not in joints]
    return tuple(table.get(name, 1.0) for name in joints)


def _read_rest(table: Any, joints: tuple[str, ...], faults: list[str]) -> np.ndarray | None:
    if table is None:
        return None
    if not isinstance(table, Mapping):
        faults.append(f"rest: expected lines `joint: [x, y, z]` (got {short(table)})")
        return None
    faults += [f"rest: {unknown_name('joint', str(name), joints)}" for name in table if name not in joints]
    missing = [name for name in joints if name not in table]
    if missing:
        faults.append(f"rest: expected a position for every joint (missing: {', '.join(missing)})")
    rows, good = [], not missing
    for name in joints:
        point = table.get(name, [0, 0, 0])
        if isinstance(point, list) and len(point) == 3 and all(type(v) in (int, float) for v in point):
            rows.append([float(v) for v in point])
        else:
            faults.append(f"rest of {name!r}: expected [x, y, z] in metres (got {short(point)})")
            good = False
    return np.array(rows) if good else None


def skeleton_to_dict(skeleton: Skeleton) -> dict[str, Any]:
    """The layout above as plain Python values (JSON can hold it too); empty parts are left out."""
    names = skeleton.joints
    data: dict[str, Any] = {"name": skeleton.name}
    if skeleton.source:
        data["source"] = skeleton.source
    data["joints"] = skeleton.tree()
    if skeleton.pairs:
        data["pairs"] = [list(pair) for pair in skeleton.pairs]
    if skeleton.groups:
        data["groups"] = {group: list(members) for group, members in skeleton.groups.items()}
    if skeleton.loss_weights:
        data["loss_weights"] = dict(zip(names, skeleton.loss_weights, strict=True))
    if skeleton.rest is not None:
        data["rest"] = {name: [float(v) for v in row] for name, row in zip(names, skeleton.rest, strict=True)}
    if skeleton.limits is not None:
        data["limits"] = skeleton.limits.to_dict()
    return data


def write_skeleton(skeleton: Skeleton, path: str | Path) -> None:
    """Write the YAML file: one joint a line, the short lists on one line; raises SkeletonError when it cannot."""
    lines = []
    for key, value in skeleton_to_dict(skeleton).items():
        if isinstance(value, dict):
            lines += [f"{key}:", *(f"  {_flow(name)}: {_flow(entry)}" for name, entry in value.items())]
        elif isinstance(value, list):
            lines += [f"{key}:", *(f"  - {_flow(entry)}" for entry in value)]
        else:
            lines.append(yaml.safe_dump({key: value}, width=110, allow_unicode=True).rstrip("\n"))
    try:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise SkeletonError(f"cannot be written ({error.strerror or error})", source=str(path)) from error


def _flow(value: Any) -> str:
    """One YAML value on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").rstrip("\n")
