"""TRC: layout, units, missing points, and files that are broken, each named with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

ARM = Skeleton("arm", ("shoulder", "elbow", "hand"), (-1, 0, 1))
GOOD = (
    "PathFileType\t4\t(X/Y/Z)\tC:\\trials\\wave.trc\n"
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
    "100.00\t100.00\t3\t3\tmm\t100.00\t1\t3\n"
    "Frame#\tTime\tshoulder\t\t\telbow\t\t\thand\t\t\n"
    "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\tX3\tY3\tZ3\n"
    "\n"
    "1\t0.000\t0\t1400\t0\t0\t1100\t0\t0\t800\t0\t\n"
    "2\t0.010\t10\t1400\t0\t\t\t\t10\t800\t0\t\n"
    "3\t0.020\t20\t1400\t0\t20\t1100\t0\t\t\t\t\n"
)


def save(folder: Path, text: str | bytes = GOOD, name: str = "wave.trc") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_units_rate_names_and_empty_cells(tmp_path: Path) -> None:
    clip = formats.read(save(tmp_path), skeleton=ARM)
    assert (clip.fps, clip.name, clip.action, clip.subject) == (100.0, "wave", "wave", tmp_path.name)
    expected = torch.tensor([[0.0, 1.4, 0], [0, 1.1, 0], [0, 0.8, 0]])
    assert torch.allclose(clip.positions[0], expected)
    assert clip.missing.tolist() == [[False] * 3, [False, True, False], [False, False, True]]
    for unit, factor in (("m", 1000.0), ("cm", 10.0), ("Meters", 1000.0)):
        other = formats.read(save(tmp_path, GOOD.replace("\tmm\t", f"\t{unit}\t")), skeleton=ARM)
        assert torch.allclose(other.positions, clip.positions * factor, equal_nan=True)
    assert torch.allclose(formats.read(save(tmp_path), skeleton=ARM, scale=1.0)[:1].positions[0], expected * 1000)
    assert formats.read(save(tmp_path), skeleton=ARM, fps=25).fps == 25


def test_line_ends_missing_blank_line_and_other_axes(tmp_path: Path) -> None:
    whole = formats.read(save(tmp_path), skeleton=ARM).positions
    for text in (GOOD.replace("\n", "\r\n"), GOOD.replace("Z3\n\n", "Z3\n"), GOOD + "\n\n"):
        assert torch.equal(formats.read(save(tmp_path, text), skeleton=ARM).positions[0], whole[0])
    standing = formats.read(save(tmp_path), skeleton=ARM, up="-y")
    assert standing.positions[0, 0].tolist() == pytest.approx([0, -1.4, 0])
    with pytest.raises(FormatError, match=r"unknown axis up= 'w'.*choose from: x, -x, y"):
        formats.read(save(tmp_path), skeleton=ARM, up="w")


def test_written_layout_is_that_of_opensim(tmp_path: Path) -> None:
    clip = formats.read(save(tmp_path), skeleton=ARM)
    path = formats.write(clip, tmp_path / "out.trc", unit="m", digits=3)
    lines = path.read_text().split("\n")
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\tout.trc"
    assert lines[1].split("\t") == GOOD.split("\n")[1].split("\t")
    assert lines[2] == "100\t100\t3\t3\tm\t100\t1\t3"
    assert lines[3] == "Frame#\tTime\tshoulder\t\t\telbow\t\t\thand\t\t"
    assert lines[4] == "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\tX3\tY3\tZ3"
    assert lines[5] == ""
    assert lines[7] == "2\t0.010000\t0.010\t1.400\t0.000\t\t\t\t0.010\t0.800\t0.000"
    assert all(line.count("\t") == 10 for line in lines[6:9])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("PathFileType", "Path", r":1: expected a TRC file to begin with 'PathFileType'"),
        ("\tmm\t", "\t\t", r":3: expected mm, cm or m as Units \(got ''\); give the metres of a unit as scale="),
        ("\tmm\t", "\tinch\t", r":3: expected mm, cm or m as Units \(got 'inch'\)"),
        ("100.00\t100.00\t3", "0\t100\t3", r":3: expected a number above 0 as DataRate"),
        ("100.00\t100.00\t3", "fast\t100\t3", r":3: expected a number for DataRate \(got 'fast'\)"),
        ("3\t3\tmm", "3\t2.5\tmm", r":3: expected a whole number above 0 as NumMarkers"),
        ("3\t3\tmm", "3\t4\tmm", r":4: expected 4 names, as NumMarkers says \(got 3\)"),
        ("Frame#\tTime", "Time\tFrame#", r":4: expected the columns Frame# and Time first"),
        ("elbow", "hand", r":4: expected each point once \(got 'hand' again\)"),
        ("10\t1400\t0\t\t\t\t10", "10\t1400\t0\t\t\t10", r":8: point 'elbow' has 1 of its 3 coordinates"),
        ("10\t1400\t0\t\t\t\t10", "10\t1400\t\t10", r":8: expected 11 cells, frame, time and 3 .* \(got 9\)"),
        ("20\t1100\t0", "20\tup\t0", r":9: expected a number for Y of 'elbow' \(got 'up'\)"),
        ("20\t1100\t0", "20\tinf\t0", r":9: expected a number for Y of 'elbow' \(got 'inf'\)"),
        ("20\t1100\t0", "20\t1_1\t0", r":9: expected a number for Y of 'elbow' \(got '1_1'\)"),
        ("3\t0.020", "3\t0.050", r":9: expected Time to rise by 0.01 s a row, as DataRate 100 says \(got 0.04\)"),
        ("100.00\t100.00\t3\t3", "100\t100\t2\t3", r":9: expected 2 rows, as NumFrames in line 3 says \(got 3\)"),
        ("100.00\t100.00\t3\t3", "100\t100\t9\t3", r":9: cut short: NumFrames says 9, the file ends after 3 rows"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    path = save(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(FormatError, match=words) as caught:
        formats.read(path, skeleton=ARM)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"PathFileType\t4\n", r":2: cut short: expected 5 lines of header"),
        (GOOD[: GOOD.index("1\t0.000")].encode(), "holds no frame"),
        (GOOD.replace("hand", "h\xe4nd").encode("latin-1"), r":4: expected UTF-8 text \(got byte 0xe4\)"),
        (b"PathFileType\0", "zero byte"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        formats.read(save(tmp_path, content), skeleton=ARM)


def test_truncated_files_are_read_on_request(tmp_path: Path) -> None:
    path = save(tmp_path, GOOD[: GOOD.index("3\t0.020")])
    with pytest.raises(FormatError, match="allow_truncated=True"):
        formats.read(path, skeleton=ARM)
    assert len(formats.read(path, skeleton=ARM, allow_truncated=True)) == 2


@pytest.mark.parametrize("end", ["3\t0.0", "3\t0.020\t20\t14", "3\t0.020\t20\t1400\t0\t20\t1100\t0\t\t", "3"])
@pytest.mark.parametrize("after", ["", "\n", "\n\n"])
def test_a_row_that_is_cut_in_the_middle_is_left_out_on_request(tmp_path: Path, end: str, after: str) -> None:
    whole = formats.read(save(tmp_path), skeleton=ARM).positions
    path = save(tmp_path, GOOD[: GOOD.index("3\t0.020")] + end + after)
    with pytest.raises(FormatError, match=r":9: expected 11 cells, .*; allow_truncated=True reads the rows before it"):
        formats.read(path, skeleton=ARM)
    cut = formats.read(path, skeleton=ARM, allow_truncated=True).positions
    assert torch.equal(cut.nan_to_num(-1), whole[:2].nan_to_num(-1))


def test_only_the_last_row_may_be_short_and_only_its_last_number_is_doubted(tmp_path: Path) -> None:
    short = GOOD.replace("\t10\t800\t0\t\n", "\t10\n")
    with pytest.raises(FormatError, match=r":8: expected 11 cells.*\(got 9\)$"):
        formats.read(save(tmp_path, short), skeleton=ARM, allow_truncated=True)
    digits = save(tmp_path, GOOD[: GOOD.index("\t\n3\t0.020") - 1] + "1")  # 11 cells, 3 frames promised, no line break
    assert len(formats.read(digits, skeleton=ARM, allow_truncated=True)) == 1
    complete = save(tmp_path, GOOD.rstrip("\n"))
    assert len(formats.read(complete, skeleton=ARM, allow_truncated=True)) == 3
    only = save(tmp_path, GOOD[: GOOD.index("2\t0.010") - 9])
    with pytest.raises(FormatError, match="holds no frame"):
        formats.read(only, skeleton=ARM, allow_truncated=True)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    clip = formats.read(save(tmp_path), skeleton=ARM)
    flat = MotionClip(ARM, 30, keypoints=np.zeros((2, 3, 2)), name="flat")
    tabbed = MotionClip(Skeleton("t", ("a\tb",), (-1,)), 30, positions=np.zeros((1, 1, 3)))
    for bad, words in [
        ([clip, clip], "one clip"),
        (flat, "only keypoints"),
        (clip.replace(space="camera"), "frame of a camera"),
        (tabbed, r"joint name 'a\\tb'"),
    ]:
        with pytest.raises(FormatError, match=words):
            formats.write(bad, tmp_path / "out.trc")
    with pytest.raises(FormatError, match=r"expected mm, cm or m as unit= \(got 'feet'\)"):
        formats.write(clip, tmp_path / "out.trc", unit="feet")
    assert not (tmp_path / "out.trc").exists()
