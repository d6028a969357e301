"""Graph batches a second from `PoseLoader` against plain tensor loaders over the same windows, in one run.

    python tests/benchmarks/bench_loader.py [PATH ...] [--frames 27] [--batch-size 16]

Peers: "per item" is a torch DataLoader over a dataset whose items are the tensors (x, y) of a window, stacked by torch's default
collation. "same fetch" is a torch DataLoader that hands over the tensors of `PoseWindows.fetch` (random starts, mirror images), and
no graph is made of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from graphpose.config import DataConfig, SplitConfig
from graphpose.datasets import PoseDataModule, PoseLoader, PoseWindows

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


class PerItem(Dataset[tuple[Tensor, Tensor]]):
    """Window tensors, one at a time, cut from the same arrays."""

    def __init__(self, windows: PoseWindows) -> None:
        everything = windows.fetch(np.arange(len(windows)), 0)
        self.x, self.y = everything["x"], everything["y"]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]


class SameFetch(Dataset[dict[str, Tensor]]):
    """Whole batches of tensors, gathered as for the graphs."""

    def __init__(self, windows: PoseWindows) -> None:
        self.windows = windows

    def __getitem__(self, indices: list[int]) -> dict[str, Tensor]:
        return self.windows.fetch(indices)


def run(
    paths: Sequence[str | Path] = (), frames: int = 27, batch_size: int = 16, workers: Sequence[int] = (0, 2)
) -> list[dict[str, Any]]:
    """One row a number of workers: batches/s of the three loaders, and our share of each peer."""
    config = DataConfig(
        paths=[str(path) for path in paths or [SAMPLES]],
        skeleton="h36m17" if not paths else None,
        frames=frames,
        stride=max(1, frames // 4),
        batch_size=batch_size,
        split=SplitConfig("file", [], 0.0),
        fps=None,
    )
    module = PoseDataModule(config)
    module.setup()
    windows = module.windows["train"]
    items = PerItem(windows)
    rows = []
    for count in workers:
        options: dict[str, Any] = {"num_workers": count, "persistent_workers": count > 0}
        if count:
            options["prefetch_factor"] = 4
        sampler = BatchSampler(RandomSampler(items), batch_size, drop_last=False)
        loaders: dict[str, Callable[[], Iterable[Any]]] = {
            "graphs": _forever(PoseLoader(windows, batch_size, shuffle=True, workers=count)),
            "per item": _forever(DataLoader(items, batch_size, shuffle=True, **options)),
            "same fetch": _forever(DataLoader(SameFetch(windows), batch_size=None, sampler=sampler, **options)),
        }
        speed = _measure(loaders)
        rows.append(
            {
                "frames": frames,
                "batch_size": batch_size,
                "workers": count,
                **{f"{name} batches/s": round(value, 1) for name, value in speed.items()},
                "share of per item": round(speed["graphs"] / speed["per item"], 3),
                "share of same fetch": round(speed["graphs"] / speed["same fetch"], 3),
            }
        )
    return rows


def _forever(loader: Iterable[Any]) -> Callable[[], Iterable[Any]]:
    def batches() -> Iterable[Any]:
        while True:
            yield from loader

    return batches


def _measure(
    loaders: dict[str, Callable[[], Iterable[Any]]], rounds: int = 7, seconds: float = 0.4
) -> dict[str, float]:
    """Batches/s of each, the median over rounds in which they take turns, so that a slow moment hits all of them."""
    running = {name: iter(make()) for name, make in loaders.items()}
    speeds: dict[str, list[float]] = {name: [] for name in loaders}
    for batches in running.values():
        for _ in range(20):
            next(batches)
    for _ in range(rounds):
        for name, batches in running.items():
            begin, count = time.perf_counter(), 0
            while time.perf_counter() - begin < seconds or count < 20:
                next(batches)
                count += 1
            speeds[name].append(count / (time.perf_counter() - begin))
    return {name: float(np.median(values)) for name, values in speeds.items()}


def main() -> None:
    """Prints the rows of `run` for the paths on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files or folders with clips; the bundled samples when left out")
    parser.add_argument("--frames", type=int, default=27)
    parser.add_argument("--batch-size", type=int, default=16)
    given = parser.parse_args()
    for row in run(given.paths, given.frames, given.batch_size):
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
