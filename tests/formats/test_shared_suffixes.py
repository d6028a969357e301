"""Formats that share a suffix: known by what the file is, with the plain one for all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from formats import published_layouts as published

from graphpose import formats
from graphpose.cli.main import main
from graphpose.errors import FormatError
from graphpose.formats.registry import find_format
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published")
    published.write_human36m(path / "h36m", published.human36m(("S1", "S9"), ("Walking",), frames=20))
    published.write_humaneva(path / "humaneva", frames=20)
    published.write_3dhp_train(path / "3dhp", ("S1",), frames=20)
    published.write_3dhp_test(path / "3dhp", frames=20)
    published.write_annot_data(path / "3dhp" / "TS3" / "annot_data.mat", published.annotations_of_test())
    return path


def plain() -> MotionClip:
    body = Skeleton.load("h36m17")
    return MotionClip(body, 50.0, positions=torch.tensor(body.rest).repeat(4, 1, 1), name="stand")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("h36m/data_3d_h36m.npz", "human36m"),
        ("h36m/data_2d_h36m_gt.npz", "human36m"),
        ("humaneva/data_3d_humaneva15.npz", "humaneva"),
        ("humaneva/data_2d_humaneva15_gt.npz", "humaneva"),
        ("3dhp/data_train_3dhp.npz", "mpi_inf_3dhp"),
        ("3dhp/data_test_3dhp.npz", "mpi_inf_3dhp"),
        ("3dhp/TS3/annot_data.mat", "mpi_inf_3dhp"),
    ],
)
def test_files_are_known_by_what_they_are(folder: Path, tmp_path: Path, file: str, name: str) -> None:
    assert find_format(folder / file).name == name
    upper = tmp_path / Path(file).with_suffix(Path(file).suffix.upper()).name
    upper.write_bytes((folder / file).read_bytes())
    assert find_format(upper).name == name


def test_every_other_archive_is_the_plain_one(tmp_path: Path) -> None:
    assert find_format(formats.write(plain(), tmp_path / "data_3d_mine.npz")).name == "npz"
    np.savez(tmp_path / "numbers.npz", data=np.zeros(3))
    (tmp_path / "broken.npz").write_bytes(b"PK")
    assert [find_format(tmp_path / name).name for name in ("numbers.npz", "broken.npz", "none.npz")] == ["npz"] * 3


def test_one_folder_may_hold_them_all(folder: Path) -> None:
    clips = formats.read_all(folder)
    assert {clip.skeleton.name for clip in clips} == {"h36m17", "humaneva15", "mpi_inf_3dhp17"}
    assert len(clips) == 2 * 2 * 4 + 4 * 3 * 3 + 2 * 8 + 6 + 1


def test_writing_over_a_published_file_is_writing_npz(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "data_3d_h36m.npz"
    path.write_bytes((folder / "h36m/data_3d_h36m.npz").read_bytes())
    formats.write(plain(), path)
    assert formats.read(path).name == "stand"


def test_object_arrays_of_nobody_are_still_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", positions=np.array([{"x": 1}], dtype=object))
    with pytest.raises(FormatError, match="holds Python objects, which are not read"):
        formats.read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("h36m/data_2d_h36m_gt.npz", ["S9_Walking 1_60457274", "keypoints: gt (16 clips)", "split: train (8 clips), test (8 clips)"]),
        ("humaneva/data_3d_humaneva15.npz", ["Validate/S1", "camera: C1 (12 clips)", "humaneva15 (15 joints)"]),
        ("3dhp/data_test_3dhp.npz", ["TS6", "space: camera space, with camera (6 clips)", "annotation: univ_annot3 (6 clips)"]),
        ("3dhp/TS3/annot_data.mat", ["TS3", "image: 2048x2048 (1 clips)", "mpi_inf_3dhp17 (17 joints)"]),
    ],
)  # fmt: skip
def test_data_info_describes_them(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, words: list[str]
) -> None:
    assert main(["data", "info", str(folder / file)]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in words), shown


def test_data_info_takes_their_options(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "info", str(folder / "3dhp/TS3/annot_data.mat"), "--annotation", "annot3"]) == 0
    assert "annotation: annot3 (1 clips)" in capsys.readouterr().out
    assert main(["data", "info", str(folder / "h36m/data_3d_h36m.npz"), "--subjects", "S9"]) == 0
    assert "8 clips, " in capsys.readouterr().out


def test_millimetres_in_a_plain_archive_are_found_by_the_bones(tmp_path: Path) -> None:
    path = formats.write(plain().replace(positions=plain().positions * 1000), tmp_path / "stand.npz")
    with pytest.raises(FormatError, match=r"clip 'stand': by the lengths of its bones .* are in mm: give scale=0\.001"):
        formats.read(path)
    assert formats.read(path, scale=0.001).positions.allclose(plain().positions, atol=1e-6)
