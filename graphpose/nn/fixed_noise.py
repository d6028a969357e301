"""Gaussian noise that is a function of what it is for: the same at every call, on every device and in every precision.

    z[k, h, :, j] = normals of a generator seeded by (seed, h, name of joint j), in the order of k

More hypotheses or more draws leave the earlier ones as they are, so that curves over either compare like with like; noise
belongs to a joint by its name, so that the order in which joints are numbered means nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["fixed_noise"]


def fixed_noise(seed: int, joints: Sequence[str], draws: int, hypotheses: int, frames: int) -> Tensor:
    """float32 `[K, H, T, J, 3]` for K draws, H hypotheses, T frames and the J joints named; seed >= 0."""
    paths = [
        np.random.default_rng([seed, hypothesis, zlib.crc32(joint.encode())]).standard_normal((draws, frames, 3))
        for hypothesis in range(hypotheses)
        for joint in joints
    ]
    noise = np.stack(paths).reshape(hypotheses, len(joints), draws, frames, 3)  # [H, J, K, T, 3]
    return torch.from_numpy(noise).float().permute(2, 0, 3, 1, 4).contiguous()
