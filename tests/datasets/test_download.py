"""`download` against a server on this machine that breaks off, lies, errs and changes its files; and without a server."""

from __future__ import annotations

import errno
import hashlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_server import (
    LocalServer,
    Served,
    becomes,
    breaks_off,
    claims,
    continues_with,
    fails,
    ignores_range,
    serving,
)

import graphpose.datasets.download as module
from graphpose.datasets.download import NotThereError, Patience, UnreachableError, download, sha256_of
from graphpose.errors import DataError, FormatError

BODY = random.Random(1).randbytes(200_000)
OTHER = random.Random(2).randbytes(200_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    monkeypatch.setenv("no_proxy", "*")
    with serving() as local:
        yield local


class Clock:
    """Stands for time: notes the pauses and takes none."""

    def __init__(self, attempts: int = 5) -> None:
        self.pauses: list[float] = []
        self.patience = Patience(attempts=attempts, timeout=5.0, sleep=self.pauses.append)


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_nothing_else_is_left(server: LocalServer, tmp_path: Path) -> None:
    url = server.serve("/a.bin", BODY)
    assert download(url, tmp_path / "deep" / "a.bin") == digest(BODY)
    assert (tmp_path / "deep" / "a.bin").read_bytes() == BODY
    assert left(tmp_path / "deep") == ["a.bin"]
    [asked] = server.asked("/a.bin")
    assert "range" not in asked
    assert asked["user-agent"].startswith("graphpose/")


def test_an_empty_file_is_a_file(server: LocalServer, tmp_path: Path) -> None:
    assert download(server.serve("/empty", b""), tmp_path / "empty") == digest(b"")
    assert (tmp_path / "empty").read_bytes() == b""


def test_it_goes_on_where_the_server_broke_off(server: LocalServer, tmp_path: Path) -> None:
    clock = Clock()
    url = server.serve("/a.bin", BODY, breaks_off(70_000), breaks_off(50_000))
    assert download(url, tmp_path / "a.bin", sha256=digest(BODY).upper(), patience=clock.patience) == digest(BODY)
    first, second, third = server.asked("/a.bin")
    assert "range" not in first
    assert (second["range"], second["if-range"]) == ("bytes=70000-", '"one"')
    assert third["range"] == "bytes=120000-"
    assert clock.pauses == [1.0, 1.0], "each try brought something, so the pauses do not grow"


def test_a_later_run_goes_on_too(server: LocalServer, tmp_path: Path) -> None:
    url = server.serve("/a.bin", BODY, breaks_off(70_000), fails(500))
    with pytest.raises(DataError, match=r"given up after 2 tries .*500.*a\.bin\.part keeps 70,000 bytes"):
        download(url, tmp_path / "a.bin", patience=Clock(2).patience)
    assert left(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    download(url, tmp_path / "a.bin")
    assert server.asked("/a.bin")[-1]["range"] == "bytes=70000-"
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert left(tmp_path) == ["a.bin"]


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(0, 5000), max_size=6),
    size=st.integers(0, 9000),
    ranges=st.booleans(),
    seed=st.integers(0, 9),
)
def test_whatever_is_cut_the_file_is_the_file(cuts: list[int], size: int, ranges: bool, seed: int) -> None:
    body = random.Random(seed).randbytes(size)
    with pytest.MonkeyPatch.context() as patch, serving() as server, TemporaryDirectory() as place:
        patch.setenv("no_proxy", "*")
        folder = Path(place)
        faults = [breaks_off(cut) for cut in cuts]
        if not ranges:
            faults = [lambda handler, file, cut=cut: handler.answer(file, start=0, send=cut) for cut in cuts]  # type: ignore[misc]
        url = server.serve("/a", body, *faults)
        assert download(url, folder / "a", patience=Clock(8).patience) == digest(body)
        assert (folder / "a").read_bytes() == body
        assert left(folder) == ["a"]


