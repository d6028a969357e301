"""A model that is solved at once leaves the run folder of any training, and is the same whatever the optimiser is told."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.linear_model import Ridge

import graphpose
from graphpose.analysis import read_history
from graphpose.cli.main import main
from graphpose.config import DataConfig, TrainConfig
from graphpose.datasets import PoseDataModule, Views, flip_points, prepare_store, view_clip
from graphpose.engine import closed_form, evaluate_clips, train
from graphpose.errors import ConfigError, DataError
from graphpose.formats import write
from graphpose.models.ridge import RidgeRegression
from graphpose.motion import MotionClip

Config = Callable[..., TrainConfig]
AZIMUTHS = (30.0, 200.0)


@pytest.fixture
def ridge_config(small_config: Config) -> Config:
    """A configuration of a ridge regression."""

    def make(**changes: Any) -> TrainConfig:
        return small_config(**{"model__name": "ridge", "model__options": {"alpha": 0.5}, **changes})

    return make


def frames_of(clips: list[MotionClip], subject: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Every frame of every view of a subject's clips, `[n, 5, 2]` and `[n, 5, 3]`."""
    seen = [
        one for clip in clips if clip.subject == subject for one in view_clip(clip, Views("static", azimuths=AZIMUTHS))
    ]
    return torch.cat([one.x[..., :2] for one in seen]), torch.cat([one.y for one in seen if one.y is not None])


