"""Convert motion files: IN is a file, an archive or folders of them, OUT a file or a folder that mirrors the tree.

  graphpose data convert walk.bvh walk.csv
  graphpose data convert mocap/ converted/ --to trc --resample 60
  graphpose data convert trial.c3d poses.npz --markers markers.yaml --map_to h36m17

Nothing is replaced without --overwrite, which is checked for all outputs before the first is written. Files appear
whole or not at all. A file that cannot be converted is reported and the others go on; then the exit code is 1. What
the format of OUT does not hold is said at the end.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.parsing import UsageError
from graphpose.cli.reading import add_reading, reading_options
from graphpose.errors import ConfigError, GraphposeError

if TYPE_CHECKING:
    from graphpose.formats._conversion import Plan
    from graphpose.motion.clip import MotionClip

_WRITING = ("digits", "unit", "identity_rotations")


def add_arguments(parser: ArgumentParser) -> None:
    """What, where to, how to read it and how to write it."""
    parser.add_argument("path", type=str, nargs="+", metavar="PATH", help="IN ..., files and folders, and OUT last")
    parser.add_argument(
        "--to", type=str, help="format to write: bvh, c3d, csv, npz, trc (default: by the suffix of OUT)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that are there already")
    add_reading(parser)
    parser.add_argument("--skeleton", type=str, help="skeleton of files that hold none (AMC: the ASF file)")
    parser.add_argument(
        "--name_pattern", type=str, help="regular expression with groups subject and action, for labels"
    )
    parser.add_argument("--map_to", type=str, help="skeleton to put the clips on")
    parser.add_argument("--mapping", type=str, help="YAML file of the joint mapping to it (default: a bundled one)")
    parser.add_argument("--resample", type=float, help="frames per second to write (default: those of the clip)")
    parser.add_argument(
        "--level_camera",
        action="store_true",
        help="put clips in the frame of an unknown camera (poses of `predict`) upright, as if it had been held level",
    )
    parser.add_argument("--unit", type=str, help="unit to write, mm, cm or m (c3d and trc; default: mm)")
    parser.add_argument("--digits", type=int, help="decimals to write (bvh, csv and trc)")
    parser.add_argument(
        "--identity_rotations",
        action="store_true",
        help="bvh: write clips without rotations too, as joints that move and never turn",
    )


def run(args: Namespace) -> int:
    """Plans, then reads and writes file after file; one line on stderr for each fault."""
    *sources, out = args["path"]
    if not sources:
        raise UsageError("data convert: expected IN and OUT (got one path); see graphpose data convert --help")
    if args.get("mapping") is not None and args.get("map_to") is None:
        raise UsageError("--mapping: expected --map_to with the skeleton that it maps to")
    from tqdm.auto import tqdm

    from graphpose.formats import read_all
    from graphpose.formats._conversion import convert, lost, make_plan

    reading = reading_options(args, "skeleton", "name_pattern")

    def read(file: Path) -> list[MotionClip]:
        return [_changed(clip, args) for clip in read_all(file, **reading)]

    plan = make_plan(sources, out, args.get("to"), read, overwrite=args.get("overwrite", False))
    writing = _writing_options(args, plan)
    faults = list(plan.faults)
    gone: Counter[str] = Counter()
    files = written = 0
    for step in tqdm(plan.steps, desc="converting", unit="file", disable=None):
        try:
            clips = read(step.source)
            convert(step, clips, **writing)
        except GraphposeError as fault:
            faults.append(fault)
            continue
        files += 1
        written += len(clips)
        for i, clip in enumerate(clips):
            gone.update(lost(clip, step.targets[min(i, len(step.targets) - 1)], plan.format))
    if len(faults) == 1 and not written:
        raise faults[0]
    for each in faults:
        print(f"graphpose: error: {each}", file=sys.stderr)
    print(f"{files} files, {written} clips written to {out} ({plan.format.name})")
    for what, count in gone.items():
        print(f"not held by {plan.format.name}, and left out of {count} clips: {what}")
    return 1 if faults else 0


def _changed(clip: MotionClip, args: Namespace) -> MotionClip:
    from graphpose.formats._conversion import seen_level

    if args.get("level_camera", False):
        clip = seen_level(clip)
    if args.get("map_to") is not None:
        clip = clip.to(args["map_to"], args.get("mapping"))
    return clip if args.get("resample") is None else clip.resample(args["resample"])


def _writing_options(args: Namespace, plan: Plan) -> dict[str, Any]:
    given = {name: args[name] for name in _WRITING if args.get(name) not in (None, False)}
    for name in given:
        if name not in plan.format.write_options:
            raise ConfigError(f"--{name} does not apply to {plan.format.name} files")
    if not 0 <= given.get("digits", 6) <= 15:
        raise ConfigError(f"--digits: expected 0 to 15 decimals (got {given['digits']})")
    return given
