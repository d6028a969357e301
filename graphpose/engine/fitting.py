"""Descending to weights in a run folder: the loop that a training and an adaptation share.

folder/config.yaml          the resolved settings
folder/best.safetensors     weights with the lowest validation MPJPE (the last ones when nothing validates)
folder/last.safetensors     weights at the end
folder/last.ckpt            everything needed to go on (`resume`), written after each epoch, within it every
                            `run.save_every` steps, and on Ctrl-C
folder/logs/version_N       metrics.csv and TensorBoard events; each resumed part has a version of its own
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from graphpose.config import RunConfig
from graphpose.config.kind_of_run import check_kind
from graphpose.datasets import PoseDataModule
from graphpose.engine.callbacks import (
    EarlyStop,
    GracefulInterrupt,
    KeepWeights,
    LastCheckpoint,
    StopTraining,
    TrainingInterrupted,
)
from graphpose.engine.lifting_module import LiftingModule
from graphpose.engine.progress import ProgressBar, ProgressLines
from graphpose.engine.step_times import StepTimes
from graphpose.engine.whole_checkpoint import WholeCheckpoint
from graphpose.errors import CheckpointError, ConfigError
from graphpose.formats._atomic import replacing

__all__ = ["ResumePoint", "RunResult", "fit", "run_folder"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What a training left behind.

    Attributes:
        folder: the run folder; `best` and `last` are checkpoints in it, which `graphpose.load` reads.
        metrics: the last logged figures (`train/loss`, `val/mpjpe` in mm, …).
        steps: optimiser steps done in all.
        at_end: for a resumed run that has nothing to go on with, its limits reached already, one line that says so; nothing
            was done then.
        main_process: False in all processes of a training on several devices but the one that speaks for them.
    """

    folder: Path
    metrics: dict[str, float]
    steps: int
    at_end: str = ""
    main_process: bool = True

    @property
    def best(self) -> Path:
        """The weights with the lowest validation MPJPE, or the last ones when nothing validates."""
        return self.folder / "best.safetensors"

    @property
    def last(self) -> Path:
        """The weights at the end."""
        return self.folder / "last.safetensors"


@dataclass(frozen=True)
class ResumePoint:
    """A `last.ckpt` and what is in it."""

    path: Path
    content: dict[str, Any]


def fit(
    module: LiftingModule,
    data: PoseDataModule,
    run: RunConfig,
    folder: Path,
    *,
    settings: Mapping[str, Any],
    training: Mapping[str, Any],
    statement: str,
    resume: ResumePoint | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | Literal["lines"] = True,
) -> RunResult:
    """Runs the training steps of `module` over the training windows of `data`, and writes the run folder.

    Args:
        module: the lifter in training.
        data: set up.
        run: length, machine and seed.
        folder: of the run.
        settings: nested and plain, for config.yaml.
        training: settings of a `TrainConfig`, for the weights: what the lifter takes as input, and how it was trained.
        statement: what the data were, as JSON, for the weights.
        resume: where to go on.
        callbacks: more of them.
        progress: as in `train`.

    Raises:
        ConfigError: a machine that is not there. CheckpointError: a checkpoint of another model.
        TrainingInterrupted: Ctrl-C; names the checkpoint that continues the run.
    """
    if resume is not None:
        _check_fits(resume, module)
    keep = KeepWeights(folder, dict(training), statement, run.keep_every)
    with warnings.catch_warnings(), _quiet():
        interrupt = GracefulInterrupt(folder)
        own = [StepTimes(), keep, *callbacks, interrupt]
        trainer = _trainer(run, folder, own, validates="val" in data.windows, progress=progress)
        if trainer.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, width=120)
            # replaced as a whole: a resumed run that is killed here can still be resumed
            with replacing(folder / "config.yaml") as draft:
                draft.write_text(text, encoding="utf-8")
        name, size = type(module.model).__name__, sum(p.numel() for p in module.model.parameters())
        log.info("%s: %d parameters -> %s", name, size, folder)
        try:
            with interrupt:
                checkpoint = None if resume is None else resume.path
                trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=False)
        except StopTraining:
            raise TrainingInterrupted(folder / "last.ckpt") from None
        if "val" in data.windows and keep.validated_step != trainer.global_step:
            trainer.validate(module, data.val_dataloader(), verbose=False)
        keep.finish(trainer, module)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return RunResult(folder, metrics, int(trainer.global_step), main_process=trainer.is_global_zero)


