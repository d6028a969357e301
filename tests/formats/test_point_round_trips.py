"""Clips written to the formats of points and read back: any numbers, and all bundled recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphpose import formats
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "samples").glob("*.bvh"))
# metres: half a unit of the last decimal (1e-6 m in csv, 1e-5 mm in trc; bvh: 1e-6 cm and degrees along a chain of
# bones), and the rounding to 32 bits of coordinates of some metres
TOLERANCE = {"csv": 1.0e-6, "trc": 1e-6, "c3d": 1e-6, "bvh": 1e-6, "npz": 0.0}
# one of the recordings (backflip, 16 frames a second) falls faster than gravity, as data/README.md says
lenient = pytest.mark.filterwarnings("ignore::graphpose.formats.ImplausibleMotionWarning")
POINTS = ("csv", "trc", "c3d")
QUICK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def need(suffix: str) -> None:
    if suffix == "c3d":
        pytest.importorskip("ezc3d", reason="the extra `c3d` is not installed")


def close(ours: MotionClip, theirs: MotionClip, tolerance: float) -> None:
    assert theirs.skeleton.joints == ours.skeleton.joints and theirs.skeleton.parents == ours.skeleton.parents
    assert theirs.fps == pytest.approx(ours.fps, rel=1e-6)
    np.testing.assert_array_equal(theirs.missing, ours.missing)
    np.testing.assert_allclose(theirs.positions, ours.positions, rtol=3e-7, atol=tolerance)


@lenient
@pytest.mark.parametrize("suffix", sorted(TOLERANCE))
def test_bundled_recordings_come_back(tmp_path: Path, suffix: str) -> None:
    need(suffix)
    for path in SAMPLES:
        clip = formats.read(path)
        close(clip, formats.read(formats.write(clip, tmp_path / f"{path.stem}.{suffix}")), TOLERANCE[suffix])
        mapped = clip.to("h36m17").resample(29.97)
        if suffix != "bvh":
            back = formats.read(formats.write(mapped, tmp_path / f"{path.stem}.{suffix}"))
            close(mapped, back, TOLERANCE[suffix])
            assert back.skeleton == Skeleton.load("h36m17") and (back.name, back.action) == (path.stem, path.stem)


names = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=8).filter(
        lambda name: ":" not in name
    ),
    min_size=1,
    max_size=6,
    unique_by=str.lower,
)
numbers = st.floats(-50, 50, width=32)


@pytest.mark.parametrize("suffix", POINTS)
@QUICK
@given(
    joints=names,
    frames=st.integers(1, 5),
    fps=st.sampled_from([1.0, 23.976, 24.0, 29.97, 30.0, 59.94, 100.0, 120.0, 250.0, 333.25]) | st.floats(0.5, 1000),
    data=st.data(),
)
def test_any_numbers_come_back(
    tmp_path: Path, suffix: str, joints: Sequence[str], frames: int, fps: float, data: st.DataObject
) -> None:
    need(suffix)
    cell = st.tuples(numbers, numbers, numbers) | st.none()
    cells = data.draw(st.lists(cell, min_size=frames * len(joints), max_size=frames * len(joints)))
    if all(value is None for value in cells):
        cells[0] = (0.0, -0.0, 1.0)
    values = np.array([(np.nan,) * 3 if value is None else value for value in cells], dtype=np.float32)
    parents = [-1, *(data.draw(st.integers(0, j)) for j in range(len(joints) - 1))]
    body = Skeleton.from_parents(parents, list(joints))
    clip = MotionClip(body, fps, positions=values.reshape(frames, len(joints), 3))
    path = formats.write(clip, tmp_path / f"any.{suffix}")
    known = {} if "bones" in formats.available()[suffix].keeps else {"skeleton": body}
    close(clip, formats.read(path, **known), 1.1e-6)


def test_decimals_and_units_are_chosen_by_the_writer(tmp_path: Path) -> None:
    clip = formats.read(SAMPLES[0])
    coarse = formats.read(formats.write(clip, tmp_path / "a.csv", digits=2))
    assert 1e-3 < (coarse.positions - clip.positions).abs().max() <= 5.001e-3
    for unit in ("m", "cm", "mm"):
        close(clip, formats.read(formats.write(clip, tmp_path / "a.trc", unit=unit, digits=9)), 1e-6)
        need("c3d")
        close(clip, formats.read(formats.write(clip, tmp_path / "a.c3d", unit=unit)), 1e-6)


@lenient
def test_bvh_of_positions_alone_moves_joints_without_turning_them(tmp_path: Path) -> None:
    clip = formats.read(SAMPLES[0]).to("h36m17")
    with pytest.raises(formats.registry.FormatError, match=r"no joint rotations.*identity_rotations=True"):
        formats.write(clip, tmp_path / "a.bvh")
    back = formats.read(formats.write(clip, tmp_path / "a.bvh", identity_rotations=True))
    order = [back.skeleton.index(joint) for joint in clip.skeleton.joints]
    assert (back.positions[:, order] - clip.positions).abs().max() < 1e-6
    assert (back.rotations - torch.eye(3)).abs().max() < 1e-6
