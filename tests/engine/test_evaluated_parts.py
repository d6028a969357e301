"""A checkpoint is evaluated on the part of its data that was asked for, or on other data mapped to its skeleton."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from shared import shared_path

from graphpose.config import EvaluateConfig, TrainConfig
from graphpose.datasets import PoseDataModule, absolute_places
from graphpose.engine import Evaluation, SeenClipsWarning, evaluate
from graphpose.errors import CheckpointError, ConfigError, DataError, GraphposeError, SkeletonError
from graphpose.formats import write
from graphpose.models import create, save
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents(
    [-1, 0, 1, 0, 3],
    ["hip", "l_knee", "l_foot", "r_knee", "r_foot"],
    [("l_knee", "r_knee"), ("l_foot", "r_foot")],
    name="five",
)


def write_walkers(folder: Path, walkers: list[MotionClip]) -> Path:
    folder.mkdir()
    for clip in walkers:
        write(clip, folder / f"{clip.name}.npz")
    return folder


def checkpoint(folder: Path, skeleton: Skeleton, data: dict[str, object]) -> Path:
    """Untrained weights, with the configuration of a training on `data`."""
    model = create("mixste", skeleton, frames=9, channels=8, depth=1, heads=2)
    config = TrainConfig.from_dict({"data": {"frames": 9, "views": {"azimuths": [30.0]}, **data}})
    return save(model, folder / "model.safetensors", config=config.to_dict(), data_statement="made up")


@pytest.fixture
def split_by_subject(tmp_path: Path, walkers: list[MotionClip]) -> Path:
    data = write_walkers(tmp_path / "data", walkers)
    return checkpoint(tmp_path, FIVE, {"paths": [str(data)], "split": {"by": "subject", "test": ["C"], "val": ["B"]}})


def subjects(result: Evaluation) -> set[str | None]:
    return {clip.subject for clip in result.clips}


def quick(path: Path, **settings: object) -> Evaluation:
    config = EvaluateConfig(**{"accelerator": "cpu", **settings})  # type: ignore[arg-type]
    return evaluate(path, config, progress=False)


def test_the_test_part_is_the_default(split_by_subject: Path) -> None:
    result = quick(split_by_subject)
    assert (subjects(result), result.info["part"]) == ({"C"}, "test")
    assert subjects(quick(split_by_subject, part="val")) == {"B"}
    assert subjects(quick(split_by_subject, part="train")) == {"A"}
    assert subjects(quick(split_by_subject, part="all")) == {"A", "B", "C"}
    assert result.info["model"] == "mixste" and result.info["trained_on"] == "made up"
    assert len(result.clips) == 2  # one camera, as in the training
    assert len(quick(split_by_subject, data={"views": {"azimuths": [0.0, 90.0, 180.0]}}).clips) == 6


def test_the_same_data_by_another_path_keep_their_split(
    split_by_subject: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(split_by_subject.parent)
    assert subjects(quick(split_by_subject, data={"paths": ["data"]})) == {"C"}


def test_foreign_data_are_evaluated_whole(split_by_subject: Path, walkers: list[MotionClip], tmp_path: Path) -> None:
    foreign = str(write_walkers(tmp_path / "foreign", [clip.replace(subject="Z") for clip in walkers[:2]]))
    result = quick(split_by_subject, data={"paths": [foreign]})
    assert (subjects(result), result.info["part"]) == ({"Z"}, "all")
    with pytest.raises(DataError, match="unknown subject in the split 'C'"):
        quick(split_by_subject, data={"paths": [foreign]}, part="test")
    chosen = quick(split_by_subject, data={"paths": [foreign], "split": {"by": "action", "test": ["walk"], "val": 0.0}})
    assert {clip.action for clip in chosen.clips} == {"walk"}


def test_a_part_that_does_not_exist_is_refused(split_by_subject: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown part 'tset' \(did you mean 'test'\?\)"):
        quick(split_by_subject, part="tset")
    with pytest.raises(DataError, match="no clips for part 'val'"):
        quick(split_by_subject, part="val", data={"split": {"val": []}})


def test_clips_that_carry_their_part_need_no_names_in_the_split(tmp_path: Path, walkers: list[MotionClip]) -> None:
    tagged = [clip.replace(tags={"split": "test" if i < 2 else "train"}) for i, clip in enumerate(walkers)]
    write(tagged, tmp_path / "clips.npz")
    path = checkpoint(tmp_path, FIVE, {"paths": [str(tmp_path / "clips.npz")], "split": {"by": "tag", "val": 0.0}})
    result = quick(path)
    assert result.info["part"] == "test"
    assert {clip.name for clip in result.clips} == {"walk0", "walk1"}


def test_clips_on_another_skeleton_are_mapped_to_the_models(tmp_path: Path, repository: Path) -> None:
    path = checkpoint(tmp_path, Skeleton.load("h36m17"), {"paths": ["elsewhere"]})
    result = quick(path, data={"paths": [str(repository / "data" / "samples" / "walk.bvh")]})
    assert result.skeleton.name == "h36m17"
    assert result.clips[0].target.shape[1:] == (17, 3)
    assert math.isfinite(result.table().overall()["mpjpe"])
    with pytest.raises(SkeletonError, match="no mapping from skeleton 'panda7' to 'h36m17'"):
        arm = MotionClip(Skeleton.load("panda7"), 30.0, positions=torch.rand(9, len(Skeleton.load("panda7")), 3))
        write(arm, tmp_path / "arm.npz")
        quick(path, data={"paths": [str(tmp_path / "arm.npz")]})


def test_recorded_motion_of_another_skeleton_is_mapped(tmp_path: Path) -> None:
    recording = sorted(shared_path("mocap/bandai-namco").rglob("*.bvh"))[0]
    path = checkpoint(tmp_path, Skeleton.load("h36m17"), {"paths": ["elsewhere"]})
    result = quick(path, data={"paths": [str(recording)]})
    assert math.isfinite(result.table().overall()["mpjpe"])


def test_a_damaged_training_configuration_is_the_checkpoints_fault(tmp_path: Path) -> None:
    model = create("mixste", FIVE, frames=3, channels=8, depth=1, heads=2)
    path = save(model, tmp_path / "model.safetensors", config={"data": {"framez": 3}})
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged.*did you mean 'frames'"):
        quick(path)
    bare = save(model, tmp_path / "bare.safetensors")
    with pytest.raises(GraphposeError, match=r"bare\.safetensors: no training data are recorded.*--data"):
        quick(bare)


def trained(folder: Path, data: Path | str, split: dict[str, object] | None = None, **more: object) -> Path:
    """Untrained weights with the header that a training on `data` leaves."""
    settings = {"paths": [str(data)], "frames": 9, "split": split or {"test": ["C"], "val": ["B"]}, **more}
    config = TrainConfig.from_dict({"data": {"views": {"azimuths": [30.0]}, **settings}})
    kept = TrainConfig(data=absolute_places(config.data))
    statement = json.dumps(PoseDataModule(config.data).data_statement())
    model = create("mixste", FIVE, frames=9, channels=8, depth=1, heads=2)
    return save(model, folder / "trained.safetensors", config=kept.to_dict(), data_statement=statement)


def test_clips_of_the_training_are_known_again_by_another_path(tmp_path: Path, walkers: list[MotionClip]) -> None:
    """A copy of the folder, and one file of it, are no new motion; the clips held out are."""
    data = write_walkers(tmp_path / "data", walkers)
    path = trained(tmp_path, data)
    copy = Path(shutil.copytree(data, tmp_path / "copy"))
    (copy / "walk0.npz").rename(copy / "another_name.npz")
    advice = r"--part test evaluates only the clips held out \(subject C\)"
    with pytest.warns(SeenClipsWarning, match=rf"^2 of 6 clips were trained on and 2 of 6 clips chose .*{advice}"):
        result = quick(path, data={"paths": [str(copy)]})
    assert result.info["part"] == "all"
    result.save(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["seen_in_training"] == {"clips": 6, "trained_on": 2, "validated_on": 2}
    with pytest.warns(SeenClipsWarning, match=r"^1 of 1 clips were trained on, .*give --data with clips that were not"):
        quick(path, data={"paths": [str(data / "walk0.npz")]})
    with pytest.warns(SeenClipsWarning, match=r"^1 of 1 clips chose the weights"):
        quick(path, data={"paths": [str(data / "walk1.npz")]})
    held_out = quick(path, data={"paths": [str(data / "walk2.npz")]})
    assert held_out.info["seen_in_training"] == {"clips": 1, "trained_on": 0, "validated_on": 0}
    assert subjects(quick(path, data={"paths": [str(copy)]}, part="test")) == {"C"}
    assert quick(path, part="train").info["seen_in_training"]["trained_on"] == 2, "asked for, so nothing is said"


def test_a_link_to_the_data_of_the_training_keeps_their_split(tmp_path: Path, walkers: list[MotionClip]) -> None:
    path = trained(tmp_path, write_walkers(tmp_path / "data", walkers))
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert subjects(quick(path, data={"paths": [str(tmp_path / "link")]})) == {"C"}


def test_a_training_without_test_clips_is_evaluated_with_a_warning(tmp_path: Path, walkers: list[MotionClip]) -> None:
    path = trained(tmp_path, write_walkers(tmp_path / "data", walkers[:1]), {"val": 0.25})
    with pytest.warns(SeenClipsWarning, match=r"^1 of 1 clips were trained on"):  # its head; the tail validated
        quick(path)


def test_a_checkpoint_that_does_not_say_what_it_was_trained_on_warns_of_nothing(split_by_subject: Path) -> None:
    assert quick(split_by_subject, part="all").info["seen_in_training"] is None


def test_a_run_is_evaluated_from_any_folder(
    tmp_path: Path, walkers: list[MotionClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_walkers(tmp_path / "data", walkers)
    monkeypatch.chdir(tmp_path)
    path = trained(tmp_path, "data")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert subjects(quick(path)) == {"C"}


def test_data_that_are_not_here_name_the_option(tmp_path: Path, walkers: list[MotionClip]) -> None:
    data = write_walkers(tmp_path / "data", walkers)
    same = {"source": "five", "target": "five", "joints": {joint: joint for joint in FIVE.joints}}
    (tmp_path / "same.yaml").write_text(yaml.safe_dump(same))
    FIVE.save(tmp_path / "five.yaml")
    path = trained(tmp_path, data, mapping=str(tmp_path / "same.yaml"), skeleton=str(tmp_path / "five.yaml"))
    (tmp_path / "five.yaml").unlink()  # the model brings its skeleton
    assert subjects(quick(path)) == {"C"}
    (tmp_path / "same.yaml").rename(tmp_path / "moved.yaml")
    with pytest.raises(DataError, match=r"trained\.safetensors: the joint mapping .*same\.yaml.*give --data\.mapping"):
        quick(path)
    assert subjects(quick(path, data={"mapping": str(tmp_path / "moved.yaml")})) == {"C"}
    data.rename(tmp_path / "moved")
    with pytest.raises(
        DataError, match=r"trained\.safetensors: the clips of its training .*data: no.*give --data FILE"
    ):
        quick(path, data={"mapping": None})
    with pytest.warns(SeenClipsWarning):
        quick(path, data={"paths": [str(tmp_path / "moved")], "mapping": None})


def test_the_length_of_the_model_cannot_be_changed(split_by_subject: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"data\.frames: .*lifts windows of 9 frames \(got 27\); .*leave data\.frames out"
    ):
        quick(split_by_subject, data={"frames": 27})
    assert subjects(quick(split_by_subject, data={"frames": 9})) == {"C"}


def test_settings_of_the_model_and_of_training_are_not_passed_over(split_by_subject: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"data\.confidence: .*trained without .*\(got True\).*leave data\.confidence"
    ):
        quick(split_by_subject, data={"confidence": True})
    with pytest.raises(ConfigError, match=r"data\.noise: .*training only \(got 0\.02\); --keypoint_noise 0\.02"):
        quick(split_by_subject, data={"noise": 0.02})
    with pytest.raises(ConfigError, match=r"data\.missing: .*training only \(got 0\.1\).*--keypoint_noise"):
        quick(split_by_subject, data={"missing": 0.1})
    assert subjects(quick(split_by_subject, data={"confidence": False, "noise": 0.0, "missing": 0.0})) == {"C"}
