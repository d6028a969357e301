"""Training a model that is solved, not trained: one pass over the training frames, one `fit`, and the run folder of any training.

    x [n, J, C], y [n, J, 3] = every training frame once, and its mirror image where `data.flip` mirrors       model.fit(x, y)

Windows lie side by side whatever `data.sampling` and `data.stride` say, so that each frame counts once; noise and missing
keypoints are those of the first epoch. Everything else of `data` is as in other trainings, and so is `run.seed` (for what is drawn
in the data) and `run.output`. The rest of `optim` and `run` says how to descend to a solution, and nothing here does: it is kept
in config.yaml, and a line in the log names what has no effect. Several processes are refused. There is no `last.ckpt`, because
there is nothing to go on with.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor
from tqdm.auto import tqdm

from graphpose.config import RunConfig, TrainConfig
from graphpose.datasets import PoseDataModule, PoseLoader, flip_points
from graphpose.datasets.datamodule import part_windows
from graphpose.engine.lifting_module import LiftingModule
from graphpose.errors import CheckpointError, ConfigError, DataError
from graphpose.graph import grids
from graphpose.metrics import mpjpe
from graphpose.models import Lifter, read_metadata, save
from graphpose.models.registry import entry

__all__ = ["ClosedForm", "already_solved", "solve"]

log = logging.getLogger(__name__)

_AT_ONCE = 256
"""Windows read at a time; `data.batch_size` is about the optimiser's steps."""


@runtime_checkable
class ClosedForm(Protocol):
    """A lifter that is solved at once."""

    def fit(self, x: Tensor, y: Tensor) -> None:
        """Keypoints `[n, J, C]` (normalised) and joints `[n, J, 3]` (metres, relative to the root) of the same n frames."""


def solve(
    model: Lifter, config: TrainConfig, data: PoseDataModule, folder: Path, *, progress: bool = True
) -> dict[str, float]:
    """Fits `model` to the training frames of `data` and writes the run folder; that is complete or not there.

    Args:
        model: a `ClosedForm`.
        config: resolved, as the folder keeps it.
        data: set up.
        folder: of the run.
        progress: show a progress bar.

    Returns:
        `train/mpjpe` and the `val/` figures of other trainings, mm.

    Raises:
        ConfigError: several processes. DataError: clips without 3D, and what `fit` refuses.
        KeyboardInterrupt: Ctrl-C; nothing was written then.
    """
    assert isinstance(model, ClosedForm)
    _require_one_process(config.run)
    log.info("%s is solved in closed form: of optim and run only seed and output have an effect", type(model).__name__)
    try:
        x, y = _frames(config, data, progress)
        model.fit(x, y)
        metrics = {"train/mpjpe": _error(model, x, y), **_validate(model, config, data, progress)}
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; nothing was written to {folder}, train again from the start") from None
    folder.mkdir(parents=True, exist_ok=True)
    config.to_yaml(folder / "config.yaml")
    for logger in (CSVLogger(folder, "logs", 0), TensorBoardLogger(folder, "logs", 0)):
        logger.log_metrics({**metrics}, 0)
        logger.finalize("success")
    validated = {name: value for name, value in metrics.items() if name.startswith("val/")}
    for name in ("best", "last"):
        save(
            model,
            folder / f"{name}.safetensors",
            config=config.to_dict(),
            data_statement=json.dumps(data.data_statement()),
            metrics={**validated, "step": 0.0},
        )
    return metrics


def already_solved(folder: Path) -> tuple[dict[str, float], int, str] | None:
    """For a run folder of a solved model its figures, 0 steps, and one line that says there is nothing to go on with; else None."""
    last = folder / "last.safetensors"
    if (folder / "last.ckpt").exists() or not last.is_file():
        return None
    metadata = read_metadata(last)
    try:
        found = entry(metadata["model"])
    except ConfigError as error:
        raise CheckpointError(f"{last}: {error}") from None
    if not issubclass(found.model, ClosedForm):
        return None
    metrics = dict(metadata["metrics"])
    metrics.pop("step", None)
    line = (
        f"{folder}: nothing to go on with, {found.name} is solved at once and this run is complete; to solve it for other "
        "settings or clips, train anew into another run.output"
    )
    return metrics, 0, line


def _require_one_process(run: RunConfig) -> None:
    for name in ("devices", "nodes"):
        value = getattr(run, name)
        if value not in (1, "auto"):
            raise ConfigError(
                f"run.{name}: a model that is solved in closed form takes one process, expected 1 (got {value})"
            )


def _frames(config: TrainConfig, data: PoseDataModule, progress: bool) -> tuple[Tensor, Tensor]:
    """Every training frame once, `x [n, J, C]` and `y [n, J, 3]`; then their mirror images."""
    assert data.split is not None
    plain = replace(config.data, sampling="grid", stride=None, flip=False)
    windows = part_windows(plain, data.split.train, train=True, seed=config.run.seed)
    loader = PoseLoader(windows, _AT_ONCE, workers=config.data.workers, rank=0, world_size=1)
    parts: list[tuple[Tensor, Tensor]] = []
    for batch in tqdm(loader, desc="reading", unit="batch", disable=not progress):
        if batch.y is None:
            raise DataError("expected training clips with 3D positions (got 2D keypoints only)")
        for group in grids(batch):
            counted = batch.counted[group.clips]
            parts.append((group.x[counted], group.gather(batch.y)[counted]))
    x, y = (torch.cat(values) for values in zip(*parts, strict=True))
    if not (config.data.flip and windows.skeleton.pairs):
        return x, y
    mirror = torch.from_numpy(windows.skeleton.mirror.copy())
    return torch.cat([x, flip_points(x, mirror)]), torch.cat([y, flip_points(y, mirror)])


@torch.no_grad()
def _error(model: Lifter, x: Tensor, y: Tensor) -> float:
    """MPJPE of the frames that were fitted, mm; as the model lifts them, without averaging mirror images."""
    total = sum(
        float(mpjpe(model.lift(a[None])[0], b)) * len(a) for a, b in zip(x.split(4096), y.split(4096), strict=True)
    )
    return 1000.0 * total / len(x)


@torch.no_grad()
def _validate(model: Lifter, config: TrainConfig, data: PoseDataModule, progress: bool) -> dict[str, float]:
    """The figures that the validation of a training logs; none without validation clips."""
    if "val" not in data.windows:
        return {}
    module = LiftingModule(model, config.optim, config.run.seed).eval()
    for number, batch in enumerate(tqdm(data.val_dataloader(), desc="validating", unit="batch", disable=not progress)):
        module.validation_step(batch, number)
    return {name: 1000.0 * float(value) for name, value in module.validation.compute().items()}
