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
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given
from graphpose.cli.parsing import UsageError, add_settings, given
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
from graphpose.config import DataConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig, recipes
from graphpose.errors import ConfigError

SECTIONS = {"data": DataConfig, "model": ModelConfig, "optim": OptimConfig, "run": RunConfig}
SHORTHANDS = {"--data": "--data.paths+", "--output": "--run.output"}
ON_RESUME = ("data.paths", "data.skeleton", "data.mapping", "data.workers", *RUN_ON_RESUME)
"""What a resumed run may be told anew, beside its length and machine: where the same files lie on it."""


def add_arguments(parser: ArgumentParser) -> None:
    """Everything of `TrainConfig`, with shorthands for the most used."""
    add_recipe(parser, recipes())
    add_resume(parser, "a training", ON_RESUME)
    add_progress(parser)
    add_import(parser)
    add_settings(parser, SECTIONS)


def settings(args: Namespace) -> tuple[TrainConfig, dict[str, Any]]:
    """The recipe, or the settings of the run that is resumed, with the options given in their place.

    Second, the recipe's options of a model that is not trained, because the options name another.
    """
    if args.get("resume") is not None:
        if args.get("config") is not None:
            raise UsageError("expected --config or --resume, not both: a resumed run keeps its settings")
        refuse_changes(args, SECTIONS, ON_RESUME)
    base = start_settings(args, TrainConfig)
    values = recorded_imports(args, given(args, list(SECTIONS)), base)
    config, dropped = base.overridden(values)
    if not config.data.paths:
        raise ConfigError("data.paths: expected clips to train on; give --data FILE_OR_FOLDER")
    return config, dropped


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
    from graphpose.engine import train

    if dropped:
        _tell_dropped(config, dropped, args["config"])

    result = carry_out(train, config, args)
    if result.main_process:
        tell(result, f"graphpose evaluate {result.best} --report report.html")
