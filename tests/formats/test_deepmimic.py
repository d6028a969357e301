"""DeepMimic motions: the same people as the BVH samples made of them, rates, and broken files."""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats._deepmimic_motion import LAYOUT
from graphpose.skeleton import Skeleton

DATA = Path(__file__).parents[2] / "data"
IDENTITY = [1.0, 0.0, 0.0, 0.0]
lenient = pytest.mark.filterwarnings("ignore::graphpose.formats.ImplausibleMotionWarning")


def frame(duration: float, position: tuple[float, float, float] = (0, 1, 0), **joints: list[float]) -> list[float]:
    values = [duration, *position]
    for name, width in LAYOUT:
        values += joints.get(name, IDENTITY if width == 4 else [0.0])
    return values


def motion_file(folder: Path, frames: object, name: str = "move.txt") -> Path:
    path = folder / name
    path.write_text(json.dumps({"Loop": "wrap", "Frames": frames}))
    return path


def random_frames(count: int, duration: float) -> list[list[float]]:
    rng = np.random.default_rng(1)
    return [
        frame(duration, tuple(rng.normal(size=3)), **{name: rng.normal(size=width).tolist() for name, width in LAYOUT})
        for _ in range(count)
    ]


@cache
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("convert_deepmimic_again", DATA / "convert_deepmimic.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@lenient
def test_positions_and_rotations_are_those_of_the_bvh_made_of_the_file(tmp_path: Path) -> None:
    path = motion_file(tmp_path, random_frames(9, 1 / 30), "humanoid3d_move.txt")
    assert script().main([str(tmp_path), str(tmp_path / "out"), "--fps", "30"]) == 0
    clip, made = formats.read(path), formats.read(tmp_path / "out" / "move.bvh")
    assert clip.skeleton == made.skeleton == Skeleton.load("deepmimic15")
    assert clip.fps == made.fps == 30 and len(clip) == len(made) == 9
    assert (clip.positions - made.positions).abs().max() < 5e-5
    assert (clip.rotations - made.rotations).abs().max() < 1e-4
    assert torch.isfinite(clip.to("h36m17").positions).all()
    assert (clip.name, clip.subject) == ("humanoid3d_move", tmp_path.name)


@lenient
@pytest.mark.parametrize(("duration", "fps"), [(0.033332, 30.0), (0.016667, 60.0), (0.0625, 16.0), (0.3, 1 / 0.3)])
def test_rate_is_that_of_the_durations(tmp_path: Path, duration: float, fps: float) -> None:
    frames = [*[frame(duration)] * 4, frame(0.0)]  # the duration of the last frame leads nowhere
    clip = formats.read(motion_file(tmp_path, frames))
    assert clip.fps == pytest.approx(fps) and len(clip) == 5
    assert formats.read(tmp_path / "move.txt", fps=12).fps == 12


@lenient
def test_uneven_durations_are_resampled_evenly(tmp_path: Path) -> None:
    frames = [frame(0.1), frame(0.1, (1, 1, 0)), frame(0.2, (2, 1, 0)), frame(0.1, (4, 1, 0)), frame(0, (5, 1, 0))]
    clip = formats.read(motion_file(tmp_path, frames))
    assert clip.fps == 10 and len(clip) == 6
    np.testing.assert_allclose(clip.positions[:, clip.skeleton.root, 2], [0, 1, 2, 3, 4, 5], atol=1e-5)  # +X is ahead
    assert len(formats.read(tmp_path / "move.txt", fps=10)) == 5  # as they are


@lenient
def test_scale_and_skeleton(tmp_path: Path) -> None:
    path = motion_file(tmp_path, [frame(0.1), frame(0.1)])
    assert torch.allclose(formats.read(path, scale=2.0).positions, 2 * formats.read(path).positions)
    assert formats.read(path, skeleton="deepmimic15").skeleton.name == "deepmimic15"
    with pytest.raises(FormatError, match=r"clip\.to\('h36m17'\)"):
        formats.read(path, skeleton="h36m17")


def test_other_text_is_passed_over_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "LICENSE.txt").write_text("do what you like")
    (tmp_path / "settings.txt").write_text('{"frames": 3}')
    with pytest.raises(FormatError, match="no motion file in this folder"):
        formats.expand(tmp_path)
    path = motion_file(tmp_path, [frame(0.1), frame(0.1)])
    assert formats.expand(tmp_path) == [path]
    assert caplog.records == []
    with pytest.raises(FormatError, match=r"settings\.txt: expected a motion file.*of files with this suffix only"):
        formats.read(tmp_path / "settings.txt")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"Frames":\n[[0.1, 0.2', r"bad\.txt:2: expected JSON"),
        (b'{"Frames": "\xff"}', r"bad\.txt:1: expected UTF-8 text"),
        (b'{"Frames": []}', "at least 2 frames"),
        (b'{"Frames": [[1, 2], [3]]}', r"frame 0: expected 44 numbers of a humanoid3d motion \(got 2\)"),
        (b'{"Frames": ' + b"[" * 100_000, "expected JSON"),
    ],
)
def test_broken_files_are_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(FormatError, match=words) as caught:
        formats.read(tmp_path / "bad.txt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400", "1" + "0" * 400, "true", '"x"'])
def test_numbers_that_are_none_are_refused_with_their_frame(tmp_path: Path, value: str) -> None:
    text = json.dumps({"Frames": [frame(0.1), frame(0.1)]})
    at = text.rindex("0.0]")
    (tmp_path / "bad.txt").write_text(text[:at] + value + text[at + 3 :])
    with pytest.raises(FormatError, match="frame 1: expected finite numbers only"):
        formats.read(tmp_path / "bad.txt")
