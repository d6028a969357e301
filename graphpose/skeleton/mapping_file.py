"""Joint mappings as YAML files; the layout is in `mapping.py`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from graphpose.errors import SkeletonError, unknown_name
from graphpose.skeleton.bundled import available_skeletons, load_skeleton
from graphpose.skeleton.mapping import JointMapping
from graphpose.skeleton.mapping_check import mapping_faults
from graphpose.skeleton.validation import short
from graphpose.skeleton.yaml_file import read_yaml

__all__ = ["mapping_to_dict", "number", "read_mapping", "write_mapping"]

KEYS = ("source", "target", "origin", "joints")
POINT_KEYS = ("joint", "offset", "sideways")


def read_mapping(path: str | Path) -> JointMapping:
    """The mapping in a file; raises one SkeletonError that names the file and lists every fault."""
    data, faults = read_yaml(path)
    faults = [*faults, *(unknown_name("key", str(key), KEYS) for key in data if key not in KEYS)]
    for key in ("source", "target"):
        if not isinstance(data.get(key), str):
            faults.append(f"{key}: expected the name of a skeleton (got {short(data.get(key))})")
    table = data.get("joints")
    if not isinstance(table, Mapping) or not table:
        faults.append(f"joints: expected lines `target joint: source joint` (got {short(table)})")
        table = {}
    weights: dict[str, dict[str, float]] = {}
    points: dict[str, tuple[float, float, float]] = {}
    sideways: dict[str, str] = {}
    for joint, row in table.items():
        if not isinstance(joint, str):
            faults.append(f"joints: expected names (got {short(joint)}; a name that YAML reads otherwise needs quotes)")
        elif isinstance(row, Mapping) and "offset" in row:
            weights[joint], points[joint] = _read_point(joint, row, sideways, faults)
        else:
            weights[joint] = _read_weights(joint, row, faults)
    if not faults and {data["source"], data["target"]} <= set(available_skeletons()):
        source, target = load_skeleton(data["source"]), load_skeleton(data["target"])
        faults += mapping_faults(weights, points, sideways, source, target)
    if faults:
        raise SkeletonError(faults, source=str(path))
    return JointMapping(data["source"], data["target"], weights, points, sideways, str(data.get("origin") or ""))


def number(value: Any) -> float | None:
    """A number or a fraction such as 2/3; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(Fraction(value)) if isinstance(value, str) else float(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def _read_weights(joint: str, row: Any, faults: list[str]) -> dict[str, float]:
    if isinstance(row, str):
        return {row: 1.0}
    if not isinstance(row, Mapping) or not row:
        faults.append(f"{joint}: expected a source joint or {{joint: weight, ...}} (got {short(row)})")
        return {}
    found = {}
    for name, value in row.items():
        weight = number(value)
        if weight is None or not isinstance(name, str):
            faults.append(
                f"{joint}: expected a source joint with a number such as 0.5 or 1/2 (got {short({name: value})})"
            )
        else:
            found[name] = weight
    return found


def _read_point(
    joint: str, row: Mapping[str, Any], sideways: dict[str, str], faults: list[str]
) -> tuple[dict[str, float], tuple[float, float, float]]:
    faults += [f"{joint}: {unknown_name('key', str(key), POINT_KEYS)}" for key in row if key not in POINT_KEYS]
    name, axis = row.get("joint"), row.get("sideways", "x")
    if not isinstance(name, str):
        faults.append(f"{joint}: expected `joint:` with the source joint that carries the offset (got {short(name)})")
    if axis not in ("x", "y", "z"):
        faults.append(f"{joint}: expected `sideways:` to be x, y or z (got {short(axis)})")
    elif "sideways" in row:
        sideways[joint] = axis
    offset = row["offset"]
    numbers = [number(v) for v in offset] if isinstance(offset, list) else []
    if len(numbers) != 3 or any(v is None for v in numbers):
        faults.append(f"{joint}: expected `offset:` to be [x, y, z] in metres (got {short(offset)})")
        return {str(name): 1.0}, (0.0, 0.0, 0.0)
    x, y, z = (float(v) for v in numbers if v is not None)
    return {str(name): 1.0}, (x, y, z)


def mapping_to_dict(mapping: JointMapping) -> dict[str, Any]:
    """The layout of the file as plain Python values."""
    joints: dict[str, Any] = {}
    for joint, row in mapping.weights.items():
        if joint in mapping.points:
            joints[joint] = {"joint": next(iter(row)), "offset": list(mapping.points[joint])}
            if joint in mapping.sideways:
                joints[joint]["sideways"] = mapping.sideways[joint]
        else:
            joints[joint] = dict(row)
    origin = {"origin": mapping.origin} if mapping.origin else {}
    return {"source": mapping.source, "target": mapping.target, **origin, "joints": joints}


def write_mapping(mapping: JointMapping, path: str | Path) -> None:
    """Write the YAML file; raises SkeletonError when it cannot."""
    text = yaml.safe_dump(mapping_to_dict(mapping), sort_keys=False, allow_unicode=True)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SkeletonError(f"cannot be written ({error.strerror or error})", source=str(path)) from error
