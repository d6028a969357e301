"""What `check` says of Human3.6M, HumanEva-I and MPI-INF-3DHP in their published layouts, whole and broken."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats import published_layouts as layouts

from graphpose.datasets.sources import Finding, available, faulty, find_source, human36m, humaneva, mpi_inf_3dhp
from graphpose.errors import ConfigError, FormatError
from graphpose.formats import read_all

SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {finding.what.strip(): finding for finding in found}


def states(found: list[Finding]) -> dict[str, str]:
    return {name: finding.state for name, finding in by_name(found).items()}


@pytest.fixture(scope="module")
def h36m_data() -> dict[str, dict[str, np.ndarray]]:
    return layouts.human36m(SUBJECTS, layouts.ACTIONS, 20)


@pytest.fixture(scope="module")
def h36m_files(h36m_data: dict[str, dict[str, np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.write_human36m(tmp_path_factory.mktemp("h36m"), h36m_data).parent


@pytest.fixture
def h36m(
    h36m_files: Path, h36m_data: dict[str, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Files with all seven subjects, 30 short recordings each; the frames expected are those they have."""
    frames = {
        subjects: sum(len(track) for name in subjects for track in h36m_data[name].values())
        for subjects in human36m.PUBLISHED.frames
    }
    monkeypatch.setattr(human36m, "PUBLISHED", dataclasses.replace(human36m.PUBLISHED, frames=frames))
    shutil.copytree(h36m_files, tmp_path / "h36m")
    return tmp_path / "h36m"


def test_human36m_as_published_is_fine(h36m: Path) -> None:
    found = human36m.check(h36m)
    assert not faulty(found)
    names = by_name(found)
    assert names["data_3d_h36m.npz"].found.endswith("7 subjects, 4,180 frames at 50 fps")
    assert names["S11"].found.startswith("29 recordings, 580 frames, ")
    assert "0.0 px" in names["data_2d_h36m_gt.npz"].found
    assert names["data_2d_h36m_cpn_ft_h36m_dbb.npz"].state == "ok"
    assert names["data_2d_h36m_sh_ft_h36m.npz"].state == "absent"


def test_human36m_the_published_numbers_are_compared_with(h36m_files: Path) -> None:
    assert sum(human36m.PUBLISHED.frames.values()) == (1_559_752 + 543_344) // 4
    names = by_name(human36m.check(h36m_files))
    assert names["S1"].state == "suspicious"
    assert names["S9 + S11"].found == "expected 135,836 frames (got 1,180)"


Break = Callable[[Path, dict[str, dict[str, Any]]], None]