@pytest.mark.parametrize(
    ("etag", "modified", "validator"),
    [
        ('"strong"', "Mon, 01 Jan 2024 00:00:00 GMT", '"strong"'),
        ('W/"weak"', "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ("", "Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ('W/"weak"', "", None),
        ("", "", None),
    ],
)
def test_it_only_goes_on_where_a_change_would_be_noticed(
    server: LocalServer, tmp_path: Path, etag: str, modified: str, validator: str | None
) -> None:
    url = server.serve("/a.bin", BODY, breaks_off(70_000), etag=etag, modified=modified)
    download(url, tmp_path / "a.bin", patience=Clock().patience)
    assert (tmp_path / "a.bin").read_bytes() == BODY
    asked = server.asked("/a.bin")[1]
    assert asked.get("if-range") == validator
    assert ("range" in asked) == (validator is not None)


def test_a_server_that_ignores_range_sends_the_file_anew(server: LocalServer, tmp_path: Path) -> None:
    url = server.serve("/a.bin", BODY, breaks_off(70_000), ignores_range)
    download(url, tmp_path / "a.bin", patience=Clock().patience)
    assert (tmp_path / "a.bin").read_bytes() == BODY


NEW = Served(OTHER, etag='"two"', modified="Tue, 02 Jan 2024 00:00:00 GMT")


@pytest.mark.parametrize(
    "second",
    [
        None,  # a good server: If-Range makes it send the new file whole
        continues_with(NEW),
        continues_with(Served(OTHER[:150_000], etag="", modified="")),
        continues_with(Served(BODY), **{"Content-Range": "bytes 70001-199999/200000"}),
        continues_with(Served(BODY), **{"Content-Range": "nonsense"}),
    ],
    ids=["good", "another version", "another length", "another place", "no place"],
)
def test_a_file_that_changed_is_fetched_anew_and_never_spliced(
    server: LocalServer, tmp_path: Path, second: Any
) -> None:
    url = server.serve("/a.bin", BODY)
    server.faults["/a.bin"] = [becomes("/a.bin", NEW, breaks_off(70_000)), *([second] if second else [])]
    download(url, tmp_path / "a.bin", patience=Clock().patience)
    assert (tmp_path / "a.bin").read_bytes() == OTHER


def test_a_splice_that_no_header_tells_is_found_by_its_checksum(server: LocalServer, tmp_path: Path) -> None:
    url = server.serve("/a.bin", BODY)
    silent = Served(OTHER)  # same length, same ETag, other bytes
    server.faults["/a.bin"] = [becomes("/a.bin", silent, breaks_off(70_000))]
    assert download(url, tmp_path / "a.bin", sha256=digest(OTHER), patience=Clock().patience) == digest(OTHER)
    assert "range" not in server.asked("/a.bin")[2]


def test_a_file_that_became_shorter_than_its_part_is_fetched_anew(server: LocalServer, tmp_path: Path) -> None:
    url = server.serve("/a.bin", BODY)
    short = Served(OTHER[:1000])
    server.faults["/a.bin"] = [becomes("/a.bin", short, breaks_off(70_000)), fails(416)]
    download(url, tmp_path / "a.bin", patience=Clock().patience)
    assert (tmp_path / "a.bin").read_bytes() == OTHER[:1000]


def test_more_promised_than_sent_is_given_up_with_the_numbers(server: LocalServer, tmp_path: Path) -> None:
    clock = Clock(4)
    url = server.serve("/a.bin", BODY, *[claims(250_000) for _ in range(20)])
    with pytest.raises(DataError, match=r"given up after 4 tries without progress"):
        download(url, tmp_path / "a.bin", patience=clock.patience)
    assert not (tmp_path / "a.bin").exists()
    assert len(server.requests) <= 5


def whole(path: Path) -> None:
    """A check of the content, as a reader would do it."""
    if path.stat().st_size != len(BODY):
        raise FormatError(path, "ends too early")


@pytest.mark.parametrize("guard", [{"sha256": digest(BODY)}, {"check": whole}], ids=["checksum", "content"])
def test_less_promised_than_there_is_is_found_by_checksum_or_content(
    server: LocalServer, tmp_path: Path, guard: dict[str, Any]
) -> None:
    url = server.serve("/a.bin", BODY, claims(150_000))
    with pytest.raises(DataError, match=r"/a\.bin: .*(150,000 bytes|ends too early)"):
        download(url, tmp_path / "a.bin", patience=Clock().patience, **guard)
    assert left(tmp_path) == []


def test_other_bytes_than_the_checksum_leave_the_old_file_alone(server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(DataError, match=f"expected SHA-256 {digest(BODY)} .got {digest(OTHER)}, 200,000 bytes"):
        download(server.serve("/a.bin", OTHER), tmp_path / "a.bin", sha256=digest(BODY))
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert left(tmp_path) == ["a.bin"]
    assert len(server.requests) == 1, "a wrong file is not asked for again"


PAGE = b"<!DOCTYPE html>\n<html><head><title>Please\nlog in</title></head></html>"


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_in_place_of_the_file_is_recognised(server: LocalServer, tmp_path: Path, kind: str) -> None:
    url = server.serve("/a.zip", PAGE, kind=kind)
    with pytest.raises(DataError, match=r"got a web page, titled 'Please\\nlog in'.*browser"):
        download(url, tmp_path / "a.zip")
    assert left(tmp_path) == []


def test_a_compressed_answer_is_not_taken_for_the_file(server: LocalServer, tmp_path: Path) -> None:
    url = server.serve("/a", BODY, lambda handler, file: handler.answer(file, **{"Content-Encoding": "gzip"}))
    with pytest.raises(DataError, match="Content-Encoding 'gzip'"):
        download(url, tmp_path / "a")


@pytest.mark.parametrize(
    ("code", "kind"), [(404, NotThereError), (410, NotThereError), (401, DataError), (403, DataError)]
)
def test_a_no_is_a_no(server: LocalServer, tmp_path: Path, code: int, kind: type[DataError]) -> None:
    clock = Clock()
    with pytest.raises(kind, match=rf"/a: .*it answers {code}"):
        download(server.serve("/a", b"", fails(code)), tmp_path / "a", patience=clock.patience)
    assert clock.pauses == []
    assert len(server.requests) == 1


def test_a_server_in_trouble_is_given_time(server: LocalServer, tmp_path: Path) -> None:
    clock = Clock()
    faults = [fails(500), fails(503, Retry_After="7"), fails(429, Retry_After="86400"), fails(502, Retry_After="soon")]
    download(server.serve("/a", BODY, *faults), tmp_path / "a", patience=clock.patience)
    assert clock.pauses == [1.0, 7.0, 60.0, 8.0]
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_server_that_stays_in_trouble_is_given_up(server: LocalServer, tmp_path: Path) -> None:
    clock = Clock()
    with pytest.raises(DataError, match=r"given up after 5 tries without progress: the server answers 500"):
        download(server.serve("/a", BODY, *[fails(500)] * 9), tmp_path / "a", patience=clock.patience)
    assert clock.pauses == [1.0, 2.0, 4.0, 8.0]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_listening_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    clock, port = Clock(), unused_port()
    with pytest.raises(
        UnreachableError, match=rf"^127.0.0.1:{port} cannot be reached \(Connection refused\); check the network"
    ):
        download(f"http://127.0.0.1:{port}/a", tmp_path / "a", patience=clock.patience)
    assert clock.pauses == [1.0]
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "fault",
    [socket.gaierror(-3, "Temporary failure in name resolution"), OSError(errno.ENETUNREACH, "Network is unreachable")],
)
def test_no_network_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: OSError) -> None:
    def no(*words: object, **more: object) -> None:
        raise fault

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", no)
    with pytest.raises(UnreachableError) as caught:
        download("http://mocap.invalid/a", tmp_path / "a", patience=Clock().patience)
    assert str(caught.value).startswith(f"mocap.invalid cannot be reached ({fault.strerror}); check the network")
    assert "\n" not in str(caught.value)


