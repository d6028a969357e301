"""What the Hourglass Tokenizer saves and what it costs: FLOPs and seconds a window, and the error of each pruning and recovery.

    python tests/benchmarks/bench_hourglass.py [--frames 243] [--tokens 81] [--layer 3] [--turns 5] [--no-time]
    python tests/benchmarks/bench_hourglass.py --checkpoint CKPT --data DATA [--tokens 9] [--layer 1] [--fit 300] [--turns 50]

First table: MixSTE and KTPFormer, whole and pruned, random weights, one window. FLOPs = 2 x multiply-adds of matrix products,
convolutions and attention as PyTorch's counter counts them (published for MixSTE, linear layers alone: 83.8 GMACs, 39.6 % saved).
Plain and pruned models take turns, one window each, so that whatever else the machine does hits all alike; the median is printed.

Second table: a trained host (any space-time Transformer) as it is and pruned by each rule, all on the same weights. Interpolation
needs no training. Cross-attention has learned queries: `--fit STEPS` trains them and the embedding of the kept frames alone, the
host frozen, to give the poses that the whole host gives for the same input; without it these rows are left out. Frames, tokens and
layer are those of the checkpoint and the options.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import graphpose
from graphpose.config import EvaluateConfig
from graphpose.datasets.datamodule import PoseDataModule
from graphpose.engine import evaluate
from graphpose.engine.evaluation import training_data
from graphpose.graph import grids
from graphpose.models import create, read_metadata, save
from graphpose.models.cost import model_cost
from graphpose.models.hourglass import Hourglass, hourglass
from graphpose.models.lifter import Lifter
from graphpose.models.space_time import SpaceTimeTransformer
from graphpose.nn.token_pruning import available_prunings
from graphpose.structured import build

HOSTS = {"mixste": 8, "ktpformer": 7}  # published depths


def seconds_in_turns(models: dict[str, Lifter], turns: int) -> dict[str, float]:
    """Median seconds of one window for each model."""
    measured: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(turns + 1):
        for name, model in models.items():
            x = torch.randn(1, model.frames, len(model.skeleton), model.in_features)
            start = time.perf_counter()
            with torch.no_grad():
                model.lift(x)
            if turn:
                measured[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in measured.items()}


def costs(args: argparse.Namespace) -> None:
    """The first table."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32, T={args.frames}, C={args.channels}")
    print(
        f"{'model':44s}  params M   GMACs  linear    GFLOPs   saved  (linear)"
        + ("" if args.no_time else "   s/window   saved")
    )
    for name, depth in HOSTS.items():
        plain = create(name, "h36m17", frames=args.frames, channels=args.channels, depth=depth).eval()
        assert isinstance(plain, SpaceTimeTransformer)
        models: dict[str, Lifter] = {f"{name} depth {depth}": plain}
        for recover in ("cross-attention", "interpolation"):
            label = f"  {args.tokens} tokens from layer {args.layer}, {recover}"
            models[label] = hourglass(plain, args.tokens, args.layer, recover=recover)
        models[f"  {args.tokens} tokens from layer {args.layer}, centre"] = hourglass(
            plain, args.tokens, args.layer, output="centre"
        )
        seconds = {} if args.no_time else seconds_in_turns(models, args.turns)
        whole = model_cost(plain)
        for label, model in models.items():
            cost = model_cost(model)
            saved = 100 * (1 - cost.flops / whole.flops)
            saved_linear = 100 * (1 - cost.linear_flops / whole.linear_flops)
            line = (
                f"{label:44s}  {cost.parameters / 1e6:8.2f}  {cost.macs / 1e9:6.1f}  {cost.linear_flops / 2e9:6.1f}  "
                f"{cost.flops / 1e9:8.1f}  {saved:5.1f} %  {saved_linear:5.1f} %"
            )
            if seconds:
                line += f"   {seconds[label]:8.3f}  {100 * (1 - seconds[label] / seconds[next(iter(models))]):5.1f} %"
            print(line, flush=True)


