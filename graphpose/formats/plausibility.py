"""A check of unit and frame rate by the body itself: its size, and that nothing pulls it down faster than gravity.

A wrong rate f instead of f0 multiplies accelerations by (f / f0)^2, a wrong unit multiplies lengths. The centre of mass
is that of adult segment masses (de Leva, J. Biomechanics 29, 1996); its vertical acceleration is the curvature of
parabolas fitted to short windows. In free flight it is 9.8 m/s2 downwards, and only a pull could make it more.
"""

from __future__ import annotations

import re
import warnings

import numpy as np

from graphpose.motion.clip import MotionClip
from graphpose.motion.statistics import body_extent
from graphpose.skeleton import Skeleton

__all__ = ["ImplausibleMotionWarning", "fall_acceleration", "rigid_extent", "warn_if_implausible"]

_LEG = re.compile(r"leg|foot|toe|femur|tibia|thigh|shin|calf|knee|ankle|hip", re.IGNORECASE)
_ARM = re.compile(r"arm|hand|elbow|wrist|shoulder|clavicle|collar|humer|radius|finger|thumb", re.IGNORECASE)
# shares of the body mass of one limb: its two long bones from the body outwards, then all else of it
_MASS = {"leg": (0.1416, 0.0433, 0.0137), "arm": (0.0271, 0.0162, 0.0061)}
_SIZE = (0.5, 3.0)  # metres along the bones between the two joints that are farthest apart
_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "foot": 0.3048, "CMU's unit": 0.0254 / 0.45}
_TYPICAL = 2.1  # metres, the extent of an adult
# m/s2. Over 120,000 frames of people at the right rate the third deepest dip stays above -12, the deepest long one
# above -16.
_REPEATED, _LONG = 13.5, 20.0
_GRAVITY = 9.8


class ImplausibleMotionWarning(UserWarning):
    """The unit or the frame rate of a file looks wrong; the message names the option that mends it."""


def warn_if_implausible(clip: MotionClip, scale: float) -> None:
    """Warn when a clip of a human-like skeleton, read at `scale` metres a unit, has an impossible size or fall.

    Skeletons without left and right arms and legs are not judged.
    """
    limbs = _limbs(clip.skeleton)
    if clip.positions is None or any((side, kind) not in limbs for side in "LR" for kind in _MASS):
        return
    where = clip.source or clip.name
    extent = rigid_extent(clip)
    if not _SIZE[0] <= extent <= _SIZE[1]:
        unit, best = min(_UNITS.items(), key=lambda item: abs(np.log(max(extent, 1e-9) / scale * item[1] / _TYPICAL)))
        known = ", ".join(f"{name} {value:.6g}" for name, value in _UNITS.items())
        warnings.warn(
            f"{where}: the person would be {extent:.3g} m from end to end at scale={scale:.6g} "
            f"(expected {_SIZE[0]:g} to {_SIZE[1]:g} m); give the metres of a unit of the file as scale= "
            f"({known}), perhaps scale={best:.6g} ({unit})",
            ImplausibleMotionWarning,
            stacklevel=5,
        )
        return
    fall = fall_acceleration(clip)
    if fall > 0:
        divisor = next((d for d in (2, 4, 8) if fall / d**2 <= 1.25 * _GRAVITY), 8)
        warnings.warn(
            f"{where}: the body would be pulled down with {fall:.0f} m/s2 (gravity: {_GRAVITY}) at fps={clip.fps:g}; "
            f"give the rate of the recording as fps=, perhaps fps={clip.fps / divisor:g}, or the unit as scale=",
            ImplausibleMotionWarning,
            stacklevel=5,
        )


def rigid_extent(clip: MotionClip) -> float:
    """The longest way along bones that keep their length, in metres; a bone that carries travel does not count."""
    lengths = clip.bone_lengths()
    median = lengths.nanmedian(0).values
    spread = (lengths - median).abs().nanmedian(0).values
    return body_extent(median.masked_fill(~(spread <= 0.02 * median), 0.0), clip.skeleton)


def fall_acceleration(clip: MotionClip) -> float:
    """The downward acceleration in m/s2 of the centre of mass, where it is more than a falling body can have; else 0.

    Judged are three dips in 0.12 s windows at least 0.2 s apart, which single-frame glitches do not make, or one in 0.2
    s.
    """
    height = _centre_height(clip)
    short, long = _curvature(height, clip.fps, 0.12), _curvature(height, clip.fps, 0.2)
    apart = max(1, round(0.2 * clip.fps))
    third = 0.0
    for _ in range(3):
        if short.size == 0 or not short.min() < -_REPEATED:
            third = 0.0
            break
        deepest = int(short.argmin())
        third = -float(short[deepest])
        short[max(0, deepest - apart) : deepest + apart + 1] = np.inf
    if third > 0:
        return third
    return -float(long.min()) if long.size and long.min() < -_LONG else 0.0


def _limbs(skeleton: Skeleton) -> dict[tuple[str, str], list[int]]:
    """(side, "leg" or "arm") -> joints, from the body outwards."""
    sides = {**dict.fromkeys(skeleton.left, "L"), **dict.fromkeys(skeleton.right, "R")}
    found: dict[tuple[str, str], list[int]] = {}
    kind: dict[int, str] = {}
    for joint in skeleton.order:
        name, parent = skeleton.joints[joint], skeleton.parents[joint]
        if joint not in sides:
            continue
        own = kind.get(parent) or ("leg" if _LEG.search(name) else "arm" if _ARM.search(name) else "")
        if own:
            kind[joint] = own
            found.setdefault((sides[joint], own), []).append(joint)
    return found


def _centre_height(clip: MotionClip) -> np.ndarray:
    """Height of the centre of mass `[T]` metres: bones by segment mass, the trunk's share by bone length."""
    assert clip.positions is not None
    skeleton = clip.skeleton
    up = clip.positions[..., 1].double().numpy()
    length = {c: float(n) for (_, c), n in zip(skeleton.bones, clip.bone_lengths().median(0).values, strict=True)}
    mass = np.zeros(len(skeleton))
    for (_, kind), joints in _limbs(skeleton).items():
        own = [j for j in joints if j in length]
        long = sorted(sorted(own, key=lambda j: -length[j])[:2], key=own.index)
        for j, share in zip(long, _MASS[kind], strict=False):
            mass[j] = share
        rest = [j for j in own if j not in long]
        for j in rest:
            mass[j] = _MASS[kind][2] / len(rest)
    trunk = [j for j in length if mass[j] == 0]
    total, share = sum(length[j] for j in trunk), 1 - mass.sum()
    for j in trunk:
        mass[j] = share * length[j] / (total or 1.0)
    child = np.flatnonzero(mass)
    parent = [skeleton.parents[j] for j in child]
    return (up[:, child] + up[:, parent]) / 2 @ mass[child] / mass.sum()


def _curvature(values: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    """The second derivative of the parabola that fits each window, `[T - window + 1]`; empty when T is too short."""
    half = max(2, round(seconds * fps / 2))
    time = np.arange(-half, half + 1) / fps
    if len(values) < len(time):
        return np.empty(0)
    fit = np.linalg.pinv(np.stack([np.ones_like(time), time, time**2 / 2], 1))[2]
    return np.convolve(values, fit[::-1], "valid")
