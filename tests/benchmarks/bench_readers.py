"""Frames a second of the BVH reader beside upc-pymotion's loader, on the same files in the same run.

    python tests/benchmarks/bench_readers.py FILE_OR_FOLDER ... [--repeat 3]

upc-pymotion parses the text to Euler angles only; the figure of graphpose includes forward kinematics to world
positions and rotations, the skeleton and the check of unit and rate. Each file is read `repeat` times by both in turn;
the best time counts.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from graphpose import formats

__all__ = ["compare"]


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(files: list[Path], repeat: int = 3) -> dict[str, float]:
    """Frames a second of both readers over all files: `{"graphpose": ..., "upc-pymotion": ..., "frames": ...}`."""
    from pymotion.io.bvh import BVH

    readers: dict[str, Callable[[Path], object]] = {
        "graphpose": formats.read,
        "upc-pymotion": lambda path: BVH().load(str(path)),
    }
    frames, total = 0, dict.fromkeys(readers, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", formats.ImplausibleMotionWarning)  # units are not what is measured
        for path in files:
            frames += len(formats.read(path))
            times: dict[str, list[float]] = {name: [] for name in readers}
            for _ in range(repeat):
                for name, reader in readers.items():
                    times[name].append(_seconds(lambda reader=reader, path=path: reader(path)))
            for name in readers:
                total[name] += min(times[name])
    return {"frames": float(frames), **{name: frames / seconds for name, seconds in total.items()}}


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    files = [f for p in arguments.paths for f in (sorted(p.rglob("*.bvh")) if p.is_dir() else [p])]
    result = compare(files, arguments.repeat)
    print(f"{len(files)} files, {result['frames']:,.0f} frames")
    for name in ("graphpose", "upc-pymotion"):
        print(f"{name:13} {result[name]:10,.0f} frames/s")
    print(f"ratio         {result['graphpose'] / result['upc-pymotion']:10.1f}")


if __name__ == "__main__":
    main()
