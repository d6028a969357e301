"""The commands there are: every module of `commands/`, read off its file name, docstring and functions."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jsonargparse import ArgumentParser, Namespace

__all__ = ["Command", "commands"]


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        words: what is typed after `graphpose`, e.g. ("skeleton", "list").
        summary: one line for the list of commands.
        text: the whole help text.
        add_arguments: declares its arguments on a parser.
        run: does the work with the arguments that were given; returns the exit code, None for 0.
        shorthands: options that stand for longer ones, e.g. {"--output": "--run.output"}.
        refusals: beginnings of options that it lacks although others have them, and what to do in their place.
    """

    words: tuple[str, ...]
    summary: str
    text: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int | None]
    shorthands: Mapping[str, str] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The words with spaces between."""
        return " ".join(self.words)


def commands() -> dict[tuple[str, ...], Command]:
    """Every command by its words, sorted."""
    package = importlib.import_module("graphpose.cli.commands")
    found = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        words = tuple(info.name.split("_"))
        text = inspect.cleandoc(module.__doc__ or "")
        shorthands = getattr(module, "SHORTHANDS", {})
        refusals = getattr(module, "REFUSALS", {})
        found[words] = Command(
            words, text.splitlines()[0], text, module.add_arguments, module.run, shorthands, refusals
        )
    return found
