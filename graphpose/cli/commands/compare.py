"""Compare results of evaluations side by side, with paired bootstrap intervals over clips.

  graphpose evaluate runs/a/best.safetensors --out a; graphpose evaluate runs/b/best.safetensors --out b
  graphpose compare a/evaluation.json b/evaluation.json --metric mpjpe --out comparison/

Each is compared with the first. Results of other data, protocol, joints, annotation, alignment or cameras are refused.
"""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from graphpose.errors import ConfigError


def add_arguments(parser: ArgumentParser) -> None:
    """Which results, which metric, how drawn."""
    parser.add_argument(
        "result", type=str, nargs="+", help="evaluation.json files (or folders with one) that evaluate --out wrote"
    )
    parser.add_argument("--metric", type=str, help="metric to break down by action (default: mpjpe)")
    parser.add_argument(
        "--out", metavar="FOLDER", type=str, help="write tables (text, CSV, JSON) and a picture (comparison.png) here"
    )
    parser.add_argument("--samples", type=int, help="how often the clips are drawn anew (default: 10000)")
    parser.add_argument("--seed", type=int, help="of the draws (default: 0)")
    parser.add_argument(
        "--anyway", action="store_true", help="show results that were measured unlike, without intervals"
    )


def run(args: Namespace) -> None:
    """Prints the tables, writes what was asked for."""
    from graphpose.analysis.extras import require

    if args.get("out") is not None:
        require("matplotlib", "--out")
        _require_folder(Path(args["out"]))
    from graphpose.analysis.comparison import compare_files
    from graphpose.analysis.comparison_text import save_tables, to_text

    options = {name: args[name] for name in ("metric", "samples", "seed", "anyway") if args.get(name) is not None}
    found = compare_files(args["result"], **options)
    print(to_text(found), end="")
    if args.get("out") is not None:
        from graphpose.analysis.comparison_figure import draw_comparison

        folder = save_tables(found, args["out"])
        draw_comparison(found, folder / "comparison.png")
        print(f"tables and picture: {folder}")


def _require_folder(path: Path) -> None:
    """Before the work, not after it: a place where a folder is or can be made."""
    there = next((place for place in (path, *path.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        raise ConfigError(f"--out {path}: expected a folder ({there} is a file)")
