"""`skeleton`, `data` and `model` commands on real files and on broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shared import shared_path

from graphpose.cli.main import main
from graphpose.skeleton import Skeleton

BIPED = """\
name: biped5
source: drawn for a test
joints: {hip: null, l_knee: hip, l_foot: l_knee, r_knee: hip, r_foot: r_knee}
pairs: [[l_knee, r_knee], [l_foot, r_foot]]
"""


def test_skeleton_list_names_every_bundled_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skeleton", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == Skeleton.available()
    assert next(line for line in lines if line.startswith("h36m17")).split()[1:3] == ["17", "joints"]


def test_skeleton_show_prints_the_tree_of_a_users_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "biped5.yaml").write_text(BIPED)
    assert main(["skeleton", "show", str(tmp_path / "biped5.yaml")]) == 0
    text = capsys.readouterr().out
    for joint in ("hip", "l_knee", "r_foot"):
        assert joint in text


@pytest.mark.parametrize("mode", ["2d", "3d"])
def test_skeleton_show_draws_a_picture(mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the extra `viz` is not installed")
    picture = tmp_path / "skeleton.png"
    assert main(["skeleton", "show", "h36m17", "--plot", str(picture), "--mode", mode]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in capsys.readouterr().out


def test_skeleton_check_lists_every_fault_of_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.yaml").write_text(BIPED)
    (tmp_path / "bad.yaml").write_text(
        "name: bad\njoints: {a: null, b: null, c: nobody}\npairs: [[b, b]]\nloss_weights: {zz: 1}\n"
    )
    assert main(["skeleton", "check", str(tmp_path / "good.yaml"), str(tmp_path / "bad.yaml")]) == 1
    captured = capsys.readouterr()
    assert "good.yaml: fine, 5 joints, 2 pairs, root hip" in captured.out
    lines = captured.err.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("graphpose: error: ") and "bad.yaml" in line for line in lines)
    assert any("nobody" in line for line in lines)
    assert main(["skeleton", "check", str(tmp_path / "good.yaml")]) == 0


def test_model_commands_describe_what_is_registered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "list"]) == 0
    listed = capsys.readouterr().out
    assert "ktpformer" in listed
    assert "mixste" in listed
    assert main(["model", "describe", "ktpformer"]) == 0
    described = capsys.readouterr().out
    for option in ("channels", "depth", "heads", "drop_path"):
        assert option in described


def write_clip(path: Path, frames: int, **more: object) -> None:
    """An npz clip of the Human3.6M skeleton standing still in its rest pose."""
    skeleton = Skeleton.load("h36m17")
    assert skeleton.rest is not None
    positions = np.repeat(skeleton.rest[None], frames, axis=0).astype(np.float32)
    np.savez(
        path,
        **{  # type: ignore[arg-type]
            "positions": positions,
            "fps": 50.0,
            "joints": np.array(skeleton.joints),
            "parents": np.array(skeleton.parents),
            **more,
        },
    )


def test_data_info_shows_each_clip_and_the_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "short.npz", 50, subject="S1", action="Stand")
    write_clip(tmp_path / "long.npz", 150, subject="S2", action="Wait")
    assert main(["data", "info", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    header, *rows, total = captured.out.splitlines()
    assert header.split()[:5] == ["clip", "frames", "fps", "seconds", "joints"]
    cells = {row.split()[0]: row.split() for row in rows}
    assert cells["short"][1:5] == ["50", "50", "1.0", "17"]
    assert cells["long"][1:5] == ["150", "50", "3.0", "17"]
    assert 1.2 < float(cells["long"][5]) < 2.5, "height of a person in metres"
    assert total.startswith("2 clips, 200 frames, 0.1 minutes; 2 subjects, 2 actions; skeletons: h36m17 (17 joints)")


def test_data_check_reports_all_faults_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "good.npz", 20)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:100])
    (tmp_path / "empty.bvh").write_text("")
    assert main(["data", "check", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("3 files, 1 sound clips, 2 files with a fault")
    errors = [line for line in captured.err.splitlines() if line.startswith("graphpose: error: ")]
    assert len(errors) == 2
    assert "cut.npz" in errors[0]
    assert "empty.bvh" in errors[1]


@pytest.mark.parametrize("command", ["check", "info"])
def test_a_truncated_file_is_refused_or_cut_to_its_whole_frames(
    command: str, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (repository / "data" / "samples" / "walk.bvh").read_text()
    cut = tmp_path / "cut.bvh"
    cut.write_text(text[: int(0.9 * len(text))])
    assert main(["data", command, str(cut)]) == 1
    error = capsys.readouterr().err
    assert "cut.bvh:" in error and "cut short" in error
    assert "allow_truncated=True (data info, data check: --allow_truncated; train, evaluate: --data.reader_o" in error
    assert main(["data", command, str(cut), "--allow_truncated"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 files, 1 sound clips, 0 files with a fault") or "1 clips, " in out


def test_data_check_passes_sound_files_and_checks_the_mapping(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "good.npz", 20)
    assert main(["data", "check", str(tmp_path), "--skeleton", "h36m17"]) == 0
    assert capsys.readouterr().out.startswith("1 files, 1 sound clips, 0 files with a fault")
    assert main(["data", "check", str(tmp_path), "--skeleton", "panda7"]) == 1
    assert "panda7" in capsys.readouterr().err


def test_arrays_without_names_are_checked_as_the_skeleton_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "biped.yaml").write_text(BIPED)
    folder = tmp_path / "clips"
    folder.mkdir()
    np.savez(folder / "bare.npz", positions=np.random.default_rng(0).normal(size=(9, 5, 3)), fps=30.0)
    for path in (folder, folder / "bare.npz"):
        assert main(["data", "check", str(path)]) == 1
        assert "5 joints without names" in capsys.readouterr().err
        assert main(["data", "check", str(path), "--skeleton", str(tmp_path / "biped.yaml")]) == 0
        assert capsys.readouterr().out.startswith("1 files, 1 sound clips, 0 files with a fault")
        assert main(["data", "info", str(path), "--skeleton", str(tmp_path / "biped.yaml")]) == 0
        assert "skeletons: biped5 (5 joints)" in capsys.readouterr().out
    np.savez(folder / "coco.npz", positions=np.random.default_rng(0).normal(size=(9, 17, 3)), fps=30.0)
    assert main(["data", "check", str(folder / "coco.npz"), "--skeleton", "coco17"]) == 0, "not taken as h36m17"
    assert main(["data", "check", str(folder / "coco.npz"), "--skeleton", "hand21"]) == 1, "taken as h36m17"
    assert "no mapping from skeleton 'h36m17' to 'hand21'" in capsys.readouterr().err
    assert main(["data", "check", str(folder), "--skeleton", "coco18"]) == 1
    assert "unknown skeleton 'coco18' (did you mean 'coco17'?)" in capsys.readouterr().err


def test_data_info_takes_the_asf_file_of_amc_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = shared_path("mocap/cmu/01/01_01.amc")
    (tmp_path / "moved.amc").write_bytes(recording.read_bytes())
    assert main(["data", "info", str(tmp_path), "--skeleton", str(recording.with_name("01.asf"))]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 clips")


def test_data_check_of_a_folder_without_motion_says_what_it_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    assert main(["data", "check", str(tmp_path)]) == 1
    assert ".bvh" in capsys.readouterr().err


def test_the_bundled_clips_are_sound(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(repository / "data" / "samples"), "--skeleton", "h36m17"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "0 files with a fault, 0 warnings" in captured.out
