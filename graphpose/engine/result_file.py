"""The result of an evaluation as one JSON file, with all that is needed to repeat it and to compare it with another.

    format, schema       "graphpose evaluation", 1
    protocol, flip, measured    how it was measured: 2D input, noise, alignment, joints, annotation, hypotheses
    model, checkpoint, part, data, config, trained_on, trained_with, versions, repository
    dataset              fingerprint (`graphpose.datasets.fingerprint`), clips and frames counted
    metrics              name -> label, unit, whether higher is better, and how an oracle chose (null for honest ones)
    overall, frame_average, action_average, by_action, by_subject, by_joint, by_clip, undefined
    views                for each clip and view: name, subject, action, view, recording, frames, and for each metric
                         `errors` (in its unit) and `weights` (how many values the error is the mean of)

NaN is null. `sum(error * weight) / sum(weight)` over the views is the metric's `frame_average`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphpose.engine.provenance import package_versions, repository_state
from graphpose.errors import DataError, FormatError
from graphpose.formats._atomic import replacing

if TYPE_CHECKING:
    from graphpose.engine.outcome import Evaluation
    from graphpose.metrics.tables import ErrorTable

__all__ = ["FORMAT", "SCHEMA", "read_result", "result_of", "write_result"]

FORMAT, SCHEMA = "graphpose evaluation", 1
_EXPECTED: dict[str, type | tuple[type, ...]] = {
    "protocol": str,
    "measured": dict,
    "dataset": dict,
    "metrics": dict,
    "overall": dict,
    "frame_average": dict,
    "action_average": dict,
    "by_action": dict,
    "views": list,
}
_VIEW: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "action": str,
    "recording": str,
    "frames": int,
    "errors": dict,
    "weights": dict,
}
_METRIC: dict[str, type | tuple[type, ...]] = {"label": str, "unit": str, "higher_is_better": bool}
_SUFFIX = "evaluation.json"


def result_of(evaluation: Evaluation) -> dict[str, Any]:
    """What the file holds, as plain values; NaN is still NaN."""
    errors = evaluation.errors
    tables = errors.to_dict()
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "protocol": evaluation.protocol,
        "flip": evaluation.flip,
        "measured": evaluation.measured,
        **evaluation.info,
        "versions": package_versions(),
        "repository": repository_state(),
        "dataset": evaluation.dataset,
        "metrics": {
            q.name: {
                "label": q.label,
                "unit": q.unit,
                "higher_is_better": q.higher_is_better,
                "oracle": q.oracle or None,
            }
            for q in errors.quantities
        },
        **{key: tables[key] for key in tables if key not in ("skeleton", "clips", "units", "oracles", "conditions")},
        "views": _views(errors),
    }


def write_result(evaluation: Evaluation, path: str | Path) -> Path:
    """Writes the file, whole or not at all."""
    path = Path(path)
    text = json.dumps(_plain(result_of(evaluation)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path


def read_result(path: str | Path) -> dict[str, Any]:
    """The content of a result file (or of the `evaluation.json` in a folder), with NaN in place of null in its figures.

    Raises:
        FormatError: no such file, no JSON, another kind of file, another schema version, or parts that are missing.
    """
    path = Path(path)
    if path.is_dir():
        path = path / _SUFFIX
    try:
        content = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise FormatError(path, f"cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise FormatError(path, f"expected UTF-8 text (byte {error.start} is not)") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(path, f"expected JSON, is the file complete? ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FormatError(
            path, "expected the evaluation.json that `graphpose evaluate --out FOLDER` writes (got other JSON)"
        )
    if content.get("schema") != SCHEMA:
        raise FormatError(
            path,
            f"result file of schema {content.get('schema')!r}, this graphpose reads {SCHEMA}: evaluate again with it",
        )
    faults = _faults(content, _EXPECTED, "")
    if not faults:
        faults = _wrong_settings(content) + _wrong_metrics(content["metrics"]) + _wrong_tables(content)
    for number, view in enumerate(content.get("views") or [] if not faults else []):
        faults += (
            _faults(view, _VIEW, f"views[{number}].") if isinstance(view, dict) else [f"views[{number}]: no mapping"]
        )
        if not faults:
            faults += _wrong_figures(view, content["metrics"], f"views[{number}].")
    if faults:
        raise FormatError(path, f"damaged result file: {'; '.join(faults[:3])}; evaluate again")
    return dict(_with_nan(content))


def _views(errors: ErrorTable) -> list[dict[str, Any]]:
    """One entry a clip and view."""
    entries = []
    for row in errors.rows:
        figures, weights = {}, {}
        for q in errors.quantities:
            weight = float(row.counts[q.name].sum())
            figures[q.name] = float(row.sums[q.name].sum()) / weight * q.factor if weight else math.nan
            weights[q.name] = weight
        entries.append(
            {
                "name": row.name,
                "subject": row.subject,
                "action": row.action,
                "view": row.view,
                "recording": row.recording,
                "frames": row.frames,
                "errors": figures,
                "weights": weights,
            }
        )
    return entries


def _faults(content: dict[str, Any], expected: dict[str, type | tuple[type, ...]], where: str) -> list[str]:
    found = []
    for key, kind in expected.items():
        if not isinstance(content.get(key), kind):
            name = kind.__name__ if isinstance(kind, type) else "/".join(k.__name__ for k in kind)
            found.append(f"{where}{key}: expected {name} (got {type(content.get(key)).__name__})")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _wrong_settings(content: dict[str, Any]) -> list[str]:
    """Lists of texts and numbers that may be absent, but are nothing else."""
    measured = content["measured"]
    places = {
        "marks": content.get("marks"),
        **{f"measured.{key}": measured.get(key) for key in ("joints", "detections")},
    }
    found = [
        f"{where}: expected a list of texts (got {value!r})"
        for where, value in places.items()
        if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value))
    ]
    drawn = measured.get("hypotheses")
    if drawn is not None and not isinstance(drawn, dict):
        found.append(f"measured.hypotheses: expected a mapping (got {drawn!r})")
    noise = measured.get("keypoint_noise")
    if noise is not None and not _is_number(noise):
        found.append(f"measured.keypoint_noise: expected a number (got {noise!r})")
    return found


def _wrong_metrics(metrics: dict[str, Any]) -> list[str]:
    found = [f"metrics.{name}: no mapping" for name, entry in metrics.items() if not isinstance(entry, dict)]
    return found or [f for name, entry in metrics.items() for f in _faults(entry, _METRIC, f"metrics.{name}.")]


def _wrong_tables(content: dict[str, Any]) -> list[str]:
    """Figures of the tables that are absent or no numbers (null is one that could not be measured)."""
    tables = [(name, content[name]) for name in ("overall", "frame_average", "action_average")]
    tables += [(f"by_action.{name}", table) for name, table in content["by_action"].items()]
    found = []
    for where, table in tables:
        if not isinstance(table, dict):
            found.append(f"{where}: no mapping")
            continue
        for name in content["metrics"]:
            if name not in table:
                found.append(f"{where}.{name}: expected a number (it is absent)")
            elif table[name] is not None and not _is_number(table[name]):
                found.append(f"{where}.{name}: expected a number (got {table[name]!r})")
    return found


def _wrong_figures(view: dict[str, Any], metrics: dict[str, Any], where: str) -> list[str]:
    found = []
    for name in metrics:
        error, weight = view["errors"].get(name), view["weights"].get(name)
        known = name in view["errors"] and (error is None or _is_number(error))
        if not known or not _is_number(weight) or not 0 <= weight < math.inf:
            found.append(f"{where}errors and weights of {name}: expected numbers (got {error!r} and {weight!r})")
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TABLES = ("overall", "frame_average", "action_average", "by_action", "by_subject", "by_joint", "by_clip")


def _with_nan(content: dict[str, Any]) -> dict[str, Any]:
    """Null figures as NaN; null settings stay None."""

    def figures(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: figures(item) for key, item in value.items()}
        return math.nan if value is None else value

    known = {key: figures(content[key]) for key in _TABLES if key in content}
    views = [{**view, "errors": figures(view["errors"])} for view in content["views"]]
    return {**content, **known, "views": views}


def _plain(value: Any) -> Any:
    """JSON's own types: NaN and infinities as null, tuples as lists, paths as text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Path):
        return str(value)
    raise DataError(f"a result file cannot hold a {type(value).__name__} ({value!r})")
