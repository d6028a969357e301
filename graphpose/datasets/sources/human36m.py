"""Human3.6M: each user registers for it; checked in the archives of VideoPose3D.

Frames: 1,559,752 of the training and 543,344 of the test subjects over four cameras (these numbers are printed by the
published scripts; by subject in github.com/hrhodin/UnsupervisedGeometryAwareRepresentationLearning/issues/5), so a quarter
of that in 3D. 30 recordings a subject, 29 of S11: "Directions" has a damaged video and is left out as published.
"""

from __future__ import annotations

from pathlib import Path

from graphpose.datasets.sources._videopose import Published, check_archives
from graphpose.datasets.sources.findings import Finding
from graphpose.datasets.sources.registry import Source
from graphpose.formats.human36m import LAYOUT

__all__ = ["PUBLISHED", "SOURCE", "check"]

PUBLISHED = Published(
    layout=LAYOUT,
    recordings={"S1": 30, "S5": 30, "S6": 30, "S7": 30, "S8": 30, "S9": 30, "S11": 29},
    frames={
        ("S1",): 248_376 // 4,
        ("S5",): 396_316 // 4,
        ("S6",): 249_864 // 4,
        ("S7", "S8"): 665_196 // 4,
        ("S9", "S11"): 543_344 // 4,
    },
)


def check(folder: Path) -> list[Finding]:
    """The archives; or, before they are made, what of the original download is there."""
    found = check_archives(folder, PUBLISHED)
    originals = [*folder.rglob("D3_Positions/*.cdf"), *folder.rglob("Poses_D3_Positions_*.tgz")]
    if originals and not (folder / LAYOUT.file_3d).exists():
        text = f"not there yet; {len(originals)} files of the original download are"
        advice = (
            "unpack the archives, then VideoPose3D's data/prepare_data_h36m.py --from-source-cdf FOLDER makes it and "
            "data_2d_h36m_gt.npz"
        )
        return [Finding("missing", LAYOUT.file_3d, text, advice), *(f for f in found if f.what != LAYOUT.file_3d)]
    return found


SOURCE = Source(
    name="human36m",
    title="Human3.6M",
    where=(
        "Register at vision.imar.ro/human3.6m (academic users; approval takes days), download Poses -> D3 Positions of "
        "subjects 1, 5, 6, 7, 8, 9 and 11, unpack them, and run VideoPose3D's data/prepare_data_h36m.py --from-source-cdf "
        "(github.com/facebookresearch/VideoPose3D, DATASETS.md). Put the two files that it makes, data_3d_h36m.npz and "
        "data_2d_h36m_gt.npz, into the folder; for results on detected keypoints also data_2d_h36m_cpn_ft_h36m_dbb.npz or "
        "another file of detections, for which DATASETS.md gives the addresses."
    ),
    licence="Academic use only, by the agreement that each user signs; it may not be passed on.",
    check=check,
)
