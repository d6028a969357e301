"""ASF/AMC (Acclaim): `G_j = G_parent C M C^T`, `end_j = end_parent + G_j (direction x length)`; joints are bone ends.

C is the bone's axis frame, given in world axes; M the rotation of the frame's degrees of freedom. Both turn about the
axes in the order in which the ASF names them: XYZ is R_z R_y R_x. The root's position is the ASF's plus the frame's TX
TY TZ. Format: J. Lander, "Working with motion capture file formats", Game Developer, January 1998; unit:
mocap.cs.cmu.edu/faqs.php.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpose.errors import FormatError
from graphpose.formats._amc import parse_amc
from graphpose.formats._asf import Asf, Bone, parse_asf
from graphpose.formats.plausibility import warn_if_implausible
from graphpose.formats.registry import Format
from graphpose.motion.clip import MotionClip
from graphpose.motion.kinematics import euler_matrices, forward_kinematics
from graphpose.skeleton import Skeleton

__all__ = ["FORMAT", "read_amc"]

_CMU_FPS = 120.0
_INCH = 0.0254  # metres; CMU: length unit x (1 / 0.45) inches


def read_amc(
    path: Path,
    *,
    scale: float | None = None,
    fps: float | None = None,
    skeleton: Any = None,
    allow_truncated: bool = False,
) -> list[MotionClip]:
    """The clip of an AMC file with the joints of its ASF, `root` and the far end of each bone, in hierarchy order.

    `rotations` are those of the bones. `skeleton` is the path of the ASF; without it the only one beside the AMC is
    taken, or the one with the same subject prefix. `scale` is metres per file unit, (1 / length unit) inches unless
    given; `fps` 120 unless given here or in the file. `allow_truncated` keeps the whole frames of a file that ends too
    early. Raises `FormatError` with the line at fault.
    """
    asf = parse_asf(_asf_path(path, skeleton))
    dof = {name: len(bone.dof) for name, bone in asf.bones.items() if bone.dof}
    amc = parse_amc(path, dof, asf.path.name, allow_truncated)
    translations, rotations = _locals(asf, amc.values, asf.degrees if amc.degrees is None else amc.degrees)
    positions, oriented = forward_kinematics(rotations, translations, asf.parents)
    if not bool(positions.isfinite().all()):
        raise FormatError(path, "its values are too large to be lengths and angles")
    metres = _INCH / asf.length if scale is None else scale
    prefix, _, rest = path.stem.partition("_")
    clip = MotionClip(
        skeleton=Skeleton.identify(list(asf.bones), asf.parents),
        fps=fps or amc.fps or _CMU_FPS,
        positions=(positions * metres).float(),
        rotations=oriented.float(),
        subject=prefix if rest else path.resolve().parent.name,
        action=rest or path.stem,
        name=path.stem,
        source=str(path),
    )
    warn_if_implausible(clip, metres)
    return [clip]


def _asf_path(path: Path, given: Any) -> Path:
    if given is not None:
        if not isinstance(given, (str, os.PathLike)) or not Path(given).is_file():
            raise FormatError(
                path, f"expected skeleton= to be the path of the ASF file that belongs to it (got {given!r})"
            )
        return Path(given)
    beside = sorted(p for p in path.parent.iterdir() if p.suffix.lower() == ".asf")
    if len(beside) == 1:
        return beside[0]
    prefix = path.stem.partition("_")[0].lower()
    same = [p for p in beside if p.stem.lower() in (prefix, path.stem.lower())]
    if len(same) == 1:
        return same[0]
    found = f"{len(beside)} ASF files, none of them or several named {prefix!r}" if beside else "no ASF file"
    raise FormatError(path, f"an AMC file needs its skeleton, and there is {found} beside it; give it as skeleton=")


def _rotation(angles: Tensor, order: str) -> Tensor:
    """`angles [..., 3]` about the axes in `order`, the first one turning first: the last one stands leftmost."""
    return euler_matrices(angles.flip(-1), order[::-1])


def _locals(asf: Asf, values: np.ndarray, degrees: bool) -> tuple[Tensor, Tensor]:
    """Local translations `[T, J, 3]` in file units and rotations `[T, J, 3, 3]`, float64.

    The offset of a far end turns with its own bone: in the parent's frame it is L_j (direction x length).
    """
    table = torch.from_numpy(values)
    frames, bones = len(table), list(asf.bones.values())
    rotations = torch.empty(frames, len(bones), 3, 3, dtype=torch.float64)
    translations = torch.empty(frames, len(bones), 3, dtype=torch.float64)
    column = 0
    for j, bone in enumerate(bones):
        own = table[:, column : column + len(bone.dof)]
        column += len(bone.dof)
        rotations[:, j] = _bone_rotation(bone, own, degrees)
        vector = torch.from_numpy(bone.vector)
        if bone.parent is None:
            moved = [own[:, bone.dof.index(t)] if t in bone.dof else torch.zeros(frames) for t in ("tx", "ty", "tz")]
            translations[:, j] = vector + torch.stack([m.double() for m in moved], -1)
        else:
            translations[:, j] = rotations[:, j] @ vector
    return translations, rotations


def _bone_rotation(bone: Bone, values: Tensor, degrees: bool) -> Tensor:
    """C M C^T of one bone, `[T, 3, 3]`."""
    angles = torch.zeros(len(values), 3, dtype=torch.float64)
    for position, axis in enumerate(bone.order):
        if f"r{axis.lower()}" in bone.dof:
            angles[:, position] = values[:, bone.dof.index(f"r{axis.lower()}")]
    frame = _rotation(torch.from_numpy(bone.axis), bone.order)
    return frame @ _rotation(torch.deg2rad(angles) if degrees else angles, bone.order) @ frame.T


FORMAT = Format(
    name="asf_amc",
    suffixes=(".amc",),
    read=read_amc,
    write=None,
    description="Acclaim motion (AMC) with its skeleton (ASF) beside it; 120 frames a second unless fps= says",
    options=("allow_truncated",),
)
