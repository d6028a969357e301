"""Show a skeleton as a tree, or draw it into a picture.

graphpose skeleton show h36m17
graphpose skeleton show my_hound.yaml --plot hound.png
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace

if TYPE_CHECKING:
    from graphpose.skeleton import Skeleton


def add_arguments(parser: ArgumentParser) -> None:
    """Which skeleton, and the picture."""
    parser.add_argument("name", type=str, help="name of a bundled skeleton, or a YAML file")
    parser.add_argument("--plot", metavar="FILE.png", type=str, help="draw it (needs matplotlib: the extra `viz`)")
    parser.add_argument("--mode", choices=["2d", "3d"], help="what to draw: the tree, or the rest pose (default: 2d)")


def run(args: Namespace) -> None:
    """Prints the tree; draws it when asked."""
    from graphpose.skeleton import Skeleton

    skeleton = Skeleton.load(args["name"])
    print(skeleton.describe())
    if args.get("plot") is not None:
        _plot(skeleton, args["plot"], args.get("mode") or "2d")
        print(f"picture: {args['plot']}")


def _plot(skeleton: Skeleton, path: str, mode: Literal["2d", "3d"]) -> None:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        from graphpose.errors import GraphposeError

        raise GraphposeError('--plot needs matplotlib: pip install "graphpose[viz]"') from error
    figure = Figure(figsize=(6, 7))  # not pyplot: needs no display
    axes = figure.add_subplot(projection="3d" if mode == "3d" else None)
    skeleton.draw(axes, mode=mode)
    from graphpose.errors import GraphposeError, unknown_name

    kinds = sorted(figure.canvas.get_supported_filetypes())
    suffix = path.rpartition(".")[2].lower()
    if suffix not in kinds:
        raise GraphposeError(f"--plot {path}: {unknown_name('kind of picture', suffix, kinds)}")
    figure.savefig(path, dpi=150, bbox_inches="tight")
