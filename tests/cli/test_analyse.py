"""`graphpose analyse`: a page, a record and a rerun file of a checkpoint on clips, and one line where that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from zoo import small

from graphpose.cli.main import main
from graphpose.models import save
from graphpose.skeleton import Skeleton

pytest.importorskip("plotly", reason="the extra `viz` is not installed")
pytest.importorskip("pandas", reason="the extra `analysis` is not installed")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save(small("ktpformer", Skeleton.load("h36m17"), frames=6), path, data_statement="made up for a test")
    return path


@pytest.fixture(scope="module")
def walk(repository: Path) -> str:
    return str(repository / "data" / "samples" / "walk.bvh")


def test_page_and_record_are_written(
    checkpoint: Path, walk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from graphpose.analysis.attention.record_file import load_record

    page, file = tmp_path / "new" / "page.html", tmp_path / "record.safetensors"
    words = ["analyse", str(checkpoint), "--data", walk, "--windows", "2", "--layers", "1", "--heads", "0,2"]
    assert main([*words, "--out", str(page), "--record", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"record: {file}", f"page: {page}"]
    record = load_record(file)
    assert len(record.windows) == 2
    assert {(one.layer, one.heads) for one in record.attention} == {(1, (0, 2))}
    text = page.read_text(encoding="utf-8")
    assert "Attention of ktpformer on h36m17" in text and walk in text and 'id="look-heads"' in text


def test_a_rerun_file_is_written(checkpoint: Path, walk: str, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="the extra `rerun` is not installed")
    file = tmp_path / "clip.rrd"
    assert main(["analyse", str(checkpoint), "--data", walk, "--windows", "1", "--rerun", str(file)]) == 0
    assert file.stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "expected --out FILE.html, --record FILE.safetensors or --rerun FILE.rrd"),
        (["--out", "x.html", "--windows", "0"], 2, "--windows: expected at least 1"),
        (["--out", "x.html", "--layers", "one"], 2, "--layers: expected whole numbers"),
        (["--out", "x.html", "--layers", "9"], 1, "9"),
        (["--out", "x.html", "--data", "nowhere"], 1, "no such file or folder: nowhere"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], code: int, told: str, checkpoint: Path, walk: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = [] if "--data" in words else ["--data", walk]
    assert main(["analyse", str(checkpoint), *given, *words]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert told in line
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_knows_no_clips_asks_for_them(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", str(checkpoint), "--out", "x.html"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "it records no training data; give --data FILE_OR_FOLDER" in line


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--record", "model.safetensors"], "--record: expected another file than the checkpoint"),
        (["--record", "link.safetensors"], "--record: expected another file than the checkpoint"),
        (["--out", "clips/../walk.bvh"], "--out: expected a file that is not of the data"),
        (["--out", "clips/deep/walk.bvh"], "--out: expected a file that is not of the data"),
        (["--out", "same", "--record", "./same"], "--record: expected another file than --out"),
        (["--out", "clips"], "--out: expected a file (got the folder clips)"),
    ],
)
def test_inputs_and_outputs_are_not_overwritten(
    words: list[str], told: str, checkpoint: Path, walk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("clips/deep").mkdir(parents=True)
    Path("model.safetensors").write_bytes(checkpoint.read_bytes())
    Path("link.safetensors").symlink_to("model.safetensors")
    for place in ("walk.bvh", "clips/deep/walk.bvh"):
        Path(place).write_bytes(Path(walk).read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["analyse", "model.safetensors", "--data", "walk.bvh", "--data", "clips", *words]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert told in line
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_page_in_the_folder_of_the_clips_is_made_anew(checkpoint: Path, walk: str, tmp_path: Path) -> None:
    (tmp_path / "walk.bvh").write_bytes(Path(walk).read_bytes())
    page = tmp_path / "page.html"
    page.write_text("old")
    assert main(["analyse", str(checkpoint), "--data", str(tmp_path), "--windows", "1", "--out", str(page)]) == 0
    assert "Attention of ktpformer" in page.read_text(encoding="utf-8")
