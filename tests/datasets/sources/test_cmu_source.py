"""CMU recordings fetched from a server on this machine with the published layout, and checked."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import LocalServer, Served, breaks_off, claims, fails, serving
from shared import shared_path

import graphpose
from graphpose.datasets.checksums import NAME, read_checksums
from graphpose.datasets.download import Patience, UnreachableError, sha256_of
from graphpose.datasets.sources import Wishes, faulty, find_source
from graphpose.datasets.sources._cmu_trials import listed, subject_name
from graphpose.errors import DataError

ASF = (
    """\
:version 1.10
:name small
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
"""
    + "".join(
        f"""\
  begin
    id {number}
    name {name}
    direction {direction}
    length {length}
    axis 0 0 0 XYZ
    dof rx ry rz
  end
"""
        for number, (name, direction, length) in enumerate(
            [("lfemur", "0.1 -1 0", 14), ("rfemur", "-0.1 -1 0", 14), ("trunk", "0 1 0", 14)], 1
        )
    )
    + ":hierarchy\n  begin\n    root lfemur rfemur trunk\n  end\n"
)


def amc(frames: int) -> bytes:
    lines = [":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(1, frames + 1):
        lines += [str(frame), f"root {0.01 * frame} 16 0 0 0 0", "lfemur 10 0 0", "rfemur -10 0 0", "trunk 1 0 0"]
    return ("\n".join(lines) + "\n").encode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """Subject 03 with its four listed trials, and 37 with one."""
    monkeypatch.setenv("no_proxy", "*")
    with serving() as local:
        local.serve("/subjects/03/03.asf", ASF.encode())
        for trial in range(1, 5):
            local.serve(f"/subjects/03/03_{trial:02d}.amc", amc(trial + 5))
        local.serve("/subjects/37/37.asf", ASF.encode())
        local.serve("/subjects/37/37_01.amc", amc(3))
        yield local


class Fetch:
    """Fetches into a folder; keeps what is said."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.said: list[str] = []

    def __call__(self, *subjects: str, checksums: Path | None = None, base: str | None = None) -> None:
        self.said.clear()
        self.server.requests.clear()
        download = find_source("cmu").download
        assert download is not None
        patience = Patience(attempts=3, timeout=5.0, sleep=lambda seconds: None)
        base = base or self.server.address
        download(self.folder, Wishes(subjects, base, checksums, patience, False, self.said.append))

    def names(self) -> list[str]:
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())


@pytest.fixture
def fetch(server: LocalServer, tmp_path: Path) -> Fetch:
    return Fetch(server, tmp_path / "cmu")


ALL_OF_03 = ["03/03.asf", "03/03_01.amc", "03/03_02.amc", "03/03_03.amc", "03/03_04.amc"]


def test_a_subject_is_fetched_with_its_checksums_and_can_be_read(fetch: Fetch, server: LocalServer) -> None:
    fetch("3")
    assert fetch.names() == [*ALL_OF_03, NAME]
    assert read_checksums(fetch.folder / NAME) == {name: sha256_of(fetch.folder / name) for name in ALL_OF_03}
    assert fetch.said == ["subject 03: 5 files fetched, 0 were there"]
    clip = graphpose.read(fetch.folder / "03" / "03_02.amc")
    assert (clip.subject, clip.action, clip.frames) == ("03", "02", 7)
    assert [f.state for f in find_source("cmu").check(fetch.folder)] == ["ok"]
    paths = [path for path, _ in server.requests]
    assert paths[-1] == "/subjects/03/03_05.amc", "asks for one more than is listed"
    assert len(paths) == 6


def test_a_second_run_asks_for_nothing(fetch: Fetch, server: LocalServer) -> None:
    fetch("03", "37")
    fetch("03,37")
    assert server.requests == []
    assert fetch.said == [
        "subject 03: 0 files fetched, 5 were there",
        "subject 37: 0 files fetched, 2 were there",
    ]


def test_trials_beyond_the_list_are_found(fetch: Fetch, server: LocalServer) -> None:
    server.serve("/subjects/37/37_02.amc", amc(4))
    server.serve("/subjects/37/37_03.amc", amc(4))
    fetch("37")
    assert "37/37_03.amc" in fetch.names()
    assert fetch.said == ["subject 37: 4 files fetched, 0 were there"]


def test_a_subject_that_is_not_listed_is_taken_from_a_server_that_has_it(fetch: Fetch, server: LocalServer) -> None:
    server.serve("/subjects/200/200.asf", ASF.encode())
    server.serve("/subjects/200/200_01.amc", amc(4))
    fetch("200")
    assert fetch.said == ["subject 200: 2 files fetched, 0 were there"]


def test_a_listed_trial_that_the_server_lacks_is_said_and_no_fault(fetch: Fetch, server: LocalServer) -> None:
    del server.files["/subjects/03/03_02.amc"]
    fetch("03")
    assert fetch.said == [
        "subject 03: 4 files fetched, 0 were there; the server has no trial 02, which the index lists"
    ]


