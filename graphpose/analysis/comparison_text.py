"""A comparison as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from graphpose.analysis.comparison import FEWEST, LEVEL, Comparison, Difference
from graphpose.formats._atomic import replacing

__all__ = ["letters", "save_tables", "to_csv", "to_dict", "to_text"]

_FEW = 30


def letters(count: int) -> list[str]:
    """A, B, ..., Z, AA, AB, ...: short names of the results."""
    return [(ascii_uppercase[i // 26 - 1] if i >= 26 else "") + ascii_uppercase[i % 26] for i in range(count)]


def to_text(found: Comparison) -> str:
    """The tables for people."""
    short = letters(len(found.names))
    blocks = ["\n".join(_head(found, short))]
    blocks.append(_grid("mean over frames", short, _averages(found, "frame_average")))
    blocks.append(_grid("mean over actions", short, _averages(found, "action_average")))
    if found.paired:
        for place in range(1, len(short)):
            title = f"{short[place]} - {short[0]}, mean over frames, {LEVEL:.0%} interval"
            rows = {_title(found, m): found.overall[place, m] for m in found.metrics}
            verdicts = {_title(found, m): found.better(m, found.overall[place, m]) for m in found.metrics}
            blocks.append(_differences(title, rows, verdicts))
    marks = f" ({', '.join(found.results[0]['marks'])})" if found.results[0].get("marks") else ""
    title = f"by action: {_title(found, found.metric)}{marks}"
    values = {a: [_action(result, a, found.metric) for result in found.results] for a in found.actions}
    blocks.append(_grid(title, short, values))
    if _some_action_has_an_interval(found):
        for place in range(1, len(short)):
            title = f"{short[place]} - {short[0]}, {_title(found, found.metric)}, {LEVEL:.0%} interval"
            rows = {action: found.by_action[place, action] for action in found.actions}
            verdicts = {action: found.better(found.metric, rows[action]) for action in rows}
            blocks.append(_differences(title, rows, verdicts))
    return "\n\n".join([*blocks, "\n".join(_notes(found))]) + "\n"


def to_dict(found: Comparison) -> dict[str, Any]:
    """Everything as plain values, NaN as None."""
    return {
        "results": [
            {"letter": letter, "file": name, "model": result.get("model"), "measured": result["measured"]}
            for letter, name, result in zip(letters(len(found.names)), found.names, found.results, strict=True)
        ],
        "paired": found.paired,
        "unlike": found.unlike,
        "level": LEVEL,
        "samples": found.samples,
        "seed": found.seed,
        "rows": [{key: _none(value) for key, value in row.items()} for row in _rows(found)],
    }


def to_csv(found: Comparison) -> str:
    """One line a scope, metric and result; empty where there is no value."""
    out = io.StringIO()
    rows = list(_rows(found))
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if _none(value) is None else value for key, value in row.items()})
    return out.getvalue()


def save_tables(found: Comparison, folder: str | Path) -> Path:
    """Writes `comparison.txt`, `comparison.csv` and `comparison.json`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "txt": to_text(found),
        "csv": to_csv(found),
        "json": json.dumps(to_dict(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    for suffix, content in contents.items():
        with replacing(folder / f"comparison.{suffix}") as draft:
            draft.write_text(content, encoding="utf-8")
    return folder


def _rows(found: Comparison) -> Iterator[dict[str, Any]]:
    places = range(len(found.names))
    for scope in ("frame_average", "action_average"):
        for metric in found.metrics:
            for place in places:
                difference = found.overall.get((place, metric)) if scope == "frame_average" else None
                yield _row(found, scope, "", metric, place, found.results[place][scope][metric], difference)
    for action in found.actions:
        for place in places:
            value = _action(found.results[place], action, found.metric)
            yield _row(found, "action", action, found.metric, place, value, found.by_action.get((place, action)))


def _row(
    found: Comparison, scope: str, name: str, metric: str, place: int, value: float, difference: Difference | None
) -> dict[str, Any]:
    of = difference or Difference(math.nan, math.nan, math.nan, 0, 0)
    return {
        "scope": scope,
        "name": name,
        "metric": metric,
        "unit": found.unit(metric),
        "file": found.names[place],
        "value": value,
        "difference": of.value,
        "low": of.low,
        "high": of.high,
        "clips": of.clips if difference else None,
        "left_out": of.left_out if difference else None,
        "excludes_zero": of.excludes_zero if of.known else None,
    }


def _head(found: Comparison, short: list[str]) -> Iterator[str]:
    from graphpose.engine.evaluated_input import detections_text

    first = found.results[0]
    if found.paired:
        measured = first["measured"]
        joints = measured.get("common_joints")
        shown = [
            f"protocol {first['protocol']}",
            f"alignment {measured.get('alignment')}",
            f"joints {'the ' + str(joints) + ' common ones' if joints else 'all'}",
            *([f"annotation {measured['annotation']}"] if measured.get("annotation") else []),
        ]
        yield f"{first['dataset'].get('clips')} clips, {'; '.join(shown)}; data set {first['dataset'].get('fingerprint')}"
    else:
        yield "Measured unlike, so the figures stand beside each other and no difference is drawn:"
        yield from (f"  {fault}" for fault in found.unlike)
    for letter, name, result in zip(short, found.names, found.results, strict=True):
        measured = result["measured"]
        noise = f", noise {measured['keypoint_noise']:g}" if measured.get("keypoint_noise") else ""
        flip = "averaged" if measured.get("flip") else "off"
        seen = detections_text(measured.get("detections") or [])
        yield f"{letter}  {name}: {result.get('model') or 'model not named'}, 2D {seen}{noise}, flip {flip}{_drawn(measured)}"


def _drawn(measured: Mapping[str, Any]) -> str:
    """The hypotheses of a result; nothing for a model that draws none."""
    drawn = measured.get("hypotheses")
    if not drawn:
        return ""
    count = "" if drawn.get("hypotheses") is None else f"{drawn['hypotheses']} with steps {drawn.get('steps')}, "
    return f", hypotheses {count}aggregate {drawn.get('aggregate')}"


def _some_action_has_an_interval(found: Comparison) -> bool:
    return any(difference.known for difference in found.by_action.values())


def _notes(found: Comparison) -> Iterator[str]:
    if not found.paired:
        return
    clips = max((d.clips for d in found.overall.values()), default=0)
    actions = f"for actions of at least {FEWEST} recordings"
    yield (
        f"Intervals: paired percentile bootstrap over recordings (a clip with all its views), {found.samples:,} samples, "
        f"seed {found.seed}; {actions if _some_action_has_an_interval(found) else f'no action has {FEWEST} recordings, so none has one'}."
    )
    headline = ", the headline of this protocol" if found.results[0]["protocol"] == "published" else ""
    yield f"They are for the mean over frames; none is given for the mean over actions{headline}."
    if clips < _FEW:
        yield f"Only {clips} recordings: expect the intervals to be too narrow (under {_FEW} they often are)."
    for (place, metric), difference in found.overall.items():
        if difference.left_out:
            name = letters(len(found.names))[place]
            yield f"Left out of {metric} of {name}: {difference.left_out} recordings that one of the two could not measure."


def _title(found: Comparison, metric: str) -> str:
    return f"{found.label(metric)} {found.unit(metric)}"


def _averages(found: Comparison, kind: str) -> dict[str, list[float]]:
    return {_title(found, metric): [result[kind][metric] for result in found.results] for metric in found.metrics}


def _action(result: Any, action: str, metric: str) -> float:
    return float(result["by_action"].get(action, {}).get(metric, math.nan))


def _grid(title: str, heads: list[str], rows: dict[str, list[float]]) -> str:
    width = max(len(title), *(len(name) + 2 for name in rows))
    lines = [f"{title:{width}}" + "".join(f"{head:>12}" for head in heads)]
    for name, values in rows.items():
        lines.append(f"  {name:{width - 2}}" + "".join(f"{_shown(value):>12}" for value in values))
    return "\n".join(line.rstrip() for line in lines)


def _differences(title: str, rows: dict[str, Difference], verdicts: dict[str, str]) -> str:
    width = max(len(title), *(len(name) + 2 for name in rows))
    lines = [f"{title:{width}}{'difference':>12}  {'interval':>20}{'recordings':>12}"]
    for name, of in rows.items():
        interval = f"[{of.low:.2f}, {of.high:.2f}]" if of.known else "-"
        lines.append(
            f"  {name:{width - 2}}{_signed(of.value):>12}  {interval:>20}{of.clips:>12}  {verdicts[name]}".rstrip()
        )
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "NaN"


def _signed(value: float) -> str:
    return f"{value:+.2f}" if math.isfinite(value) else "NaN"


def _none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
