"""`data convert`: trees mirrored, archives taken apart, nothing replaced unasked, nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpose import formats
from graphpose.cli.main import main
from graphpose.geometry import Camera
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

BODY = Skeleton.load("h36m17")


@pytest.fixture
def tree(repository: Path, tmp_path: Path) -> Path:
    """Two recordings at different depths, and a file that is none."""
    samples = repository / "data" / "samples"
    (tmp_path / "in" / "fast").mkdir(parents=True)
    shutil.copy(samples / "walk.bvh", tmp_path / "in" / "walk.bvh")
    shutil.copy(samples / "run.bvh", tmp_path / "in" / "fast" / "run.bvh")
    (tmp_path / "in" / "notes.txt").write_text("not a motion")
    return tmp_path


def standing(frames: int, name: str) -> MotionClip:
    return MotionClip(BODY, 50.0, positions=np.repeat(BODY.rest[None], frames, 0), name=name)


def convert(*words: object) -> int:
    return main(["data", "convert", *map(str, words)])


def below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def refused(capsys: pytest.CaptureFixture[str], *words: object, code: int = 1) -> str:
    capsys.readouterr()
    assert convert(*words) == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("graphpose: error: ")
    return line


@pytest.mark.parametrize("to", sorted(name for name, entry in formats.available().items() if entry.write is not None))
def test_a_folder_is_mirrored_in_every_format(tree: Path, to: str, capsys: pytest.CaptureFixture[str]) -> None:
    if to == "c3d":
        pytest.importorskip("ezc3d", reason="the extra `c3d` is not installed")
    suffix = formats.available()[to].suffixes[0]
    assert convert(tree / "in", tree / "out", "--to", to) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith(f"2 files, 2 clips written to {tree / 'out'} ({to})")
    assert ("left out of 2 clips: rotations" in captured.out) == ("rotations" not in formats.available()[to].keeps)
    assert below(tree / "out") == [f"fast/run{suffix}", f"walk{suffix}"]
    for name in ("walk", "fast/run"):
        ours, theirs = formats.read(tree / "in" / f"{name}.bvh"), formats.read(tree / "out" / f"{name}{suffix}")
        assert theirs.skeleton == ours.skeleton and theirs.fps == ours.fps
        assert (theirs.positions - ours.positions).abs().max() < 2e-6
    assert main(["data", "info", str(tree / "out")]) == 0
    assert "2 clips, 64 frames" in capsys.readouterr().out


def test_one_file_to_one_file_on_another_skeleton_at_another_rate(tree: Path) -> None:
    out = tree / "new" / "walk.csv"
    assert convert(tree / "in" / "walk.bvh", out, "--map_to", "h36m17", "--resample", 15, "--digits", 4) == 0
    clip = formats.read(out)
    assert clip.skeleton == BODY and clip.fps == 15
    expected = formats.read(tree / "in" / "walk.bvh").to("h36m17").resample(15)
    assert 1e-6 < (clip.positions - expected.positions).abs().max() < 5.1e-5
    assert convert(tree / "in" / "walk.bvh", tree / "in" / "fast" / "run.bvh", tree / "flat", "--to", ".npz") == 0
    assert below(tree / "flat") == ["run.npz", "walk.npz"]


def test_reading_options_reach_the_reader(tree: Path) -> None:
    text = "LASI_x,LASI_y,LASI_z,RASI_x,RASI_y,RASI_z\n" + "0,100,900,0,-100,900\n" * 3
    (tree / "lab.csv").write_text(text)
    (tree / "hip.yaml").write_text("name: hip\njoints: {pelvis: null}\n")
    (tree / "markers.yaml").write_text("skeleton: hip.yaml\njoints: {pelvis: [LASI, RASI]}\n")
    words = ["--markers", tree / "markers.yaml", "--up", "z", "--scale", "0.001", "--fps", 200]
    words += ["--name_pattern", r"(?P<subject>l)(?P<action>ab)(?P<place>\.)"]
    assert convert(tree / "lab.csv", tree / "lab.npz", *words) == 0
    clip = formats.read(tree / "lab.npz")
    assert clip.fps == 200 and clip.skeleton.joints == ("pelvis",)
    assert clip.positions[0, 0].tolist() == pytest.approx([0, 0.9, 0])
    assert (clip.subject, clip.action, clip.tags) == ("l", "ab", {"place": "."})


def test_archives_stay_one_file_or_become_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [standing(3, "a"), standing(4, "b/c"), standing(5, "A")]
    (tmp_path / "in").mkdir()
    formats.write(clips, tmp_path / "in" / "many.npz")
    assert convert(tmp_path / "in", tmp_path / "csv", "--to", "csv") == 0
    assert below(tmp_path / "csv") == ["many/A_2.csv", "many/a.csv", "many/b_c.csv"]
    assert [len(formats.read(tmp_path / "csv" / "many" / f"{name}.csv")) for name in ("a", "b_c", "A_2")] == [3, 4, 5]
    assert convert(tmp_path / "in", tmp_path / "npz", "--to", "npz", "--resample", 25) == 0
    back = formats.read_all(tmp_path / "npz" / "many.npz")
    assert [(clip.name, clip.fps) for clip in back] == [("a", 25.0), ("b/c", 25.0), ("A", 25.0)]
    line = refused(capsys, tmp_path / "in" / "many.npz", tmp_path / "one.csv")
    assert "holds 3 clips, which do not go into one csv file; give a folder as OUT and --to csv" in line


def test_nothing_is_replaced_without_overwrite(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "out" / "fast").mkdir(parents=True)
    (tree / "out" / "walk.csv").write_text("mine")
    line = refused(capsys, tree / "in", tree / "out", "--to", "csv")
    assert "walk.csv: is there already (1 of 2 outputs are); --overwrite replaces them" in line
    assert below(tree / "out") == ["walk.csv"] and (tree / "out" / "walk.csv").read_text() == "mine"
    assert convert(tree / "in", tree / "out", "--to", "csv", "--overwrite") == 0
    assert len(formats.read_all(tree / "out")) == 2


def test_files_never_replace_their_source_or_each_other(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (tree / "in" / "walk.bvh").read_bytes()
    assert "is a file to be read" in refused(capsys, tree / "in", tree / "in", "--to", "bvh", "--overwrite")
    assert "is a file to be read" in refused(capsys, tree / "in/walk.bvh", tree / "in/../in/walk.bvh", "--overwrite")
    shutil.copy(tree / "in" / "walk.bvh", tree / "in" / "fast" / "walk.bvh")
    line = refused(capsys, tree / "in" / "walk.bvh", tree / "in" / "fast", tree / "out", "--to", "csv")
    assert "would both become" in line and "convert them into two folders" in line
    assert (tree / "in" / "walk.bvh").read_bytes() == before and not (tree / "out").exists()


def test_faulty_files_are_reported_and_the_others_converted(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "in" / "empty.bvh").write_text("")
    (tree / "in" / "broken.npz").write_bytes(b"PK")
    assert convert(tree / "in", tree / "out", "--to", "csv") == 1
    captured = capsys.readouterr()
    first, second = captured.err.splitlines()
    assert "broken.npz" in first and "empty.bvh" in second
    assert captured.out.startswith("2 files, 2 clips written")
    assert below(tree / "out") == ["fast/run.csv", "walk.csv"]


def test_what_cannot_be_written_leaves_nothing_behind(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = MotionClip(BODY, 30, keypoints=np.zeros((3, 17, 2)), name="flat")
    formats.write(flat, tree / "flat.npz")
    assert "only keypoints" in refused(capsys, tree / "flat.npz", tree / "deep" / "er", "--to", "trc")
    formats.write(standing(3, "still"), tree / "still.npz")
    assert "identity_rotations" in refused(capsys, tree / "still.npz", tree / "deep" / "still.bvh")
    assert not (tree / "deep").exists()
    assert convert(tree / "still.npz", tree / "deep" / "still.bvh", "--identity_rotations") == 0
    assert formats.read(tree / "deep" / "still.bvh").positions.shape == (3, 17, 3)


def test_a_folder_of_clips_appears_whole_or_not_at_all(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = standing(3, "odd").replace(space="camera")
    fits = [standing(3, "a"), standing(4, "b")]
    formats.write(fits, tree / "fits.npz")
    assert convert(tree / "fits.npz", tree / "out", "--to", "bvh", "--identity_rotations") == 0
    assert below(tree / "out") == ["fits/a.bvh", "fits/b.bvh"]
    (tree / "out" / "fits" / "b.bvh").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "read_all", lambda *_, **__: [*fits, odd])
        line = refused(capsys, tree / "fits.npz", tree / "out", "--to", "bvh", "--identity_rotations", "--overwrite")
    assert "the positions of clip 'odd' are in the frame of a camera, which BVH cannot say" in line
    assert below(tree / "out") == ["fits/a.bvh"]


def test_motions_and_joint_archives_are_described_and_converted(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "raw").mkdir()
    frame = [0.04, 0, 0.9, 0, *[1, 0, 0, 0] * 4, 0, *[1, 0, 0, 0] * 2, 0, *[1, 0, 0, 0], 0, *[1, 0, 0, 0] * 2, 0]
    (tree / "raw" / "move.txt").write_text(json.dumps({"Loop": "none", "Frames": [frame] * 5}))
    joints = np.repeat(Skeleton.load("smpl24").rest[None], 6, 0)
    np.savez(tree / "raw" / "jumps.npz", joints=joints, mocap_framerate=120.0)
    assert main(["data", "info", str(tree / "raw"), "--up", "y"]) == 0
    text = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in text.splitlines()}
    assert rows["move"][1:5] == ["5", "25", "0.2", "15"] and rows["jumps"][1:5] == ["6", "120", "0.1", "24"]
    assert "deepmimic15 (15 joints), smpl24 (24 joints)" in text
    assert convert(tree / "raw", tree / "out", "--to", "csv", "--up", "y", "--map_to", "h36m17", "--resample", 20) == 0
    found = {(clip.name, len(clip), clip.fps) for clip in formats.read_all(tree / "out")}
    assert found == {("move", 4, 20.0), ("jumps", 1, 20.0)}
    assert "2 clips: rotations" not in capsys.readouterr().out  # mapping has dropped them before


def test_poses_in_the_frame_of_a_camera_are_put_upright_on_request(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = standing(3, "seen")
    camera = Camera.look_at(torch.tensor([0.0, 1.0, 4.0]), torch.tensor([0.0, 1.0, 0.0]))  # level, before the person
    predicted = seen.replace(positions=camera.world_to_camera(seen.positions), space="camera")
    formats.write(predicted, tree / "poses.npz")
    assert "--level_camera" in refused(capsys, tree / "poses.npz", tree / "poses.bvh", "--identity_rotations")
    assert convert(tree / "poses.npz", tree / "poses.bvh", "--identity_rotations", "--level_camera") == 0
    back = formats.read(tree / "poses.bvh")
    order = [back.skeleton.index(joint) for joint in BODY.joints]
    np.testing.assert_allclose(back.positions[0, order], BODY.rest - [0, 1, 4], atol=1e-5)
    turned = predicted.replace(rotations=camera.rotation.expand(3, 17, 3, 3))  # of a person who faces +Z
    formats.write(turned, tree / "turned.npz")
    assert convert(tree / "turned.npz", tree / "level.npz", "--level_camera") == 0
    level = formats.read(tree / "level.npz")
    assert level.space == "world"
    np.testing.assert_allclose(level.rotations, np.broadcast_to(np.eye(3), (3, 17, 3, 3)), atol=1e-6)


def test_an_interrupted_write_leaves_no_file(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        assert convert(tree / "in", tree / "out", "--to", "csv") == 130
    assert not (tree / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{t}/in {t}/out", "expected --to with one of bvh, "),
        ("{t}/in {t}/out --to cvs", "unknown format to write 'cvs' (did you mean 'csv'?)"),
        ("{t}/in {t}/out --to asf_amc", "(only read)"),
        ("{t}/in {t}/out.csv", "expected one file to convert to a file (got 2 files)"),
        ("{t}/in/walk.bvh {t}/out.csv --to trc", "its suffix is that of csv and --to says trc"),
        ("{t}/in {t}/in/walk.bvh --to csv", "its suffix is that of bvh"),
        ("{t}/in {t}/in/notes.txt --to csv", "notes.txt: is a file; give a folder as OUT"),
        ("{t}/none {t}/out --to csv", "none: no such file"),
        ("{t}/in/notes.txt {t}/out --to csv", "notes.txt: expected a motion file"),
        ("{t}/in/walk.bvh {t}/out.csv --map_to h36m16", "did you mean 'h36m17'"),
        ("{t}/in/walk.bvh {t}/out.csv --map_to hand21", "no mapping from skeleton"),
        ("{t}/in/walk.bvh {t}/out.csv --resample 0", "expected fps above 0"),
        ("{t}/in/walk.bvh {t}/out.csv --unit mm", "--unit does not apply to csv files"),
        ("{t}/in/walk.bvh {t}/out.csv --digits 99", "--digits: expected 0 to 15 decimals (got 99)"),
        ("{t}/in/walk.bvh {t}/out.trc --unit feet", "expected mm, cm or m as unit= (got 'feet')"),
        ("{t}/in/walk.bvh {t}/out.csv --name_pattern (", "not a regular expression"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    tree: Path, words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = below(tree)
    assert message in refused(capsys, *words.format(t=tree).split())
    assert below(tree) == before and not (tree / "out").exists()


def test_words_that_are_no_call(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected IN and OUT" in refused(capsys, tree / "in", code=2)
    assert "expected --map_to" in refused(capsys, tree / "in", tree / "o", "--mapping", "m.yaml", code=2)
    assert "did you mean '--overwrite'" in refused(capsys, tree / "in", tree / "o", "--overwite", code=2)
