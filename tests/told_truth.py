"""A lifter that is told the truth and errs as it is asked to: for tests that know every figure beforehand.

The truth of a standing clip hides in its input: x and y of a joint are its keypoint, depth is its confidence. The root's
keypoint, of no use at the origin, tells how badly to err in this clip (x) and which frame it is (y).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphpose.datasets import Views
from graphpose.models import Lifter
from graphpose.models.lifter import LifterConfig
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

OWN = Views(kind="clip")
H36M = Skeleton.load("h36m17")
Wrong = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(pose `[B, T, J, 3]`, how badly `[B, T, 1, 1]`, frame `[B, T, 1, 1]`) -> prediction `[B, T, J, 3]`."""


def standing() -> Tensor:
    """The rest pose `[17, 3]` of Human3.6M in camera axes (x right, y down, z away), relative to the pelvis, metres."""
    assert H36M.rest is not None
    rest = torch.tensor(H36M.rest, dtype=torch.float32)
    return (rest - rest[H36M.root]) * torch.tensor([1.0, -1.0, -1.0])


class ToldTruth(Lifter):
    """Reads the truth out of its input, and then errs as `wrong` says."""

    def __init__(self, wrong: Wrong, frames: int = 4, skeleton: Skeleton = H36M) -> None:
        super().__init__(skeleton, LifterConfig(frames=frames, in_features=3))
        self.wrong = wrong

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        root = self.skeleton.root
        badly, frame = (100.0 * x[..., root : root + 1, k : k + 1] for k in (0, 1))
        pose = torch.cat([x[..., :2], 2.0 * x[..., 2:] - 1.0], dim=-1)
        pose[..., root, :] = 0.0
        return self.wrong(pose, badly.abs().round(), frame.round())


def told(name: str, frames: int, badly: int = 1, pose: Tensor | None = None, **labels: object) -> MotionClip:
    """A standing clip, 3 m away, whose keypoints and confidence give its pose away."""
    truth = (standing() if pose is None else pose).expand(frames, -1, -1)
    keypoints = truth[..., :2].clone()
    keypoints[:, H36M.root, 0] = badly / 100.0
    keypoints[:, H36M.root, 1] = torch.arange(frames) / 100.0
    return MotionClip(
        H36M,
        30.0,
        positions=truth + torch.tensor([0.1, 0.2, 3.0]),
        keypoints=keypoints,
        confidence=(truth[..., 2] + 1.0) / 2.0,
        space="camera",
        name=name,
        **labels,  # type: ignore[arg-type]
    )
