"""Describe a model: what it is, its options, their types and defaults."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given


def add_arguments(parser: ArgumentParser) -> None:
    """Which model."""
    parser.add_argument("name", type=str, help="name of a model (graphpose model list)")
    add_import(parser)


def run(args: Namespace) -> None:
    """Prints the description."""
    import_given(args)
    from graphpose import models

    print(models.describe(args["name"]))
