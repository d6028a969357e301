"""Archives are unpacked whole, and never outside of their folder."""

from __future__ import annotations

import io
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from graphpose.datasets.unpack import unpack
from graphpose.errors import FormatError

FILES = {"subjects/07/07.asf": b"bones\n" * 1000, "subjects/07/07_01.amc": b"motion\n", "README": b"read me"}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


@pytest.fixture(params=["zip", "tar.gz"])
def pack(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Writes an archive of either kind."""
    make = zipped if request.param == "zip" else tarred
    return lambda files: make(tmp_path / f"archive.{request.param}", files)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_file_lands_where_it_says(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    paths = unpack(pack(FILES), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    assert {path.relative_to(tmp_path / "out").as_posix() for path in paths} == set(FILES)


def test_members_can_be_renamed_and_left_out(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def place(name: str) -> str | None:
        return name.removeprefix("subjects/") if name.startswith("subjects/") else None

    unpack(pack(FILES), tmp_path / "out", place)
    assert set(contents(tmp_path / "out")) == {"07/07.asf", "07/07_01.amc"}


def test_what_was_there_is_replaced(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README").write_bytes(b"old")
    unpack(pack(FILES), tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "a/..", "\\\\server\\evil"]
)
def test_nothing_is_written_outside_of_the_folder(pack, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    archive = pack({**FILES, name: b"evil"})
    with pytest.raises(FormatError, match=r"would be written outside of the folder.*do not use this archive"):
        unpack(archive, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists(), "refused before the first file is written"


def test_a_name_given_by_the_caller_is_held_to_the_same(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FormatError, match="outside of the folder"):
        unpack(pack(FILES), tmp_path / "out", lambda name: f"../{name}")


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(FormatError, match="got a link: 'link'"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "word"),
    [(tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "link"), (tarfile.CHRTYPE, "device"), (tarfile.FIFOTYPE, "device")],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, word: str) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("odd")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(FormatError, match=f"got a {word}: 'odd'"):
        unpack(path, tmp_path / "out")


def test_a_link_that_is_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "subjects").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match="through the link"):
        unpack(zipped(tmp_path / "a.zip", FILES), tmp_path / "out")
    assert contents(tmp_path / "elsewhere") == {}


def test_two_members_for_one_file_are_refused(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FormatError, match=r"two members for one file: 'README' and 'readme'"):
        unpack(pack({**FILES, "readme": b"other"}), tmp_path / "out")


def test_a_damaged_member_is_named_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good", b"good")
        archive.writestr("bad", b"the text that gets damaged")
    path.write_bytes(path.read_bytes().replace(b"the text that gets", b"the text that GOT "))
    with pytest.raises(FormatError, match=r"a\.zip: 'bad' cannot be unpacked .*fetch the archive again"):
        unpack(path, tmp_path / "out")
    assert contents(tmp_path / "out") == {"good": b"good"}


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.8])
def test_what_is_no_whole_archive_is_refused(pack, tmp_path: Path, share: float) -> None:  # type: ignore[no-untyped-def]
    archive = pack({name: random.Random(name).randbytes(5000) for name in FILES})
    body = archive.read_bytes()
    archive.write_bytes(body[: int(share * len(body))])
    with pytest.raises(FormatError, match=r"fetch (it|the archive) again"):
        unpack(archive, tmp_path / "out")


def test_a_bomb_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tmp_path / "a.zip", {"zeros": bytes(1 << 22)})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1 << 20}))
    with pytest.raises(FormatError, match=r"needs 4,194,304 bytes unpacked.*room for 1,048,576"):
        unpack(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_a_member_that_is_longer_than_its_entry_says_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"zeros": bytes(5000)})
    body = archive.read_bytes().replace((5000).to_bytes(4, "little"), (4000).to_bytes(4, "little"))
    archive.write_bytes(body)
    with pytest.raises(FormatError, match="'zeros'"):
        unpack(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == {}