def expected_lift(x: torch.Tensor, y: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    fitted = Ridge(alpha=0.5).fit(x.double().flatten(1).numpy(), y.double().flatten(1).numpy())
    return torch.from_numpy(fitted.predict(of.double().flatten(1).numpy())).unflatten(1, (-1, 3)).float()


@pytest.mark.parametrize("sampling", ["random", "grid", "published"])
@pytest.mark.parametrize("flip", [False, True])
def test_each_training_frame_counts_once_however_windows_are_placed(
    walkers: list[MotionClip], ridge_config: Config, sampling: str, flip: bool
) -> None:
    """Clips of 40 and 70 frames in windows of 9: padded frames would count double."""
    result = train(ridge_config(data__sampling=sampling, data__flip=flip), clips=walkers, progress=False)
    x, y = frames_of(walkers, "A")
    lifted = graphpose.load(result.best).lift(x[None])[0]
    mirror = torch.from_numpy(walkers[0].skeleton.mirror.copy())
    if flip:
        x, y = torch.cat([x, flip_points(x, mirror)]), torch.cat([y, flip_points(y, mirror)])
    torch.testing.assert_close(lifted, expected_lift(x, y, x)[: len(lifted)], rtol=1e-4, atol=1e-5)


def test_the_folder_is_that_of_any_training(walkers: list[MotionClip], ridge_config: Config) -> None:
    result = train(ridge_config(), clips=walkers, progress=False)
    assert result.steps == 0 and result.main_process and not result.at_end
    assert TrainConfig.from_yaml(result.folder / "config.yaml") == ridge_config()
    metadata = graphpose.models.read_metadata(result.last)
    assert metadata["model"] == "ridge" and metadata["config"]["model"]["options"] == {"alpha": 0.5}
    assert '"subjects": ["A"]' in metadata["data_statement"]
    logged = read_history(result.folder / "logs" / "version_0")
    assert {key: logged[0][key] for key in result.metrics} == pytest.approx(result.metrics)
    assert list(result.folder.glob("logs/version_0/events*"))
    assert not (result.folder / "last.ckpt").exists()
    best, last = (graphpose.load(path).state_dict() for path in (result.best, result.last))
    assert best.keys() == last.keys() and all(torch.equal(best[key], last[key]) for key in best)


def test_figures_are_millimetres_of_the_frames_they_name(walkers: list[MotionClip], ridge_config: Config) -> None:
    result = train(ridge_config(), clips=walkers, progress=False)
    model = graphpose.load(result.best)
    x, y = frames_of(walkers, "A")
    error = 1000 * float((model.lift(x[None])[0] - y).norm(dim=-1).mean().detach())
    assert result.metrics["train/mpjpe"] == pytest.approx(error, rel=1e-4)  # mirror images have mirrored errors
    own = [clip for clip in walkers if clip.subject == "B"]
    table = evaluate_clips(model, own, views=Views("static", azimuths=AZIMUTHS), flip=False, progress=False).table()
    assert result.metrics["val/mpjpe"] == pytest.approx(table.overall()["mpjpe"], rel=1e-4)
    assert graphpose.models.read_metadata(result.best)["metrics"]["val/mpjpe"] == result.metrics["val/mpjpe"]


def test_training_twice_gives_the_same_weights_whatever_the_optimiser_is_told(
    walkers: list[MotionClip], ridge_config: Config, tmp_path: Path
) -> None:
    told = [{}, {}, {"optim__lr": 1.0, "run__max_epochs": 7, "data__batch_size": 3, "run__seed": 5, "data__workers": 1}]
    runs = [
        train(ridge_config(run__output=str(tmp_path / str(i)), **changes), clips=walkers, progress=False)
        for i, changes in enumerate(told)
    ]
    weights = [graphpose.load(run.last).state_dict() for run in runs]
    for other in weights[1:]:
        assert all(torch.equal(weights[0][key], other[key]) for key in other)


def test_clips_of_a_store_give_the_same_weights(
    walkers: list[MotionClip], ridge_config: Config, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    paths = [str(write(clip, tmp_path / "files" / f"{clip.name}.npz").parent) for clip in walkers][:1]
    prepare_store(DataConfig(paths=paths), tmp_path / "store")
    runs = [
        train(ridge_config(data__paths=[path], run__output=f"{path}_run"), progress=False)
        for path in (paths[0], str(tmp_path / "store"))
    ]
    one, other = (graphpose.load(run.last).state_dict() for run in runs)
    assert all(torch.equal(one[key], other[key]) for key in one) and runs[0].metrics == runs[1].metrics


def test_noise_and_missing_keypoints_are_trained_on(
    walkers: list[MotionClip], ridge_config: Config, tmp_path: Path
) -> None:
    """Keypoints that are told less about make the best weights smaller."""
    sizes = [
        float(graphpose.load(train(config, clips=walkers, progress=False).last).weight.norm().detach())  # type: ignore[union-attr]
        for config in (
            ridge_config(run__output=str(tmp_path / "plain"), model__options={"alpha": 1e-6}),
            ridge_config(run__output=str(tmp_path / "noisy"), model__options={"alpha": 1e-6}, data__noise=0.05),
            ridge_config(run__output=str(tmp_path / "holes"), model__options={"alpha": 1e-6}, data__missing=0.3),
        )
    ]
    assert max(sizes[1:]) < 0.5 * sizes[0]


def test_a_solved_run_says_that_there_is_nothing_to_go_on_with(
    walkers: list[MotionClip], ridge_config: Config, small_config: Config
) -> None:
    result = train(ridge_config(), clips=walkers, progress=False)
    before = result.last.stat().st_mtime_ns
    for resume in (result.folder, result.folder / "last.ckpt"):
        again = train(ridge_config(), resume=resume, clips=walkers, progress=False)
        assert "nothing to go on with" in again.at_end and "ridge is solved at once" in again.at_end
        assert again.folder == result.folder and again.last == result.last
        assert again.metrics["val/mpjpe"] == result.metrics["val/mpjpe"]
    for config in (ridge_config(), small_config()):
        with pytest.raises(ConfigError, match=r"holds a run already: give another run\.output"):
            train(config, clips=walkers, progress=False)
    assert result.last.stat().st_mtime_ns == before


def test_ctrl_c_writes_nothing(
    walkers: list[MotionClip], ridge_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: RidgeRegression, x: torch.Tensor, y: torch.Tensor) -> None:
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
        try:
            signal.raise_signal(signal.SIGINT)  # to this thread, now
        finally:
            signal.signal(signal.SIGINT, previous)

    monkeypatch.setattr(RidgeRegression, "fit", interrupted)
    config = ridge_config()
    with pytest.raises(KeyboardInterrupt, match=r"interrupted; nothing was written to .*run"):
        train(config, clips=walkers, progress=False)
    assert not Path(config.run.output).exists()


@pytest.mark.parametrize("name", ["devices", "nodes"])
def test_several_processes_are_refused(walkers: list[MotionClip], ridge_config: Config, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"run\.{name}: .* one process, expected 1 \(got 2\)"):
        train(ridge_config(**{f"run__{name}": 2}), clips=walkers, progress=False)


def test_clips_without_3d_cannot_be_fitted(walkers: list[MotionClip], ridge_config: Config) -> None:
    flat = [clip.replace(positions=None, keypoints=clip.positions[..., :2] / 5) for clip in walkers]
    with pytest.raises(DataError, match="expected training clips with 3D positions"):
        train(ridge_config(data__views={"kind": "clip"}), clips=flat, progress=False)


def test_settings_without_effect_are_told(
    walkers: list[MotionClip], ridge_config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "graphpose.engine.closed_form"):
        train(ridge_config(), clips=walkers, progress=False)
    assert "solved in closed form: of optim and run only seed and output have an effect" in caplog.text


def test_without_validation_clips_or_pairs(walkers: list[MotionClip], ridge_config: Config) -> None:
    bare = graphpose.Skeleton.from_parents(walkers[0].skeleton.parents, walkers[0].skeleton.joints, name="bare")
    clips = [clip.replace(skeleton=bare) for clip in walkers]
    result = train(ridge_config(data__split={"test": ["C"], "val": 0.0}), clips=clips, progress=False)
    assert list(result.metrics) == ["train/mpjpe"]


def test_the_progress_of_reading_is_shown(
    walkers: list[MotionClip], ridge_config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    train(ridge_config(), clips=walkers, progress=True)
    assert "reading: 100%" in capsys.readouterr().err


def test_models_that_are_trained_are_not_taken_for_solved(walkers: list[MotionClip], small_config: Config) -> None:
    result = train(small_config(run__max_epochs=1), clips=walkers, progress=False)
    assert result.steps > 0 and closed_form.already_solved(result.folder) is None
    (result.folder / "last.ckpt").unlink()
    assert closed_form.already_solved(result.folder) is None


def test_the_commands_of_a_ridge_regression(
    walkers: list[MotionClip], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write(walkers, tmp_path / "clips.npz")
    out = tmp_path / "out"
    words = ["--config", "cmu_lift_ridge", "--data", str(archive), "--output", str(out)]
    own = ["--data.skeleton", "null", "--data.split.by", "subject", "--data.split.test", '["C"]']
    assert main(["train", *words, *own]) == 0
    assert f"run folder: {out} (train/mpjpe" in capsys.readouterr().out
    assert main(["train", "--resume", str(out)]) == 0
    assert "nothing to go on with, ridge is solved at once" in capsys.readouterr().out
    assert main(["evaluate", str(out / "best.safetensors"), "--report", str(tmp_path / "report.html")]) == 0
    assert "MPJPE" in capsys.readouterr().out
    assert (tmp_path / "report.html").stat().st_size > 0


def test_a_data_module_is_left_as_it_was(walkers: list[MotionClip], ridge_config: Config, tmp_path: Path) -> None:
    config = ridge_config()
    data = PoseDataModule(config.data, clips=walkers)
    data.setup()
    model = graphpose.models.create("ridge", data.skeleton, 9)
    closed_form.solve(model, config, data, tmp_path / "own", progress=False)
    assert data.windows["train"].sampling == config.data.sampling and data.config == config.data
