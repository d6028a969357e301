"""List the bundled skeletons with their joints and left/right pairs."""

from __future__ import annotations

import textwrap

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """None."""


def run(args: Namespace) -> None:
    """One line a skeleton."""
    from graphpose.skeleton import Skeleton

    for name in Skeleton.available():
        skeleton = Skeleton.load(name)
        source = textwrap.shorten(skeleton.source, width=80, placeholder=" ...")
        print(f"{name:<18} {skeleton.num_joints:>3} joints  {len(skeleton.pairs):>2} pairs  {source}".rstrip())
