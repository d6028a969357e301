"""Lift the 2D keypoints of a file to 3D.

  graphpose predict runs/demo/best.safetensors keypoints.npz poses.npz

INPUT holds an array keypoints [T, J, 2] on the model's skeleton, or on another one that maps to it (arrays joints
and parents, or --skeleton, name it): normalised screen units, or pixels with the size of the picture as width and
height. Joints without names are taken in the order of the model's skeleton. A model that is bound to no skeleton lifts
those of any other as they are, unless --mapped is given.

INPUT may also be what OpenPose (a folder), MMPose, ViTPose, Detectron2 or AlphaPose wrote for a video:

  graphpose predict runs/demo/best.safetensors results.json poses.npz --fps 25 --image_size 1920x1080

OUTPUT gets positions [T, J, 3] in metres, camera space, relative to the root joint.
"""

from __future__ import annotations

from jsonargparse import ActionYesNo, ArgumentParser, Namespace

from graphpose.cli.imports import add_import, import_given


def add_arguments(parser: ArgumentParser) -> None:
    """Checkpoint, input, output."""
    parser.add_argument("checkpoint", type=str, help="a .safetensors file of a run folder")
    parser.add_argument("input", type=str, help="npz file of 2D keypoints, or what a detector wrote")
    parser.add_argument("output", type=str, help="npz file of 3D positions to write")
    parser.add_argument(
        "--flip",
        action=ActionYesNo(yes_prefix="", no_prefix="no-"),
        help="average with the mirrored input (default: yes)",
    )
    parser.add_argument("--fps", type=float, help="frames per second, in place of what the input says")
    parser.add_argument(
        "--image_size",
        type=str,
        help="width and height of the video in pixels, such as 1920x1080, for the files of detectors, which do not tell it",
    )
    parser.add_argument(
        "--mapped",
        action=ActionYesNo(yes_prefix="", no_prefix="no-"),
        help="map keypoints of another skeleton to the model's first, which is more accurate where there is a mapping "
        "(default: yes for models bound to their skeleton, else no)",
    )
    parser.add_argument(
        "--skeleton",
        type=str,
        help="skeleton of an input that names no joints (default: the model's; of a detector's files, by their number)",
    )
    add_import(parser)


def run(args: Namespace) -> None:
    """Reads, lifts, writes."""
    import_given(args)
    from graphpose.engine import predict_file

    options = {name: args[name] for name in ("fps", "skeleton", "mapped", "image_size") if args.get(name) is not None}
    predict_file(args["checkpoint"], args["input"], args["output"], flip=args.get("flip", True), **options)
    print(f"3D positions: {args['output']}")
