"""The frames of a camera that moves: its rotation `[T, 3, 3]` and position `[T, 3]` follow the frames of a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from graphpose.geometry import Camera

__all__ = ["change_frames", "select_frames"]


def change_frames(camera: Camera | None, frames: int, change: Callable[[str, Tensor], Tensor]) -> Camera | None:
    """Apply `change(name, values)` to the arrays of a camera that has one entry a frame; a static camera is kept."""
    if camera is None or camera.rotation.ndim != 3 or camera.rotation.shape[0] != frames:
        return camera
    moved: dict[str, Any] = {
        item.name: change(item.name, value)
        for item in fields(camera)
        if isinstance(value := getattr(camera, item.name), Tensor)
        and value.ndim == (3 if item.name == "rotation" else 2)
        and value.shape[0] == frames
    }
    return replace(camera, **moved)


def select_frames(camera: Camera | None, index: slice, frames: int) -> Camera | None:
    """The camera of the frames in a slice."""
    return change_frames(camera, frames, lambda _, values: values[index])
