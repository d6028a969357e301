"""Adapt a trained lifter to other cameras and people, of which only 2D keypoints are known (PoseDA).

  graphpose adapt --checkpoint runs/demo/best.safetensors --source data/samples --target keypoints/ --output runs/adapted
  graphpose adapt --config adapt_small --checkpoint best.safetensors --target detections.npz --target.view_angle 60
  graphpose adapt --resume runs/adapted --run.max_steps 2000 --sheet poses.png

The settings of the source (cameras, windows, split) are those of the checkpoint's training unless options replace them; --source
says where its clips lie now. What comes out is an ordinary checkpoint: evaluate, predict and analyse take it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given, named_modules
from graphpose.cli.parsing import UsageError, add_settings, given
from graphpose.config import (
    AdaptConfig,
    AlignmentConfig,
    AugmentationConfig,
    DataConfig,
    OptimConfig,
    RunConfig,
    TargetConfig,
    recipes,
)
from graphpose.errors import ConfigError, FormatError
from graphpose.structured import merge

SECTIONS = {
    "data": DataConfig,
    "target": TargetConfig,
    "alignment": AlignmentConfig,
    "augmentation": AugmentationConfig,
    "optim": OptimConfig,
    "run": RunConfig,
}
SHORTHANDS = {
    "--source": "--data.paths+",
    "--data": "--data.paths+",
    "--target": "--target.paths+",
    "--output": "--run.output",
}
ON_RESUME = (
    "checkpoint",
    "data.paths",
    "data.mapping",
    "data.workers",
    "target.paths",
    "target.mapping",
    "run.max_epochs",
    "run.max_steps",
    "run.patience",
    "run.accelerator",
    "run.strategy",
    "run.log_every",
    "run.keep_every",
    "run.imports",
)
"""What a resumed run may be told anew: how long, on which machine, and where the same files lie on it."""


def add_arguments(parser: ArgumentParser) -> None:
    """Everything of `AdaptConfig`, with shorthands for the most used."""
    bundled = ", ".join(recipes("adaptations"))
    parser.add_argument(
        "--config", metavar="RECIPE", type=str, help=f"bundled recipe ({bundled}) or YAML file of settings"
    )
    parser.add_argument("--checkpoint", metavar="FILE", type=str, help="the lifter to start from, a .safetensors file")
    parser.add_argument(
        "--source", metavar="PATH", type=str, help="short for --data.paths: clips with 3D; repeat for several"
    )
    parser.add_argument(
        "--source_share", type=float, help="weight of the source's own windows in the loss (default: 0.5)"
    )
    shown = ", ".join(f"--{name}" for name in ON_RESUME)
    parser.add_argument(
        "--resume",
        metavar="RUN",
        type=str,
        help=f"run folder of an adaptation that stopped; only these can be given anew: {shown}",
    )
    parser.add_argument("--output", metavar="FOLDER", type=str, help="short for --run.output")
    parser.add_argument(
        "--sheet",
        metavar="FILE.png",
        type=str,
        help="draw the last poses that were made beside source and target (extra `viz`)",
    )
    parser.add_argument(
        "--progress",
        action=ActionYesNo(yes_prefix="", no_prefix="no-"),
        help="a progress bar, or with --no-progress nothing (default: a bar on a terminal, else a line for each epoch)",
    )
    add_import(parser)
    add_settings(parser, SECTIONS)
    for action in parser._actions:
        if action.dest == "target":
            action.metavar, action.help = "PATH", "short for --target.paths: 2D keypoints; repeat for several"


def settings(args: Namespace) -> AdaptConfig:
    """The recipe, or the settings of the run that is resumed, with the options given in their place."""
    resume = args.get("resume")
    base = AdaptConfig()
    if resume is not None:
        _refuse_changes(args)
        folder = Path(resume).parent if Path(resume).suffix == ".ckpt" else Path(resume)
        kept = folder / "config.yaml"
        if not kept.is_file():
            raise ConfigError(f"{resume}: expected a run folder with a config.yaml to resume")
        base = AdaptConfig.from_dict(merge(AdaptConfig.from_yaml(kept).to_dict(), {"run": {"output": str(folder)}}))
    elif args.get("config") is not None:
        base = AdaptConfig.from_yaml(args["config"])
    values: dict[str, Any] = given(args, list(SECTIONS))
    for name in ("checkpoint", "source_share"):
        if args.get(name) is not None:
            values[name] = args[name]
    if modules := named_modules(args):
        recorded = values.get("run", {}).get("imports", base.run.imports)
        values = merge(values, {"run": {"imports": list(dict.fromkeys([*recorded, *modules]))}})
    return AdaptConfig.from_dict(merge(base.to_dict(), values))


def _refuse_changes(args: Namespace) -> None:
    """Raises `UsageError` for settings beside --resume that would make it another run."""
    own = [name for name, _ in args.items() if name.partition(".")[0] in SECTIONS]
    own += [name for name in ("config", "checkpoint", "source_share") if args.get(name) is not None]
    if refused := [name for name in own if name not in ON_RESUME]:
        shown, allowed = (", ".join(f"--{name}" for name in names) for names in (refused, ON_RESUME))
        raise UsageError(f"{shown}: a resumed run keeps its settings; only these can be given anew: {allowed}")


def run(args: Namespace) -> None:
    """Adapts, and says where the result is and what to do with it."""
    config = settings(args)
    import_given(args, config.run.imports)
    sheet = args.get("sheet")
    if sheet is not None:
        _check_sheet(sheet, config)
    from graphpose.adaptation import adapt
    from graphpose.engine import TrainingInterrupted

    progress = args.get("progress", True if sys.stdout.isatty() and sys.stderr.isatty() else "lines")
    try:
        result = adapt(config, resume=args.get("resume"), progress=progress)
    except TrainingInterrupted as stop:
        raise KeyboardInterrupt(str(stop)) from stop
    if not result.main_process:
        return
    if sheet is not None:
        _draw(sheet, Path(result.folder))
    if result.at_end:
        print(result.at_end)
    else:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
        print(f"run folder: {result.folder} ({figures})")
        print(
            f"next: graphpose evaluate {result.last} --data TARGET_WITH_3D, or graphpose predict {result.last} KEYPOINTS"
        )
    if sheet is not None:
        print(f"poses to look at: {sheet}")


def _check_sheet(sheet: str, config: AdaptConfig) -> None:
    """Raises before the run, which may take long, what would keep the picture from being written after it."""
    from graphpose.analysis.extras import require

    require("matplotlib", "--sheet")
    path = Path(sheet)
    if path.is_dir():
        raise ConfigError(f"--sheet: expected a file (got the folder {sheet})")
    inputs = [config.checkpoint, *config.target.paths, *config.data.get("paths", [])]
    if path.resolve() in [Path(name).resolve() for name in inputs if name]:
        raise ConfigError(f"--sheet: expected a file that is not read, which it would replace (got {sheet})")


def _draw(sheet: str, folder: Path) -> None:
    """The picture of the run's last samples."""
    from graphpose.analysis.adaptation_sheet import adaptation_sheet

    samples = sorted((folder / "samples").glob("*.npz"))
    if not samples:
        raise FormatError(folder / "samples", "expected samples of the adaptation to draw with --sheet (got none)")
    adaptation_sheet(samples[-1], sheet)
