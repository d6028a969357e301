"""The HTML of one playable example: captions, legend, controls, and the empty places the page's script draws into."""

from __future__ import annotations

from typing import Any

from graphpose.analysis.example import Example
from graphpose.analysis.page import escape

__all__ = ["player_html"]

_SPEEDS = (("0.25", "&frac14;&times;"), ("0.5", "&frac12;&times;"), ("1", "1&times;"), ("2", "2&times;"))


def player_html(k: int, example: Example, player: dict[str, Any]) -> str:
    """The article of example number `k`; `player` is its `pose_player.player_data`."""
    known = example.target is not None
    last = len(player["frames"]) - 1
    heading = (
        f'<div class="top"><h3>{escape(example.name)}</h3><div class="legend">{_legend(player, known)}</div></div>'
    )
    flat = f'<figure><figcaption>2D input</figcaption><div class="plot view" id="flat-{k}"></div></figure>'
    caption = "Predicted and true 3D" if known else "Predicted 3D"
    space = f'<figure><figcaption>{caption}</figcaption><div class="plot view" id="space-{k}"></div></figure>'
    speeds = "".join(f'<option value="{v}"{" selected" if v == "1" else ""}>{text}</option>' for v, text in _SPEEDS)
    controls = (
        f'<div class="controls"{"" if last else " hidden"}>'
        '<button type="button" class="play" aria-label="play">Play</button>'
        f'<input type="range" min="0" max="{last}" value="0" step="1" aria-label="frame">'
        f'<select aria-label="speed">{speeds}</select></div>'
    )
    chart = f'<div class="plot time" id="time-{k}" aria-label="error over time"></div>' if player["curve"] else ""
    return (
        f'<article class="card example" data-example="{k}">{heading}'
        f'<p class="note">{escape(_note(example, player))}</p>'
        f'<div class="views">{flat}{space}</div>{controls}<output class="status"></output>{chart}</article>'
    )


def _legend(player: dict[str, Any], known: bool) -> str:
    def line(colour: str) -> str:
        return f'<i style="background:var(--{colour})"></i>'

    sided = set(player["sides"]) != {"middle"}
    keys = [f"<span>{line(side)}{side}</span>" for side in ("left", "right") if sided]
    if known:
        keys.append(f'<label><input type="checkbox" class="truth" checked>{line("truth")}truth</label>')
    return "".join(keys)


def _note(example: Example, player: dict[str, Any]) -> str:
    """How long the clip is, which frames are shown, and the grid of the 3D view."""
    frames = player["frames"]
    plural = "" if example.frames == 1 else "s"
    words = [f"{example.frames} frame{plural} at {example.fps:g} Hz, skeleton {example.skeleton.name}"]
    if len(frames) < example.frames:
        step = frames[1] - frames[0] if len(frames) > 1 else example.frames
        cut = frames[-1] + step < example.frames
        part = f" of the first {(frames[-1] + step) / example.fps:.3g} s" if cut else ""
        words.append(f"one frame in {step}{part} shown" if step > 1 else f"the first {len(frames)} frames shown")
    words.append(f"3D grid {player['tick']:g} m")
    return "; ".join(words)
