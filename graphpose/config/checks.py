"""Checks of single settings; a fault is a `ConfigError` that starts with the setting's name."""

from __future__ import annotations

import math

from graphpose.errors import ConfigError

__all__ = ["positive", "require", "share"]


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Refuses where the condition does not hold."""
    if not condition:
        raise ConfigError(f"{name}: expected {expected} (got {got!r})")


def positive(name: str, value: float | None, *, optional: bool = False) -> None:
    """Refuses what is no number above 0; an `optional` one may be null."""
    if not (optional and value is None):
        require(value is not None and math.isfinite(value) and value > 0, name, "a number above 0", value)


def share(name: str, value: float) -> None:
    """Refuses what is no number in [0, 1)."""
    require(math.isfinite(value) and 0 <= value < 1, name, "a share in [0, 1)", value)
