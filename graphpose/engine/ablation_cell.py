"""One cell of an ablation: an ordinary run folder, trained or gone on with, measured, and noted in one more file.

    folder/config.yaml, last.safetensors, last.ckpt, ...    as `train` writes them
    folder/evaluation.json                                  as `evaluate --out` writes it: last weights, test clips
    folder/cell.json                                        parameters, FLOPs and times; written last, so the cell is done
    folder/error.txt                                        of a cell that failed: one line, then the traceback

Trained and evaluated with `graphpose.engine.train` and `evaluate`, so every other command works on the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from graphpose.config import Cell, EvaluateConfig, TrainConfig
from graphpose.datasets import absolute_places
from graphpose.engine.closed_form import already_solved
from graphpose.engine.evaluation import evaluate
from graphpose.engine.result_file import read_result, write_result
from graphpose.engine.step_times import TrainingTime, training_time
from graphpose.engine.training import train
from graphpose.errors import ConfigError, DataError, FormatError, GraphposeError
from graphpose.formats._atomic import replacing
from graphpose.models import load
from graphpose.models.cost import model_cost
from graphpose.structured import build

__all__ = ["CellRecord", "attempt", "differences", "read_cell", "run_cell"]

RECORD, RESULT, ERROR, LOCK = "cell.json", "evaluation.json", "error.txt", ".lock"
FORMAT, SCHEMA = "graphpose ablation cell", 1
_ANYWHERE = (
    "run.output",
    "run.accelerator",
    "run.strategy",
    "run.log_every",
    "run.save_every",
    "run.keep_every",
    "run.imports",
    "data.workers",
)
"""What two runs may differ in and be the same cell: where they ran and what they told."""


@dataclass(frozen=True)
class CellRecord:
    """What `cell.json` says beside the errors.

    Attributes:
        model: its name.
        parameters: learned numbers.
        flops: of lifting one window (`graphpose.models.cost`).
        frames: T of that window.
        lifts: "window" for all its frames, "centre" or "last" for one.
        steps: optimiser steps; 0 for a model that is solved at once.
        batch_size: windows a step.
        seconds_a_step: median wall time of a step; None where there are none.
        training_seconds: wall time of the training, without pauses; None where it was not measured.
        threads: that PyTorch computed with on the CPU.
        jobs: cells that were computed at a time.
        device: on which it was trained.
    """

    model: str
    parameters: int
    flops: int
    frames: int
    lifts: str
    steps: int
    batch_size: int
    seconds_a_step: float | None
    training_seconds: float | None
    threads: int
    jobs: int
    device: str


def read_cell(folder: Path) -> tuple[CellRecord, dict[str, Any]] | None:
    """The record and the evaluation result of a finished cell; None where it is not finished.

    Raises:
        FormatError: a file that is damaged.
    """
    path = folder / RECORD
    if not path.is_file() or not (folder / RESULT).is_file() or not (folder / "last.safetensors").is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or (content.pop("format"), content.pop("schema")) != (FORMAT, SCHEMA):
            raise FormatError(
                path, f"expected a {FORMAT} of schema {SCHEMA}; remove the file to measure the cell again"
            )
        record = build(CellRecord, content)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, f"damaged ({error}); remove the file to measure the cell again") from error
    return record, read_result(folder / RESULT)


def differences(cell: Cell) -> list[str]:
    """In what the run that lies in the cell's folder differs from the cell, e.g. `optim.lr 0.001 there, 0.01 here`.

    Where it ran does not count. Raises `ConfigError` for a damaged config.yaml.
    """
    path = cell.folder / "config.yaml"
    if not path.is_file():
        return []
    kept = _flat(TrainConfig.from_yaml(path).to_dict())
    wanted = _flat(replace(cell.config, data=absolute_places(cell.config.data)).to_dict())
    keys = [key for key in {**kept, **wanted} if key not in _ANYWHERE]
    return [
        f"{key} {_told(kept, key)} there, {_told(wanted, key)} here"
        for key in keys
        if _told(kept, key) != _told(wanted, key) and not _same_places(key, kept.get(key), wanted.get(key))
    ]


def run_cell(cell: Cell, *, jobs: int = 1, progress: bool = False) -> None:
    """Trains what is left to train, measures the last weights on the test clips, and writes the record.

    Raises:
        GraphposeError: whatever is wrong; another process that runs this cell.
        KeyboardInterrupt: Ctrl-C; the next call goes on where it stopped.
    """
    folder = cell.folder
    with _locked(folder):
        if read_cell(folder) is not None:
            return
        (folder / ERROR).unlink(missing_ok=True)
        begun = (folder / "last.ckpt").is_file() or already_solved(folder) is not None
        start = time.perf_counter()
        result = train(cell.config, resume=folder if begun else None, progress=progress)
        seconds = None if result.at_end else time.perf_counter() - start
        took = training_time(folder) if (folder / "last.ckpt").is_file() else None
        accelerator = cell.config.run.accelerator
        evaluation = evaluate(result.last, EvaluateConfig(part="test", accelerator=accelerator), progress=progress)
        write_result(evaluation, folder / RESULT)
        record = _record(cell, result.last, took, seconds, jobs)
        text = json.dumps({"format": FORMAT, "schema": SCHEMA, **asdict(record)}, indent=1) + "\n"
        with replacing(folder / RECORD) as draft:
            draft.write_text(text, encoding="utf-8")


def attempt(cell: Cell, *, jobs: int = 1, progress: bool = False) -> str | None:
    """`run_cell`; what goes wrong is one line, kept in error.txt with its traceback, and no exception. None when all is well."""
    try:
        run_cell(cell, jobs=jobs, progress=progress)
    except Exception as error:
        line = " ".join(str(error).split()) or "no message"
        line = line if isinstance(error, (GraphposeError, OSError)) else f"{type(error).__name__}: {line}"
        with contextlib.suppress(OSError):  # a full disk, perhaps; the line is told in any case
            cell.folder.mkdir(parents=True, exist_ok=True)
            (cell.folder / ERROR).write_text(f"{line}\n\n{traceback.format_exc()}", encoding="utf-8")
        return line
    return None


def _record(cell: Cell, weights: Path, took: TrainingTime | None, seconds: float | None, jobs: int) -> CellRecord:
    model = load(weights)
    cost = model_cost(model)
    device = "cpu" if cell.config.run.accelerator == "cpu" or not torch.cuda.is_available() else "cuda"
    return CellRecord(
        model=cell.config.model.name,
        parameters=cost.parameters,
        flops=cost.flops,
        frames=cost.frames,
        lifts=model.lifts,
        steps=0 if took is None else took.steps,
        batch_size=cell.config.data.batch_size,
        seconds_a_step=None if took is None else took.seconds_a_step,
        training_seconds=seconds if took is None else took.seconds,
        threads=torch.get_num_threads(),
        jobs=jobs,
        device=device,
    )


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{path}{key}.")
        else:
            found[f"{path}{key}"] = value
    return found


def _told(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "not set"


def _same_places(key: str, kept: Any, wanted: Any) -> bool:
    """Whether two lists of paths lead to the same files."""
    if key != "data.paths" or not isinstance(kept, list) or not isinstance(wanted, list):
        return False
    return [os.path.realpath(path) for path in kept] == [os.path.realpath(path) for path in wanted]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Only one process runs a cell, where files can be locked; the lock ends with the process, whatever ends it."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        raise ConfigError(f"{folder}: expected a folder ({there} is a file)")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        yield
        return
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{folder}: another process runs this cell; wait for it, or stop it") from None
        yield
