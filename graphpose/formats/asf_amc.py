"""ASF/AMC (Acclaim): `G_j = G_parent C M C^T`, `end_j = end_parent + G_j (direction x length)`; joints are bone ends.

C is the bone's axis frame, given in world axes; M the rotation of the frame's degrees of freedom. Both turn about the
axes in the order in which the ASF names them: XYZ is R_z R_y R_x. The root's position is the ASF's plus the frame's TX
TY TZ. Format: J. Lander, "Working with motion capture file formats", Game Developer, January 1998; unit:
mocap.cs.cmu.edu/faqs.php.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._amc import parse_amc
from graphpose.formats._asf import Asf, parse_asf
from graphpose.formats._rotation_format import Recording, rotation_format
from graphpose.motion.kinematics import compose, euler_components
from graphpose.skeleton import Skeleton

__all__ = ["FORMAT", "parse"]

_CMU_FPS = 120.0
_INCH = 0.0254  # metres; CMU: length unit x (1 / 0.45) inches


def parse(path: Path, skeleton: Any, allow_truncated: bool) -> Recording:
    """The recording of an AMC file on the joints of its ASF, `root` and the far end of each bone, in hierarchy order.

    Rotations are those of the bones. `skeleton` is the path of the ASF; without it the only one beside the AMC is
    taken, or the one with the same subject prefix. A file unit is (1 / length unit) inches; the rate is 120 unless the
    file says. Raises `FormatError` with the line at fault.
    """
    asf = parse_asf(_asf_path(path, skeleton))
    dof = {name: len(bone.dof) for name, bone in asf.bones.items() if bone.dof}
    amc = parse_amc(path, dof, asf.path.name, allow_truncated)
    prefix, _, rest = path.stem.partition("_")
    return Recording(
        skeleton=Skeleton.identify(list(asf.bones), asf.parents),
        parents=asf.parents,
        local=_locals(asf, amc.values, asf.degrees if amc.degrees is None else amc.degrees),
        metres=_INCH / asf.length,
        fps=amc.fps or _CMU_FPS,
        subject=prefix if rest else path.resolve().parent.name,
        action=rest or path.stem,
    )


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


def _rotation(angles: np.ndarray, order: str) -> np.ndarray:
    """`angles [3, ...]` about the axes in `order`, the first one turning first: the last one stands leftmost."""
    return euler_components(angles[::-1], order[::-1])


def _locals(asf: Asf, values: np.ndarray, degrees: bool) -> np.ndarray:
    """Local rotations C M C^T and translations in file units, `[3, 4, J, T]`, float64.

    The offset of a far end turns with its own bone: in the parent's frame it is L_j (direction x length).
    """
    bones = list(asf.bones.values())
    table = np.ascontiguousarray(np.deg2rad(values.T) if degrees else values.T)  # [sum of dof, T]
    angles = np.zeros((3, len(bones), table.shape[1]))
    start = np.zeros((3, 1, table.shape[1]))  # of the root
    by_order: dict[str, list[int]] = defaultdict(list)
    column = 0
    for j, bone in enumerate(bones):
        by_order[bone.order].append(j)
        for name in bone.dof:
            axis = name[1].upper()
            if name[0] == "r":
                angles[bone.order.index(axis), j] = table[column]
            else:
                start["XYZ".index(axis), 0] = values[:, column]
            column += 1
    local = np.empty((3, 4, len(bones), table.shape[1]))
    for order, members in by_order.items():
        frame = _rotation(np.array([bones[j].axis for j in members]).T[..., None], order)
        turned = compose(compose(frame, _rotation(angles[:, members], order)), frame.swapaxes(0, 1))
        local[:, :3, members] = turned
    vectors = np.array([bone.vector for bone in bones]).T[:, None, :, None]
    local[:, 3:] = compose(local[:, :3], vectors)
    root = [j for j, bone in enumerate(bones) if bone.parent is None]
    local[:, 3, root] = vectors[:, 0, root] + start
    return local


FORMAT = rotation_format(
    "asf_amc",
    ".amc",
    parse,
    "Acclaim motion (AMC) with its skeleton (ASF) beside it; 120 frames a second unless fps= says",
)
