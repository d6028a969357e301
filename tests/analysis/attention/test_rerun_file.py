"""The file for rerun: it is there whole, and holds poses and attention of the windows asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_record import made_record

from graphpose.analysis.attention.pictures import rerun_file
from graphpose.errors import DataError


def test_a_recording_is_written_whole(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="the extra `rerun` is not installed")
    record = made_record(frames=3, layers=1, heads=2)
    path = rerun_file(record, tmp_path / "new" / "one.rrd", windows=[1])
    content = path.read_bytes()
    assert content.startswith(b"RRF") or content[:4] == b"RRIO"
    assert b"/1_clip1_view_1_from_frame_0/attention/layer_0/head_1" in content
    assert b"clip1" in content and b"clip0" not in content
    assert len(rerun_file(record, tmp_path / "two.rrd").read_bytes()) > len(content)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new", "two.rrd"]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    record = made_record(frames=2, layers=1, heads=1)
    with pytest.raises(DataError, match="with a prediction"):
        rerun_file(replace(record, prediction=None), tmp_path / "none.rrd")
    with pytest.raises(DataError, match=r"window in 0 \.\.\. 1"):
        rerun_file(record, tmp_path / "none.rrd", windows=[2])
    assert not list(tmp_path.iterdir())
