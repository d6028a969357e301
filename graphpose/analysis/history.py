"""The training history of a run, from the `metrics.csv` that Lightning's CSVLogger writes."""

from __future__ import annotations

import csv
from pathlib import Path

from graphpose.errors import FormatError

__all__ = ["read_history"]


def read_history(path: str | Path) -> list[dict[str, float]]:
    """One dict a logged row: column name -> value; a column that the row left empty is absent, "nan" stays NaN.

    `path` is the CSV file or the folder that holds `metrics.csv`. Raises `FormatError` naming the file and the line:
    nothing there, no header, a row longer or shorter than the header, a cell that is no number.
    """
    path = Path(path)
    file = path / "metrics.csv" if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FormatError(file, "no such file; expected the metrics.csv of a training run") from error
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(file, f"cannot be read as UTF-8 text ({error})") from error
    reader = csv.reader(text.splitlines())
    header = next(reader, [])
    if not header or not all(name.strip() for name in header):
        raise FormatError(file, "expected a header of column names, such as epoch,step,train_loss (got none)", line=1)
    rows: list[dict[str, float]] = []
    for cells in reader:
        if not cells:
            continue
        if len(cells) != len(header):
            raise FormatError(file, f"expected {len(header)} cells (got {len(cells)})", line=reader.line_num)
        row: dict[str, float] = {}
        for name, cell in zip(header, cells, strict=True):
            if not cell.strip():
                continue
            try:
                row[name.strip()] = float(cell)
            except ValueError as error:
                raise FormatError(
                    file, f"expected a number in column {name!r} (got {cell!r})", line=reader.line_num
                ) from error
        rows.append(row)
    return rows
