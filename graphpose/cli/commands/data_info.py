"""Show what is in motion files: frames, rate, joints, size and length of every clip, and a summary.

graphpose data info data/samples

The extent is the longest way along the bones from a joint that is neither left nor right, in metres: of a person about
the height, from the head joint to the toes. A bone between the body and a mark on the ground does not count.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.reading import add_reading, is_store, reading_options


def add_arguments(parser: ArgumentParser) -> None:
    """Which files, and how to read them."""
    parser.add_argument("path", type=str, nargs="+", help="files, archives or folders")
    add_reading(parser)
    parser.add_argument(
        "--skeleton", type=str, help="skeleton of files that name no joints, or the ASF file of AMC files"
    )


def run(args: Namespace) -> None:
    """A table of the clips and their sums."""
    from graphpose.formats import read_all
    from graphpose.skeleton import Skeleton

    options = reading_options(args)
    skeleton = args.get("skeleton")
    if skeleton is not None and skeleton.lower().endswith(".asf"):
        options["skeleton"] = skeleton
    elif skeleton is not None:
        options["nameless"] = Skeleton.load(skeleton)
    files = [path for path in args["path"] if not is_store(path)]
    clips = read_all(files, **options) if files else []
    for path in args["path"]:
        if is_store(path):
            from graphpose.datasets import ClipStore

            clips += ClipStore(path).clips
    facts = [clip.summary() for clip in clips]
    print("\n".join([table(facts), *labels(facts), summary(facts)]))


LISTED = 8  # values of a label that are shown
COLUMNS = ("clip", "frames", "fps", "seconds", "joints", "extent m", "missing", "subject", "action", "holds")


def table(facts: list[dict[str, Any]]) -> str:
    """One line a clip."""
    rows = [COLUMNS]
    for clip in facts:
        extent = clip.get("extent", math.nan)
        rows.append(
            (
                str(clip["name"]),
                str(clip["frames"]),
                f"{clip['fps']:.4g}",
                f"{clip['seconds']:.1f}",
                str(clip["joints"]),
                "-" if math.isnan(extent) else f"{extent:.2f}",
                f"{100 * clip['missing']:.1f} %",
                clip["subject"] or "-",
                clip["action"] or "-",
                "+".join(clip["holds"]),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    number = range(1, 7)
    lines = (
        "  ".join(
            cell.rjust(width) if i in number else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def summary(facts: list[dict[str, Any]]) -> str:
    """Sums over all clips in one line."""
    frames = sum(clip["frames"] for clip in facts)
    seconds = sum(clip["seconds"] for clip in facts)
    skeletons = sorted({f"{clip['skeleton']} ({clip['joints']} joints)" for clip in facts})
    subjects = {clip["subject"] for clip in facts} - {None}
    actions = {clip["action"] for clip in facts} - {None}
    return (
        f"{len(facts)} clips, {frames:,} frames, {seconds / 60:.1f} minutes; "
        f"{len(subjects)} subjects, {len(actions)} actions; skeletons: {', '.join(skeletons)}"
    )


def labels(facts: list[dict[str, Any]]) -> list[str]:
    """One line for each further label of the clips with its values, such as cameras, 2D input and split."""
    found: dict[str, Counter[str]] = {}
    for clip in facts:
        own = {"space": f"{clip['space']} space, {'with' if clip['camera'] else 'no'} camera", **clip["tags"]}
        for name, value in own.items():
            if " " in name:  # what graphpose knows a clip again by, no label of it
                continue
            found.setdefault(name, Counter())[value] += 1
    return [f"{name}: {_values(values)}" for name, values in found.items()]


def _values(values: Counter[str]) -> str:
    if len(values) > LISTED:
        return f"{len(values)} values"
    return ", ".join(f"{value} ({count} clips)" for value, count in values.items())
