"""What it costs to look at attention: seconds a window with and without capture, and the memory that it takes.

    python tests/benchmarks/bench_capture.py [--model mixste] [--frames 243] [--channels 512] [--depth 8] [--turns 3] [--batch 1]

plain      the model as it runs anyway
released   the same model after it has been captured: not capturing costs nothing
explicit   the attention written out, softmax(Q K^T / sqrt(d) + B) V, as a model has to that hands out its weights
captured   within `capture`, all weights kept
mean       within `capture(reduce="mean")`
one head   within `capture(heads=[0])`

All take turns, one batch each, so that whatever else the machine does hits all alike; the medians of the seconds by the clock and of
those of the CPU are printed, each with its share of `explicit`. On a busy machine those of the CPU tell more. The peak is of the whole
process, weights and activations of the model included, from a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from graphpose.analysis import capture
from graphpose.models import Lifter, create
from graphpose.nn.attention import MultiHeadAttention, attention_weights


def made(args: argparse.Namespace) -> tuple[Lifter, Tensor]:
    """The model and its input."""
    torch.manual_seed(0)
    options = {"channels": args.channels, "depth": args.depth}
    model = create(args.model, "h36m17", frames=args.frames, **options).eval()
    return model, torch.randn(args.batch, args.frames, len(model.skeleton), model.in_features)


def seconds(model: Lifter, x: Tensor, around: AbstractContextManager[Any]) -> tuple[float, float]:
    """Of one forward, by the clock and of the CPU (all threads)."""
    with around, torch.no_grad():
        start = time.perf_counter(), time.process_time()
        model.lift(x)
        return time.perf_counter() - start[0], time.process_time() - start[1]


@contextmanager
def explicit_attention() -> Iterator[None]:
    """Every attention of this process written out."""
    before = MultiHeadAttention._mix

    def mix(self: MultiHeadAttention, qkv: Tensor, bias: Tensor | None, shape: torch.Size) -> Tensor:
        q, k, v = self._split(qkv)
        return self.proj(self._join(attention_weights(q, k, bias) @ v, qkv).reshape(shape))

    MultiHeadAttention._mix = mix  # type: ignore[method-assign]
    try:
        yield
    finally:
        MultiHeadAttention._mix = before  # type: ignore[method-assign]


def peak(args: argparse.Namespace, options: dict[str, Any] | None) -> None:
    """Prints the peak memory of this process after one forward, captured with `options` or plain."""
    model, x = made(args)
    seconds(model, x, nullcontext() if options is None else capture(model, **options))
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024) / 1024
    print(f"{'plain' if options is None else f'captured {options}':30s} peak {held:6.2f} GiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mixste")
    for name, value in (("frames", 243), ("channels", 512), ("depth", 8), ("turns", 3), ("batch", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {vars(args)}", flush=True)
    every: tuple[dict[str, Any] | None, ...] = (None, {}, {"reduce": "mean"})
    # first: a process starts with the largest memory of the one that makes it
    for options in every:
        process = multiprocessing.get_context("spawn").Process(target=peak, args=(args, options))
        process.start()
        process.join()
    model, x = made(args)
    untouched, _ = made(args)
    ways: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "plain": nullcontext,
        "released": nullcontext,
        "explicit": explicit_attention,
        "captured": lambda: capture(model),
        "mean": lambda: capture(model, reduce="mean"),
        "one head": lambda: capture(model, heads=[0]),
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(args.turns + 1):
        for name, around in ways.items():
            taken = seconds(untouched if name == "plain" else model, x, around())
            if turn:
                measured[name].append(taken)
    medians = {name: [statistics.median(one) for one in zip(*values, strict=True)] for name, values in measured.items()}
    print(f"{'':10s} {'clock':>10s} {'x explicit':>12s} {'CPU':>10s} {'x explicit':>12s}")
    for name, (clock, cpu) in medians.items():
        base_clock, base_cpu = medians["explicit"]
        print(f"{name:10s} {clock:8.3f} s {clock / base_clock:12.2f} {cpu:8.3f} s {cpu / base_cpu:12.2f}")


if __name__ == "__main__":
    main()
