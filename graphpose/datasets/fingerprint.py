"""Which data: a SHA-256 of what clips hold, the same wherever their files lie and in whatever order they come.

    clip     = SHA-256(name, rate, joints, shape and float32 bytes of positions, keypoints, confidence and camera)
    data set = SHA-256(sorted hashes of its clips)

Folders, file names, subjects, actions and other labels are not in it. The clips are taken as they are evaluated, mapped
and resampled; so another mapping or rate is another data set. The numbers are taken exactly: the same files read by
another version of graphpose or PyTorch may differ in the last bit, and then in the fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from graphpose.motion import MotionClip

__all__ = ["clip_digest", "fingerprint"]

_CAMERA = ("rotation", "position", "focal", "center", "radial", "tangential")


def clip_digest(clip: MotionClip) -> str:
    """64 hexadecimal digits of the content of one clip."""
    found = hashlib.sha256()
    found.update(repr((clip.name, clip.fps, clip.skeleton.joints, clip.space)).encode())
    arrays = {key: getattr(clip, key) for key in ("positions", "keypoints", "confidence")}
    if clip.camera is not None:
        arrays |= {key: getattr(clip.camera, key) for key in _CAMERA}
        found.update(repr((clip.camera.width, clip.camera.height)).encode())
    for key, values in arrays.items():
        if values is not None:
            found.update(f"{key}{tuple(values.shape)}".encode() + _bytes(values))
    return found.hexdigest()


def fingerprint(clips: Iterable[MotionClip]) -> str:
    """`sha256:` and 64 hexadecimal digits of the content of all clips, whatever their order."""
    return joined(clip_digest(clip) for clip in clips)


def joined(digests: Iterable[str]) -> str:
    """The fingerprint of clips whose digests are known."""
    return "sha256:" + hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _bytes(values: Tensor) -> bytes:
    """Little-endian float32; every NaN is the same and -0 is 0."""
    plain = values.detach().cpu().to(torch.float32) + 0.0
    plain = torch.where(plain.isnan(), torch.full_like(plain, float("nan")), plain)
    return plain.contiguous().numpy().astype("<f4").tobytes()
