"""Left/right partners read off joint names: left_hip/right_hip, LeftHip, lhip, hip_L, LHip, UpperArm_L, L_F_Paw.

A name is a left name when taking its side word away (or exchanging it) gives the name of another joint of the same
list; names such as `lowerback` or `root`, which only begin with the letter, have no partner and stay in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

__all__ = ["infer_pairs"]

_WORDS = {"left": "right", "Left": "Right", "LEFT": "RIGHT"}
_LETTERS = {"L": "R", "l": "r"}


def infer_pairs(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(left, right) pairs among `names`, in the order of the left joints; a joint is in one pair at most.

    >>> infer_pairs(["lowerback", "lhip", "rhip", "Foot_R", "Foot_L", "root"])
    (('lhip', 'rhip'), ('Foot_L', 'Foot_R'))
    """
    known = set(names)
    used: set[str] = set()
    pairs = []
    for left in names:
        for right in _candidates(left):
            if right in known and not {left, right} & used:
                used |= {left, right}
                pairs.append((left, right))
                break
    return tuple(pairs)


def _candidates(name: str) -> Iterator[str]:
    """Names that the right-hand partner of `name` may have; the surest rule first."""
    for left, right in _WORDS.items():
        for match in re.finditer(left, name):
            yield name[: match.start()] + right + name[match.end() :]
    for left, right in _LETTERS.items():
        # a letter on its own, between separators or at an end: hip_L, L_F_Paw, hip.l, mixamo:L-hip
        for match in re.finditer(rf"(?<![A-Za-z0-9]){left}(?![A-Za-z0-9])", name.replace("_", "-")):
            yield name[: match.start()] + right + name[match.end() :]
        # a letter glued to the front (LHip, lhip, lHip) or, in camel case, to the end (HipL)
        if name.startswith(left):
            yield right + name[1:]
        if left == "L" and re.search(r"[a-z0-9]L$", name):
            yield name[:-1] + right
