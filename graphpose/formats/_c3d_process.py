"""ezc3d in a process of its own: its C++ code can crash or never return on damaged parameters, and takes nobody with it.

The process is started for the first file and kept for the next ones; it ends with this one.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats import _c3d_child

__all__ = ["Content", "load_c3d"]

_START = 30.0  # seconds that starting may take
_A_MEGABYTE = 5.0  # seconds more for each
_child: tuple[int, subprocess.Popen[str]] | None = None  # and the process that it belongs to


@dataclass(frozen=True)
class Content:
    """What is in a C3D file: `points [4, M, T]`, `residuals [1, M, T]`, and the parameters group -> name -> {"value": list}."""

    points: np.ndarray
    residuals: np.ndarray
    parameters: dict[str, Any]


def load_c3d(path: Path, patience: float | None = None) -> Content:
    """Reads a C3D file; raises `FormatError` when ezc3d refuses it, crashes on it, or does not return within `patience` s."""
    if patience is None:
        patience = _START + _A_MEGABYTE * path.stat().st_size / 2**20
    with tempfile.TemporaryDirectory(prefix="graphpose_c3d_") as folder:
        draft = Path(folder) / "content.npz"
        fault = _ask(path, draft, patience)
        if fault is not None:
            raise FormatError(path, f"is no intact C3D file ({' '.join(fault.split())[:120]}); export or copy it again")
        with np.load(draft) as file:
            return Content(file["points"], file["residuals"], json.loads(str(file["parameters"])))


def _ask(path: Path, draft: Path, patience: float) -> str | None:
    child = _running()
    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(json.dumps([os.path.abspath(path), str(draft)]) + "\n")
        child.stdin.flush()
        ready, _, _ = select.select([child.stdout], [], [], patience)
        answer = child.stdout.readline() if ready else ""
    except BrokenPipeError:
        ready, answer = [child.stdout], ""
    except BaseException:  # interrupted: its answer would be taken for that of the next file
        _stop()
        raise
    if answer:
        return None if (fault := json.loads(answer)) is None else str(fault)
    _stop()
    return "ezc3d crashed on it" if ready else f"ezc3d did not come to an end in {patience:.0f} s"


def _running() -> subprocess.Popen[str]:
    global _child
    if _child is None or _child[0] != os.getpid() or _child[1].poll() is not None:
        _stop()
        words = [sys.executable, str(Path(_c3d_child.__file__))]
        _child = (
            os.getpid(),
            subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for this process, which closes the pipe
            ),
        )
    return _child[1]


@atexit.register
def _stop() -> None:
    global _child
    if _child is not None and _child[0] == os.getpid():
        child = _child[1]
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # words that it never took
                    pipe.close()
    _child = None
