"""The published implementations that graphpose reads, by name."""

from __future__ import annotations

from graphpose.models.published.family import Family
from graphpose.models.published.mixste import ktpformer_name, ktpformer_sizes, mixste_name, mixste_sizes

__all__ = ["FAMILIES"]

FAMILIES: dict[str, Family] = {
    "ktpformer": Family("ktpformer", ktpformer_name, ktpformer_sizes),
    "mixste": Family("mixste", mixste_name, mixste_sizes),
}
