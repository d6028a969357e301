"""ASF/AMC: agreement with independent positions, the traps of real files, and files that are broken."""

from __future__ import annotations

import math
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared import shared_path

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats import ImplausibleMotionWarning

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ASF = """# made for this test
:version 1.10
:name VICON
:units
  mass 1.0
  length 0.5
  angle deg
:documentation
   free text: begin end 1 2 3
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 1 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name thigh
     direction 0 -1 0
     length 4
     axis 0 0 30 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     id 2
     name shin_a
     direction 0 -2 0
     length 3
     axis 90 0 0 XYZ
    dof rz
    limits (0 1)
  end
  begin
     id 3
     name stump
     direction 1 0 0
     length 1
     axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root thigh stump
    thigh shin_a
  end
"""
AMC = """#!OML:ASF nowhere.asf
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 90 0
shin_a 9.0e+001
thigh 0 0 0
2
root 1 2 3 0 0 0
shin_a 0
thigh 0 0 90
3
root 1 2 3 0 0 0
shin_a 90
thigh 10 20 30
"""


def save(folder: Path, amc: str | bytes = AMC, asf: str | bytes | None = ASF, name: str = "7_walk.amc") -> Path:
    if asf is not None:
        (folder / "7.asf").write_bytes(asf if isinstance(asf, bytes) else asf.encode())
    (folder / name).write_bytes(amc if isinstance(amc, bytes) else amc.encode())
    return folder / name


