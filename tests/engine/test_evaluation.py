"""Evaluation gives the figures that can be worked out by hand, counts what its protocols say, and writes what can be read again."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import graphpose
from graphpose.datasets import Views
from graphpose.engine import Evaluation, evaluate_clips
from graphpose.errors import ConfigError, DataError
from graphpose.formats import read_all
from graphpose.models import Lifter, create
from graphpose.models.lifter import LifterConfig
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

FIVE = Skeleton.from_parents(
    [-1, 0, 1, 0, 3],
    ["hip", "l_knee", "l_foot", "r_knee", "r_foot"],
    [("l_knee", "r_knee"), ("l_foot", "r_foot")],
    name="five",
)
PLAIN = Skeleton.from_parents([-1, 0, 1, 0, 3], FIVE.joints, name="plain")
FLAT = torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [0.3, 0.4, 0], [-0.3, 0, 0], [-0.3, 0.4, 0]])
CHIRAL = torch.tensor([[0.0, 0, 0], [0.3, 0.1, 0], [0.3, 0.4, 0.3], [-0.2, 0, 0.1], [-0.1, 0.4, -0.2]])
OWN = Views(kind="clip")


class Oracle(Lifter):
    """Reads the truth out of the features that `told` hides in them, and then errs as `wrong` says.

    The root's second coordinate carries the number of the frame. It has no weights at all.
    """

    def __init__(self, skeleton: Skeleton, frames: int, wrong: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(skeleton, LifterConfig(frames=frames, in_features=3))
        self.wrong = wrong
        self.lifted = 0

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        self.lifted += len(x)
        frame = (100.0 * x[..., :1, 1:2]).round()
        pose = torch.cat([x[..., :2], 2.0 * x[..., 2:] - 1.0], dim=-1)
        pose[..., 0, :] = 0.0
        return self.wrong(pose, frame)


def told(pose: Tensor, frames: int = 7, skeleton: Skeleton = FIVE, **labels: str) -> MotionClip:
    """A standing clip in camera space, 3 m away, whose keypoints and confidence give its pose away."""
    truth = pose.expand(frames, -1, -1)
    keypoints = truth[..., :2].clone()
    keypoints[:, 0, 1] = torch.arange(frames) / 100.0
    return MotionClip(
        skeleton,
        30.0,
        positions=truth + torch.tensor([0.1, 0.2, 3.0]),
        keypoints=keypoints,
        confidence=(truth[..., 2] + 1.0) / 2.0,
        space="camera",
        **{"name": "told", **labels},
    )


def figures(
    wrong: Callable[[Tensor, Tensor], Tensor], pose: Tensor = FLAT, *, flip: bool = False, frames: int = 7
) -> dict[str, float]:
    oracle = Oracle(FIVE, 3, wrong)
    return evaluate_clips(oracle, [told(pose, frames)], views=OWN, flip=flip, progress=False).table().overall()


def about(value: float) -> object:
    return pytest.approx(value, rel=1e-4, abs=2e-3)


def zero(found: dict[str, float], *names: str) -> bool:
    return {name: found[name] for name in names} == dict.fromkeys(names, about(0.0))


def test_the_truth_has_no_error() -> None:
    found = figures(lambda pose, _: pose, CHIRAL, flip=True)
    assert zero(found, "mpjpe", "p_mpjpe", "n_mpjpe", "mpjve", "acceleration_error")
    assert zero(found, "bone_length_error", "bone_length_variance")
    assert found["pck"] == 100.0
    assert found["auc"] == about(100 * 30 / 31)  # the first threshold is 0


def test_a_constant_offset_is_measured_and_aligned_away() -> None:
    found = figures(lambda pose, _: pose + torch.tensor([0.0, 0.0, 0.032]))
    assert found["mpjpe"] == about(32.0)
    assert found["p_mpjpe"] == about(0.0)
    # The offset is orthogonal to the pose, so the best scale is a = Y / (Y + 5 d^2), with Y = sum |y|^2 = 0.68.
    scale = 0.68 / (0.68 + 5 * 0.032**2)
    lengths = [0.0, 0.3, 0.5, 0.3, 0.5]
    assert found["n_mpjpe"] == about(sum(200 * math.hypot((1 - scale) * y, scale * 0.032) for y in lengths))
    assert zero(found, "mpjve", "acceleration_error")
    assert found["pck"] == 100.0
    assert found["auc"] == about(100 * 24 / 31)  # thresholds 35, 40, ..., 150 mm
    assert found["bone_length_error"] == about(0.0)


def test_beyond_150_mm_nothing_is_correct() -> None:
    found = figures(lambda pose, _: pose + torch.tensor([0.16, 0.0, 0.0]))
    assert (found["mpjpe"], found["pck"], found["auc"]) == (about(160.0), 0.0, 0.0)


def test_scale_is_an_error_that_scaling_takes_away() -> None:
    found = figures(lambda pose, _: 1.1 * pose)
    assert found["mpjpe"] == about(100 * (0.3 + 0.5 + 0.3 + 0.5) / 5)
    assert zero(found, "n_mpjpe", "p_mpjpe", "symmetry_error")
    assert found["bone_length_error"] == about(100 * (0.3 + 0.4 + 0.3 + 0.4) / 4)


def test_a_rotation_is_aligned_away_but_not_scaled_away() -> None:
    found = figures(lambda pose, _: torch.stack([-pose[..., 1], pose[..., 0], pose[..., 2]], -1))
    assert found["mpjpe"] == about(1000 * math.sqrt(2) * 1.6 / 5)
    assert zero(found, "p_mpjpe", "bone_length_error")
    # A quarter turn leaves p.y = 0 for every joint, so the best scale is 0 and the whole pose is the error.
    assert found["n_mpjpe"] == about(1000 * 1.6 / 5)


def test_a_mirror_image_is_not_aligned_away() -> None:
    def mirrored(pose: Tensor, _: Tensor) -> Tensor:
        return pose * torch.tensor([-1.0, 1.0, 1.0])

    found = figures(mirrored, CHIRAL)
    assert found["mpjpe"] == about(2000 * (0.3 + 0.3 + 0.2 + 0.1) / 5)
    assert found["p_mpjpe"] > 50.0
    assert figures(mirrored, FLAT)["p_mpjpe"] == about(
        0.0
    )  # a flat pose and its mirror image are turned into each other


def test_errors_that_grow_with_the_frame_are_velocity_errors() -> None:
    found = figures(lambda pose, frame: pose + 0.01 * frame * torch.tensor([0.0, 0.0, 1.0]), frames=7)
    assert found["mpjpe"] == about(10 * sum(range(7)) / 7)
    assert found["mpjve"] == about(10.0)
    assert found["acceleration_error"] == about(0.0)


def lengthening(pose: Tensor, frame: Tensor) -> Tensor:
    """An error of 10 mm times the number of the frame, in depth."""
    return pose + 0.01 * frame * torch.tensor([0.0, 0.0, 1.0])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("length", "windows"),
    [
        (1, [0, 0, 0, 0]),
        (3, [0, 1, 2, 2]),
        (4, [0, 1, 2, 3]),
        (8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (10, [0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9]),
        (11, [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10]),
    ],
)
def test_protocols_count_the_frames_that_they_say(length: int, windows: list[int], flip: bool) -> None:
    """Four frames a window; `windows` are the frames that the published scripts count, padding and overlap twice."""
    clip = told(FLAT, length)
    results = {}
    for protocol in ("exact", "published"):
        result = evaluate_clips(
            Oracle(FIVE, 4, lengthening), [clip], views=OWN, protocol=protocol, flip=flip, progress=False
        )
        results[protocol] = result.table()
        [lifted] = result.clips
        assert lifted.predicted.shape == (length, 5, 3)  # whatever was counted, the clip itself is whole
        expected = 0.01 * torch.arange(length)[:, None].expand(length, 5)
        torch.testing.assert_close(lifted.error, expected, atol=1e-6, rtol=1e-5)
    exact, published = results["exact"], results["published"]
    assert exact.frames == length
    assert exact.overall()["mpjpe"] == about(10 * (length - 1) / 2)
    assert published.frames == len(windows)
    assert published.overall()["mpjpe"] == about(10 * sum(windows) / len(windows))
    steps = [10 * abs(b - a) for a, b in itertools.pairwise(windows)]
    assert published.overall()["mpjve"] == about(sum(steps) / len(steps))
    if length > 1:
        assert exact.overall()["mpjve"] == about(10.0)
    else:
        assert math.isnan(exact.overall()["mpjve"])


def test_flip_averaging_is_its_formula() -> None:
    def wrong(pose: Tensor, _: Tensor) -> Tensor:
        pose = pose + torch.tensor([0.03, 0.02, 0.0])
        pose[..., 1, 2] += 0.1  # the left knee alone
        return pose

    def prediction(flip: bool) -> Tensor:
        return (
            evaluate_clips(Oracle(FIVE, 3, wrong), [told(FLAT)], views=OWN, flip=flip, progress=False)
            .clips[0]
            .predicted
        )

    once, twice = prediction(False), prediction(True)
    torch.testing.assert_close(once[0], wrong(FLAT, FLAT))
    # The sideways error cancels, the vertical one stays, and the left knee's is shared with the right one.
    expected = FLAT + torch.tensor([0.0, 0.02, 0.0])
    expected[[1, 3], 2] += 0.05
    torch.testing.assert_close(twice, expected.expand(7, -1, -1))


def test_a_skeleton_without_pairs_is_lifted_once() -> None:
    for skeleton, times in ((FIVE, 2), (PLAIN, 1)):
        oracle = Oracle(skeleton, 3, lambda pose, _: pose)
        evaluate_clips(oracle, [told(FLAT, 6, skeleton)], views=OWN, flip=True, progress=False)
        assert oracle.lifted == 2 * times


def test_tables_are_by_action_and_subject() -> None:
    clips = [
        told(FLAT, 4, name="a", subject="S1", action="walk"),
        told(FLAT, 8, name="b", subject="S1", action="run"),
        told(FLAT, 2, name="c", subject="S2", action="run"),
    ]
    errors = evaluate_clips(Oracle(FIVE, 4, lengthening), clips, views=OWN, progress=False).table()
    assert errors.by_action()["walk"]["mpjpe"] == about(15.0)
    assert errors.by_action()["run"]["mpjpe"] == about(10 * (28 + 1) / 10)
    assert errors.by_subject()["S1"]["mpjpe"] == about(10 * (6 + 28) / 12)
    assert errors.action_average()["mpjpe"] == about((15.0 + 29.0) / 2)


def test_clips_that_cannot_be_measured_are_refused(walkers: list[MotionClip]) -> None:
    oracle = Oracle(FIVE, 3, lambda pose, _: pose)
    seen = told(FLAT)
    with pytest.raises(DataError, match=r"'told' has no 3D positions to compare with; use `graphpose predict`"):
        evaluate_clips(oracle, [seen.replace(positions=None)], views=OWN, progress=False)
    other = Skeleton.from_parents([-1, 0], ["a", "b"], name="two")
    with pytest.raises(DataError, match=r"'two'.*the model on 'five': map it with clip.to"):
        evaluate_clips(oracle, [MotionClip(other, 30.0, positions=torch.zeros(4, 2, 3), name="x")], progress=False)
    with pytest.raises(ConfigError, match="did you mean 'published'"):
        evaluate_clips(oracle, walkers, protocol="publishd", progress=False)
    with pytest.raises(ConfigError, match="unknown setting of an evaluation of clips 'part'"):
        evaluate_clips(oracle, walkers, part="val", progress=False)
    gap = walkers[0].positions.clone()
    gap[3, 2] = math.nan
    with pytest.raises(DataError, match=r"frame 3: joint 'l_foot' has no position"):
        evaluate_clips(oracle, [walkers[0].replace(positions=gap)], progress=False)


def test_double_precision_is_computed_in_double_precision(walkers: list[MotionClip]) -> None:
    model = create("mixste", FIVE, frames=9, channels=16, depth=1, heads=2).eval()
    seen: list[torch.dtype] = []
    original = type(model).lift

    class Watched(type(model)):  # type: ignore[misc]
        def lift(self, x: Tensor) -> Tensor:
            seen.append(x.dtype)
            return original(self, x)

    model.__class__ = Watched
    single = evaluate_clips(model, walkers[:1], progress=False)
    double = evaluate_clips(model, walkers[:1], precision="64-true", progress=False)
    assert set(seen) == {torch.float32, torch.float64}
    assert next(model.parameters()).dtype == torch.float32, "the caller's model stays as it was"
    assert double.table().overall()["mpjpe"] == pytest.approx(single.table().overall()["mpjpe"], rel=1e-4)


# -- files ------------------------------------------------------------------------------------------------------------


def small_evaluation(**labels: str) -> Evaluation:
    clips = [told(FLAT, 4, name="a", **labels), told(CHIRAL, 1, name="b", **labels)]
    return evaluate_clips(Oracle(FIVE, 4, lengthening), clips, views=OWN, progress=False)


def test_saved_files_are_complete_and_read_back(tmp_path: Path) -> None:
    result = small_evaluation(subject="S1", action="walk")
    folder = result.save(tmp_path / "new" / "folder")
    assert {file.name for file in folder.iterdir()} == {
        "errors.txt",
        "errors.csv",
        "errors.json",
        "evaluation.json",
        "predictions.npz",
    }
    one, two = read_all(folder / "predictions.npz")
    assert (one.name, two.name) == ("a", "b")
    assert (one.subject, one.action, one.fps, one.space) == ("S1", "walk", 30.0, "camera")
    assert one.skeleton == FIVE
    torch.testing.assert_close(one.positions, result.clips[0].predicted)
    torch.testing.assert_close(two.positions, result.clips[1].predicted)
    with np.load(folder / "predictions.npz") as arrays:
        torch.testing.assert_close(torch.from_numpy(arrays["targets"][:4]), result.clips[0].target)
        assert arrays["views"].tolist() == [0, 0]
    assert "MPJPE" in (folder / "errors.txt").read_text(encoding="utf-8")


def test_what_is_not_a_number_is_null_in_every_json_file(tmp_path: Path) -> None:
    clip = told(FLAT, 1)
    result = evaluate_clips(Oracle(FIVE, 4, lengthening), [clip], views=OWN, progress=False)

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    for name in ("errors.json", "evaluation.json"):
        content = json.loads((result.save(tmp_path) / name).read_text(encoding="utf-8"), parse_constant=refuse)
        assert content["overall"]["mpjve"] is None
        assert content["overall"]["mpjpe"] == about(0.0)


def test_clips_without_labels_are_saved_too(tmp_path: Path) -> None:
    clips = read_all(small_evaluation().save(tmp_path) / "predictions.npz")
    assert [len(clip) for clip in clips] == [4, 1]


def test_a_failing_write_leaves_the_old_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = small_evaluation()
    before = (result.save(tmp_path) / "predictions.npz").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="No space left"):
        result.save(tmp_path)
    assert (tmp_path / "predictions.npz").read_bytes() == before
    assert not [file.name for file in tmp_path.iterdir() if "part" in file.name]


def test_lifted_clips_know_their_error_and_which_way_is_up(walkers: list[MotionClip]) -> None:
    model = create("mixste", FIVE, frames=9, channels=8, depth=1, heads=2).eval()
    clip = evaluate_clips(model, walkers[:1], views=Views(azimuths=(30.0,)), progress=False).clips[0]
    assert clip.up is not None
    # The camera is level enough for the walker's head-side to point up the picture (y down).
    assert float(clip.up[1]) < -0.9 and float(clip.up.norm()) == pytest.approx(1.0, abs=1e-5)
    assert dataclasses.replace(clip, predicted=clip.target).error.max() == 0
    assert graphpose.metrics.mpjpe(clip.predicted, clip.target) == pytest.approx(float(clip.error.mean()), rel=1e-5)
