"""Looking at results: the HTML report of a run and the pictures in it.

`report_evaluation` makes one self-contained page of an evaluation, `write_report` one of anything, `poster` one PNG.
`capture` records what a model attends to, `observe` does so for clips; `graphpose.analysis.attention` says what can be made of it.
`Example` is a clip to look at, `telling_examples` picks some from an evaluation, `read_history` reads the logged
training curves. Plotly and matplotlib are the extra `viz`; nothing here is imported before it is asked for.

Adding a figure to the report: one file here with a function that returns a `plotly.graph_objects.Figure` in the *light*
colours of `palette` (the page swaps in the dark ones by itself), and one line in `report.write_report`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphpose.lazy_names import lazy

if TYPE_CHECKING:
    from graphpose.analysis.attention.record import Record
    from graphpose.analysis.attention.record_file import load_record, save_record
    from graphpose.analysis.attention.recording.capture import capture
    from graphpose.analysis.attention.recording.observe import observe
    from graphpose.analysis.attention.recording.sites import Site
    from graphpose.analysis.evaluation_report import (
        describe_evaluation,
        report_evaluation,
        telling_clips,
        telling_examples,
    )
    from graphpose.analysis.example import Example
    from graphpose.analysis.extras import MissingExtraError
    from graphpose.analysis.history import read_history
    from graphpose.analysis.report import write_report
    from graphpose.analysis.still import poster
    from graphpose.analysis.tables import Table

_WHERE = {
    "Example": "example",
    "MissingExtraError": "extras",
    "Record": "attention.record",
    "Site": "attention.recording.sites",
    "capture": "attention.recording.capture",
    "describe_evaluation": "evaluation_report",
    "load_record": "attention.record_file",
    "observe": "attention.recording.observe",
    "poster": "still",
    "Table": "tables",
    "read_history": "history",
    "report_evaluation": "evaluation_report",
    "save_record": "attention.record_file",
    "telling_clips": "evaluation_report",
    "telling_examples": "evaluation_report",
    "write_report": "report",
}

__all__ = [
    "Example",
    "MissingExtraError",
    "Record",
    "Site",
    "Table",
    "capture",
    "describe_evaluation",
    "load_record",
    "observe",
    "poster",
    "read_history",
    "report_evaluation",
    "save_record",
    "telling_clips",
    "telling_examples",
    "write_report",
]

__getattr__, __dir__ = lazy(__name__, _WHERE)