def matrix(axis: str, degrees: float) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return {
        "X": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "Y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "Z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def test_positions_by_hand(tmp_path: Path) -> None:
    clip = formats.read(save(tmp_path), scale=1.0)
    assert clip.skeleton.joints == ("root", "thigh", "stump", "shin_a") and clip.skeleton.parents == (-1, 0, 0, 1)
    assert (clip.fps, clip.subject, clip.action, clip.name) == (120.0, "7", "walk", "7_walk")
    # frame 1: the root turns 90 degrees about Y (x to -z); the shin 90 degrees about its own Z, the world's -Y in C =
    # Rx(90)
    root, down = np.array([1.0, 3, 3]), np.array([0.0, -1, 0])
    ry = matrix("Y", 90)
    shin = ry @ matrix("X", 90) @ matrix("Z", 90) @ matrix("X", -90)
    expected = [root, root + 4 * down, root + np.array([0, 0, -1]), root + 4 * down + shin @ (3 * down)]
    assert np.allclose(clip.positions[0], expected, atol=1e-5)
    assert np.allclose(clip.rotations[0, 3], shin, atol=1e-6)
    # frame 3: C M C^T with M = Rz Ry Rx
    c = matrix("Z", 30)
    thigh = c @ matrix("Z", 30) @ matrix("Y", 20) @ matrix("X", 10) @ c.T
    assert np.allclose(clip.positions[2, 1], root + thigh @ (4 * down), atol=1e-5)


def test_unit_and_rate(tmp_path: Path) -> None:
    path = save(tmp_path)
    metres = formats.read(path)
    assert torch.allclose(metres.bone_lengths()[0], torch.tensor([4.0, 1, 3]) * 0.0254 / 0.5, atol=1e-6)
    assert torch.allclose(formats.read(path, scale=0.01).bone_lengths()[0], torch.tensor([4.0, 1, 3]) * 0.01, atol=1e-6)
    assert formats.read(path, fps=60).fps == 60
    rate = save(tmp_path, AMC.replace(":DEGREES", ":DEGREES\n:SAMPLES-PER-SECOND 100"))
    assert formats.read(rate).fps == 100


def test_radians_line_ends_and_column_order(tmp_path: Path) -> None:
    plain = formats.read(save(tmp_path))
    crlf = formats.read(save(tmp_path, AMC.replace("\n", "\r\n"), ASF.replace("\n", "\r\n")))
    assert torch.equal(crlf.positions, plain.positions)
    mixed = ASF.replace("dof rx ry rz", "dof rz rx ry").replace("order TX TY TZ RX RY RZ", "order RY TX TY TZ RX RZ")
    rows = AMC.replace("thigh 10 20 30", "thigh 30 10 20").replace("thigh 0 0 90", "thigh 90 0 0")
    rows = rows.replace("root 1 2 3 0 90 0", "root 90 1 2 3 0 0").replace("root 1 2 3 0 0 0", "root 0 1 2 3 0 0")
    assert torch.allclose(formats.read(save(tmp_path, rows, mixed)).positions, plain.positions, atol=1e-6)
    lines = []
    for line in AMC.replace(":DEGREES", ":RADIANS").splitlines():
        words = line.split()
        if words[0] in ("root", "thigh", "shin_a"):
            keep = 3 if words[0] == "root" else 0
            words[1 + keep :] = [repr(math.radians(float(w))) for w in words[1 + keep :]]
        lines.append(" ".join(words))
    assert torch.allclose(formats.read(save(tmp_path, "\n".join(lines))).positions, plain.positions, atol=1e-6)


def test_layouts_that_the_fast_path_leaves_to_the_careful_one(tmp_path: Path) -> None:
    plain = formats.read(save(tmp_path))
    swapped = AMC.replace("shin_a 90\nthigh 10 20 30", "thigh 10 20 30\nshin_a 90")
    remark = AMC.replace("2\nroot", "# a remark\n\n2\nroot")
    for text in (swapped, remark):
        assert torch.equal(formats.read(save(tmp_path, text)).positions, plain.positions)


@pytest.mark.parametrize("name", ["01_01", "05_02", "131_01", "93_charleston1"])
@pytest.mark.filterwarnings("ignore::graphpose.formats.ImplausibleMotionWarning")
def test_agrees_with_independent_positions(name: str) -> None:
    known = np.load(shared_path(f"mocap/expected/asf-amc/{name}.npz"))
    clip = formats.read(shared_path(f"mocap/{known['source']}"))
    names = known["joint_names"].tolist()
    order = [clip.skeleton.index(joint) for joint in names]
    assert len(clip.skeleton) == len(names) and len(clip) == known["n_frames"]
    parents = [names[p] if p >= 0 else None for p in known["parents"]]
    assert clip.skeleton.tree() == dict(zip(names, parents, strict=True))
    assert clip.skeleton.name == "cmu31"
    expected = known["positions"] * known["metres_per_unit"]
    assert np.abs(clip.positions[:, order].numpy()[known["frame_indices"]] - expected).max() < 1e-4


def test_a_walk_faces_its_way_on_human36m() -> None:
    clip = formats.read(shared_path("mocap/cmu/07/07_01.amc")).to("h36m17")
    assert clip.skeleton.name == "h36m17" and clip.subject == "07" and clip.action == "01"
    travel = clip.positions[-1, 0] - clip.positions[0, 0]
    forward = torch.nn.functional.normalize(travel * torch.tensor([1.0, 0, 1.0]), dim=0)
    assert (clip.facing() @ forward).mean() > 0.95
    assert (clip.positions[:, :, 1].amax(1) > 1.5).all() and (clip.positions[..., 1] > -0.1).all()


@pytest.mark.parametrize("name", ["07_01", "02_04", "131_07"])
def test_mapped_and_resampled_clips_are_those_of_the_benchmark(name: str) -> None:
    known = {clip.name: clip for clip in formats.read_all(shared_path("benchmark/cmu_lift.npz"))}[name]
    clip = formats.read(shared_path(f"mocap/cmu/{known.subject}/{name}.amc")).resample(30).to("h36m17")
    assert (clip.frames, clip.fps) == (known.frames, 30.0)
    assert (clip.positions - known.positions).abs().max() < 1e-3


# ------------------------------------------------------------------------------------------------- unit and rate


def warnings_of(path: Path, **options: float) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        formats.read(path, **options)
    assert all(issubclass(w.category, ImplausibleMotionWarning) for w in caught)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize("clip", ["93/93_charleston1", "93/93_charleston2", "acrobat/acrobat_backflip"])
def test_clips_of_60_hz_are_found_out(clip: str) -> None:
    path = shared_path(f"mocap/cmu/{clip}.amc")
    (message,) = warnings_of(path)
    assert "perhaps fps=60" in message and path.name in message
    assert warnings_of(path, fps=60) == []


@pytest.mark.parametrize(
    "clip", ["01/01_01", "02/02_04", "09/09_06", "11/11_01", "131/131_07", "135/135_07", "05/05_05"]
)
def test_jumps_kicks_and_runs_are_believed(clip: str) -> None:
    assert warnings_of(shared_path(f"mocap/cmu/{clip}.amc")) == []


def test_a_wrong_unit_is_found_out() -> None:
    (message,) = warnings_of(shared_path("mocap/cmu-bvh/01_01.bvh"))
    assert "perhaps scale=0.0564444" in message
    assert warnings_of(shared_path("mocap/cmu-bvh/01_01.bvh"), scale=0.0254 / 0.45) == []
    assert (
        "scale=0.01 (cm)" in warnings_of(shared_path("mocap/bandai-namco/1/dataset-1_run_normal_001.bvh"), scale=1.0)[0]
    )


# ------------------------------------------------------------------------------------------------- which ASF


def test_the_asf_is_found_or_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path)
    expected = formats.read(path).positions
    shutil.copy(tmp_path / "7.asf", tmp_path / "8.asf")
    assert torch.equal(formats.read(path).positions, expected)  # of two, the one with the prefix
    other = save(tmp_path, name="9_run.amc", asf=None)
    with pytest.raises(FormatError, match=r"2 ASF files, none of them or several named '9'.*skeleton="):
        formats.read(other)
    assert torch.equal(formats.read(other, skeleton=tmp_path / "8.asf").positions, expected)
    with pytest.raises(FormatError, match="path of the ASF file"):
        formats.read(other, skeleton="cmu31")
    for found in tmp_path.glob("*.asf"):
        found.unlink()
    with pytest.raises(FormatError, match="no ASF file beside it"):
        formats.read(path)


