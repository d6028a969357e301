"""The measures of the heads on the page: where the attention of each head goes, and a table with their roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphpose.analysis.attention.measures.head_roles import head_roles
from graphpose.analysis.attention.measures.relations import FRAME_RELATIONS, JOINT_RELATIONS
from graphpose.analysis.attention.measures.topology_measures import topology_table
from graphpose.analysis.attention.record import Axis, Record
from graphpose.analysis.extras import require
from graphpose.analysis.page import escape, table
from graphpose.analysis.palette import LIGHT
from graphpose.analysis.style import axis as style_axis
from graphpose.analysis.style import base_layout
from graphpose.analysis.tables import Table

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

__all__ = ["measure_sections", "relation_figure", "topology_html"]

_COLOURS = {
    "self": "muted",
    "bone": "curve2",
    "mirror": "curve3",
    "limb": "curve4",
    "distant": "border",
    "step": "curve2",
    "near": "curve4",
    "far": "border",
}
"""Of relations, in the palette; none of them is the blue of left or the orange of right."""

_COLUMNS: dict[Axis, dict[str, str]] = {
    "joints": {
        "role": "role",
        "entropy": "entropy",
        "hops": "bones away",
        "symmetry": "symmetry",
        "kinematic": "like the skeleton %",
        "prior": "like the prior %",
        "stability": "stability %",
        "key_share": "most looked at %",
        "key": "which it is",
    },
    "frames": {
        "role": "role",
        "entropy": "entropy",
        "span": "frames away",
        "symmetry": "symmetry",
        "kinematic": "like neighbours %",
        "prior": "like the prior %",
        "stability": "stability %",
        "key_share": "most looked at %",
        "key": "which it is",
    },
}
_PERCENT = ("kinematic", "prior", "stability", "key_share")
_NOTE = (
    "entropy: 0 looks at one joint or frame, 1 at all alike; like the skeleton, its neighbours, the prior: overlap with bones, with "
    "neighbouring frames, with the graphs that the model passes messages along; stability: overlap between clips, of which it takes "
    "two; most looked at: the joint or frame that gets most, and its share. A dash: not defined here. "
    "Roles are named by rules (graphpose.analysis.attention.measures.head_roles)."
)


def measure_sections(record: Record, figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The section of the measures as (id, heading, HTML); its figures are added to `figures`."""
    parts = []
    over: Axis
    for over in ("joints", "frames"):
        if not any(one.axis == over for one in record.attention):
            continue
        measured = head_roles(record, axis=over)
        figures[f"relations-{over}"] = relation_figure(measured, over)
        plot = f'<div class="plot measures" data-figure="relations-{over}"></div>'
        parts.append(f'<div class="card wide"><h3>Where attention over {over} goes</h3>{plot}</div>')
        parts.append(table(_table(measured, over)))
    html = f'<p class="note">{escape(_NOTE)}</p><div class="tables">{"".join(parts)}</div>'
    return [("measures", "Measures", html)]


def _labels(measured: pd.DataFrame) -> list[str]:
    alike = measured.groupby(["layer", "head"]).size().max() > 1
    rows = zip(measured["layer"], measured["name"], measured["head"], strict=True)
    return [f"layer {layer}{f' ({name})' if alike else ''}, head {head}" for layer, name, head in rows]


def _table(measured: pd.DataFrame, over: Axis) -> Table:
    columns = _COLUMNS[over]
    rows = [
        (label, *(100 * row[name] if name in _PERCENT else row[name] for name in columns))
        for label, row in zip(_labels(measured), measured.to_dict("records"), strict=True)
    ]
    return Table(f"Heads over {over}", ["Head", *columns.values()], rows)


def relation_figure(measured: pd.DataFrame, over: Axis) -> Figure:
    """A bar a head, `measured` being its `head_table`: the shares of attention in each relation, one on the other; last, those of
    even attention.
    """
    go = require("plotly.graph_objects", "attention_report")
    figure = go.Figure()
    labels = _labels(measured)
    even = len(labels) + 0.4
    for name in JOINT_RELATIONS if over == "joints" else FRAME_RELATIONS:
        shares = [None if share != share else round(100 * share, 2) for share in measured[f"mass_{name}"]]
        if any(share is not None for share in shares):
            figure.add_bar(
                x=[*range(len(labels)), even],
                y=[*shares, _even_share(measured, name)],
                name=name,
                customdata=[*labels, "even attention"],
                marker={"color": LIGHT[_COLOURS[name]], "line": {"width": 0}},
                hovertemplate="%{customdata}: " + name + " %{y:.1f} %<extra></extra>",
            )
    modules = list(zip(measured["layer"], measured["name"], strict=True))
    starts = [k for k in range(len(modules)) if k == 0 or modules[k] != modules[k - 1]]
    ends = [*starts[1:], len(modules)]
    middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    lines = [
        {
            "type": "line",
            "x0": start - 0.5,
            "x1": start - 0.5,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": LIGHT["text"], "width": 1.5},
        }
        for start in starts[1:]
    ]
    texts = [*(f"layer {modules[k][0]}" for k in starts), "if even"]
    ticks = {"tickmode": "array", "tickvals": [*middles, even], "ticktext": texts, "tickangle": 0}
    figure.update_layout(
        base_layout(
            barmode="stack",
            bargap=0.12,
            shapes=lines,
            legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
            margin={"l": 8, "r": 12, "t": 34, "b": 8},
            xaxis=style_axis(fixedrange=True, showgrid=False, range=[-0.5, even + 0.5], **ticks),
            yaxis=style_axis(title="% of attention", fixedrange=True, range=[0, 100], nticks=5),
        )
    )
    return figure


def _even_share(measured: pd.DataFrame, relation: str) -> float | None:
    """Percent of attention that the relation has where all keys are looked at alike: mass = excess + (1 - excess) share."""
    mass, excess = measured[f"mass_{relation}"], measured[f"excess_{relation}"]
    known = mass.notna() & (excess < 1 - 1e-9)
    if not known.any():
        return None
    return round(100 * float(((mass - excess) / (1 - excess))[known].mean()), 2)


def topology_html(record: Record) -> str:
    """The table of the learned topologies; "" where there is none."""
    if not record.topologies:
        return ""
    measured = topology_table(record)
    columns = {
        "relation": "relation",
        "axis": "over",
        "edges_local": "edges",
        "edges_added": "added",
        "edges_weakened": "weakened",
        "edges_strengthened": "strengthened",
        "change": "change",
        "connectivity_local": "connectivity",
        "connectivity_total": "as learned",
        "communities": "communities",
        "modularity": "modularity",
        "mirror_asymmetry": "left-right asymmetry",
    }
    rows = [(row["name"], *(row[name] for name in columns)) for row in measured.to_dict("records")]
    return table(Table("Learned topologies beside their graphs", ["Module", *columns.values()], rows))
