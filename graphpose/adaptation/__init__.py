"""Domain adaptation: a lifter that was trained here works there, with nothing but 2D keypoints from there (PoseDA).

`adapt` runs it. Source poses are changed (`local_pose_augmentation.py`: what a body could also do), put where people of the target
stand (`global_position_alignment.py`) and seen by the target's camera; the lifter learns from these new pairs.

- the target: `target_keypoints.py`, cameras that are not known: `intrinsics.py`
- how a pose may change: `pose_transform.py`; who says what is plausible: `chain_discriminator.py`, `keypoint_discriminator.py`
- a training step: `adaptation_module.py`; a run: `adapting.py`

Chai et al., "Global Adaptation meets Local Generalization: Unsupervised Domain Adaptation for 3D Human Pose Estimation", ICCV 2023.
"""

from graphpose.adaptation.adaptation_module import AdaptationModule
from graphpose.adaptation.adapting import adapt
from graphpose.adaptation.global_position_alignment import align, align_windows
from graphpose.adaptation.intrinsics import estimate_focal, focal_of_view
from graphpose.adaptation.target_keypoints import TargetKeypoints

__all__ = ["AdaptationModule", "TargetKeypoints", "adapt", "align", "align_windows", "estimate_focal", "focal_of_view"]
