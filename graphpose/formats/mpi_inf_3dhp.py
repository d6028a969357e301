"""MPI-INF-3DHP: `data_train_3dhp.npz`, `data_test_3dhp.npz`, and the data set's own `annot.mat` and `annot_data.mat`.

All hold joints in millimetres in the axes of the camera (x right, y down, z away) and their pixels. Clips are in camera
space, one for each sequence and camera, with the tag `annotation`:

- `annot3`: the joints as they were; `univ_annot3`: the same scaled to one body size. They are two benchmarks, never to
  be mixed in a table. A `.mat` file has both and `annotation=` picks one; the npz archives have one and do not say
  which. The scripts that the field makes them with (P-STMO) take `univ_annot3`, so that is the tag unless
  `annotation="annot3"` says that the archive was made otherwise.
- Test frames that the authors marked as not valid keep their keypoints and get no positions, so that a window sees them
  and no table counts them.
- Neither file holds lenses. Where a pinhole camera sees the joints at the pixels within 3 pixels, it is the camera of
  the clip (its pose unknown: at the origin, level); else keypoints come in normalised screen units without a camera.

Pictures are 2048 x 2048, those of TS5 and TS6 1920 x 1080. Joints: the 17 of the test set, root 14 (`mpi_inf_3dhp17`).

Mehta et al., "Monocular 3D human pose estimation in the wild using improved CNN supervision", 3DV 2017; archives of
Shan et al., "P-STMO", ECCV 2022.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphpose.errors import FormatError, unknown_name
from graphpose.formats._mat_files import is_mat_with, load_mat
from graphpose.formats._object_arrays import is_object_member, load_member, member_names
from graphpose.formats._pinhole_fit import fit_pinhole
from graphpose.formats._published import body_of, check_complete, check_unit, chosen_subjects, joint_array, mapping
from graphpose.formats.registry import Format
from graphpose.geometry import Camera, normalize_screen
from graphpose.motion.clip import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["ANNOTATIONS", "FORMAT", "read_mpi_inf_3dhp"]

log = logging.getLogger(__name__)

ANNOTATIONS = ("univ_annot3", "annot3")
_SKELETON = "mpi_inf_3dhp17"
_MILLIMETRE = 0.001
_FPS = 50.0  # of the test sequences, of which no file says it; only velocities depend on it
_SQUARE, _WIDE = (2048, 2048), (1920, 1080)
_WIDE_SEQUENCES = ("TS5", "TS6")
_FITS = 3.0  # pixels
# the 28 joints of `annot.mat` that are the 17 of the test set, in its order
_OF_28 = (7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6)
_PIXELS = "annot2"
# frames that the videos of a training sequence have, and its frames a second, as the scripts of the archives list them;
# the annotations of some go on after the video
_VIDEOS = {
    ("S1", "Seq1"): (6416, 25), ("S1", "Seq2"): (12430, 50), ("S2", "Seq1"): (6502, 25), ("S2", "Seq2"): (6081, 25),
    ("S3", "Seq1"): (12488, 50), ("S3", "Seq2"): (12283, 50), ("S4", "Seq1"): (6171, 25), ("S4", "Seq2"): (6675, 25),
    ("S5", "Seq1"): (12820, 50), ("S5", "Seq2"): (12312, 50), ("S6", "Seq1"): (6188, 25), ("S6", "Seq2"): (6145, 25),
    ("S7", "Seq1"): (6239, 25), ("S7", "Seq2"): (6320, 25), ("S8", "Seq1"): (6468, 25), ("S8", "Seq2"): (6054, 25),
}  # fmt: skip
_ONE_VERSION = (
    "take arrays that one script made, data_2d, data_3d and valid together; docs/BENCHMARKS.md says where they are from"
)
_ANNOT = "copy or download the file of the data set again"
_LEVEL = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))


@dataclass(frozen=True)
class _Recording:
    """One sequence as one camera saw it, as it is in the file."""

    subject: str
    sequence: str
    camera: str
    split: str
    keypoints: Any
    positions: Any
    size: tuple[int, int]
    fps: float | None = None
    valid: Any = None


def read_mpi_inf_3dhp(
    path: Path,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    subjects: Any = None,
    annotation: str | None = None,
) -> list[MotionClip]:
    """One clip a sequence and camera; see the module.

    Args:
        path, scale, fps, skeleton: as for `graphpose.read`; scale is 0.001 unless given.
        subjects: read only those, names ("S1", "TS1") or one text with commas.
        annotation: "univ_annot3" (the default) or "annot3".

    Raises:
        FormatError: what is damaged, missing, of other joints, lengths or of another unit.
    """
    if annotation is not None and annotation not in ANNOTATIONS:
        raise FormatError(path, unknown_name("annotation", annotation, ANNOTATIONS))
    kind = annotation or ANNOTATIONS[0]
    recordings = _of_mat(path, kind) if path.suffix.lower() == ".mat" else _of_npz(path)
    body = body_of(path, skeleton, _SKELETON, 17)
    wanted = chosen_subjects(path, list(dict.fromkeys(one.subject for one in recordings)), subjects)
    metres = _MILLIMETRE if scale is None else scale
    return [_clip(path, one, body, kind, metres, fps) for one in recordings if one.subject in wanted]


def _of_npz(path: Path) -> list[_Recording]:
    data = mapping(path, load_member(path, "data"), "data")
    found: list[_Recording] = []
    for name, entry in data.items():
        if isinstance(entry, np.ndarray) and entry.dtype.hasobject:  # the list, which numpy.array() was made of
            entry = entry.ravel().tolist()
        if isinstance(entry, (list, tuple)):  # training: [cameras, frames a second]
            found += _training(path, name, entry)
            continue
        entry = mapping(path, entry, f"data[{name!r}]")
        for key in ("data_2d", "data_3d", "valid"):
            if key not in entry:
                raise FormatError(path, f"{name}: no array {key!r} (got {', '.join(entry)}); {_ONE_VERSION}")
        size = _size_of(name)
        flat, solid = (_without_person(entry[key]) for key in ("data_2d", "data_3d"))
        found.append(_Recording(name, name, "0", "test", flat, solid, size, valid=entry["valid"]))
    return found


def _training(path: Path, name: str, entry: Any) -> Iterator[_Recording]:
    subject, _, sequence = name.partition(" ")
    if not entry or not sequence:
        raise FormatError(
            path, f"expected 'S1 Seq1' -> [cameras, frames a second] (got {name!r} -> {len(entry)} entries)"
        )
    fps = float(entry[1]) if len(entry) > 1 else None
    for camera, arrays in mapping(path, entry[0], f"data[{name!r}][0]").items():
        arrays = mapping(path, arrays, f"data[{name!r}][0][{camera!r}]")
        for key in ("data_2d", "data_3d"):
            if key not in arrays:
                raise FormatError(
                    path, f"{name}, camera {camera}: no array {key!r} (got {', '.join(arrays)}); {_ONE_VERSION}"
                )
        flat, solid = (_without_person(arrays[key]) for key in ("data_2d", "data_3d"))
        yield _Recording(subject, sequence, camera, "train", flat, solid, _SQUARE, fps)


def _of_mat(path: Path, kind: str) -> list[_Recording]:
    data = load_mat(path, (_PIXELS, kind, "valid_frame"))
    for key in (_PIXELS, kind):
        if key not in data:
            found = ", ".join(data) or "none of them"
            raise FormatError(
                path,
                f"no array {key!r}; expected the annotations of MPI-INF-3DHP (got {found}); where it should be them, copy "
                "or download the file again",
            )
    pixels, joints = data[_PIXELS], data[kind]
    folder = path.resolve().parent
    if isinstance(pixels, list) or isinstance(joints, list):  # annot.mat: a cell a camera, [F, 28 * 2] and [F, 28 * 3]
        if not (isinstance(pixels, list) and isinstance(joints, list) and len(pixels) == len(joints)):
            raise FormatError(path, f"expected a cell for each camera in {_PIXELS} and {kind} (got others)")
        subject = folder.parent.name
        frames, rate = _VIDEOS.get((subject, folder.name), (None, None))
        return [
            _Recording(subject, folder.name, str(number), "train",
                       _of_28(path, number, flat, 2)[:frames], _of_28(path, number, solid, 3)[:frames], _SQUARE, rate)
            for number, (flat, solid) in enumerate(zip(pixels, joints, strict=True))
        ]  # fmt: skip
    if "valid_frame" not in data:
        raise FormatError(
            path,
            "no array 'valid_frame'; expected the annotations of a test sequence of MPI-INF-3DHP: copy or download the "
            "annot_data.mat of get_testset.sh again",
        )
    flat, solid = _one_person(path, pixels, 2, _PIXELS), _one_person(path, joints, 3, kind)
    name = folder.name
    size = _size_of(name) if name.startswith("TS") else _size_by(path, solid, flat)
    return [_Recording(name, name, "0", "test", flat, solid, size, valid=data["valid_frame"])]


def _of_28(path: Path, camera: int, value: Any, size: int) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim != 2 or array.shape[1] != 28 * size:
        raise FormatError(
            path, f"camera {camera}: expected 28 joints, [frames, {28 * size}] (got {list(array.shape)}); {_ANNOT}"
        )
    return array.reshape(len(array), 28, size)[:, _OF_28]


def _without_person(value: Any) -> Any:
    """`[F, 17, size]` from `[F, 1, 17, size]`, as `annot_data.mat` has it; anything else as it is."""
    array = np.asarray(value)
    return array[:, 0] if array.ndim == 4 and array.shape[1] == 1 else value


def _one_person(path: Path, value: Any, size: int, key: str) -> np.ndarray:
    """`[F, 17, size]` from `[F, 1, 17, size]` (HDF5) or `[size, 17, 1, F]` (MATLAB, the order of the data set)."""
    array = np.asarray(value)
    if array.ndim == 4 and array.shape[1:] == (1, 17, size):
        return array[:, 0]
    if array.ndim == 4 and array.shape[:3] == (size, 17, 1):
        return array[:, :, 0].transpose(2, 1, 0)
    if array.ndim == 3 and array.shape[:2] == (size, 17):
        return array.transpose(2, 1, 0)
    if array.ndim == 3 and array.shape[1:] == (17, size):
        return array
    raise FormatError(
        path, f"{key}: expected one person of 17 joints, [frames, 1, 17, {size}] (got {list(array.shape)}); {_ANNOT}"
    )


def _size_of(sequence: str) -> tuple[int, int]:
    return _WIDE if sequence in _WIDE_SEQUENCES else _SQUARE


def _size_by(path: Path, joints: np.ndarray, pixels: np.ndarray) -> tuple[int, int]:
    """The picture in a folder that is not named after a test sequence: the one whose middle the optical axis is near."""
    fit = fit_pinhole(joints, pixels)
    size = _SQUARE if fit is None else min((_SQUARE, _WIDE), key=lambda one: abs(fit.center[1] - one[1] / 2))
    log.warning(
        "%s: the folder is not named TS1 to TS6, so the pictures are taken to be %d x %d by the keypoints", path, *size
    )
    return size


def _clip(path: Path, one: _Recording, body: Skeleton, kind: str, metres: float, fps: float | None) -> MotionClip:
    test = one.split == "test"
    where = one.sequence if test else f"{one.subject} {one.sequence}, camera {one.camera}"
    keypoints = joint_array(path, where, one.keypoints, 17, (2, 3), _ONE_VERSION)
    positions = joint_array(path, where, one.positions, 17, (3,), _ONE_VERSION) * np.float32(metres)
    if len(keypoints) != len(positions):
        raise FormatError(
            path,
            f"{where}: expected keypoints and positions of the same frames (got {len(keypoints)} and {len(positions)}); "
            f"{_ONE_VERSION}",
        )
    confidence = torch.from_numpy(keypoints[..., 2].copy()) if keypoints.shape[-1] == 3 else None
    keypoints = np.ascontiguousarray(keypoints[..., :2])
    valid = _valid(path, where, one.valid, len(positions))
    check_complete(path, where, positions, body, valid)
    check_unit(path, where, positions[valid], body, metres)
    positions[~valid] = np.nan
    camera, tags = _camera(one, positions, keypoints)
    width, height = one.size
    return MotionClip(
        body,
        fps or one.fps or _FPS,
        positions=torch.from_numpy(positions),
        keypoints=torch.from_numpy(keypoints if camera is not None else normalize_screen(keypoints, width, height)),
        confidence=confidence,
        camera=camera,
        subject=one.subject,
        action=one.sequence,
        name=one.sequence if test else f"{one.subject}_{one.sequence}_{one.camera}",
        source=str(path),
        space="camera",
        tags={
            "annotation": kind,
            "split": one.split,
            "camera": one.camera,
            "recording": f"{one.subject}/{one.sequence}",
            "image": f"{width}x{height}",
            **tags,
        },
    )


def _valid(path: Path, where: str, value: Any, frames: int) -> np.ndarray:
    if value is None:
        return np.ones(frames, dtype=bool)
    marks = np.asarray(value).ravel()
    if marks.shape != (frames,) or marks.dtype.kind not in "biuf":
        raise FormatError(
            path,
            f"{where}: expected a mark, valid or not, for each of {frames} frames (got {marks.dtype} {list(marks.shape)}); "
            f"{_ONE_VERSION}",
        )
    if not marks.any():
        raise FormatError(
            path, f"{where}: no frame is marked as valid, so there is nothing to evaluate; fetch the file again"
        )
    return marks.astype(bool)


def _camera(one: _Recording, positions: np.ndarray, keypoints: np.ndarray) -> tuple[Camera | None, dict[str, str]]:
    """The pinhole camera that the file itself tells of, and how well it does, in pixels."""
    fit = fit_pinhole(positions, keypoints)
    if fit is None or fit.residual > _FITS:
        return None, {"camera_fit": "none" if fit is None else f"none, {fit.residual:.0f} px"}
    width, height = one.size
    return Camera(
        torch.tensor(_LEVEL), torch.zeros(3), torch.tensor(fit.focal), center=torch.tensor(fit.center),
        width=width, height=height, name=one.camera,
    ), {"camera_fit": f"{fit.residual:.2f} px", "keypoints": _PIXELS}  # fmt: skip


def _recognizes(path: Path) -> bool:
    if path.suffix.lower() == ".mat":
        return is_mat_with(path, (_PIXELS, *ANNOTATIONS))
    names = member_names(path)
    if names is None:
        return path.name.lower().startswith(("data_train_3dhp", "data_test_3dhp"))
    return names == {"data"} and is_object_member(path, "data")


def _holds_clip(path: Path) -> bool:
    return path.suffix.lower() != ".mat" or _recognizes(path) or path.name.lower() in ("annot.mat", "annot_data.mat")


FORMAT = Format(
    name="mpi_inf_3dhp",
    suffixes=(".npz", ".mat"),
    read=read_mpi_inf_3dhp,
    write=None,
    description="MPI-INF-3DHP: data_train_3dhp.npz, data_test_3dhp.npz, annot.mat, annot_data.mat; camera space",
    options=("subjects", "annotation"),
    holds_clip=_holds_clip,
    recognizes=_recognizes,
)
