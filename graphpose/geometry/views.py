"""Sets of cameras around a person: static views, an orbit, random ones; each looks at a target from a given height.

    eye = target + distance (sin a, 0, cos a),  then eye_y = height

Symbols: `a` azimuth, 0 in front of a person who faces +Z. Units: metres and degrees; focal in normalised screen units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphpose.errors import DataError
from graphpose.geometry.camera import Camera

__all__ = ["AZIMUTHS", "around", "orbit_camera", "random_cameras", "static_views"]

AZIMUTHS: tuple[float, ...] = (45.0, 135.0, 225.0, 315.0)
"""Azimuths in degrees of the four Human3.6M-like views."""


def static_views(
    target: Any, azimuths: Sequence[float] = AZIMUTHS, distance: float = 5.0, height: float = 1.5, focal: float = 2.29
) -> list[Camera]:
    """One static camera for each azimuth in degrees, all looking at `target [3]` (world, e.g. the mean pelvis).

    Raises:
        DataError: a target that is not `[3]` or not finite, a distance or focal that is not positive.
    """
    target = _target(target)
    angles = torch.tensor([math.radians(a) for a in azimuths], dtype=torch.float64)
    cameras = around(target, angles, _positive("distance", distance), height, _positive("focal", focal))
    return [
        Camera(cameras.rotation[i], cameras.position[i], cameras.focal[i], name=f"azimuth {azimuth:g}")
        for i, azimuth in enumerate(azimuths)
    ]


def orbit_camera(
    target: Any,
    frames: int,
    *,
    turns: float = 1.0,
    start: float = 0.0,
    distance: float = 5.0,
    height: float = 1.5,
    focal: float = 2.29,
) -> Camera:
    """A camera `[T]` that goes around `target` (`[3]`, or `[T, 3]` to follow it) `turns` times in `frames` frames.

    It begins at azimuth `start` degrees; frame `t` is at `start + 360 turns t / T`, so that whole turns join without a
    jump.

    Raises:
        DataError: no frames, a target of another shape or not finite, a distance or focal that is not positive.
    """
    if frames < 1:
        raise DataError(f"expected at least 1 frame for an orbit (got {frames})")
    target = _target(target, frames)
    steps = torch.arange(frames, dtype=torch.float64) / frames
    angles = math.radians(start) + 2 * math.pi * turns * steps
    return around(target, angles, _positive("distance", distance), height, _positive("focal", focal), name="orbit")


def random_cameras(
    target: Any,
    n: int,
    generator: torch.Generator,
    *,
    distance: tuple[float, float] = (3.0, 6.0),
    height: tuple[float, float] = (0.5, 2.5),
    focal: tuple[float, float] = (2.0, 2.6),
) -> list[Camera]:
    """`n` static cameras that look at `target [3]`: azimuth uniform in 360 degrees, the rest uniform in its range.

    Every draw comes from `generator` (on the CPU), so one seed gives one list.

    Raises:
        DataError: a negative `n`, a target that is not `[3]` or not finite, a range that is empty or not positive.
    """
    if n < 0:
        raise DataError(f"expected a number of cameras of 0 or more (got {n})")
    target = _target(target)
    draws = torch.rand(4, n, generator=generator, dtype=torch.float64)
    distances = _between("distance", distance, draws[1], positive=True)
    heights = _between("height", height, draws[2])
    focals = _between("focal", focal, draws[3], positive=True)
    cameras = around(target, 2 * math.pi * draws[0], distances, heights, focals[:, None].expand(n, 2))
    return [Camera(cameras.rotation[i], cameras.position[i], cameras.focal[i], name=f"random {i}") for i in range(n)]


def around(
    target: Tensor,
    angles: Tensor,
    distance: float | Tensor,
    height: float | Tensor,
    focal: float | Tensor,
    name: str = "",
) -> Camera:
    """Cameras `[..., n]` at angles `[..., n]` in radians around targets `[..., n or 1, 3]` (or one `[3]`).

    Computed in float64 and returned in the target's dtype.
    """
    precise = target.to("cpu", torch.float64)
    offset = torch.stack([torch.sin(angles), torch.zeros_like(angles), torch.cos(angles)], dim=-1)
    eye = precise + torch.as_tensor(distance, dtype=torch.float64)[..., None] * offset
    level = torch.as_tensor(height, dtype=torch.float64).expand(angles.shape)
    eye = torch.stack([eye[..., 0], level, eye[..., 2]], dim=-1)
    return Camera.look_at(eye, precise, focal=focal, name=name).to(target.device, target.dtype)


def _target(value: Any, frames: int | None = None) -> Tensor:
    tensor = torch.as_tensor(value)
    tensor = tensor if tensor.is_floating_point() else tensor.to(torch.get_default_dtype())
    shapes = [(3,)] if frames is None else [(3,), (frames, 3)]
    if tuple(tensor.shape) not in shapes:
        raise DataError(f"expected a target {' or '.join(str(list(s)) for s in shapes)} (got {list(tensor.shape)})")
    if not bool(torch.isfinite(tensor).all()):
        raise DataError(
            "expected a finite target to look at (got NaN or infinity); average over the frames that are not missing"
        )
    return tensor


def _positive(what: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise DataError(f"expected a positive {what} (got {value})")
    return value


def _between(what: str, bounds: tuple[float, float], draws: Tensor, positive: bool = False) -> Tensor:
    low, high = bounds
    if not (low <= high and math.isfinite(low) and math.isfinite(high)) or (positive and not low > 0):
        raise DataError(f"expected a {what} range (low, high){' above 0' if positive else ''} (got {bounds})")
    return low + (high - low) * draws
