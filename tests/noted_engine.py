"""An engine that notes what the command line asks of it, and the one line of a call that is refused."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from graphpose.cli.main import main
from graphpose.config import EvaluateConfig, TrainConfig

__all__ = ["Interrupted", "noted_engine", "refused"]


class Interrupted(BaseException):
    """Stands for the engine's exception for a training that was stopped."""


def noted_engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An engine that only notes what it is asked for, in place of the real one: for tests of the command line."""
    calls: dict[str, Any] = {}

    def train(config: TrainConfig, *, resume: str | None = None, progress: bool | str) -> Any:
        calls["train"] = (config, resume)
        calls["progress"] = progress
        return types.SimpleNamespace(
            folder="run",
            best="run/best.safetensors",
            last="run/last.safetensors",
            metrics={"mpjpe": 51.25},
            at_end="",
            main_process=calls.get("main_process", True),
        )

    def evaluate(checkpoint: str, config: EvaluateConfig, *, progress: bool) -> Any:
        calls["evaluate"] = (checkpoint, config)
        return types.SimpleNamespace(
            table=lambda: "MPJPE 51.2 mm",
            errors=types.SimpleNamespace(frames=1200),
            clips=[types.SimpleNamespace(view=view) for view in (0, 1)],
            save=lambda folder: calls.update(saved=folder),
            info={"part": "test", "data": ["clips"], "checkpoint": checkpoint},
            protocol="exact",
            flip=True,
        )

    def report_evaluation(evaluation: Any, path: str) -> None:
        calls["report"] = (evaluation.table(), path)

    def poster(examples: list[str], path: str) -> None:
        calls["poster"] = (examples, path)

    def predict_file(checkpoint: str, source: str, target: str, flip: bool = True) -> None:
        calls["predict"] = (checkpoint, source, target, flip)

    module = types.ModuleType("graphpose.engine")
    module.__dict__.update(train=train, evaluate=evaluate, predict_file=predict_file, TrainingInterrupted=Interrupted)
    monkeypatch.setattr("graphpose.analysis.report_evaluation", report_evaluation)
    monkeypatch.setattr("graphpose.analysis.telling_examples", lambda evaluation: [evaluation.table()])
    monkeypatch.setattr("graphpose.analysis.poster", poster)
    monkeypatch.setitem(sys.modules, "graphpose.engine", module)
    return calls


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """The one line on stderr of a call that has to end with `code`."""
    assert main(words) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("graphpose: error: ")
    return lines[0].removeprefix("graphpose: error: ")
