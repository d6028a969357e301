"""Lifting clips of any length with a model of T frames: cut into windows, lift, flip, and put every frame back once.

    y = lift(x)                                  or, with flip averaging,
    y = (lift(x) + mirror(lift(mirror(x)))) / 2,    mirror: negate the first coordinate, exchange left and right joints

Windows lie side by side from frame 0; the last one is padded by repeating the last frame, and the padding is dropped. A model
that is not bound to T frames lifts a shorter clip as it is; longer ones it is given in windows all the same, because attention
over a whole clip costs the square of its length and leaves the lengths of the training. Models whose cost is linear in the
length (`Lifter.whole_clips`) lift every clip whole.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphpose.datasets.augmentation import flip_points
from graphpose.datasets.windows import window_bounds, window_frames
from graphpose.engine.allocator import keep_freed_memory
from graphpose.engine.device import place_of
from graphpose.errors import DataError
from graphpose.models import Lifter
from graphpose.nn.modes import evaluating

__all__ = ["lift_clips", "lift_windows"]


@torch.inference_mode()
def lift_windows(model: Lifter, x: Tensor, *, flip: bool = True) -> Tensor:
    """Windows `[B, T, J, C_in]` (normalised) -> `[B, T, J, 3]` (metres); `flip` averages with the mirrored prediction.

    A skeleton without left/right pairs has no mirror image; it is lifted once.
    """
    with evaluating(model):
        pred = model.lift_sequence(x)
        if not flip or not model.skeleton.pairs:
            return pred
        mirror = torch.tensor(model.skeleton.mirror.tolist(), device=x.device)
        return 0.5 * (pred + flip_points(model.lift_sequence(flip_points(x, mirror)), mirror))


def lift_clips(model: Lifter, x: Tensor, *, flip: bool = True, batch_size: int = 64) -> Tensor:
    """Clips of one length `[V, L, J, C]` (normalised, C >= the model's features) -> `[V, L, J, 3]` (metres), on the CPU.

    Args:
        model: any lifter.
        x: V clips or views of a clip; features beyond those the model takes are left out.
        flip: average with the mirrored prediction.
        batch_size: windows lifted at a time.

    Raises:
        DataError: joints or features that the model does not take.
    """
    if x.ndim != 4 or x.shape[2] != len(model.skeleton) or x.shape[3] < model.in_features:
        raise DataError(
            f"expected keypoints [clips, frames, {len(model.skeleton)}, {model.in_features}] on skeleton "
            f"{model.skeleton.name!r} (got {list(x.shape)})"
        )
    views, length = x.shape[:2]
    frames = _window_length(model, length)
    index = torch.as_tensor(window_frames(window_bounds([length], frames), [length]))  # [n, T], clamped to the clip
    device, dtype = place_of(model)
    if device.type == "cpu":
        keep_freed_memory()
    windows = x[..., : model.in_features][:, index].flatten(0, 1)  # [V * n, T, J, C]
    parts = [lift_windows(model, part.to(device, dtype), flip=flip).float().cpu() for part in windows.split(batch_size)]
    return torch.cat(parts).view(views, -1, *x.shape[2:3], 3)[:, :length]


def _window_length(model: Lifter, length: int) -> int:
    """Frames of the windows in which a clip of `length` frames is lifted."""
    if model.lifted_frame is not None:
        return length  # a window around each frame, which the model cuts itself
    if model.bound_to_frames:
        return model.frames
    return length if model.whole_clips else min(length, model.frames)
