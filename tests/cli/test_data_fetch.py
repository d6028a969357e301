"""`graphpose data fetch` as typed: the list, a download, what lies in a folder, and what a mistake is answered with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from local_server import LocalServer, breaks_off, serving

from graphpose.cli.main import main
from graphpose.datasets.checksums import NAME

ASF = """\
:version 1.10
:units
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    name lfemur
    direction 0 -1 0
    length 20
    axis 0 0 0 XYZ
    dof rx
  end
:hierarchy
  begin
    root lfemur
  end
"""
AMC = b":FULLY-SPECIFIED\n:DEGREES\n1\nroot 0 16 0 0 0 0\nlfemur 3\n2\nroot 0 16 0 0 0 0\nlfemur 5\n"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A mirror of one subject, under a path of its own."""
    monkeypatch.setenv("no_proxy", "*")
    with serving() as local:
        local.serve("/pub/cmu/subjects/37/37.asf", ASF.encode())
        local.serve("/pub/cmu/subjects/37/37_01.amc", AMC)
        yield local


def fetch(server: LocalServer, folder: Path, *words: str) -> int:
    return main(["data", "fetch", "cmu", "--to", str(folder), "--from", f"{server.address}/pub/cmu/", *words])


def test_alone_it_lists_the_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:6]] == [
        "amass",
        "bandai_namco",
        "cmu",
        "human36m",
        "humaneva",
        "mpi_inf_3dhp",
    ]
    assert "fetched from here" in lines[2]
    assert "get it yourself" in lines[3]


def test_a_licensed_set_says_where_and_that_nothing_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "fetch", "human36m"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Human3.6M\n\nRegister at vision.imar.ro/human3.6m")
    assert "Licence: Academic use only" in text
    assert text.endswith(f"{Path('mocap/human36m')}: nothing there yet\n")
    assert max(len(line) for line in text.splitlines()) <= 100
    assert not (tmp_path / "mocap").exists()
    (tmp_path / "photo.jpg").touch()
    assert main(["data", "fetch", "human36m", "--to", "."]) == 0
    assert capsys.readouterr().out.endswith(".: nothing there yet (1 other entries)\n")


def test_what_is_wrong_in_the_folder_is_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.zeros(3))
    assert main(["data", "fetch", "human36m", "--to", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{tmp_path}: 1 broken, 5 absent"
    assert any(line.startswith("broken      data_3d_h36m.npz") for line in lines)
    assert any("-> convert or copy this file again" in line for line in lines)


def test_cmu_is_fetched_from_a_mirror_and_checked(
    mirror: LocalServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.faults["/pub/cmu/subjects/37/37_01.amc"] = [breaks_off(40)]
    assert fetch(mirror, tmp_path / "cmu", "--subjects", "37") == 0
    text = capsys.readouterr().out
    assert "subject 37: 2 files fetched, 0 were there" in text
    assert "ok          37  1 of 1 listed trials, 2 frames, 1.13 m" in text
    assert sorted(p.name for p in (tmp_path / "cmu").rglob("*")) == ["37", "37.asf", "37_01.amc", NAME]
    fetch(mirror, tmp_path / "cmu", "--subjects", "37")
    assert "subject 37: 0 files fetched, 2 were there" in capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    assert main(["data", "fetch", *words]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("graphpose: error: ")
    return line.removeprefix("graphpose: error: ")


def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert "did you mean 'human36m'?" in refused(capsys, 1, "h36m")
    assert "expected the name of a data set" in refused(capsys, 2, "--subjects", "07")
    assert "Human3.6M cannot be fetched by a program" in refused(capsys, 2, "human36m", "--subjects", "S1")
    assert "expected a folder (got the file file)" in refused(capsys, 2, "cmu", "--to", "file")
    assert "expected numbers of subjects" in refused(capsys, 1, "cmu", "--subjects", "walk")
    assert "expected an address that begins with http://" in refused(
        capsys, 1, "cmu", "--subjects", "07", "--from", "mirror/cmu"
    )
    assert "name the subjects: --subjects 01 02" in refused(capsys, 1, "cmu", "--from", "http://mirror.lab")


def test_no_network_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    text = refused(capsys, 1, "cmu", "--to", str(tmp_path), "--subjects", "07", "--from", "http://127.0.0.1:9")
    assert text.startswith("127.0.0.1:9 cannot be reached (Connection refused); check the network")


def test_ctrl_c_says_how_to_go_on(
    mirror: LocalServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(answer: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("graphpose.datasets.download._piece", interrupted)
    assert fetch(mirror, tmp_path, "--subjects", "37") == 130
    assert "stopped while fetching" in capsys.readouterr().err


def test_a_list_of_checksums_is_compared_with_any_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.zeros(3))
    sums = tmp_path / "sums"
    sums.write_text(f"{'0' * 64}  data_3d_h36m.npz\n{'1' * 64}  data_2d_h36m_gt.npz\n")
    assert main(["data", "fetch", "human36m", "--to", str(tmp_path), "--checksums", str(sums)]) == 1
    text = capsys.readouterr().out
    assert f"expected SHA-256 {'0' * 64} (got " in text
    assert f"listed in {sums}, and not there" in text


def test_its_help_imports_no_torch() -> None:
    code = (
        "import sys; from graphpose.cli.main import main\n"
        "try: main(['data', 'fetch', '--help'])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--subjects" in done.stdout
