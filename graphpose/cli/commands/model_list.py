"""List the models."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """None."""


def run(args: Namespace) -> None:
    """One line a model."""
    from graphpose import models

    for name in models.available():
        print(models.describe(name).splitlines()[0])
