"""Files of points, damaged anywhere: each is a clip or one line that names the file, never another error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphpose import formats
from graphpose.errors import FormatError
from graphpose.formats._deepmimic_motion import LAYOUT
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

BODY = Skeleton.load("humaneva15")
SCRAPS = ["\t", ",", ";", "\n", "nan", "inf", "-", "1e999", '"', "#", "x", " ", "0", "\u20ac", "\x00", "{", "]", "null"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A sound file of each kind, by suffix."""
    folder = tmp_path_factory.mktemp("sound")
    clip = MotionClip(BODY, 30, positions=np.repeat(BODY.rest[None], 4, 0))
    numbers = [0.1, 0, 1, 0, *(v for _, width in LAYOUT for v in ([1, 0, 0, 0] if width == 4 else [0.1]))]
    np.savez(folder / "a.npz", joints=np.repeat(Skeleton.load("smpl22").rest[None], 4, 0), fps=30)
    long = ["frame,time,joint,x,y,z"]
    long += [f"{t},{t / 10},{name},{t},1,2" for t in range(3) for name in BODY.joints]
    return {
        "trc": formats.write(clip, folder / "a.trc").read_bytes(),
        "csv": formats.write(clip, folder / "a.csv").read_bytes(),
        "long.csv": "\n".join(long).encode(),
        "txt": json.dumps({"Loop": "none", "Frames": [numbers] * 4}, indent=1).encode(),
        "npz": (folder / "a.npz").read_bytes(),
    }


@pytest.mark.filterwarnings("ignore::graphpose.formats.ImplausibleMotionWarning")
@pytest.mark.parametrize("kind", ["trc", "csv", "long.csv", "txt", "npz"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_a_clip_or_one_line(
    sound: dict[str, bytes], tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    content = bytearray(sound[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        how = data.draw(st.sampled_from(["cut", "insert", "replace", "remove"]))
        scrap = data.draw(st.sampled_from(SCRAPS)).encode()
        if how == "cut":
            del content[at:]
        elif how == "insert":
            content[at:at] = scrap
        else:
            content[at : at + data.draw(st.integers(1, 30))] = scrap if how == "replace" else b""
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(content)
    try:
        clip = formats.read(path)
    except FormatError as fault:
        assert str(fault).startswith(str(path)) and "\n" not in str(fault)
    else:
        assert len(clip) > 0 and not bool(clip.positions.isinf().any())


@pytest.mark.filterwarnings("ignore::graphpose.formats.ImplausibleMotionWarning")
def test_what_was_damaged_is_sound_before(sound: dict[str, bytes], tmp_path: Path) -> None:
    for kind, content in sound.items():
        path = tmp_path / f"sound.{kind}"
        path.write_bytes(content)
        options = {"up": "y"} if kind == "npz" else {"scale": 0.1} if kind == "long.csv" else {}
        assert len(formats.read(path, **options)) in (3, 4)
