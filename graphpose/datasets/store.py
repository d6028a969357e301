"""A prepared store: clips in Arrow files, of which any window of frames is read without the rest.

    STORE/store.json          what was asked for: settings, skeleton, source files (size and time), groups of them
    STORE/shards/00000.arrow  the clips of one group of source files, one record batch a clip (`store_files`)
    STORE/index.arrow         one row a clip: where it lies and what it is; made from the shards, at the end

Reading is `preadv` into memory of one's own, at places that the index knows, so that the memory of a process does not grow
with what it has read, as it would with a mapping whose pages it has touched. A window is one read for each of its columns.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpose.datasets.store_files import COLUMNS, INDEX, SHARDS, camera_of, check_head, read_head, read_index
from graphpose.errors import DataError
from graphpose.geometry import Camera
from graphpose.motion import MotionClip
from graphpose.skeleton import JointMapping, Skeleton

__all__ = ["ClipStore", "StoredClip", "around_root", "is_store", "mean_of_root"]

_OPEN_FILES = 256
_LABELS = {"name", "subject", "action", "source", "tags"}


def is_store(path: str | Path) -> bool:
    """Whether a path is a folder that `graphpose data prepare` made (or began)."""
    return (Path(path) / "store.json").is_file()


class ClipStore:
    """An open store.

    Attributes:
        path: its folder.
        settings: how its clips were prepared: skeleton, mapping, scale, rates, name_pattern, reader options.
        skeleton: that of all clips.
        clips: every clip, without its frames.
        skipped: (source file, fault) of the files that were left out.

    Raises:
        DataError: no store, one of another format version, one that is not finished, or one whose files were changed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not hasattr(os, "preadv"):
            raise DataError("stores need Linux or macOS, whose files can be locked and read at any place")
        head = read_head(self.path)
        check_head(self.path, head)
        if not (self.path / INDEX).is_file():
            raise DataError(
                f"{self.path}: the store is not finished; run the same `graphpose data prepare` command again to go on"
            )
        self.settings: dict[str, Any] = head["settings"]
        self.skeleton = Skeleton.from_dict(head["skeleton"])
        rows, shards, self.skipped = read_index(self.path)
        self._names = [name for name, _ in shards]
        self._files: dict[int, int] = {}
        for name, size in shards:
            file = self.path / SHARDS / name
            found = file.stat().st_size if file.is_file() else None
            if found != size:
                what = "is missing" if found is None else f"has {found} bytes, expected {size}"
                raise DataError(f"{file}: {what}; copy the store again, or remove the file and prepare the store again")
        self.clips = [StoredClip(self, number, **row) for number, row in enumerate(rows)]

    @property
    def frames(self) -> int:
        """Frames of all clips."""
        return sum(len(clip) for clip in self.clips)

    def read(self, requests: Iterable[tuple[int, int, int, int]], buffer: memoryview) -> None:
        """Fills places of a buffer of bytes: (shard, first byte there, first and last byte + 1 in the buffer).

        Raises DataError when a file ends too early.
        """
        files, preadv = self._files, os.preadv
        for shard, offset, begin, end in requests:
            descriptor = files.get(shard)
            if descriptor is None:
                descriptor = self._open(shard)
            if preadv(descriptor, (buffer[begin:end],), offset) != end - begin:
                name = self.path / SHARDS / self._names[shard]
                raise DataError(
                    f"{name}: ends before byte {offset + end - begin}; it was changed since the store was opened"
                )

    def _open(self, shard: int) -> int:
        """A descriptor of the shard; the one opened first is closed when too many are open."""
        if len(self._files) >= _OPEN_FILES:
            os.close(self._files.pop(next(iter(self._files))))
        descriptor = os.open(self.path / SHARDS / self._names[shard], os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self._files[shard] = descriptor
        return descriptor

    def close(self) -> None:
        """Closes the files; they open again when they are read."""
        while self._files:
            os.close(self._files.popitem()[1])

    def __del__(self) -> None:
        if hasattr(self, "_files"):
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}

    def __repr__(self) -> str:
        return f"ClipStore({str(self.path)!r}, {len(self.clips)} clips, {self.frames} frames, {self.skeleton.name})"


