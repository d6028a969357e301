"""What `train` and `adapt` share: options of a run in a folder of its own, settings that a resumed one keeps, and what is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jsonargparse import ActionYesNo, ArgumentParser, Namespace

from graphpose.cli.imports import named_modules
from graphpose.cli.parsing import UsageError
from graphpose.config import AdaptConfig, TrainConfig
from graphpose.config.kind_of_run import check_kind
from graphpose.errors import ConfigError
from graphpose.structured import merge

if TYPE_CHECKING:
    from graphpose.engine import RunResult

__all__ = [
    "RUN_ON_RESUME",
    "add_progress",
    "add_recipe",
    "add_resume",
    "carry_out",
    "recorded_imports",
    "refuse_changes",
    "start_settings",
    "tell",
]

Settings = TypeVar("Settings", TrainConfig, AdaptConfig)

RUN_ON_RESUME = (
    "run.max_epochs",
    "run.max_steps",
    "run.patience",
    "run.accelerator",
    "run.strategy",
    "run.log_every",
    "run.save_every",
    "run.keep_every",
    "run.imports",
)
"""Settings of `RunConfig` that a resumed run may be told anew: how long, on which machine, what it tells and keeps. Not on how many
devices: their number decides which batches are left in a broken-off epoch."""


def add_recipe(parser: ArgumentParser, bundled: Iterable[str]) -> None:
    """The settings to start from."""
    parser.add_argument(
        "--config", metavar="RECIPE", type=str, help=f"bundled recipe ({', '.join(bundled)}) or YAML file of settings"
    )


def add_resume(parser: ArgumentParser, what: str, allowed: Iterable[str]) -> None:
    """The folder: that of a run (`what`, e.g. "a training") to go on with, or a new one."""
    parser.add_argument(
        "--resume",
        metavar="RUN",
        type=str,
        help=f"run folder of {what} that stopped, to go on with; only these can be given anew: {_options(allowed)}",
    )
    parser.add_argument("--output", metavar="FOLDER", type=str, help="short for --run.output")


def add_progress(parser: ArgumentParser) -> None:
    """A bar, lines or nothing."""
    parser.add_argument(
        "--progress",
        action=ActionYesNo(yes_prefix="", no_prefix="no-"),
        help="a progress bar, or with --no-progress nothing (default: a bar on a terminal, else a line for each epoch)",
    )


def refuse_changes(args: Namespace, sections: Collection[str], allowed: Collection[str], *more: str) -> None:
    """Raises `UsageError` for settings beside --resume that would make it another run.

    Args:
        args: what was given.
        sections: of the settings, e.g. "data"; every option below them is one.
        allowed: settings that may be given.
        more: options that are settings but stand in no section.
    """
    own = [name for name, _ in args.items() if name.partition(".")[0] in sections]
    own += [name for name in more if args.get(name) is not None]
    if refused := [name for name in own if name not in allowed]:
        raise UsageError(
            f"{_options(refused)}: a resumed run keeps its settings; only these can be given anew: {_options(allowed)}"
        )


def start_settings(args: Namespace, kind: type[Settings]) -> Settings:
    """Those that options replace: of the run that is resumed, of the recipe, or the defaults.

    Raises:
        ConfigError: no run to resume, or faulty settings.
    """
    resume = args.get("resume")
    if resume is not None:
        folder = Path(resume).parent if Path(resume).suffix == ".ckpt" else Path(resume)
        kept = folder / "config.yaml"
        if not kept.is_file():
            raise ConfigError(f"{resume}: expected a run folder with a config.yaml to resume")
        check_kind(resume, kept, "adapt" if kind is AdaptConfig else "train")
        return kind.from_dict(merge(kind.from_yaml(kept).to_dict(), {"run": {"output": str(folder)}}))
    return kind() if args.get("config") is None else kind.from_yaml(args["config"])


def recorded_imports(args: Namespace, values: dict[str, Any], base: TrainConfig | AdaptConfig) -> dict[str, Any]:
    """The settings given, with the modules of --import among those that the run records, so that resuming imports them."""
    modules = named_modules(args)
    if not modules:
        return values
    recorded = values.get("run", {}).get("imports", base.run.imports)
    return merge(values, {"run": {"imports": list(dict.fromkeys([*recorded, *modules]))}})


def carry_out(work: Callable[..., RunResult], config: TrainConfig | AdaptConfig, args: Namespace) -> RunResult:
    """What `work`, `train` or `adapt`, makes of the settings; a stop becomes the plain KeyboardInterrupt that `main` tells."""
    from graphpose.engine import TrainingInterrupted

    progress = args.get("progress", True if sys.stdout.isatty() and sys.stderr.isatty() else "lines")
    try:
        return work(config, resume=args.get("resume"), progress=progress)
    except TrainingInterrupted as stop:
        raise KeyboardInterrupt(str(stop)) from stop


def tell(result: RunResult, then: str) -> None:
    """Says where the result is and what to do `then`, or that nothing was left to do."""
    if result.at_end:
        print(result.at_end)
        return
    figures = ", ".join(f"{name} {result.metrics[name]:.4g}" for name in sorted(result.metrics) if _matters(name))
    print(f"run folder: {result.folder} ({figures})")
    print(f"next: {then}")


def _matters(figure: str) -> bool:
    """Whether a logged figure is one of the result: losses and validation, not what the optimiser and the networks beside it did."""
    return figure not in ("lr", "train/left_out") and not figure.startswith("augment/")


def _options(settings: Iterable[str]) -> str:
    return ", ".join(f"--{name}" for name in settings)
