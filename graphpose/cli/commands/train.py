"""Train a model on clips; writes weights, settings and logs into a run folder.

  graphpose train --config demo --data data/samples --output runs/demo
  graphpose train --config my.yaml --data mocap/ --data more.npz --data.frames 81 --model.options.channels 128
  graphpose train --resume runs/demo --run.max_epochs 400

--config names a bundled recipe or a YAML file; options replace its settings one by one. A resumed run keeps its
settings, save for how long it trains, on which kind of device, and where its clips lie. Where --model.name is another
model than the recipe's, the recipe's model.options are dropped; --model.options '{}' drops them too. A model, prior,
relation or pruning rule of your own is known after --import MODULE, which a resumed run repeats by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given, named_modules
from graphpose.cli.parsing import UsageError, add_settings, given
from graphpose.config import DataConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig, recipes
from graphpose.errors import ConfigError
from graphpose.structured import merge

SECTIONS = {"data": DataConfig, "model": ModelConfig, "optim": OptimConfig, "run": RunConfig}
SHORTHANDS = {"--data": "--data.paths+", "--output": "--run.output"}
ON_RESUME = (
    "data.paths",
    "data.skeleton",
    "data.mapping",
    "data.workers",
    "run.max_epochs",
    "run.max_steps",
    "run.patience",
    "run.accelerator",
    "run.strategy",
    "run.log_every",
    "run.keep_every",
    "run.imports",
)
"""What a resumed run may be told anew: how long, on which machine, and where the same files lie on it. Not on how many
devices: their number decides which batches are left in a broken-off epoch."""


def add_arguments(parser: ArgumentParser) -> None:
    """Everything of `TrainConfig`, with shorthands for the most used."""
    parser.add_argument(
        "--config", metavar="RECIPE", type=str, help=f"bundled recipe ({', '.join(recipes())}) or YAML file of settings"
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        type=str,
        help=f"run folder of a training that stopped, to go on with; only these can be given anew: {_shown(ON_RESUME)}",
    )
    parser.add_argument("--output", metavar="FOLDER", type=str, help="short for --run.output")
    parser.add_argument(
        "--progress",
        action=ActionYesNo(yes_prefix="", no_prefix="no-"),
        help="a progress bar, or with --no-progress nothing (default: a bar on a terminal, else a line for each validation)",
    )
    add_import(parser)
    add_settings(parser, SECTIONS)


def _shown(settings: Iterable[str]) -> str:
    return ", ".join(f"--{name}" for name in settings)


def settings(args: Namespace) -> tuple[TrainConfig, dict[str, Any]]:
    """The recipe, or the settings of the run that is resumed, with the options given in their place.

    Second, the recipe's options of a model that is not trained, because the options name another.
    """
    resume = args.get("resume")
    base = TrainConfig()
    if resume is not None:
        _refuse_changes(args)
        folder = Path(resume).parent if Path(resume).suffix == ".ckpt" else Path(resume)
        kept = folder / "config.yaml"
        if not kept.is_file():
            raise ConfigError(f"{resume}: expected a run folder with a config.yaml to resume")
        base = TrainConfig.from_dict(merge(TrainConfig.from_yaml(kept).to_dict(), {"run": {"output": str(folder)}}))
    elif args.get("config") is not None:
        base = TrainConfig.from_yaml(args["config"])
    values = given(args, list(SECTIONS))
    if modules := named_modules(args):
        recorded = values.get("run", {}).get("imports", base.run.imports)
        values = merge(values, {"run": {"imports": list(dict.fromkeys([*recorded, *modules]))}})
    config, dropped = base.overridden(values)
    if not config.data.paths:
        raise ConfigError("data.paths: expected clips to train on; give --data FILE_OR_FOLDER")
    return config, dropped


def _refuse_changes(args: Namespace) -> None:
    """Raises `UsageError` for settings beside --resume that would make it another run, or change nothing of it."""
    if args.get("config") is not None:
        raise UsageError("expected --config or --resume, not both: a resumed run keeps its settings")
    own = (name for name, _ in args.items() if name.partition(".")[0] in SECTIONS)
    refused = [name for name in own if name not in ON_RESUME]
    if refused:
        raise UsageError(
            f"{_shown(refused)}: a resumed run keeps its settings; only these can be given anew: {_shown(ON_RESUME)}"
        )


def _tell_dropped(config: TrainConfig, dropped: Mapping[str, Any], recipe: str) -> None:
    """Says which settings of the recipe do not count; raises `ConfigError` for a model that there is not."""
    from graphpose.models.registry import entry

    entry(config.model.name)
    told = ", ".join(f"{name} {value}" for name, value in dropped.items())
    print(
        f"graphpose: note: {config.model.name} takes its own defaults, not the options of the model in {recipe}: {told}",
        file=sys.stderr,
    )


def run(args: Namespace) -> None:
    """Trains, and says where the result is and what to do with it."""
    config, dropped = settings(args)
    import_given(args, config.run.imports)
    from graphpose.engine import TrainingInterrupted, train

    if dropped:
        _tell_dropped(config, dropped, args["config"])

    progress = args.get("progress", True if sys.stdout.isatty() and sys.stderr.isatty() else "lines")
    try:
        result = train(config, resume=args.get("resume"), progress=progress)
    except TrainingInterrupted as stop:
        raise KeyboardInterrupt(str(stop)) from stop
    if not result.main_process:
        return
    if result.at_end:
        print(result.at_end)
        return
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    print(f"run folder: {result.folder} ({figures})")
    print(f"next: graphpose evaluate {result.best} --report report.html")
