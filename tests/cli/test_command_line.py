"""The command line finds commands, answers a mistake with one line and an exit code, and hands over what was asked."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from noted_engine import noted_engine, refused

import graphpose
from graphpose.cli.discovery import commands
from graphpose.cli.main import main
from graphpose.config import EvaluateConfig
from graphpose.errors import CheckpointError, SkeletonError

NAMES = {command.name for command in commands().values()}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return noted_engine(monkeypatch)


def test_the_commands_are_these() -> None:
    expected = {
        "train",
        "adapt",
        "ablate",
        "analyse",
        "compare",
        "evaluate",
        "predict",
        "skeleton list",
        "skeleton show",
        "skeleton check",
        "data info",
        "data check",
        "data convert",
        "data fetch",
        "data prepare",
        "model list",
        "model describe",
    }
    assert expected == NAMES


def test_the_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"graphpose {graphpose.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian", "unknown command 'trian' (did you mean 'train'?)"),
        ("skeleton lst", "unknown skeleton command 'lst' (did you mean 'list'?)"),
        ("train --data.framez 3", "unknown option '--data.framez' (did you mean '--data.frames'?)"),
        ("train --outptu x", "unknown option '--outptu' (did you mean '--output'?)"),
        ("train --data.frames three", "--data.frames: expected a whole number (got three)"),
        ("train --data.fps fast", "--data.fps: expected a number or null (got fast)"),
        (
            "train --run.precision 16-mix",
            "--run.precision: unknown precision '16-mix' (did you mean '16-mixed'?); choose from: 32-true, 64-true, ",
        ),
        (
            "train --run.precision 33",
            "--run.precision: unknown precision '33'; choose from: 32-true, 64-true, 16-mixed",
        ),
        ("train --run.devices al", "--run.devices: expected a whole number or one of ['auto'] (got al)"),
        ("train --data.split.test S9", "--data.split.test: expected a list such as [a, b] (got S9)"),
        ("train --data", "--data: expected a value"),
        ("train --run.output a --output b", "--output, short for --run.output: expected one value (got a and b)"),
        ("train --output=b --run.output=a", "--output, short for --run.output: expected one value (got b and a)"),
        ("train --data a --data.paths [b]", "--data is short for --data.paths: expected one of them, not both"),
        ("train --config demo --resume x --data x", "expected --config or --resume, not both"),
        ("train stray", "unexpected argument 'stray'"),
        ("evaluate", "the following arguments are required: checkpoint"),
        (
            "evaluate a --protocol publishd",
            "--protocol: unknown protocol 'publishd' (did you mean 'published'?); choose from: exact, published; see",
        ),
        ("evaluate a --part tset", "--part: unknown part 'tset' (did you mean 'test'?); choose from: all, train"),
        ("skeleton show a --mode 5", "--mode: unknown mode '5'; choose from: 2d, 3d"),
        ("predict a b", "the following arguments are required: output"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, 2, *words.split()).startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --config demmo --data x", "unknown recipe 'demmo' (did you mean 'demo'?)"),
        ("train --config demo", "data.paths: expected clips to train on; give --data FILE_OR_FOLDER"),
        ("train --config demo --data x --data.frames 0", "data.frames: expected at least 1 (got 0)"),
        ("train --resume nowhere", "nowhere: expected a run folder with a config.yaml to resume"),
        ("evaluate a --data.views.focal 0", "data.views.focal: expected a number above 0"),
        ("skeleton show h36m16", "unknown skeleton 'h36m16' (did you mean 'h36m17'?)"),
        ("skeleton show nowhere/x.yaml", "nowhere/x.yaml: "),
        ("skeleton check nowhere/x.yaml", "nowhere/x.yaml: "),
        ("model describe ktpforma", "unknown model 'ktpforma' (did you mean 'ktpformer'?)"),
        ("data info nowhere.bvh", "nowhere.bvh: no such file"),
    ],
)
def test_bad_input_is_exit_code_1(
    words: str, message: str, capsys: pytest.CaptureFixture[str], engine: dict[str, Any]
) -> None:
    assert refused(capsys, 1, *words.split()).startswith(message)
    assert engine == {}


@given(
    st.lists(
        st.sampled_from(
            ["--data", "--data.fps", "3", "[", "{a: 1", "--flip", "=", "--config", "demo", "\x00", "--", "-x"]
        )
    )
)
def test_no_argument_list_ends_in_a_traceback(words: list[str]) -> None:
    assert main(["skeleton", "list", "--nonsense", *words]) == 2
    assert main(["train", "--run.seed", "-1", *words]) in (1, 2)


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skeleton", "show", "h36m16", "--debug"]) == 1
    text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in text
    assert "SkeletonError" in text
    assert text.splitlines()[-1].startswith("graphpose: error: unknown skeleton")


def test_evaluating_hands_over_only_what_was_given(engine: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "best.safetensors"]) == 0
    assert engine["evaluate"] == ("best.safetensors", EvaluateConfig())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "test clips, protocol exact, averaged over the mirror image; clips; checkpoint best.safetensors; "
        "1 clip, 2 views, 1,200 frames"
    )
    assert lines[1] == "MPJPE 51.2 mm"
    assert "saved" not in engine
    words = "x --data b --data.views.distance 3 --protocol published --no-flip --part all --out o --report r.html --poster p.png"
    assert main(["evaluate", *words.split()]) == 0
    data = {"paths": ["b"], "views": {"distance": 3.0}}
    assert engine["evaluate"] == ("x", EvaluateConfig(data=data, part="all", protocol="published", flip=False))
    assert engine["saved"] == "o"
    assert (
        main(
            [
                "evaluate",
                "x",
                "--hypotheses",
                "20",
                "--steps",
                "10",
                "--sampler",
                "ddim",
                "--aggregate",
                "jpma-true-root",
            ]
        )
        == 0
    )
    drawn = EvaluateConfig(hypotheses=20, steps=10, sampler="ddim", aggregate="jpma-true-root")
    assert engine["evaluate"] == ("x", drawn)
    assert main(["evaluate", *words.split()]) == 0
    assert engine["report"] == ("MPJPE 51.2 mm", "r.html")
    assert engine["poster"] == (["MPJPE 51.2 mm"], "p.png")


def test_predicting_names_its_files(engine: dict[str, Any]) -> None:
    assert main(["predict", "c.safetensors", "in.npz", "out.npz"]) == 0
    assert engine["predict"] == ("c.safetensors", "in.npz", "out.npz", True)
    assert main(["predict", "c.safetensors", "in.npz", "out.npz", "--no-flip"]) == 0
    assert engine["predict"][3] is False


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CheckpointError("c.safetensors: damaged"), 1, "c.safetensors: damaged"),
        (SkeletonError(["a cycle", "two roots"], source="s.yaml"), 1, "s.yaml: a cycle; two roots"),
        (PermissionError(13, "Permission denied", "out.npz"), 1, "out.npz: Permission denied"),
        (CheckpointError("over\ntwo lines"), 1, "over two lines"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_what_fails_while_running_is_one_line(
    error: BaseException,
    code: int,
    line: str,
    engine: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules["graphpose.engine"], "predict_file", fail)
    assert refused(capsys, code, "predict", "a", "b", "c") == line


def test_a_fault_of_our_own_is_not_hidden(engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("an invariant of ours")

    monkeypatch.setattr(sys.modules["graphpose.engine"], "predict_file", fail)
    with pytest.raises(AssertionError, match="an invariant of ours"):
        main(["predict", "a", "b", "c"])


def test_files_are_written_before_anything_is_printed(
    engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader such as `head -1` may be gone after the first line."""

    def gone(*_: object) -> None:
        raise BrokenPipeError

    with monkeypatch.context() as patch, open(os.devnull, "w") as nowhere:
        patch.setattr("builtins.print", lambda *_, **__: gone())
        patch.setattr("os.dup2", lambda *_: None)
        patch.setattr("sys.stdout", nowhere)
        assert main(["evaluate", "x", "--out", "o", "--report", "r.html", "--poster", "p.png"]) == 141
    assert {"saved", "report", "poster"} <= engine.keys()


def test_the_table_is_printed_where_a_file_cannot_be_written(
    engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "r.html")

    monkeypatch.setattr("graphpose.analysis.report_evaluation", full)
    assert main(["evaluate", "x", "--report", "r.html"]) == 1
    captured = capsys.readouterr()
    assert "MPJPE 51.2 mm" in captured.out and "report:" not in captured.out
    assert captured.err == "graphpose: error: r.html: No space left on device\n"
