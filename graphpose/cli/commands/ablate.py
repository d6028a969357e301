"""Train a grid of hosts, priors and seeds on one data set; write a table and a picture.

  graphpose ablate --config demo_ablation --data data/samples --output runs/demo_ablation
  graphpose ablate --config cmu_lift_ablation --data cmu_lift.npz --only mixste dstformer/both
  graphpose ablate --config runs/demo_ablation/ablation.yaml --jobs 2

--config names a bundled ablation or a YAML file; options replace settings of all trainings. Each cell of the grid is a run
folder of its own, OUTPUT/HOST/PRIOR/seed0, which `evaluate`, `compare` and `train --resume` read. The same command again
goes on: done cells stay, begun ones are resumed. The table (text, CSV, JSON, Markdown) is written anew after each cell.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ActionYesNo, ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given, named_modules
from graphpose.cli.parsing import UsageError, add_settings, given
from graphpose.config import AblationConfig, Cell, DataConfig, OptimConfig, RunConfig, ablations, select
from graphpose.errors import ConfigError
from graphpose.structured import merge

if TYPE_CHECKING:
    from graphpose.engine.ablation import Finished

SECTIONS = {"data": DataConfig, "optim": OptimConfig, "run": RunConfig}
SHORTHANDS = {"--data": "--data.paths+"}
REFUSALS = {"--model": "the models of an ablation stand in its file, under hosts and priors"}


def add_arguments(parser: ArgumentParser) -> None:
    """The ablation, what of it, how; and the settings of its trainings."""
    parser.add_argument(
        "--config",
        metavar="ABLATION",
        type=str,
        help=f"bundled ablation ({', '.join(ablations())}), YAML file, or the ablation.yaml of an output folder",
    )
    parser.add_argument(
        "--output", metavar="FOLDER", type=str, help="for runs, tables and picture (default: as in the config)"
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=int,
        help="cells at a time, each a process with its share of the threads (default: 1)",
    )
    parser.add_argument(
        "--only",
        metavar="CELL",
        type=str,
        nargs="+",
        help="run only these, such as mixste, mixste/both, '*/none', mixste/both/seed0 (default: all)",
    )
    parser.add_argument(
        "--figure",
        action=ActionYesNo(yes_prefix="", no_prefix="no-"),
        help="draw figure.png, which needs matplotlib (default: yes)",
    )
    parser.add_argument("--cell", type=str, help=argparse.SUPPRESS)  # what one of several processes is started with
    add_import(parser)
    add_settings(parser, SECTIONS, defaults=dict.fromkeys(SECTIONS, "as in the config"))


def settings(args: Namespace) -> AblationConfig:
    """The ablation with the options given in place of its settings."""
    if args.get("config") is None:
        raise UsageError(f"--config: expected an ablation: {', '.join(ablations())}, or a YAML file")
    if args.get("run.output") is not None:
        raise UsageError("--run.output: each cell has a folder of its own; --output says where they all go")
    if args.get("run.seed") is not None:
        raise UsageError("--run.seed: the seeds are those of the config; --only '*/*/seed0' chooses among them")
    if args.get("jobs", 1) < 1:
        raise UsageError(f"--jobs: expected at least 1 (got {args['jobs']})")
    config = AblationConfig.from_yaml(args["config"])
    values = given(args, list(SECTIONS))
    if modules := named_modules(
        args
    ):  # among the settings that override: resumed cells and other processes read them there
        recorded = values.get("run", {}).get("imports", config.override.run.get("imports", []))
        values = merge(values, {"run": {"imports": list(dict.fromkeys([*recorded, *modules]))}})
    config = config.overridden(values)
    return replace(config, output=args["output"]) if args.get("output") is not None else config


def run(args: Namespace) -> int | None:
    """Runs what is not done, tells of each cell, writes table and picture."""
    config = settings(args)
    jobs, figure = args.get("jobs", 1), args.get("figure", True)
    if args.get("cell") is not None:
        from graphpose.engine.ablation import run_one

        error = run_one(config, args["cell"], jobs)
        if error is not None:
            print(f"graphpose: error: {error}", file=sys.stderr)
        return None if error is None else 1
    cells = config.cells()
    import_given(args, list(dict.fromkeys(name for cell in cells for name in cell.config.run.imports)))
    chosen = select(cells, args.get("only") or [])
    without = next((cell for cell in cells if not cell.config.data.paths), None)
    if without is not None:
        raise ConfigError("data.paths: expected clips to train on; give --data FILE_OR_FOLDER")
    if figure:
        from graphpose.analysis.extras import require

        require("matplotlib", "the picture (--no-figure leaves it out)")
    from graphpose.engine.ablation import check_cells, run_cells, write_config

    check_cells(config)
    kept = write_config(config)
    failed: list[Finished] = []
    try:
        with contextlib.closing(
            run_cells(chosen, jobs=jobs, config=kept, progress=jobs == 1 and sys.stdout.isatty())
        ) as ended:
            for one in ended:
                failed += [one] if one.error is not None else []
                _write(cells, config, figure)
                print(_line(one), flush=True)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(_go_on(chosen, kept, args)) from stop
    text = _write(cells, config, figure)
    print("", text, f"tables{' and picture' if figure else ''}: {config.output}", sep="\n")
    for one in failed:
        print(f"graphpose: error: {one.cell.name} failed: {one.error}; see {one.cell.folder}", file=sys.stderr)
    return 1 if failed else None


def _write(cells: Sequence[Cell], config: AblationConfig, figure: bool) -> str:
    """Tables and picture of what is done; returns the table as text."""
    from graphpose.analysis.ablation_table import read_table, save_tables, to_text

    table = read_table(cells, config.reference)
    save_tables(table, config.output)
    if figure and table.done:
        from graphpose.analysis.ablation_figure import draw_ablation

        draw_ablation(table, Path(config.output) / "figure.png")
    return to_text(table)


def _line(one: Finished) -> str:
    from graphpose.analysis.ablation_table import duration
    from graphpose.engine.ablation_cell import read_cell

    told = f"[{one.number}/{one.total}] {one.cell.name}: "
    found = read_cell(one.cell.folder)
    if one.error is not None or found is None:
        told += f"failed: {one.error}"
    else:
        record, result = found
        told += f"MPJPE {result['overall']['mpjpe']:.1f} mm, {record.parameters:,} parameters, {duration(one.seconds)}"
    return told + (f"; about {duration(one.remaining)} left" if one.number < one.total else "")


def _go_on(cells: Sequence[Cell], kept: Path, args: Namespace) -> str:
    from graphpose.engine.ablation_cell import read_cell

    done = sum(read_cell(cell.folder) is not None for cell in cells)
    words = ["graphpose", "ablate", "--config", str(kept)]
    words += ["--jobs", str(args["jobs"])] if args.get("jobs") is not None else []
    words += ["--only", *(repr(one) if "*" in one else one for one in args["only"])] if args.get("only") else []
    words += ["--no-figure"] if args.get("figure") is False else []
    return f"interrupted, {done} of {len(cells)} cells are done; go on with {' '.join(words)}"
