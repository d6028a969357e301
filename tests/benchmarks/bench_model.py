"""Seconds a forward pass and a training step take, and the memory they need, next to a plain implementation in the same run.

    python tests/benchmarks/bench_model.py [--turns 8] [--sizes small middle large] [--compile] [--profile]

A training step is forward, KTPFormer loss, backward and AdamW. The peer (`plain_ktpformer.py`) is the published formulas in
elementary eager operations. Each row is a process of its own, and the processes take turns of a few steps, so that whatever else
the machine does hits all alike; the median step is printed. The peer runs twice: as a script would run it, and with the setting
of the memory allocator that `graphpose train` makes (`graphpose/engine/allocator.py`). Peak memory is that of the process.
`--profile` says where the time of our step goes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from graphpose.engine.allocator import keep_freed_memory
from graphpose.losses import create_loss
from graphpose.models import create
from graphpose.nn import kinematic_topology, trajectory_topology
from graphpose.skeleton import Skeleton

sys.path.insert(0, str(Path(__file__).parent))
from plain_ktpformer import PlainKTPFormer

SIZES = {  # name: frames, channels, depth, batch
    "small": (27, 64, 4, 8),
    "middle": (81, 128, 4, 2),
    "large": (243, 512, 7, 1),
}
KINDS = ("plain", "plain, memory kept", "graphpose", "graphpose, compiled")
Step = Callable[[], None]


def make_steps(kind: str, size: str) -> tuple[Step, Step]:
    """(forward, training step) of one of KINDS at one size, on the same random clips."""
    torch.manual_seed(0)
    frames, channels, depth, batch = SIZES[size]
    skeleton = Skeleton.load("h36m17")
    model: torch.nn.Module
    ours = kind.startswith("graphpose")
    if ours:
        lifter = create("ktpformer", skeleton, frames=frames, channels=channels, depth=depth)
        model, lift = lifter, lifter.lift
        if kind == "graphpose, compiled":
            lift = torch.compile(lift)
    else:
        model = PlainKTPFormer(kinematic_topology(skeleton), trajectory_topology(frames), channels, depth)
        lift = model.__call__
    loss = create_loss("ktpformer", skeleton)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=0.1, fused=ours)
    x, y = torch.randn(batch, frames, 17, 2), torch.randn(batch, frames, 17, 3)

    def forward() -> None:
        model.eval()
        with torch.no_grad():
            lift(x)

    def train() -> None:
        model.train()
        optimiser.zero_grad()
        loss(lift(x), y).backward()
        optimiser.step()

    return forward, train


def work(kind: str, size: str, calls: Connection) -> None:
    """A process of one row: answers (which step, how often) with the seconds of each, None with its peak memory in GiB."""
    if kind != "plain":
        keep_freed_memory()
    steps = make_steps(kind, size)
    while (call := calls.recv()) is not None:
        which, count = call
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            steps[which]()
            seconds.append(time.perf_counter() - start)
        calls.send(seconds)
    calls.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def measure(kinds: list[str], size: str, turns: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """(median seconds of forward and training step, peak GiB) of each kind; each turn's first step only warms up."""
    context = multiprocessing.get_context("spawn")
    pipes, seconds = {}, {kind: ([], []) for kind in kinds}
    for kind in kinds:
        pipes[kind], theirs = context.Pipe()
        context.Process(target=work, args=(kind, size, theirs), daemon=True).start()
    count = 2 if size == "large" else 6
    for which in (0, 1):
        for turn in range(turns + 1):
            for kind, pipe in pipes.items():
                pipe.send((which, count))
                answer = pipe.recv()
                if turn:
                    seconds[kind][which].extend(answer[1:])
    memory = {}
    for kind, pipe in pipes.items():
        pipe.send(None)
        memory[kind] = pipe.recv()
    return {kind: [statistics.median(values) for values in both] for kind, both in seconds.items()}, memory


def profile(size: str) -> None:
    """Prints the operations that take most of our training step."""
    keep_freed_memory()
    _, train = make_steps("graphpose", size)
    for _ in range(3):
        train()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        train()
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    print(f"\nwhere our training step goes, {size}:")
    for event in events[:10]:
        print(f"  {100 * event.self_cpu_time_total / total:5.1f} %  {event.key} (x{event.count})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--turns", type=int, default=8, help="turns at the small sizes; the large one takes a third")
    parser.add_argument(
        "--compile", action="store_true", help="also time ours under torch.compile (needs a C++ compiler)"
    )
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    args = parser.parse_args()
    kinds = [kind for kind in KINDS if args.compile or "compiled" not in kind]
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32; seconds, median; times: plain over row"
    )
    print(f"{'size':30s}  {'':20s}  forward  times   training  times   peak GiB")
    for size in args.sizes:
        frames, channels, depth, batch = SIZES[size]
        seconds, memory = measure(kinds, size, max(2, args.turns // 3) if size == "large" else args.turns)
        for kind in kinds:
            label = f"T={frames} C={channels} depth={depth} batch={batch}" if kind == kinds[0] else ""
            (forward, train), plain = seconds[kind], seconds["plain"]
            print(
                f"{label:30s}  {kind:20s}  {forward:7.3f}  {plain[0] / forward:5.2f}  {train:9.3f}  {plain[1] / train:5.2f}"
                f"   {memory[kind]:8.2f}",
                flush=True,
            )
        if args.profile:
            profile(size)


if __name__ == "__main__":
    main()
