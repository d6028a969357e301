"""Error tables of an evaluation: overall, by action, by subject, by joint and by clip, in mm and percent.

Every visible joint of every frame counts once, so long clips weigh more than short ones; the action average is the
exception, the mean over actions of the actions' values, as published. NaN is printed as such (`null` in JSON) and never
left out silently: `undefined` counts what could not be measured.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.metrics.arrays import Array, check_poses
from graphpose.metrics.catalogue import Quantity, available, quantity
from graphpose.skeleton import Skeleton

__all__ = ["WEIGHTING", "ErrorTable", "Row"]

WEIGHTING = (
    "every visible joint of every frame counts once; "
    "the action average is the mean over the actions' values, as published"
)
_NONE = "(none)"


@dataclass
class Row:
    """Sums and counts of one clip: for each metric a list over its joints, bones or pairs, in the metric's own unit."""

    name: str
    subject: str
    action: str
    frames: int
    sums: dict[str, torch.Tensor]
    counts: dict[str, torch.Tensor]
    undefined: dict[str, int]


class ErrorTable:
    """Gathers clips and answers with tables; one for each skeleton.

    Args:
        skeleton: of the poses.
        metrics: names; None takes all that apply to the skeleton.

    >>> from graphpose.skeleton import Skeleton
    >>> table = ErrorTable(Skeleton.from_parents([-1, 0, 1]), ["mpjpe"])
    >>> pose = torch.eye(3).expand(4, 3, 3)
    >>> table.add(pose, pose + torch.tensor([0.03, 0.04, 0.0]), subject="S1", action="walk")
    >>> round(table.overall()["mpjpe"], 3)
    50.0
    """

    def __init__(self, skeleton: Skeleton, metrics: Iterable[str] | None = None) -> None:
        names = available(skeleton) if metrics is None else tuple(metrics)
        if not names:
            raise ConfigError("expected at least one metric for an error table (got none)")
        self.skeleton = skeleton
        self.quantities: tuple[Quantity, ...] = tuple(quantity(name) for name in names)
        self.rows: list[Row] = []

    def add(
        self,
        pred: Array,
        target: Array,
        *,
        subject: str | None = None,
        action: str | None = None,
        name: str = "",
        visible: Array | None = None,
    ) -> None:
        """Adds one clip (or several of one subject and action) `[..., T, J, 3]`, metres.

        `visible` (bool `[..., T, J]` or `[..., T]`) leaves joints and padded frames out; a frame counts as one when a
        joint does.

        Raises:
            DataError: shapes that do not fit each other or the skeleton.
        """
        poses = check_poses(pred, target, visible)
        if poses.pred.shape[-2] != self.skeleton.num_joints:
            raise DataError(
                f"clip {name!r}: expected poses [..., T, {self.skeleton.num_joints}, 3] on skeleton "
                f"{self.skeleton.name!r} (got {list(poses.pred.shape)})"
            )
        seen = poses.visible
        frames = math.prod(poses.pred.shape[:-2]) if seen is None else int(seen.any(-1).sum())
        row = Row(name, subject or _NONE, action or _NONE, frames, {}, {}, {})
        with torch.no_grad():
            for entry in self.quantities:
                values, counted = entry.measure(poses, self.skeleton)
                counted = torch.ones_like(values, dtype=torch.bool) if counted is None else counted
                kept = torch.where(counted, values, 0.0).double().flatten(0, -2)
                row.sums[entry.name] = kept.sum(0).cpu()
                row.counts[entry.name] = counted.flatten(0, -2).sum(0).double().cpu()
                row.undefined[entry.name] = int(kept.isnan().sum())
        self.rows.append(row)

    def merge(self, other: ErrorTable) -> None:
        """Adds the clips of another table, for instance of another process.

        Raises:
            DataError: another skeleton or other metrics.
        """
        if other.skeleton != self.skeleton or other.quantities != self.quantities:
            raise DataError("expected a table of the same skeleton and metrics to merge (got another)")
        self.rows.extend(other.rows)

    # -- answers ------------------------------------------------------------------------------------------------------

    @property
    def frames(self) -> int:
        """Frames counted."""
        return sum(row.frames for row in self.rows)

    @property
    def undefined(self) -> dict[str, int]:
        """For each metric the number of values that counted and were NaN."""
        return {q.name: sum(row.undefined[q.name] for row in self.rows) for q in self.quantities}

    def overall(self) -> dict[str, float]:
        """Each metric over everything, in its table unit."""
        return self._average(self.rows)

    def action_average(self) -> dict[str, float]:
        """Mean over actions of each action's value: the figure that papers report."""
        actions = list(self.by_action().values())
        return {q.name: _mean([a[q.name] for a in actions]) for q in self.quantities}

    def by_action(self) -> dict[str, dict[str, float]]:
        """Each metric for each action, sorted by name."""
        return self._grouped(lambda row: row.action)

    def by_subject(self) -> dict[str, dict[str, float]]:
        """Each metric for each subject, sorted by name."""
        return self._grouped(lambda row: row.subject)

    def by_clip(self) -> dict[str, dict[str, float]]:
        """Each metric for each clip name, in the order they came; those of one name (views) are averaged."""
        return self._grouped(lambda row: row.name or _NONE, ordered=False)

    def by_joint(self) -> dict[str, dict[str, float]]:
        """Each metric that has a value for each joint, in the order of the skeleton."""
        table: dict[str, dict[str, float]] = {joint: {} for joint in self.skeleton.joints}
        for entry in self.quantities:
            if entry.per == "joint":
                sums, counts = self._totals(self.rows, entry)
                for joint, value in zip(table, (sums / counts * entry.factor).tolist(), strict=True):
                    table[joint][entry.name] = value
        return table

    # -- output -------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python: what `to_json` writes (there NaN is null)."""
        return {
            "skeleton": self.skeleton.name,
            "clips": len({row.name for row in self.rows if row.name}) or len(self.rows),
            "frames": self.frames,
            "weighting": WEIGHTING,
            "units": {q.name: q.unit for q in self.quantities},
            "overall": self.overall(),
            "action_average": self.action_average(),
            "by_action": self.by_action(),
            "by_subject": self.by_subject(),
            "by_joint": self.by_joint(),
            "by_clip": self.by_clip(),
            "undefined": self.undefined,
        }

    def to_json(self) -> str:
        """The tables as JSON."""
        return json.dumps(_nullable(self.to_dict()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """The tables as CSV: columns `scope`, `name`, `frames` and one for each metric, unit in the header; no value is
        empty.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["scope", "name", "frames", *(f"{q.name} [{q.unit}]" for q in self.quantities)])
        for scope, name, frames, values in self._lines():
            cells = [repr(round(values[q.name], 6)) if q.name in values else "" for q in self.quantities]
            writer.writerow([scope, name, "" if frames is None else frames, *cells])
        return out.getvalue()

    def to_text(self, scopes: Sequence[str] = ("overall", "action", "subject", "joint")) -> str:
        """The tables for people; `scopes` may add `"clip"`.

        Raises:
            ConfigError: an unknown scope.
        """
        for scope in scopes:
            if scope not in _SCOPES:
                raise ConfigError(unknown_name("scope of an error table", scope, _SCOPES))
        lines = [line for line in self._lines() if line[0] in scopes]
        width = max([len("mean over actions"), *(len(name) + 2 for _, name, _, _ in lines)])
        heads = [f"{q.label} {q.unit}" for q in self.quantities]
        text = [f"{'':{width}}  {'frames':>8}  " + "  ".join(heads)]
        last = ""
        for scope, name, frames, values in lines:
            if scope != last and scope != "overall":
                text.append(f"by {scope}")
            last = scope
            label = name if scope == "overall" else f"  {name}"
            cells = [
                f"{_shown(values[q.name]) if q.name in values else '':>{len(head)}}"
                for q, head in zip(self.quantities, heads, strict=True)
            ]
            text.append(f"{label:{width}}  {'' if frames is None else frames:>8}  " + "  ".join(cells))
        text.append(f"Weighting: {WEIGHTING}.")
        text += [f"Undefined: {count} values of {name}." for name, count in self.undefined.items() if count]
        return "\n".join(line.rstrip() for line in text) + "\n"

    def save(self, path: str | Path) -> None:
        """Writes `.json`, `.csv` or `.txt` by the suffix.

        Raises:
            ConfigError: another suffix.
        """
        forms = {".json": self.to_json, ".csv": self.to_csv, ".txt": self.to_text}
        suffix = Path(path).suffix.lower()
        if suffix not in forms:
            raise ConfigError(f"{path}: {unknown_name('suffix of an error table', suffix, forms)}")
        Path(path).write_text(forms[suffix](), encoding="utf-8")

    def __str__(self) -> str:
        """`to_text()`."""
        return self.to_text()

    # -- within -------------------------------------------------------------------------------------------------------

    def _lines(self) -> Iterable[tuple[str, str, int | None, dict[str, float]]]:
        yield "overall", "overall", self.frames, self.overall()
        yield "overall", "mean over actions", None, self.action_average()
        for scope, table, key in (
            ("action", self.by_action(), lambda row: row.action),
            ("subject", self.by_subject(), lambda row: row.subject),
            ("clip", self.by_clip(), lambda row: row.name or _NONE),
        ):
            for name, values in table.items():
                yield scope, name, sum(row.frames for row in self.rows if key(row) == name), values
        for name, values in self.by_joint().items():
            yield "joint", name, None, values

    def _grouped(self, key: Callable[[Row], str], ordered: bool = True) -> dict[str, dict[str, float]]:
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(key(row), []).append(row)
        return {name: self._average(groups[name]) for name in (sorted(groups) if ordered else groups)}

    def _average(self, rows: Sequence[Row]) -> dict[str, float]:
        result = {}
        for entry in self.quantities:
            sums, counts = self._totals(rows, entry)
            result[entry.name] = (sums.sum() / counts.sum() * entry.factor).item()
        return result

    def _totals(self, rows: Sequence[Row], entry: Quantity) -> tuple[torch.Tensor, torch.Tensor]:
        sums = torch.zeros(_items(entry, self.skeleton), dtype=torch.float64)
        counts = torch.zeros_like(sums)
        for row in rows:
            sums = sums + row.sums[entry.name]
            counts = counts + row.counts[entry.name]
        return sums, counts


_SCOPES = ("overall", "action", "subject", "clip", "joint")


def _items(entry: Quantity, skeleton: Skeleton) -> tuple[int, ...]:
    return (skeleton.num_joints,) if entry.per == "joint" else ()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _shown(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "NaN"


def _nullable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nullable(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
