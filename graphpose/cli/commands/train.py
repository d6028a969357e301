"""Train a model on clips; writes weights, settings and logs into a run folder.

  graphpose train --config demo --data data/samples --output runs/demo
  graphpose train --config my.yaml --data mocap/ --data more.npz --data.frames 81 --model.options.channels 128
  graphpose train --resume runs/demo --run.max_epochs 400

--config names a bundled recipe or a YAML file; options replace its settings one by one.
"""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.parsing import add_settings, given
from graphpose.config import DataConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig, merge, recipes
from graphpose.errors import ConfigError

SECTIONS = {"data": DataConfig, "model": ModelConfig, "optim": OptimConfig, "run": RunConfig}
SHORTHANDS = {"--data": "--data.paths+", "--output": "--run.output"}


def add_arguments(parser: ArgumentParser) -> None:
    """Everything of `TrainConfig`, with shorthands for the most used."""
    parser.add_argument(
        "--config", metavar="RECIPE", type=str, help=f"bundled recipe ({', '.join(recipes())}) or YAML file of settings"
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        type=str,
        help="run folder of a training that stopped, to go on with, under its settings",
    )
    parser.add_argument("--output", metavar="FOLDER", type=str, help="short for --run.output")
    add_settings(parser, SECTIONS)


def settings(args: Namespace) -> TrainConfig:
    """The recipe, or the settings of the run that is resumed, with the options given in their place."""
    resume = args.get("resume")
    if resume is not None and args.get("config") is not None:
        raise ConfigError("expected --config or --resume, not both: a resumed run keeps its settings")
    base = TrainConfig()
    if resume is not None:
        folder = Path(resume).parent if Path(resume).suffix == ".ckpt" else Path(resume)
        kept = folder / "config.yaml"
        if not kept.is_file():
            raise ConfigError(f"{resume}: expected a run folder with a config.yaml to resume")
        base = TrainConfig.from_dict(merge(TrainConfig.from_yaml(kept).to_dict(), {"run": {"output": str(folder)}}))
    elif args.get("config") is not None:
        base = TrainConfig.from_yaml(args["config"])
    config = TrainConfig.from_dict(merge(base.to_dict(), given(args, list(SECTIONS))))
    if not config.data.paths:
        raise ConfigError("data.paths: expected clips to train on; give --data FILE_OR_FOLDER")
    return config


def run(args: Namespace) -> None:
    """Trains, and says where the result is and what to do with it."""
    config = settings(args)
    from graphpose.engine import TrainingInterrupted, train

    try:
        result = train(config, resume=args.get("resume"))
    except TrainingInterrupted as stop:
        raise KeyboardInterrupt(str(stop)) from stop
    if result.at_end:
        print(result.at_end)
        return
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    print(f"run folder: {result.folder} ({figures})")
    print(f"next: graphpose evaluate {result.best} --report report.html")
