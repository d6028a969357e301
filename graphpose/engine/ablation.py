"""The cells of an ablation one after the other, or several at a time in processes of their own.

Done cells stay as they are, begun ones go on from their `last.ckpt`. A cell whose folder holds a run with other settings is
refused before anything is trained; a cell that fails is told and the others go on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

import torch

import graphpose
from graphpose.config import AblationConfig, Cell, select
from graphpose.engine.ablation_cell import ERROR, attempt, differences, read_cell
from graphpose.errors import ConfigError
from graphpose.formats._atomic import replacing
from graphpose.models.registry import entry
from graphpose.structured import build

__all__ = ["CONFIG", "Finished", "check_cells", "run_cells", "run_one", "write_config"]

CONFIG = "ablation.yaml"
"""The settings in the output folder, from which the ablation goes on."""
LOG = "log.txt"
_POLL = 0.1  # seconds between two looks at the processes


@dataclass(frozen=True)
class Finished:
    """A cell that came to its end.

    Attributes:
        cell: which.
        number, total: the how-manieth it is, done ones before it included, and how many there are.
        error: one line of what went wrong; None when all went well.
        seconds: it took now.
        remaining: seconds that the others will take, as the mean of those so far says.
    """

    cell: Cell
    number: int
    total: int
    error: str | None
    seconds: float
    remaining: float


def check_cells(config: AblationConfig) -> list[Cell]:
    """The cells, after everything that can be said before anything is trained.

    Raises:
        ConfigError: models and options that do not exist, a reference that has priors, folders that hold other runs; all at
            once.
    """
    cells = config.cells()
    faults: dict[str, None] = {}
    others: dict[str, list[Path]] = {}  # folders of other runs, by what is other there
    for cell in cells:
        with _collected(faults, cell):
            _check_model(cell, config.reference)
        with _collected(faults, cell):
            if unlike := differences(cell):
                others.setdefault(", ".join(unlike[:4]), []).append(cell.folder)
    for unlike_there, folders in others.items():
        many = len(folders) > 1
        held = (
            f"{folders[0]} and {len(folders) - 1} more of {len(cells)} cells hold runs"
            if many
            else f"{folders[0]} holds a run"
        )
        faults[
            f"{held} with other settings: {unlike_there}; give another --output, the old settings, or remove the "
            f"folder{'s' if many else ''}"
        ] = None
    if faults:
        shown = list(faults)
        more = f"; and {len(shown) - 4} more" if len(shown) > 4 else ""
        raise ConfigError("; ".join(shown[:4]) + more)
    return cells


def write_config(config: AblationConfig) -> Path:
    """Writes the settings into the output folder, with absolute paths; returns the file."""
    placed = config.placed()
    path = Path(placed.output) / CONFIG
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(placed.to_yaml(), encoding="utf-8")
    return path


def run_cells(
    cells: Sequence[Cell], *, jobs: int = 1, config: Path | None = None, progress: bool = False
) -> Generator[Finished, None, None]:
    """Runs what is not done yet, and tells of each cell when it has ended.

    Args:
        cells: of `check_cells`, or some of them.
        jobs: how many at a time; above 1 each is a process of its own with its share of the threads.
        config: what `write_config` wrote, which these processes read; only for jobs above 1.
        progress: show the progress bars of training and evaluation; only for one at a time.

    Ctrl-C lets running steps finish and saves them, in all processes, before KeyboardInterrupt comes out.
    """
    open_cells = [cell for cell in cells if read_cell(cell.folder) is None]
    done = len(cells) - len(open_cells)
    took = 0.0
    ended = _in_turn(open_cells, progress) if jobs == 1 else _at_a_time(open_cells, jobs, config)
    with _interruptible(), contextlib.closing(ended):
        for count, (cell, error, seconds) in enumerate(ended, start=1):
            took += seconds
            left = took / count * (len(open_cells) - count) / jobs
            yield Finished(cell, done + count, len(cells), error, seconds, left)


def run_one(config: AblationConfig, name: str, jobs: int) -> str | None:
    """One cell, as a process that `run_cells` started; returns what went wrong. Ends when the process that started it does."""
    _end_with_parent()
    [cell] = select(config.cells(), [name])
    return attempt(cell, jobs=jobs)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM stop this process as Ctrl-C does, also where it was started with SIGINT ignored, as in the background."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_turn(cells: Sequence[Cell], progress: bool) -> Generator[tuple[Cell, str | None, float], None, None]:
    for cell in cells:
        start = time.perf_counter()
        error = attempt(cell, progress=progress)
        yield cell, error, time.perf_counter() - start


@dataclass
class _Process:
    """A running cell."""

    cell: Cell
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    start: float

    def close(self) -> None:
        """Lets go of what stays open when it has ended."""
        self.log.close()
        if self.process.stdin is not None:
            self.process.stdin.close()


def _at_a_time(
    cells: Sequence[Cell], jobs: int, config: Path | None
) -> Generator[tuple[Cell, str | None, float], None, None]:
    assert config is not None, "cells in processes of their own need the settings as a file"
    waiting, running = list(cells), list[_Process]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start(waiting.pop(0), jobs, config))
            ended = [one for one in running if one.process.poll() is not None]
            for one in ended:
                running.remove(one)
                one.close()
                yield one.cell, _error(one), time.perf_counter() - one.start
            if not ended:
                time.sleep(_POLL)
    finally:
        _stop(running)


def _start(cell: Cell, jobs: int, config: Path) -> _Process:
    """A process for the cell, out of reach of the terminal's Ctrl-C, which comes to it from here, once."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    log = (cell.folder / LOG).open("wb")
    words = [
        sys.executable,
        "-m",
        "graphpose",
        "ablate",
        "--config",
        str(config),
        "--cell",
        cell.name,
        "--jobs",
        str(jobs),
    ]
    threads = str(max(1, torch.get_num_threads() // jobs))
    places = [str(Path(graphpose.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(places),
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads),
    }
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
    )
    return _Process(cell, process, log, time.perf_counter())


def _error(one: _Process) -> str | None:
    """What went wrong in a process that has ended."""
    code = one.process.returncode
    if code == 0:
        return None
    told = one.cell.folder / ERROR
    if told.is_file():
        return told.read_text(encoding="utf-8").splitlines()[0]
    ended = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"its process {ended}; see {one.cell.folder / LOG}"


def _stop(running: Sequence[_Process]) -> None:
    """Asks the processes to save and end, and waits; further Ctrl-C ask again, and at last end them at once."""
    if running:
        print(
            f"\nstopping {len(running)} cells after their step (Ctrl-C again stops at once) ...",
            file=sys.stderr,
            flush=True,
        )
    for kill in (False, False, True):
        for one in running:
            if one.process.poll() is None:
                one.process.kill() if kill else one.process.send_signal(signal.SIGINT)
        try:
            for one in running:
                one.process.wait()
            break
        except KeyboardInterrupt:
            continue
    for one in running:
        one.close()


def _end_with_parent() -> None:
    """Stops this process as Ctrl-C does when the other end of its standard input is closed."""

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock would be held when the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _collected(faults: dict[str, None], cell: Cell) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        faults[f"{'/'.join(part for part in cell.row if part)}: {error}"] = None


def _check_model(cell: Cell, reference: str | None) -> None:
    """Refuses unknown models and options, and a row "without priors" of a model that has some by default."""
    model = cell.config.model
    found = entry(model.name)
    features = 3 if cell.config.data.confidence else 2
    options = {"frames": cell.config.data.frames, "in_features": features, **model.options}
    config = build(found.config, options, source=f"model {model.name}")
    if cell.prior is not None and cell.prior == reference and getattr(config, "prior", None) is not None:
        names = [field.name for field in fields(found.config)]
        assert "prior" in names
        raise ConfigError(
            f"priors.{reference}: expected no priors, but those of {model.name} are {config.prior!r} unless told otherwise: "  # type: ignore[attr-defined]
            f"write {reference}: {{prior: null}}"
        )
