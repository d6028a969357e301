"""Check a skeleton file; lists every fault and exits with 1 when there is one."""

from __future__ import annotations

import sys

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Which files."""
    parser.add_argument("file", type=str, nargs="+", help="YAML files of skeletons")


def run(args: Namespace) -> int:
    """One line a fault on stderr, one line a sound file on stdout."""
    from graphpose.errors import SkeletonError
    from graphpose.skeleton import Skeleton

    faults = 0
    for file in args["file"]:
        try:
            skeleton = Skeleton.load(file)
        except SkeletonError as error:
            faults += len(error.problems)
            for problem in error.problems:
                print(f"graphpose: error: {error.source or file}: {problem}", file=sys.stderr)
        else:
            root = skeleton.joints[skeleton.root]
            print(f"{file}: fine, {skeleton.num_joints} joints, {len(skeleton.pairs)} pairs, root {root}")
    return 1 if faults else 0
