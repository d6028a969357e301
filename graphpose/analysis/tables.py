"""Tables of the report, and the way from an `ErrorTable` of `graphpose.metrics` to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from graphpose.metrics import ErrorTable

__all__ = ["Table", "TableLike", "joint_errors", "overall_summary", "tables_of"]


class TableLike(Protocol):
    """What a table has to offer: a title, column names, and rows whose first cell is the label."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass
class Table:
    """The simplest `TableLike`; units belong into the column names, NaN or None marks an unknown value."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def tables_of(errors: ErrorTable) -> list[Table]:
    """One table each by action, subject, joint and clip; a grouping with nothing to tell apart (one action, one clip)
    is left out.
    """
    found = []
    for scope, values in (
        ("action", errors.by_action()),
        ("subject", errors.by_subject()),
        ("joint", errors.by_joint()),
        ("clip", errors.by_clip()),
    ):
        if len(values) > 1:
            found.append(_table(errors, scope, values))
    return found


def _table(errors: ErrorTable, scope: str, values: Mapping[str, Mapping[str, float]]) -> Table:
    shown = [entry for entry in errors.quantities if any(entry.name in row for row in values.values())]
    columns = [scope.capitalize(), *(f"{entry.label} {entry.unit}" for entry in shown)]
    rows = [(name, *(float(row.get(entry.name, math.nan)) for entry in shown)) for name, row in values.items()]
    marks = f" ({', '.join(errors.marks)})" if errors.marks else ""
    return Table(f"By {scope}{marks}", columns, rows)


def overall_summary(errors: ErrorTable) -> dict[str, object]:
    """The headline figures of an evaluation: frames and each metric over everything, as `write_report` takes them."""
    overall = errors.overall()
    return {"Frames": errors.frames} | {q.label: (overall[q.name], q.unit) for q in errors.quantities}


def joint_errors(errors: ErrorTable) -> np.ndarray | None:
    """MPJPE of each joint in metres `[J]`; None when the table does not hold it."""
    values = [row.get("mpjpe") for row in errors.by_joint().values()]
    if any(value is None for value in values):
        return None
    return np.array(values, dtype=np.float64) / 1000.0
