"""Check motion files: reads each one, reports every fault and warning, exits with 1 when a file has a fault.

graphpose data check mocap/ --skeleton h36m17
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.reading import add_reading, is_store, reading_options
from graphpose.errors import GraphposeError

if TYPE_CHECKING:
    from graphpose.motion import MotionClip
    from graphpose.skeleton import Skeleton


def add_arguments(parser: ArgumentParser) -> None:
    """Which files, and how to read them."""
    parser.add_argument("path", type=str, nargs="+", help="files, archives or folders")
    add_reading(parser)
    parser.add_argument("--skeleton", type=str, help="skeleton that the clips must map to")
    parser.add_argument("--mapping", type=str, help="YAML file of the joint mapping to it")


def run(args: Namespace) -> int:
    """One line a fault or warning on stderr; the counts on stdout."""
    from graphpose.formats import expand  # here, because it imports torch
    from graphpose.skeleton import Skeleton

    skeleton = Skeleton.load(args["skeleton"]) if args.get("skeleton") is not None else None
    options = reading_options(args)
    stores = [path for path in args["path"] if is_store(path)]
    others = [path for path in args["path"] if path not in stores]
    files = [*map(Path, stores), *(expand(others) if others else [])]
    clips = faults = warned = 0
    for file in files:
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                clips += _check(file, options, skeleton, args.get("mapping"))
        except GraphposeError as error:
            faults += 1
            print(f"graphpose: error: {error}", file=sys.stderr)
        for warning in caught:
            warned += 1
            print(f"graphpose: warning: {warning.message}", file=sys.stderr)
    print(f"{len(files)} files, {clips} sound clips, {faults} files with a fault, {warned} warnings")
    return 1 if faults else 0


def _check(file: Path, options: dict[str, Any], skeleton: Skeleton | None, mapping: str | None) -> int:
    """Reads all clips of a file, and maps them to the skeleton if one is asked for; gives their number.

    As in training, files without joint names that have as many joints as the skeleton are taken to be on it. A store counts
    as one file.
    """
    from graphpose.formats import read_all

    if is_store(str(file)):
        from graphpose.datasets import ClipStore

        clips: list[MotionClip] = [*ClipStore(file).clips]
    else:
        clips = read_all(file, nameless=skeleton, **options)
    for clip in clips:
        if skeleton is not None:
            clip.to(skeleton, mapping)
        missing = float(clip.missing.float().mean())
        if missing > 0:
            warnings.warn(
                f"{file}: {100 * missing:.1f} % of the joints of clip {clip.name!r} are missing", stacklevel=2
            )
    return len(clips)
