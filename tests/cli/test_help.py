"""Help: every command is listed and explains itself, with one true default of each option."""

from __future__ import annotations

import re

import pytest

from graphpose.cli.discovery import commands
from graphpose.cli.main import main

NAMES = {command.name for command in commands().values()}


def test_help_lists_every_command_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in commands().values():
        assert f"{command.name} " in text
        assert command.summary in text


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*name.split(), "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: graphpose {name}")
    assert commands()[tuple(name.split())].summary in " ".join(text.split())


def test_a_group_lists_its_own_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skeleton", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: graphpose skeleton COMMAND")
    assert "\n  check  Check a skeleton file" in text
    assert "info" not in text
    assert main(["skeleton"]) == 2


@pytest.mark.parametrize("name", sorted(NAMES))
def test_help_tells_one_default_of_an_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for told in re.split(r" (?=--?[a-z])", text):
        assert told.count("default:") <= 1, told
        assert "(default: null)" not in told


def test_help_tells_true_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "(default: as in the training)" not in text
    assert "frames T of a window. (type: int, default: as in the training)" in text
    assert "average with the mirrored input (default: yes) --alignment" in text
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "frames T of a window. (type: int, default: 27)" in " ".join(capsys.readouterr().out.split())


def test_help_tells_the_defaults_of_an_adaptation_not_of_a_training(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["adapt", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for told in (
        "frames T of a window. (type: int, default: as in the checkpoint's training)",
        "highest learning rate. (type: float, default: 0.0005)",
        "rises from 0. (type: int, default: 50)",
        "(then `max_steps` is one). (type: int | null, default: null)",
        "optimiser steps at most; null for no limit. (type: int | null, default: 1000)",
        "settings and logs. (type: str, default: runs/adapt)",
    ):
        assert told in text
    assert "'exponential', 'cosine', 'constant'], default: cosine)" in text
    assert "Config`" not in text
