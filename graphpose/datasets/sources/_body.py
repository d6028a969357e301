"""Whether positions can be those of people: size, equal limbs left and right, bones that keep their length, no gaps.

length_b = median over frames of |child - parent|,   asymmetry = |left - right| / mean(left, right)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphpose.motion.statistics import body_extent
from graphpose.skeleton import Skeleton

__all__ = ["Body", "measure"]

_SIZE = (1.0, 2.6)  # metres along the bones between the two joints that are farthest apart
_ASYMMETRY = 0.25
_CHANGE = 0.15  # median deviation of a bone's length from its median
_SHORT = 0.1  # metres: shorter bones are not compared
_FRAMES = 2000  # at most so many, evenly spread, are looked at
_UNITS = {"mm": 0.001, "cm": 0.01}


@dataclass(frozen=True)
class Body:
    """The size of a person in metres, and what is wrong with it (empty: nothing)."""

    extent: float
    faults: tuple[str, ...]


def measure(positions: np.ndarray, skeleton: Skeleton) -> Body:
    """Judge `positions [T, J, 3]`, which should be metres with the joints of `skeleton`."""
    points = np.asarray(positions[:: max(1, len(positions) // _FRAMES)], dtype=np.float64)
    parent, child = ([bone[i] for bone in skeleton.bones] for i in (0, 1))
    bones = np.linalg.norm(points[:, child] - points[:, parent], axis=-1)
    seen = bones[np.isfinite(bones).all(-1)]
    gaps = 1 - np.isfinite(points).all(-1).mean() if points.size else 1.0
    if len(seen) == 0:
        return Body(float("nan"), ("no frame in which every joint is a number",))
    lengths = np.median(seen, axis=0)
    extent = body_extent(lengths.tolist(), skeleton)
    faults = []
    if not _SIZE[0] <= extent <= _SIZE[1]:
        unit = next((name for name, metres in _UNITS.items() if _SIZE[0] <= extent * metres <= _SIZE[1]), None)
        hint = f"; they look like {unit}" if unit else ""
        faults.append(f"a person of {extent:.4g} m from end to end (expected {_SIZE[0]:g} to {_SIZE[1]:g} m{hint})")
    elif (limbs := _unequal(lengths, skeleton)) is not None:
        faults.append(limbs)
    else:
        change = np.median(np.abs(seen - lengths), axis=0) / np.maximum(lengths, _SHORT)
        worst = int(change.argmax())
        if change[worst] > _CHANGE:
            name = skeleton.joints[child[worst]]
            faults.append(
                f"the bone to {name} changes its length by {100 * change[worst]:.0f} %: joints in another order?"
            )
    if gaps > 0:
        faults.append(f"{100 * gaps:.2g} % of the joints are not a number")
    return Body(extent, tuple(faults))


def _unequal(lengths: np.ndarray, skeleton: Skeleton) -> str | None:
    own = {child: float(n) for (_, child), n in zip(skeleton.bones, lengths, strict=True)}
    worst, text = _ASYMMETRY, None
    for left in skeleton.left:
        right = int(skeleton.mirror[left])
        if left in own and right in own and max(own[left], own[right]) > _SHORT:
            ratio = abs(own[left] - own[right]) / (0.5 * (own[left] + own[right]))
            if ratio > worst:
                worst = ratio
                text = (
                    f"left and right differ: {own[left]:.2f} m to {skeleton.joints[left]}, {own[right]:.2f} m to "
                    f"{skeleton.joints[right]}"
                )
    return text
