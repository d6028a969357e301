"""A record in one file: safetensors, and everything that is not a tensor as JSON in its header under the key `graphpose-record`.

Loading runs no code and needs nothing but the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from graphpose.analysis.attention.record import Attention, Fusion, Record, Topology, Window
from graphpose.errors import DataError, GraphposeError
from graphpose.formats._atomic import replacing, require_file
from graphpose.skeleton import Skeleton

__all__ = ["load_record", "save_record"]

FORMAT_VERSION = 1
_KEY = "graphpose-record"
_ARRAYS = ("kept", "keypoints", "prediction", "target", "visible")


def save_record(record: Record, path: str | Path) -> Path:
    """Writes a record; the file is complete or not there at all. Its name usually ends in `.safetensors`.

    Raises:
        DataError: a folder of that name, or options, versions or windows that JSON cannot hold.
    """
    path = Path(path)
    require_file(path)
    tensors: dict[str, Tensor] = {}
    for number, one in enumerate(record.attention):
        for part in ("weights", "frames", "key_frames"):
            tensors |= {f"attention.{number}.{part}": value for value in [getattr(one, part)] if value is not None}
    for number, topology in enumerate(record.topologies):
        tensors |= {f"topology.{number}.local": topology.local, f"topology.{number}.total": topology.total}
    tensors |= {f"fusion.{number}": fusion.weights for number, fusion in enumerate(record.fusions)}
    tensors |= {f"prior.{number}": tokens for number, tokens in enumerate(record.priors.values())}
    for number, parts in enumerate(record.reduced.values()):
        tensors |= {f"reduced.{number}.{place}": part for place, part in enumerate(parts)}
    tensors |= {name: value for name in _ARRAYS if (value := getattr(record, name)) is not None}
    description = {
        "format": FORMAT_VERSION,
        "skeleton": record.skeleton.to_dict(),
        "attention": [
            {
                "name": one.name,
                "layer": one.layer,
                "axis": one.axis,
                "heads": one.heads,
                "across": one.across,
                "order": one.order,
            }
            for one in record.attention
        ],
        "topologies": [{"name": one.name, "axis": one.axis, "relation": one.relation} for one in record.topologies],
        "priors": list(record.priors),
        "fusions": [{"name": one.name, "layer": one.layer} for one in record.fusions],
        "reduced": {name: len(parts) for name, parts in record.reduced.items()},
        "windows": [asdict(window) for window in record.windows],
        "model": record.model,
        "options": record.options,
        "versions": record.versions,
    }
    try:
        header = json.dumps(description)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}: expected options, versions and windows of plain values, as JSON has them (got a record with others: {error})"
        ) from error
    # each tensor on its own: safetensors refuses those that share memory
    held = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    content = serialize(held, metadata={_KEY: header})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_bytes(content)
    return path


def load_record(path: str | Path) -> Record:
    """The record in a file that `save_record` wrote.

    Raises:
        DataError: no such file, a damaged one, or one that holds no record.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such record{' (a folder)' if path.is_dir() else ''}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()} if _KEY in metadata else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: expected a file that save_record wrote (got no readable safetensors file: {error})"
        ) from error
    if _KEY not in metadata:
        what = "a checkpoint: load it with graphpose.load" if "graphpose" in metadata else "other tensors"
        raise DataError(f"{path}: expected a file that save_record wrote (got {what})")
    try:
        description = json.loads(metadata[_KEY])
        version = description["format"]
        if version == FORMAT_VERSION:
            return _record(description, tensors)
    except (GraphposeError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        text = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: damaged description in its header ({type(error).__name__}: {text})") from error
    raise DataError(
        f"{path}: record format {version}, this graphpose reads {FORMAT_VERSION}: install a matching version"
    )


def _record(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Record:
    attention = [
        Attention(
            name=one["name"],
            layer=int(one["layer"]),
            axis=one["axis"],
            weights=tensors[f"attention.{number}.weights"],
            heads=tuple(one["heads"]),
            across=None if one["across"] is None else tuple(one["across"]),
            order=int(one["order"]),
            frames=tensors.get(f"attention.{number}.frames"),
            key_frames=tensors.get(f"attention.{number}.key_frames"),
        )
        for number, one in enumerate(description["attention"])
    ]
    topologies = [
        Topology(
            one["name"],
            one["axis"],
            one["relation"],
            tensors[f"topology.{number}.local"],
            tensors[f"topology.{number}.total"],
        )
        for number, one in enumerate(description["topologies"])
    ]
    return Record(
        Skeleton.from_dict(description["skeleton"]),
        attention,
        {name: tensors[f"prior.{number}"] for number, name in enumerate(description["priors"])},
        topologies,
        windows=[_window(window) for window in description["windows"]],
        model=str(description["model"]),
        options=dict(description["options"]),
        versions=dict(description["versions"]),
        reduced={
            name: [tensors[f"reduced.{number}.{place}"] for place in range(count)]
            for number, (name, count) in enumerate(description["reduced"].items())
        },
        fusions=[
            Fusion(one["name"], int(one["layer"]), tensors[f"fusion.{number}"])
            for number, one in enumerate(description.get("fusions", []))  # older files have none
        ],
        **{name: tensors.get(name) for name in _ARRAYS},
    )


def _window(held: Mapping[str, Any]) -> Window:
    up = held.get("up")  # older files have none
    return Window(**{**held, "up": None if up is None else (float(up[0]), float(up[1]), float(up[2]))})
