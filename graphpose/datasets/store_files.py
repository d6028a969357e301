"""The files of a prepared store: Arrow IPC, uncompressed, float32, one record batch a clip.

    column      floats a frame
    positions   3 J    metres, world space (or camera space, as the label says)
    keypoints   2 J    as in the source; NaN = missing
    confidence  J
    camera      21     of a camera that moves: rotation 9, position 3, focal 2, center 2, radial 3, tangential 2

A batch carries the label of its clip as JSON in its metadata, and the file the sources it was made of, so that the index can be
made again from the shards alone. Every file is written under another name, synced, and then renamed: it is whole or not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from graphpose.errors import DataError
from graphpose.geometry import Camera
from graphpose.motion import MotionClip

__all__ = [
    "CAMERA",
    "COLUMNS",
    "FORMAT",
    "HEAD",
    "INDEX",
    "SHARDS",
    "VERSION",
    "camera_label",
    "camera_of",
    "camera_rows",
    "check_head",
    "durable",
    "read_head",
    "read_index",
    "read_shard",
    "shard_about",
    "write_index",
    "write_shard",
]

FORMAT, VERSION = "graphpose store", 1
HEAD, INDEX, SHARDS = "store.json", "index.arrow", "shards"
CAMERA = {"rotation": (3, 3), "position": (3,), "focal": (2,), "center": (2,), "radial": (3,), "tangential": (2,)}
"""The numbers of a camera, in the order of a row of 21."""
COLUMNS: dict[str, Callable[[int], int]] = {
    "positions": lambda joints: 3 * joints,
    "keypoints": lambda joints: 2 * joints,
    "confidence": lambda joints: joints,
    "camera": lambda joints: 21,
}
"""Floats a frame of each column, from the number of joints."""


def arrow() -> Any:
    """The package pyarrow; raises DataError that says how to install it."""
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        raise DataError('stores are Arrow files, which need pyarrow: pip install "graphpose[store]"') from None
    return pyarrow


@contextmanager
def durable(path: Path) -> Iterator[IO[bytes]]:
    """A file that becomes `path` when the block ends well, on the disk by then; it never exists half-written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)


# ---------------------------------------------------------------------------------------------------------- store.json
def read_head(store: Path) -> dict[str, Any]:
    """What store.json says; raises DataError when it is none of ours or damaged."""
    path = store / HEAD
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{store}: no store here; make one with `graphpose data prepare PATH --out {store}`") from None
    except ValueError as fault:
        raise DataError(f"{path}: damaged ({fault}); prepare the store again with --overwrite") from None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise DataError(f"{path}: expected a graphpose store (got another file of that name)")
    return head


def check_head(store: Path, head: Mapping[str, Any]) -> None:
    """Refuses a store of another format version."""
    if head.get("version") != VERSION:
        raise DataError(
            f"{store}: a store of format {head.get('version')}, written by graphpose {head.get('graphpose')}; this version reads "
            f"format {VERSION}: prepare it again with --overwrite (or another --out), or use that version of graphpose"
        )


# -------------------------------------------------------------------------------------------------------------- shards
def write_shard(
    path: Path, clips: Sequence[MotionClip], labels: Sequence[str], joints: int, about: Mapping[str, Any]
) -> None:
    """One Arrow file of clips with their `labels` (JSON); `about` goes into its metadata."""
    pa = arrow()
    arrays = [_arrays(clip, joints) for clip in clips]
    names = [name for name in COLUMNS if any(name in of_clip for of_clip in arrays)] or ["positions"]
    kinds = {name: pa.list_(pa.float32(), COLUMNS[name](joints)) for name in names}
    schema = pa.schema(list(kinds.items()), metadata={b"graphpose": json.dumps(about, sort_keys=True).encode()})
    with durable(path) as file, pa.ipc.new_file(file, schema) as writer:
        for clip, of_clip, label in zip(clips, arrays, labels, strict=True):
            columns = [_column(pa, of_clip.get(name), kinds[name], len(clip)) for name in names]
            held = json.dumps([name for name in names if name in of_clip])
            writer.write_batch(pa.record_batch(columns, schema=schema), custom_metadata={"clip": label, "held": held})


def _arrays(clip: MotionClip, joints: int) -> dict[str, np.ndarray]:
    arrays = {
        name: value.reshape(len(clip), COLUMNS[name](joints)).contiguous().numpy()
        for name in ("positions", "keypoints", "confidence")
        if (value := getattr(clip, name)) is not None
    }
    if clip.camera is not None and clip.camera.shape:
        arrays["camera"] = camera_rows(clip.camera).expand(len(clip), -1).contiguous().numpy()
    return arrays


def _column(pa: Any, values: np.ndarray | None, kind: Any, frames: int) -> Any:
    if values is None:
        return pa.nulls(frames, kind)
    return pa.FixedSizeListArray.from_arrays(
        pa.Array.from_buffers(pa.float32(), values.size, [None, pa.py_buffer(values)]), type=kind
    )


