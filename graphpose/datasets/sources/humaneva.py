"""HumanEva-I: each user registers for it; checked in the archives of VideoPose3D.

Frames are at most those of the published parts of each recording (VideoPose3D, data/prepare_data_humaneva.py): frames with
gaps are cut out, which splits a recording into chunks.
"""

from __future__ import annotations

from pathlib import Path

from graphpose.datasets.sources._videopose import Published, check_archives
from graphpose.datasets.sources.findings import Finding
from graphpose.datasets.sources.registry import Source
from graphpose.formats.humaneva import LAYOUT

__all__ = ["PUBLISHED", "SOURCE", "check"]

_FRAMES = {  # of Walking, Jog, ThrowCatch, Gestures, Box
    "Train/S1": (613, 373, 472, 406, 404),
    "Train/S2": (438, 397, 578, 401, 352),
    "Train/S3": (491, 441, 534, 569, 509),
    "Validate/S1": (585, 362, 468, 390, 380),
    "Validate/S2": (433, 393, 545, 495, 377),
    "Validate/S3": (443, 396, 488, 528, 507),
}
PUBLISHED = Published(
    layout=LAYOUT,
    recordings=dict.fromkeys(_FRAMES),
    frames={(name,): sum(frames) for name, frames in _FRAMES.items()},
    at_most=True,
)


def check(folder: Path) -> list[Finding]:
    """The archives in the folder."""
    return check_archives(folder, PUBLISHED)


SOURCE = Source(
    name="humaneva",
    title="HumanEva-I",
    where=(
        "Register at humaneva.is.tue.mpg.de, download HumanEva-I, the release code v1.1 beta and the critical update, and run "
        "VideoPose3D's data/ConvertHumanEva.m (MATLAB) and data/prepare_data_humaneva.py --convert-3d "
        "(github.com/facebookresearch/VideoPose3D, DATASETS.md). Put the two files that they make, data_3d_humaneva15.npz and "
        "data_2d_humaneva15_gt.npz, into the folder. The detections linked there have the joints of COCO and cannot be used."
    ),
    licence="Research use, by the agreement of its site; it may not be passed on.",
    check=check,
)
