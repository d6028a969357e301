"""What damaged C3D files do to ezc3d happens in its own process: here it is one line, and the next file is read."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import graphpose
from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats import _c3d_process
from graphpose.formats._c3d_process import load_c3d

pytest.importorskip("ezc3d")
SAMPLES = Path(__file__).parents[2] / "data" / "samples"


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formats.write(graphpose.read(SAMPLES / "walk.bvh"), tmp_path_factory.mktemp("c3d") / "walk.c3d")


def test_damaged_parameters_are_one_line_and_the_next_file_is_read(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_c3d_process, "_START", 2.0)
    whole = walk.read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for number in range(25):
        data = bytearray(whole)
        for place in rng.integers(512, 512 * 3, size=6):
            data[place] = rng.integers(256)
        path = tmp_path / f"{number}.c3d"
        path.write_bytes(data)
        try:
            formats.read_all(path)
        except FormatError as fault:
            refused += 1
            assert str(fault).startswith(str(path)) and "\n" not in str(fault)
    assert refused > 5
    monkeypatch.undo()
    assert len(graphpose.read(walk)) == 39


def test_a_crash_and_a_standstill_are_told(walk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.kill(_c3d_process._running().pid, signal.SIGSTOP)
    with pytest.raises(FormatError, match=r"ezc3d did not come to an end in 0 s\); export or copy it again"):
        load_c3d(walk, patience=0.2)
    child = _c3d_process._running()
    monkeypatch.setattr(_c3d_process, "_running", lambda: child)
    child.kill()
    child.wait()
    with pytest.raises(FormatError, match=r"walk\.c3d: is no intact C3D file \(ezc3d crashed on it\)"):
        load_c3d(walk)
    monkeypatch.undo()
    assert load_c3d(walk).points.shape == (4, 15, 39)
