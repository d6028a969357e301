"""Sheets of samples: a picture of every file that an adaptation writes, and a refusal of all others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphpose.analysis.adaptation_sheet import adaptation_sheet
from graphpose.errors import ConfigError, FormatError
from graphpose.skeleton import Skeleton

H36M = Skeleton.load("h36m17")
PNG = b"\x89PNG\r\n\x1a\n"


def arrays(windows: int = 3, **changes: Any) -> dict[str, Any]:
    """What a file of samples holds: people who stand, as the callback of an adaptation writes them."""
    assert H36M.rest is not None
    pose = np.repeat(H36M.rest[None] * [1.0, -1.0, -1.0] + [0.0, 0.5, 5.0], windows, axis=0).astype(np.float32)
    flat = pose[..., :2] / pose[..., 2:] + 0.01
    content = {"source": pose, "changed": pose + 0.1, "keypoints": flat, "target": flat + 0.02}
    return content | {"skeleton": json.dumps(H36M.to_dict())} | changes


def sample(path: Path, windows: int = 3, **changes: Any) -> Path:
    np.savez_compressed(path, **arrays(windows, **changes))
    return path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are written."""
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    from graphpose.analysis import adaptation_sheet as module

    figures: list[Any] = []
    original = module.write_png

    def note(figure: Any, path: str | Path, dpi: int) -> Path:
        figures.append(figure)
        return original(figure, path, dpi)

    monkeypatch.setattr(module, "write_png", note)
    return figures


def test_a_sheet_has_a_column_a_window(drawn: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "deep" / "sheet.png"
    assert adaptation_sheet(sample(tmp_path / "a.npz"), path, columns=2, dpi=40) == path
    assert path.read_bytes().startswith(PNG)
    [figure] = drawn
    assert len(figure.axes) == 6 * 2
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == [
        "source, front",
        "source, side",
        "changed, front",
        "changed, side",
        "its image",
        "target",
    ]
    adaptation_sheet(tmp_path / "a.npz", path, columns=8, dpi=40)
    assert len(drawn[-1].axes) == 6 * 3, "no more columns than windows"


def test_people_stand_head_up_in_every_row(drawn: list[Any], tmp_path: Path) -> None:
    adaptation_sheet(sample(tmp_path / "a.npz"), tmp_path / "sheet.png", columns=1, dpi=40)
    bones = [(child, parent) for child, parent in enumerate(H36M.parents) if parent >= 0]
    head, ankle = (bones.index((j, H36M.parents[j])) for j in (H36M.index("head"), H36M.index("Lankle")))
    for axes in drawn[0].axes:
        low, high = axes.get_ylim()
        assert low > high, "y points down, as in a picture"
        ends = [float(line.get_ydata()[1]) for line in axes.lines]
        assert len(ends) == len(bones) and ends[head] < ends[ankle]
        assert max(abs(low), abs(high)) >= max(map(abs, ends)), "nothing is cut off"
    sizes = [axes.get_ylim()[0] for axes in drawn[0].axes]
    assert len(set(sizes[:4])) == 1 and len(set(sizes[4:])) == 1, "one scale for poses and one for pictures"


def test_missing_joints_are_not_drawn(drawn: list[Any], tmp_path: Path) -> None:
    content = arrays(2)
    wrist = H36M.index("Lwrist")
    for name in ("keypoints", "target"):
        content[name][:, wrist] = 0.0
    np.savez_compressed(tmp_path / "a.npz", **content)
    adaptation_sheet(tmp_path / "a.npz", tmp_path / "sheet.png", dpi=40)
    for axes in drawn[0].axes[-4:]:
        ends = np.array([line.get_xydata() for line in axes.lines])
        assert np.isnan(ends).any((1, 2)).sum() == 1
        assert np.nanmax(np.abs(ends)) < axes.get_xlim()[1]


def test_windows_without_a_target_or_behind_the_camera_are_drawn_as_far_as_they_are_there(
    drawn: list[Any], tmp_path: Path
) -> None:
    content = arrays(3)
    content["target"][0] = 0.0
    content["keypoints"][1] = np.nan
    content["target"][2], content["keypoints"][2] = 0.0, np.nan
    np.savez_compressed(tmp_path / "a.npz", **content)
    adaptation_sheet(tmp_path / "a.npz", tmp_path / "sheet.png", dpi=40)
    there = [
        any(np.isfinite(line.get_xydata()).all() for line in axes.lines) for axes in drawn[0].axes[-6:]
    ]  # images, then targets
    assert there == [True, False, False, False, True, False]


def test_a_sheet_of_nothing_but_missing_keypoints_is_still_a_picture(drawn: list[Any], tmp_path: Path) -> None:
    empty = np.zeros((2, 17, 2), dtype=np.float32)
    path = sample(tmp_path / "a.npz", 2, keypoints=empty, target=empty)
    assert adaptation_sheet(path, tmp_path / "sheet.png", dpi=40).read_bytes().startswith(PNG)


def test_other_files_are_refused(tmp_path: Path) -> None:
    whole = sample(tmp_path / "a.npz").read_bytes()
    damaged = {
        "cut.npz": whole[: len(whole) // 2],
        "text.npz": b"no zip at all",
        "empty.npz": b"",
        "turned.npz": whole[:200] + bytes(255 - byte for byte in whole[200:400]) + whole[400:],
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=rf"{name}: expected a file of the samples of an adaptation"):
            adaptation_sheet(tmp_path / name, tmp_path / "sheet.png")
    np.save(tmp_path / "single.npy", np.zeros(3))
    for name in ("missing.npz", "single.npy"):
        with pytest.raises(FormatError, match=name):
            adaptation_sheet(tmp_path / name, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skeleton": "{"}, "expected a file of the samples"),
        ({"skeleton": "{}"}, "expected a file of the samples"),
        ({"source": np.array("text")}, "expected a file of the samples"),
        ({"source": np.zeros(())}, r"source: expected at least one window"),
        ({"changed": np.zeros((3, 16, 3))}, r"changed: expected at least one window \[3, 17, 3\] \(got \[3, 16, 3\]\)"),
        ({"target": np.zeros((2, 17, 2))}, r"target: expected at least one window \[3, 17, 2\] \(got \[2, 17, 2\]\)"),
        ({"source": np.array([{}], dtype=object)}, "expected a file of the samples"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=message):
        adaptation_sheet(sample(tmp_path / "a.npz", **changes), tmp_path / "sheet.png")


def test_a_run_without_windows_and_a_sheet_without_columns_are_refused(tmp_path: Path) -> None:
    none = {name: value[:0] for name, value in arrays().items() if name != "skeleton"}
    with pytest.raises(FormatError, match=r"source: expected at least one window \[0, 17, 3\]"):
        adaptation_sheet(sample(tmp_path / "a.npz", **none), tmp_path / "sheet.png")
    with pytest.raises(ConfigError, match=r"columns: expected at least 1 \(got 0\)"):
        adaptation_sheet(sample(tmp_path / "b.npz"), tmp_path / "sheet.png", columns=0)
