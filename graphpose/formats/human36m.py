"""Human3.6M as `data_3d_h36m.npz` and `data_2d_h36m_DETECTOR.npz`, the form in which the field trades it.

3D: 32 joints in metres, of which the 17 of `h36m17` are kept, four calibrated cameras with lens distortion, 50 frames a
second. The path says which keypoints are used: a 2D file gives its detections (the 3D file lies beside it), the 3D file
alone gives the projected ground truth, distortion included, which is what `data_2d_h36m_gt.npz` holds. Stacked
Hourglass (`sh_*`) has 16 joints: the nose is missing (NaN) in its keypoints. "Directions 1"
is action "Directions" with the tag `sub_action` "Directions 1". See `_videopose_archives` for the layout.

Ionescu et al., "Human3.6M", TPAMI 2014; Pavllo et al., CVPR 2019.
"""

from __future__ import annotations

import re
from functools import cache

import torch

from graphpose.formats._h36m_calibration import LENSES, PLACES
from graphpose.formats._keypoint_orders import HOURGLASS
from graphpose.formats._videopose_archives import Layout, archive_format
from graphpose.geometry import Camera

__all__ = ["FORMAT", "LAYOUT", "merged_action", "published_cameras"]

# the others are end points that repeat a joint, fingers, toes, and doubles of pelvis and thorax
_DROPPED = frozenset({4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31})
_TEST = ("S9", "S11")
_OTHER_NAMES = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}  # of the data set itself -> of the published archives


@cache
def published_cameras(subject: str) -> tuple[Camera, ...]:
    """The four cameras of a subject in their published order: pixels, metres, world with z up; none if unknown."""
    return tuple(
        Camera.from_quaternion(
            torch.tensor(quaternion),
            torch.tensor(centre) / 1000,
            torch.tensor(focal),
            center=torch.tensor(middle),
            radial=torch.tensor(radial),
            tangential=torch.tensor(tangential),
            width=width,
            height=height,
            name=name,
        )
        for (name, width, height, focal, middle, radial, tangential), (quaternion, centre) in zip(
            LENSES, PLACES.get(subject, ()), strict=False
        )
    )


def merged_action(action: str) -> str:
    """One of the 15 actions of the tables: "Directions 1" -> "Directions"."""
    name = re.sub(r"\s+\d+$", "", action)
    return _OTHER_NAMES.get(name, name)


LAYOUT = Layout(
    title="Human3.6M",
    stem="h36m",
    skeleton="h36m17",
    stored=32,
    kept=tuple(joint for joint in range(32) if joint not in _DROPPED),
    fps=50.0,
    cameras=published_cameras,
    subjects=tuple(PLACES),
    merged=merged_action,
    split=lambda subject: "test" if subject in _TEST else "train",
    detectors=("gt", "cpn_ft_h36m_dbb", "detectron_ft_h36m", "sh_ft_h36m", "sh_pt_mpii"),
    orders=HOURGLASS,
)


FORMAT = archive_format(
    "human36m",
    LAYOUT,
    lambda path: "humaneva" not in path.name.lower(),
    "Human3.6M in the archives of VideoPose3D (data_3d_h36m, data_2d_h36m_*), four calibrated cameras",
)
