"""Adaptation: a trained lifter, its source and the 2D of a target in, a run folder with the adapted lifter out.

The folder is that of a training (`engine/fitting.py`), with the settings of the adaptation in config.yaml, and

folder/samples/00000200.npz     poses before and after, and their keypoints beside the target's, to be looked at

The weights are those of an ordinary checkpoint: same model, same options, not a parameter more.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only

from graphpose.adaptation.adaptation_module import AdaptationModule
from graphpose.adaptation.camera_tilt import source_tilts, target_tilt
from graphpose.adaptation.intrinsics import focal_of_view
from graphpose.adaptation.target_keypoints import TargetKeypoints
from graphpose.config import AdaptConfig, DataConfig, ModelConfig, TargetConfig, TrainConfig
from graphpose.datasets import PoseDataModule, absolute_places, prepare_clips
from graphpose.engine.closed_form import ClosedForm
from graphpose.engine.device import prepare_training
from graphpose.engine.evaluation import training_data
from graphpose.engine.fitting import RunResult, fit, run_folder
from graphpose.engine.run_end import finished
from graphpose.errors import ConfigError, DataError
from graphpose.formats._atomic import replacing
from graphpose.models import Lifter, load, read_metadata
from graphpose.models.registry import entry
from graphpose.motion import MotionClip
from graphpose.own_modules import import_modules
from graphpose.skeleton import Skeleton
from graphpose.structured import plain

__all__ = ["adapt", "with_limits"]

log = logging.getLogger(__name__)


def adapt(
    config: AdaptConfig,
    *,
    resume: str | Path | None = None,
    source: Sequence[MotionClip] | None = None,
    target: Sequence[MotionClip] | None = None,
    progress: bool | Literal["lines"] = True,
) -> RunResult:
    """Adapts the lifter of `config.checkpoint` to cameras and people that only 2D keypoints are known of.

    Args:
        config: checkpoint, source, target, alignment, augmentation, optimiser and run.
        resume: a run folder (or its `last.ckpt`) to go on from; `config` says how far.
        source: clips with 3D to use in place of those of `config.data`.
        target: clips with keypoints to use in place of `config.target.paths`; their 3D, if any, is not looked at.
        progress: as in `train`; but for False, a line on the error stream tells what was read of the target, its focal length and tilt.

    Raises:
        GraphposeError: whatever is wrong with settings, checkpoint or data, before anything is written; a target without a frame
            that can be used is a `DataError` that says why.
        TrainingInterrupted: Ctrl-C; the exception names the checkpoint that continues the run.
    """
    for name, clips in (("source", source), ("target", target)):
        if isinstance(clips, MotionClip):
            raise DataError(f"{name}: expected a list of clips (got the clip {clips.name!r} alone); give {name}=[clip]")
    import_modules(config.run.imports)
    folder, point = run_folder(config.run, resume, "adapt")
    if point is not None and (done := finished(folder, point.content, config.run, "adapt")) is not None:
        return RunResult(folder, *done)
    if not config.checkpoint:
        raise ConfigError("checkpoint: expected the lifter to adapt; give --checkpoint FILE.safetensors")
    model, metadata = load(config.checkpoint), read_metadata(config.checkpoint)
    model.skeleton = with_limits(model.skeleton)
    if isinstance(model, ClosedForm):
        raise ConfigError(
            f"checkpoint: {config.checkpoint}: {metadata['model']} is solved at once and does not learn step by step; give --checkpoint "
            "of a lifter that does"
        )
    settings = config.data_config(training_data(config.checkpoint, metadata["config"]))
    settings = _as_model(config, settings, model)
    data = PoseDataModule(settings, clips=_on_skeleton(settings, source, model), seed=config.run.seed)
    data.setup()
    keypoints = _target(config.target, target, model, _fps(data))
    tilt_of, tilt, told = _tilts(config, data, keypoints)
    told = f"{keypoints.focal_length()}; {told}"
    _tell(f"target: {keypoints.content()}, {told}", progress)
    torch.manual_seed(config.run.seed)
    prepare_training(model, config.run.accelerator)
    places = absolute_places(settings)
    resolved = replace(
        config.with_data(places),
        augmentation=config.resolved_augmentation(),
        checkpoint=str(Path(config.checkpoint).absolute()),
        target=replace(
            config.target,
            paths=[str(Path(path).absolute()) for path in config.target.paths],
            mapping=None if config.target.mapping is None else str(Path(config.target.mapping).absolute()),
        ),
        run=replace(config.run, output=str(folder)),
    )
    known = ModelConfig(metadata["model"], plain(metadata["options"]))
    training = TrainConfig(places, _without_data_options(known), config.optim, resolved.run)
    module = AdaptationModule(model.requires_grad_().train(), config, settings, keypoints, tilt_of, tilt)
    return fit(
        module,
        data,
        resolved.run,
        folder,
        settings=resolved.to_dict(),
        training=training.to_dict(),
        statement=json.dumps(data.data_statement() | {"adapted_to": f"TargetKeypoints({keypoints.content()}), {told}"}),
        resume=point,
        callbacks=[KeepSamples(folder / "samples", config.augmentation.samples_every)],
        progress=progress,
    )


@rank_zero_only
def _tell(line: str, progress: bool | Literal["lines"]) -> None:
    """Says once, of all processes, what was read, on the stream of the progress; nothing where that is off."""
    log.info(line)
    if progress is not False:
        print(line, file=sys.stderr, flush=True)


class KeepSamples(Callback):
    """Writes what the last step made of its source windows, every so many steps and at the end."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if trainer.global_step % self.every == 0:
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._write(trainer, pl_module)

    def _write(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, AdaptationModule)
        if not trainer.is_global_zero or not module.sample:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        middle = module.model.frames // 2
        arrays: dict[str, Any] = {
            name: values[:, middle].detach().float().cpu().numpy() for name, values in module.sample.items()
        }
        with replacing(self.folder / f"{trainer.global_step:08d}.npz") as draft, draft.open("wb") as file:
            np.savez_compressed(file, **arrays, skeleton=json.dumps(module.model.skeleton.to_dict()))


