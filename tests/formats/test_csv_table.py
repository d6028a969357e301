"""CSV: wide and long tables, comments, rates, and files that are broken, each named with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

ARM = Skeleton("arm", ("shoulder", "elbow"), (-1, 0))
WIDE = "frame,time,shoulder_x,shoulder_y,shoulder_z,elbow_x,elbow_y,elbow_z\n0,0,0,1.4,0,0,1.1,0\n1,0.04,1,1.4,0,,,\n"
LONG = "frame,time,joint,x,y,z\n5,0,elbow,0,1.1,0\n5,0,shoulder,0,1.4,0\n6,0.04,shoulder,1,1.4,0\n"


def save(folder: Path, text: str | bytes, name: str = "arm.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        WIDE,
        LONG,
        LONG.replace("joint", "Marker").replace("\n", "\r\n"),
        WIDE.replace(",", ";"),
        WIDE.replace(",", "\t"),
        WIDE.replace("_x", ".X").replace("_y", ".Y").replace("_z", ".Z"),
        "# made by hand\n\n" + WIDE.replace(",,,", ",NaN,nan, "),
        "\ufeff" + WIDE.replace("shoulder_x", '"shoulder_x"') + "\n# the end\n",
    ],
    ids=["wide", "long", "marker", "semicolon", "tab", "capitals", "words", "quotes"],
)
def test_every_layout_gives_the_same_clip(tmp_path: Path, text: str) -> None:
    clip = formats.read(save(tmp_path, text), skeleton=ARM)
    assert (clip.fps, clip.name, clip.subject, clip.action) == (25.0, "arm", tmp_path.name, "arm")
    expected = torch.tensor([[[0.0, 1.4, 0], [0, 1.1, 0]], [[1, 1.4, 0], [torch.nan] * 3]])
    assert torch.allclose(clip.positions, expected, equal_nan=True)


def test_unit_and_up_axis(tmp_path: Path) -> None:
    clip = formats.read(save(tmp_path, WIDE), skeleton=ARM, scale=0.01, up="z")
    assert clip.positions[0, 0].tolist() == pytest.approx([0, 0, -0.014])


def test_comments_say_what_columns_cannot(tmp_path: Path) -> None:
    text = '# fps: 12.5\n# bones: {"elbow": "shoulder", "shoulder": null}\n' + WIDE.replace("time", "second")
    clip = formats.read(save(tmp_path, text))
    assert clip.fps == 12.5
    assert clip.skeleton.tree() == {"elbow": "shoulder", "shoulder": None}
    assert clip.skeleton.joints == ("elbow", "shoulder")
    assert clip.positions[0, 1].tolist() == pytest.approx([0, 1.4, 0])


def test_a_bundled_skeleton_and_a_plain_rate_need_no_comments(tmp_path: Path) -> None:
    body = Skeleton.load("h36m17")
    clip = MotionClip(body, 29.97, positions=np.repeat(body.rest[None], 7, 0))
    text = formats.write(clip, tmp_path / "rest.csv").read_text()
    assert text.startswith("frame,time,pelvis_x,pelvis_y,pelvis_z,Rhip_x,")
    back = formats.read(tmp_path / "rest.csv")
    assert back.skeleton == body and back.fps == 29.97
    single = formats.write(clip[:1], tmp_path / "one.csv")
    assert single.read_text().startswith("# fps: 29.97\n") and formats.read(single).fps == 29.97


def test_the_largest_bundled_skeleton_is_found_whatever_the_order(tmp_path: Path) -> None:
    body = Skeleton.load("smpl22")
    names = [*reversed(body.joints), "sternum"]
    header = ",".join(f"{name}_{axis}" for name in names for axis in "xyz")
    cells = ",".join(f"{value:.9f}" for value in [*body.rest[::-1].ravel(), 0, 1.3, 0.1])
    clip = formats.read(save(tmp_path, f"{header}\n{cells}\n"), fps=30)
    assert clip.skeleton == body
    assert np.abs(clip.positions[0].numpy() - body.rest).max() < 1e-6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("# only\n# comments", ":2: expected a line with the names of the columns"),
        (WIDE.split("\n")[0], ":1: holds no frame"),
        ("a,b,c\n1,2,3\n", r":1: expected columns NAME_x, NAME_y, NAME_z .*\(got a, b, c\)"),
        (WIDE.replace("elbow_z", "elbow_w"), "joint 'elbow' has no column elbow_z"),
        (WIDE.replace("elbow", "shoulder"), "expected each column once"),
        (WIDE.replace("0.04,1,", "0.04,"), r":3: expected 8 cells \(got 7\)"),
        (WIDE.replace("0.04,1,", "0.04,1,2,"), r":3: expected 8 cells \(got 9\)"),
        (WIDE[:-12], r":3: expected 8 cells"),
        (WIDE.replace("1.1", "1.1m"), r":2: expected a number for column 'elbow_y' \(got '1.1m'\)"),
        (WIDE.replace("1.1", "-inf"), r":2: expected a number for column 'elbow_y' \(got '-inf'\)"),
        (WIDE.replace("1.1", "1e999"), r":2: expected a finite number for column 'elbow_y'"),
        (WIDE.replace("1.1", '"1.1'), "expected CSV"),
        (WIDE.replace(",1.1,", ",,"), r":2: point 'elbow' has 2 of its 3 coordinates"),
        (LONG.replace(",1.1,", ",,"), r":2: point 'elbow' has 2 of its 3 coordinates"),
        (WIDE.replace("1,0.04", "1,0"), "its rate is not known"),
        (WIDE.replace("time", "sec"), "its rate is not known.*give fps="),
        (WIDE + "3,0.12,1,1,1,1,1,1\n", r":4: frame 3 follows frame 1"),
        (
            WIDE + "2,0.16,1,1,1,1,1,1\n" + "3,0.2,1,1,1,1,1,1\n",
            r":4: expected time to rise by 0.04 s a frame \(got 0.12\)",
        ),
        ("# fps: many\n" + WIDE, r":1: expected a number for fps \(got 'many'\)"),
        ("# fps: 0\n" + WIDE, r":1: expected fps above 0"),
        ("# fps: 50\n" + WIDE, r":4: expected time to rise by 0.02 s"),
        (
            LONG.replace("5,0,shoulder", "5,0,elbow"),
            r":3: joint 'elbow' of frame 5 stands here again \(first in line 2\)",
        ),
        (LONG.replace("6,0.04,shoulder", "6,0.04,"), r":4: expected the name of a joint"),
        (LONG.replace("6,0.04", ",0.04"), r":4: expected a number in column 'frame'"),
        (LONG.replace("frame,time", "a,b"), "expected a column `frame` or `time`"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, text: str, words: str) -> None:
    path = save(tmp_path, text)
    with pytest.raises(FormatError, match=words) as caught:
        formats.read(path, skeleton=ARM)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bones", "words"),
    [
        ("{", "joint to parent"),
        ("[1]", "joint to parent"),
        ('{"elbow": "hand"}', "joint to parent"),
        ('{"elbow": "shoulder", "shoulder": "elbow"}', "there is no root"),
        ('{"elbow": null, "hand": "elbow"}', "lacking hand"),
    ],
)
def test_bones_that_are_no_tree_of_the_columns(tmp_path: Path, bones: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        formats.read(save(tmp_path, f"# bones: {bones}\n{WIDE}"))


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r":1: expected UTF-8 text \(got byte 0xfc\)"):
        formats.read(save(tmp_path, WIDE.replace("elbow", "\xfc").encode("latin-1")))
    with pytest.raises(FormatError, match=r"no point that makes up a joint is seen"):
        formats.read(save(tmp_path, WIDE.split("\n")[0] + "\n1,0,,,,,,\n2,0.1,,,,,,\n"), skeleton=ARM)


def test_missing_joints_name_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"2 points \(shoulder, elbow\).*skeleton=.*markers="):
        formats.read(save(tmp_path, WIDE))
    with pytest.raises(
        FormatError, match=r"the 17 joints of skeleton 'h36m17' \(lacking pelvis, .*; got shoulder, elbow\)"
    ):
        formats.read(save(tmp_path, WIDE), skeleton="h36m17")


def test_other_tables_are_passed_over_in_folders(tmp_path: Path) -> None:
    save(tmp_path, "name,licence\na,b\n", "manifest.csv")
    good = save(tmp_path, WIDE)
    assert formats.expand(tmp_path) == [good]
    with pytest.raises(FormatError, match="expected columns"):
        formats.read(tmp_path / "manifest.csv")
    save(tmp_path, "", "empty.csv")  # a fault, whatever it was to be
    assert len(formats.expand(tmp_path)) == 2


def test_names_that_a_table_cannot_hold(tmp_path: Path) -> None:
    for name in ("a\nb", " a", ""):
        with pytest.raises((FormatError, ValueError)):
            clip = MotionClip(Skeleton("s", (name,), (-1,)), 30, positions=np.zeros((1, 1, 3)))
            formats.write(clip, tmp_path / "x.csv")
    odd = Skeleton("odd", ('with, comma "and" quotes', "#hash"), (-1, 0))
    back = formats.read(formats.write(MotionClip(odd, 30, positions=np.ones((3, 2, 3))), tmp_path / "odd.csv"))
    assert back.skeleton.tree() == odd.tree()
