"""Steps of the sampler against error, on the weights of one checkpoint: DDIM beside DPM-Solver++, and what each aggregation makes of it.

    python tests/benchmarks/bench_d3dp.py CHECKPOINT [DATA ...] [--steps 1 2 5 10] [--hypotheses 5] [--clips N] [--flip] [--json OUT]

Test clips are chosen by the split that the checkpoint was trained with. All figures are MPJPE in mm over every frame of every view, root
of the prediction not moved. Columns: one hypothesis (mean over them), their mean pose, JPMA and pose-wise reprojection with the root
estimated from the keypoints, JPMA with the true root (published), and, chosen by the truth, the oracles P-Best and J-Best. Samplers
start from the same noise. Seconds are of the whole row; the first pass of each sampler is not timed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from graphpose.config import DataConfig
from graphpose.datasets import Views, prepare_clips, split_clips, view_clip
from graphpose.engine.evaluation import training_data
from graphpose.metrics import j_best, mpjpe, p_best
from graphpose.models import load, read_metadata
from graphpose.models.d3dp import D3DP
from graphpose.nn.aggregation import aggregate
from graphpose.nn.diffusion_samplers import SAMPLERS

COLUMNS = ("one", "mean", "jpma", "pose", "jpma, true root", "oracle P-Best", "oracle J-Best")


class Seen(NamedTuple):
    """A clip as its cameras saw it: keypoints [V, L, J, 3], poses [V, L, J, 3] and roots [V, L, 3]."""

    x: torch.Tensor
    y: torch.Tensor
    root: torch.Tensor


def clips_of_test_part(model: D3DP, settings: DataConfig, limit: int | None) -> list[Seen]:
    """The views of the test clips, or of all clips when the split names none."""
    clips = prepare_clips(settings, skeleton=model.skeleton)
    split = settings.split
    chosen = split_clips(clips, split.by, split.test, split.val, split.seed).test or clips
    seen = [view_clip(clip, Views.from_config(settings.views)) for clip in chosen[:limit]]
    return [Seen(*(torch.stack([getattr(view, name) for view in views]) for name in Seen._fields)) for views in seen]


def errors(model: D3DP, clip: Seen, focal: float, **how: object) -> tuple[torch.Tensor, float]:
    """MPJPE in mm of each column, summed over the frames of the views, and the seconds that the hypotheses took."""
    begin = time.perf_counter()
    found = model.propose(clip.x, **how)
    seconds = time.perf_counter() - begin

    def chosen(kind: str, root: torch.Tensor | None = None) -> torch.Tensor:
        return mpjpe(aggregate(found, kind, keypoints=clip.x, camera=focal, root=root), clip.y)

    figures = [
        mpjpe(found, clip.y.expand_as(found)),
        chosen("mean"),
        chosen("jpma"),
        chosen("pose"),
        chosen("jpma", clip.root),
        p_best(found, clip.y),
        j_best(found, clip.y),
    ]
    return 1000 * torch.stack(figures) * clip.y[..., 0, 0].numel(), seconds


def run(
    model: D3DP, clips: Sequence[Seen], focal: float, steps: Iterable[int], hypotheses: int, flip: bool
) -> list[dict[str, object]]:
    """One row a sampler and number of steps."""
    frames = sum(clip.y[..., 0, 0].numel() for clip in clips)
    rows: list[dict[str, object]] = []
    for sampler in SAMPLERS:
        model.propose(clips[0].x[:1, : model.frames], sampler=sampler, steps=2)
        for count in steps:
            how = {"sampler": sampler, "steps": count, "hypotheses": hypotheses, "flip": flip}
            measured = [errors(model, clip, focal, **how) for clip in clips]
            figures = (sum(figure for figure, _ in measured) / frames).tolist()
            seconds = sum(second for _, second in measured)
            row = {"sampler": sampler, "steps": count, "seconds": round(seconds, 1)}
            rows.append(row | {name: round(value, 1) for name, value in zip(COLUMNS, figures, strict=True)})
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    return rows


def main() -> None:
    """Prints the rows for the checkpoint on the command line, and writes them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("data", nargs="*", help="clips; those that the checkpoint was trained with when left out")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--hypotheses", type=int, default=5)
    parser.add_argument("--clips", type=int, help="only the first clips of the test part")
    parser.add_argument("--flip", action="store_true", help="average over mirror images inside each step")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model = load(given.checkpoint)
    if not isinstance(model, D3DP):
        parser.error(f"expected a checkpoint of d3dp (got {type(model).__name__})")
    settings = training_data(given.checkpoint, read_metadata(given.checkpoint)["config"])
    if given.data:
        settings.paths[:] = given.data
    clips = clips_of_test_part(model, settings, given.clips)
    print(f"{len(clips)} clips, {sum(clip.y[..., 0, 0].numel() for clip in clips)} frames in all views", flush=True)
    rows = run(model, clips, settings.views.focal, given.steps, given.hypotheses, given.flip)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
