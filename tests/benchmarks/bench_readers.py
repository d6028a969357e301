"""Frames a second of the BVH reader beside upc-pymotion's loader, on the same files in the same run, folder by folder.

    python tests/benchmarks/bench_readers.py FILE_OR_FOLDER ... [--repeat 5]

What each figure includes:

- `read`: `graphpose.formats.read`, the whole way to a clip: the text, faults looked for with their line, Euler angles to
  matrices, forward kinematics to world positions and rotations of every joint in float64, the skeleton (recognised,
  validated; remembered for the next file with the same joints), the clip's own checks, the check of unit and rate.
- `parse`: `graphpose.formats.bvh.parse_bvh`, the text to the tree and the channels, all faults looked for; no kinematics.
- `upc-pymotion`: `BVH().load`, the text to offsets, local positions and Euler angles; no kinematics, no checks.

`read/peer` compares unequal work, to the peer's favour; `parse/peer` about the same work. Each file is read `repeat`
times by all in turn and the best time of each counts, so files come from the page cache. AMC files, which the peer does
not read, are counted for `read` alone.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from graphpose import formats
from graphpose.formats.bvh import parse_bvh

__all__ = ["compare"]

READERS = ("read", "parse", "upc-pymotion")


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(files: list[Path], repeat: int = 5) -> dict[str, float]:
    """Frames a second of each reader over all files of one format, and the number of frames, by name."""
    readers: dict[str, Callable[[Path], object]] = {"read": formats.read}
    if files[0].suffix.lower() == ".bvh":
        from pymotion.io.bvh import BVH

        readers |= {"parse": parse_bvh, "upc-pymotion": lambda path: BVH().load(str(path))}
    frames, total = 0, dict.fromkeys(readers, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", formats.ImplausibleMotionWarning)  # units are not what is measured
        for path in files:
            frames += len(formats.read(path))
            times: dict[str, list[float]] = {name: [] for name in readers}
            for _ in range(repeat):
                for name, reader in readers.items():
                    times[name].append(_seconds(lambda reader=reader, path=path: reader(path)))  # type: ignore[misc]
            for name in readers:
                total[name] += min(times[name])
    return {"frames": float(frames), **{name: frames / seconds for name, seconds in total.items()}}


def main() -> None:
    """Print one line for each path and format."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    print(
        "frames/s; read = everything up to the checked clip, parse = text to channels, upc-pymotion = text to channels"
    )
    columns = (*READERS, "read/peer", "parse/peer")
    print(f"{'files':>5} {'frames':>8} " + " ".join(f"{name:>12}" for name in columns) + "  path")
    for path in arguments.paths:
        for suffix in (".bvh", ".amc"):
            files = [file for file in formats.expand(path) if file.suffix.lower() == suffix]
            if not files:
                continue
            result = compare(files, arguments.repeat)
            cells = [f"{result[name]:12,.0f}" if name in result else f"{'-':>12}" for name in READERS]
            for name in ("read", "parse"):
                peer = result.get("upc-pymotion")
                cells.append(f"{'-':>12}" if peer is None else f"{result[name] / peer:12.2f}")
            print(f"{len(files):>5} {result['frames']:>8,.0f} " + " ".join(cells) + f"  {path} ({suffix[1:]})")


if __name__ == "__main__":
    main()
