"""The published benchmarks' files, from their layouts to the tables: actions, cameras, detections, annotations, valid frames."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats import published_layouts as published

from graphpose.config import EvaluateConfig
from graphpose.engine import Evaluation, evaluate
from graphpose.models import create, save
from graphpose.skeleton import Skeleton


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Human3.6M and MPI-INF-3DHP in their published layouts, and untrained weights with and without confidence."""
    path = tmp_path_factory.mktemp("published")
    published.write_human36m(path / "h36m", published.human36m(("S1", "S9"), ("Directions", "Walking"), frames=20))
    published.write_3dhp_test(path / "3dhp")
    skeleton = Skeleton.load("h36m17")
    for features, name in ((2, "plain"), (3, "sure")):
        model = create("mixste", skeleton, frames=9, in_features=features, channels=8, depth=1, heads=2)
        save(model, path / f"{name}.safetensors")
    return path


def evaluated(folder: Path, file: str, checkpoint: str = "plain", **settings: Any) -> Evaluation:
    data = {"paths": [str(folder / file)], "views": {"kind": "clip"}, "fps": None}
    split = {"split": {"by": "tag"}} if "h36m" in file else {}
    config = EvaluateConfig(accelerator="cpu", data={**data, **split}, **settings)
    return evaluate(folder / f"{checkpoint}.safetensors", config, progress=False)


def test_human36m_is_averaged_over_its_merged_actions(folder: Path) -> None:
    result = evaluated(folder, "h36m/data_2d_h36m_cpn_ft_h36m_dbb.npz", protocol="published")
    table = result.table()
    assert {clip.subject for clip in result.clips} == {"S9"} and list(table.by_action()) == ["Directions", "Walking"]
    means = [values["mpjpe"] for values in table.by_action().values()]
    assert table.overall()["mpjpe"] == pytest.approx(np.mean(means)) == table.action_average()["mpjpe"]
    recordings = {row.recording for row in table.rows}
    assert len(recordings) == 4 and len(table.rows) == 16, "four cameras of a take are one unit"
    assert result.measured["detections"] == ["cpn_ft_h36m_dbb"]
    assert "2D cpn_ft_h36m_dbb" in table.to_text().splitlines()[0]
    assert table.frames == 16 * 27, "20 frames in windows of 9: three, the last moved back"


def test_detections_and_projected_truth_are_told_apart(folder: Path) -> None:
    files = ("data_3d_h36m.npz", "data_2d_h36m_cpn_ft_h36m_dbb.npz")
    true, detected = (evaluated(folder, f"h36m/{name}") for name in files)
    assert true.measured["detections"] == ["projected"]
    assert true.dataset["fingerprint"] != detected.dataset["fingerprint"], "keypoints are part of the data"
    moved = [(a.x[..., :2] - b.x[..., :2]).std() for a, b in zip(true.clips, detected.clips, strict=True)]
    assert float(np.mean(moved)) == pytest.approx(4 * 2 / 1000, rel=0.1)  # 4 pixels of 1,000
    sure = evaluated(folder, f"h36m/{files[1]}", checkpoint="sure")
    assert sure.clips[0].x.shape[-1] == 3 and math.isfinite(sure.table().overall()["mpjpe"])


def test_valid_frames_of_mpi_inf_3dhp_are_measured_on_common_joints(folder: Path) -> None:
    result = evaluated(folder, "3dhp/data_test_3dhp.npz", common_joints=14, alignment="clip-scale")
    table = result.table()
    valid = sum(int(published.valid_frames(len(clip.predicted)).sum()) for clip in result.clips)
    assert 0 < table.frames == valid < sum(len(clip.predicted) for clip in result.clips)
    assert all(math.isfinite(table.overall()[metric]) for metric in ("mpjpe", "p_mpjpe", "mpjve", "pck", "auc"))
    assert len(table.by_joint()) == 14 and len(table.by_action()) == 6
    annotation = result.measured["annotation"]
    assert annotation in ("annot3", "univ_annot3")
    assert f"by action ({annotation}, alignment clip-scale, 14 common joints)" in table.to_text()
