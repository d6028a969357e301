"""Error tables of an evaluation: overall, by action, by subject, by joint and by clip, in mm and percent.

With averaging "exact" every visible joint of every frame counts once, so long clips weigh more than short ones, and the
mean over actions stands beside it. With averaging "published" the overall figure is the mean over actions of the actions'
values, and a clip weighs by its frames in velocities too (it has one difference less), as in the published scripts. NaN
is printed as such (`null` in JSON) and never left out silently: `undefined` counts what could not be measured.

What the truth chose among several hypotheses (`hypotheses.py`) stands in columns of its own, named "oracle".
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.metrics.arrays import Array, check_poses
from graphpose.metrics.catalogue import Quantity, available, quantity
from graphpose.metrics.clip_names import clip_names
from graphpose.metrics.hypotheses import ORACLE_METRICS, oracle_quantity, several
from graphpose.skeleton import Skeleton

__all__ = ["AVERAGING", "ErrorTable", "Row"]

AVERAGING = {
    "exact": "every visible joint of every frame counts once; "
    "the action average is the mean over the actions' values, as published",
    "published": "overall is the mean over the actions' values; within an action each counted frame weighs the same",
}
"""Name of the averaging -> how it weighs."""
_NONE = "(none)"


@dataclass
class Row:
    """Sums and counts of one clip: for each metric a list over its joints, bones or pairs, in the metric's own unit.

    `view` is the number of the camera, `recording` what its views have in common (None and "" where not said).
    """

    name: str
    subject: str
    action: str
    frames: int
    sums: dict[str, torch.Tensor]
    counts: dict[str, torch.Tensor]
    undefined: dict[str, int]
    view: int | None = None
    recording: str = ""


class ErrorTable:
    """Gathers clips and answers with tables; one for each skeleton.

    Args:
        skeleton: of the poses.
        metrics: names; None takes all that apply to the skeleton.
        joints: names of the joints to measure (bones count where both of their joints do); None measures all.
        oracles: of several hypotheses, "p_best" and "j_best": adds columns to be filled by `add(hypotheses=...)`.
        averaging: "exact" or "published", see the module.
        conditions: label -> how it was measured, printed above the tables.
        marks: the conditions without which a figure would be misread, repeated in the header of every table.

    >>> from graphpose.skeleton import Skeleton
    >>> table = ErrorTable(Skeleton.from_parents([-1, 0, 1]), ["mpjpe"])
    >>> pose = torch.eye(3).expand(4, 3, 3)
    >>> table.add(pose, pose + torch.tensor([0.03, 0.04, 0.0]), subject="S1", action="walk")
    >>> round(table.overall()["mpjpe"], 3)
    50.0
    """

    def __init__(
        self,
        skeleton: Skeleton,
        metrics: Iterable[str] | None = None,
        *,
        joints: Sequence[str] | None = None,
        oracles: Sequence[str] = (),
        averaging: str = "exact",
        conditions: Mapping[str, str] | None = None,
        marks: Sequence[str] = (),
    ) -> None:
        names = available(skeleton) if metrics is None else tuple(metrics)
        if not names:
            raise ConfigError("expected at least one metric for an error table (got none)")
        if averaging not in AVERAGING:
            raise ConfigError(unknown_name("averaging", averaging, AVERAGING))
        self.skeleton = skeleton
        self.quantities: tuple[Quantity, ...] = tuple(quantity(name) for name in names)
        self.oracles = tuple(
            oracle_quantity(oracle, name) for oracle in oracles for name in names if name in ORACLE_METRICS
        )
        self.quantities += self.oracles
        chosen = set(skeleton.joints if joints is None else joints)
        self.joints = tuple(joint for joint in skeleton.joints if joint in chosen)
        if chosen - set(self.joints) or not chosen:
            raise ConfigError(
                unknown_name("joint to measure", min(chosen - set(self.joints), default=""), skeleton.joints)
            )
        self.averaging, self.conditions, self.marks = averaging, dict(conditions or {}), tuple(marks)
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
        hypotheses: Array | None = None,
        view: int | None = None,
        recording: str = "",
    ) -> None:
        """Adds one clip (or several of one subject and action) `[..., T, J, 3]`, metres.

        `visible` (bool `[..., T, J]` or `[..., T]`) leaves joints and padded frames out; a frame counts as one when a
        joint does. `hypotheses [H, ..., T, J, 3]` fill the columns of the oracles; all others measure `pred`.

        Raises:
            DataError: shapes that do not fit each other or the skeleton; hypotheses without oracles or the reverse.
        """
        poses = check_poses(pred, target, visible)
        if (hypotheses is None) == bool(self.oracles):
            raise DataError(
                f"clip {name!r}: expected hypotheses [H, ..., T, J, 3] exactly where the table has oracles (got "
                f"{'none' if hypotheses is None else 'some'} and {len(self.oracles)} columns of oracles)"
            )
        if poses.pred.shape[-2] != self.skeleton.num_joints:
            raise DataError(
                f"clip {name!r}: expected poses [..., T, {self.skeleton.num_joints}, 3] on skeleton "
                f"{self.skeleton.name!r} (got {list(poses.pred.shape)})"
            )
        if len(self.joints) < self.skeleton.num_joints:
            chosen = torch.tensor([j in self.joints for j in self.skeleton.joints], device=poses.pred.device)
            poses = poses._replace(
                visible=chosen.expand(poses.pred.shape[:-1]) & (True if poses.visible is None else poses.visible)
            )
        seen = poses.visible
        frames = math.prod(poses.pred.shape[:-2]) if seen is None else int(seen.any(-1).sum())
        many = None if hypotheses is None else several(hypotheses, poses.target, seen)
        row = Row(name, subject or _NONE, action or _NONE, frames, {}, {}, {}, view, recording)
        with torch.no_grad():
            for entry in self.quantities:
                shown = many if entry.oracle and many is not None else poses
                values, counted = entry.measure(shown, self.skeleton)
                counted = torch.ones_like(values, dtype=torch.bool) if counted is None else counted
                kept = torch.where(counted, values, 0.0).double().flatten(0, -2)
                weight = self._weight(entry, poses.pred.shape[-3])
                row.sums[entry.name] = weight * kept.sum(0).cpu()
                row.counts[entry.name] = weight * counted.flatten(0, -2).sum(0).double().cpu()
                row.undefined[entry.name] = int(kept.isnan().sum())
        self.rows.append(row)

    def _weight(self, entry: Quantity, frames: int) -> float:
        """What each value of a clip weighs: the published scripts weigh its mean velocity error by its frames."""
        return frames / (frames - entry.lag) if self.averaging == "published" and frames > entry.lag else 1.0

    def merge(self, other: ErrorTable) -> None:
        """Adds the clips of another table, for instance of another process.

        Raises:
            DataError: another skeleton or other metrics.
        """
        own, others = ((t.skeleton, t.quantities, t.joints, t.averaging, t.conditions) for t in (self, other))
        if own != others:
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

    @property
    def weighting(self) -> str:
        """How the tables weigh, in words."""
        return AVERAGING[self.averaging]

    def overall(self) -> dict[str, float]:
        """The headline: each metric over all frames ("exact") or its mean over actions ("published"), in its table unit."""
        return self.action_average() if self.averaging == "published" else self.frame_average()

    def frame_average(self) -> dict[str, float]:
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
        """Each metric for each clip over its views, in the order they came; clips of one name are told apart."""
        return {name: self._average(rows) for name, rows in self._clips().items()}

    def by_joint(self) -> dict[str, dict[str, float]]:
        """Each metric that has a value for each joint, in the order of the skeleton."""
        table: dict[str, dict[str, float]] = {joint: {} for joint in self.joints}
        for entry in self.quantities:
            if entry.per == "joint":
                sums, counts = self._totals(self.rows, entry)
                for joint, value in zip(self.skeleton.joints, (sums / counts * entry.factor).tolist(), strict=True):
                    if joint in table:
                        table[joint][entry.name] = value
        return table

    # -- output -------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python: what `to_json` writes (there NaN is null)."""
        return {
            "skeleton": self.skeleton.name,
            "clips": len(self._clips()) if any(row.name for row in self.rows) else len(self.rows),
            "frames": self.frames,
            "conditions": self.conditions,
            "marks": list(self.marks),
            "averaging": self.averaging,
            "weighting": self.weighting,
            "units": {q.name: q.unit for q in self.quantities},
            "oracles": [q.name for q in self.oracles],
            "overall": self.overall(),
            "frame_average": self.frame_average(),
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
        """The tables as CSV: columns `scope`, `name`, `frames` and one for each metric, unit and marks in the header; no
        value is empty.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        heads = [f"{q.name} [{'; '.join([q.unit, *self.marks])}]" for q in self.quantities]
        writer.writerow(["scope", "name", "frames", *heads])
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
        text = ["; ".join(f"{label} {value}" for label, value in self.conditions.items())] if self.conditions else []
        text.append(f"{'':{width}}  {'frames':>8}  " + "  ".join(heads))
        marks = f" ({', '.join(self.marks)})" if self.marks else ""
        last = ""
        for scope, name, frames, values in lines:
            if scope != last and (scope != "overall" or marks):
                text.append((f"by {scope}" if scope != "overall" else scope) + marks)
            last = scope
            label = name if scope == "overall" else f"  {name}"
            cells = [
                f"{_shown(values[q.name]) if q.name in values else '':>{len(head)}}"
                for q, head in zip(self.quantities, heads, strict=True)
            ]
            text.append(f"{label:{width}}  {'' if frames is None else frames:>8}  " + "  ".join(cells))
        text.append(f"Weighting: {self.weighting}.")
        if self.oracles:
            text.append("Oracle: the best of several hypotheses by the truth; no accuracy that can be had without it.")
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
        if self.averaging == "published":
            yield "overall", "overall", None, self.overall()
            yield "overall", "mean over frames", self.frames, self.frame_average()
        else:
            yield "overall", "overall", self.frames, self.overall()
            yield "overall", "mean over actions", None, self.action_average()
        for scope, table, key in (
            ("action", self.by_action(), lambda row: row.action),
            ("subject", self.by_subject(), lambda row: row.subject),
        ):
            for name, values in table.items():
                yield scope, name, sum(row.frames for row in self.rows if key(row) == name), values
        for name, rows in self._clips().items():
            yield "clip", name, sum(row.frames for row in rows), self._average(rows)
        for name, values in self.by_joint().items():
            yield "joint", name, None, values

    def _clips(self) -> dict[str, list[Row]]:
        groups: dict[str, list[Row]] = {}
        for name, row in zip(clip_names(self.rows, _NONE), self.rows, strict=True):
            groups.setdefault(name, []).append(row)
        return groups

    def _grouped(self, key: Callable[[Row], str]) -> dict[str, dict[str, float]]:
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(key(row), []).append(row)
        return {name: self._average(groups[name]) for name in sorted(groups)}

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
