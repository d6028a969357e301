"""A check of unit and frame rate by the body itself: its size, and that nothing pulls it down faster than gravity.

A wrong rate f instead of f0 multiplies accelerations by (f / f0)^2, a wrong unit multiplies lengths. The centre of mass
is that of adult segment masses (de Leva, J. Biomechanics 29, 1996); its vertical acceleration is the curvature of
parabolas fitted to short windows. In free flight it is 9.8 m/s2 downwards, and only a pull could make it more.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

import numpy as np

from graphpose.motion.clip import MotionClip
from graphpose.motion.statistics import body_extent
from graphpose.skeleton import Skeleton

__all__ = [
    "FPS_OPTIONS",
    "SCALE_OPTIONS",
    "ImplausibleMotionWarning",
    "fall_acceleration",
    "limbs",
    "rigid_extent",
    "warn_if_implausible",
]

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
# what fps= and scale= are called on the command line
FPS_OPTIONS = (
    "predict, data info, data check: --fps; train, evaluate: --data.recorded_fps; adapt: --target.recorded_fps"
)
SCALE_OPTIONS = "data info, data check: --scale; train, evaluate: --data.scale"


class ImplausibleMotionWarning(UserWarning):
    """The unit or the frame rate of a file looks wrong; the message names the option that mends it."""


def warn_if_implausible(clip: MotionClip, scale: float) -> None:
    """Warn when a clip of a human-like skeleton, read at `scale` metres a unit, has an impossible size or fall.

    Skeletons without left and right arms and legs are not judged.
    """
    parts = limbs(clip.skeleton)
    if clip.positions is None or any((side, kind) not in parts for side in "LR" for kind in _MASS):
        return
    where = clip.source or clip.name
    coordinates = _coordinates(clip)
    with np.errstate(over="ignore", invalid="ignore"):  # of an absurd unit: infinite, and so implausible
        lengths = _lengths(clip.skeleton, coordinates)
        extent = rigid_extent(clip.skeleton, lengths)
    if not _SIZE[0] <= extent <= _SIZE[1]:
        unit, best = min(_UNITS.items(), key=lambda item: abs(np.log(max(extent, 1e-9) / scale * item[1] / _TYPICAL)))
        known = ", ".join(f"{name} {value:.6g}" for name, value in _UNITS.items())
        warnings.warn(
            f"{where}: the person would be {extent:.3g} m from end to end at scale={scale:.6g} "
            f"(expected {_SIZE[0]:g} to {_SIZE[1]:g} m); give the metres of a unit of the file as scale= "
            f"({known}), perhaps scale={best:.6g} ({unit}); {SCALE_OPTIONS}",
            ImplausibleMotionWarning,
            stacklevel=5,
        )
        return
    fall = fall_acceleration(_centre_height(clip.skeleton, coordinates, lengths), clip.fps)
    if fall > 0:
        divisor = next((d for d in (2, 4, 8) if fall / d**2 <= 1.25 * _GRAVITY), 8)
        warnings.warn(
            f"{where}: the body would be pulled down with {fall:.0f} m/s2 (gravity: {_GRAVITY}) at fps={clip.fps:g}; "
            f"give the rate of the recording as fps=, perhaps fps={clip.fps / divisor:g} ({FPS_OPTIONS}), "
            f"or the unit as scale= ({SCALE_OPTIONS})",
            ImplausibleMotionWarning,
            stacklevel=5,
        )


def rigid_extent(skeleton: Skeleton, lengths: np.ndarray) -> float:
    """The longest way along bones that keep their length, in metres, from `lengths [bones, T]`.

    A bone that carries travel does not count.
    """
    median = _median(lengths)
    spread = _median(np.abs(lengths - median[:, None]))
    return body_extent(np.where(spread <= 0.02 * median, median, 0.0).tolist(), skeleton)


def _coordinates(clip: MotionClip) -> np.ndarray:
    """`[3, J, T]` metres, so that the frames of a joint lie side by side."""
    assert clip.positions is not None
    return np.ascontiguousarray(clip.positions.numpy().transpose(2, 1, 0))


def _lengths(skeleton: Skeleton, coordinates: np.ndarray) -> np.ndarray:
    """Bone lengths `[bones, T]` from `coordinates [3, J, T]`."""
    parent, child = ([bone[i] for bone in skeleton.bones] for i in (0, 1))
    x, y, z = coordinates[:, child] - coordinates[:, parent]
    return np.sqrt(x * x + y * y + z * z)


def _median(values: np.ndarray) -> np.ndarray:
    """The lower median `[N]` of the rows of `values [N, T]`."""
    middle = (values.shape[1] - 1) // 2
    return np.partition(values, middle, axis=1)[:, middle]


def fall_acceleration(height: np.ndarray, fps: float) -> float:
    """The downward acceleration in m/s2 of a centre of mass at `height [T]`, where no falling body has it; else 0.

    Judged are three dips in 0.12 s windows at least 0.2 s apart, which single-frame glitches do not make, or one in 0.2
    s.
    """
    short, long = _curvature(height, fps, 0.12), _curvature(height, fps, 0.2)
    apart = max(1, round(0.2 * fps))
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


@lru_cache(maxsize=256)  # the files of a collection share their skeleton
def limbs(skeleton: Skeleton) -> dict[tuple[str, str], list[int]]:
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


def _centre_height(skeleton: Skeleton, coordinates: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Height of the centre of mass `[T]` metres: bones by segment mass, the trunk's share by bone length."""
    length = dict(zip((child for _, child in skeleton.bones), _median(lengths).tolist(), strict=True))
    mass = [0.0] * len(skeleton)
    for (_, kind), joints in limbs(skeleton).items():
        own = [j for j in joints if j in length]
        long = sorted(sorted(own, key=lambda j: -length[j])[:2], key=own.index)
        for rank, j in enumerate(long):
            mass[j] = _MASS[kind][rank]
        rest = [j for j in own if j not in long]
        for j in rest:
            mass[j] = _MASS[kind][2] / len(rest)
    trunk = [j for j in length if mass[j] == 0]
    total, share = sum(length[j] for j in trunk), 1 - sum(mass)
    for j in trunk:
        mass[j] = share * length[j] / (total or 1.0)
    weight = [0.0] * len(skeleton)
    for parent, child in skeleton.bones:  # the middle of a bone: half of its mass at each end
        weight[parent] += mass[child] / 2
        weight[child] += mass[child] / 2
    return np.array(weight) / sum(mass) @ coordinates[1]


def _curvature(values: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    """The second derivative of the parabola that fits each window, `[T - window + 1]`; empty when T is too short."""
    half = max(2, round(seconds * fps / 2))
    return np.convolve(values, _parabola(half, fps), "valid") if len(values) > 2 * half else np.empty(0)


@lru_cache(maxsize=64)
def _parabola(half: int, fps: float) -> np.ndarray:
    """The weights of that fit: for times t around the middle and m the mean of t^2, `2 (t^2 - m) / sum (t^2 - m)^2`."""
    time = np.arange(-half, half + 1) / fps
    fit = time**2 - (time**2).mean()
    return 2 * fit / (fit @ fit)
