"""A checkpoint that is bound to no skeleton and no length is evaluated and used on others; one that is bound says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from graphpose.cli.main import main
from graphpose.config import EvaluateConfig, TrainConfig
from graphpose.engine import Evaluation, evaluate, predict, predict_clip, predict_file
from graphpose.engine.windowed_lifting import lift_clips
from graphpose.errors import ConfigError, DataError, SkeletonError
from graphpose.formats import read, write
from graphpose.models import Lifter, create, load, save
from graphpose.models.lifter import LifterConfig
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents(
    [-1, 0, 1, 0, 3],
    ["hip", "l_knee", "l_foot", "r_knee", "r_foot"],
    [("l_knee", "r_knee"), ("l_foot", "r_foot")],
    name="five",
)
LEGS = Skeleton.from_parents([-1, 0, 0], ["hip", "l_knee", "r_knee"], [("l_knee", "r_knee")], name="legs")
FRAMES = 9


class Told(Lifter):
    """Lifts to zeros, and remembers the lengths that it was given."""

    def __init__(self, *, bound: bool, whole: bool) -> None:
        super().__init__(FIVE, LifterConfig(frames=FRAMES))
        self.bound_to_frames, self.whole_clips = bound, whole
        self.lengths: list[int] = []

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        self.lengths.append(x.shape[1])
        return torch.zeros(*x.shape[:3], 3)


def weights(folder: Path, name: str, data: dict[str, object]) -> Path:
    torch.manual_seed(0)
    model = create(name, FIVE, frames=FRAMES, channels=8, depth=1, heads=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    config = TrainConfig.from_dict({"data": {"frames": FRAMES, "views": {"azimuths": [30.0]}, **data}})
    return save(model, folder / f"{name}.safetensors", config=config.to_dict(), data_statement="made up")


@pytest.fixture
def data(tmp_path: Path, walkers: list[MotionClip]) -> Path:
    (tmp_path / "data").mkdir()
    for clip in walkers[:2]:
        write(clip, tmp_path / "data" / f"{clip.name}.npz")
    return tmp_path / "data"


@pytest.fixture
def free(tmp_path: Path, data: Path) -> Path:
    return weights(tmp_path, "ktpformer_index_free", {"paths": [str(data)]})


def quick(path: Path, **settings: object) -> Evaluation:
    config = EvaluateConfig(**{"accelerator": "cpu", **settings})  # type: ignore[arg-type]
    return evaluate(path, config, progress=False)


@pytest.mark.parametrize("length", [1, 5, 9, 20])
def test_windows_of_models_by_what_they_are_bound_to(length: int) -> None:
    x = torch.zeros(2, length, 5, 2)
    for bound, whole, expected in (
        (True, False, FRAMES),
        (False, False, min(length, FRAMES)),
        (False, True, length),
    ):
        model = Told(bound=bound, whole=whole)
        assert lift_clips(model, x).shape == (2, length, 5, 3)
        assert set(model.lengths) == {expected}


def test_a_short_clip_is_lifted_as_it_is(free: Path) -> None:
    model = load(free)
    x = torch.randn(1, 4, 5, 2)
    with torch.inference_mode():
        torch.testing.assert_close(lift_clips(model, x, flip=False), model.lift(x), rtol=1e-5, atol=1e-6)


def test_other_numbers_for_the_joints_change_no_figure(free: Path, tmp_path: Path) -> None:
    FIVE.reordered([FIVE.joints[i] for i in (2, 0, 4, 1, 3)], name="twisted").save(tmp_path / "twisted.yaml")
    own = quick(free)
    twisted = quick(free, data={"skeleton": str(tmp_path / "twisted.yaml")})
    assert (own.skeleton.name, twisted.skeleton.name) == ("five", "twisted")
    for name, value in own.table().overall().items():
        assert twisted.table().overall()[name] == pytest.approx(value, rel=1e-3, abs=1e-3), name


def test_another_skeleton_is_lifted_as_itself(free: Path, tmp_path: Path) -> None:
    LEGS.save(tmp_path / "legs.yaml")
    result = quick(free, data={"skeleton": str(tmp_path / "legs.yaml")}, flip=False)
    assert result.skeleton == LEGS and result.measured["skeleton"] == "legs"
    assert result.info["config"]["data"]["skeleton"] == str(tmp_path / "legs.yaml")
    first = result.clips[0]
    with torch.inference_mode():
        expected = load(free).on(LEGS).lift(first.x[None, :FRAMES, :, :2])[0]
    torch.testing.assert_close(first.predicted[:FRAMES], expected, rtol=1e-4, atol=1e-5)


def test_the_skeleton_of_the_training_needs_no_mapping(free: Path, tmp_path: Path) -> None:
    FIVE.save(tmp_path / "same.yaml")
    assert quick(free, data={"skeleton": str(tmp_path / "same.yaml")}).skeleton == FIVE
    bound = weights(tmp_path, "ktpformer", {"paths": [str(tmp_path / "data")]})
    assert quick(bound, data={"skeleton": str(tmp_path / "same.yaml")}).skeleton == FIVE


def test_the_mapping_of_the_training_does_not_lead_to_another_skeleton(
    data: Path, tmp_path: Path, walkers: list[MotionClip]
) -> None:
    LEGS.save(tmp_path / "legs.yaml")
    gone = {"paths": [str(data)], "mapping": str(tmp_path / "gone.yaml")}
    path = weights(tmp_path, "ktpformer_index_free", gone)
    assert quick(path, data={"skeleton": str(tmp_path / "legs.yaml")}).skeleton == LEGS
    with pytest.raises(DataError, match="the joint mapping of its training is not here"):
        quick(path)
    with pytest.raises(SkeletonError, match="no mapping from skeleton 'five' to 'hand21'"):
        quick(path, data={"skeleton": "hand21"})


def test_a_bound_model_refuses_another_skeleton(data: Path, tmp_path: Path) -> None:
    LEGS.save(tmp_path / "legs.yaml")
    path = weights(tmp_path, "ktpformer", {"paths": [str(data)]})
    with pytest.raises(ConfigError, match=r"data\.skeleton: .*each joint of 'five' .*'legs'.*index_free=True"):
        quick(path, data={"skeleton": str(tmp_path / "legs.yaml")})


def test_windows_of_another_length(free: Path, tmp_path: Path, data: Path) -> None:
    result = quick(free, data={"frames": 25}, flip=False)
    first = result.clips[0]
    with torch.inference_mode():
        expected = load(free).lift(first.x[None, :25, :, :2])[0]
    torch.testing.assert_close(first.predicted[:25], expected, rtol=1e-4, atol=1e-5)
    bound = weights(tmp_path, "ktpformer", {"paths": [str(data)]})
    with pytest.raises(ConfigError, match=r"data\.frames: .* lifts windows of 9 frames \(got 25\)"):
        quick(bound, data={"frames": 25})


def test_predictions_on_another_skeleton(free: Path, tmp_path: Path) -> None:
    model, hand = load(free), Skeleton.load("hand21")
    x = 0.1 * torch.randn(20, 21, 2)
    lifted = predict_clip(model, MotionClip(hand, 30.0, keypoints=x, name="wave"))
    assert lifted.skeleton == hand and lifted.positions is not None and lifted.positions.shape == (20, 21, 3)
    torch.testing.assert_close(predict(model.on(hand), x), lifted.positions)
    np.savez(tmp_path / "hand.npz", keypoints=x.numpy(), fps=30.0)
    found = predict_file(free, tmp_path / "hand.npz", tmp_path / "out.npz", skeleton="hand21", accelerator="cpu")
    assert found.skeleton == hand
    with pytest.raises(DataError, match=r"expected keypoints \[T, 5, 2 or 3\] on skeleton 'five'.*model\.on"):
        predict(model, x)


def test_a_clip_is_mapped_to_the_skeleton_of_the_training_on_request(free: Path, tmp_path: Path, data: Path) -> None:
    more = Skeleton.from_parents([-1, 0, 1, 0, 3, 0], [*FIVE.joints, "head"], FIVE.pairs, name="more")
    clip = MotionClip(more, 30.0, keypoints=0.1 * torch.randn(12, 6, 2), name="walk")
    model, bound = load(free), load(weights(tmp_path, "ktpformer", {"paths": [str(data)]}))
    assert predict_clip(model, clip).skeleton == more
    mapped = predict_clip(model, clip, mapped=True)
    assert mapped.skeleton == FIVE and clip.keypoints is not None
    torch.testing.assert_close(mapped.positions, predict(model, clip.keypoints[:, :5]))
    assert predict_clip(bound, clip).skeleton == FIVE
    with pytest.raises(ConfigError, match="each joint of 'five'"):
        predict_clip(bound, clip, mapped=False)


def test_the_command_line(free: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LEGS.save(tmp_path / "legs.yaml")
    data = ["--data", str(tmp_path / "data"), "--data.skeleton", str(tmp_path / "legs.yaml"), "--data.frames", "5"]
    assert main(["evaluate", str(free), *data, "--accelerator", "cpu"]) == 0
    assert "all 3 of legs" in capsys.readouterr().out
    keypoints = torch.randn(12, 3, 2).numpy()
    np.savez(tmp_path / "in.npz", keypoints=keypoints, joints=LEGS.joints, parents=LEGS.parents, fps=30.0)
    assert main(["predict", str(free), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]) == 0
    written = read(tmp_path / "out.npz")
    assert written.skeleton.joints == LEGS.joints and written.positions is not None
    assert written.positions.shape == (12, 3, 3) and written.positions.isfinite().all()
