"""Errors that a user can mend: one line that names the thing at fault and says what to do.

Everything raised on bad *input* (files, configurations, names, shapes) derives from `GraphposeError`, so the command line can
print it without a traceback and a script can catch it. Broken invariants of our own stay `AssertionError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "FormatError",
    "GraphposeError",
    "SkeletonError",
    "nearest",
    "unknown_name",
    "unknown_names",
]


class GraphposeError(ValueError):
    """Base class of every error that bad input can cause."""


class SkeletonError(GraphposeError):
    """A skeleton or joint mapping is not what it has to be; `problems` lists every fault found, not only the first."""

    def __init__(self, problems: str | Iterable[str], *, source: str | None = None) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        self.source = source
        text = "; ".join(self.problems)
        super().__init__(f"{source}: {text}" if source else text)


class FormatError(GraphposeError):
    """A file cannot be read; carries the path and, where there is one, the 1-based line."""

    def __init__(self, path: str | Path, message: str, *, line: int | None = None) -> None:
        self.path = Path(path)
        self.line = line
        super().__init__(f"{path}:{line}: {message}" if line is not None else f"{path}: {message}")


class DataError(GraphposeError):
    """Clips, windows or splits that cannot be used as asked (wrong joints, too short, leaking splits, …)."""


class ConfigError(GraphposeError):
    """A configuration value or key that cannot be used."""


class CheckpointError(GraphposeError):
    """Weights that do not fit, or a checkpoint file that is damaged or of another kind."""


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that `name` resembles or is the beginning of, whatever the case of its letters; None where it is like none of them.

    >>> nearest("ktp", ["mpjpe", "ktpformer"])
    'ktpformer'
    >>> nearest("lwrist", ["Rwrist", "Lwrist"])
    'Lwrist'
    >>> nearest("colour", ["source", "joints"])
    """
    name, folded = str(name), str(name).casefold()
    spelled: dict[str, list[str]] = {}  # the choices by their letters without case
    for choice in map(str, choices):
        spelled.setdefault(choice.casefold(), []).append(choice)
    close = difflib.get_close_matches(folded, spelled, n=1, cutoff=0.6)
    begun = (choice for choice in spelled if len(folded) > 1 and choice.startswith(folded))
    found = close[0] if close else next(begun, None)
    return None if found is None else difflib.get_close_matches(name, spelled[found], n=1, cutoff=0.0)[0]


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> str:
    """The message for an unknown `name`: the nearest choice first, then all of them.

    >>> unknown_name("joint", "Rhipp", ["Rhip", "Lhip"])
    "unknown joint 'Rhipp' (did you mean 'Rhip'?); choose from: Rhip, Lhip"
    """
    return unknown_names(kind, [name], choices)


def unknown_names(kind: str, unknown: Iterable[str], choices: Iterable[str]) -> str:
    """The same for one or more unknown names, in one sentence.

    >>> unknown_names("key", ["chanels", "x"], ["channels", "depth"])
    "unknown keys 'chanels' (did you mean 'channels'?), 'x'; choose from: channels, depth"
    """
    names = [str(choice) for choice in choices]
    told = []
    for name in unknown:
        close = nearest(name, names)
        told.append(f"{name!r} (did you mean {close!r}?)" if close is not None else repr(name))
    plural = "s" if len(told) > 1 else ""
    known = ", ".join(names) if names else "nothing is registered"
    return f"unknown {kind}{plural} {', '.join(told)}; choose from: {known}"
