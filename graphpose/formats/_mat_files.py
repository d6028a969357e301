"""MATLAB files, version 5 (read by SciPy) and 7.3 (which is HDF5, read by h5py), as arrays and lists of cells.

Version 7.3 keeps MATLAB's column order, so h5py shows the dimensions reversed: MATLAB's `[2, 17, 1, F]` is
`[F, 1, 17, 2]`. Arrays are returned as the library shows them; matrices in cells are brought to MATLAB's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from graphpose.errors import FormatError

__all__ = ["is_mat_with", "load_mat"]

_HDF5 = b"\x89HDF\r\n\x1a\n"


def _is_hdf5(path: Path) -> bool:
    """By its signature, which lies at byte 0 or, behind MATLAB's own header, at byte 512."""
    with path.open("rb") as file:
        start = file.read(520)
    return start.startswith(_HDF5) or start[512:520] == _HDF5


def _h5py(path: Path) -> ModuleType:
    try:
        import h5py
    except ImportError:
        raise FormatError(path, "is a MATLAB 7.3 file, which needs h5py: pip install 'graphpose[mat]'") from None
    return h5py


def is_mat_with(path: Path, names: Sequence[str]) -> bool:
    """Whether a MATLAB file holds any of these variables; False for a file that is damaged or cannot be opened.

    Without h5py a 7.3 file counts as one, so that reading it says what is missing.
    """
    try:
        if _is_hdf5(path):
            with _h5py(path).File(path, "r") as file:
                return any(name in file for name in names)
        from scipy.io import whosmat

        return any(entry[0] in names for entry in whosmat(str(path)))
    except FormatError:
        return True
    except Exception:  # damaged bytes make SciPy and h5py raise errors of a dozen unrelated classes
        return False


def load_mat(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Those of the variables `names` that the file has; a cell array becomes a list of its cells.

    Raises:
        FormatError: no such file, a damaged one, or a 7.3 file without h5py.
    """
    if not path.exists():
        raise FormatError(path, "no such file")
    try:
        if _is_hdf5(path):
            with _h5py(path).File(path, "r") as file:
                return {name: _hdf5_value(file, file[name]) for name in names if name in file}
        from scipy.io import loadmat

        data = loadmat(str(path), variable_names=list(names))
        return {name: _cells(data[name]) for name in names if name in data}
    except FormatError:
        raise
    except Exception as fault:  # as above
        size = path.stat().st_size
        what = "is empty" if size == 0 else f"is no intact MATLAB file of {size:,} bytes ({type(fault).__name__})"
        raise FormatError(path, f"the file {what}; copy or download it again") from fault


def _cells(value: np.ndarray) -> Any:
    return list(value.ravel()) if value.dtype == object else value


def _hdf5_value(file: Any, entry: Any) -> Any:
    value = entry[()]
    if value.dtype == object:  # references to cells
        return [np.asarray(file[reference]).T for reference in value.ravel()]
    return value
