"""Data larger than memory: how fast a store is prepared and read, and how much memory that takes.

    python tests/benchmarks/bench_store.py [--frames 10000000] [--temp FOLDER]

The frames are those of the bundled clips on 17 joints, tiled to npz files of 2,000 frames, each file turned by another angle; 408
bytes of disk a frame for files and store together, removed at the end. Every figure comes from a process of its own, whose peak
memory (`ru_maxrss`, everything that it imports included) is printed. The store is compared with the same loader on the same
windows of as many frames as are held in memory (at most --in-memory); the two take turns, so that a slow moment hits both, and
their processor time is given too, which others on the machine change less than the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import resource
import shutil
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
PER_FILE = 2_000


def peak_mib(who: int = resource.RUSAGE_SELF) -> float:
    """Largest resident memory so far, MiB."""
    return resource.getrusage(who).ru_maxrss / 1024


def write_sources(link: Connection, folder: Path, frames: int) -> None:
    """Tiles the bundled clips to npz files of `PER_FILE` frames; each file has its own direction and beginning."""
    from graphpose.formats import read_all

    clips = [clip.to("h36m17") for clip in read_all(SAMPLES)]
    root = [clip.positions[:, :1].mean(0) * np.array([1, 0, 1]) for clip in clips]
    motion = np.concatenate([(clip.positions - mean).numpy() for clip, mean in zip(clips, root, strict=True)])
    for number in range(math.ceil(frames / PER_FILE)):
        size = min(PER_FILE, frames - number * PER_FILE)
        angle = number * 2.399963  # radians, the golden angle: no two files are turned alike
        turn = np.array([[math.cos(angle), 0, -math.sin(angle)], [0, 1, 0], [math.sin(angle), 0, math.cos(angle)]])
        rows = (np.arange(size) + 97 * number) % len(motion)
        subject = folder / f"S{number % 20:02d}"
        subject.mkdir(exist_ok=True)
        np.savez(subject / f"take{number:05d}.npz", positions=(motion[rows] @ turn).astype(np.float32), fps=30.0)
    link.send(None)


def prepare(link: Connection, sources: Path, store: Path, workers: int, start: str) -> None:
    """Prepares the store; sends frames/s and the peak memory of this process and of its largest worker."""
    from graphpose.config import DataConfig
    from graphpose.datasets import prepare_store

    # this process was spawned, and its children would be too, each importing everything again; the command line's are not
    multiprocessing.set_start_method(start, force=True)
    begin = time.perf_counter()
    made = prepare_store(DataConfig(paths=[str(sources)]), store, workers=workers)
    seconds = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    link.send((made, seconds, size, peak_mib(), peak_mib(resource.RUSAGE_CHILDREN)))


def iterate(link: Connection, paths: list[str], batch: int, window: int, stride: int | None, workers: int) -> None:
    """Loads batches as training does: on "epoch" a whole epoch, on a number for so many seconds; sends windows/s."""
    import torch

    from graphpose.config import DataConfig, SplitConfig
    from graphpose.datasets import PoseDataModule
    from graphpose.engine.allocator import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()  # as training on a CPU does
    begin = time.perf_counter()
    config = DataConfig(
        paths, frames=window, stride=stride, batch_size=batch, workers=workers, split=SplitConfig("subject", [], 0.0)
    )
    loader = PoseDataModule(config).train_dataloader()
    batches = iter(loader)
    next(batches)
    link.send((repr(loader.dataset), time.perf_counter() - begin, peak_mib()))
    while (order := link.recv()) is not None:
        begin, worked, windows, ends = time.perf_counter(), time.process_time(), 0, math.inf
        if order != "epoch":
            ends = begin + order
        while time.perf_counter() < ends:
            one = next(batches, None)
            if one is None:
                batches = iter(loader)
                if order == "epoch":
                    break
                continue
            windows += one.num_graphs
        seconds, worked = time.perf_counter() - begin, time.process_time() - worked
        link.send((windows, seconds, worked, peak_mib(), peak_mib(resource.RUSAGE_CHILDREN)))


class Child:
    """A function of this file in a process of its own."""

    def __init__(self, work: Any, *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.link, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, *args))
        self.process.start()
        theirs.close()

    def ask(self, order: Any = None) -> Any:
        """What it sends, after an order where one is given."""
        if order is not None:
            self.link.send(order)
        return self.link.recv()

    def end(self) -> None:
        """Waits for its end."""
        if self.process.is_alive():
            with contextlib.suppress(BrokenPipeError):
                self.link.send(None)
        self.process.join()


def run(given: argparse.Namespace, folder: Path) -> None:
    """Prints the figures."""
    sources, store = folder / "sources", folder / "store"
    sources.mkdir()
    child = Child(write_sources, sources, given.frames)
    child.ask()
    child.end()
    size = sum(path.stat().st_size for path in sources.rglob("*.npz"))
    print(
        f"sources: {given.frames:,} frames in {len(list(sources.rglob('*.npz'))):,} files, {size / 2**30:.2f} GiB in {folder}"
    )

    child = Child(prepare, sources, store, given.workers, multiprocessing.get_start_method())
    made, seconds, size, own, largest = child.ask()
    child.end()
    print(
        f"prepare: {made.frames / seconds:,.0f} frames/s with {given.workers} workers ({seconds:.0f} s, {made.clips:,} clips, "
        f"{made.shards} shards, {size / 2**30:.2f} GiB); peak memory {own:.0f} MiB, largest worker {largest:.0f} MiB",
        flush=True,
    )

    stored = Child(iterate, [str(store)], given.batch_size, given.window, given.stride, given.loader_workers)
    what, seconds, memory = stored.ask()
    print(f"store:   {what}; first batch after {seconds:.1f} s, {memory:.0f} MiB", flush=True)
    windows, seconds, worked, memory, children = stored.ask("epoch")
    print(
        f"store:   a whole epoch, {windows:,} windows in {seconds:.0f} s = {windows / seconds:,.0f} windows/s "
        f"({worked:.0f} s of processor time); peak memory {memory:.0f} MiB"
        + (f", largest worker {children:.0f} MiB" if given.loader_workers else ""),
        flush=True,
    )
    count = math.ceil(min(given.in_memory, given.frames) / PER_FILE)
    paths = [str(path) for path in sorted(sources.rglob("*.npz"), key=lambda path: path.name)[:count]]
    memory_peer = Child(iterate, paths, given.batch_size, given.window, given.stride, given.loader_workers)
    what, seconds, memory = memory_peer.ask()
    print(f"memory:  {what}; first batch after {seconds:.1f} s, {memory:.0f} MiB", flush=True)
    speeds: dict[str, list[float]] = {"store": [], "memory": []}
    costs: dict[str, list[float]] = {"store": [], "memory": []}
    for _ in range(given.rounds):
        for name, one in (("store", stored), ("memory", memory_peer)):
            windows, seconds, worked, peak, _ = one.ask(given.seconds)
            speeds[name].append(windows / seconds)
            costs[name].append(1e6 * worked / windows)
            memory = peak if name == "store" else memory
    stored.end()
    memory_peer.end()
    ours, theirs = (statistics.median(speeds[name]) for name in ("store", "memory"))
    cost, other = (statistics.median(costs[name]) for name in ("store", "memory"))
    shares = sorted(one / two for one, two in zip(speeds["store"], speeds["memory"], strict=True))
    print(
        f"taking turns, {given.rounds} rounds of {given.seconds:g} s, batches of {given.batch_size} windows of {given.window}:\n"
        f"  wall clock      store {ours:,.0f} windows/s, in memory ({count * PER_FILE:,} frames) {theirs:,.0f} windows/s: share "
        f"{ours / theirs:.2f} (rounds {shares[0]:.2f} to {shares[-1]:.2f})\n"
        f"  processor time  store {cost:.1f} us a window, in memory {other:.1f} us a window: share {other / cost:.2f}\n"
        f"  peak memory of the store's process {memory:.0f} MiB"
    )


def main() -> None:
    """Reads the options, runs in a temporary folder and removes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--in-memory", type=int, default=1_000_000, help="frames of the peer in memory")
    parser.add_argument("--temp", type=Path, help="folder for the temporary one (default: that of the system)")
    parser.add_argument("--workers", type=int, default=2, help="processes that prepare")
    parser.add_argument("--loader-workers", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--window", type=int, default=27)
    parser.add_argument("--stride", type=int)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="graphpose_store_", dir=given.temp))
    free = shutil.disk_usage(folder).free
    try:
        if free < 420 * given.frames:
            raise SystemExit(
                f"{folder}: expected {420 * given.frames / 2**30:.1f} GiB of room (got {free / 2**30:.1f})"
            )
        run(given, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
