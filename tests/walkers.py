"""People of five joints who walk: small clips with 3D, for tests of whole runs."""

from __future__ import annotations

import math

import torch

from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents(
    [-1, 0, 1, 0, 3],
    ["hip", "l_knee", "l_foot", "r_knee", "r_foot"],
    [("l_knee", "r_knee"), ("l_foot", "r_foot")],
    name="five",
)


def walker(frames: int, name: str, phase: float = 0.0, subject: str = "A", action: str = "walk") -> MotionClip:
    """A hip that travels, and two legs that swing."""
    t = torch.arange(frames) / 30.0
    hip = torch.stack([0.1 * torch.sin(t), 1.0 + 0.02 * torch.sin(9 * t), 0.5 * t], -1)
    joints = [hip]
    for side, shift in ((1.0, 0.0), (-1.0, math.pi)):
        angle = 0.5 * torch.sin(6 * t + phase + shift)
        knee = hip + torch.stack(
            [torch.full_like(t, 0.1 * side), -0.45 * torch.cos(angle), 0.45 * torch.sin(angle)], -1
        )
        foot = knee + torch.stack(
            [torch.zeros_like(t), -0.4 * torch.cos(1.5 * angle), 0.4 * torch.sin(1.5 * angle)], -1
        )
        joints += [knee, foot]
    return MotionClip(FIVE, 30.0, positions=torch.stack(joints, 1), name=name, subject=subject, action=action)


def six_walkers() -> list[MotionClip]:
    """Six clips of three subjects, 40 to 90 frames."""
    return [
        walker(40 + 10 * i, f"walk{i}", phase=i, subject="ABC"[i % 3], action=("walk", "stroll")[i % 2])
        for i in range(6)
    ]
