"""The table of an ablation: a row a host and prior, mean and spread over seeds, differences to the host without priors.

    mean  m = sum_s v_s / n        spread  (max - min) / 2 of two seeds, sqrt(sum_s (v_s - m)^2 / (n - 1)) of three or more
    difference  = mean over the seeds that both rows have of v_s(prior) - v_s(no prior)

Symbols: v_s the figure of seed s, n how many seeds are done. One seed has no spread.
"""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphpose.config import Cell
from graphpose.engine.ablation_cell import CellRecord, read_cell
from graphpose.errors import DataError
from graphpose.formats._atomic import replacing

__all__ = [
    "METRICS",
    "AblationTable",
    "Row",
    "count",
    "duration",
    "read_table",
    "save_tables",
    "spread",
    "to_csv",
    "to_dict",
    "to_markdown",
    "to_text",
]

METRICS = {"mpjpe": ("MPJPE", "mm"), "p_mpjpe": ("P-MPJPE", "mm"), "mpjve": ("MPJVE", "mm/frame")}
NOT_RUN = "not run"


@dataclass(frozen=True)
class Row:
    """What the seeds of a host and prior gave.

    Attributes:
        host, prior: names; an extra row has no prior.
        seeds: those that were asked for.
        records: of the seeds that are done.
        figures: seed -> metric -> value, of the same seeds, in the metric's unit.
    """

    host: str
    prior: str | None
    seeds: tuple[int, ...]
    records: Mapping[int, CellRecord] = field(default_factory=dict)
    figures: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Host and prior."""
        return self.host if self.prior is None else f"{self.host}/{self.prior}"

    @property
    def record(self) -> CellRecord | None:
        """What all seeds have in common, of the first that is done."""
        return next(iter(self.records.values()), None)

    def values(self, metric: str) -> list[float]:
        """The figure of each seed that is done, in the order of the seeds."""
        return [self.figures[seed][metric] for seed in self.seeds if seed in self.figures]

    def mean(self, metric: str) -> float:
        """Over the seeds that are done; NaN without any."""
        return statistics.fmean(self.values(metric)) if self.figures else math.nan

    def spread(self, metric: str) -> float:
        """See the module; NaN below two seeds."""
        return spread(self.values(metric))

    def seconds(self, name: str) -> float:
        """Median over seeds of a time of the records ("seconds_a_step", "training_seconds"); NaN where none was measured."""
        found = [value for record in self.records.values() if (value := getattr(record, name)) is not None]
        return statistics.median(found) if found else math.nan


@dataclass(frozen=True)
class AblationTable:
    """All rows, with what the others are compared with.

    Attributes:
        rows: in the order of the configuration.
        reference: the name of the prior that is none; None where the grid has no such.
        notes: what no figure may be read without.
    """

    rows: list[Row]
    reference: str | None
    notes: list[str]

    @property
    def done(self) -> int:
        """Cells that are done."""
        return sum(len(row.figures) for row in self.rows)

    @property
    def cells(self) -> int:
        """Cells in all."""
        return sum(len(row.seeds) for row in self.rows)

    def reference_of(self, row: Row) -> Row | None:
        """The same host without priors; None for that row itself and where there is none."""
        if row.prior is None or row.prior == self.reference:
            return None
        return next((other for other in self.rows if (other.host, other.prior) == (row.host, self.reference)), None)

    def difference(self, row: Row, metric: str) -> float:
        """To the same host without priors, over the seeds that both have; NaN where there are none."""
        other = self.reference_of(row)
        seeds = [] if other is None else [seed for seed in row.seeds if seed in row.figures and seed in other.figures]
        if other is None or not seeds:
            return math.nan
        return statistics.fmean(row.figures[seed][metric] - other.figures[seed][metric] for seed in seeds)


def spread(values: Sequence[float]) -> float:
    """Half the range of two values, the sample standard deviation of three and more; NaN of fewer.

    >>> spread([1.0, 3.0]), spread([1.0, 2.0, 3.0])
    (1.0, 1.0)
    """
    if len(values) < 2:
        return math.nan
    return (max(values) - min(values)) / 2 if len(values) == 2 else statistics.stdev(values)


def read_table(cells: Sequence[Cell], reference: str | None) -> AblationTable:
    """The table of what is done of `cells` so far.

    Raises:
        FormatError: a file of a cell that is damaged.
        DataError: cells that were measured on different clips, which no table can hold.
    """
    rows: list[Row] = []
    measured: dict[Any, str] = {}
    versions = set()
    for host, prior in dict.fromkeys(cell.row for cell in cells):
        records, figures = {}, {}
        own = [cell for cell in cells if cell.row == (host, prior)]
        for cell in own:
            found = read_cell(cell.folder)
            if found is None:
                continue
            record, result = found
            measured.setdefault(result["dataset"].get("fingerprint"), cell.name)
            versions.add(json.dumps([result.get("versions"), result.get("repository")], sort_keys=True))
            records[cell.seed] = record
            figures[cell.seed] = {name: float(result["overall"][name]) for name in METRICS}
        rows.append(Row(host, prior, tuple(cell.seed for cell in own), records, figures))
    if len(measured) > 1:
        raise DataError(
            f"{' and '.join(list(measured.values())[:2])} were measured on different clips: did the files change in between? "
            "remove the cells of the old ones"
        )
    return AblationTable(rows, reference, list(_notes(rows, reference, len(versions))))


def to_text(table: AblationTable) -> str:
    """For people: rows, then the figure of each seed, then notes."""
    heads = ["host", "prior", "seeds"]
    for label, unit in METRICS.values():
        heads += [f"{label} {unit}", *([f"to {table.reference}"] if table.reference else [])]
    heads += ["parameters", "MFLOPs", "s/step", "training"]
    lines = [heads, *([*_cells(table, row)] for row in table.rows)]
    blocks = [_grid(lines, left=2)]
    each = [["MPJPE of each seed", "values"], *([row.name, _each(row)] for row in table.rows if row.figures)]
    if len(each) > 1:
        blocks.append(_grid(each, left=2))
    title = f"{table.done} of {table.cells} cells done; test clips, last weights, every frame once, averaged over the mirror image"
    return "\n\n".join([title, *blocks, "\n".join(table.notes)]) + "\n"


def to_markdown(table: AblationTable) -> str:
    """A table for a README, with every seed's MPJPE."""
    heads = ["host", "prior", "MPJPE mm (each seed)", *([f"to {table.reference}"] if table.reference else [])]
    heads += ["P-MPJPE mm", "MPJVE mm/frame", "parameters", "MFLOPs", "s/step"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * 2 + "---:|" * (len(heads) - 2)]
    for row in table.rows:
        each = f" ({_each(row)})" if len(row.figures) > 1 else ""
        cells = [row.host, row.prior or "", _value(row, "mpjpe") + each]
        cells += [_signed(table.difference(row, "mpjpe"))] if table.reference else []
        cells += [_value(row, "p_mpjpe"), _value(row, "mpjve"), _count(row, "parameters", 1), _count(row, "flops", 1e6)]
        cells.append(_number(row.seconds("seconds_a_step"), ".3g"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{note}  " for note in table.notes)]).rstrip() + "\n"


def to_csv(table: AblationTable) -> str:
    """One line a row, the figure of each seed in a column of its own; empty where there is nothing."""
    seeds = sorted({seed for row in table.rows for seed in row.seeds})
    out = io.StringIO()
    writer: Any = None
    for entry, row in zip(to_dict(table)["rows"], table.rows, strict=True):
        flat = {key: entry[key] for key in ("host", "prior", "seeds_done", "seeds_asked")}
        for metric in METRICS:
            found = entry[metric]
            flat |= {f"{metric}_{key}": found[key] for key in ("mean", "spread", "difference")}
            flat |= {f"{metric}_seed{seed}": row.figures.get(seed, {}).get(metric) for seed in seeds}
        flat |= {key: entry[key] for key in _COMMON}
        writer = writer or csv.DictWriter(out, list(flat), lineterminator="\n")
        if row is table.rows[0]:
            writer.writeheader()
        writer.writerow({key: "" if _none(value) is None else value for key, value in flat.items()})
    return out.getvalue()


_COMMON = ("model", "parameters", "flops", "frames", "lifts", "steps", "seconds_a_step", "training_seconds")


def to_dict(table: AblationTable) -> dict[str, Any]:
    """Everything as plain values, NaN as None."""
    rows = []
    for row in table.rows:
        common = {key: getattr(row.record, key, None) for key in _COMMON}
        times = {key: _none(row.seconds(key)) for key in ("seconds_a_step", "training_seconds")}
        rows.append(
            {
                "host": row.host,
                "prior": row.prior,
                "seeds_asked": len(row.seeds),
                "seeds_done": len(row.figures),
                **{metric: _metric(table, row, metric) for metric in METRICS},
                **common,
                **times,
            }
        )
    units = {name: unit for name, (_, unit) in METRICS.items()}
    return {
        "cells": table.cells,
        "done": table.done,
        "reference": table.reference,
        "units": units,
        "rows": rows,
        "notes": table.notes,
    }


def save_tables(table: AblationTable, folder: str | Path) -> list[Path]:
    """Writes `table.txt`, `table.csv`, `table.json` and `table.md`, each whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "txt": to_text(table),
        "csv": to_csv(table),
        "json": json.dumps(to_dict(table), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "md": to_markdown(table),
    }
    paths = []
    for suffix, content in contents.items():
        paths.append(folder / f"table.{suffix}")
        with replacing(paths[-1]) as draft:
            draft.write_text(content, encoding="utf-8")
    return paths


def _metric(table: AblationTable, row: Row, metric: str) -> dict[str, Any]:
    return {
        "mean": _none(row.mean(metric)),
        "spread": _none(row.spread(metric)),
        "difference": _none(table.difference(row, metric)),
        "by_seed": {str(seed): _none(row.figures[seed][metric]) for seed in row.seeds if seed in row.figures},
    }


def _notes(rows: Sequence[Row], reference: str | None, versions: int) -> Iterator[str]:
    """What a reader has to know, as far as these rows make it so."""
    counts = {len(row.figures) for row in rows}
    rules = [*(["half the range of 2 seeds"] if 2 in counts else [])]
    rules += ["the sample standard deviation of 3 seeds and more"] if any(count > 2 for count in counts) else []
    if rules:
        yield f"± is {', '.join(rules)}; a row of one seed has none."
    elif any(counts):
        yield "One seed a row: a difference may be chance."
    if reference is not None:
        yield f"To none: the mean difference, seed by seed, to the same host with prior {reference!r}; negative is better."
    records = [(row, row.record) for row in rows if row.record is not None]
    if not records:
        return
    frames = sorted({record.frames for _, record in records})
    yield (
        f"FLOPs: 2 x multiply-adds of lifting one window of {' or '.join(map(str, frames))} frames; s/step: median wall time of a "
        "training step; training: wall time of it all, both the median over seeds."
    )
    single = [row.name for row, record in records if record.lifts != "window"]
    if single:
        yield f"One frame a window, where the others give all: {', '.join(single)}."
    budgets = {(record.steps, record.batch_size) for _, record in records}
    if len(budgets) > 1:
        told = [f"{budget} ({', '.join(names)})" for budget, names in _budgets(records).items()]
        yield f"Trained unlike: {'; '.join(told)}."
    places = {(one.device, one.threads, one.jobs) for row in rows for one in row.records.values()}
    shown = [f"{device}, threads: {threads}, cells at a time: {jobs}" for device, threads, jobs in sorted(places)]
    yield f"Times measured on: {'; '.join(shown)}{' (compare within one of them only)' if len(shown) > 1 else ''}."
    if versions > 1:
        yield "The cells were made with different versions of the packages or of the repository (see their evaluation.json)."


def _budgets(records: Sequence[tuple[Row, CellRecord]]) -> dict[str, list[str]]:
    """Length of the training -> the rows that had it."""
    found: dict[str, list[str]] = {}
    for row, one in records:
        budget = f"{one.steps} steps of {one.batch_size} windows" if one.steps else "solved at once"
        found.setdefault(budget, []).append(row.name)
    return found


def _cells(table: AblationTable, row: Row) -> Iterator[str]:
    """A line of the text table."""
    yield row.host
    yield row.prior or "-"
    yield f"{len(row.figures)}/{len(row.seeds)}"
    for metric in METRICS:
        yield _value(row, metric)
        if table.reference:
            yield _signed(table.difference(row, metric)) or "-"
    yield _count(row, "parameters", 1)
    yield _count(row, "flops", 1e6)
    yield _number(row.seconds("seconds_a_step"), ".3g")
    yield duration(row.seconds("training_seconds"))


def _value(row: Row, metric: str) -> str:
    if not row.figures:
        return NOT_RUN
    own = row.spread(metric)
    return f"{row.mean(metric):.1f}" + (f" ± {own:.1f}" if math.isfinite(own) else "")


def _each(row: Row) -> str:
    return ", ".join(f"{value:.1f}" for value in row.values("mpjpe"))


def _count(row: Row, name: str, unit: float) -> str:
    return "-" if row.record is None else count(getattr(row.record, name) / unit)


def count(value: float) -> str:
    """A number of things for people: two digits where it is small."""
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.2g}"


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _signed(value: float) -> str:
    return f"{value:+.1f}" if math.isfinite(value) else ""


def duration(seconds: float) -> str:
    """A time for people."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


def _grid(lines: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = (
        "  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in shown)


def _none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