def test_silence_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/a"
        with pytest.raises(DataError, match=r"given up after 2 tries without progress: .*(in time|timed out)"):
            download(url, tmp_path / "a", patience=Patience(attempts=2, timeout=0.1, sleep=lambda seconds: None))


def test_ctrl_c_keeps_the_part_and_says_how_to_go_on(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.serve("/a.bin", BODY)
    pieces: list[bytes] = []

    def interrupted(answer: Any) -> bytes:
        if len(pieces) == 2:
            raise KeyboardInterrupt
        pieces.append(answer.read(30_000))
        return pieces[-1]

    with monkeypatch.context() as patch:
        patch.setattr(module, "_piece", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"a\.bin\.part keeps 60,000 bytes .* the same command goes on"):
            download(url, tmp_path / "a.bin")
    assert left(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    download(url, tmp_path / "a.bin")
    assert server.asked("/a.bin")[1]["range"] == "bytes=60000-"
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_ctrl_c_while_waiting_says_so_too(server: LocalServer, tmp_path: Path) -> None:
    def impatient(seconds: float) -> None:
        raise KeyboardInterrupt

    url = server.serve("/a.bin", BODY, fails(500))
    with pytest.raises(KeyboardInterrupt, match="the same command starts this file again"):
        download(url, tmp_path / "a.bin", patience=Patience(sleep=impatient))


@pytest.mark.parametrize(
    "notes", [None, "{}", "[1]", "no json", '{"url": "http://else.where/a", "length": 200000, "etag": "\\"one\\""}']
)
def test_a_part_of_unknown_origin_is_not_built_on(server: LocalServer, tmp_path: Path, notes: str | None) -> None:
    (tmp_path / "a.part").write_bytes(OTHER[:50_000])
    if notes is not None:
        (tmp_path / "a.part.json").write_text(notes)
    download(server.serve("/a", BODY), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert "range" not in server.asked("/a")[0]
    assert left(tmp_path) == ["a"]


def test_a_full_disk_is_named(server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *words: object) -> None:
            pass

        def write(self, piece: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_opened", lambda part: Full())
    with pytest.raises(DataError, match=r"a\.part: cannot be written \(No space left on device\); make room"):
        download(server.serve("/a", BODY), tmp_path / "a")


@pytest.mark.parametrize(
    "url", ["mocap.cs.cmu.edu/a", "file:///etc/passwd", "ftp://x/a", "http://", "http://a b/", "http://x:99999/", ""]
)
def test_only_web_addresses_are_taken(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected an address that begins with http"):
        download(url, tmp_path / "a")


def test_a_progress_bar_shows_where_it_went_on(
    server: LocalServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = server.serve("/a.bin", BODY, breaks_off(100_000))
    download(url, tmp_path / "a.bin", patience=Clock().patience, show=True)
    assert "a.bin:  50%" in capsys.readouterr().err
    download(url, tmp_path / "b.bin", show=False)
    assert capsys.readouterr().err == ""


def test_sha256_of_a_large_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY * 11)
    assert sha256_of(tmp_path / "a") == digest(BODY * 11)
