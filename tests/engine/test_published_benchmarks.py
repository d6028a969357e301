"""The published files from disk to table: split by subject, 2D as published, merged actions, frames without truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from formats import published_layouts as published

from graphpose.config import DataConfig, ModelConfig, OptimConfig, RunConfig, SplitConfig, TrainConfig, ViewsConfig
from graphpose.datasets import PoseDataModule, prepare_clips
from graphpose.datasets.views import Views, view_clip
from graphpose.engine import evaluate, train
from graphpose.errors import DataError
from graphpose.formats._h36m_calibration import LENSES, PLACES

DETECTED = "data_2d_h36m_cpn_ft_h36m_dbb.npz"


@pytest.fixture(scope="module")
def h36m(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = published.human36m(actions=("Directions", "Sitting", "SittingDown"), frames=30)
    return published.write_human36m(tmp_path_factory.mktemp("h36m"), data).parent


def settings(path: Path, output: Path, skeleton: str = "h36m17", **split: object) -> TrainConfig:
    """The recipe's data settings with a model that is trained in a moment."""
    return TrainConfig(
        data=DataConfig(
            [str(path)],
            skeleton=skeleton,
            fps=None,
            frames=9,
            sampling="published",
            views=ViewsConfig("clip"),
            split=SplitConfig(**{"by": "subject", "test": ["S9", "S11"], "val": 0.2, **split}),  # type: ignore[arg-type]
            batch_size=8,
        ),
        model=ModelConfig("ktpformer", {"channels": 16, "depth": 1, "heads": 2}),
        optim=OptimConfig(),
        run=RunConfig(max_epochs=1, max_steps=3, accelerator="cpu", output=str(output)),
    )


@pytest.mark.parametrize("name", [DETECTED, "data_3d_h36m.npz"])
def test_human36m_from_file_to_table(h36m: Path, tmp_path: Path, name: str) -> None:
    config = settings(h36m / name, tmp_path / "run")
    train(config, progress=False)
    result = evaluate(tmp_path / "run" / "best.safetensors", progress=False)
    clips = [clip for clip in prepare_clips(config.data) if clip.subject in ("S9", "S11")]
    assert len(clips) == 4 * (6 + 5)
    table = result.table()
    assert table.frames == sum(len(clip) for clip in clips)
    assert set(table.by_subject()) == {"S9", "S11"}
    by_action = table.by_action()
    assert set(by_action) == {"Directions", "Sitting", "SittingDown"}  # sub-actions merged, SittingDown its own
    mean = np.mean([values["mpjpe"] for values in by_action.values()])
    assert table.action_average()["mpjpe"] == pytest.approx(mean) and 0 < mean < 2000
    assert "S11" in table.to_text() and "mean over actions" in table.to_text()


def test_stacked_hourglass_is_trained_on_and_evaluated_without_the_nose(h36m: Path, tmp_path: Path) -> None:
    data = published.human36m(actions=("Directions", "Sitting", "SittingDown"), frames=30)
    config = settings(published.write_hourglass(h36m, data), tmp_path / "run")
    views = view_clip(prepare_clips(config.data)[0], Views.from_config(config.data.views))
    nose = 9
    assert not views[0].visible[:, nose].any() and views[0].x[:, nose].abs().max() == 0
    assert int(views[0].visible.sum()) == 16 * len(views[0].x)
    train(config, progress=False)
    table = evaluate(tmp_path / "run" / "best.safetensors", progress=False).table()
    assert set(table.by_subject()) == {"S9", "S11"} and 0 < table.overall()["mpjpe"] < 2000


def test_fifteen_actions_average_in_the_table(tmp_path: Path) -> None:
    data = published.human36m(("S1", "S9"), published.ACTIONS, frames=9)
    path = published.write_human36m(tmp_path / "data", data)
    config = settings(path, tmp_path / "run", test=["S9"])
    train(config, progress=False)
    table = evaluate(tmp_path / "run" / "best.safetensors", progress=False).table()
    assert set(table.by_action()) == set(published.ACTIONS)


