"""Prepare a store: clips in files that training reads window by window, for data larger than memory.

  graphpose data prepare mocap/ --out stores/mocap --skeleton h36m17
  graphpose train --data stores/mocap --output runs/big

What was begun goes on with the same command, after Ctrl-C or a crash too. Cameras, windows and split are chosen when training.
"""

from __future__ import annotations

import sys
from typing import Optional

from jsonargparse import ArgumentParser, Namespace

from graphpose.config import DataConfig
from graphpose.structured import build

SETTINGS = ("skeleton", "mapping", "scale", "recorded_fps", "fps", "name_pattern")


def add_arguments(parser: ArgumentParser) -> None:
    """Which files, where to, and the settings of `DataConfig` that decide the frames."""
    parser.add_argument("path", type=str, nargs="+", help="files, archives or folders (searched through) with clips")
    parser.add_argument("--out", metavar="STORE", type=str, required=True, help="folder of the store")
    parser.add_argument("--skeleton", type=str, help="name or YAML file of the skeleton; without it the clips' own")
    parser.add_argument("--mapping", type=str, help="YAML file of the joint mapping to it")
    parser.add_argument("--scale", type=float, help="metres per unit of the files (default: the format's own)")
    parser.add_argument("--recorded_fps", type=float, help="frames per second, in place of what the files say")
    parser.add_argument(
        "--fps",
        type=Optional[float],  # noqa: UP045  (Python 3.10's parser takes no X | None here)
        help="frames per second to resample to (default: 30; null: as they are)",
    )
    parser.add_argument(
        "--name_pattern", type=str, help="regular expression with groups subject and action, searched in the paths"
    )
    parser.add_argument("--reader_options", type=dict, help="options of the file format, {name: value}")
    parser.add_argument(
        "--workers", type=int, help="processes that read and write (default: one a processor, 8 at most)"
    )
    parser.add_argument("--skip_broken", action="store_true", help="leave out files that cannot be used")
    parser.add_argument("--overwrite", action="store_true", help="replace the store that is there")


def run(args: Namespace) -> int:
    """Makes the store and says what is in it; every file that cannot be used gets a line on stderr."""
    names = (*SETTINGS, "reader_options")
    chosen = {name: args[name] for name in names if name in args}
    config = build(DataConfig, {"paths": list(args["path"]), **chosen})
    import os

    from tqdm.auto import tqdm

    from graphpose.datasets import SourceFaults, prepare_store

    workers = min(8, os.cpu_count() or 1) if args.get("workers") is None else args["workers"]
    with tqdm(desc="preparing", unit="file", dynamic_ncols=True) as bar:

        def show(done: int, total: int, frames: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.set_postfix_str(f"{frames:,} frames")

        try:
            made = prepare_store(
                config,
                args["out"],
                workers=workers,
                skip_broken=bool(args.get("skip_broken")),
                overwrite=bool(args.get("overwrite")),
                progress=show,
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt("stopped; the same command goes on where this one was") from None
        except SourceFaults as error:
            bar.close()
            for line in error.faults[5:]:  # the first five stand in the error itself
                print(f"graphpose: error: {line}", file=sys.stderr)
            raise
    for path, fault in made.skipped:
        print(f"graphpose: left out: {fault if fault.startswith(path) else f'{path}: {fault}'}", file=sys.stderr)
    left = f", {len(made.skipped)} files left out" if made.skipped else ""
    print(
        f"{made.path}: {made.clips:,} clips, {made.frames:,} frames in {made.shards} shards ({made.made} made now){left}"
    )
    print(f"next: graphpose train --data {made.path}")
    return 0