def test_one_bad_file_does_not_keep_the_others_away(fetch: Fetch, server: LocalServer) -> None:
    server.files["/subjects/03/03_02.amc"] = Served(amc(7)[:-30])
    server.files["/subjects/03/03_03.amc"] = Served(b"<html><title>Not now</title></html>", kind="text/html")
    with pytest.raises(DataError) as caught:
        fetch("03", "37")
    text = str(caught.value)
    assert text.startswith("2 faults: ")
    assert "03_02.amc: not the file that was expected, and not kept: " in text
    assert "a web page, titled 'Not now'" in text
    assert "\n" not in text
    assert fetch.names() == ["03/03.asf", "03/03_01.amc", "03/03_04.amc", "37/37.asf", "37/37_01.amc", NAME]
    server.files["/subjects/03/03_02.amc"] = Served(amc(7))
    server.files["/subjects/03/03_03.amc"] = Served(amc(8))
    fetch("03", "37")
    assert fetch.said[0] == "subject 03: 2 files fetched, 3 were there"


def test_a_file_cut_by_a_length_that_is_too_small_is_not_kept(fetch: Fetch, server: LocalServer) -> None:
    server.faults["/subjects/37/37_01.amc"] = [claims(len(amc(3)) - 20)]
    with pytest.raises(DataError, match=r"37_01\.amc: not the file that was expected"):
        fetch("37")
    assert "37/37_01.amc" not in fetch.names()


def test_a_bad_line_is_no_matter(fetch: Fetch, server: LocalServer) -> None:
    server.faults["/subjects/03/03_04.amc"] = [breaks_off(50), fails(503), breaks_off(20)]
    fetch("03")
    assert (fetch.folder / "03" / "03_04.amc").read_bytes() == amc(9)


def test_a_damaged_file_is_named_and_fetched_again(fetch: Fetch, server: LocalServer) -> None:
    fetch("03")
    path = fetch.folder / "03" / "03_02.amc"
    path.write_bytes(path.read_bytes()[:-40])
    states = {(f.state, f.what) for f in find_source("cmu").check(fetch.folder)}
    assert ("broken", "03/03_02.amc") in states
    fetch("03")
    assert f"{path}: changed or damaged" in fetch.said[0]
    assert fetch.said[-1] == "subject 03: 1 files fetched, 4 were there"
    assert path.read_bytes() == amc(7)


def test_files_put_there_by_hand_are_kept_if_they_are_sound(fetch: Fetch, server: LocalServer) -> None:
    (fetch.folder / "37").mkdir(parents=True)
    (fetch.folder / "37" / "37.asf").write_text(ASF)
    (fetch.folder / "37" / "37_01.amc").write_bytes(b"not a motion")
    fetch("37")
    assert any("37_01.amc" in line and "fetching it again" in line for line in fetch.said)
    assert fetch.said[-1] == "subject 37: 1 files fetched, 1 were there"
    assert set(read_checksums(fetch.folder / NAME)) == {"37/37.asf", "37/37_01.amc"}


def test_another_file_on_the_server_is_said(fetch: Fetch, server: LocalServer) -> None:
    fetch("37")
    (fetch.folder / "37" / "37_01.amc").unlink()
    server.files["/subjects/37/37_01.amc"] = Served(amc(11))
    fetch("37")
    assert any(line.endswith(f"the server now has another file than the one in {NAME}") for line in fetch.said)


def test_a_list_of_the_labs_own_is_enforced(fetch: Fetch, server: LocalServer, tmp_path: Path) -> None:
    fetch("37")
    lab = tmp_path / "lab.sums"
    lab.write_text((fetch.folder / NAME).read_text())
    fetch("37", checksums=lab)
    server.files["/subjects/37/37_01.amc"] = Served(amc(11))
    other = Fetch(server, tmp_path / "other")
    with pytest.raises(DataError, match=r"37_01\.amc: expected SHA-256 .* nothing was kept"):
        other("37", checksums=lab)
    assert other.names() == ["37/37.asf", NAME]
    with pytest.raises(DataError, match=r"lab\.sums: no checksum for 03/03\.asf; add it"):
        other("03", checksums=lab)


def test_a_list_of_the_labs_own_finds_a_file_that_came_before_it(
    fetch: Fetch, server: LocalServer, tmp_path: Path
) -> None:
    fetch("37")
    lab = tmp_path / "lab.sums"
    lab.write_text((fetch.folder / NAME).read_text())
    path = fetch.folder / "37" / "37_01.amc"
    path.write_bytes(amc(12))
    (fetch.folder / NAME).unlink()
    fetch("37", checksums=lab)
    assert path.read_bytes() == amc(3)


def test_an_unknown_subject_lists_those_there_are(fetch: Fetch) -> None:
    with pytest.raises(DataError, match=r"subjects/04/04\.asf: not on the server .*listed subjects are 01, 02, 03, 05"):
        fetch("04")


