"""Clips lifted window by window while the model is captured: what it attends to, beside what it saw, said and should have said.

    record = observe(model, clips, views=Views(azimuths=(45.0,)), max_windows=20)

A window has T frames, those of the model; windows lie side by side from frame 0 of each view of each clip, and the last one repeats
its last frame. Predictions are not averaged with the mirror image. A keypoint that is missing (NaN in the clip) is 0 for the model, as
in `predict`, and not `visible`; so is a joint without a position where views are projected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from graphpose.analysis.attention.record import Record, Window
from graphpose.analysis.attention.recording.capture import capture
from graphpose.datasets import ClipView, Views, view_clip
from graphpose.datasets.windows import window_bounds, window_frames
from graphpose.engine.device import place_of
from graphpose.engine.windowed_lifting import lift_clips
from graphpose.errors import ConfigError, DataError
from graphpose.models import Lifter
from graphpose.motion import MotionClip
from graphpose.motion.gaps import fill_gaps
from graphpose.skeleton import Skeleton

__all__ = ["observe"]

Lift = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Seen:
    """One view of a clip: what the model is given `[L, J, C]`, what is visible `[L, J]`, the truth `[L, J, 3]` and who it is."""

    x: Tensor
    visible: Tensor
    target: Tensor | None
    about: Window
    view: ClipView

    def at(self, start: int, length: int) -> Window:
        """A window of so many frames."""
        up = self.view.up(start)
        direction = None if up is None else (float(up[0]), float(up[1]), float(up[2]))
        return replace(self.about, start=start, frames=min(length, len(self.x) - start), up=direction)


def observe(
    model: nn.Module,
    clips: MotionClip | Iterable[MotionClip],
    *,
    views: Views | None = None,
    max_windows: int | None = None,
    stride: int | None = None,
    batch_size: int = 8,
    progress: bool = True,
    lift: Lift | None = None,
    window: int | None = None,
    features: int | None = None,
    **options: Any,
) -> Record:
    """Lifts clips and records what the model attends to.

    Args:
        model: a lifter, or with `lift`, `window` and `skeleton` any module.
        clips: on the skeleton of the model or one that maps to it, with positions, which `views` look at, or with keypoints.
        views: the cameras; default: a clip's own keypoints where it has some, else four cameras around the subject, as in evaluation.
        max_windows: of all windows so many are recorded, evenly spread; None: all.
        stride: frames from one window to the next, 1 ... T; default T.
        batch_size: windows that are lifted at a time.
        progress: show a bar where it takes more than a few seconds.
        lift: how a model is run that is no lifter, windows `[B, T, J, C_in]` -> `[B, T, J, 3]`, or `[B, 1, J, 3]` of the centre frame.
        window: T of such a model, or of a lifter that is bound to no length.
        features: C_in of such a model, 2 or 3.
        options: of `capture`: axes, layers, heads, frames, joints, reduce, priors, skeleton, sites.

    Returns:
        A record with windows, keypoints, prediction, target and visible. Where neither the clip nor the camera tells the truth, the target
        is NaN, and None where no clip does. A model that lifts one frame of a window is captured at the window, and its other frames are
        predicted from windows of their own; models that take whole clips predict from the whole clip.

    Raises:
        DataError: no clip, something else such as the name of a file, or a clip that cannot be seen.
        SkeletonError: one that does not map to the skeleton of the model.
        ConfigError: as `capture`.
    """
    clips = _listed(clips)
    if batch_size < 1 or (max_windows is not None and max_windows < 1):
        raise ConfigError(f"expected batch_size and max_windows from 1 (got {batch_size} and {max_windows})")
    run = _runner(model, lift)
    skeleton = _skeleton(model, options.get("skeleton"))
    channels = _features(model, features)
    seen = [one for clip in clips for one in _views_of(clip, views, skeleton, channels)]
    length = _window_length(model, window, max(len(one.x) for one in seen))
    bounds = window_bounds([len(one.x) for one in seen], length, stride)
    if max_windows is not None and len(bounds) > max_windows:
        bounds = bounds[np.linspace(0, len(bounds) - 1, max_windows).round().astype(int)]
    places = torch.from_numpy(window_frames(bounds, [len(one.x) for one in seen]))  # [n, T]
    views_of = bounds[:, 0].tolist()

    def cut(part: Callable[[_Seen], Tensor]) -> Tensor:
        return torch.stack([part(seen[view])[place] for view, place in zip(views_of, places, strict=True)])

    x = cut(lambda one: one.x)
    device, dtype = place_of(model)
    predicted, mode = [], {module: module.training for module in model.modules()}
    batches = tqdm(x.split(batch_size), desc="capturing", unit="batch", disable=not progress, delay=2)
    model.eval()
    try:
        with capture(model, **options) as record, torch.no_grad():
            for batch in batches:
                predicted.append(run(batch.to(device, dtype)).float().cpu())
        if isinstance(model, Lifter) and (model.whole_clips or model.lifted_frame is not None):
            whole = {view: lift_clips(model, seen[view].x[None], flip=False)[0] for view in sorted(set(views_of))}
            predicted = [torch.stack([whole[view][place] for view, place in zip(views_of, places, strict=True)])]
    finally:
        for module, training in mode.items():
            module.training = training
    record.keypoints = x
    record.prediction = _poses(torch.cat(predicted), x)
    record.visible = cut(lambda one: one.visible)
    if any(one.target is not None for one in seen):
        record.target = cut(
            lambda one: torch.full((*one.x.shape[:2], 3), math.nan) if one.target is None else one.target
        )
    record.windows = [seen[view].at(start, length) for view, start, _ in bounds.tolist()]
    return record


# ---------------------------------------------------------------------- the model
def _runner(model: nn.Module, lift: Lift | None) -> Lift:
    if lift is not None:
        return lift
    if not isinstance(model, Lifter):
        raise ConfigError(
            f"expected a lifter, or lift=, which runs {type(model).__name__} on windows [B, T, J, C_in] (got none)"
        )
    return model.lift


def _skeleton(model: nn.Module, skeleton: Skeleton | str | None) -> Skeleton:
    if skeleton is None:
        skeleton = getattr(model, "skeleton", None)
    if skeleton is None:
        raise ConfigError(f"expected skeleton=, whose joints {type(model).__name__} takes (got none)")
    return skeleton if isinstance(skeleton, Skeleton) else Skeleton.load(skeleton)


def _features(model: nn.Module, features: int | None) -> int:
    own = model.in_features if isinstance(model, Lifter) else None
    found = features or own or 2
    if found not in (2, 3) or (own is not None and found != own):
        raise ConfigError(f"features: expected {own or '2 or 3'} (got {found})")
    return found


def _window_length(model: nn.Module, window: int | None, longest: int) -> int:
    """T of the record: that of the model; a model without one of its own takes windows no longer than the longest clip."""
    if window is not None and window < 1:
        raise ConfigError(f"window: expected frames from 1 (got {window})")
    if not isinstance(model, Lifter):
        if window is None:
            raise ConfigError(f"expected window=, the frames that {type(model).__name__} takes at a time (got none)")
        return window
    if model.bound_to_frames or model.lifted_frame is not None:
        if window not in (None, model.frames):
            raise ConfigError(f"window: expected {model.frames}, the frames of the model (got {window})")
        return model.frames
    return min(window or model.frames, longest)


def _poses(predicted: Tensor, x: Tensor) -> Tensor:
    """`[B, T, J, 3]`; what a model does not say of the other frames is NaN."""
    b, t, j, _ = x.shape
    if predicted.shape == (b, t, j, 3):
        return predicted
    if predicted.shape not in ((b, 1, j, 3), (b, j, 3)):
        raise DataError(f"lift: expected poses {[b, t, j, 3]} or {[b, 1, j, 3]} (got {list(predicted.shape)})")
    whole = torch.full((b, t, j, 3), math.nan)
    whole[:, t // 2] = predicted.view(b, j, 3)
    return whole


# ---------------------------------------------------------------------- the clips
def _listed(clips: MotionClip | Iterable[MotionClip]) -> list[MotionClip]:
    """One or more clips, and nothing else."""
    several = isinstance(clips, Iterable) and not isinstance(clips, (MotionClip, str, bytes))
    listed: list[Any] = list(clips) if several else [clips]  # type: ignore[arg-type]
    if not listed:
        raise DataError("expected one or more clips (got none)")
    for one in listed:
        if isinstance(one, (str, PurePath)):
            raise DataError(f"expected motion clips (got {str(one)!r}): read files first, graphpose.read({str(one)!r})")
        if not isinstance(one, MotionClip):
            raise DataError(f"expected motion clips (got {type(one).__name__}): graphpose.read gives one from a file")
    return listed


def _views_of(clip: MotionClip, views: Views | None, skeleton: Skeleton, channels: int) -> list[_Seen]:
    """What each camera sees of a clip, on the skeleton of the model."""
    if clip.skeleton.joints != skeleton.joints:
        clip = clip.to(skeleton)
    if views is None:
        views = Views() if clip.keypoints is None else Views(kind="clip")
    missing, whole = _without_gaps(clip)
    found = []
    for number, view in enumerate(view_clip(whole, views)):
        of_positions = missing if _is_projected(clip, views) else torch.zeros_like(missing)
        visible = view.visible & ~of_positions
        found.append(
            _Seen(
                view.x.masked_fill(~visible[..., None], 0.0)[..., :channels],
                visible,
                _truth(view, missing, skeleton.root),
                Window(clip.name, clip.subject or "", clip.action or "", number, fps=clip.fps),
                view,
            )
        )
    return found


def _is_projected(clip: MotionClip, views: Views) -> bool:
    return clip.positions is not None and not (views.kind == "clip" and clip.keypoints is not None)


def _without_gaps(clip: MotionClip) -> tuple[Tensor, MotionClip]:
    """Which joints `[L, J]` have no position, and the clip with something in their place, which is never shown or measured.

    Between two known frames that is the line between them, else the nearest known frame; a joint that is never known stands at the root.
    """
    if clip.positions is None:
        assert clip.keypoints is not None
        return torch.zeros(clip.keypoints.shape[:2], dtype=torch.bool), clip
    positions = clip.positions
    missing = positions.isnan().any(-1)
    if not bool(missing.any()):
        return missing, clip
    root = clip.skeleton.root
    if bool(missing[:, root].all()):
        raise DataError(
            f"clip {clip.name!r}: expected positions of the root {clip.skeleton.joints[root]!r} (got none in any frame)"
        )
    filled = fill_gaps(positions, None)
    number = torch.arange(len(positions))
    for joint in missing.any(0).nonzero()[:, 0].tolist():
        known = (~missing[:, joint]).nonzero()[:, 0]
        if not len(known):
            continue
        nearest = known[(number[:, None] - known).abs().argmin(-1)]
        gaps = filled[:, joint].isnan().any(-1)
        filled[gaps, joint] = positions[nearest[gaps], joint]
    filled = torch.where(filled.isnan().any(-1, keepdim=True), filled[:, root, None], filled)
    return missing, clip.replace(positions=filled)


def _truth(view: ClipView, missing: Tensor, root: int) -> Tensor | None:
    """The target, NaN where a joint or the root, which it is relative to, has no position."""
    if view.y is None:
        return None
    unknown = missing | missing[:, root, None]
    return view.y.masked_fill(unknown[..., None], math.nan)
