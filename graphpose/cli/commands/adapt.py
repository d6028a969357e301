"""Adapt a trained lifter to other cameras and people, of which only 2D keypoints are known (PoseDA).

  graphpose adapt --checkpoint runs/demo/best.safetensors --source data/samples --target keypoints/ --output runs/adapted
  graphpose adapt --config adapt_small --checkpoint best.safetensors --target walk.npz --target.view_angle 60 --alignment.tilt 20
  graphpose adapt --resume runs/adapted --run.max_steps 2000 --sheet poses.png

The settings of the source (cameras, windows, split) are those of the checkpoint's training unless options replace them; --source
says where its clips lie now. What comes out is an ordinary checkpoint: evaluate, predict and analyse take it.
"""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given
from graphpose.cli.parsing import add_settings, given
from graphpose.cli.run_folder import (
    RUN_ON_RESUME,
    add_progress,
    add_recipe,
    add_resume,
    carry_out,
    recorded_imports,
    refuse_changes,
    start_settings,
    tell,
)
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
SHEETS = (".png", ".pdf", ".svg")
REFUSALS = {
    "--target.fps": "windows take the frames at the rate of the lifter; --target.recorded_fps says that of the files"
}
ON_RESUME = (
    "checkpoint",
    "data.paths",
    "data.mapping",
    "data.workers",
    "target.paths",
    "target.mapping",
    *RUN_ON_RESUME,
)
"""What a resumed run may be told anew, beside its length and machine: where the same files lie on it."""


def add_arguments(parser: ArgumentParser) -> None:
    """Everything of `AdaptConfig`, with shorthands for the most used."""
    add_recipe(parser, recipes("adaptations"))
    parser.add_argument("--checkpoint", metavar="FILE", type=str, help="the lifter to start from, a .safetensors file")
    parser.add_argument(
        "--source", metavar="PATH", type=str, help="short for --data.paths: clips with 3D; repeat for several"
    )
    parser.add_argument(
        "--source_share", type=float, help="weight of the source's own windows in the loss (default: 0.5)"
    )
    add_resume(parser, "an adaptation", ON_RESUME)
    parser.add_argument(
        "--sheet",
        metavar="FILE.png",
        type=str,
        help="draw the last poses that were made beside source and target (extra `viz`)",
    )
    add_progress(parser)
    add_import(parser)
    own = AdaptConfig()
    defaults = {"data": "as in the checkpoint's training", "optim": own.optim, "run": own.run}
    add_settings(parser, SECTIONS, defaults=defaults)
    for action in parser._actions:
        if action.dest == "target":
            action.metavar, action.help = "PATH", "short for --target.paths: 2D keypoints; repeat for several"


def settings(args: Namespace) -> AdaptConfig:
    """The recipe, or the settings of the run that is resumed, with the options given in their place."""
    alone = ("checkpoint", "source_share")  # settings that stand in no section
    if args.get("resume") is not None:
        refuse_changes(args, SECTIONS, ON_RESUME, "config", *alone)
    base = start_settings(args, AdaptConfig)
    values = given(args, list(SECTIONS)) | {name: args[name] for name in alone if args.get(name) is not None}
    values = recorded_imports(args, values, base)
    return AdaptConfig.from_dict(merge(base.to_dict(), values))


def run(args: Namespace) -> None:
    """Adapts, and says where the result is and what to do with it."""
    config = settings(args)
    import_given(args, config.run.imports)
    sheet = args.get("sheet")
    if sheet is not None:
        _check_sheet(sheet, config)
    from graphpose.adaptation import adapt

    result = carry_out(adapt, config, args)
    if not result.main_process:
        return
    if sheet is not None:
        _draw(sheet, Path(result.folder))
    tell(
        result,
        f"graphpose evaluate {result.last} --data TARGET_WITH_3D --data.views.kind clip (the cameras in its files), or "
        f"graphpose predict {result.last} KEYPOINTS OUT.npz",
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
    if path.suffix.lower() not in SHEETS:
        raise ConfigError(f"--sheet: expected a file that ends in {', '.join(SHEETS)} (got {sheet})")


def _draw(sheet: str, folder: Path) -> None:
    """The picture of the run's last samples."""
    from graphpose.analysis.adaptation_sheet import adaptation_sheet

    samples = sorted((folder / "samples").glob("*.npz"))
    if not samples:
        raise FormatError(folder / "samples", "expected samples of the adaptation to draw with --sheet (got none)")
    adaptation_sheet(samples[-1], sheet)
