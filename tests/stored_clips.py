"""Clips out of files and out of a store of these files, for tests that compare the two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphpose.config import DataConfig
from graphpose.datasets import PoseWindows, StoredClip, prepare_clips, prepare_store
from graphpose.formats import write
from graphpose.geometry import Camera, orbit_camera, static_views
from graphpose.motion import MotionClip


def stored(clips: list[MotionClip], folder: Path, **fields: Any) -> tuple[list[MotionClip], list[MotionClip]]:
    """The clips out of files and out of a store of these files."""
    folder.mkdir()
    for number, clip in enumerate(clips):
        write(clip, folder / f"file{number}.npz")
    config = DataConfig(paths=[str(folder)], fps=None, **fields)
    made = prepare_store(config, folder.with_name(f"{folder.name}_store"))
    return prepare_clips(config), prepare_clips(DataConfig(paths=[str(made.path)], fps=None))


def assert_same_windows(clips: list[MotionClip], others: list[MotionClip], frames: int = 7, **options: Any) -> None:
    """Every tensor of every window, bit by bit, in batches of several sizes and orders."""
    assert all(isinstance(clip, StoredClip) for clip in others)
    memory, files = (PoseWindows(part, frames, **options) for part in (clips, others))
    assert len(memory) == len(files)
    assert (memory.records == files.records).all()
    order = np.random.default_rng(0).permutation(len(memory))
    for ids in np.array_split(order, 3):
        for epoch in (0, 5):
            expected, found = memory.fetch(ids, epoch), files.fetch(ids, epoch)
            assert list(expected) == list(found)
            for name, value in expected.items():
                assert value.dtype == found[name].dtype
                assert torch.equal(value, found[name]), (name, options)
    for one, other in zip(memory.cameras, files.cameras, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert torch.equal(one.rotation, other.rotation) and torch.equal(one.position, other.position)


def cameras() -> dict[str, Camera]:
    """A lens, pixels, a moving camera, and a moving one with a lens."""
    [plain] = static_views(torch.tensor([0.0, 1.0, 0.0]), (20.0,))
    lens = {"radial": torch.tensor([-0.2, 0.1, 0.01]), "tangential": torch.tensor([0.01, -0.02])}
    pixels = {
        "focal": torch.tensor([1100.0, 1150.0]),
        "center": torch.tensor([510.0, 490.0]),
        "width": 1000,
        "height": 1002,
    }
    moving = orbit_camera(torch.tensor([0.0, 1.0, 0.0]), 25, start=30.0)
    return {
        "plain": plain,
        "lens": replace(plain, **lens, limit=1.0),
        "pixels": replace(plain, **lens, **pixels),
        "moving": moving,
    }
