"""`graphpose data prepare` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphpose.cli.main import main

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def test_prepared_and_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "data",
        "prepare",
        str(SAMPLES),
        "--out",
        str(tmp_path / "store"),
        "--skeleton",
        "h36m17",
        "--workers",
        "2",
    ]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "20 clips, 1,209 frames in 1 shards (1 made now)" in shown.out
    assert f"graphpose train --data {tmp_path / 'store'}" in shown.out
    assert "20/20" in shown.err
    assert main(words) == 0
    assert "(0 made now)" in capsys.readouterr().out
    assert main([*words, "--fps", "null"]) == 1
    assert "was prepared with fps 30.0 (now None)" in capsys.readouterr().err
    assert main([*words, "--fps", "15", "--overwrite"]) == 0


def test_broken_files_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "walk.bvh").write_bytes((SAMPLES / "walk.bvh").read_bytes())
    for number in range(7):
        (folder / f"broken{number}.npz").write_bytes(b"PK")
    words = ["data", "prepare", str(folder), "--out", str(tmp_path / "store")]
    assert main(words) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("graphpose: error")]
    assert all(any(f"broken{number}.npz" in line for line in lines) for number in range(7))
    assert "7 of 8 source files cannot be used" in lines[-1] and "--skip_broken" in lines[-1]
    assert main([*words, "--skip_broken"]) == 0
    shown = capsys.readouterr()
    assert "1 clips, 39 frames in 1 shards (1 made now), 7 files left out" in shown.out
    assert shown.err.count("graphpose: left out: ") == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x"], "path"),
        (["a", "--out", "x", "--workers", "0"], "at least 1 worker"),
        (["nowhere", "--out", "x"], "nowhere: No such file"),
        (["a", "--out", "x", "--fps", "-1"], "fps"),
        (["a", "--out", "x", "--skeletn", "h36m17"], "did you mean '--skeleton'"),
    ],
)
def test_wrong_words(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "walk.bvh").write_bytes((SAMPLES / "walk.bvh").read_bytes())
    assert main(["data", "prepare", *words]) in (1, 2)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["info", "check"])
def test_a_store_is_described_and_checked_like_files(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = str(SAMPLES / "walk.bvh")
    assert main(["data", "prepare", clip, "--out", str(tmp_path / "store")]) == 0
    capsys.readouterr()
    assert main(["data", command, str(tmp_path / "store"), clip]) == 0
    out = capsys.readouterr().out
    assert ("2 files, 2 sound clips, 0 files with a fault" if command == "check" else "2 clips") in out
    assert "content hash" not in out
    shard = next((tmp_path / "store" / "shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1])
    assert main(["data", command, str(tmp_path / "store")]) == 1
    assert "00000.arrow: has" in capsys.readouterr().err
