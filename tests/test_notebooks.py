"""Every notebook runs top to bottom, reads well as it lies there, and stays small."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
SECONDS = 600  # of a cell; far beyond what any takes, so that a slow machine fails nobody
PICTURES = {"image/png", "application/vnd.plotly.v1+json"}

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def test_there_are_notebooks() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(1, len(NOTEBOOKS) + 1)]
    assert len(NOTEBOOKS) >= 7


@notebooks
def test_a_notebook_reads_well_without_running(path: Path) -> None:
    code = cells(path, "code")
    outputs = [output for cell in code for output in cell.outputs]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "kept as run from top to bottom"
    assert any(PICTURES & set(output.get("data", {})) for output in outputs), "a picture is there"
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert "assert" in code[-1].source, "what the notebook shows is checked at its end"
    assert cells(path, "markdown")[0].source.startswith("# ")
    assert path.stat().st_size < 1_000_000, "rendered figures are kept small"
    text = json.dumps(outputs)
    assert str(Path.home()) not in text and "/site-packages/" not in text, "no paths of the machine it ran on"


@notebooks
def test_a_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import graphpose

    folder = str(Path(graphpose.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")])))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    stderr = [o.text for cell in notebook.cells for o in cell.get("outputs", []) if o.get("name") == "stderr"]
    assert not stderr, "no warnings"
