"""npz files that hold Python dictionaries of arrays, as the published archives do, read without running any code.

`numpy.savez(file, positions_3d=dictionary)` pickles the dictionary into a 0-d object array. A pickle can name any
function to call, so it is read here with a list of the few names that arrays and plain containers need; any other
name is an error. The directory of the zip and the header of a member tell what a file is without unpickling anything.
"""

from __future__ import annotations

import collections
import importlib
import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from graphpose.errors import FormatError, unknown_name

__all__ = ["is_object_member", "load_member", "member_names"]


_CORE = "numpy._core" if int(np.__version__.split(".")[0]) >= 2 else "numpy.core"


def _latin1(text: str, encoding: str) -> bytes:
    """`_codecs.encode`, with which old protocols write bytes, for the one encoding that they use."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


def _names() -> dict[tuple[str, str], Any]:
    known: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("_codecs", "encode"): _latin1,
    }
    for kind in (dict, list, tuple, set, int, float, str, bool, bytes, bytearray):
        known |= {(module, kind.__name__): kind for module in ("builtins", "__builtin__")}
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer")):
        value = getattr(importlib.import_module(f"{_CORE}.{module}"), name)
        known |= {(f"{core}.{module}", name): value for core in ("numpy.core", "numpy._core")}
    return known


_KNOWN = _names()


class _ForbiddenNameError(pickle.UnpicklingError):
    """The pickle names something that is no array, number or plain container."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _ForbiddenNameError(f"{module}.{name}") from None


def member_names(path: Path) -> set[str] | None:
    """The arrays of an npz file by its zip directory; None for a file that is no intact zip or cannot be opened."""
    try:
        with zipfile.ZipFile(path) as file:
            return {name.removesuffix(".npy") for name in file.namelist() if name.endswith(".npy")}
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return None


def is_object_member(path: Path, key: str) -> bool:
    """Whether array `key` is a 0-d object array, by its header alone; False where that cannot be read."""
    try:
        with zipfile.ZipFile(path) as file, file.open(f"{key}.npy") as stream:
            shape, dtype = _header(stream)
    except Exception:  # damaged bytes make zipfile, zlib and numpy raise errors of a dozen unrelated classes
        return False
    return dtype.hasobject and shape == ()


def load_member(path: Path, key: str) -> Any:
    """Array `key` of an npz file; where it is a 0-d object array, the object in it.

    Raises:
        FormatError: no such file or array, a damaged or cut-off file, or a pickle that names anything but arrays,
            numbers and plain containers.
    """
    if not path.exists():
        raise FormatError(path, "no such file")
    try:
        with zipfile.ZipFile(path) as file:
            names = [name.removesuffix(".npy") for name in file.namelist()]
            if key not in names:
                raise FormatError(path, unknown_name("array", key, names))
            with file.open(f"{key}.npy") as stream:
                return _read(stream)
    except FormatError:
        raise
    except _ForbiddenNameError as fault:
        raise FormatError(
            path,
            f"array {key!r} holds a Python object {fault}, and only arrays, numbers, text, dictionaries and lists are "
            "read; nothing of it was run",
        ) from None
    except Exception as fault:  # as above
        size = path.stat().st_size
        what = "is empty" if size == 0 else f"is damaged or cut off after {size:,} bytes ({type(fault).__name__})"
        raise FormatError(path, f"the file {what}; copy or download it again") from fault


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    one = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if one else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _read(stream: IO[bytes]) -> Any:
    _, dtype = _header(stream)
    if not dtype.hasobject:
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    value = _ArrayUnpickler(stream, encoding="latin1").load()  # latin1: arrays that Python 2 wrote
    return value.item() if isinstance(value, np.ndarray) and value.shape == () else value
