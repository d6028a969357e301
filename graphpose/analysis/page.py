"""The HTML around the figures: every text escaped, every number formatted, everything in one file that loads nothing.

A Content-Security-Policy in the page forbids the browser any network access, so "self-contained" is enforced, not only
intended. `write_page` puts a page together and writes it; what is on it comes from `report.py` and from the attention's `report_page.py`.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graphpose
from graphpose.analysis.extras import require
from graphpose.analysis.palette import DARK, LIGHT, css_variables
from graphpose.analysis.tables import TableLike
from graphpose.formats._atomic import replacing

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["UNKNOWN", "cards", "document", "embed", "escape", "number", "table", "write_page"]

UNKNOWN = "\u2014"
_ASSETS = Path(__file__).parent / "assets"
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; worker-src blob:"
)


def escape(text: object) -> str:
    """`text` safe between tags and inside quoted attributes."""
    return html.escape(str(text), quote=True)


def embed(value: Any) -> str:
    """JSON safe inside a script element: no `<` can end the element, no NaN can break the parser (they have to be
    null).
    """
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    )
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _decimals(largest: float) -> int:
    if largest >= 10:
        return 1
    return 2 if largest >= 1 else 4


def number(value: object, decimals: int | None = None) -> str:
    """A cell as text: None, NaN and infinities are a dash, integers get thousands separators, others a sensible
    precision.
    """
    if value is None:
        return UNKNOWN
    if not _is_number(value):
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    real = float(value)  # type: ignore[arg-type]
    if not math.isfinite(real):
        return UNKNOWN
    if decimals is None and real != 0 and abs(real) < 1e-3:
        return f"{real:.2e}"
    return f"{real:,.{_decimals(abs(real)) if decimals is None else decimals}f}"


def cards(summary: Mapping[str, object]) -> str:
    """The headline figures; a value is a number, a text, or a (number, unit) pair."""
    items = []
    for label, value in summary.items():
        unit = ""
        if isinstance(value, tuple) and len(value) == 2:
            value, unit = value
        text = number(value)
        size = ' class="long"' if len(text) > 8 else ""
        shown_unit = f" <small>{escape(unit)}</small>" if unit else ""
        items.append(f"<div><dt>{escape(label)}</dt><dd{size}>{escape(text)}{shown_unit}</dd></div>")
    return f'<dl class="cards">{"".join(items)}</dl>' if items else ""


def table(shown: TableLike) -> str:
    """An HTML table: numbers right-aligned with one precision a column, a bar behind the first column of errors."""
    columns = list(shown.columns)
    rows = [list(row) for row in shown.rows]
    numeric = [any(_is_number(row[k]) for row in rows if k < len(row)) for k in range(len(columns))]
    largest = [
        max(
            (abs(float(row[k])) for row in rows if k < len(row) and _is_number(row[k]) and math.isfinite(row[k])),
            default=0.0,
        )
        for k in range(len(columns))
    ]
    barred = next((k for k in range(1, len(columns)) if numeric[k] and _measures_error(rows, k)), None)
    head = "".join(
        f'<th scope="col"{_right(numeric[k] and k > 0)}>{escape(name)}</th>' for k, name in enumerate(columns)
    )
    body = []
    for row in rows:
        cells = [f'<th scope="row">{escape(number(row[0]))}</th>'] if row else []
        for k, value in enumerate(row[1:], start=1):
            known = k < len(columns)
            text = escape(number(value, _decimals(largest[k]) if known and not isinstance(value, Integral) else None))
            style = ""
            if k == barred and _is_number(value) and math.isfinite(value) and largest[k] > 0:
                style = f' style="--share:{100 * max(0.0, float(value)) / largest[k]:.1f}%"'
            css = " ".join(name for name, on in (("n", known and numeric[k]), ("bar", bool(style))) if on)
            cells.append(f"<td{f' class={chr(34)}{css}{chr(34)}' if css else ''}{style}>{text}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    wide = " wide" if len(columns) > 6 else ""
    return (
        f'<div class="card{wide}"><h3>{escape(shown.title)}</h3><div class="scroll" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div></div>"
    )


def _measures_error(rows: list[list[Any]], k: int) -> bool:
    """Whether column k holds fractional measurements; counts (of frames, of clips) get no bar."""
    return any(k < len(row) and _is_number(row[k]) and not isinstance(row[k], Integral) for row in rows)


def _right(on: bool) -> str:
    return ' class="n"' if on else ""


def document(
    *, title: str, colours: str, body: str, data: str, plotly: str, footer: str, style: str = "", script: str = ""
) -> str:
    """The whole page. `data` is JSON already made safe by `embed`; `plotly` is the library's source, inlined once; `style` and
    `script` come after those that every page has.
    """
    style = (_ASSETS / "report.css").read_text(encoding="utf-8") + style
    script = (_ASSETS / "report.js").read_text(encoding="utf-8") + script
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{colours}{style}</style>\n</head>\n<body>\n{body}\n"
        f"<footer>{escape(footer)}</footer>\n"
        f'<script type="application/json" id="report-data">{data}</script>\n'
        f"<script>{plotly}</script>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def write_page(
    path: str | Path,
    *,
    title: str,
    subtitle: str = "",
    summary: Mapping[str, object] | None = None,
    sections: Sequence[tuple[str, str, str]] = (),
    figures: Mapping[str, Figure] | None = None,
    data: Mapping[str, Any] | None = None,
    style: str = "",
    script: str = "",
) -> Path:
    """Write a page to `path`, whole or not at all (folders are made), and return the path.

    Args:
        path: of the HTML file; one that is there stays as it is until the new one is complete.
        title: heading and window title.
        subtitle: one line below it.
        summary: shown as `cards`.
        sections: (id, heading, HTML) of each, in order.
        figures: by the name that a `data-figure` in the sections has.
        data: what else the script reads, by its key; `light`, `dark` (colours), `players` and `figures` are there already.
        style, script: CSS and JavaScript after those that every page has.

    Raises:
        DataError: `path` is a folder. MissingExtraError: plotly is not installed.
    """
    plotly = require("plotly.offline", "a report").get_plotlyjs()
    links = "".join(f'<a href="#{name}">{escape(heading)}</a>' for name, heading, _ in sections)
    head = f"<header><h1>{escape(title)}</h1><nav>{links}</nav></header>"
    note = f'<p class="note">{escape(subtitle)}</p>' if subtitle else ""
    parts = "".join(f'<section id="{name}"><h2>{escape(text)}</h2>{html}</section>' for name, text, html in sections)
    held = {"light": LIGHT, "dark": DARK, "players": [], **(data or {})}
    drawn = ",".join(f'"{name}":{figure.to_json()}' for name, figure in (figures or {}).items())
    entries = [f'"{name}":{embed(value)}' for name, value in held.items()]
    text = document(
        title=title,
        colours=css_variables(),
        body=f"{head}<main>{note}{cards(summary or {})}{parts}</main>",
        data=f'{{{",".join(entries)},"figures":{{{embed(drawn)}}}}}',
        plotly=plotly,
        footer=f"Made by graphpose {graphpose.__version__}. Figures by plotly.js (MIT licence), inside this file.",
        style=style,
        script=script,
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path
