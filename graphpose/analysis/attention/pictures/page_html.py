"""The HTML of a record's page: the places and controls that `attention.js` fills, and what is written once and stays."""

from __future__ import annotations

from graphpose.analysis.attention.pictures.edges import WIDTH, bound_texts
from graphpose.analysis.attention.record import Record
from graphpose.analysis.page import escape

__all__ = ["heads_html", "look_html"]

_SPEEDS = (("0.1", "0.1&times;"), ("0.25", "&frac14;&times;"), ("0.5", "&frac12;&times;"), ("1", "1&times;"))


def look_html(record: Record, windows: int, note: str) -> str:
    """The player: controls, 2D input, 3D poses, what is looked at, and that over time."""
    known = record.target is not None
    pick = [
        _select("axis", "Attention over"),
        _select("layer", "Layer"),
        _select("head", "Head"),
        _select("joint", "Who looks (or click a joint)"),
    ]
    if windows > 1:
        pick.append(_select("window", "Clip"))
    views = ""
    if record.keypoints is not None:
        views += _figure("2D input", "look-flat")
    if record.prediction is not None:
        views += _figure("Predicted and true 3D" if known else "Predicted 3D", "look-space")
    views += _figure("", "look-bars", "look-bars-title")
    speeds = "".join(f'<option value="{v}"{" selected" if v == "0.25" else ""}>{text}</option>' for v, text in _SPEEDS)
    controls = (
        '<div class="controls"><button type="button" class="play" id="look-play">Play</button>'
        '<input type="range" id="look-time" min="0" max="0" value="0" step="1" aria-label="frame">'
        f'<select id="look-speed" aria-label="speed">{speeds}</select></div>'
    )
    shown = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<div class="card"><div class="choices">{"".join(pick)}<div class="keys">{_legend(record)}</div></div>'
        f'<div class="three">{views}</div>{controls}<output class="status" id="look-status"></output>'
        '<p class="note" id="look-over-title"></p><div class="plot over" id="look-over"></div>'
        f"{shown}</div>"
    )


def heads_html() -> str:
    """All heads as small maps, and one of them large."""
    note = (
        "Each map is the mean over the windows; a row looks, a column is looked at, joints limb by limb, colours from 0 to the "
        "largest weight off the diagonal of that map. Click a map to choose its head."
    )
    return (
        f'<div class="card"><p class="note">{escape(note)}</p><div class="grid-and-map">'
        '<div class="heads" id="look-heads" tabindex="0"></div>'
        '<figure><figcaption id="look-map-title"></figcaption><div class="plot map" id="look-map"></div></figure>'
        "</div></div>"
    )


def _select(name: str, label: str) -> str:
    return f'<label>{escape(label)}<select id="{name}"></select></label>'


def _figure(caption: str, name: str, caption_id: str = "") -> str:
    known = f' id="{caption_id}"' if caption_id else ""
    return (
        f'<figure><figcaption{known}>{escape(caption)}</figcaption><div class="plot view" id="{name}"></div></figure>'
    )


def _legend(record: Record) -> str:
    def line(colour: str, text: str, height: float = 4) -> str:
        return f'<span><i style="background:var(--{colour});height:{height:g}px"></i>{escape(text)}</span>'

    found = [line(side, side) for side in ("left", "right") if record.skeleton.pairs]
    if record.target is not None and record.prediction is not None:
        box = '<input type="checkbox" id="look-truth" checked>'
        found.append(
            f'<span><label style="flex-direction:row;align-items:center;color:inherit">{box}'
            f'<i style="background:var(--truth);height:4px"></i>truth</label></span>'
        )
    texts = bound_texts(len(record.skeleton))
    found.append(line("curve2", f"{texts[0]} of the attention", WIDTH[0]))
    if len(texts) > 1:
        found.append(line("curve2", f"{texts[-1].removeprefix('above ')} and more", WIDTH[len(texts) - 1]))
    return "".join(found)