def shard_about(path: Path) -> dict[str, Any] | None:
    """The metadata of a shard; None when the file is no whole Arrow file (a disk that lost it)."""
    pa = arrow()
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            return dict(json.loads(reader.schema.metadata[b"graphpose"]))
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
        return None


def read_shard(path: Path) -> Iterator[dict[str, Any]]:
    """A row of the index for each clip of a shard: frames, label, and the first byte of each column (-1: not held)."""
    pa = arrow()
    with pa.memory_map(str(path)) as source:
        whole = source.read_buffer(source.size())
        with pa.ipc.open_file(whole) as reader:
            for number in range(reader.num_record_batches):
                batch, about = reader.get_batch_with_custom_metadata(number)
                held = json.loads(about[b"held"])
                at = {
                    name: batch.column(name).buffers()[-1].address - whole.address if name in held else -1
                    for name in COLUMNS
                }
                yield {"frames": batch.num_rows, "label": about[b"clip"].decode(), **at}


# --------------------------------------------------------------------------------------------------------------- index
def write_index(store: Path, shards: Sequence[Path]) -> tuple[int, int, list[tuple[str, str]]]:
    """Makes index.arrow from the shards; gives the number of clips and frames, and (source, fault) of files left out."""
    pa = arrow()
    rows: list[dict[str, Any]] = []
    files, skipped = [], []
    for number, path in enumerate(shards):
        rows += [{"shard": number, **row} for row in read_shard(path)]
        files.append([path.name, path.stat().st_size])
        skipped += [tuple(one) for one in (shard_about(path) or {}).get("skipped", [])]
    if not rows:
        raise DataError(f"{store}: no clip in any of the source files; nothing to prepare")
    schema = pa.schema(
        [
            ("shard", pa.int32()),
            ("frames", pa.int64()),
            ("label", pa.string()),
            *((name, pa.int64()) for name in COLUMNS),
        ],
        metadata={b"graphpose": json.dumps({"shards": files, "skipped": skipped}).encode()},
    )
    table = pa.Table.from_pylist(rows, schema=schema)
    with durable(store / INDEX) as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_table(table)
    return len(rows), sum(row["frames"] for row in rows), skipped


def read_index(store: Path) -> tuple[list[dict[str, Any]], list[tuple[str, int]], list[tuple[str, str]]]:
    """What each clip is and where it lies, (name, bytes) of each shard, and (source, fault) of the files left out."""
    pa = arrow()
    try:
        with pa.OSFile(str(store / INDEX)) as source, pa.ipc.open_file(source) as reader:
            table = reader.read_all()
        about = json.loads(table.schema.metadata[b"graphpose"])
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as fault:
        raise DataError(
            f"{store / INDEX}: damaged ({' '.join(str(fault).split())}); remove this file and run the same "
            "`graphpose data prepare` command again: the index is made anew from the shards"
        ) from None
    rows = [
        {"shard": shard, "frames": frames, "label": label, "at": {name: columns[name][i] for name in COLUMNS}}
        for i, (shard, frames, label) in enumerate(
            zip(columns["shard"], columns["frames"], columns["label"], strict=True)
        )
    ]
    return rows, [(name, size) for name, size in about["shards"]], [(path, fault) for path, fault in about["skipped"]]


# -------------------------------------------------------------------------------------------------------------- cameras
def camera_rows(camera: Camera) -> Tensor:
    """float32 `[..., 21]`: the numbers of a camera."""
    parts = [getattr(camera, name).reshape(*camera.shape, -1) for name in CAMERA]
    return torch.cat(parts, dim=-1).float()


def camera_label(camera: Camera | None) -> dict[str, Any] | None:
    """What JSON keeps of a camera: everything of one that stands still, all but the numbers of one that moves."""
    if camera is None:
        return None
    rest = {item.name: getattr(camera, item.name) for item in fields(camera) if item.name not in CAMERA}
    return {**rest, "numbers": None if camera.shape else camera_rows(camera).tolist()}


def camera_of(label: Mapping[str, Any], rows: Tensor | None) -> Camera:
    """The camera of a label; `rows [T, 21]` are the numbers of one that moves."""
    numbers = torch.tensor(label["numbers"], dtype=torch.float32) if rows is None else rows
    parts = numbers.split([int(np.prod(shape)) for shape in CAMERA.values()], dim=-1)
    tensors: dict[str, Any] = {
        name: part.reshape(*numbers.shape[:-1], *shape)
        for (name, shape), part in zip(CAMERA.items(), parts, strict=True)
    }
    bare = Camera(tensors["rotation"], tensors["position"], tensors["focal"])
    return replace(bare, **tensors, **{key: value for key, value in label.items() if key != "numbers"})