def fit(model: Hourglass, host: SpaceTimeTransformer, windows: torch.Tensor, steps: int) -> None:
    """Trains what the wrapper adds, on the host's own poses of these windows [N, T, J, C]."""
    learned = [value for key, value in model.named_parameters() if not key.startswith("host.")]
    optimiser = torch.optim.AdamW(learned, 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = windows[torch.randint(len(windows), (16,), generator=generator)]
        with torch.no_grad():
            target = host.lift(x)
        loss = (model.lift(x) - target).norm(dim=-1).mean()
        gradients = torch.autograd.grad(loss, learned, allow_unused=True)
        for parameter, gradient in zip(learned, gradients, strict=True):
            parameter.grad = gradient
        optimiser.step()
        schedule.step()


def training_windows(checkpoint: Path, data: str, model: Lifter, count: int = 4000) -> torch.Tensor:
    """Keypoints of training windows [N, T, J, C], drawn as this checkpoint's training drew them."""
    settings = training_data(checkpoint, read_metadata(checkpoint)["config"])
    module = PoseDataModule(dataclasses.replace(settings, paths=[data]))
    module.setup("fit")
    collected: list[torch.Tensor] = []
    while sum(map(len, collected)) < count:
        for batch in module.train_dataloader():
            collected += [group.x[..., : model.in_features] for group in grids(batch)]
    return torch.cat(collected)[:count]


def error(model: Lifter, checkpoint: Path, data: dict[str, Any]) -> float:
    """MPJPE in mm on the test part."""
    with tempfile.TemporaryDirectory() as folder:
        path = save(model, Path(folder) / "model.safetensors", config=read_metadata(checkpoint)["config"])
        return evaluate(path, build(EvaluateConfig, {"data": data}), progress=False).table().overall()["mpjpe"]


def accuracies(args: argparse.Namespace) -> None:
    """The second table."""
    host = graphpose.load(args.checkpoint)
    if not isinstance(host, SpaceTimeTransformer):
        raise SystemExit(f"{args.checkpoint}: expected a trained space-time Transformer (got {type(host).__name__})")
    data = {"paths": [args.data]}
    whole, cost = error(host, args.checkpoint, data), model_cost(host)
    print(f"\n{args.checkpoint}: {type(host).__name__}, T={host.frames}, {args.tokens} tokens from layer {args.layer}")
    models: dict[str, Lifter] = {f"{'-':14s}  {'-':16s}": host}
    errors = [whole]
    windows = training_windows(args.checkpoint, args.data, host) if args.fit else None
    for prune in args.prune:
        for recover in ("interpolation", "cross-attention"):
            if recover == "cross-attention" and windows is None:
                continue
            torch.manual_seed(0)
            model = hourglass(host, args.tokens, args.layer, prune, recover)
            if recover == "cross-attention" and windows is not None:
                fit(model, host, windows, args.fit)
            models[f"{prune:14s}  {recover:16s}"] = model
            errors.append(error(model, args.checkpoint, data))
            print(f"measured {prune}, {recover}: {errors[-1]:.2f} mm", flush=True)
    seconds = {} if args.no_time else seconds_in_turns(models, args.turns)
    print(
        f"{'pruning':14s}  {'recovery':16s}  FLOPs saved   MPJPE mm    cost mm"
        + ("" if args.no_time else "   ms/window   saved")
    )
    for (label, model), found in zip(models.items(), errors, strict=True):
        saved = 100 * (1 - model_cost(model).flops / cost.flops)
        line = f"{label}  {saved:9.1f} %   {found:8.2f}   {found - whole:8.2f}"
        if seconds:
            line += f"   {1e3 * seconds[label]:9.2f}  {100 * (1 - seconds[label] / seconds[next(iter(models))]):5.1f} %"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=243)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=81)
    parser.add_argument("--layer", type=int, default=3)
    parser.add_argument("--turns", type=int, default=5, help="windows timed of each model")
    parser.add_argument("--no-time", action="store_true", help="count only")
    parser.add_argument("--checkpoint", type=Path, help="a trained host: measure the error on the same weights")
    parser.add_argument("--data", help="clips to evaluate it on")
    parser.add_argument("--prune", nargs="+", choices=available_prunings(), default=available_prunings())
    parser.add_argument("--fit", type=int, default=0, help="steps in which the cross-attention learns to recover")
    args = parser.parse_args()
    if (args.checkpoint is None) != (args.data is None):
        parser.error("--checkpoint and --data go together")
    if args.checkpoint is None:
        costs(args)
    else:
        accuracies(args)


if __name__ == "__main__":
    main()