def test_input_and_target_are_the_published_ones(h36m: Path) -> None:
    """x = 2 u / w - [1, h / w] of the file's pixels; y = R (P - c) - root, from the file's z-up world."""
    data = published.human36m(actions=("Directions", "Sitting", "SittingDown"), frames=30)
    config = settings(h36m / "data_2d_h36m_gt.npz", h36m / "none").data
    flat = published.human36m_2d(data)
    for clip in prepare_clips(config):
        [view] = view_clip(clip, Views.from_config(config.views))
        camera = [lens[0] for lens in LENSES].index(clip.tags["camera"])
        _, width, height, *_ = LENSES[camera]
        pixels = flat[clip.subject][clip.tags["sub_action"]][camera]
        np.testing.assert_allclose(view.x[..., :2].numpy(), pixels / width * 2 - [1, height / width], atol=1e-5)
        points = data[clip.subject][clip.tags["sub_action"]][:, published.KEPT].astype(np.float64)
        local = published.to_camera(points, *PLACES[clip.subject][camera])
        np.testing.assert_allclose(view.y.numpy(), local - local[:, :1], atol=1e-5)
        np.testing.assert_allclose(view.root.numpy(), local[:, 0], atol=1e-5)


def test_validation_takes_all_cameras_of_a_recording(h36m: Path) -> None:
    for share, seed in ((0.1, 0), (0.3, 1), (0.5, 2)):
        module = PoseDataModule(settings(h36m / DETECTED, h36m / "none", val=share, seed=seed).data)
        module.setup()
        assert module.split is not None and module.split.val
        val = {clip.tags["recording"] for clip in module.split.val}
        assert len(module.split.val) == 4 * len(val)
        assert not val & {clip.tags["recording"] for clip in module.split.train}


def test_a_split_by_a_subject_that_is_not_there(h36m: Path) -> None:
    with pytest.raises(DataError, match=r"unknown subject in the split 'S8'.*choose from: S1, S11, S5, S9"):
        PoseDataModule(settings(h36m / DETECTED, h36m / "none", test=["S8"]).data).setup()


def test_3dhp_counts_valid_frames_only(tmp_path: Path) -> None:
    published.write_3dhp_train(tmp_path / "data", ("S1",), frames=30)
    published.write_3dhp_test(tmp_path / "data", frames=30)
    config = settings(tmp_path / "data", tmp_path / "run", "mpi_inf_3dhp17", by="tag", test=["test"])
    train(config, progress=False)
    result = evaluate(tmp_path / "run" / "best.safetensors", progress=False)
    table = result.table()
    lengths = [len(published.camera_space(8 + i, i, 30)) for i in range(6)]
    assert table.frames == sum(int(published.valid_frames(n).sum()) for n in lengths)
    assert set(table.by_action()) == {f"TS{i}" for i in range(1, 7)} and set(table.by_action()) == set(
        table.by_subject()
    )
    assert {"pck", "auc", "mpjpe"} <= set(table.by_action()["TS1"]) and not any(table.undefined.values())
    assert "univ_annot3" in table.to_text()


def test_frames_without_truth_are_not_trained_on(tmp_path: Path) -> None:
    published.write_3dhp_test(tmp_path, frames=30)
    config = settings(tmp_path, tmp_path / "run", "mpi_inf_3dhp17", test=["TS6"], val=["TS5"])
    with pytest.raises(DataError, match=r"clip 'TS1', frame 0: joint 'head_top' has no position"):
        PoseDataModule(config.data).setup()


def test_reader_options_choose_the_annotation(tmp_path: Path) -> None:
    path = published.write_annot_data(tmp_path / "TS1" / "annot_data.mat", published.annotations_of_test(14))
    config = DataConfig([str(path)], fps=None, reader_options={"annotation": "annot3"})
    [clip] = prepare_clips(config)
    assert clip.tags["annotation"] == "annot3"
    known = ~clip.missing.any(-1)
    expected = torch.from_numpy(published.camera_space(14, 0) / 1000).float()
    assert torch.allclose(clip.positions[known], expected[known], atol=1e-6)


def test_humaneva_by_part(tmp_path: Path) -> None:
    path = published.write_humaneva(tmp_path / "data", frames=30)
    config = settings(
        path.with_name("data_2d_humaneva15_gt.npz"), tmp_path / "run", "humaneva15", by="tag", test=["test"]
    )
    train(config, progress=False)
    table = evaluate(tmp_path / "run" / "best.safetensors", progress=False).table()
    assert set(table.by_subject()) == {"Validate/S1", "Validate/S2"} and set(table.by_action()) == {"Walking", "Jog"}
