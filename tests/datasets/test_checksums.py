"""`SHA256SUMS` is what `sha256sum` reads and writes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from graphpose.datasets.checksums import NAME, read_checksums, write_checksums
from graphpose.errors import FormatError

ONE, TWO = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    sums = {"07/07_02.amc": TWO, "07/07 odd name.asf": ONE}
    write_checksums(tmp_path / NAME, sums)
    assert read_checksums(tmp_path / NAME) == sums


def test_sha256sum_agrees(tmp_path: Path) -> None:
    tool = shutil.which("sha256sum")
    if tool is None:
        pytest.skip("sha256sum is not installed")
    (tmp_path / "07").mkdir()
    (tmp_path / "07" / "a.amc").write_bytes(b"1")
    write_checksums(tmp_path / NAME, {"07/a.amc": ONE})
    assert subprocess.run([tool, "-c", NAME], cwd=tmp_path, capture_output=True, check=False).returncode == 0
    made = subprocess.run([tool, "-b", "07/a.amc"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    (tmp_path / "made").write_text(f"# of our lab\n\n{made}")
    assert read_checksums(tmp_path / "made") == {"07/a.amc": ONE}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{ONE}  a\nnonsense\n", r":2: expected 64 hexadecimal digits.*'nonsense'"),
        (f"{ONE[:-1]}  a\n", ":1: expected 64 hexadecimal digits"),
        (f"{ONE}  ../a\n", ":1: expected a path below the folder"),
        (f"{ONE}  /etc/a\n", ":1: expected a path below the folder"),
        (f"{ONE}  a\n{TWO}  ./a\n", ":2: a second, other checksum for 'a'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "sums").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_checksums(tmp_path / "sums")


def test_no_list_and_a_binary_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"sums: expected a list of checksums \(No such file"):
        read_checksums(tmp_path / "sums")
    (tmp_path / "sums").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="sums: expected a list of checksums"):
        read_checksums(tmp_path / "sums")
