"""A lifter trained on one data set, adapted to the cameras and people of another: with and without each part of PoseDA.

    python tests/benchmarks/bench_adaptation.py CMU_LIFT.npz BANDAI_NAMCO_FOLDER [--folder runs/adaptation] [--hosts residual_mlp ktpformer]
        [--rows source gpa tilt lpa both target] [--seeds 0 1 2] [--steps 600]

Source: the small lifting benchmark (CMU), four static cameras, 5 m away, 1.5 m high, focal length 2.29. Target: Bandai-Namco clips, other
people and other motions, seen by four static cameras at other angles, 7.5 m away, 4 m high (22 degrees of tilt), focal length 1.7; three
clips of four, in the order of their names, to adapt to, the fourth to test on. Adaptation is given the 2D keypoints of the first three
alone; 3D of the target is used by the row `target` (trained on it, the ceiling) and by the final table. Rows: source only; alignment as
published; with the tilt of the cameras read off the keypoints (ours); augmentation alone; both, as the recipe `adapt_small` has them.

Every cell is a run folder under --folder and is gone on with when it is there already. Prints a table of what was measured, means
over the seeds with half the range, and writes it to table.md, table.json and figure.png beside the runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import graphpose
from graphpose.adaptation import adapt
from graphpose.analysis.axes_style import new_figure, write_png
from graphpose.config import (
    AdaptConfig,
    AlignmentConfig,
    AugmentationConfig,
    DataConfig,
    SplitConfig,
    TrainConfig,
    ViewsConfig,
)
from graphpose.datasets import Views, prepare_clips, view_clip
from graphpose.engine import evaluate_clips, train
from graphpose.geometry import Camera
from graphpose.motion import MotionClip

ROWS = {
    "source": "source only",
    "gpa": "+ alignment (GPA), as published",
    "tilt": "+ alignment, with the tilt",
    "lpa": "+ augmentation (LPA)",
    "both": "+ both",
    "target": "trained on the target",
}
FIGURES = {"mpjpe": "MPJPE mm", "n_mpjpe": "N-MPJPE mm", "p_mpjpe": "P-MPJPE mm", "pck": "PCK@150 %", "auc": "AUC %"}
CAMERAS = ViewsConfig(azimuths=(20.0, 110.0, 200.0, 290.0), distance=7.5, height=4.0, focal=1.7)


def target_clips(folder: str) -> list[MotionClip]:
    """The clips of the target on the 17 joints at 30 Hz, with their 3D."""
    return prepare_clips(DataConfig(paths=[folder], skeleton="h36m17", fps=30.0))


def as_seen(clips: Sequence[MotionClip]) -> list[MotionClip]:
    """What the cameras of the target give of clips: keypoints and focal length, no 3D."""
    seen = []
    for clip in clips:
        for number, view in enumerate(view_clip(clip, Views.from_config(CAMERAS))):
            assert view.camera is not None
            camera = Camera(view.camera.rotation, view.camera.position, view.camera.focal)
            seen.append(
                MotionClip(
                    clip.skeleton, clip.fps, keypoints=view.x[..., :2], camera=camera, name=f"{clip.name}/{number}"
                )
            )
    return seen


def training(host: str, seed: int, output: Path) -> TrainConfig:
    """The bundled recipe of the host on the benchmark."""
    config = TrainConfig.from_yaml(f"cmu_lift_{host}")
    return replace(config, run=replace(config.run, seed=seed, output=str(output)))


def trained(config: TrainConfig, clips: Sequence[MotionClip] | None) -> Path:
    """Trains, or goes on where a run was stopped; gives the last weights."""
    folder = Path(config.run.output)
    resume = folder if (folder / "last.ckpt").exists() else None
    return train(config, resume=resume, clips=clips, progress="lines").last


def adapted(config: AdaptConfig, target: Sequence[MotionClip]) -> Path:
    """The same for an adaptation."""
    folder = Path(config.run.output)
    resume = folder if (folder / "last.ckpt").exists() else None
    return adapt(config, resume=resume, target=target, progress="lines").last


def cell(row: str, host: str, seed: int, arguments: argparse.Namespace, parts: dict[str, list[MotionClip]]) -> Path:
    """The weights of one row, host and seed."""
    folder = Path(arguments.folder) / host
    name = f"seed{seed}"
    source = training(host, seed, folder / "source" / name)
    source = replace(source, data=replace(source.data, paths=[arguments.source]))
    if row == "source":
        return trained(source, None)
    if row == "target":
        data = replace(source.data, paths=[], views=CAMERAS, split=SplitConfig(by="file", val=0.0))
        run = replace(source.run, output=str(folder / row / name))
        return trained(replace(source, data=data, run=run), parts["train"])
    base = AdaptConfig.from_yaml("adapt_small")
    steps = arguments.steps or base.run.max_steps
    config = replace(
        base,
        checkpoint=str(trained(source, None)),
        data={"paths": [arguments.source]},
        alignment={"gpa": AlignmentConfig(), "lpa": AlignmentConfig("none")}.get(row, base.alignment),
        augmentation=AugmentationConfig(enabled=False) if row in ("gpa", "tilt") else base.augmentation,
        run=replace(base.run, seed=seed, max_steps=steps, output=str(folder / row / name)),
    )
    return adapted(config, parts["seen"])


def measured(weights: Path, clips: Sequence[MotionClip]) -> dict[str, float]:
    """Figures on the test clips of the target; kept beside the weights, for these weights alone."""
    kept, content = weights.with_name("target.json"), hashlib.sha256(weights.read_bytes()).hexdigest()
    known = json.loads(kept.read_text()) if kept.is_file() else {}
    if known.get("weights") != content:
        result = evaluate_clips(graphpose.load(weights), clips, views=Views.from_config(CAMERAS), progress=False)
        known = {"weights": content, "figures": result.errors.overall()}
        kept.write_text(json.dumps(known))
    return dict(known["figures"])


def table(found: dict[tuple[str, str, int], dict[str, float]], hosts: Sequence[str], rows: Sequence[str]) -> str:
    """Means over the seeds, half of the range behind them, and how much of the gap to the ceiling is closed (same seeds)."""
    lines = [
        f"| host | row | {' | '.join(FIGURES.values())} | gap closed | seeds |",
        "| --- " * (len(FIGURES) + 4) + "|",
    ]
    for host in hosts:
        of_row = {row: {s: v for (h, r, s), v in found.items() if (h, r) == (host, row)} for row in rows}
        for row in rows:
            if not of_row[row]:
                continue
            shown = []
            for name in FIGURES:
                values = [v[name] for v in of_row[row].values()]
                spread = f" ± {(max(values) - min(values)) / 2:.1f}" if len(values) > 1 else ""
                shown.append(f"{statistics.fmean(values):.1f}{spread}")
            closed = ""
            if of_row.get("source") and of_row.get("target") and row not in ("source", "target"):
                seeds = of_row["source"].keys() & of_row["target"].keys() & of_row[row].keys()
                before, after, best = (sum(of_row[r][s]["mpjpe"] for s in seeds) for r in ("source", row, "target"))
                closed = f"{100 * (before - after) / (before - best):.0f} %" if seeds else ""
            lines.append(f"| {host} | {ROWS[row]} | {' | '.join(shown)} | {closed} | {len(of_row[row])} |")
    return "\n".join(lines)


def picture(
    found: dict[tuple[str, str, int], dict[str, float]], hosts: Sequence[str], rows: Sequence[str], path: Path
) -> None:
    """MPJPE of every row, a dot a seed, a panel a host; beside it what is left where size is fitted (N-MPJPE)."""
    figure = new_figure((10.0, 0.42 * len(rows) + 1.4), "bench_adaptation")
    panels = figure.subplots(1, len(hosts), sharey=True, sharex=True, squeeze=False)[0]
    marks = {"mpjpe": ("MPJPE", "o", "#0072b2"), "n_mpjpe": ("N-MPJPE, size fitted", "|", "#d55e00")}
    for axes, host in zip(panels, hosts, strict=True):
        for name, (label, marker, colour) in marks.items():
            points = [(v[name], rows.index(row)) for (h, row, _), v in found.items() if h == host]
            values, places = zip(*points, strict=True)
            axes.plot(values, places, marker, color=colour, label=label, markersize=6, markeredgewidth=2, alpha=0.8)
        axes.set(title=host, xlabel="mm", yticks=range(len(rows)), yticklabels=[ROWS[row] for row in rows])
        axes.grid(axis="x", color="#d8dce2", linewidth=0.6)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    panels[0].invert_yaxis()
    panels[0].set_xlim(0.0, 1.04 * max(v[name] for v in found.values() for name in marks))
    panels[-1].legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 0.12))
    write_png(figure, path, 110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="cmu_lift.npz")
    parser.add_argument("target", help="folder of Bandai-Namco clips")
    parser.add_argument("--folder", default="runs/adaptation")
    parser.add_argument("--hosts", nargs="+", default=["residual_mlp", "ktpformer"])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="of the adaptations (default: as in the recipe)")
    arguments = parser.parse_args()
    clips = sorted(target_clips(arguments.target), key=lambda clip: clip.name)
    test = clips[3::4]
    train_part = [clip for i, clip in enumerate(clips) if i % 4 != 3]
    parts = {"train": train_part, "seen": as_seen(train_part)}
    found: dict[tuple[str, str, int], dict[str, float]] = {}
    for seed in arguments.seeds:
        for host in arguments.hosts:
            for row in arguments.rows:
                found[host, row, seed] = measured(cell(row, host, seed, arguments, parts), test)
                print(f"{host}, {row}, seed {seed}: {found[host, row, seed]['mpjpe']:.1f} mm", flush=True)
    text = table(found, arguments.hosts, arguments.rows)
    print(text)
    folder = Path(arguments.folder)
    (folder / "table.md").write_text(text + "\n")
    picture(found, arguments.hosts, arguments.rows, folder / "figure.png")
    rows = [{"host": h, "row": r, "seed": s, **values} for (h, r, s), values in found.items()]
    (folder / "table.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
