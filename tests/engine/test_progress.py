"""What a training tells: lines with units where nobody watches, a bar without the number of its logs where somebody does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from graphpose.config import TrainConfig
from graphpose.engine import train
from graphpose.motion import MotionClip

NUMBER = r"\d+(\.\d+)?(e-?\d+)?"
FIGURES = rf"train/loss {NUMBER}, val/mpjpe \d+\.\d mm, val/mpjve \d+\.\d mm/frame, val/p_mpjpe \d+\.\d mm"


def test_a_line_an_epoch_with_units_and_no_carriage_return(
    walkers: list[MotionClip], small_config: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    train(small_config(run__max_epochs=2), clips=walkers, progress="lines")
    out, err = capsys.readouterr()
    assert out == "" and "\r" not in err
    lines = err.splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines):
        assert re.fullmatch(rf"epoch {number}, step \d+: {FIGURES}", line), line


def test_a_cut_epoch_has_its_line_too(
    walkers: list[MotionClip], small_config: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(run__max_epochs=None, run__max_steps=3, data__batch_size=4)
    train(config, clips=walkers, progress="lines")
    [line] = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"epoch 0, step 3: {FIGURES}", line)


def test_the_bar_has_units_and_no_number_of_the_logs(
    walkers: list[MotionClip], small_config: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    train(small_config(run__max_epochs=2), clips=walkers, progress=True)
    bar = capsys.readouterr().out
    assert re.search(r"val/mpjpe=\d+\.\d mm", bar) and "v_num" not in bar


@pytest.mark.parametrize("options", [{"progress": False}])
def test_nothing_is_told_where_nothing_is_asked_for(
    options: dict[str, Any],
    walkers: list[MotionClip],
    small_config: Callable[..., TrainConfig],
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(small_config(), clips=walkers, **options)
    assert capsys.readouterr() == ("", "")
