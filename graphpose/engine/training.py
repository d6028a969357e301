"""Training: a configuration and clips in, a run folder with weights, settings and logs out.

folder/config.yaml          the resolved configuration
folder/best.safetensors     weights with the lowest validation MPJPE (the last ones when nothing validates)
folder/last.safetensors     weights at the end
folder/last.ckpt            everything needed to go on (`resume`), written after each epoch and on Ctrl-C; none for models that are
                            solved at once (`closed_form.py`)
folder/logs/version_N       metrics.csv and TensorBoard events; each resumed part has a version of its own
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from graphpose.config import TrainConfig
from graphpose.datasets import PoseDataModule, absolute_places
from graphpose.engine.allocator import keep_freed_memory
from graphpose.engine.callbacks import (
    EarlyStop,
    GracefulInterrupt,
    KeepWeights,
    LastCheckpoint,
    StopTraining,
    TrainingInterrupted,
)
from graphpose.engine.closed_form import ClosedForm, already_solved, solve
from graphpose.engine.device import pick_device, require_training_memory
from graphpose.engine.lifting_module import LiftingModule
from graphpose.engine.progress import ProgressBar, ProgressLines
from graphpose.engine.run_end import finished
from graphpose.engine.step_times import StepTimes
from graphpose.errors import CheckpointError, ConfigError
from graphpose.models import create
from graphpose.motion import MotionClip
from graphpose.own_modules import import_modules

__all__ = ["RunResult", "train"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What a training left behind.

    Attributes:
        folder: the run folder.
        best, last: checkpoints that `graphpose.load` reads.
        metrics: the last logged figures (`train/loss`, `val/mpjpe` in mm, …).
        steps: optimiser steps done in all.
        at_end: for a resumed run that has nothing to go on with, its limits reached already, one line that says so; nothing
            was done then.
        main_process: False in all processes of a training on several devices but the one that speaks for them.
    """

    folder: Path
    best: Path
    last: Path
    metrics: dict[str, float]
    steps: int
    at_end: str = ""
    main_process: bool = True


def train(
    config: TrainConfig,
    *,
    resume: str | Path | None = None,
    clips: Sequence[MotionClip] | None = None,
    progress: bool | Literal["lines"] = True,
) -> RunResult:
    """Trains a model of the zoo.

    Args:
        config: data, model, optimiser and run.
        resume: a run folder (or its `last.ckpt`) to go on from; `config` says how far. The folder stays the same, and a
            run that is at its end already stays as it is.
        clips: clips to use in place of `config.data.paths`.
        progress: True for a progress bar, "lines" for a line an epoch on the error stream, False for nothing.

    Raises:
        GraphposeError: whatever is wrong with configuration, data or checkpoint, before anything is written.
        TrainingInterrupted: Ctrl-C; the exception names the checkpoint that continues the run. A plain KeyboardInterrupt where
            there is none, because the model is solved at once (`closed_form.py`).
    """
    import_modules(config.run.imports)
    if resume is not None:
        folder = Path(resume) if Path(resume).is_dir() else Path(resume).parent
        if (solved := already_solved(folder)) is not None:
            return RunResult(folder, folder / "best.safetensors", folder / "last.safetensors", *solved)
    checkpoint, saved = _resume_point(resume) if resume is not None else (None, None)
    folder = Path(config.run.output) if checkpoint is None else checkpoint.parent
    if saved is not None and (done := finished(folder, saved, config.run)) is not None:
        return RunResult(folder, folder / "best.safetensors", folder / "last.safetensors", *done)
    if checkpoint is None and (folder / "last.ckpt").exists():
        raise ConfigError(f"{folder} holds a run already: go on with --resume {folder}, or give another run.output")
    if checkpoint is None and already_solved(folder) is not None:
        raise ConfigError(f"{folder} holds a run already: give another run.output")
    data = PoseDataModule(config.data, clips=clips, seed=config.run.seed)
    data.setup()
    torch.manual_seed(config.run.seed)
    if "skeleton" in config.model.options:
        raise ConfigError("model.options.skeleton: the skeleton of the model is that of the clips; set data.skeleton")
    model = create(
        config.model.name,
        data.skeleton,
        **{"frames": config.data.frames, "in_features": 3 if config.data.confidence else 2, **config.model.options},
    )
    device = pick_device(config.run.accelerator)
    require_training_memory(model, device)
    if device.type == "cpu":
        keep_freed_memory()
    resolved = replace(config, data=absolute_places(config.data), run=replace(config.run, output=str(folder)))
    if isinstance(model, ClosedForm):
        metrics = solve(model, resolved, data, folder, progress=progress is True)
        return RunResult(folder, folder / "best.safetensors", folder / "last.safetensors", metrics, steps=0)
    module = LiftingModule(model, config.optim, config.run.seed, config.run.log_every, config.run.max_steps)
    if saved is not None:
        _check_fits(checkpoint, saved["state_dict"], module)
    keep = KeepWeights(folder, resolved.to_dict(), json.dumps(data.data_statement()), config.run.keep_every)
    with warnings.catch_warnings(), _quiet():
        interrupt = GracefulInterrupt(folder)
        own = [StepTimes(), keep, interrupt]
        trainer = _trainer(resolved, folder, own, validates="val" in data.windows, progress=progress)
        if trainer.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            resolved.to_yaml(folder / "config.yaml")
        log.info("%s: %d parameters -> %s", type(model).__name__, sum(p.numel() for p in model.parameters()), folder)
        try:
            with interrupt:
                trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=False)
        except StopTraining:
            raise TrainingInterrupted(folder / "last.ckpt") from None
        if "val" in data.windows and keep.validated_step != trainer.global_step:
            trainer.validate(module, data.val_dataloader(), verbose=False)
        keep.finish(trainer, module)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return RunResult(
        folder,
        folder / "best.safetensors",
        folder / "last.safetensors",
        metrics,
        int(trainer.global_step),
        main_process=trainer.is_global_zero,
    )


def _trainer(
    config: TrainConfig, folder: Path, own: list[Callback], *, validates: bool, progress: bool | Literal["lines"]
) -> L.Trainer:
    run = config.run
    callbacks: list[Callback] = [*own, LastCheckpoint(folder, run.max_steps)]
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


def _resume_point(resume: str | Path) -> tuple[Path, dict[str, Any]]:
    """The checkpoint to go on from, and what is in it."""
    path = Path(resume)
    checkpoint = path / "last.ckpt" if path.is_dir() else path
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
    return checkpoint, content


def _check_fits(checkpoint: Path | None, saved: dict[str, torch.Tensor], module: LiftingModule) -> None:
    """Refuses to resume a run with another model or skeleton than it was started with."""
    own = {name: list(value.shape) for name, value in module.state_dict().items()}
    found = {name: list(value.shape) for name, value in saved.items()}
    strange = sorted(name for name in own.keys() | found.keys() if own.get(name) != found.get(name))
    if strange:
        shown = "; ".join(f"{n}: expected {own.get(n, 'none')} (got {found.get(n, 'none')})" for n in strange[:3])
        raise CheckpointError(
            f"{checkpoint}: cannot be resumed with this model ({len(strange)} weights do not fit: {shown}); "
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