class StoredClip(MotionClip):
    """A clip of a store: a `MotionClip` whose frames are read from the file each time they are asked for.

    Labels, length, rate and camera are there without reading. `clip[a:b]` is a part of it, still in the store; every other
    change of the frames reads them and gives a clip in memory.

    Attributes:
        store: the store, whose descriptors it shares.
        number: its row in the index.
        begin: first frame within the stored clip (above 0 for parts).
        shard: file it lies in.
        at: first byte of each column in that file, None for a column that the clip does not have.
        target: `[3]` mean root, None without positions.
        reach: largest distance of a joint from it, metres.
        screen: largest normalised screen coordinate of a keypoint; 0 without keypoints.
        gaps: whether a keypoint is missing.
        camera_label: the camera as JSON keeps it, None for none.
        moving: whether the camera has a pose of its own in each frame.
        fingerprint: hash of its positions, or of its keypoints where there are none.
    """

    store: ClipStore
    target: Tensor | None

    def __init__(
        self, store: ClipStore, number: int, *, shard: int, frames: int, at: dict[str, int], label: str
    ) -> None:
        known = json.loads(label)
        self.store, self.number, self.shard, self.begin, self._frames = store, number, shard, 0, frames
        self.at = {name: at[name] if at[name] >= 0 else None for name in COLUMNS}
        self.skeleton, self.fps, self.space = store.skeleton, float(known["fps"]), known["space"]
        self.name, self.source = known["name"], known["source"]
        self.subject, self.action, self.tags = known["subject"], known["action"], known["tags"]
        self.target = None if known["target"] is None else torch.tensor(known["target"], dtype=torch.float32)
        self.reach, self.screen, self.gaps = known["reach"], known["screen"], known["gaps"]
        self.fingerprint, self.camera_label, self.moving = known["fingerprint"], known["camera"], at["camera"] >= 0

    def row(self, column: str) -> int:
        """Bytes a frame in a column."""
        return 4 * COLUMNS[column](len(self.skeleton))

    def column(self, name: str) -> Tensor | None:
        """`[T, numbers a frame]` of a column, read now."""
        at = self.at[name]
        if at is None:
            return None
        values = np.empty((self._frames, self.row(name) // 4), dtype=np.float32)
        request = (self.shard, at + self.begin * self.row(name), 0, values.nbytes)
        self.store.read([request], values.reshape(-1).view(np.uint8).data)
        return torch.from_numpy(values)

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return self._frames

    @property
    def positions(self) -> Tensor | None:  # type: ignore[override]
        """`[T, J, 3]` metres, read now."""
        values = self.column("positions")
        return None if values is None else values.view(len(self), -1, 3)

    @property
    def keypoints(self) -> Tensor | None:  # type: ignore[override]
        """`[T, J, 2]`, read now."""
        values = self.column("keypoints")
        return None if values is None else values.view(len(self), -1, 2)

    @property
    def confidence(self) -> Tensor | None:  # type: ignore[override]
        """`[T, J]`, read now."""
        return self.column("confidence")

    @property
    def camera(self) -> Camera | None:  # type: ignore[override]
        """The camera of the keypoints; that of a moving one is read now."""
        return None if self.camera_label is None else camera_of(self.camera_label, self.column("camera"))

    def load(self) -> MotionClip:
        """The clip in memory."""
        labels = {key: getattr(self, key) for key in (*_LABELS, "skeleton", "fps", "space", "camera")}
        arrays = {key: getattr(self, key) for key in ("positions", "keypoints", "confidence")}
        return MotionClip(**labels, **arrays)

    def __getitem__(self, index: slice) -> MotionClip:
        if not isinstance(index, slice) or index.indices(self._frames)[2] != 1:
            return self.load()[index]
        start, stop, _ = index.indices(self._frames)
        if stop <= start:
            return self.load()[index]  # which refuses, in the same words
        part = copy.copy(self)
        part.begin, part._frames = self.begin + start, stop - start
        part.fingerprint = f"{self.fingerprint}[{part.begin}:{part.begin + part._frames}]"
        if self.target is not None:
            part.target, part.reach = around_root(part.load())
        return part

    def replace(self, **changes: Any) -> MotionClip:
        """A copy with the given fields changed; it stays in the store when they are labels."""
        if not changes.keys() <= _LABELS:
            return self.load().replace(**changes)
        other = copy.copy(self)
        for key, value in changes.items():
            setattr(other, key, value)
        return other

    def resample(self, fps: float) -> MotionClip:
        """The clip in memory at another rate; itself at its own."""
        return self if fps == self.fps else self.load().resample(fps)

    def fill_gaps(self, max_gap: int | None = None) -> MotionClip:
        """The clip in memory with gaps filled."""
        return self.load().fill_gaps(max_gap)

    def to(self, skeleton: Skeleton | str | Path, mapping: JointMapping | str | Path | None = None) -> MotionClip:
        """The clip in memory on another skeleton; itself on its own."""
        target = skeleton if isinstance(skeleton, Skeleton) else Skeleton.load(skeleton)
        return self if mapping is None and target == self.skeleton else self.load().to(target, mapping)

    def seen_by(self, camera: Any) -> MotionClip:
        """The clip in memory with the keypoints that a camera sees."""
        return self.load().seen_by(camera)

    def __repr__(self) -> str:
        return f"StoredClip({self.name!r}, {self._frames} frames, {self.store.path})"


def mean_of_root(clip: MotionClip) -> Tensor:
    """Mean `[3]` of the root of a clip with positions, over the frames that have one; NaN where none has."""
    assert clip.positions is not None
    root = clip.positions[:, clip.skeleton.root].double()
    return root[~root.isnan().any(-1)].mean(0).float()


def around_root(clip: MotionClip) -> tuple[Tensor, float]:
    """Mean root `[3]` of a clip with positions, and how far its joints get from it (rounded up)."""
    assert clip.positions is not None
    target = mean_of_root(clip)
    return target, float((clip.positions - target).norm(dim=-1).max()) * (1 + 1e-5)
