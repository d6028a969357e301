"""Prediction: 2D keypoints of a clip of any length in, its 3D pose out."""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpose.datasets import Views, view_clip
from graphpose.engine.device import pick_device
from graphpose.engine.evaluation import training_data
from graphpose.engine.windowed_lifting import lift_clips
from graphpose.errors import DataError, FormatError, SkeletonError
from graphpose.formats import read_all, write
from graphpose.formats.registry import expand, find_format
from graphpose.models import Lifter, load, read_metadata
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
        `[T, J, 3]`, metres, camera axes (x right, y down, z away), the true root joint at the origin (the predicted one is
        near it: as in the published code, nothing moves it there).

    Raises:
        DataError: another number of joints, neither 2 nor 3 features, no frame, infinite keypoints or pixels.
    """
    x = torch.as_tensor(keypoints, dtype=torch.float32)
    if x.ndim != 3 or x.shape[1] != len(model.skeleton) or x.shape[2] not in (2, 3):
        another = "" if model.bound_to_skeleton else "; model.on(skeleton) lifts those of another"
        raise DataError(
            f"expected keypoints [T, {len(model.skeleton)}, 2 or 3] on skeleton {model.skeleton.name!r} "
            f"(got {list(x.shape)}){another}"
        )
    missing = x.isnan().any(-1)
    clip = MotionClip(
        model.skeleton,
        fps=1.0,  # not used: frames are lifted as they come
        keypoints=x[..., :2].masked_fill(missing[..., None], math.nan),
        confidence=x[..., 2].masked_fill(missing, 0.0) if x.shape[2] == 3 else None,
        name="keypoints",
    )
    positions = predict_clip(model, clip, flip=flip).positions
    assert positions is not None
    return positions


def predict_clip(model: Lifter, clip: MotionClip, *, flip: bool = True, mapped: bool | None = None) -> MotionClip:
    """Lifts a clip with keypoints -> the clip with positions in camera space.

    Args:
        model: any lifter.
        clip: on any skeleton that the model is on, that maps to it, or that the model is not bound to.
        flip: average with the mirrored prediction.
        mapped: a clip on another skeleton is mapped to the model's, and comes back on that (more accurate, where there is a
            mapping); False lifts it on its own. Default: mapped for models bound to their skeleton, on its own for others.

    Raises:
        DataError: a clip without keypoints, or pixels without the size of the picture.
        SkeletonError: a clip to be mapped that no mapping leads from. ConfigError: one not to be mapped, and a bound model.
    """
    if clip.keypoints is None:
        raise DataError(f"clip {clip.name!r} has no 2D keypoints to lift")
    theirs, own = clip.skeleton, model.skeleton
    if model.bound_to_skeleton if mapped is None else mapped:
        try:
            clip = clip if theirs.joints == own.joints else clip.to(own)
        except SkeletonError as error:
            free = (
                "train a model with index_free: true, which lifts any skeleton"
                if model.bound_to_skeleton
                else "do without mapping, as this model lifts any skeleton"
            )
            raise SkeletonError(f"{error}; or {free}") from error
    elif (theirs.joints, theirs.parents) != (own.joints, own.parents):
        model = model.on(theirs)
    bare = clip.replace(positions=None, rotations=None)
    [seen] = view_clip(bare, Views(kind="clip"))
    lifted = lift_clips(model, seen.x[None, ..., : model.in_features], flip=flip)[0]
    return bare.replace(positions=lifted, space="camera")


def predict_file(
    checkpoint: str | Path,
    source: str | Path,
    target: str | Path,
    *,
    flip: bool = True,
    accelerator: str = "auto",
    fps: float | None = None,
    skeleton: str | None = None,
    mapped: bool | None = None,
    image_size: str | None = None,
) -> MotionClip:
    """Reads 2D keypoints from a file, lifts them with a checkpoint, writes the 3D clip.

    Args:
        checkpoint: a `.safetensors` file that graphpose wrote.
        source: an npz of keypoints, see `graphpose.formats.npz`, or what a detector wrote: a folder of OpenPose, results of COCO,
            predictions of MMPose.
        target: file to write, not the source; its folder is made where there is none.
        flip: average with the mirrored prediction.
        accelerator: where to compute.
        fps: frames per second, in place of what the file says. A file that says nothing has, with a warning, those of the
            clips that the model was trained on.
        skeleton: name or file of the skeleton of keypoints without names; default: of an npz, with a warning, that of the model, of
            a detector's files what their number of keypoints tells.
        mapped: as in `predict_clip`.
        image_size: width and height of the video, `1920x1080`, for the files of detectors, which do not tell it.

    Raises:
        GraphposeError: checkpoint or file that cannot be used; nothing is written then.
    """
    source, target = Path(source), Path(target)
    if source.exists() and target.exists() and source.samefile(target):
        raise DataError(f"{target}: expected another file than the input, which would be lost (got the same)")
    writable = find_format(target).write is not None
    model = load(checkpoint, device=pick_device(accelerator))
    options: dict[str, Any] = {}
    if image_size is not None:
        if any("image_size" not in find_format(file).options for file in expand(source)):
            raise DataError(f"{source}: its format takes no image_size; an npz in pixels holds width and height itself")
        options["image_size"] = image_size
    nameless = False
    if source.suffix.lower() == ".npz":  # the one format whose joints may go without names
        options["skeleton"] = model.skeleton if skeleton is None else skeleton
        held = _arrays(source)
        nameless = skeleton is None and "skeleton" not in held and not held >= {"joints", "parents"}
        if fps is None and "fps" not in held:
            fps = training_data(checkpoint, read_metadata(checkpoint)["config"]).fps
            if fps is not None:
                warnings.warn(
                    f"{source}: holds no fps; taken as {fps:g} frames/s, as in the training (give --fps)", stacklevel=2
                )
    elif skeleton is not None:
        options["skeleton"] = skeleton
    try:
        clips = read_all(source, fps=fps, **options)
    except FormatError as error:
        if nameless and "joints of skeleton" in str(error):
            raise FormatError(source, f"{_without(source, error)}; name theirs with --skeleton") from error
        raise
    if len(clips) != 1:
        names = ", ".join(clip.name for clip in clips[:3]) + (", ..." if len(clips) > 3 else "")
        raise DataError(
            f"{source}: expected one clip to lift (got {len(clips)}: {names}); give the file or folder of one"
        )
    lifted = predict_clip(model, clips[0], flip=flip, mapped=mapped)
    if nameless:
        warnings.warn(
            f"{source}: names no joints; taken as {model.skeleton.name}, the skeleton of the model, in its order "
            "(for another order give --skeleton; graphpose skeleton list names them)",
            stacklevel=2,
        )
    if writable:
        target.parent.mkdir(parents=True, exist_ok=True)
    write(lifted, target)
    return lifted


def _without(source: Path, error: FormatError) -> str:
    """The message of an error without the file that it begins with."""
    return str(error).removeprefix(f"{source}: ")


def _arrays(path: Path) -> set[str]:
    """The names of the arrays in an npz; of a file that is none, those that nothing is to be said about."""
    if not zipfile.is_zipfile(path):
        return {"fps", "skeleton"}  # the reader says what is wrong
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}
