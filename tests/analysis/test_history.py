"""Reading Lightning's metrics.csv and sorting its columns into panels."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from graphpose.analysis import read_history
from graphpose.analysis.curves import curve_figures, panels
from graphpose.errors import FormatError


def test_sparse_rows_as_lightning_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,step,train/loss,val/mpjpe\n0,9,0.5,\n0,19,nan,\n\n0,19,,83.25\n", encoding="utf-8")
    rows = read_history(file)
    assert repr(rows) == repr(read_history(tmp_path)), "the folder is as good as the file"
    assert rows[0] == {"epoch": 0.0, "step": 9.0, "train/loss": 0.5}
    assert math.isnan(rows[1]["train/loss"]) and "val/mpjpe" not in rows[1]
    assert rows[2]["val/mpjpe"] == 83.25


def test_what_the_logger_itself_writes(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(str(tmp_path), name="", version="")
    logger.log_metrics({"train/loss": 0.5}, step=0)
    logger.log_metrics({"val/mpjpe": 0.1, "epoch": 0}, step=1)
    logger.save()
    assert [row["step"] for row in read_history(logger.log_dir)] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("", 1, "header"),
        ("epoch,,loss\n", 1, "header"),
        ("epoch,loss\n0,1\n0,1,2\n", 3, "expected 2 cells \\(got 3\\)"),
        ("epoch,loss\n0,low\n", 2, "column 'loss' \\(got 'low'\\)"),
    ],
)
def test_broken_files_name_their_line(tmp_path: Path, text: str, where: int, message: str) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=message) as caught:
        read_history(file)
    assert caught.value.line == where and caught.value.path == file


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        read_history(tmp_path)
    (tmp_path / "metrics.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="UTF-8"):
        read_history(tmp_path)


def test_panels_gather_stages_of_one_quantity() -> None:
    history = [
        {"epoch": 0.0, "step": 1.0, "lr-AdamW": 1e-3, "train/loss_step": 1.0},
        {"val_mpjpe": 3.0, "train_mpjpe": 2.0, "val/loss": 1.0},
    ]
    assert panels(history) == {
        "Loss": ["train/loss_step", "val/loss"],
        "mpjpe": ["val_mpjpe", "train_mpjpe"],
        "Learning rate": ["lr-AdamW"],
    }


def test_curves_are_thinned_gapped_and_scaled() -> None:
    history = [{"step": float(s), "train/loss": 1000.0 if s == 0 else 1.0, "val/pck": -1.0} for s in range(4000)]
    history[3 * 600]["val/pck"] = math.inf
    figures = dict(curve_figures(history))
    assert list(figures) == ["Loss", "pck"]
    assert len(figures["Loss"].data[0].y) <= 1500
    assert None in figures["pck"].data[0].y and math.inf not in figures["pck"].data[0].y
    assert figures["Loss"].layout.yaxis.type == "log" and figures["pck"].layout.yaxis.type is None


def test_rows_without_step_or_epoch_are_numbered() -> None:
    ((_, figure),) = curve_figures([{"train/loss": 2.0}, {"train/loss": 1.0}])
    assert list(figure.data[0].x) == [0, 1] and figure.layout.xaxis.title.text == "row"