@pytest.mark.parametrize("word", ["S1", "-3", "0", "1000", "1.5"])
def test_a_subject_is_a_number(fetch: Fetch, word: str) -> None:
    with pytest.raises(DataError, match="expected numbers of subjects, such as 01 or 104, or all"):
        fetch(word)


def test_without_subjects_it_asks_for_them(fetch: Fetch) -> None:
    with pytest.raises(DataError, match="name the subjects: --subjects 01 02, or --subjects all"):
        fetch()


def test_without_a_network_it_stops_at_once(fetch: Fetch, server: LocalServer) -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9 cannot be reached"):
        fetch("03", "37", base="http://127.0.0.1:9")
    assert fetch.names() == []


def archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, body in members.items():
            zipped.writestr(name, body)
    return stream.getvalue()


MEMBERS = {
    "all_asfamc/subjects/03/03.asf": ASF.encode(),
    "all_asfamc/subjects/03/03_01.amc": amc(6),
    "all_asfamc/subjects/104/104.asf": ASF.encode(),
    "all_asfamc/subjects/104/104_57.amc": amc(6),
    "all_asfamc/subjects/03/notes.txt": b"not wanted",
    "all_asfamc/subjects/03/07_01.amc": b"of another subject",
}


def test_all_is_the_archive(fetch: Fetch, server: LocalServer) -> None:
    server.serve("/allasfamc.zip", archive(MEMBERS), breaks_off(400))
    fetch("all")
    files = ["03/03.asf", "03/03_01.amc", "104/104.asf", "104/104_57.amc"]
    assert fetch.names() == [*files, NAME, "allasfamc.zip"]
    assert set(read_checksums(fetch.folder / NAME)) == {*files, "allasfamc.zip"}
    assert [path for path, _ in server.requests] == ["/allasfamc.zip"] * 2
    assert "4 files unpacked" in fetch.said[-1]
    assert not faulty(find_source("cmu").check(fetch.folder))
    fetch("ALL")
    assert server.requests == []


def test_an_archive_of_something_else_is_not_kept(fetch: Fetch, server: LocalServer) -> None:
    server.serve("/allasfamc.zip", archive({"photos/1.jpg": b"x"}))
    with pytest.raises(DataError, match=r"expected subjects/NN/NN_MM\.amc in the archive"):
        fetch("all")
    server.serve("/allasfamc.zip", archive(MEMBERS)[:-30])
    with pytest.raises(DataError, match="expected a zip archive"):
        fetch("all")
    assert fetch.names() == []


def test_the_index_has_the_numbers_that_it_states() -> None:
    trials = listed()
    assert len(trials) == 109
    assert sum(len(numbers) for numbers in trials.values()) == 2435
    assert trials["40"][0] == trials["41"][0] == 2
    assert trials["07"] == tuple(range(1, 13))
    assert [subject_name(word) for word in ("7", "07", "104", "0104", "x", "²")] == [
        "07",
        "07",
        "104",
        "104",
        None,
        None,
    ]


def test_check_names_what_is_missing_or_damaged(fetch: Fetch) -> None:
    fetch("03", "37")
    (fetch.folder / "03" / "03_01.amc").unlink()
    (fetch.folder / "03" / "03_02.amc").write_bytes(b"nothing")
    (fetch.folder / "37" / "37.asf").unlink()
    found = {(f.state, f.what) for f in find_source("cmu").check(fetch.folder)}
    assert found == {
        ("missing", "03/03_01.amc"),
        ("broken", "03/03_02.amc"),
        ("ok", "03"),
        ("missing", "37/37.asf"),
        ("missing", "37"),
    }


def test_check_of_an_empty_or_absent_folder_finds_nothing(tmp_path: Path) -> None:
    assert find_source("cmu").check(tmp_path) == []
    assert find_source("cmu").check(tmp_path / "none") == []


def test_check_of_real_recordings(tmp_path: Path) -> None:
    for subject in ("07", "93"):
        (tmp_path / subject).symlink_to(shared_path(f"mocap/cmu/{subject}"))
    found = {f.what: f for f in find_source("cmu").check(tmp_path)}
    assert found["07"].found.startswith("7 of 12 listed trials, 2,499 frames")
    assert found["93/93_charleston1.amc"].state == "note", "recorded at 60 frames a second, which its file does not say"
    assert not faulty(list(found.values()))


def test_check_of_a_cut_off_recording(tmp_path: Path) -> None:
    cut = shared_path("mocap/cmu-malformed/64")
    (tmp_path / "64").mkdir()
    for path in cut.iterdir():
        (tmp_path / "64" / path.name).write_bytes(path.read_bytes())
    states = {f.what: f.state for f in find_source("cmu").check(tmp_path)}
    assert states["64/64_01.amc"] == "broken"
    assert states["64"] == "broken"
