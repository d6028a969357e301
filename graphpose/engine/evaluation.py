"""Evaluation: every clip and view lifted whole, measured, and put into tables.

Protocol "exact" counts every frame once and measures velocities within clips. Protocol "published" repeats the habits of the
published evaluation scripts so that numbers can be compared (`protocols.py`; docs/PROTOCOLS.md says how far apart they are).
Neither ever looks at anything but the clips it is given, and only the column of an oracle is chosen by the truth.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from graphpose.config import DataConfig, EvaluateConfig, TrainConfig
from graphpose.datasets import ClipView, Views, prepare_clips, split_clips, view_clip
from graphpose.datasets.fingerprint import clip_digest, joined
from graphpose.engine.device import autocast, pick_device, place_of
from graphpose.engine.evaluated_hypotheses import SETTINGS, Proposals, given_proposals, proposals_of
from graphpose.engine.evaluated_input import annotation_of, filled_frames, known_frames, noisy, recording_of
from graphpose.engine.measured import conditions_of, marks_of, measured_of
from graphpose.engine.outcome import Evaluation, LiftedClip
from graphpose.engine.own_cameras import warn_of_own_cameras
from graphpose.engine.protocols import PROTOCOLS, Lift, lift_by
from graphpose.engine.seen_clips import seen_clips, warn_of_seen
from graphpose.engine.windowed_lifting import lift_clips
from graphpose.errors import CheckpointError, ConfigError, DataError, unknown_name
from graphpose.metrics import ErrorTable, scale_to
from graphpose.metrics.hypotheses import ORACLES
from graphpose.models import Lifter, load, read_metadata
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton
from graphpose.skeleton.joint_sets import common_joints as joints_in_common
from graphpose.structured import build, plain

_OF_MODEL = ("protocol", "flip", "alignment", "common_joints", "keypoint_noise", "seed", "precision", *SETTINGS)
"""The settings of `EvaluateConfig` that say how a model is measured, not which one on which clips."""

__all__ = [
    "PROTOCOLS",
    "Evaluation",
    "LiftedClip",
    "evaluate",
    "evaluate_clips",
    "evaluate_hypotheses",
    "training_data",
]


def evaluate(checkpoint: str | Path, config: EvaluateConfig | None = None, *, progress: bool = True) -> Evaluation:
    """Evaluates a checkpoint on clips.

    Args:
        checkpoint: a `.safetensors` file that graphpose wrote.
        config: data that differ from those of the training, part of the split, protocol, flip, alignment, joints, noise. Clips
            are mapped to the skeleton of the training; a model that is bound neither to it nor to its number of frames is
            evaluated on `data.skeleton` and in windows of `data.frames` where these are given.
        progress: show a progress bar.

    Raises:
        GraphposeError: checkpoint, data or settings that cannot be used.

    Warns `SeenClipsWarning` when the clips were trained or validated on, unless part "train" or "val" asks for that, and
    `OwnCamerasWarning` when other clips bring cameras that the views of the training replace.
    """
    config = config or EvaluateConfig()
    metadata = read_metadata(checkpoint)
    model = load(checkpoint, device=pick_device(config.accelerator))
    trained = training_data(checkpoint, metadata["config"])
    settings = config.data_config(trained)
    model, settings = _as_asked(checkpoint, model, settings, config.data)
    _require_of_model(checkpoint, model, config.data)
    if not settings.paths:
        raise DataError(
            f"{checkpoint}: no training data are recorded in it, so there are no clips to evaluate on: give --data "
            "FILE_OR_FOLDER (in Python: data={'paths': [...]})"
        )
    _require_places(checkpoint, settings, config)
    clips, part = _choose_clips(settings, trained, config, model.skeleton)
    seen = seen_clips(clips, metadata["data_statement"])
    if config.part not in ("train", "val"):
        warn_of_seen(seen, clips, settings.split)
    warn_of_own_cameras(clips, settings.views.kind, config.data, metadata["data_statement"])
    result = _evaluate(model, clips, Views.from_config(settings.views), config, None, progress)
    result.info = {
        "checkpoint": str(checkpoint),
        "model": metadata["model"],
        "part": part,
        "data": list(settings.paths),
        "config": {**plain(config), "data": plain(settings), "part": part},
        "trained_on": metadata["data_statement"],
        "trained_with": metadata["versions"],
        "seen_in_training": None if seen is None else asdict(seen),
    }
    return result


def evaluate_clips(
    model: Lifter, clips: Sequence[MotionClip], *, views: Views | None = None, progress: bool = True, **settings: Any
) -> Evaluation:
    """Evaluates a model on clips that are on its skeleton; see `protocols.py` for the two protocols.

    Args:
        model: any lifter.
        clips: with 3D positions.
        views: the cameras.
        progress: show a progress bar.
        settings: of `EvaluateConfig`: protocol, flip, alignment, common_joints, keypoint_noise, seed, precision, and for a
            model that draws hypotheses (d3dp) hypotheses, steps, sampler, aggregate.

    A model that draws hypotheses is measured by their aggregate; columns named "oracle" stand beside it.

    Raises:
        DataError: clips without 3D positions or on another skeleton.
        ConfigError: an unknown setting or protocol, settings of hypotheses for a model without. SkeletonError: common joints
            that the skeleton does not have.
    """
    return _evaluate(model, clips, views or Views(), _config(settings), None, progress)


def evaluate_hypotheses(
    model: Lifter,
    propose: Lift,
    clips: Sequence[MotionClip],
    *,
    views: Views | None = None,
    progress: bool = True,
    **settings: Any,
) -> Evaluation:
    """Evaluates a way of lifting that proposes several poses: measured is their aggregate, beside it what an oracle would reach.

    >>> evaluate_hypotheses(model, model.propose, clips)  # of a d3dp model

    Args:
        model: whose skeleton, window length and features are used.
        propose: keypoints `[V, L, J, C]` of any length L (normalised) -> hypotheses `[H, V, L, J, 3]` (metres, relative to
            the root, on the CPU). Averaging over mirror images is its own affair; `flip` is only noted.
        clips, views, progress, settings: as in `evaluate_clips`; `aggregate` is "mean" unless given, and hypotheses, steps and
            sampler are for `propose` to decide.

    Every column but those named "oracle" measures the aggregate of the hypotheses.
    """
    config = _config(settings)
    return _evaluate(model, clips, views or Views(), config, given_proposals(propose, config), progress)


def _config(settings: dict[str, Any]) -> EvaluateConfig:
    for name in settings:
        if name not in _OF_MODEL:
            raise ConfigError(unknown_name("setting of an evaluation of clips", name, _OF_MODEL))
    return build(EvaluateConfig, settings)


def _evaluate(
    model: Lifter,
    clips: Sequence[MotionClip],
    views: Views,
    config: EvaluateConfig,
    proposals: Proposals | None,
    progress: bool,
) -> Evaluation:
    skeleton = model.skeleton
    if config.precision == "64-true":
        model = copy.deepcopy(model).double()
    proposals = proposals or proposals_of(model, config)
    measured = measured_of(skeleton, clips, views, config, annotation_of(clips), proposals)
    errors = ErrorTable(
        skeleton,
        joints=measured["joints"],
        oracles=() if proposals is None else tuple(ORACLES),
        averaging=config.protocol,
        conditions=conditions_of(measured, skeleton, proposals),
        marks=marks_of(measured),
    )
    result = Evaluation(skeleton, errors, config.protocol, config.flip, measured=measured)
    counted_joints = torch.tensor([joint in measured["joints"] for joint in skeleton.joints])
    device, _ = place_of(model)
    digests = []
    for clip in tqdm(clips, desc="evaluating", unit="clip", disable=not progress):
        digests.append(clip_digest(clip))
        known = known_frames(clip)
        seen = _seen(clip if known is None else filled_frames(clip, known), views, skeleton)
        points = torch.stack([noisy(v, config.keypoint_noise, config.seed, digests[-1], i) for i, v in enumerate(seen)])
        x = points[..., : model.in_features]  # [V, L, J, C]
        target = torch.stack([one.y for one in seen if one.y is not None])
        with autocast(config.precision, device):
            lift = proposals.propose if proposals else (lambda x: lift_clips(model, x, flip=config.flip)[None])
            whole, counted, frames = lift_by(config.protocol, lift, x, model.frames)
        pose, lifted = counted[0], whole[0]
        if proposals is not None:
            pose = proposals.one_pose(clip.name, counted, seen, points, frames)
            lifted = proposals.one_pose(clip.name, whole, seen, points, torch.arange(whole.shape[2]))
        truth = target[:, frames]
        visible = counted_joints.expand(len(frames), -1) & (True if known is None else known[frames, None])
        pose, counted = (scale_to(one, truth, config.alignment, visible) for one in (pose, counted))
        if known is not None:
            target[:, ~known] = torch.nan  # nobody knows where the joints were
        for view in range(len(seen)):
            errors.add(
                pose[view],
                truth[view],
                subject=clip.subject,
                action=clip.action,
                name=clip.name,
                visible=None if known is None else visible,
                hypotheses=None if proposals is None else counted[:, view],
                view=view,
                recording=recording_of(clip, digests[-1]),
            )
            result.clips.append(
                LiftedClip(
                    clip.name,
                    clip.subject,
                    clip.action,
                    view,
                    clip.fps,
                    x[view],
                    lifted[view],
                    target[view],
                    seen[view].up(),
                )
            )
    result.dataset = {"fingerprint": joined(digests), "clips": len(clips), "frames_counted": errors.frames}
    return result


def _seen(clip: MotionClip, views: Views, skeleton: Skeleton) -> list[ClipView]:
    """The views of a clip that can be compared with its truth."""
    if clip.skeleton.joints != skeleton.joints:
        raise DataError(
            f"clip {clip.name!r} is on {clip.skeleton.name!r}, the model on {skeleton.name!r}: map it with clip.to()"
        )
    seen = view_clip(clip, views)
    if seen[0].y is None:
        raise DataError(f"clip {clip.name!r} has no 3D positions to compare with; use `graphpose predict` to lift it")
    return seen


def training_data(checkpoint: str | Path, config: dict[str, Any]) -> DataConfig:
    """The data settings that a checkpoint was trained with; the defaults for weights that were not trained here."""
    try:
        return TrainConfig.from_dict(config).data if config else DataConfig()
    except ConfigError as error:
        raise CheckpointError(f"{checkpoint}: damaged description in its header ({error})") from error


def _as_asked(
    checkpoint: str | Path, model: Lifter, settings: DataConfig, given: dict[str, Any]
) -> tuple[Lifter, DataConfig]:
    """The model on the skeleton and with the windows that the evaluation names, where it is bound to none of its own.

    A skeleton with the joints and bones of the model's (perhaps with other weights, or moved) is the model's. The mapping of the
    training leads to the skeleton of the training, so another skeleton needs one of its own, given or bundled.
    """
    if "frames" in given and not model.bound_to_frames and not model.whole_clips:
        model = model.on(frames=settings.frames)
    if given.get("skeleton") is None or settings.skeleton is None:
        return model, settings
    skeleton = Skeleton.load(settings.skeleton)
    if (skeleton.joints, skeleton.parents) == (model.skeleton.joints, model.skeleton.parents):
        return model, settings
    try:
        model = model.on(skeleton)
    except ConfigError as error:
        raise ConfigError(f"data.skeleton: {checkpoint}: {error}") from error
    return model, settings if "mapping" in given else replace(settings, mapping=None)


def _require_of_model(checkpoint: str | Path, model: Lifter, data: dict[str, Any]) -> None:
    """Refuses data settings that come from the model or act in training only, so that none is passed over silently."""
    if data.get("frames", model.frames) != model.frames:
        raise ConfigError(
            f"data.frames: {checkpoint} lifts windows of {model.frames} frames (got {data['frames']!r}); the length comes "
            "from the model, leave data.frames out"
        )
    takes = model.in_features > 2
    if data.get("confidence", takes) != takes:
        raise ConfigError(
            f"data.confidence: {checkpoint} was trained {'with' if takes else 'without'} the keypoints' confidence (got "
            f"{data['confidence']!r}); that comes from the model, leave data.confidence out"
        )
    if data.get("noise"):
        raise ConfigError(
            f"data.noise: acts in training only (got {data['noise']!r}); --keypoint_noise {data['noise']!r} (in Python: "
            "keypoint_noise) adds noise to the 2D input of an evaluation"
        )
    if data.get("missing"):
        raise ConfigError(
            f"data.missing: acts in training only (got {data['missing']!r}); an evaluation drops no keypoints, leave it "
            "out (--keypoint_noise makes the 2D input worse)"
        )


def _require_places(checkpoint: str | Path, settings: DataConfig, config: EvaluateConfig) -> None:
    """Refuses the paths of a training that was elsewhere, and says which option gives those of here."""
    for path in [] if "paths" in config.data else settings.paths:
        if not Path(path).exists():
            raise DataError(
                f"{checkpoint}: the clips of its training are not here ({path}: no such file or folder); give "
                "--data FILE_OR_FOLDER (in Python: data={'paths': [...]})"
            )
    if settings.mapping is not None and "mapping" not in config.data and not Path(settings.mapping).exists():
        raise DataError(
            f"{checkpoint}: the joint mapping of its training is not here ({settings.mapping}: no such file); give "
            "--data.mapping FILE, or --data.mapping null to look among the bundled ones"
        )


def _choose_clips(
    settings: DataConfig, trained: DataConfig, config: EvaluateConfig, skeleton: Skeleton
) -> tuple[list[MotionClip], str]:
    """The clips of the part asked for, on the model's skeleton, and the name of the part.

    Other data than those of the training are evaluated whole unless a split is given for them. Common joints have to be on
    the skeleton of the files too: what a mapping made up from other joints is not in common.
    """

    def has_common_joints(clip: MotionClip) -> None:
        if config.common_joints is not None:
            joints_in_common(clip.skeleton, config.common_joints)

    clips = prepare_clips(settings, skeleton=skeleton, check=has_common_joints)
    foreign = [os.path.realpath(path) for path in settings.paths] != [os.path.realpath(path) for path in trained.paths]
    part, split = config.part, settings.split
    if part is None:
        own_split = "split" in config.data or not foreign
        part = "test" if own_split and (split.test or split.by == "tag") else "all"
    if part == "all":
        return clips, part
    parts = split_clips(clips, split.by, split.test, split.val, split.seed).parts()
    if part not in parts:
        raise ConfigError(unknown_name("part", part, [*parts, "all"]))
    chosen = parts[part]
    if not chosen and config.part is None:  # split by tags, none of which is "test"
        return clips, "all"
    if not chosen:
        raise DataError(
            f"the split leaves no clips for part {part!r}: name groups with --data.split.{part}, or use --part all"
        )
    return chosen, part
