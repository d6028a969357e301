"""The data sets there are: every module of this folder that defines `SOURCE`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from graphpose.datasets.download import Patience
from graphpose.datasets.sources.findings import Finding
from graphpose.errors import ConfigError, unknown_name

__all__ = ["Source", "Wishes", "available", "find_source"]


@dataclass(frozen=True)
class Wishes:
    """What of a data set to fetch, and how.

    Args:
        subjects: which ones, as the data set names them.
        base: address of a mirror, in place of the publisher's.
        checksums: a list of SHA-256 that every file has to agree with.
        patience: how often and how long to try.
        show: draw progress bars; None: on a terminal.
        say: takes each line that the user should read.
    """

    subjects: tuple[str, ...] = ()
    base: str | None = None
    checksums: Path | None = None
    patience: Patience = field(default_factory=Patience)
    show: bool | None = None
    say: Callable[[str], None] = print


@dataclass(frozen=True)
class Source:
    """One data set.

    Args:
        name: short name.
        title: what it is called in papers.
        where: one paragraph: where to get it, what to do with it, which files to put into the folder.
        licence: one sentence.
        check: looks at what lies in a folder; no finding means that nothing of the data set is there.
        download: fetches into a folder what is wished; None where the licence lets each user fetch it only on their own.
    """

    name: str
    title: str
    where: str
    licence: str
    check: Callable[[Path], list[Finding]]
    download: Callable[[Path, Wishes], None] | None = None


@cache
def available() -> dict[str, Source]:
    """Every source by name, in alphabetical order."""
    package = importlib.import_module("graphpose.datasets.sources")
    found: dict[str, Source] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")):
        entry = getattr(importlib.import_module(f"{package.__name__}.{module}"), "SOURCE", None)
        if isinstance(entry, Source):
            found[entry.name] = entry
    return found


def find_source(name: str) -> Source:
    """The source of that name; raises `ConfigError` that names the nearest one and lists all."""
    sources = available()
    key = name.lower().replace("-", "_")
    if key not in sources:
        raise ConfigError(unknown_name("data set", name, sources))
    return sources[key]
