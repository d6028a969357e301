"""The command line as a process of its own: stopped by Ctrl-C, and read by someone who goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import graphpose


def test_ctrl_c_is_exit_code_130_in_a_real_process(tmp_path: Path) -> None:
    code = (
        "import signal, sys, types, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job starts with it ignored
        "engine = types.ModuleType('graphpose.engine')\n"
        "engine.predict_file = lambda *a, **k: (print('ready', flush=True), time.sleep(60))\n"
        "sys.modules['graphpose.engine'] = engine\n"
        "from graphpose.cli.main import main\n"
        "sys.exit(main(['predict', 'a', 'b', 'c']))\n"
    )
    repository = str(Path(graphpose.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": repository},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err == "graphpose: error: stopped\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["skeleton list", "train --help"])
def test_a_reader_that_goes_away_is_no_error(words: str, unbuffered: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m graphpose {words} | exec true; echo ${{PIPESTATUS[0]}}"],
        cwd=Path(graphpose.__file__).parents[1],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "141")  # 0 where the pipe held everything before it was closed
