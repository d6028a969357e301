"""Colours of every figure, once for light and once for dark pages.

Left, right and the curves take the colour-blind-safe set of Okabe and Ito (2008, https://jfly.uni-koeln.de/color/).
Figures are made in the light colours; the page maps each light colour to the dark one of the same name, so every light
colour is unique.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphpose.skeleton import Skeleton

__all__ = ["CURVES", "DARK", "FONT", "LIGHT", "css_variables", "sides"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"

LIGHT = {
    "background": "#f6f7f9",
    "card": "#ffffff",
    "border": "#dde1e7",
    "grid": "#e6e9ee",
    "text": "#1c2430",
    "muted": "#5a6675",
    "accent": "#0b63a5",
    "bar": "#8fc1e6",
    "left": "#0072b2",
    "right": "#d55e00",
    "middle": "#3d4652",
    "truth": "#8b939e",
    "curve0": "#0072b1",
    "curve1": "#d55e01",
    "curve2": "#009e73",
    "curve3": "#cc79a7",
    "curve4": "#b07d00",
    "curve5": "#4a9fd4",
}

DARK = {
    "background": "#12161c",
    "card": "#1a2029",
    "border": "#323b48",
    "grid": "#2c3440",
    "text": "#e7ebf0",
    "muted": "#a3aebc",
    "accent": "#7cc0f2",
    "bar": "#39759f",
    "left": "#56b4e9",
    "right": "#f08a3c",
    "middle": "#d5dbe3",
    "truth": "#8993a0",
    "curve0": "#56b4e8",
    "curve1": "#f08a3d",
    "curve2": "#2fc79b",
    "curve3": "#e39cc4",
    "curve4": "#e0b13a",
    "curve5": "#9ad0f5",
}

CURVES = tuple(name for name in LIGHT if name.startswith("curve"))


def sides(skeleton: Skeleton) -> list[str]:
    """Per joint "left", "right" or "middle": its colour name. Without pairs every joint is "middle"."""
    left, right = set(skeleton.left), set(skeleton.right)
    return ["left" if j in left else "right" if j in right else "middle" for j in range(len(skeleton.joints))]


def css_variables() -> str:
    """The two palettes as CSS custom properties, `--text` and so on; dark ones under `prefers-color-scheme: dark`."""

    def block(colours: dict[str, str], names: Sequence[str]) -> str:
        return " ".join(f"--{name}: {colours[name]};" for name in names)

    names = list(LIGHT)
    return (
        f":root {{ color-scheme: light dark; --font: {FONT}; {block(LIGHT, names)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {block(DARK, names)} }} }}\n"
    )