def write(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    np.savez(folder / "data_3d_h36m.npz", positions_3d=data)


def copied(data: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(own) for name, own in data.items()}


def drops_subject(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    write(folder, {name: own for name, own in data.items() if name != "S9"})


def drops_recording(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    data["S5"].pop("Walking 1")
    write(folder, data)


def in_millimetres(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    write(folder, {name: {key: 1000 * track for key, track in own.items()} for name, own in data.items()})


def with_gaps(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    data["S6"]["Walking"] = data["S6"]["Walking"].copy()
    data["S6"]["Walking"][3:9, 25] = np.nan
    write(folder, data)


def of_17_joints(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    data["S7"]["Walking"] = data["S7"]["Walking"][:, :17]
    write(folder, data)


def shuffled(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    data["S8"] = {key: track[:, ::-1] for key, track in data["S8"].items()}
    write(folder, data)


def cut_off(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    path = folder / "data_3d_h36m.npz"
    path.write_bytes(path.read_bytes()[:-500])


def of_something_else(folder: Path, data: dict[str, dict[str, Any]]) -> None:
    np.savez(folder / "data_3d_h36m.npz", positions=np.zeros(3))


@pytest.mark.parametrize(
    ("damage", "what", "state", "words"),
    [
        (drops_subject, "data_3d_h36m.npz", "missing", "no S9"),
        (drops_recording, "S5", "suspicious", "expected 30 recordings"),
        (in_millimetres, "S1", "suspicious", "they look like mm"),
        (with_gaps, "S6", "suspicious", "'Walking': 1.8 % of the joints are not a number"),
        (of_17_joints, "S7", "broken", r"'Walking': expected [frames, 32, 3] (got float32 [20, 17, 3])"),
        (shuffled, "S8", "suspicious", "differ"),
        (cut_off, "data_3d_h36m.npz", "broken", "damaged or cut off"),
        (of_something_else, "data_3d_h36m.npz", "broken", "positions_3d"),
    ],
)
def test_human36m_what_is_wrong_is_named(
    h36m: Path, h36m_data: dict[str, dict[str, Any]], damage: Break, what: str, state: str, words: str
) -> None:
    for path in h36m.glob("data_2d_*"):
        path.unlink()
    damage(h36m, copied(h36m_data))
    found = by_name(human36m.check(h36m))
    assert found[what].state == state
    assert words in found[what].found
    assert found[what].advice


def keypoints(folder: Path, data: dict[str, dict[str, Any]], change: Callable[[dict[str, Any]], None]) -> Finding:
    """What is said of the ground truth after a change."""
    data = {
        "S9": {"Walking": data["S9"]["Walking"], "Walking 1": data["S9"]["Walking 1"]},
        "S11": {"Walking": data["S11"]["Walking"]},
    }
    write(folder, data)
    flat = layouts.human36m_2d(data)
    change(flat)
    (folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz").unlink()
    np.savez(folder / "data_2d_h36m_gt.npz", positions_2d=flat, metadata=layouts.metadata())
    return by_name(human36m.check(folder))["data_2d_h36m_gt.npz"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda flat: flat["S9"].pop("Walking"), "no keypoints of S9 'Walking'"),
        (lambda flat: flat["S9"]["Walking"].pop(), "expected keypoints of 4 cameras (got 3)"),
        (lambda flat: flat["S9"]["Walking"].reverse(), "px from the joints as the cameras see them"),
        (
            lambda flat: flat["S9"].update(Walking=[one[:-1] for one in flat["S9"]["Walking"]]),
            "at least 20 frames (got 19)",
        ),
        (
            lambda flat: flat["S9"].update(Walking=[one[:, :16] for one in flat["S9"]["Walking"]]),
            "expected [frames, 17, 2]",
        ),
    ],
)
def test_human36m_keypoints_that_do_not_belong_to_the_positions_are_named(
    h36m: Path, h36m_data: dict[str, dict[str, Any]], change: Callable[[dict[str, Any]], None], words: str
) -> None:
    finding = keypoints(h36m, h36m_data, change)
    assert finding.state == "suspicious"
    assert words in finding.found


def test_human36m_a_detector_may_err_in_a_recording_and_not_in_a_camera(
    h36m: Path, h36m_data: dict[str, dict[str, Any]]
) -> None:
    data = {"S9": {key: h36m_data["S9"][key] for key in ("Walking", "Walking 1", "Eating")}}
    write(h36m, data)
    name = "data_2d_h36m_cpn_ft_h36m_dbb.npz"
    flat = layouts.human36m_2d(data, noise=5.0)
    flat["S9"]["Eating"] = [view + 200 for view in flat["S9"]["Eating"]]
    np.savez(h36m / name, positions_2d=flat)
    assert by_name(human36m.check(h36m))[name].state == "ok"
    flat = {"S9": {key: [views[1], views[0], *views[2:]] for key, views in flat["S9"].items()}}
    np.savez(h36m / name, positions_2d=flat)
    finding = by_name(human36m.check(h36m))[name]
    assert finding.state == "suspicious"
    assert "px from the joints as the cameras see them (expected at most 60)" in finding.found


def test_human36m_stacked_hourglass_is_compared_in_its_16_joints(
    h36m: Path, h36m_data: dict[str, dict[str, Any]]
) -> None:
    name = layouts.write_hourglass(h36m, h36m_data).name
    names = by_name(human36m.check(h36m))
    assert names[name].state == "ok"
    assert "209 recordings of 16 joints (Stacked Hourglass), 0.0 px from the joints" in names[name].found
    swapped = tuple(reversed(layouts.HOURGLASS))
    flat = {s: {a: [v[:, swapped] for v in views] for a, views in own.items()}
            for s, own in layouts.human36m_2d(h36m_data).items()}  # fmt: skip
    sides = [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]]
    np.savez(h36m / name, positions_2d=flat, metadata={"num_joints": 16, "keypoints_symmetry": sides})
    assert by_name(human36m.check(h36m))[name].state == "suspicious"


def test_keypoints_are_not_comparable_with_positions_that_cannot_be_read(
    h36m: Path, h36m_data: dict[str, dict[str, Any]]
) -> None:
    data = copied(h36m_data)
    of_17_joints(h36m, data)
    found = by_name(human36m.check(h36m))["data_2d_h36m_gt.npz"]
    assert found.state == "note" and found.found.endswith("; S7 not comparable without positions")
    cut_off(h36m, data)
    (h36m / "data_2d_h36m_cpn_ft_h36m_dbb.npz").write_bytes(b"PK")
    names = by_name(human36m.check(h36m))
    assert names["data_3d_h36m.npz"].state == "broken"
    found = names["data_2d_h36m_gt.npz"]
    assert found.state == "note" and "not comparable without positions" in found.found
    assert found.advice == "mend data_3d_h36m.npz"
    assert names["data_2d_h36m_cpn_ft_h36m_dbb.npz"].state == "broken"


def test_humaneva_the_published_detections_are_named_as_of_no_use(tmp_path: Path) -> None:
    layouts.write_humaneva(tmp_path, frames=20)
    name = "data_2d_humaneva15_detectron_pt_coco.npz"
    assert name not in by_name(humaneva.check(tmp_path)) and name not in humaneva.SOURCE.where
    flat = {"Train/S1": {"Walking 1 chunk0": [np.zeros((20, 17, 2), np.float32)] * 3}}
    sides = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]
    np.savez(tmp_path / name, positions_2d=flat, metadata=layouts.metadata("coco", 17, *sides))
    finding = by_name(humaneva.check(tmp_path))[name]
    assert finding.state == "note" and finding.found.endswith("cannot be used here: COCO joints")
    assert "again" not in finding.advice
    with pytest.raises(FormatError, match=r"15 joints of 'humaneva15'.*: take data_2d_humaneva15_gt\.npz$"):
        read_all(tmp_path / name)


def test_human36m_keypoints_alone_lack_their_positions(h36m: Path) -> None:
    (h36m / "data_3d_h36m.npz").unlink()
    [finding] = human36m.check(h36m)
    assert (finding.state, finding.what) == ("missing", "data_3d_h36m.npz")


def test_human36m_the_original_download_is_recognised(tmp_path: Path) -> None:
    assert human36m.check(tmp_path) == []
    folder = tmp_path / "S1" / "MyPoseFeatures" / "D3_Positions"
    folder.mkdir(parents=True)
    (folder / "Walking.cdf").write_bytes(b"")
    [finding] = human36m.check(tmp_path)
    assert "1 files of the original download" in finding.found
    assert "prepare_data_h36m.py" in finding.advice


def test_humaneva_as_published_lacks_only_what_the_fixture_lacks(tmp_path: Path) -> None:
    layouts.write_humaneva(tmp_path, frames=20)
    found = states(humaneva.check(tmp_path))
    assert found["data_3d_humaneva15.npz"] == "missing", "the fixture has no S3"
    assert found["Train/S1"] == found["Validate/S2"] == found["data_2d_humaneva15_gt.npz"] == "ok"


def test_humaneva_more_frames_than_were_recorded_are_suspicious(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts.write_humaneva(tmp_path, frames=20)
    short = dataclasses.replace(
        humaneva.PUBLISHED,
        recordings=dict.fromkeys(["Train/S1", "Train/S2", "Validate/S1", "Validate/S2"]),
        frames={("Train/S1",): 59, ("Train/S2",): 10_000},
    )
    monkeypatch.setattr(humaneva, "PUBLISHED", short)
    found = humaneva.check(tmp_path)
    [finding] = [f for f in found if f.state == "suspicious"]
    assert finding.what.strip() == "Train/S1"
    assert finding.found.endswith("expected at most 59 frames (got 60)")
    assert sum(humaneva._FRAMES["Train/S1"]) == 2268


@pytest.fixture
def expected_3dhp(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of the fixtures in place of the published ones."""
    monkeypatch.setattr(
        mpi_inf_3dhp, "_TRAINING", {f"S{s}/Seq{q}": (20, 50 if q == 2 else 25) for s in (1, 2) for q in (1, 2)}
    )
    monkeypatch.setattr(mpi_inf_3dhp, "_VALID", 6 * (20 - 7))


@pytest.mark.usefixtures("expected_3dhp")
def test_mpi_inf_3dhp_as_published_is_fine(tmp_path: Path) -> None:
    layouts.write_3dhp_train(tmp_path, frames=20)
    layouts.write_3dhp_test(tmp_path, frames=20)
    found = mpi_inf_3dhp.check(tmp_path)
    assert not faulty(found), [f for f in found if f.state != "ok"]
    names = by_name(found)
    assert names["S2/Seq2"].found.startswith("8 cameras, 20 frames at 50 fps, ")
    assert names["TS6"].found.startswith("20 frames, 13 valid, ")
    assert names["data_test_3dhp.npz"].found == "6 sequences, 78 valid frames"


def test_mpi_inf_3dhp_is_compared_with_the_published_numbers(tmp_path: Path) -> None:
    assert sum(frames for frames, _ in mpi_inf_3dhp._TRAINING.values()) == 131_592
    layouts.write_3dhp_train(tmp_path, frames=20)
    layouts.write_3dhp_test(tmp_path, frames=20)
    found = by_name(mpi_inf_3dhp.check(tmp_path))
    assert found["data_train_3dhp.npz"].found.startswith("no S3/Seq1, ")
    assert "expected 6,416 frames at 25 fps" in found["S1/Seq1"].found
    assert "expected 2,929 valid frames" in found["data_test_3dhp.npz"].found
    assert [found[name].state for name in ("data_train_3dhp.npz", "S1/Seq1", "data_test_3dhp.npz")] == [
        "missing", "suspicious", "suspicious"
    ]  # fmt: skip


@pytest.mark.usefixtures("expected_3dhp")
def test_mpi_inf_3dhp_as_downloaded_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py", reason="annot_data.mat of MATLAB 7.3 needs h5py")
    layouts.write_annot(tmp_path / "S1" / "Seq1" / "annot.mat", frames=20)
    found = by_name(mpi_inf_3dhp.check(tmp_path))
    assert found["S1/Seq1/annot.mat"].found.startswith("3 cameras, 20 frames, ")
    assert found["data_test_3dhp.npz"].state == "absent"
    total = 0
    for number in range(1, 7):
        data = layouts.annotations_of_test(number, wide=number > 4)
        total += int(data["valid_frame"].sum())
        layouts.write_annot_data(tmp_path / "mpi_inf_3dhp_test_set" / f"TS{number}" / "annot_data.mat", data)
    monkeypatch.setattr(mpi_inf_3dhp, "_VALID", total)
    found = by_name(mpi_inf_3dhp.check(tmp_path))
    assert found["annot_data.mat"].found == f"6 sequences, {total:,} valid frames"
    shutil.rmtree(tmp_path / "mpi_inf_3dhp_test_set" / "TS3")
    (tmp_path / "mpi_inf_3dhp_test_set" / "TS4" / "annot_data.mat").write_bytes(b"nothing")
    found = by_name(mpi_inf_3dhp.check(tmp_path))
    assert (found["annot_data.mat"].state, found["annot_data.mat"].found) == ("missing", "no TS3, TS4")
    assert found["TS4/annot_data.mat"].state == "broken"


def test_every_source_says_where_and_finds_nothing_in_an_empty_folder(tmp_path: Path) -> None:
    assert set(available()) == {"amass", "bandai_namco", "cmu", "human36m", "humaneva", "mpi_inf_3dhp"}
    for name, source in available().items():
        assert source.name == name
        assert 150 < len(source.where) < 900
        assert "\n" not in source.where
        assert source.licence.endswith((".", '"'))
        assert source.check(tmp_path) == []
        assert source.check(tmp_path / "absent") == []
    assert [name for name, source in available().items() if source.download] == ["cmu"]


def test_an_unknown_source_names_the_nearest() -> None:
    assert find_source("MPI-INF-3DHP").name == "mpi_inf_3dhp"
    with pytest.raises(ConfigError, match=r"unknown data set 'human3\.6m' \(did you mean 'human36m'"):
        find_source("human3.6m")
