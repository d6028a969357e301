"""Evaluate a checkpoint on clips; prints errors per action, subject and joint in millimetres.

  graphpose evaluate runs/demo/best.safetensors --data data/samples --report report.html --poster poster.png
  graphpose evaluate best.safetensors --data other/ --part all --protocol published --out results/
  graphpose evaluate best.safetensors --data other/ --common_joints 14 --alignment clip-scale --keypoint_noise 0.01

  graphpose evaluate free.safetensors --data hands/ --data.skeleton hand21 --data.frames 81
  graphpose evaluate d3dp.safetensors --hypotheses 20 --steps 10 --aggregate jpma

The data settings are those of the training (kept in the checkpoint) unless options replace them. Clips are mapped to the
model's skeleton; a model that is bound to none is put on the one that --data.skeleton names.
"""

from __future__ import annotations

import sys

from jsonargparse import ActionYesNo, ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given
from graphpose.cli.parsing import add_settings, given
from graphpose.config import DataConfig, EvaluateConfig
from graphpose.structured import build

SHORTHANDS = {"--data": "--data.paths+"}
OWN = (
    "part",
    "protocol",
    "flip",
    "alignment",
    "common_joints",
    "keypoint_noise",
    "seed",
    "precision",
    "accelerator",
    "hypotheses",
    "steps",
    "sampler",
    "aggregate",
)


def add_arguments(parser: ArgumentParser) -> None:
    """`EvaluateConfig`, and where the results go."""
    parser.add_argument("checkpoint", type=str, help="a .safetensors file of a run folder")
    parser.add_argument(
        "--part", choices=["all", "train", "val", "test"], help="part of the split (default: test, else all)"
    )
    parser.add_argument(
        "--protocol",
        choices=["exact", "published"],
        help="count frames once, or as the published scripts do (default: exact)",
    )
    parser.add_argument(
        "--flip",
        action=ActionYesNo(yes_prefix="", no_prefix="no-"),
        help="average with the mirrored input (default: yes)",
    )
    parser.add_argument(
        "--alignment",
        choices=["root", "scale", "clip-scale"],
        help="scale the prediction before it is measured: not, each frame, or each clip and view (default: root, not)",
    )
    parser.add_argument(
        "--common_joints",
        type=int,
        choices=[14, 16, 17],
        help="measure only the joints that published skeletons have in common (default: all of the model's skeleton)",
    )
    parser.add_argument(
        "--keypoint_noise",
        type=float,
        metavar="SIGMA",
        help="Gaussian noise on the 2D input, normalised screen units (default: 0)",
    )
    parser.add_argument("--seed", type=int, help="of the noise (default: 0)")
    parser.add_argument(
        "--precision", choices=["32-true", "64-true", "16-mixed", "bf16-mixed"], help="(default: 32-true)"
    )
    parser.add_argument("--accelerator", choices=["auto", "cpu", "gpu", "mps"], help="(default: auto)")
    own = "for models that draw several (d3dp; default: as in the checkpoint)"
    parser.add_argument("--hypotheses", type=int, help=f"poses drawn for each frame, {own}")
    parser.add_argument("--steps", type=int, help=f"steps of the sampler that draws hypotheses, {own}")
    parser.add_argument("--sampler", metavar="NAME", type=str, help=f"ddim or dpm-solver++, {own}")
    parser.add_argument(
        "--aggregate",
        choices=["mean", "jpma", "pose", "jpma-true-root", "pose-true-root"],
        help=f"what makes one pose of the hypotheses; -true-root is told the true path of the root, as published; {own}",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=str,
        help="write tables (text, CSV, JSON), the whole result and predicted clips here",
    )
    parser.add_argument("--report", metavar="FILE.html", type=str, help="write a self-contained report to look at")
    parser.add_argument("--poster", metavar="FILE.png", type=str, help="write a picture of telling clips")
    add_import(parser)
    add_settings(parser, {"data": DataConfig}, defaults={"data": "as in the training"})


def run(args: Namespace) -> None:
    """Evaluates, writes what was asked for, prints the table."""
    import_given(args)
    values = {name: args[name] for name in OWN if args.get(name) is not None}
    config = build(EvaluateConfig, {**values, **given(args, ["data"])})
    from graphpose.analysis.extras import require

    for option, package in (("report", "plotly"), ("poster", "matplotlib")):
        if args.get(option) is not None:
            require(package, f"--{option}")  # before the evaluation, which may take long
    from graphpose import analysis
    from graphpose.engine import evaluate

    evaluation = evaluate(args["checkpoint"], config, progress=sys.stderr.isatty())
    written = []
    try:  # files first, since whoever reads the output may stop reading it; the table even where they cannot be written
        if args.get("out") is not None:
            evaluation.save(args["out"])
            written.append(f"tables, clips and evaluation.json for `graphpose compare`: {args['out']}")
        if args.get("report") is not None:
            analysis.report_evaluation(evaluation, args["report"])
            written.append(f"report: {args['report']}")
        if args.get("poster") is not None:
            analysis.poster(analysis.telling_examples(evaluation), args["poster"])
            written.append(f"picture: {args['poster']}")
    finally:
        print(analysis.describe_evaluation(evaluation), evaluation.table(), *written, sep="\n")
