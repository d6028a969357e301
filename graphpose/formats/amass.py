"""Joint archives of AMASS and others (`.npz`): joints `[T, J, 3]` of the SMPL family with `mocap_framerate`.

Read are archives that hold joints, under one of the names in `JOINTS`; J = 24 is SMPL, 22 its body joints, and of more
(52 SMPL+H, 55 SMPL-X, 45 SMPL with landmarks) the first 22 are taken, which all have in common. The world of AMASS has
+Z up. An archive of SMPL parameters alone (poses, betas, trans) holds no joints: those come out of the body model.
N. Mahmood et al., "AMASS: Archive of Motion Capture as Surface Shapes", ICCV 2019.
"""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._points import clip_of_points
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip
from graphpose.skeleton import Skeleton

__all__ = ["FORMAT", "JOINTS", "RATES", "read_amass", "recognizes"]

log = logging.getLogger(__name__)

JOINTS = ("joints", "jtr", "Jtr", "joints3d", "joints_3d", "joint_positions")
RATES = ("mocap_framerate", "mocap_frame_rate", "framerate", "frame_rate", "fps")
_PARAMETERS = ("poses", "pose_body")
_OURS = ("positions", "keypoints", "parents")  # of the plain npz format, in which `joints` are names


def read_amass(
    path: Path, *, scale: float | None = None, fps: float | None = None, skeleton: Any = None, up: str = "z"
) -> list[MotionClip]:
    """The clip of a joint archive.

    Args:
        scale: metres per unit of the file, 1 unless given.
        fps: in place of the rate in the file.
        skeleton: the skeleton whose joints the archive holds, where it is not of the SMPL family.
        up: the axis of the file that points up; "y" for archives that were turned.

    Raises `FormatError` for SMPL parameters without joints, joints of another number, and damaged files.
    """
    data, names = _load(path)
    key = next((name for name in JOINTS if name in data), None)
    if key is None:
        raise FormatError(
            path,
            f"holds SMPL parameters ({', '.join(names[:4])}, …) and no joints, which only the body model can make of "
            "them: get the model (https://smpl.is.tue.mpg.de), run it over the file (package smplx or "
            "human_body_prior), and save its joints with numpy.savez(PATH, joints=[T, J, 3], mocap_framerate=RATE)",
        )
    joints = data[key]
    if joints.ndim != 3 or joints.shape[-1] != 3 or joints.dtype.kind not in "fiu" or 0 in joints.shape:
        raise FormatError(path, f"expected numbers {key} [T, J, 3] (got {joints.dtype} {list(joints.shape)})")
    infinite = np.argwhere(np.isinf(joints))
    if len(infinite):
        raise FormatError(path, f"{key}: frame {infinite[0][0]}, joint {infinite[0][1]} is infinite")
    body = _body(path, joints.shape[1], key, skeleton)
    clip = clip_of_points(
        path,
        body.joints,
        joints[:, : len(body)].astype(np.float64),
        fps=_rate(path, data) if fps is None else fps,
        scale=1.0 if scale is None else scale,
        up=up,
        skeleton=body,
    )
    return [clip]


def _load(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of joints and rate, and the names of all arrays."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            wanted = [name for name in file.files if name in JOINTS or name in RATES]
            return {name: np.asarray(file[name]) for name in wanted}, list(file.files)
    except Exception as fault:  # damaged bytes make zipfile, zlib and numpy raise errors of a dozen unrelated classes
        raise FormatError(
            path, f"is no intact npz file of numbers ({type(fault).__name__}); write it with numpy.savez"
        ) from fault


def _body(path: Path, count: int, key: str, skeleton: Any) -> Skeleton:
    if skeleton is not None:
        body = skeleton if isinstance(skeleton, Skeleton) else Skeleton.load(skeleton)
        family = body.joints == Skeleton.load("smpl24").joints[: len(body)]
        if count != len(body) and not (family and count > len(body)):
            raise FormatError(path, f"expected the {len(body)} joints of skeleton {body.name!r} (got {count} in {key})")
        return body
    if count not in (22, 24) and count <= 24:
        raise FormatError(
            path, f"expected 24 joints of SMPL, or 22 and more of its family (got {count} in {key}); give skeleton="
        )
    if count > 24:
        log.info("%s: the first 22 of %d joints are taken", path, count)
    return Skeleton.load("smpl24" if count == 24 else "smpl22")


def _rate(path: Path, data: dict[str, np.ndarray]) -> float:
    key = next((name for name in RATES if name in data), None)
    if key is None:
        raise FormatError(path, "expected the frame rate as mocap_framerate in the file; without it give fps=")
    value = data[key]
    if value.size != 1 or value.dtype.kind not in "fiu" or not 0 < float(value.reshape(())) < float("inf"):
        raise FormatError(path, f"expected one number above 0 as {key} (got {value.dtype} {value.tolist()!r:.40})")
    return float(value.reshape(()))


def recognizes(path: Path) -> bool:
    """Whether an npz file holds joints of this kind, or SMPL parameters; found out by the names of its arrays."""
    try:
        with zipfile.ZipFile(path) as file:
            names = {name.removesuffix(".npy") for name in file.namelist()}
    except Exception:  # of a dozen unrelated classes; a damaged file is left to the plain npz reader
        return False
    if names & set(_OURS):
        return False
    return bool(names & set(JOINTS)) or bool(names & set(_PARAMETERS) and names & {"trans", "betas"})


FORMAT = Format(
    name="amass",
    suffixes=(".npz",),
    read=read_amass,
    write=None,
    description="joint archive of the SMPL family: joints [T, J, 3] and mocap_framerate; metres, +Z up",
    options=("up",),
    recognizes=recognizes,
    single=True,
)
