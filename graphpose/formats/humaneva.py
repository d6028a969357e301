"""HumanEva-I as `data_3d_humaneva15.npz` and `data_2d_humaneva15_DETECTOR.npz`, in the layout of VideoPose3D.

15 joints in metres, 60 frames a second, three cameras of 640 x 480. Subjects are named "Train/S1", "Validate/S1";
recordings with gaps were cut into "Walking 1 chunk0", "Walking 1 chunk2", which are action "Walking" with the whole name
in the tag `sub_action`. The archives give the places of the cameras and no lenses: focal length and centre are fitted to
the keypoints of the 2D file, for the 3D file alone to those of `data_2d_humaneva15_gt.npz` beside it.

Sigal, Balan and Black, "HumanEva", IJCV 2010; places as in VideoPose3D, `common/humaneva_dataset.py`.
"""

from __future__ import annotations

import re
from functools import cache

import torch

from graphpose.formats._videopose_archives import Layout, archive_format
from graphpose.geometry import Camera

__all__ = ["FORMAT", "LAYOUT", "merged_action", "published_cameras"]

# quaternion w, x, y, z from camera to world axes and camera centre in mm, of C1, C2 and C3; world with z up
_ONE_AND_THREE = (
    ((0.424207, -0.4983646, -0.5802981, 0.4847012), (4062.227, 663.2477, 1528.397)),
    ((0.6503354, -0.7481602, -0.0919284, 0.0941766), (844.8131, -3805.2092, 1504.9929)),
    ((0.0664734, -0.0690535, 0.7416416, -0.6639132), (-797.67377, 3916.3174, 1433.6602)),
)
_TWO = (
    ((0.4214752, -0.4961493, -0.5838273, 0.4851187), (4112.9121, 626.4929, 1545.2988)),
    ((0.6501393, -0.7476588, -0.0954617, 0.0959808), (923.574, -3877.9243, 1504.5518)),
    ((0.0699353, -0.0712403, 0.7421637, -0.662742), (-781.4915, 3838.8853, 1444.9929)),
)
_PLACES = {"S1": _ONE_AND_THREE, "S2": _TWO, "S3": _ONE_AND_THREE}
_PARTS = ("Train", "Validate", "Unlabeled/Train", "Unlabeled/Validate", "Unlabeled")


@cache
def published_cameras(subject: str) -> tuple[Camera, ...]:
    """The three cameras of "Train/S1" in their order, with a focal length of 1 that stands for the missing lens."""
    part, _, name = subject.rpartition("/")
    places = _PLACES.get(name, ()) if part in (*_PARTS, "") else ()
    return tuple(
        Camera.from_quaternion(
            torch.tensor(quaternion), torch.tensor(centre) / 1000, 1.0, width=640, height=480, name=f"C{number}"
        )
        for number, (quaternion, centre) in enumerate(places, 1)
    )


def merged_action(action: str) -> str:
    """ "Walking 1 chunk0" -> "Walking"."""
    return re.sub(r"(\s+\d+)?(\s+chunk\d+)?$", "", action)


LAYOUT = Layout(
    title="HumanEva-I",
    stem="humaneva15",
    skeleton="humaneva15",
    stored=15,
    kept=tuple(range(15)),
    fps=60.0,
    cameras=published_cameras,
    subjects=tuple(f"{part}/{name}" for part in ("Train", "Validate") for name in _PLACES),
    merged=merged_action,
    split=lambda subject: "test" if subject.startswith("Validate") else "train",
    lenses=False,
)


FORMAT = archive_format(
    "humaneva",
    LAYOUT,
    lambda path: "humaneva" in path.name.lower(),
    "HumanEva-I in the archives of VideoPose3D (data_3d_humaneva15, data_2d_humaneva15_*), 15 joints",
)