# ------------------------------------------------------------------------------------------------- broken files


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (AMC, "", None, "empty"),
        (AMC, AMC[: AMC.index("1\nroot")], 3, "holds no frame"),
        ("1\nroot 1 2 3 0 90 0", "root 1 2 3 0 90 0", 4, "number of the first frame"),
        ("thigh 10 20 30", "thigh 10 nan 30", 15, "expected a number for 'thigh' in frame 3 .got 'nan'"),
        ("thigh 10 20 30", "thigh 10 1e999 30", 15, "finite"),
        ("thigh 10 20 30", "thigh 10 1_0 30", 15, "expected a number"),
        ("thigh 0 0 90", "thigh 0 90", 11, "expected 3 values for 'thigh' .got 2. in frame 2"),
        ("thigh 0 0 90", "thigh 0 0 0 90", 11, "expected 3 values for 'thigh' .got 4. in frame 2"),
        ("thigh 0 0 90", "thighs 0 0 90", 11, "did you mean 'thigh'"),
        ("thigh 0 0 90\n", "", 11, "frame 2 has no line for thigh"),
        ("thigh 0 0 90", "shin_a 1", 11, "second line for 'shin_a'"),
        ("\n3\n", "\n5\n", 12, "expected frame 3 .got 5"),
        (
            "thigh 10 20 30",
            "thigh 10 20",
            15,
            "cut short: frame 3 ends after 2 of 3 bones, 2 frames before it are whole; allow",
        ),
        ("thigh 10 20 30\n", "", 14, "cut short: frame 3 ends after 2 of 3 bones"),
        (":DEGREES", ":SAMPLES-PER-SECOND 0", 3, "frame rate above 0"),
    ],
)
def test_broken_motion_names_the_line(tmp_path: Path, old: str, new: str, line: int | None, words: str) -> None:
    assert old in AMC
    path = save(tmp_path, AMC.replace(old, new))
    with pytest.raises(FormatError, match=words) as caught:
        formats.read(path)
    assert (caught.value.path, caught.value.line) == (path, line)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (ASF, "hello\n", 1, "expected a section"),
        (ASF, ":version 1\n", None, "no :root"),
        ("length 0.5", "length 0", 6, "length unit above 0"),
        ("angle deg", "angle grad", 7, "deg or rad"),
        ("order TX TY TZ", "order TX TX TZ", 11, "comes twice"),
        ("axis XYZ", "axis XYX", 12, "axis order"),
        ("     name thigh\n", "", 16, "a bone without name"),
        ("direction 0 -1 0", "direction 0 -1", 19, "3 numbers for the direction of 'thigh'"),
        ("length 4", "length x", 20, "expected a number for the length of 'thigh'"),
        ("axis 0 0 30 XYZ", "axis 0 0 30", 21, "axis order"),
        ("dof rx ry rz", "dof rx ry l", 22, "degree of freedom 'l' of 'thigh' is not supported"),
        ("name shin_a", "name thigh", 29, "second bone named 'thigh'"),
        ("  end\n  begin\n     id 2", "  begin\n     id 2", 16, "expected 'end'"),
        ("    thigh shin_a\n", "", 27, "'shin_a' is not in the :hierarchy"),
        ("thigh shin_a\n", "thigh foot\n", 46, "'foot' is not described"),
        ("thigh shin_a\n", "hip shin_a\n", 46, "'hip' has no parent yet"),
        ("thigh shin_a\n", "thigh shin_a stump\n", 46, "'stump' has two places"),
        (ASF[ASF.index(":hierarchy") :], "", None, "no :hierarchy"),
    ],
)
def test_broken_skeletons_name_the_line(tmp_path: Path, old: str, new: str, line: int | None, words: str) -> None:
    assert old in ASF
    with pytest.raises(FormatError, match=words) as caught:
        formats.read(save(tmp_path, AMC, ASF.replace(old, new)))
    assert (caught.value.path, caught.value.line) == (tmp_path / "7.asf", line)


