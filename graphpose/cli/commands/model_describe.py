"""Describe a model: what it is, its options, their types and defaults."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Which model."""
    parser.add_argument("name", type=str, help="name of a model (graphpose model list)")


def run(args: Namespace) -> None:
    """Prints the description."""
    from graphpose import models

    print(models.describe(args["name"]))
