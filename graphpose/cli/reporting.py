"""The report of an evaluation: its tables, three telling clips, and the curves and settings of the run around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphpose.engine import Evaluation, LiftedClip

__all__ = ["report_evaluation", "telling_clips"]


def report_evaluation(evaluation: Evaluation, checkpoint: str | Path, path: str | Path) -> Path:
    """Writes one self-contained HTML file.

    Args:
        evaluation: what to show.
        checkpoint: its weights; curves and settings are read from the run folder around them, where there is one.
        path: of the HTML file.

    Raises:
        MissingExtraError: plotly (the extra `viz`) is not installed.
        FormatError: a damaged training log.
    """
    from graphpose.analysis import Example, write_report

    run = Path(checkpoint).parent
    settings = run / "config.yaml"
    examples = [
        Example(
            name=f"{clip.name}, view {clip.view}: {label}",
            skeleton=evaluation.skeleton,
            keypoints=clip.x[..., :2].numpy(),
            predicted=clip.predicted.numpy(),
            target=clip.target.numpy(),
            fps=clip.fps,
            up=None if clip.up is None else clip.up.numpy(),
        )
        for label, clip in telling_clips(evaluation.clips)
    ]
    return write_report(
        path,
        title=f"{evaluation.info['model']} on {evaluation.skeleton.name}",
        tables=[evaluation.table()],
        curves=_history(run),
        examples=examples,
        config=settings.read_text(encoding="utf-8") if settings.is_file() else "",
    )


def telling_clips(clips: list[LiftedClip]) -> list[tuple[str, LiftedClip]]:
    """The clips of smallest, median and largest mean error, each once; clips without an error are left out."""
    known = [(float(clip.error.nanmean()), i) for i, clip in enumerate(clips) if bool(clip.error.isfinite().any())]
    ranked = [clips[i] for _, i in sorted(known)]
    places = {"smallest error": 0, "median error": len(ranked) // 2, "largest error": len(ranked) - 1}
    chosen: dict[int, str] = {}
    for label, place in places.items():
        if ranked:
            chosen.setdefault(place, label)
    return [(label, ranked[place]) for place, label in chosen.items()]


def _history(run: Path) -> list[dict[str, float]]:
    """The logged rows of all parts of a run (a resumed run has several), in order."""
    from graphpose.analysis import read_history

    files = sorted(
        run.glob("logs/version_*/metrics.csv"), key=lambda file: int(file.parent.name.removeprefix("version_"))
    )
    return [row for file in files for row in read_history(file)]
