"""Seconds a forward pass and a training step take, and the memory they need, next to a plain implementation in the same run.

    python tests/benchmarks/bench_model.py [--repeat 10] [--sizes small middle large] [--compile] [--profile]

A training step is forward, KTPFormer loss, backward and AdamW. Ours and the peer (`plain_ktpformer.py`, the published formulas in
elementary eager operations) take turns, so that whatever else the machine does hits both alike; the median of the turns is
printed. Peak memory is measured in a process of its own for each row. `--profile` says where the time of our step goes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

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
Step = Callable[[], None]


def make_steps(kind: str, size: str, *, compiled: bool = False) -> tuple[Step, Step]:
    """(forward, training step) of "ours" or "plain" at one size, on the same random clips."""
    torch.manual_seed(0)
    frames, channels, depth, batch = SIZES[size]
    skeleton = Skeleton.load("h36m17")
    model: torch.nn.Module
    if kind == "ours":
        lifter = create("ktpformer", skeleton, frames=frames, channels=channels, depth=depth)
        model, lift = lifter, lifter.lift
        if compiled:
            lift = torch.compile(lift)
    else:
        model = PlainKTPFormer(kinematic_topology(skeleton), trajectory_topology(frames), channels, depth)
        lift = model.__call__
    loss = create_loss("ktpformer", skeleton)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=0.1, fused=kind == "ours")
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


def take_turns(steps: dict[str, Step], repeat: int) -> dict[str, float]:
    """Median seconds of each, run one after the other `repeat` times after one run to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeat + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_memory(kind: str, size: str) -> float:
    """GiB that a process needs at most for one training step."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory-of", kind, size], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def profile(size: str) -> None:
    """Prints the operations that take most of our training step."""
    _, train = make_steps("ours", size)
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
    parser.add_argument("--repeat", type=int, default=10, help="turns at the small sizes; the large one takes a third")
    parser.add_argument(
        "--compile", action="store_true", help="also time ours under torch.compile (needs a C++ compiler)"
    )
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    parser.add_argument("--memory-of", nargs=2, metavar=("KIND", "SIZE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        make_steps(*args.memory_of)[1]()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32; seconds, median")
    print("size                            step      plain     ours   times   peak GiB plain / ours")
    for size in args.sizes:
        frames, channels, depth, batch = SIZES[size]
        repeat = max(3, args.repeat // 3) if size == "large" else args.repeat
        pairs = {"plain": make_steps("plain", size), "ours": make_steps("ours", size)}
        if args.compile:
            pairs["compiled"] = make_steps("ours", size, compiled=True)
        memory = f"{peak_memory('plain', size):.2f} / {peak_memory('ours', size):.2f}"
        for number, name in enumerate(("forward", "training")):
            seconds = take_turns({kind: pair[number] for kind, pair in pairs.items()}, repeat)
            label = f"T={frames} C={channels} depth={depth} batch={batch}"
            line = f"{label:30s}  {name:8s} {seconds['plain']:7.3f}  {seconds['ours']:7.3f}  {seconds['plain'] / seconds['ours']:6.2f}"
            if args.compile:
                line += f"   compiled {seconds['compiled']:.3f} ({seconds['plain'] / seconds['compiled']:.2f})"
            print(line + (f"   {memory}" if name == "training" else ""), flush=True)
        if args.profile:
            profile(size)


if __name__ == "__main__":
    main()
