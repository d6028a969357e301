"""Evaluation: every clip and view lifted whole, measured, and put into tables.

Protocol "exact" counts every frame once and measures velocities within clips. Protocol "published" repeats the habits of the
published evaluation scripts so that numbers can be compared: a clip whose length is no multiple of T ends with a window that
overlaps the one before (its frames count twice), clips shorter than T are padded and the padding counts, and velocity is measured
over the windows put end to end. Neither ever looks at anything but the clips it is given.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from graphpose.config import DataConfig, EvaluateConfig, TrainConfig
from graphpose.datasets import ClipView, Views, prepare_clips, split_clips, view_clip
from graphpose.engine.device import autocast, pick_device, place_of
from graphpose.engine.seen_clips import seen_clips, warn_of_seen
from graphpose.engine.windowed_lifting import lift_clips
from graphpose.errors import CheckpointError, ConfigError, DataError, unknown_name
from graphpose.formats._atomic import replacing
from graphpose.metrics import ErrorTable
from graphpose.models import Lifter, load, read_metadata
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

PROTOCOLS = ("exact", "published")

__all__ = ["PROTOCOLS", "Evaluation", "LiftedClip", "evaluate", "evaluate_clips", "training_data"]


@dataclass(frozen=True)
class LiftedClip:
    """One clip as one camera saw it, and what the model made of it.

    Attributes:
        name, subject, action: of the clip.
        view: number of the camera.
        fps: frames per second.
        x: `[L, J, 2 or 3]` normalised 2D, the model's input.
        predicted: `[L, J, 3]` metres, camera axes, relative to the true root.
        target: `[L, J, 3]` metres.
        up: `[3]` the world's up in camera axes, None when the camera is not known.
    """

    name: str
    subject: str | None
    action: str | None
    view: int
    fps: float
    x: Tensor
    predicted: Tensor
    target: Tensor
    up: Tensor | None = None

    @property
    def error(self) -> Tensor:
        """Distance of each joint in each frame `[L, J]`, metres."""
        return (self.predicted - self.target).norm(dim=-1)


@dataclass
class Evaluation:
    """The outcome of an evaluation: tables and the lifted clips themselves."""

    skeleton: Skeleton
    errors: ErrorTable
    protocol: str
    flip: bool
    clips: list[LiftedClip] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)

    def table(self) -> ErrorTable:
        """The errors: `overall()`, by action, subject, joint and clip; `text()`, CSV and JSON."""
        return self.errors

    def save(self, folder: str | Path) -> Path:
        """Writes `errors.txt`, `errors.csv`, `errors.json`, `evaluation.json` and `predictions.npz`.

        The last is an archive that `graphpose.read_all` reads: `positions [sum L, J, 3]` in camera space relative to the
        root, `lengths`, names and rates, and besides `targets [sum L, J, 3]` and the number of the camera, `views`.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for suffix in (".txt", ".csv", ".json"):
            self.errors.save(folder / f"errors{suffix}")
        (folder / "evaluation.json").write_text(
            json.dumps(
                {
                    "protocol": self.protocol,
                    "flip": self.flip,
                    "overall": json.loads(self.errors.to_json())["overall"],  # NaN as null
                    **self.info,
                },
                indent=2,
                default=str,
                allow_nan=False,
            ),
            encoding="utf-8",
        )
        arrays: dict[str, Any] = {
            "positions": torch.cat([clip.predicted for clip in self.clips]).numpy(),
            "targets": torch.cat([clip.target for clip in self.clips]).numpy(),
            "space": np.array("camera"),
            "lengths": np.array([len(clip.predicted) for clip in self.clips]),
            "fps": np.array([clip.fps for clip in self.clips]),
            "clip_names": np.array([clip.name for clip in self.clips]),
            "views": np.array([clip.view for clip in self.clips]),
            "joints": np.array(self.skeleton.joints),
            "parents": np.array(self.skeleton.parents),
            "skeleton": np.array(json.dumps(self.skeleton.to_dict())),
        }
        for key, labels in (
            ("subjects", [clip.subject for clip in self.clips]),
            ("actions", [clip.action for clip in self.clips]),
        ):
            if None not in labels:
                arrays[key] = np.array(labels)
        with replacing(folder / "predictions.npz") as draft, draft.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return folder


