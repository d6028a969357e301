"""From the joints of one skeleton to those of another: subset, rename, weighted midpoint, or a point on a joint.

For target joint i: `target[i] = sum_j M[i, j] source[j] + R[k(i)] offset[i]`, with M [Jt, Js] (rows sum to 1), R the
global rotation of source joint k(i) and offset [Jt, 3] in metres in that joint's rotated frame (zero for most joints).
Keypoints [.., Js, 2] map by M alone. Mapping files:

    source: bandai22
    target: h36m17
    joints:
      pelvis: {UpperLeg_L: 1/2, UpperLeg_R: 1/2}      # weights sum to 1; a fraction is fine
      Rhip: UpperLeg_R                                # the joint itself
      head: {joint: Head, offset: [0.15, 0, 0], sideways: z}   # `sideways`: the local axis to the side, x if not said
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from graphpose.errors import SkeletonError
from graphpose.skeleton.mapping_check import mapping_faults
from graphpose.skeleton.skeleton import Skeleton

__all__ = ["JointMapping", "find_mapping"]


@dataclass(frozen=True)
class JointMapping:
    """Which joints of the skeleton called `source` make up each joint of the one called `target`.

    Args:
        source, target: names of the two skeletons (for messages, and to find the file).
        weights: target joint -> {source joint: weight}.
        points: target joint -> (x, y, z) metres in the rotated frame of its one source joint.
        sideways: target joint -> the local axis ("x", "y", "z") of that frame that points sideways; "x" if not named.
        origin: where the table is from.
    """

    source: str
    target: str
    weights: Mapping[str, Mapping[str, float]]
    points: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    sideways: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""

    @property
    def needs_rotations(self) -> bool:
        """Whether some target joint lies at an offset from its source joint, so that global rotations are needed."""
        return bool(self.points)

    def check(self, source: Skeleton, target: Skeleton, *, where: str | None = None) -> JointMapping:
        """Itself, after comparing it with the two skeletons.

        Raises:
            SkeletonError: every fault: unknown or missing joints, weights that do not sum to 1, and rows whose mirror
                image is not the row of the mirrored joint (skipped when either skeleton has no pairs).
        """
        faults = mapping_faults(self.weights, self.points, self.sideways, source, target)
        if faults:
            raise SkeletonError(faults, source=where or f"mapping {self.source} to {self.target}")
        return self

    def apply_matrix(self, source: Skeleton, target: Skeleton) -> np.ndarray:
        """The matrix M [Jt, Js] float64 with rows in the order of `target` and columns in that of `source`; checked."""
        self.check(source, target)
        matrix = np.zeros((len(target), len(source)))
        for joint, row in self.weights.items():
            for name, weight in row.items():
                matrix[target.index(joint), source.index(name)] = weight
        return matrix

    def offset_joint(self, source: Skeleton, target: Skeleton) -> np.ndarray:
        """[Jt] int64: the source joint that carries the offset of each target joint, -1 where there is none."""
        self.check(source, target)
        carrier = np.full(len(target), -1, dtype=np.int64)
        for joint in self.points:
            carrier[target.index(joint)] = source.index(next(iter(self.weights[joint])))
        return carrier

    def offsets(self, source: Skeleton, target: Skeleton) -> np.ndarray:
        """[Jt, 3] float64 metres in the frame of `offset_joint`; zeros where there is none."""
        self.check(source, target)
        table = np.zeros((len(target), 3))
        for joint, point in self.points.items():
            table[target.index(joint)] = point
        return table

    @classmethod
    def load(cls, path: str | Path) -> JointMapping:
        """The mapping in a YAML file; it is compared with skeletons where it is used.

        Raises:
            SkeletonError: names the file and lists every fault; when both skeletons are bundled, joints included.
        """
        from graphpose.skeleton.mapping_file import read_mapping

        return read_mapping(path)

    def save(self, path: str | Path) -> None:
        """Write the YAML file that `load` reads back to an equal mapping."""
        from graphpose.skeleton.mapping_file import write_mapping

        write_mapping(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The layout of the file as plain values."""
        from graphpose.skeleton.mapping_file import mapping_to_dict

        return mapping_to_dict(self)


def find_mapping(source: Skeleton, target: Skeleton) -> JointMapping:
    """The mapping between two skeletons, found by their joints and names.

    In this order: the same joint names -> each to itself (in the other's order); a bundled mapping between a source
    and a target of these trees; all target names among the source's -> that subset.

    Raises:
        SkeletonError: none applies; lists what there is and shows how to write one.
    """
    if set(source.joints) == set(target.joints):
        return _by_name(source, target)
    bundled = _bundled_mappings()
    for (known_source, known_target), mapping in bundled.items():
        if source.tree() == Skeleton.load(known_source).tree() and target.tree() == Skeleton.load(known_target).tree():
            return mapping.check(source, target)
    if set(target.joints) <= set(source.joints):
        return _by_name(source, target).check(source, target)
    known = ", ".join(f"{a} to {b}" for a, b in bundled) or "none"
    missing = ", ".join(joint for joint in target.joints if joint not in source.joints)
    raise SkeletonError(
        f"no mapping from skeleton {source.name!r} to {target.name!r} ({source.name!r} has no {missing}; "
        f"bundled mappings: {known}); write a YAML file with `source: {source.name}`, "
        f"`target: {target.name}` and `joints:` with a line for each of the {len(target)} target joints such as "
        f"`{target.joints[0]}: {source.joints[0]}` or `{target.joints[0]}: {{joint_a: 0.5, joint_b: 0.5}}`, "
        "and give its path as the mapping"
    )


def _by_name(source: Skeleton, target: Skeleton) -> JointMapping:
    return JointMapping(source.name, target.name, {joint: {joint: 1.0} for joint in target.joints})


@lru_cache(maxsize=1)
def _bundled_mappings() -> dict[tuple[str, str], JointMapping]:
    from graphpose.skeleton.bundled import mapping_files

    return {names: JointMapping.load(path) for names, path in mapping_files().items()}
