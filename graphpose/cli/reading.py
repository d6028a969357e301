"""The options by which the `data` commands read motion files, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

__all__ = ["add_reading", "is_store", "reading_options"]

_OPTIONS = ("scale", "fps", "markers", "up", "allow_truncated", "subjects", "annotation", "image_size")


def add_reading(parser: ArgumentParser) -> None:
    """Unit, rate, markers, up axis, truncated files, subjects, annotation and size of the picture."""
    parser.add_argument("--scale", type=float, help="metres per unit of the files (default: the format's own)")
    parser.add_argument("--fps", type=float, help="frames per second, in place of what the files say")
    parser.add_argument("--markers", type=str, help="YAML table of the points that make up each joint (c3d, csv, trc)")
    parser.add_argument(
        "--up", type=str, help="axis of the file that points up: x, y, z, -y, ... (c3d, csv, trc, amass)"
    )
    parser.add_argument(
        "--allow_truncated",
        action="store_true",
        help="keep the whole frames of files that were cut short (amc, bvh, trc)",
    )
    parser.add_argument(
        "--subjects", type=str, help="only these, with commas between (human36m, humaneva, mpi_inf_3dhp)"
    )
    parser.add_argument("--annotation", type=str, help="univ_annot3 or annot3 (mpi_inf_3dhp)")
    parser.add_argument(
        "--image_size",
        type=str,
        help="width and height of the video in pixels, such as 1920x1080 (openpose, coco_results, mmpose)",
    )


def reading_options(args: Namespace, *more: str) -> dict[str, Any]:
    """What of these was given, and of `more`, as options of `graphpose.formats.read_all`."""
    return {name: args[name] for name in (*_OPTIONS, *more) if args.get(name) not in (None, False)}


def is_store(path: str) -> bool:
    """Whether a path is a prepared store; told here as `graphpose.datasets` tells it, without importing torch."""
    return (Path(path) / "store.json").is_file()
