"""An evaluation to look at: its tables, three telling clips, and the curves and settings of the run it belongs to.

>>> evaluation = graphpose.evaluate("runs/demo/best.safetensors")          # doctest: +SKIP
>>> report_evaluation(evaluation, "report.html")                           # doctest: +SKIP
>>> poster(telling_examples(evaluation), "poster.png")                     # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphpose.analysis.example import Example
from graphpose.analysis.history import read_history
from graphpose.analysis.tables import Table

if TYPE_CHECKING:
    from graphpose.engine import Evaluation, LiftedClip

__all__ = ["describe_evaluation", "report_evaluation", "telling_clips", "telling_examples"]


def describe_evaluation(evaluation: Evaluation) -> str:
    """What was evaluated, and how, in one line: part, protocol, flip averaging, data, checkpoint, how much of it.

    Each view of a clip counts, and so do the frames in it. Clips that the training saw are counted where there are any;
    what the evaluation does not know is left out.
    """
    info = evaluation.info
    part = f"{info['part']} clips" if "part" in info else ""
    flipped = "averaged over the mirror image" if evaluation.flip else "no flip"
    how = ", ".join(filter(None, [part, f"protocol {evaluation.protocol}", flipped]))
    checkpoint = f"checkpoint {info['checkpoint']}" if "checkpoint" in info else ""
    first = sum(clip.view == 0 for clip in evaluation.clips)
    amount = (
        f"{_count(first, 'clip')}, {_count(len(evaluation.clips), 'view')}, {_count(evaluation.errors.frames, 'frame')}"
    )
    seen = info.get("seen_in_training") or {"trained_on": 0, "validated_on": 0}
    count = seen["trained_on"] + seen["validated_on"]
    known = f"{count} of {_count(seen['clips'], 'clip')} seen in the training" if count else ""
    return "; ".join(filter(None, [how, ", ".join(info.get("data", [])), checkpoint, amount, known]))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def report_evaluation(evaluation: Evaluation, path: str | Path, *, run: str | Path | None = None) -> Path:
    """Writes one self-contained HTML file and returns its path.

    Args:
        evaluation: what to show.
        path: of the HTML file.
        run: run folder whose training curves and settings to show; by default the folder of the evaluated checkpoint.
            What is not in it (no logs, no config.yaml) is left out of the report.

    Raises:
        MissingExtraError: plotly (the extra `viz`) is not installed.
        FormatError: a damaged training log.
    """
    from graphpose.analysis.report import write_report

    checkpoint = evaluation.info.get("checkpoint")
    folder = Path(run) if run is not None else Path(checkpoint).parent if checkpoint is not None else None
    settings = None if folder is None else folder / "config.yaml"
    conditions = evaluation.table().conditions
    measured = [Table("How it was measured", ("What", "How"), list(conditions.items()))] if conditions else []
    return write_report(
        path,
        title=f"{evaluation.info.get('model', 'Evaluation')} on {evaluation.skeleton.name}",
        subtitle=describe_evaluation(evaluation),
        tables=[evaluation.table(), *measured],
        curves=[] if folder is None else _history(folder),
        examples=telling_examples(evaluation),
        config=settings.read_text(encoding="utf-8") if settings is not None and settings.is_file() else "",
    )


def telling_examples(evaluation: Evaluation) -> list[Example]:
    """The telling clips of an evaluation as the report and the poster draw them; empty when no clip has an error."""
    return [
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


def telling_clips(clips: Sequence[LiftedClip]) -> list[tuple[str, LiftedClip]]:
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
    parts = {file.parent.name.removeprefix("version_"): file for file in run.glob("logs/version_*/metrics.csv")}
    ordered = sorted((part for part in parts if part.isdigit()), key=int)
    return [row for part in ordered for row in read_history(parts[part])]
