"""One HTML file to look around in a record: no network, light and dark, 17 joints or 133.

Layer, head, joint, clip and time are chosen on the page; what is measured stands in tables. The same policy as that of the report of
an evaluation forbids the page any access to a network (`graphpose.analysis.page`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphpose.analysis.attention.pictures.edges import BOUNDS, OPACITY, WIDTH
from graphpose.analysis.attention.pictures.joint_error import joint_error
from graphpose.analysis.attention.pictures.measure_tables import measure_sections, topology_html
from graphpose.analysis.attention.pictures.page_data import page_data, plan_page
from graphpose.analysis.attention.pictures.page_html import heads_html, look_html
from graphpose.analysis.attention.pictures.pose_places import front_places
from graphpose.analysis.attention.pictures.topology_figure import topology_figure
from graphpose.analysis.attention.record import Record
from graphpose.analysis.extras import require
from graphpose.analysis.page import escape, write_page
from graphpose.analysis.skeleton_figure import skeleton_error_figure
from graphpose.errors import DataError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["attention_report"]

_ASSETS = Path(__file__).parent / "assets"
_TOPOLOGIES = 4


def attention_report(
    record: Record,
    path: str | Path,
    *,
    title: str = "",
    subtitle: str = "",
    windows: Sequence[int] | None = None,
) -> Path:
    """Writes the page to `path` (folders are made) and returns the path.

    Args:
        record: from `observe`; from `capture` alone it lacks the poses, and the page shows the heads without them.
        path: of the HTML file.
        title: heading; by default the model and its skeleton.
        subtitle: a line below it, e.g. checkpoint and data.
        windows: which to show; None: four, evenly spread, fewer where they would make the page heavy.

    Long or many windows are thinned until the page has about 10 MB; the page says what was left out.

    Raises:
        DataError: a record with nothing in it, or windows that it does not have.
        MissingExtraError: plotly or pandas (the extra `analysis`) is not installed.
    """
    require("plotly", "attention_report")
    require("pandas", "attention_report")
    if not record.attention and not record.topologies and record.prediction is None:
        raise DataError("expected a record with attention, topologies or predictions (got an empty one)")
    for window in windows or ():
        known = len(record.attention[0].weights) if record.attention else 0
        if not 0 <= window < max(known, 0 if record.prediction is None else len(record.prediction)):
            raise DataError(f"expected windows of the record, 0 to {known - 1} (got {window})")
    plan = plan_page(record, windows)
    figures: dict[str, Figure] = {}
    sections: list[tuple[str, str, str]] = []
    thinned = plan.thinned(record)
    note = f"To keep the file small it holds {thinned}." if thinned else ""
    if record.attention:
        sections.append(("look", "Who looks at whom", look_html(record, len(plan.windows), note)))
        sections.append(("heads", "All heads", heads_html()))
        sections += measure_sections(record, figures)
    if record.topologies:
        sections.append(("topology", "Learned topology", _topologies(record, figures)))
    if record.prediction is not None and record.target is not None and np.isfinite(joint_error(record)).any():
        figures["error"] = skeleton_error_figure(record.skeleton, joint_error(record), front_places(record))
        plot = '<div class="plot body" data-figure="error"></div>'
        text = "Mean error of each joint over the recorded windows, in millimetres."
        sections.append(("error", "Error per joint", f'<div class="card"><p class="note">{text}</p>{plot}</div>'))
    classes = {"bounds": BOUNDS, "widths": WIDTH, "opacities": OPACITY}
    return write_page(
        path,
        title=title or f"Attention of {record.model or 'a model'} on {record.skeleton.name}",
        subtitle=subtitle,
        summary=_summary(record),
        sections=sections,
        figures=figures,
        data={"attention": page_data(record, plan) | {"classes": classes}},
        style=(_ASSETS / "attention.css").read_text(encoding="utf-8"),
        script=(_ASSETS / "attention.js").read_text(encoding="utf-8"),
    )


def _summary(record: Record) -> dict[str, object]:
    """Headline figures: what was recorded."""
    layers = {one.layer for one in record.attention}
    heads = sum(len(one.heads) for one in record.attention)
    found: dict[str, object] = {"Model": record.model} if record.model else {}
    found["Joints"] = len(record.skeleton)
    if record.attention:
        found |= {"Windows": record.attention[0].weights.shape[0], "Layers": len(layers), "Heads": heads}
    if record.prediction is not None:
        found["Frames a window"] = record.prediction.shape[1]
        if record.target is not None:
            error = joint_error(record)
            if np.isfinite(error).any():
                found["MPJPE"] = (1000 * float(np.nanmean(error)), "mm")
    return found


def _topologies(record: Record, figures: dict[str, Any]) -> str:
    parts = []
    for k, one in enumerate(record.topologies[:_TOPOLOGIES]):
        figures[f"topology-{k}"] = topology_figure(record, one)
        text = f"{one.name}: relation {one.relation}, over {one.axis}"
        plot = f'<div class="plot trio" data-figure="topology-{k}"></div>'
        parts.append(
            f'<div class="card wide"><p class="note">{escape(text)}</p><div class="scroll" tabindex="0">{plot}</div></div>'
        )
    rest = len(record.topologies) - len(parts)
    more = f'<p class="note">{rest} more are in the record.</p>' if rest > 0 else ""
    return f'<div class="tables">{"".join(parts)}{topology_html(record)}</div>{more}'
