"""Training: a configuration and clips in, a run folder with weights, settings and logs out.

The folder is what `fitting.py` writes. Models that are solved at once (`closed_form.py`) leave no `last.ckpt`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from graphpose.config import TrainConfig
from graphpose.datasets import PoseDataModule, absolute_places
from graphpose.engine.closed_form import ClosedForm, already_solved, solve
from graphpose.engine.device import prepare_training
from graphpose.engine.fitting import RunResult, fit, run_folder
from graphpose.engine.lifting_module import LiftingModule
from graphpose.engine.run_end import finished
from graphpose.errors import ConfigError
from graphpose.models import create
from graphpose.motion import MotionClip
from graphpose.own_modules import import_modules

__all__ = ["train"]


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
            return RunResult(folder, *solved)
    folder, point = run_folder(config.run, resume)
    if point is not None and (done := finished(folder, point.content, config.run)) is not None:
        return RunResult(folder, *done)
    if point is None and already_solved(folder) is not None:
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
    prepare_training(model, config.run.accelerator)
    resolved = replace(config, data=absolute_places(config.data), run=replace(config.run, output=str(folder)))
    if isinstance(model, ClosedForm):
        metrics = solve(model, resolved, data, folder, progress=progress is True)
        return RunResult(folder, metrics, steps=0)
    module = LiftingModule(model, config.optim, config.run.seed, config.run.log_every, config.run.max_steps)
    return fit(
        module,
        data,
        resolved.run,
        folder,
        settings=resolved.to_dict(),
        training=resolved.to_dict(),
        statement=json.dumps(data.data_statement()),
        resume=point,
        progress=progress,
    )
