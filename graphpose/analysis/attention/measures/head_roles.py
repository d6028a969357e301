"""Roles of heads, named by rules from their measures (`head_table`), so that a head can be spoken of.

The excess of a relation is how far its share of attention is above that of uniform attention (0: as uniform, 1: all of it). First rule
that fits:

    undefined   there is a single key, or no row counts
    hub         all queries look at one key: its share is above 1 / keys by at least half of the way to 1
    the role of the relation with the largest excess, if that is at least 0.25:
                self -> "self", bone -> "bone", mirror -> "mirror", limb -> "limb", distant -> "distant"           over joints
                self -> "self", step -> "trajectory", near -> "near", far -> "far"                                 over frames
    global      normalised entropy >= 0.75: it looks at much, and at no relation in particular
    mixed       it looks at few keys, of several relations

The thresholds are conventions, and can be given. A rule says what a head looks at, not what it is good for: that is `head_importance.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphpose.analysis.attention.measures.head_table import head_table
from graphpose.analysis.attention.measures.relations import FRAME_RELATIONS, JOINT_RELATIONS
from graphpose.analysis.attention.record import Axis, Record
from graphpose.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ROLES", "head_role", "head_roles"]

_NAMES: dict[str, dict[str, str]] = {
    "joints": {name: name for name in JOINT_RELATIONS},
    "frames": {name: "trajectory" if name == "step" else name for name in FRAME_RELATIONS},
}
ROLES: tuple[str, ...] = (
    *dict.fromkeys([*_NAMES["joints"].values(), *_NAMES["frames"].values()]),
    "hub",
    "global",
    "mixed",
    "undefined",
)
"""All roles."""


def head_role(
    measures: Mapping[str, Any], *, excess: float = 0.25, key_share: float = 0.5, entropy: float = 0.75
) -> str:
    """The role of one head.

    Args:
        measures: a row of `head_table`: axis, keys, entropy, key_share and the excess of each relation.
        excess: from which a relation gives the role.
        key_share: from which one key makes a hub, as part of the way from 1 / keys to 1.
        entropy: from which a head is global.

    Raises:
        DataError: a threshold outside 0 to 1.
    """
    for name, value in (("excess", excess), ("key_share", key_share), ("entropy", entropy)):
        if not 0 <= value <= 1:
            raise DataError(f"expected {name} from 0 to 1 (got {value})")
    spread = float(measures["entropy"])
    if math.isnan(spread):
        return "undefined"
    names = _NAMES[str(measures["axis"])]
    above = {role: float(measures[f"excess_{relation}"]) for relation, role in names.items()}
    above = {role: value for role, value in above.items() if not math.isnan(value)}
    uniform = 1.0 / int(measures["keys"])
    if (float(measures["key_share"]) - uniform) / (1.0 - uniform) >= key_share:
        return "hub"
    role, most = max(above.items(), key=lambda item: item[1], default=("", -math.inf))
    if most >= excess:
        return role
    return "global" if spread >= entropy else "mixed"


def head_roles(record: Record, by: str | None = None, *, axis: Axis | None = None, **thresholds: float) -> pd.DataFrame:
    """`head_table` with a column `role`; arguments and errors as there, thresholds as in `head_role`."""
    table = head_table(record, by, axis=axis)
    table["role"] = [
        head_role(dict(zip(table.columns, row, strict=True)), **thresholds) for row in table.itertuples(index=False)
    ]
    return table