def evaluate(checkpoint: str | Path, config: EvaluateConfig | None = None, *, progress: bool = True) -> Evaluation:
    """Evaluates a checkpoint on clips.

    Args:
        checkpoint: a `.safetensors` file that graphpose wrote.
        config: data that differ from those of the training, part of the split, protocol, flip.
        progress: show a progress bar.

    Raises:
        GraphposeError: checkpoint, data or settings that cannot be used.

    Warns `SeenClipsWarning` when the clips were trained or validated on, unless part "train" or "val" asks for that.
    """
    config = config or EvaluateConfig()
    metadata = read_metadata(checkpoint)
    model = load(checkpoint, device=pick_device(config.accelerator))
    trained = training_data(checkpoint, metadata["config"])
    settings = config.data_config(trained)
    if config.data.get("frames", model.frames) != model.frames:
        raise ConfigError(
            f"data.frames: {checkpoint} lifts windows of {model.frames} frames (got {config.data['frames']!r}); the length comes "
            "from the model, leave data.frames out"
        )
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
    result = evaluate_clips(
        model,
        clips,
        views=Views.from_config(settings.views),
        protocol=config.protocol,
        flip=config.flip,
        precision=config.precision,
        progress=progress,
    )
    result.info = {
        "checkpoint": str(checkpoint),
        "model": metadata["model"],
        "part": part,
        "data": list(settings.paths),
        "trained_on": metadata["data_statement"],
        "seen_in_training": None if seen is None else asdict(seen),
        "versions": metadata["versions"],
    }
    return result


def evaluate_clips(
    model: Lifter,
    clips: Sequence[MotionClip],
    *,
    views: Views | None = None,
    protocol: str = "exact",
    flip: bool = True,
    precision: str = "32-true",
    progress: bool = True,
) -> Evaluation:
    """Evaluates a model on clips that are on its skeleton; see the module for the two protocols.

    Raises:
        DataError: clips without 3D positions or on another skeleton.
        ConfigError: an unknown protocol.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(unknown_name("protocol", protocol, PROTOCOLS))
    result = Evaluation(model.skeleton, ErrorTable(model.skeleton), protocol, flip)
    if precision == "64-true":
        model = copy.deepcopy(model).double()
    device, _ = place_of(model)
    for clip in tqdm(clips, desc="evaluating", unit="clip", disable=not progress):
        if clip.skeleton.joints != model.skeleton.joints:
            raise DataError(
                f"clip {clip.name!r} is on {clip.skeleton.name!r}, the model on {model.skeleton.name!r}: map it with clip.to()"
            )
        seen = view_clip(clip, views or Views())
        if seen[0].y is None:
            raise DataError(
                f"clip {clip.name!r} has no 3D positions to compare with; use `graphpose predict` to lift it"
            )
        x = torch.stack([one.x for one in seen])  # [V, L, J, 3]
        target = torch.stack([one.y for one in seen if one.y is not None])
        with autocast(precision, device):
            if protocol == "exact":
                predicted = lift_clips(model, x, flip=flip)
                counted, truth = predicted, target
            else:
                predicted, counted, truth = _published(model, x, target, flip)
        for view in range(len(seen)):
            names = {"subject": clip.subject, "action": clip.action, "name": clip.name}
            result.errors.add(counted[view], truth[view], **names)
            features = x[view, ..., : model.in_features]
            result.clips.append(
                LiftedClip(
                    clip.name,
                    clip.subject,
                    clip.action,
                    view,
                    clip.fps,
                    features,
                    predicted[view],
                    target[view],
                    _up(seen[view]),
                )
            )
    return result


def training_data(checkpoint: str | Path, config: dict[str, Any]) -> DataConfig:
    """The data settings that a checkpoint was trained with; the defaults for weights that were not trained here."""
    try:
        return TrainConfig.from_dict(config).data if config else DataConfig()
    except ConfigError as error:
        raise CheckpointError(f"{checkpoint}: damaged description in its header ({error})") from error


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


def _up(view: ClipView) -> Tensor | None:
    """Where +Y of the world points to in the camera's axes [3] (at the first frame of a moving camera)."""
    if view.camera is None:
        return None
    return view.camera.rotation.reshape(-1, 3, 3)[0, :, 1]


def _published(model: Lifter, x: Tensor, target: Tensor, flip: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The published windows: side by side, the last one moved back to end with the clip, short clips padded, all of it counted.

    Returns the stitched clips [V, L, J, 3] (later windows win), and prediction and truth of the windows put end to end [V, n T, J, 3].
    """
    length, frames = x.shape[1], model.frames
    starts = list(range(0, max(length - frames, 0) + 1, frames))
    if starts[-1] + frames < length:
        starts.append(length - frames)
    places = torch.as_tensor([[min(start + i, length - 1) for i in range(frames)] for start in starts])  # [n, T]
    windows = [lift_clips(model, x[:, place], flip=flip) for place in places]
    stitched = torch.empty_like(target)
    for place, window in zip(places, windows, strict=True):
        stitched[:, place] = window
    return stitched, torch.cat(windows, dim=1), target[:, places.flatten()]


def _choose_clips(
    settings: DataConfig, trained: DataConfig, config: EvaluateConfig, skeleton: Skeleton
) -> tuple[list[MotionClip], str]:
    """The clips of the part asked for, on the model's skeleton, and the name of the part.

    Other data than those of the training are evaluated whole unless a split is given for them.
    """
    clips = prepare_clips(settings, skeleton=skeleton)
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