def _trainer(
    run: RunConfig, folder: Path, own: list[Callback], *, validates: bool, progress: bool | Literal["lines"]
) -> L.Trainer:
    callbacks: list[Callback] = [*own, LastCheckpoint(folder, run.max_steps, run.save_every)]
    if run.patience is not None:
        if not validates:
            raise ConfigError("run.patience: early stopping needs validation clips; set data.split.val")
        callbacks.append(EarlyStop(run.patience))
    if progress is True:
        callbacks.append(ProgressBar(refresh_rate=1))
    elif progress == "lines":
        callbacks.append(ProgressLines())
    version = _next_version(folder / "logs")
    try:
        return L.Trainer(
            accelerator=run.accelerator,
            devices=run.devices,
            num_nodes=run.nodes,
            strategy=run.strategy,
            precision=run.precision,
            max_epochs=-1 if run.max_epochs is None else run.max_epochs,
            gradient_clip_val=run.clip_grad,
            deterministic=run.deterministic,
            log_every_n_steps=run.log_every,
            limit_val_batches=1.0 if validates else 0,
            logger=[CSVLogger(folder, "logs", version), TensorBoardLogger(folder, "logs", version)],
            callbacks=callbacks,
            plugins=[WholeCheckpoint()],
            enable_progress_bar=progress is True,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ImportError, ValueError) as error:
        raise ConfigError(
            f"run: no training with accelerator {run.accelerator!r}, devices {run.devices!r}, strategy {run.strategy!r}, "
            f"precision {run.precision!r}: {error}"
        ) from error


def _next_version(logs: Path) -> int:
    taken = [int(path.name.removeprefix("version_")) for path in logs.glob("version_*") if path.name[8:].isdigit()]
    return max(taken, default=-1) + 1


def run_folder(
    run: RunConfig, resume: str | Path | None, command: Literal["adapt", "train"] = "train"
) -> tuple[Path, ResumePoint | None]:
    """The folder of a new run, or that of the run folder (or its `last.ckpt`) `resume` and where to go on in it.

    Raises:
        ConfigError: the folder of a new run holds a run, or the one to resume is of another command than `command`.
        CheckpointError: nothing to resume, or a damaged checkpoint.
    """
    if resume is not None:
        kept = (Path(resume) if Path(resume).is_dir() else Path(resume).parent) / "config.yaml"
        if kept.is_file():
            check_kind(resume, kept, command)
        point = _resume_point(resume)
        return point.path.parent, point
    folder = Path(run.output)
    if (folder / "last.ckpt").exists():
        raise ConfigError(f"{folder} holds a run already: go on with --resume {folder}, or give another run.output")
    return folder, None


def _resume_point(resume: str | Path) -> ResumePoint:
    path = Path(resume)
    checkpoint = path / "last.ckpt" if path.is_dir() else path
    folder = checkpoint.parent
    if not checkpoint.is_file() and (folder / "config.yaml").is_file() and not any(folder.glob("*.safetensors")):
        raise CheckpointError(
            f"{checkpoint}: no such checkpoint, the run was stopped before it wrote its first, so there is nothing to go on with; "
            "start it again with the same command as before, without --resume"
        )
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: no such checkpoint; --resume takes a run folder with a last.ckpt in it")
    try:
        content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=False)
        content["state_dict"] = {str(name): torch.as_tensor(value) for name, value in content["state_dict"].items()}
        content["loops"]["fit_loop"], content["optimizer_states"], content["callbacks"], content["global_step"]
    except Exception as error:
        raise CheckpointError(
            f"{checkpoint}: cannot be resumed, it is damaged ({type(error).__name__}: {error})"
        ) from error
    return ResumePoint(checkpoint, content)


def _check_fits(resume: ResumePoint, module: LiftingModule) -> None:
    """Refuses to resume a run with another model or skeleton than it was started with."""
    own = {name: list(value.shape) for name, value in module.state_dict().items()}
    found = {name: list(value.shape) for name, value in resume.content["state_dict"].items()}
    strange = sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name))
    if strange:
        shown = "; ".join(f"{n}: expected {own.get(n, 'none')} (got {found.get(n, 'none')})" for n in strange[:3])
        raise CheckpointError(
            f"{resume.path}: cannot be resumed with this model ({len(strange)} weights do not fit: {shown}); "
            "keep model, skeleton and data.frames of the run, or start a new one"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice that does not apply: our loader is resumable and brings its own sharding and workers."""
    for message in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*treespec, LeafSpec.*",
        ".*smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", message)
    chatter = [
        logging.getLogger(name)
        for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    ]
    levels = [logger.level for logger in chatter]
    for logger in chatter:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(chatter, levels, strict=True):
            logger.setLevel(level)