def test_motion_of_another_skeleton(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"7_walk.amc:6: unknown bone 'shin_a'.*move in 7.asf"):
        formats.read(save(tmp_path, AMC, ASF.replace("shin_a", "calf")))


def test_the_clip_that_is_cut_off_in_its_last_frame() -> None:
    path = shared_path("mocap/cmu-malformed/64/64_01.amc")
    with pytest.raises(FormatError, match=r"64_01.amc:13313: cut short: frame 444 ends after 19 of 29 .*the 443 whole"):
        formats.read(path)
    assert len(formats.read(path, allow_truncated=True)) == 443


@QUICK
@given(cut=st.integers(0, len(AMC) - 1))
def test_truncated_motion_is_one_clear_error(tmp_path: Path, cut: int) -> None:
    path = save(tmp_path, AMC[:cut])
    ends = [AMC.index(f"\n{n}\n") + shift for n in (2, 3) for shift in (0, 1)] + [len(AMC) - 1]
    # between frames, or within the digits of a frame's last number, there is nothing to see
    if cut in ends or cut == len(AMC) - 2 or AMC[:cut].endswith(("thigh 0 0 9", "thigh 0 0 0")):
        assert len(formats.read(path)) >= 1
    else:
        with pytest.raises(FormatError):
            formats.read(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), skeleton=st.booleans())
def test_damage_anywhere_is_a_format_error_or_a_clip(tmp_path: Path, data: st.DataObject, skeleton: bool) -> None:
    text = bytearray((ASF if skeleton else AMC).encode())
    pieces = [
        b"",
        b"\xff",
        b"\0",
        b"nan",
        b"1e400",
        b"\n",
        b":",
        b"-",
        b"begin\n",
        b"end\n",
        b"(",
        b"9" * 30,
        b" root ",
    ]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(pieces))
    path = save(tmp_path, *((AMC, bytes(text)) if skeleton else (bytes(text), ASF)))
    try:
        clip = formats.read(path)
    except FormatError:
        return
    assert clip.positions.isfinite().all()
