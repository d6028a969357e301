"""Facing and bone lengths: `facing = (L - R) x up` over the hips, `length_b(t) = |p_child(t) - p_parent(t)|`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphpose.errors import DataError

if TYPE_CHECKING:
    from graphpose.motion.clip import MotionClip
    from graphpose.skeleton import Skeleton

__all__ = ["body_extent", "body_height", "bone_lengths", "facing", "ground_bone", "hip_pair", "summarize"]


def hip_pair(skeleton: Skeleton) -> tuple[int, int]:
    """(left, right) joints whose line tells left from right: the pair nearest the root, one named "hip" first.

    Raises `DataError` when the skeleton has no left/right pairs.
    """
    if not skeleton.pairs:
        raise DataError(
            f"skeleton {skeleton.name!r} has no left/right pairs, so it faces nowhere; name them under `pairs:`"
        )

    def rank(pair: tuple[str, str]) -> tuple[bool, int]:
        return ("hip" not in pair[0].lower(), int(skeleton.depths[skeleton.index(pair[0])]))

    left, right = min(skeleton.pairs, key=rank)
    return skeleton.index(left), skeleton.index(right)


def facing(positions: Tensor, skeleton: Skeleton) -> Tensor:
    """`positions [T, J, 3]` (+Y up) to horizontal unit vectors `[T, 3]`; NaN where there is no left or right."""
    left, right = hip_pair(skeleton)
    side = positions[:, left] - positions[:, right]
    forward = torch.stack([-side[:, 2], torch.zeros_like(side[:, 0]), side[:, 0]], -1)  # side x (0, 1, 0)
    length = forward.norm(dim=-1, keepdim=True)
    return (forward / length).masked_fill(~(length > 1e-6), torch.nan)


def bone_lengths(positions: Tensor, skeleton: Skeleton) -> Tensor:
    """`positions [T, J, 3]` to `[T, len(skeleton.bones)]`, in the unit of the positions."""
    parent = [p for p, _ in skeleton.bones]
    child = [c for _, c in skeleton.bones]
    return (positions[:, child] - positions[:, parent]).norm(dim=-1)


def body_extent(lengths: Sequence[float], skeleton: Skeleton) -> float:
    """The longest way along bones between two joints, from `lengths [bones]`: from hand to foot, where there are such.

    Bones of unknown (NaN) length count as 0.
    """
    reach = [0.0] * len(skeleton)
    longest = 0.0
    own = {child: 0.0 if math.isnan(n) else n for (_, child), n in zip(skeleton.bones, lengths, strict=True)}
    for child in reversed(skeleton.order[1:]):
        parent = skeleton.parents[child]
        arm = reach[child] + own[child]
        longest = max(longest, reach[parent] + arm)
        reach[parent] = max(reach[parent], arm)
    return longest


def body_height(lengths: Sequence[float], skeleton: Skeleton) -> float:
    """The longest way along bones from a joint that is neither left nor right, from `lengths [bones]`: about head to toe.

    Unlike `body_extent`, no way leads from hand to foot. Bones of unknown (NaN) length count as 0.
    """
    beside: dict[int, list[tuple[int, float]]] = {j: [] for j in range(len(skeleton))}
    for (parent, child), length in zip(skeleton.bones, lengths, strict=True):
        known = 0.0 if math.isnan(length) else length
        beside[parent].append((child, known))
        beside[child].append((parent, known))
    longest = 0.0
    for start in set(range(len(skeleton))) - {*skeleton.left, *skeleton.right}:
        ahead = [(start, -1, 0.0)]
        while ahead:
            joint, came_from, way = ahead.pop()
            longest = max(longest, way)
            ahead += [(other, joint, way + length) for other, length in beside[joint] if other != came_from]
    return longest


def ground_bone(lengths: Tensor, skeleton: Skeleton) -> int | None:
    """The bone from a mark on the ground to the body, which is no part of it: index into `lengths [T, bones]`, or None.

    It hangs the branching joint of the body, the hips, on a root with no other child, and changes its length.
    """
    below = [bone for bone, (parent, _) in enumerate(skeleton.bones) if parent == skeleton.root]
    if len(below) != 1 or sum(parent == skeleton.bones[below[0]][1] for parent, _ in skeleton.bones) < 2:
        return None
    length = lengths[:, below[0]]
    middle = length.nanmedian()
    return below[0] if float((length - middle).abs().nanmedian()) > 2e-5 * float(middle) else None


def summarize(clip: MotionClip) -> dict[str, Any]:
    """The facts of a clip as plain numbers and strings; lengths in metres."""
    facts: dict[str, Any] = {
        "name": clip.name,
        "skeleton": clip.skeleton.name,
        "joints": len(clip.skeleton),
        "frames": clip.frames,
        "fps": clip.fps,
        "seconds": clip.duration,
        "subject": clip.subject,
        "action": clip.action,
        "missing": float(clip.missing.float().mean()),
        "holds": [
            key for key in ("positions", "keypoints", "confidence", "rotations") if getattr(clip, key) is not None
        ],
        "camera": clip.camera is not None,
        "space": clip.space,
        "tags": dict(clip.tags),
    }
    if clip.positions is not None:
        lengths = clip.bone_lengths()
        median = lengths.nanmedian(0).values
        spread = (lengths - median).abs().nan_to_num(0.0).amax(0)
        root = clip.positions[:, clip.skeleton.root]
        root = root[~root.isnan().any(-1)]
        mark = ground_bone(lengths, clip.skeleton)
        facts["extent"] = body_height([0.0 if b == mark else n for b, n in enumerate(median.tolist())], clip.skeleton)
        facts["travel"] = float((root[1:] - root[:-1])[:, [0, 2]].norm(dim=-1).sum()) if len(root) else 0.0
        facts["bones"] = {
            f"{clip.skeleton.joints[p]}-{clip.skeleton.joints[c]}": float(n)
            for (p, c), n in zip(clip.skeleton.bones, median, strict=True)
        }
        facts["bone_change"] = float(spread.max()) if spread.numel() else 0.0
    return facts
