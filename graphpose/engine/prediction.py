"""Prediction: 2D keypoints of a clip of any length in, its 3D pose out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graphpose.datasets import Views, view_clip
from graphpose.engine.device import pick_device
from graphpose.engine.windowed_lifting import lift_clips
from graphpose.errors import DataError
from graphpose.formats import read_all, write
from graphpose.models import Lifter, load
from graphpose.motion import MotionClip

__all__ = ["predict", "predict_clip", "predict_file"]


def predict(model: Lifter, keypoints: Tensor | np.ndarray, *, flip: bool = True) -> Tensor:
    """Lifts one clip.

    Args:
        model: a lifter, e.g. of `graphpose.load`.
        keypoints: `[T, J, 2 or 3]`, any T, in normalised screen units (x from -1 to 1 over the width of the picture, y with the same
            unit, down); a third feature is confidence. NaN marks a missing keypoint.
        flip: average with the mirrored prediction.

    Returns:
        `[T, J, 3]`, metres, camera axes (x right, y down, z away), relative to the root joint.

    Raises:
        DataError: another number of joints, or features that are missing.
    """
    x = torch.as_tensor(keypoints, dtype=torch.float32)
    if x.ndim != 3:
        raise DataError(f"expected keypoints [T, {len(model.skeleton)}, {model.in_features}] (got {list(x.shape)})")
    missing = x.isnan().any(-1, keepdim=True)
    if model.in_features == 3 and x.shape[-1] == 2:
        x = torch.cat([x, torch.ones_like(x[..., :1])], dim=-1)
    return lift_clips(model, torch.where(missing, torch.zeros(()), x)[None], flip=flip)[0]


def predict_clip(model: Lifter, clip: MotionClip, *, flip: bool = True) -> MotionClip:
    """Lifts a clip with keypoints (mapped to the model's skeleton where it has another) -> the clip with positions in camera space.

    Raises:
        DataError: a clip without keypoints, or pixels without the size of the picture.
    """
    if clip.keypoints is None:
        raise DataError(f"clip {clip.name!r} has no 2D keypoints to lift")
    if clip.skeleton.joints != model.skeleton.joints:
        clip = clip.to(model.skeleton)
    bare = clip.replace(positions=None, rotations=None)
    [seen] = view_clip(bare, Views(kind="clip"))
    lifted = lift_clips(model, seen.x[None, ..., : model.in_features], flip=flip)[0]
    return bare.replace(positions=lifted, space="camera")


def predict_file(
    checkpoint: str | Path, source: str | Path, target: str | Path, *, flip: bool = True, accelerator: str = "auto"
) -> MotionClip:
    """Reads 2D keypoints from a file, lifts them with a checkpoint, writes the 3D clip.

    Raises:
        GraphposeError: checkpoint or file that cannot be used; nothing is written then.
    """
    model = load(checkpoint, device=pick_device(accelerator))
    clips = read_all(source, skeleton=model.skeleton)
    if len(clips) != 1:
        raise DataError(f"{source}: expected one clip to lift (got {len(clips)})")
    lifted = predict_clip(model, clips[0], flip=flip)
    write(lifted, target)
    return lifted
