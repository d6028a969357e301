"""Which joints the keypoints of a 2D archive are, by its `metadata`, and how they come into the order of the skeleton.

`metadata` has `num_joints` and `keypoints_symmetry` (indices of the left and of the right joints), sometimes
`layout_name`. Stacked Hourglass gives the 16 joints of MPII, which the published lifting code names as those of Human3.6M
without the nose: `[F, 16, 2]` becomes `[F, 17, 2]` with the nose missing (NaN). Two orders of them are in use.

Newell, Yang and Deng, "Stacked hourglass networks for human pose estimation", ECCV 2016; names as in Martinez et al.,
"A simple yet effective baseline for 3D human pose estimation", ICCV 2017; second order of Zhao et al., "Semantic graph
convolutional networks for 3D human pose regression", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphpose.errors import FormatError
from graphpose.formats._object_arrays import load_member, member_names
from graphpose.formats._published import mapping
from graphpose.skeleton import Skeleton

__all__ = ["HOURGLASS", "KeypointOrder", "OtherJointsError", "order_of"]


class OtherJointsError(FormatError):
    """Keypoints that do not lie on the joints of the 3D file; the file itself is whole."""

    def __init__(self, path: Path, text: str, joints: str) -> None:
        super().__init__(path, text)
        self.joints = joints


@dataclass(frozen=True)
class KeypointOrder:
    """The joints of a 2D file.

    Attributes:
        name: for messages.
        joints: joints of the skeleton in the order of the file; those that are not among them are missing.
    """

    name: str
    joints: tuple[str, ...]

    def sides(self, body: Skeleton) -> list[list[int]]:
        """Indices of the left and of the right joints in the file, sorted."""
        numbers = [body.index(name) for name in self.joints]
        return [[i for i, joint in enumerate(numbers) if joint in side] for side in (body.left, body.right)]

    def spread(self, array: np.ndarray, body: Skeleton) -> np.ndarray:
        """`[F, joints of the file, C]` as `[F, J, C]` in the order of the skeleton, NaN where a joint is missing."""
        if self.joints == body.joints:
            return array
        full = np.full((len(array), len(body), array.shape[-1]), np.nan, dtype=array.dtype)
        full[:, [body.index(name) for name in self.joints]] = array
        return full


HOURGLASS = (
    KeypointOrder(
        "Stacked Hourglass",
        ("Rankle", "Rknee", "Rhip", "Lhip", "Lknee", "Lankle", "pelvis", "spine", "thorax", "head",
         "Rwrist", "Relbow", "Rshoulder", "Lshoulder", "Lelbow", "Lwrist"),
    ),
    KeypointOrder(
        "Stacked Hourglass in the order of Human3.6M",
        ("pelvis", "Rhip", "Rknee", "Rankle", "Lhip", "Lknee", "Lankle", "spine", "thorax", "head",
         "Lshoulder", "Lelbow", "Lwrist", "Rshoulder", "Relbow", "Rwrist"),
    ),
)  # fmt: skip


def order_of(path: Path, body: Skeleton, others: Sequence[KeypointOrder], usable: Sequence[str]) -> KeypointOrder:
    """The order of the keypoints in a 2D file: that of `body` where its metadata does not say otherwise.

    Args:
        path: the 2D file.
        body: skeleton of the 3D file.
        others: orders that are known beside that of the skeleton.
        usable: names of published files that can be taken instead, for the message.

    Raises:
        OtherJointsError: the metadata tells of other joints, such as the 17 of COCO.
    """
    own = KeypointOrder(body.name, body.joints)
    if "metadata" not in (member_names(path) or ()):
        return own
    metadata = mapping(path, load_member(path, "metadata"), "metadata")
    count, symmetry = metadata.get("num_joints"), metadata.get("keypoints_symmetry")
    try:
        sides = None if symmetry is None else [sorted(int(joint) for joint in side) for side in symmetry]
    except (TypeError, ValueError):
        raise FormatError(
            path,
            f"expected keypoints_symmetry of the metadata as two lists of joint numbers, left and right (got {symmetry!r}); "
            "write it as published, or leave the metadata out for keypoints in the order of the 3D file's joints",
        ) from None
    if count in (None, len(body)) and sides in (None, own.sides(body)):
        return own
    for order in others:
        if count in (None, len(order.joints)) and sides == order.sides(body):
            return order
    layout = metadata.get("layout_name")
    raise OtherJointsError(
        path,
        f"expected keypoints of the {len(body)} joints of {body.name!r} (got layout {layout or 'without a name'!r} of "
        f"{count} joints, left and right {sides}); such keypoints do not lie on the joints of the 3D file: take "
        f"{' or '.join(usable)}",
        f"{str(layout).upper()} joints" if layout else f"{count} joints in an unknown order",
    )
