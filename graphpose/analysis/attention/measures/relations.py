"""What counts as bone, mirror or distant, said once: relations that part all pairs of joints, or of frames, between them.

Of joints, a pair (i, j) belongs to the first that fits:

    self     i = j
    bone     they share a bone
    mirror   they are partners on the two sides
    limb     they are on one limb: in one group of the skeleton or, on a skeleton without groups, in one chain (`limbs`)
    distant  all others

Of frames s and t, by their numbers in the window of T frames, not by the places of their tokens:

    self   s = t
    step   |s - t| = 1
    near   2 <= |s - t| <= max(2, T // 8)
    far    all others

Every pair is in exactly one relation, so the shares of attention in them sum to 1.
"""

from __future__ import annotations

import numpy as np

from graphpose.analysis.attention.record import Attention, Record
from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

__all__ = [
    "FRAME_RELATIONS",
    "JOINT_RELATIONS",
    "attended_hops",
    "attended_relations",
    "frame_numbers",
    "frame_relations",
    "joint_relations",
    "limbs",
    "time_offsets",
    "window_length",
]

JOINT_RELATIONS = ("self", "bone", "mirror", "limb", "distant")
FRAME_RELATIONS = ("self", "step", "near", "far")


def limbs(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Name -> joints of each limb: the groups of the skeleton; without any, its chains, called by their first joint.

    A chain begins at the root and at every child of a joint that branches, and goes on to the next joint that branches or ends.
    """
    if skeleton.groups:
        return {name: tuple(skeleton.index(joint) for joint in joints) for name, joints in skeleton.groups.items()}
    chains: dict[int, list[int]] = {}
    begins: dict[int, int] = {}
    for joint in skeleton.order:
        parent = skeleton.parents[joint]
        goes_on = parent >= 0 and len(skeleton.children[parent]) == 1
        begins[joint] = begins[parent] if goes_on else joint
        chains.setdefault(begins[joint], []).append(joint)
    return {skeleton.joints[first]: tuple(chain) for first, chain in chains.items()}


def joint_relations(skeleton: Skeleton) -> dict[str, np.ndarray]:
    """The relations of joints in the order of the module, bool `[J, J]` each; one is True for each pair."""
    joints = len(skeleton)
    same_limb = np.zeros((joints, joints), dtype=bool)
    for members in limbs(skeleton).values():
        same_limb[np.ix_(members, members)] = True
    eye = np.eye(joints, dtype=bool)
    fits = (eye, skeleton.adjacency() > 0, eye[skeleton.mirror], same_limb, np.ones_like(eye))
    return _first_that_fits(JOINT_RELATIONS, fits)


def frame_relations(
    frames: int, queries: np.ndarray | None = None, keys: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The relations of frames in the order of the module, bool `[..., N, M]` each; one is True for each pair.

    Args:
        frames: T, the length of the window, which "near" is measured by.
        queries: numbers of the frames that look, `[..., N]`; None: all T.
        keys: numbers of the frames that are looked at, `[..., M]`; None: as the queries.
    """
    queries = np.arange(frames) if queries is None else np.asarray(queries)
    keys = queries if keys is None else np.asarray(keys)
    distance = np.abs(keys[..., None, :] - queries[..., :, None])
    near = max(2, frames // 8)
    fits = (distance == 0, distance == 1, distance <= near, np.ones(distance.shape, dtype=bool))
    return _first_that_fits(FRAME_RELATIONS, fits)


def _first_that_fits(names: tuple[str, ...], fits: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    taken = np.zeros(fits[0].shape, dtype=bool)
    found = {}
    for name, fit in zip(names, fits, strict=True):
        found[name] = fit & ~taken
        taken |= fit
    return found


# ---------------------------------------------------------------- of what was recorded


def window_length(record: Record) -> int:
    """T, the frames of a window: of the keypoints or the prediction, else what the recorded attention tells."""
    for tensor in (record.keypoints, record.visible, record.prediction):
        if tensor is not None:
            return int(tensor.shape[1])
    lengths = [1]
    for one in record.attention:
        if one.frames is not None:
            lengths.append(int(one.frames.max()) + 1)
        elif one.axis == "frames":
            lengths.append(int(one.weights.shape[3]))
        elif one.across is not None:
            lengths.append(max(one.across) + 1)
    return max(lengths)


def frame_numbers(attention: Attention) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the frames that look, `[B or 1, N]`, and that are looked at, `[B or 1, M]`, in attention over frames."""
    _expect_axis(attention, "frames")
    own = np.arange(attention.weights.shape[3])[None] if attention.frames is None else _numbers(attention.frames)
    return own, own if attention.key_frames is None else _numbers(attention.key_frames)


def time_offsets(attention: Attention) -> np.ndarray:
    """Frame of the key less frame of the query, int64 `[B or 1, N, M]`: negative for a look back."""
    queries, keys = frame_numbers(attention)
    return keys[:, None, :] - queries[:, :, None]


def attended_relations(attention: Attention, record: Record) -> dict[str, np.ndarray]:
    """The relations of what this module attends over, bool `[B or 1, N, M]` each.

    Raises:
        DataError: weights over another number of joints than the skeleton has.
    """
    if attention.axis == "frames":
        return frame_relations(window_length(record), *frame_numbers(attention))
    _expect_joints(attention, record.skeleton)
    return {name: matrix[None] for name, matrix in joint_relations(record.skeleton).items()}


def attended_hops(attention: Attention, record: Record) -> np.ndarray:
    """Bones between query and key, int64 `[1, J, J]`, in attention over joints."""
    _expect_axis(attention, "joints")
    _expect_joints(attention, record.skeleton)
    return record.skeleton.hops()[None]


def _numbers(frames: object) -> np.ndarray:
    return np.asarray(frames, dtype=np.int64)


def _expect_axis(attention: Attention, axis: str) -> None:
    if attention.axis != axis:
        raise DataError(f"{attention.name}: expected attention over {axis} (got attention over {attention.axis})")


def _expect_joints(attention: Attention, skeleton: Skeleton) -> None:
    joints, (n, m) = len(skeleton), attention.weights.shape[3:]
    if (n, m) != (joints, joints):
        raise DataError(
            f"{attention.name}: expected attention between the {joints} joints of skeleton {skeleton.name!r} (got {n} x {m}); "
            "further tokens have to be left out when it is captured"
        )
