"""read, read_all, write: which format, which files, which labels, and all faults at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphpose import formats
from graphpose.errors import ConfigError, FormatError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton


def clip() -> MotionClip:
    return MotionClip(
        Skeleton("arm", ("shoulder", "elbow", "hand"), (-1, 0, 1)),
        50.0,
        positions=torch.tensor([[0.0, 1, 0], [0, 0.7, 0], [0, 0.4, 0]]).repeat(3, 1, 1),
        rotations=torch.eye(3).repeat(3, 3, 1, 1),
        name="wave",
    )


def test_every_format_is_described_and_its_suffixes_are_its_own() -> None:
    found = formats.available()
    assert {"asf_amc", "bvh", "npz"} <= set(found)
    suffixes = [suffix for entry in found.values() if entry.recognizes is None for suffix in entry.suffixes]
    assert len(set(suffixes)) == len(suffixes)  # of the formats that share one, at most one takes all other files
    for name, entry in found.items():
        assert entry.name == name and entry.description
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in entry.suffixes)


@pytest.mark.parametrize("name", [name for name, entry in formats.available().items() if entry.write is not None])
def test_every_written_format_reads_back(tmp_path: Path, name: str) -> None:
    entry = formats.available()[name]
    if name == "c3d":
        pytest.importorskip("ezc3d", reason="the extra `c3d` is not installed")
    path = tmp_path / f"wave{entry.suffixes[0]}"
    assert formats.write(clip(), path) == path
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    known = {} if "bones" in entry.keeps else {"skeleton": clip().skeleton}
    back = formats.read(path, **known)
    assert back.skeleton.joints == clip().skeleton.joints and back.skeleton.parents == clip().skeleton.parents
    assert (back.positions - clip().positions).abs().max() < 1e-4 and back.fps == 50 and back.name == "wave"
    upper = path.with_suffix(path.suffix.upper())
    path.rename(upper)
    assert len(formats.read(str(upper), **known)) == 3
    assert "positions" in entry.keeps


def test_suffixes_and_paths_that_cannot_be_read(tmp_path: Path) -> None:
    for name, words in [
        ("a.txt", r"expected a motion file, \.amc, \.bvh, .*\.npz.* \(got suffix '\.txt'\).*deepmimic"),
        ("a.asf", "read the AMC file beside it"),
    ]:
        (tmp_path / name).write_text("x")
        with pytest.raises(FormatError, match=words):
            formats.read(tmp_path / name)
    with pytest.raises(FormatError, match="no such file"):
        formats.read(tmp_path / "none.bvh")
    with pytest.raises(FormatError, match="is a folder; read_all"):
        formats.read(tmp_path)
    with pytest.raises(FormatError, match=r"no motion file in this folder.*\.bvh"):
        formats.read_all(tmp_path)
    with pytest.raises(FormatError, match="got none"):
        formats.read_all([])
    with pytest.raises(FormatError, match=r"asf_amc files are only read"):
        formats.write(clip(), tmp_path / "a.amc")


def test_options_are_checked(tmp_path: Path) -> None:
    path = formats.write(clip(), tmp_path / "wave.bvh")
    with pytest.raises(FormatError, match="did you mean 'allow_truncated'"):
        formats.read(path, allow_trunkated=True)
    with pytest.raises(FormatError, match="unknown option"):
        formats.read_all(path, colour="red")
    for option in ({"scale": 0.0}, {"scale": -1}, {"fps": float("inf")}, {"fps": float("nan")}):
        with pytest.raises(FormatError, match="above 0"):
            formats.read(path, **option)
    with pytest.raises(ConfigError, match="not a regular expression"):
        formats.read(path, name_pattern="(")
    with pytest.raises(ConfigError, match="named groups"):
        formats.read(path, name_pattern="wave")
    with pytest.raises(FormatError, match="does not match"):
        formats.read(path, name_pattern="(?P<subject>xyz)")


def test_folders_are_read_recursively_and_sorted(tmp_path: Path) -> None:
    for place in ("b/two.bvh", "a/one.bvh", "a/deep/three.npz"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        formats.write(clip().replace(name=Path(place).stem), tmp_path / place)
    (tmp_path / "a" / "notes.txt").write_text("not a motion")
    seen: list[tuple[int, int, str]] = []
    clips = formats.read_all(
        tmp_path,
        allow_truncated=True,
        name_pattern=r"(?P<subject>[ab])/.*?(?P<kind>\w+)\.",
        progress=lambda done, total, path: seen.append((done, total, path.name)),
    )
    assert [c.name for c in clips] == ["three", "one", "two"]
    assert [(c.subject, c.tags["kind"]) for c in clips] == [("a", "three"), ("a", "one"), ("b", "two")]
    assert seen == [(1, 3, "three.npz"), (2, 3, "one.bvh"), (3, 3, "two.bvh")]
    assert len(formats.read_all([tmp_path / "b", tmp_path / "b" / "two.bvh", tmp_path / "a" / "one.bvh"])) == 2
    assert formats.read(tmp_path / "b" / "two.bvh").subject == "b"


def test_all_faulty_files_are_reported_at_once(tmp_path: Path) -> None:
    formats.write(clip(), tmp_path / "good.bvh")
    (tmp_path / "empty.bvh").write_text("")
    with pytest.raises(FormatError, match=r"empty.bvh: the file is empty") as caught:
        formats.read_all(tmp_path)
    assert caught.value.path == tmp_path / "empty.bvh"
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(FormatError, match=r"2 of 3 files cannot be read: .*broken.npz.*; .*empty.bvh"):
        formats.read_all(tmp_path)


def test_files_with_the_same_fault_are_told_once(tmp_path: Path) -> None:
    for name in "abcdefg":
        (tmp_path / f"{name}.bvh").write_text("")
    (tmp_path / "other.npz").write_bytes(b"PK")
    with pytest.raises(FormatError) as caught:
        formats.read_all(tmp_path)
    text = str(caught.value)
    assert f"8 of 8 files cannot be read: 7 files, first {tmp_path / 'a.bvh'}: the file is empty" in text
    assert text.count("the file is empty") == 1 and f"; {tmp_path / 'other.npz'}: " in text


def test_arrays_without_a_clip_are_passed_over_in_folders_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "deep" / "weights.npz"
    other.parent.mkdir()
    np.savez(other, weights=np.zeros(3), lengths=np.ones(2))
    with pytest.raises(FormatError, match=r"no motion file in this folder.*1 files there hold no clip"):
        formats.read_all(tmp_path)
    good = formats.write(clip(), tmp_path / "wave.npz")
    assert formats.expand(tmp_path) == [good]
    caplog.clear()
    assert len(formats.read_all(tmp_path)) == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 1 files hold no clip and are passed over: {Path('deep/weights.npz')}"
    ]
    assert formats.expand([other, tmp_path, good]) == [other, good]
    with pytest.raises(FormatError, match=r"weights\.npz: expected an array positions or keypoints"):
        formats.read_all([tmp_path, other])
    (tmp_path / "broken.npz").write_bytes(b"PK")  # whatever it held: a fault, not passed over
    with pytest.raises(FormatError, match=r"broken\.npz"):
        formats.read_all(tmp_path)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = formats.write(clip(), tmp_path / "wave.npz")
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("numpy.savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        formats.write(clip()[:2], path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["wave.npz"]
