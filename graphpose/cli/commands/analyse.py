"""Show what a model attends to on clips: one HTML page to look around in, tables and all.

  graphpose analyse runs/demo/best.safetensors --data data/samples --out attention.html
  graphpose analyse best.safetensors --data walk.bvh --windows 4 --layers 0,7 --out attention.html --record attention.safetensors
  graphpose analyse best.safetensors --data walk.bvh --out attention.html --rerun attention.rrd

The clips are lifted window by window, and windows of all of them are recorded, evenly spread. The data settings are those of the
training (kept in the checkpoint) unless options replace them; clips are mapped to the model's skeleton. A record is read again by
graphpose.analysis.attention.load_record. Results replace files of an earlier analysis, but never the checkpoint or a clip.
The page needs no network; it shows joints, frames, heads and layers of one's choice.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given
from graphpose.cli.parsing import UsageError, add_settings, given
from graphpose.config import DataConfig, EvaluateConfig
from graphpose.errors import ConfigError
from graphpose.structured import build

SHORTHANDS = {"--data": "--data.paths+"}
WINDOWS = 16
SUFFIXES = {"out": ".html", "record": ".safetensors", "rerun": ".rrd"}


def add_arguments(parser: ArgumentParser) -> None:
    """Checkpoint, what is recorded, and where the results go."""
    parser.add_argument("checkpoint", type=str, help="a .safetensors file of a run folder")
    parser.add_argument("--out", metavar="FILE.html", type=str, help="the page")
    parser.add_argument("--record", metavar="FILE.safetensors", type=str, help="write what was recorded, for notebooks")
    parser.add_argument(
        "--rerun", metavar="FILE.rrd", type=str, help="write poses and attention for the rerun viewer (extra `rerun`)"
    )
    parser.add_argument("--windows", type=int, help=f"how many windows of the clips are recorded (default: {WINDOWS})")
    parser.add_argument(
        "--layers", type=str, metavar="N[,N]", help="record only these layers, numbered from 0 (default: all)"
    )
    parser.add_argument(
        "--heads", type=str, metavar="N[,N]", help="record only these heads, numbered from 0 (default: all)"
    )
    parser.add_argument("--accelerator", choices=["auto", "cpu", "gpu", "mps"], help="(default: auto)")
    add_import(parser)
    add_settings(parser, {"data": DataConfig}, defaults={"data": "as in the training"})


def run(args: Namespace) -> None:
    """Records, writes what was asked for, says where it is."""
    import_given(args)
    outputs = {name: args[name] for name in ("out", "record", "rerun") if args.get(name) is not None}
    if not outputs:
        raise UsageError("expected --out FILE.html, --record FILE.safetensors or --rerun FILE.rrd (got none of them)")
    windows = args.get("windows", WINDOWS)
    if windows < 1:
        raise UsageError(f"--windows: expected at least 1 (got {windows})")
    kept: dict[str, Any] = {
        name: _numbers(args[name], name) for name in ("layers", "heads") if args.get(name) is not None
    }
    accelerator = {"accelerator": args["accelerator"]} if args.get("accelerator") is not None else {}
    config = build(EvaluateConfig, {**accelerator, **given(args, ["data"])})
    from graphpose.analysis.extras import require

    for option, packages in (("out", ("plotly", "pandas")), ("rerun", ("rerun",))):
        for package in packages if option in outputs else ():
            require(package, f"--{option}")  # before the model runs, which may take long
    from graphpose.analysis.attention.record_file import save_record
    from graphpose.analysis.attention.recording.observe import observe
    from graphpose.datasets import Views, prepare_clips
    from graphpose.engine.device import pick_device
    from graphpose.engine.evaluation import training_data
    from graphpose.errors import DataError
    from graphpose.models import load, read_metadata

    checkpoint = args["checkpoint"]
    settings = config.data_config(training_data(checkpoint, read_metadata(checkpoint)["config"]))
    missing = [path for path in settings.paths if not Path(path).exists()]
    if missing or not settings.paths:
        gone = f"the clips of its training are not here ({missing[0]})" if missing else "it records no training data"
        if missing and "paths" in config.data:
            gone = f"no such file or folder: {missing[0]}"
        raise DataError(f"{checkpoint}: {gone}; give --data FILE_OR_FOLDER")
    _spare_inputs(outputs, checkpoint, settings.paths)
    model = load(checkpoint, device=pick_device(config.accelerator))
    clips = prepare_clips(settings, skeleton=model.skeleton)
    record = observe(
        model,
        clips,
        views=Views.from_config(settings.views),
        max_windows=windows,
        progress=sys.stderr.isatty(),
        **kept,
    )
    if not record.attention and "out" in outputs:
        print(
            f"graphpose: warning: {record.model} attends to nothing; the page shows poses and graphs", file=sys.stderr
        )
    if "record" in outputs:
        save_record(record, outputs["record"])
        print(f"record: {outputs['record']}")
    if "rerun" in outputs:
        from graphpose.analysis.attention.pictures import rerun_file

        rerun_file(record, outputs["rerun"])
        print(f"for `rerun`: {outputs['rerun']}")
    if "out" in outputs:
        from graphpose.analysis.attention.pictures import attention_report

        print(f"recorded {len(record.windows)} windows, drawing the page ...", file=sys.stderr, flush=True)
        about = f"{', '.join(settings.paths)}; checkpoint {checkpoint}; {len(record.windows)} windows"
        attention_report(record, outputs["out"], subtitle=about)
        print(f"page: {outputs['out']}")


def _spare_inputs(outputs: Mapping[str, str], checkpoint: str, data: Sequence[str]) -> None:
    """Raises ConfigError where an output is a folder, another output, the checkpoint, or a file of the data.

    In a folder of data, a file with the suffix of the output is one of an earlier analysis: no clip is kept in such files.
    """
    before: dict[str, str] = {}
    for option, text in outputs.items():
        path = Path(text)
        if path.is_dir():
            raise ConfigError(f"--{option}: expected a file (got the folder {text})")
        if _same(path, Path(checkpoint)):
            raise ConfigError(
                f"--{option}: expected another file than the checkpoint, which it would replace (got {text})"
            )
        for other, taken in before.items():
            if _same(path, Path(taken)):
                raise ConfigError(f"--{option}: expected another file than --{other} (got {text} for both)")
        for source in map(Path, data):
            former = not path.exists() or path.suffix.lower() == SUFFIXES[option]
            files = [] if former else (file for file in source.rglob("*") if file.is_file())
            if _same(path, source) or any(_same(path, file) for file in files):
                raise ConfigError(
                    f"--{option}: expected a file that is not of the data, which it would replace (got {text})"
                )
        before[option] = text


def _same(path: Path, other: Path) -> bool:
    """Whether both are one file, also where one is a link or is not there yet."""
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


def _numbers(text: str, option: str) -> list[int]:
    """The whole numbers of "0,3"; raises UsageError."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise UsageError(f"--{option}: expected whole numbers with commas between (got {text!r})") from None
