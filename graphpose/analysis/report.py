"""The report of a run: one HTML file with the figures, to be opened in any browser, without a network.

Sections, each left out when there is nothing for it: headline figures, examples (2D input beside predicted and true 3D,
playable), error per joint drawn on the skeleton, tables, training curves, configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphpose.analysis.curves import curve_figures
from graphpose.analysis.example import Example, as_array
from graphpose.analysis.extras import require
from graphpose.analysis.history import read_history
from graphpose.analysis.page import escape, table, write_page
from graphpose.analysis.player_page import player_html
from graphpose.analysis.pose_player import player_data
from graphpose.analysis.skeleton_figure import skeleton_error_figure
from graphpose.analysis.tables import Table, TableLike, joint_errors, overall_summary, tables_of
from graphpose.analysis.upright import front_pose
from graphpose.errors import DataError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from graphpose.metrics import ErrorTable
    from graphpose.skeleton import Skeleton

__all__ = ["Example", "Table", "read_history", "write_report"]

require("plotly", "graphpose.analysis.report")

_FRAMES = 150  # an example
_NUMBERS = 450_000  # coordinates in the whole page: keeps it, with 5 MB of plotly.js, under 8 MB


def write_report(
    path: str | Path,
    *,
    title: str,
    subtitle: str = "",
    tables: Sequence[TableLike | ErrorTable] = (),
    summary: Mapping[str, object] | None = None,
    curves: Sequence[Mapping[str, float]] = (),
    examples: Sequence[Example] = (),
    per_joint_error: Any = None,
    skeleton: Skeleton | None = None,
    config: str = "",
) -> Path:
    """Write the page to `path`, whole or not at all (folders are made), and return the path.

    Args:
        path: of the HTML file.
        title: heading and window title.
        subtitle: one line below it, e.g. what was evaluated.
        tables: an `ErrorTable` gives one table each by action, subject, joint and clip and, the first of them, the
            summary and the error per joint where these are not given. Other objects have `title`, `columns` and `rows`
            (first cell the label), see `Table`. NaN is shown as a dash.
        summary: label -> number, text or (number, unit), shown as cards on top.
        curves: rows of the training history, from `read_history`.
        examples: clips to play; thinned to at most 150 frames each, fewer where many joints or examples would make the
            page heavy.
        per_joint_error: `[J]` metres on `skeleton`, NaN where unknown.
        skeleton: of `per_joint_error`.
        config: text of the configuration of the training, shown folded.

    Raises:
        DataError: `per_joint_error` without a skeleton, or of another number of joints; `path` is a folder.
    """
    flat: list[TableLike] = []
    for shown in tables:
        if not hasattr(shown, "by_joint"):
            flat.append(shown)
            continue
        errors = cast("ErrorTable", shown)
        flat += tables_of(errors)
        summary = overall_summary(errors) if summary is None else summary
        if per_joint_error is None:
            per_joint_error, skeleton = joint_errors(errors), errors.skeleton

    figures: dict[str, Figure] = {}
    sections: list[tuple[str, str, str]] = []
    players = [player_data(example, _frame_limit(examples)) for example in examples]
    if examples:
        html = "".join(player_html(k, e, p) for k, (e, p) in enumerate(zip(examples, players, strict=True)))
        sections.append(("examples", "Predictions", html))
    if per_joint_error is not None:
        html = _joint_section(per_joint_error, skeleton, list(examples), figures)
        sections.append(("joints", "Error per joint", html))
    if flat:
        sections.append(("tables", "Tables", f'<div class="tables">{"".join(table(one) for one in flat)}</div>'))
    if curves:
        sections.append(("training", "Training", _curve_section(curves, figures)))
    if config:
        html = f'<summary>Show the settings of the training</summary><pre tabindex="0">{escape(config)}</pre>'
        sections.append(("config", "Configuration of the training", f'<details class="card">{html}</details>'))

    return write_page(
        path,
        title=title,
        subtitle=subtitle,
        summary=summary,
        sections=sections,
        figures=figures,
        data={"players": players},
    )


def _frame_limit(examples: Sequence[Example]) -> int:
    """Frames an example may have; a joint of a frame takes 9 numbers (2D, predicted, true, error)."""
    joints = sum(len(example.skeleton.joints) for example in examples)
    return max(10, min(_FRAMES, _NUMBERS // max(1, 9 * joints)))


def _joint_section(error: Any, skeleton: Skeleton | None, examples: list[Example], figures: dict[str, Figure]) -> str:
    if skeleton is None:
        raise DataError("per_joint_error: expected skeleton= beside it, to draw it on (got None)")
    values = as_array(error)
    if values.shape != (len(skeleton.joints),):
        raise DataError(
            f"per_joint_error: expected shape [{len(skeleton.joints)}], one value a joint of skeleton "
            f"{skeleton.name!r} (got {list(values.shape)})"
        )
    place, shows = front_pose(skeleton, examples)
    figures["skeleton"] = skeleton_error_figure(skeleton, values, place)
    note = f"Mean error of each joint in millimetres, drawn on {skeleton.name}: {shows}."
    plot = '<div class="plot body" data-figure="skeleton"></div>'
    return f'<div class="card"><p class="note">{escape(note)}</p>{plot}</div>'


def _curve_section(history: Sequence[Mapping[str, float]], figures: dict[str, Figure]) -> str:
    parts = []
    for k, (name, figure) in enumerate(curve_figures(history)):
        figures[f"curve-{k}"] = figure
        plot = f'<div class="plot curve" data-figure="curve-{k}"></div>'
        parts.append(f'<div class="card"><h3>{escape(name)}</h3>{plot}</div>')
    return f'<div class="curves">{"".join(parts)}</div>'
