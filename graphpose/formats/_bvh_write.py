"""Writing BVH: `L_j = R_parent^T R_j` as Z, X, Y angles; `o_j = R_parent^T (p_j - p_parent)` as OFFSET or channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from graphpose.errors import FormatError
from graphpose.formats._atomic import replacing
from graphpose.motion.clip import MotionClip
from graphpose.motion.kinematics import euler_angles

__all__ = ["write_bvh"]

_POSITION = "Xposition Yposition Zposition"
_ROTATION = "Zrotation Xrotation Yrotation"
# metres; a bone whose vector in its parent's frame changes by more than this gets position channels instead of an
# OFFSET
_RIGID = 1e-5


def write_bvh(
    clips: list[MotionClip], path: Path, *, scale: float = 0.01, digits: int = 6, identity_rotations: bool = False
) -> None:
    """Write one clip with positions and rotations; `scale` metres make a unit of the file (0.01: centimetres).

    Joints come in the order of the tree (each followed by its descendants), which may not be the skeleton's. A joint
    that moves against its parent (all of an ASF/AMC clip) has position channels. With `identity_rotations` a clip
    without rotations is written as joints that never turn and move by position channels alone. Raises `FormatError` when the clip has
    no rotations or misses joints.
    """
    if len(clips) != 1:
        raise FormatError(
            path, f"a BVH file holds one clip (got {len(clips)}); write them one by one, or to an .npz file"
        )
    if not scale > 0:
        raise FormatError(path, f"expected scale above 0 metres (got {scale!r})")
    clip = clips[0]
    if identity_rotations and clip.rotations is None and clip.positions is not None:
        clip = clip.replace(rotations=torch.eye(3).expand(*clip.positions.shape[:2], 3, 3))
    positions, rotations = _checked(clip, path)
    skeleton = clip.skeleton
    above = torch.tensor([max(p, 0) for p in skeleton.parents])
    is_root = torch.tensor(skeleton.parents) < 0
    frame = torch.where(is_root[:, None, None], torch.eye(3, dtype=torch.float64), rotations[:, above]).transpose(
        -1, -2
    )
    origin = torch.where(is_root[:, None], torch.zeros(3, dtype=torch.float64), positions[:, above])
    offsets = ((frame @ (positions - origin)[..., None])[..., 0] / scale).numpy()
    angles = np.rad2deg(np.unwrap(euler_angles(frame @ rotations, "ZXY").numpy(), axis=0))

    middle = offsets.mean(0)
    moves = np.abs(offsets - middle).max((0, 2)) * scale > _RIGID
    moves[skeleton.root] = True
    lines = ["HIERARCHY"]
    columns: list[np.ndarray] = []

    def add(joint: int, depth: int) -> None:
        pad = "\t" * depth
        own = offsets[0, joint] if moves[joint] else middle[joint]
        if joint == skeleton.root:
            own = np.zeros(3)
        lines.append(f"{pad}{'ROOT' if depth == 0 else 'JOINT'} {skeleton.joints[joint]}")
        lines.append(f"{pad}{{")
        lines.append(f"{pad}\tOFFSET {_numbers(own, digits)}")
        lines.append(f"{pad}\tCHANNELS " + (f"6 {_POSITION} {_ROTATION}" if moves[joint] else f"3 {_ROTATION}"))
        if moves[joint]:
            columns.append(offsets[:, joint])
        columns.append(angles[:, joint])
        for child in skeleton.children[joint]:
            add(child, depth + 1)
        if not skeleton.children[joint]:
            lines.extend(
                [f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {_numbers(np.zeros(3), digits)}", f"{pad}\t}}"]
            )
        lines.append(f"{pad}}}")

    add(skeleton.root, 0)
    lines += ["MOTION", f"Frames: {clip.frames}", f"Frame Time: {1 / clip.fps:.12g}"]
    row = " ".join([f"%.{digits}f"] * sum(part.shape[1] for part in columns))
    lines += [row % tuple(values) for values in np.concatenate(columns, 1).tolist()]
    with replacing(path) as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _numbers(values: np.ndarray, digits: int) -> str:
    return " ".join(f"{value + 0.0:.{digits}f}" for value in values)


def _checked(clip: MotionClip, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions and rotations in float64."""
    if clip.positions is None or clip.rotations is None:
        missing = "positions" if clip.positions is None else "joint rotations"
        raise FormatError(
            path,
            f"BVH is made of joint rotations and clip {clip.name!r} has no {missing}; write positions to an .npz file"
            + (
                ", or joints that move without turning with identity_rotations=True (data convert: --identity_rotations)"
                if clip.rotations is None
                else ""
            ),
        )
    if clip.space != "world":
        raise FormatError(
            path,
            f"the positions of clip {clip.name!r} are in the frame of a camera, which BVH cannot say (it is read as "
            "world space); write them to an .npz file, or turn them upright first (data convert --level_camera)",
        )
    unknown = (clip.positions.isnan().any(-1) | clip.rotations.isnan().flatten(-2).any(-1)).nonzero()
    if len(unknown):
        t, j = (int(i) for i in unknown[0])
        raise FormatError(
            path,
            f"joint {clip.skeleton.joints[j]!r} is missing in frame {t} and BVH cannot say so; use clip.fill_gaps()",
        )
    for name in clip.skeleton.joints:
        if not name or name != " ".join(name.split()) or any(c in name for c in "{}"):
            raise FormatError(
                path, f"joint name {name!r} cannot stand in a BVH file (blanks at its ends, line breaks, braces)"
            )
    return clip.positions.double(), clip.rotations.double()
