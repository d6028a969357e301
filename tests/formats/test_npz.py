"""npz: round trips of clips and archives, the benchmark's archive, and files that are damaged or dangerous."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared import shared_path

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.geometry import Camera
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

BODY = Skeleton("mine", ("a", "b_left", "b_right"), (-1, 0, 0), pairs=(("b_left", "b_right"),), loss_weights=(1, 2, 2))


def clip_of(frames: int = 6, **changes: object) -> MotionClip:
    numbers = torch.Generator().manual_seed(frames)
    positions = torch.rand(frames, 3, 3, generator=numbers)
    positions[-1, 2] = math.nan
    known = {"subject": "s1", "action": "walk", "name": f"clip{frames}", "tags": {"split": "train"}}
    return MotionClip(**{"skeleton": BODY, "fps": 29.97, "positions": positions, **known, **changes})


def same(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    return (a is None and b is None) or bool(torch.allclose(a, b, equal_nan=True, rtol=0, atol=0))


def test_one_clip_comes_back_whole(tmp_path: Path) -> None:
    camera = Camera.look_at(torch.tensor([0.0, 1, -4]), torch.tensor([0.0, 1, 0]), width=640, height=480, name="front")
    clip = clip_of(confidence=torch.full((6, 3), 0.5)).seen_by(camera)
    clip = clip.replace(rotations=torch.eye(3).repeat(6, 3, 1, 1), confidence=torch.full((6, 3), 0.5))
    back = formats.read(formats.write(clip, tmp_path / "one.npz"))
    assert back.skeleton == BODY
    assert back.tags.pop("keypoints_file") == f"{tmp_path.name}/one.npz", "noted when read, no part of the clip"
    for key in ("positions", "keypoints", "confidence", "rotations"):
        assert same(getattr(back, key), getattr(clip, key)), key
    for key in ("fps", "subject", "action", "name", "space", "tags"):
        assert getattr(back, key) == getattr(clip, key), key
    assert torch.equal(back.camera.rotation, camera.rotation.float()) and back.camera.width == 640
    assert back.camera.name == "front" and back.camera.limit is None
    assert torch.allclose(back.seen_by(back.camera).keypoints, back.keypoints, equal_nan=True)


def test_archives_come_back_in_order(tmp_path: Path) -> None:
    clips = [clip_of(4), clip_of(9, subject="s2"), clip_of(1, positions=torch.ones(1, 3, 3), tags={"split": "test"})]
    path = formats.write(clips, tmp_path / "many.npz")
    back = formats.read_all(path)
    assert [len(c) for c in back] == [4, 9, 1]
    for ours, theirs in zip(clips, back, strict=True):
        assert same(ours.positions, theirs.positions) and ours.skeleton == theirs.skeleton
        assert (ours.name, ours.subject, ours.action, ours.fps, ours.tags) == (
            theirs.name, theirs.subject, theirs.action, theirs.fps, theirs.tags,
        )  # fmt: skip
    with pytest.raises(FormatError, match=r"expected one clip \(got 3\); read_all"):
        formats.read(path)


def test_what_an_archive_cannot_hold(tmp_path: Path) -> None:
    other = MotionClip(Skeleton("two", ("a", "b"), (-1, 0)), 30, positions=torch.zeros(2, 2, 3), name="x")
    with pytest.raises(FormatError, match=r"one skeleton, 'mine' \(got 'two' in 'x'"):
        formats.write([clip_of(), other], tmp_path / "a.npz")
    with pytest.raises(FormatError, match="all have positions"):
        formats.write([clip_of(), clip_of(positions=None, keypoints=torch.zeros(2, 3, 2))], tmp_path / "a.npz")
    with pytest.raises(FormatError, match="at least one clip"):
        formats.write([], tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []


def test_the_benchmark_archive() -> None:
    path = shared_path("benchmark/cmu_lift.npz")
    clips = formats.read_all(path)
    assert len(clips) == 68 and sum(map(len, clips)) == 30544
    assert {c.skeleton.name for c in clips} == {"h36m17"} and {c.fps for c in clips} == {30.0}
    assert sum(c.tags["split"] == "test" for c in clips) == 11
    assert (clips[0].name, clips[0].subject, clips[0].action) == ("01_01", "01", "01")
    assert {c.subject for c in clips if c.tags["split"] == "test"} == {"11", "135"}


def save(folder: Path, **arrays: object) -> Path:
    path = folder / "file.npz"
    np.savez(path, **arrays)
    return path


GOOD = {"positions": np.zeros((4, 3, 3)), "fps": 30.0, "joints": np.array(["a", "b", "c"]), "parents": [-1, 0, 0]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"positions": None}, "positions or keypoints"),
        ({"positions": np.array([["x"] * 3] * 3)}, "expected numbers in positions"),
        ({"positions": np.zeros((4, 2, 3))}, "expected the 3 joints of skeleton 'custom' .got positions"),
        ({"positions": np.zeros((4, 3, 2))}, r"expected positions \[T, 3, 3\]"),
        ({"positions": np.zeros(4)}, "joints"),
        ({"positions": np.zeros((0, 3, 3))}, "at least one frame"),
        ({"fps": None}, "give fps="),
        ({"fps": np.array("fast")}, "one number as fps"),
        ({"fps": -1.0}, "fps above 0"),
        ({"parents": [-1, 2, 1]}, "skeleton cannot be used"),
        ({"joints": None}, "3 joints without names"),
        ({"lengths": [2, 3]}, "expected 5 entries in positions"),
        ({"lengths": [2.0, 2.0]}, "whole numbers"),
        ({"lengths": [4, 0]}, "whole numbers above 0"),
        ({"lengths": [2, 2], "clip_names": ["one"]}, "expected 2 entries in clip_names"),
        ({"lengths": [2, 2], "fps": [1.0, 2.0, 3.0]}, "one for each of 2 clips"),
        ({"camera_rotation": np.eye(3)}, "camera_position, camera_focal"),
        ({"camera_rotation": np.zeros((3, 3)), "camera_position": np.zeros(3), "camera_focal": np.ones(2)}, "rotation"),
        ({"skeleton": np.array("{not json")}, "skeleton cannot be used"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, changes: dict, words: str) -> None:
    arrays = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path = save(tmp_path, **arrays)
    with pytest.raises(FormatError, match=words) as caught:
        formats.read_all(path)
    assert str(path) in str(caught.value)


def test_options_fill_what_the_file_does_not_say(tmp_path: Path) -> None:
    path = save(tmp_path, positions=np.full((4, 3, 3), 100.0))
    clip = formats.read(path, skeleton=BODY, fps=25, scale=0.01)
    assert clip.fps == 25 and clip.skeleton is BODY and clip.positions.max() == 1


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (pytest.fail, ("unpickled",))

    path = save(tmp_path, **{**GOOD, "positions": np.array([Bomb()], dtype=object)})
    with pytest.raises(FormatError, match="'positions' holds Python objects"):
        formats.read(path)


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    for content, words in [(b"", "empty"), (b"hello", "no intact npz"), (b"PK\x03\x04 and nothing", "no intact npz")]:
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(FormatError, match=words):
            formats.read(tmp_path / "x.npz")
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (tmp_path / "x.npz").write_bytes(buffer.getvalue())
    with pytest.raises(FormatError, match="single array"):
        formats.read(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("positions.npy", b"not an array")
    with pytest.raises(FormatError):
        formats.read(tmp_path / "x.npz")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_a_format_error_or_a_clip(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "clip.npz"
    if not path.exists():
        formats.write(clip_of(), path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 5))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(bytes(content))
    try:
        clip = formats.read(damaged)
    except FormatError:
        return
    assert clip.frames == 6


def test_the_skeleton_of_nameless_files_leaves_named_ones_alone(tmp_path: Path) -> None:
    """One option serves a folder of bare arrays, named clips and motion files."""
    np.savez(tmp_path / "bare.npz", positions=np.zeros((4, 17, 3)), fps=30.0)
    np.savez(tmp_path / "hand.npz", positions=np.zeros((4, 21, 3)), fps=30.0)
    named = Skeleton.load("h36m17")
    np.savez(tmp_path / "named.npz", positions=np.zeros((4, 17, 3)), fps=30, joints=named.joints, parents=named.parents)

    def skeletons(**options: object) -> list[str]:
        return [
            clip.skeleton.name
            for name in ("bare", "named")
            for clip in formats.read_all(tmp_path / f"{name}.npz", **options)
        ]

    assert skeletons() == ["h36m17", "h36m17"]
    for asked in ("coco17", Skeleton.load("coco17")):
        assert skeletons(nameless=asked) == ["coco17", "h36m17"]
    assert skeletons(nameless="hand21") == ["h36m17", "h36m17"]
    with pytest.raises(FormatError, match=r"hand\.npz: expected the 17 joints of skeleton 'coco17'"):
        formats.read_all(tmp_path, nameless="coco17")
