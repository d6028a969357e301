"""List the models."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given


def add_arguments(parser: ArgumentParser) -> None:
    """Only modules of one's own."""
    add_import(parser)


def run(args: Namespace) -> None:
    """One line a model."""
    import_given(args)
    from graphpose import models

    for name in models.available():
        print(models.describe(name).splitlines()[0])