def _as_model(config: AdaptConfig, settings: DataConfig, model: Lifter) -> DataConfig:
    """The settings with the windows that the lifter takes; refuses others that were asked for."""
    frames = model.frames
    if "frames" in config.data and config.data["frames"] != frames:
        raise ConfigError(
            f"data.frames: expected {frames}, as the lifter was trained with (got {config.data['frames']})"
        )
    wanted = model.in_features == 3
    if config.data.get("confidence", wanted) != wanted:
        raise ConfigError(
            f"data.confidence: expected {str(wanted).lower()}, as the lifter was trained with (got {config.data['confidence']})"
        )
    return replace(settings, frames=frames, confidence=wanted)


def _on_skeleton(settings: DataConfig, source: Sequence[MotionClip] | None, model: Lifter) -> list[MotionClip]:
    """The source on the lifter's own skeleton."""
    if source is None and not settings.paths:
        raise ConfigError("data.paths: expected the source, clips with 3D; give --source FILE_OR_FOLDER")
    return prepare_clips(settings, source, skeleton=model.skeleton, option="--source")


def with_limits(skeleton: Skeleton) -> Skeleton:
    """The skeleton with the limits of the bundled one that it is, where it was saved without any."""
    if skeleton.limits is not None or skeleton.name not in Skeleton.available():
        return skeleton
    known = Skeleton.load(skeleton.name)
    return known if known == skeleton else skeleton


def _fps(data: PoseDataModule) -> float:
    """Frames per second of the source's windows; the lowest, where clips differ."""
    assert data.split is not None
    return min(clip.fps for clip in data.split.train)


def _target(config: TargetConfig, given: Sequence[MotionClip] | None, model: Lifter, fps: float) -> TargetKeypoints:
    if given is None and not config.paths:
        raise ConfigError("target.paths: expected 2D keypoints to adapt to; give --target FILE_OR_FOLDER")
    if given is not None:
        given = [clip.replace(positions=None, rotations=None) if clip.keypoints is not None else clip for clip in given]
    reading = DataConfig(
        paths=config.paths,
        fps=None,
        recorded_fps=config.recorded_fps,
        name_pattern=config.name_pattern,
        reader_options=config.reader_options,
    )
    focal: float | str = "estimate" if config.focal is None else config.focal
    if config.view_angle is not None:
        focal = focal_of_view(config.view_angle)
    return TargetKeypoints.from_clips(
        prepare_clips(reading, given, nameless=model.skeleton, section="target", option="--target"),
        model.skeleton,
        fps=fps,
        min_confidence=config.min_confidence,
        focal=focal,
        mapping=config.mapping,
    )


def _tilts(
    config: AdaptConfig, data: PoseDataModule, target: TargetKeypoints
) -> tuple[Callable[[torch.Tensor], torch.Tensor], float | None, str]:
    """How far the cameras of numbered source windows look down, how far the target's do (None: as far as they), and both in words."""
    wanted, windows = config.alignment.tilt, data.windows["train"]
    tilt: float | None = None
    if wanted != "source":
        tilt = target_tilt(target) if isinstance(wanted, str) else math.radians(wanted)
    tilts = source_tilts(windows, needed=tilt is not None)  # where it is not known, yaw is about the camera's own axis
    origin = "estimated" if isinstance(wanted, str) else "given"
    shown = "as the source's" if tilt is None else f"{math.degrees(tilt):.1f} degrees ({origin})"
    told = f"tilt {shown}, source {math.degrees(float(tilts.mean())):.1f} on average"

    def tilt_of(window: torch.Tensor) -> torch.Tensor:
        return tilts[torch.from_numpy(windows.table.rows(window.numpy())["track"].astype(np.int64))]

    return tilt_of, tilt, told


def _without_data_options(model: ModelConfig) -> ModelConfig:
    """Without the options that the data decide in a training."""
    skeleton_and_data = ("frames", "in_features")
    assert entry(model.name)
    return ModelConfig(model.name, {key: value for key, value in model.options.items() if key not in skeleton_and_data})
