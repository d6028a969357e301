"""Dictionaries of arrays in npz files: read without running anything, refused in one line when they are more."""

from __future__ import annotations

import collections
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from graphpose.errors import FormatError
from graphpose.formats._object_arrays import is_object_member, load_member, member_names


class Command:
    def __reduce__(self) -> tuple:
        return os.system, ("touch harmed",)


@pytest.fixture
def content() -> dict:
    return {
        "S1": {"Walking 1": np.arange(12, dtype=np.float32).reshape(2, 2, 3), "none": None},
        "list": [np.ones((3, 2)), (1, 2.5, "text", True), np.float32(0.5), np.array(["a", "b"])],
        "ordered": collections.OrderedDict(a=1),
    }


def test_what_numpy_writes_comes_back(tmp_path: Path, content: dict) -> None:
    np.savez_compressed(tmp_path / "a.npz", data=content, plain=np.eye(2))
    assert member_names(tmp_path / "a.npz") == {"data", "plain"}
    assert is_object_member(tmp_path / "a.npz", "data") and not is_object_member(tmp_path / "a.npz", "plain")
    back = load_member(tmp_path / "a.npz", "data")
    np.testing.assert_array_equal(back["S1"]["Walking 1"], content["S1"]["Walking 1"])
    assert back["S1"]["Walking 1"].dtype == np.float32 and back["S1"]["none"] is None
    assert back["list"][1] == (1, 2.5, "text", True) and back["list"][2] == 0.5 and list(back["list"][3]) == ["a", "b"]
    assert back["ordered"] == {"a": 1}
    np.testing.assert_array_equal(load_member(tmp_path / "a.npz", "plain"), np.eye(2))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol(tmp_path: Path, content: dict, protocol: int) -> None:
    array = np.empty((), dtype=object)
    array[()] = content
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file, file.open("data.npy", "w") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(array, stream, protocol=protocol)
    back = load_member(tmp_path / "a.npz", "data")
    np.testing.assert_array_equal(back["S1"]["Walking 1"], content["S1"]["Walking 1"])


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "a.npz", data={"S1": Command()})
    with pytest.raises(
        FormatError, match=r"array 'data' holds a Python object (posix|nt)\.system.*nothing of it was run"
    ):
        load_member(tmp_path / "a.npz", "data")
    assert not (tmp_path / "harmed").exists()
    np.load(tmp_path / "a.npz", allow_pickle=True)["data"]  # the file does what it is refused for
    assert (tmp_path / "harmed").exists()


@pytest.mark.parametrize("forbidden", [eval, getattr, print, Path, np.load])
def test_other_names_are_refused(tmp_path: Path, forbidden: object) -> None:
    np.savez(tmp_path / "a.npz", data={"x": forbidden})
    with pytest.raises(FormatError, match="only arrays, numbers, text, dictionaries and lists are read"):
        load_member(tmp_path / "a.npz", "data")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_files_that_were_cut_off(tmp_path: Path, content: dict, share: float) -> None:
    np.savez(tmp_path / "a.npz", data=content)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        FormatError, match=r"a\.npz: the file is (empty|damaged or cut off after).*copy or download it again"
    ):
        load_member(tmp_path / "a.npz", "data")
    assert member_names(tmp_path / "a.npz") is None and not is_object_member(tmp_path / "a.npz", "data")


def test_damaged_bytes_within(tmp_path: Path, content: dict) -> None:
    np.savez_compressed(tmp_path / "a.npz", data=content)
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[80:200] = bytes(120)
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(FormatError, match=r"damaged or cut off.*copy or download it again"):
        load_member(tmp_path / "a.npz", "data")


def test_names_that_are_not_there(tmp_path: Path, content: dict) -> None:
    np.savez(tmp_path / "a.npz", positions_3d=content)
    with pytest.raises(FormatError, match=r"unknown array 'positions_2d' \(did you mean 'positions_3d'\?\)"):
        load_member(tmp_path / "a.npz", "positions_2d")
    with pytest.raises(FormatError, match="no such file"):
        load_member(tmp_path / "b.npz", "data")
