"""BVH: agreement with independent positions, round trips over random trees, and files that are broken."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared import shared_path

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SMALL = """HIERARCHY
ROOT hip
{
\tOFFSET 9 9 9
\tCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
\tJOINT left knee
\t{
\t\tOFFSET 0 -40 0
\t\tCHANNELS 3 Yrotation Xrotation Zrotation\x20
\t\tJOINT slide {
\t\t\tOFFSET 1 2 3
\t\t\tCHANNELS 2 Yposition Xrotation
\t\t\tEnd Site
\t\t\t{
\t\t\t\tOFFSET 0 -5 0
\t\t\t}
\t\t}
\t}
}
MOTION
Frames:\t2
Frame Time:\t0.0333333
1 2 3 90 0 0 0 0 0 7 0
4 5 6 0 0 0 0 90 0 8 0
"""


def save(folder: Path, text: str | bytes, name: str = "clip.bvh") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_channels_offsets_and_names(tmp_path: Path) -> None:
    clip = formats.read(save(tmp_path, SMALL), scale=1.0)
    assert clip.skeleton.joints == ("hip", "left knee", "slide") and clip.skeleton.parents == (-1, 0, 1)
    assert (clip.fps, clip.name, clip.action, clip.subject) == (30.0, "clip", "clip", tmp_path.name)
    # frame 1: the root's position channels replace its OFFSET, 90 degrees about Z turn (0, -40, 0) into (40, 0, 0);
    # the Yposition of `slide` replaces 2 in (1, 2, 3)
    expected = torch.tensor([[1.0, 2, 3], [41, 2, 3], [34, 3, 6]])
    assert torch.allclose(clip.positions[0], expected, atol=1e-5)
    # frame 2: 90 degrees about X of the knee turn (1, 8, 3) into (1, -3, 8)
    assert torch.allclose(clip.positions[1], torch.tensor([[4.0, 5, 6], [4, -35, 6], [5, -38, 14]]), atol=1e-5)
    assert torch.allclose(formats.read(tmp_path / "clip.bvh").positions * 100, clip.positions, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "fps"),
    [
        ("0.0083333", 120),
        ("0.033333", 30),
        ("0.04", 25),
        ("0.0333", 30),
        ("0.016667", 60),
        ("0.0333667", 29.97),
        ("1", 1),
    ],
)
def test_frame_time(tmp_path: Path, text: str, fps: float) -> None:
    path = save(tmp_path, SMALL.replace("0.0333333", text))
    assert formats.read(path).fps == pytest.approx(fps, rel=1e-5)
    assert formats.read(path, fps=50).fps == 50


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t + "\n \n\n"])
def test_line_ends_marks_and_blanks(tmp_path: Path, change: Callable[[str], str]) -> None:
    clip = formats.read(save(tmp_path, change(SMALL)))
    assert torch.equal(clip.positions, formats.read(save(tmp_path, SMALL, "b.bvh")).positions)


@pytest.mark.parametrize(
    "name",
    ["01_01_bvh", "11_01_bvh", "dataset-1_walk_normal_001", "dataset-1_walk_normal_002", "dataset-2_run_normal_017"],
)
def test_agrees_with_independent_positions(name: str) -> None:
    known = np.load(shared_path(f"mocap/expected/bvh/{name}.npz"))
    clip = formats.read(shared_path(f"mocap/{known['source']}"), scale=float(known["metres_per_unit"]))
    assert list(clip.skeleton.joints) == known["joint_names"].tolist()
    assert list(clip.skeleton.parents) == known["parents"].tolist()
    assert len(clip) == known["n_frames"] and clip.fps == pytest.approx(float(known["fps"]), rel=1e-4)
    expected = known["positions"] * known["metres_per_unit"]
    assert np.abs(clip.positions.numpy()[known["frame_indices"]] - expected).max() < 1e-4


def test_bandai_clips_are_recognised_and_map_to_human36m() -> None:
    clip = formats.read(
        shared_path("mocap/bandai-namco/2/dataset-2_run_normal_017.bvh"),
        name_pattern=r"dataset-(?P<part>\d)_(?P<action>[^_]+)_(?P<subject>[^_]+)_",
    )
    assert clip.skeleton.name == "bandai22"
    assert (clip.subject, clip.action, clip.tags) == ("normal", "run", {"part": "2"})
    assert torch.allclose(clip.rotations @ clip.rotations.mT, torch.eye(3), atol=1e-5)
    body = clip.to("h36m17")
    head, nose = body.skeleton.index("head"), body.skeleton.index("nose")
    length = (body.positions[:, head] - body.positions[:, nose]).norm(dim=-1)
    assert (length - 0.1).abs().max() < 1e-4
    travel = body.positions[-1, 0] - body.positions[0, 0]
    forward = torch.nn.functional.normalize(travel * torch.tensor([1.0, 0, 1.0]), dim=0)
    assert (body.facing() @ forward).mean() > 0.9


# ---------------------------------------------------------------------------------------------------- round trips


Tree = tuple[list[int], list[str], list[list[str]]]  # parents, names, channels


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    joints = draw(st.integers(1, 9))
    parents = [-1] + [draw(st.integers(0, j - 1)) for j in range(1, joints)]
    label = st.text("abcXYZ_:.-0189äЖ", min_size=1, max_size=6)
    names = draw(st.lists(label, min_size=joints, max_size=joints, unique=True))
    axes = [f"{a}{kind}" for a in "XYZ" for kind in ("position", "rotation")]
    channels = [draw(st.lists(st.sampled_from(axes), max_size=6, unique=True)) for _ in range(joints)]
    channels[0] = channels[0] or ["Yrotation"]
    return parents, names, channels


def elementary(axis: str, degrees: float) -> np.ndarray:
    vector = torch.zeros(3, dtype=torch.float64)
    vector["XYZ".index(axis)] = math.radians(degrees)
    return roma.rotvec_to_rotmat(vector).numpy()


@QUICK
@given(tree=trees(), seed=st.integers(0, 2**16))
def test_random_trees_against_the_definition(tmp_path: Path, tree: Tree, seed: int) -> None:
    """Written here from the definition of the format, joint by joint and frame by frame."""
    parents, names, channels = tree
    rng = random.Random(seed)
    offsets = [[rng.uniform(-50, 50) for _ in range(3)] for _ in names]
    lines: list[str] = ["HIERARCHY"]
    columns: list[tuple[int, str]] = []
    order: list[int] = []

    def add(j: int) -> None:
        order.append(j)
        lines.extend(
            [f"{'JOINT' if parents[j] >= 0 else 'ROOT'} {names[j]}", "{", f"OFFSET {' '.join(map(repr, offsets[j]))}"]
        )
        lines.append(f"CHANNELS {len(channels[j])} {' '.join(channels[j])}")
        columns.extend((j, channel) for channel in channels[j])
        for child in [c for c, p in enumerate(parents) if p == j]:
            add(child)
        lines.append("}")

    add(0)
    rows = [[rng.uniform(-180, 180) for _ in columns] for _ in range(3)]
    lines += ["MOTION", "Frames: 3", "Frame Time: 0.02", *(" ".join(map(repr, row)) for row in rows)]
    clip = formats.read(save(tmp_path, "\n".join(lines)), scale=1.0)
    assert list(clip.skeleton.joints) == [names[j] for j in order]
    for t, row in enumerate(rows):
        place: dict[int, np.ndarray] = {}
        turn: dict[int, np.ndarray] = {}
        for j in order:
            local, shift = np.eye(3), np.array(offsets[j])
            for (owner, channel), value in zip(columns, row, strict=True):
                if owner == j and channel.endswith("rotation"):
                    local = local @ elementary(channel[0], value)
                elif owner == j:
                    shift["XYZ".index(channel[0])] = value
            above = (np.eye(3), np.zeros(3)) if parents[j] < 0 else (turn[parents[j]], place[parents[j]])
            turn[j], place[j] = above[0] @ local, above[1] + above[0] @ shift
            k = clip.skeleton.index(names[j])
            assert np.abs(clip.positions[t, k].numpy() - place[j]).max() < 1e-3
            assert np.abs(clip.rotations[t, k].numpy() - turn[j]).max() < 1e-5


@QUICK
@given(tree=trees(), seed=st.integers(0, 2**16), rigid=st.booleans(), fps=st.sampled_from([24.0, 29.97, 30.0, 120.0]))
def test_round_trip(tmp_path: Path, tree: Tree, seed: int, rigid: bool, fps: float) -> None:
    parents, names, _ = tree
    random_numbers = torch.Generator().manual_seed(seed)
    joints = len(names)
    rotations = roma.unitquat_to_rotmat(
        torch.nn.functional.normalize(torch.randn(5, joints, 4, generator=random_numbers), dim=-1)
    )
    offsets = torch.randn(1 if rigid else 5, joints, 3, generator=random_numbers).expand(5, -1, -1)
    positions = [torch.randn(5, 3, generator=random_numbers)]
    for j in range(1, joints):
        positions.append(positions[parents[j]] + (rotations[:, parents[j]] @ offsets[:, j, :, None])[..., 0])
    body = Skeleton.from_parents(parents, names)
    clip = MotionClip(body, fps, positions=torch.stack(positions, 1), rotations=rotations, name="random")
    path = formats.write(clip, tmp_path / "round.bvh")
    back = formats.read(path)
    order = [back.skeleton.index(name) for name in names]
    assert back.fps == pytest.approx(fps)
    assert (back.positions[:, order] - clip.positions).abs().max() < 1e-4
    assert (back.rotations[:, order] - clip.rotations).abs().max() < 1e-4
    assert ("CHANNELS 6" in path.read_text("utf-8").split("JOINT", 1)[-1]) == (not rigid and joints > 1) or joints == 1


@pytest.mark.parametrize("source", ["bandai-namco/1/dataset-1_dash_normal_001.bvh", "cmu/02/02_04.amc"])
def test_round_trip_of_real_clips(tmp_path: Path, source: str) -> None:
    clip = formats.read(shared_path(f"mocap/{source}"))
    back = formats.read(formats.write(clip, tmp_path / "real.bvh"))
    order = [back.skeleton.index(name) for name in clip.skeleton.joints]
    assert (back.positions[:, order] - clip.positions).abs().max() < 1e-4
    assert back.fps == clip.fps


def test_clips_that_a_bvh_file_cannot_hold(tmp_path: Path) -> None:
    clip = formats.read(save(tmp_path, SMALL))
    with pytest.raises(FormatError, match="no joint rotations"):
        formats.write(clip.replace(rotations=None), tmp_path / "out.bvh")
    holes = clip.replace(positions=clip.positions.clone())
    holes.positions[1, 2] = math.nan
    with pytest.raises(FormatError, match="'slide' is missing in frame 1"):
        formats.write(holes, tmp_path / "out.bvh")
    with pytest.raises(FormatError, match="one clip"):
        formats.write([clip, clip], tmp_path / "out.bvh")
    with pytest.raises(FormatError, match="does not exist"):
        formats.write(clip, tmp_path / "no" / "out.bvh")
    with pytest.raises(FormatError, match="did you mean 'scale'"):
        formats.write(clip, tmp_path / "out.bvh", scal=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.bvh"]  # nothing half written is left


def test_unit_of_the_written_file(tmp_path: Path) -> None:
    clip = formats.read(save(tmp_path, SMALL))
    path = formats.write(clip, tmp_path / "metres.bvh", scale=1.0, digits=8)
    assert "OFFSET 0.00000000 -0.40000000 0.00000000" in path.read_text()
    assert torch.allclose(formats.read(path, scale=1.0).positions, clip.positions, atol=1e-5)


# ---------------------------------------------------------------------------------------------------- broken files


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (SMALL, "", None, "empty"),
        (SMALL, " \n\n", None, "empty"),
        ("HIERARCHY\n", "", 1, "expected HIERARCHY"),
        ("ROOT hip", "ROOT", 2, "without a name"),
        ("JOINT left knee", "ROOT left knee", 6, "inside another joint"),
        ("JOINT left knee", "JOINT hip", 6, "second joint named 'hip'"),
        ("OFFSET 0 -40 0", "OFFSET 0 -40", 8, "3 numbers in the OFFSET of joint 'left knee'"),
        ("OFFSET 0 -40 0", "OFFSET 0 x 0", 8, "expected a number for the OFFSET"),
        ("\t\tOFFSET 0 -40 0\n", "", 17, "no OFFSET"),
        ("CHANNELS 2 Y", "CHANNELS 3 Y", 12, "CHANNELS with their number"),
        ("2 Yposition Xrotation", "2 Yposition Wrotation", 12, "unknown channel 'Wrotation'"),
        ("2 Yposition Xrotation", "2 Yposition Yposition", 12, "comes twice"),
        ("}\nMOTION", "MOTION", 19, "before MOTION"),
        ("}\nMOTION", "}\n}\nMOTION", 20, "without an open block"),
        ("}\nMOTION", "}\nROOT two\n{\nOFFSET 0 0 0\n}\nMOTION", 20, "second ROOT"),
        ("}\nMOTION", "}\nhello\nMOTION", 20, "got 'hello'"),
        ("Frames:\t2", "Frames: two", 21, "whole number of frames"),
        ("Frames:\t2", "Frames: 0", 22, "no frame"),
        ("Frame Time:\t0.0333333", "Frame Time: 0", 22, "Frame Time in seconds"),
        ("Frame Time:\t0.0333333", "Frame Time: nan", 22, "expected a number for Frame Time"),
        ("Frame Time:\t0.0333333\n", "", 22, "'Frame Time:'"),
        ("1 2 3 90", "1 2 nan 90", 23, "expected a number for frame 1"),
        ("1 2 3 90", "1 2 1e999 90", 23, "finite"),
        ("1 2 3 90", "1 2 3, 90", 23, "expected a number"),
        ("1 2 3 90", "1 2 90", 23, "expected 11 numbers in a frame .got 10"),
        ("4 5 6 0", "4 5 6 0 0", 24, "expected 11 numbers in a frame .got 12"),
        ("Frames:\t2", "Frames: 3", 24, "cut short: expected 3 frames .got 2 whole"),
        ("Frames:\t2", "Frames: 1", 24, "more than the 1 frames"),
    ],
)
def test_broken_files_name_the_line(tmp_path: Path, old: str, new: str, line: int | None, words: str) -> None:
    path = save(tmp_path, SMALL.replace(old, new))
    assert old in SMALL
    with pytest.raises(FormatError, match=words) as caught:
        formats.read(path)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r":2: expected UTF-8 text \(got byte 0xff"):
        formats.read(save(tmp_path, SMALL.encode().replace(b"hip", b"h\xffp")))
    with pytest.raises(FormatError, match=r":2: expected text \(got a zero byte"):
        formats.read(save(tmp_path, SMALL.encode().replace(b"hip", b"h\0p")))


def test_huge_numbers_are_refused(tmp_path: Path) -> None:
    for number in ("1e308", "1e200", "1e41"):
        with pytest.raises(FormatError):
            formats.read(save(tmp_path, SMALL.replace("1 2 3 90", f"{number} {number} {number} 90")))


def test_a_person_of_absurd_size_is_implausible_only() -> None:
    path = Path(__file__).parents[2] / "data" / "samples" / "walk.bvh"
    with pytest.warns(formats.ImplausibleMotionWarning, match="from end to end") as caught:
        formats.read(path, scale=1e30)
    assert len(caught) == 1, "no warnings of numpy beside it"


def test_whole_frames_of_a_truncated_file(tmp_path: Path) -> None:
    path = save(tmp_path, SMALL[: SMALL.rindex("90")])
    with pytest.raises(
        FormatError, match=r"frame 2 has 7 of 11 numbers\); allow_truncated=True \(.*\) reads the 1 whole"
    ):
        formats.read(path)
    clip = formats.read(path, allow_truncated=True)
    assert len(clip) == 1 and torch.equal(clip.positions, formats.read(save(tmp_path, SMALL, "b.bvh")).positions[:1])


@QUICK
@given(cut=st.integers(0, len(SMALL) - 1))
def test_truncation_anywhere_is_one_clear_error(tmp_path: Path, cut: int) -> None:
    path = save(tmp_path, SMALL[:cut])
    if cut >= len(SMALL.rstrip()):  # only the last line end is gone
        assert len(formats.read(path)) == 2
    else:
        with pytest.raises(FormatError):
            formats.read(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_a_format_error_or_a_clip(tmp_path: Path, data: st.DataObject) -> None:
    text = bytearray(SMALL.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        piece = data.draw(
            st.sampled_from(
                [b"", b"\xff", b"\0", b"nan", b"1e400", b"{", b"}", b"\n", b"JOINT a\n", b"MOTION", b":", b"-"]
            )
        )
        text[at : at + data.draw(st.integers(0, 3))] = piece
    try:
        clip = formats.read(save(tmp_path, bytes(text)))
    except FormatError:
        return
    assert clip.positions.isfinite().all()


def test_a_given_skeleton_has_to_fit(tmp_path: Path) -> None:
    path = save(tmp_path, SMALL)
    own = Skeleton("mine", ("hip", "left knee", "slide"), (-1, 0, 1))
    assert formats.read(path, skeleton=own).skeleton is own
    with pytest.raises(FormatError, match=r"clip.to\('h36m17'\)"):
        formats.read(path, skeleton="h36m17")
    with pytest.raises(FormatError, match=r"clip\.bvh"):
        formats.read(path, skeleton="no_such_skeleton")


@pytest.mark.parametrize("order", ["".join(o) for o in itertools.permutations("XYZ")])
def test_every_rotation_order(tmp_path: Path, order: str) -> None:
    words = " ".join(f"{axis}rotation" for axis in order)
    text = SMALL.replace("Yrotation Xrotation Zrotation", words).replace("0 90 0 8", "20 30 40 8")
    clip = formats.read(save(tmp_path, text))
    expected = elementary(order[0], 20) @ elementary(order[1], 30) @ elementary(order[2], 40)
    assert np.abs(clip.rotations[1, 1].numpy() - expected).max() < 1e-6
