"""The option --import of the commands that make or load models, declared once."""

from __future__ import annotations

from collections.abc import Sequence

from jsonargparse import ArgumentParser, Namespace

from graphpose.own_modules import import_modules

__all__ = ["OPTION", "add_import", "import_given", "named_modules"]

OPTION = "--import"


def add_import(parser: ArgumentParser) -> None:
    """Modules with models, priors, relations or pruning rules of one's own."""
    parser.add_argument(
        OPTION,
        metavar="MODULE[,MODULE]",
        type=str,
        help="import these first, for the models, priors, relations and pruning rules that they register; found on Python's "
        "path or in the current folder",
    )


def named_modules(args: Namespace) -> list[str]:
    """The modules given, none where the option was left out."""
    text = args.get("import")
    return [] if text is None else [name.strip() for name in text.split(",")]


def import_given(args: Namespace, recorded: Sequence[str] = ()) -> None:
    """Imports the modules of the option, then those `recorded` in a run's settings; raises `ConfigError`."""
    given = named_modules(args)
    import_modules(given, OPTION)
    import_modules([name for name in recorded if name not in given])
