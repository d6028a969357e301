"""Known predictions give the figures that can be worked out beforehand, in every metric, table, protocol and alignment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from told_truth import H36M, OWN, ToldTruth, Wrong, standing, told
from torch import Tensor

from graphpose.engine import Evaluation, evaluate_clips
from graphpose.errors import SkeletonError
from graphpose.skeleton.joint_sets import common_joints

POSE = standing().double().numpy()
RADIUS = np.linalg.norm(POSE, axis=-1)
BONES = [np.linalg.norm(POSE[child] - POSE[parent]) for parent, child in H36M.bones]
OFFSET = np.array([0.03, -0.02, 0.061])
ANGLE = 0.4
GROWTH = 0.0973  # of the scaled pose; no joint's error falls on a threshold of the AUC
# name, subject, action, frames, how badly; windows of 4 frames: the published protocol counts 8, 8, 4 and 12 of them
CLIPS = (("a", "S1", "walk", 6, 1), ("b", "S1", "run", 8, 2), ("c", "S2", "run", 3, 5), ("d", "S2", "walk", 10, 3))
EXACT = {"a": 6, "b": 8, "c": 3, "d": 10}
PUBLISHED = {"a": 8, "b": 8, "c": 4, "d": 12}


def clips(**labels: Any) -> list[Any]:
    return [told(n, frames, badly, subject=s, action=a, **labels) for n, s, a, frames, badly in CLIPS]


def evaluation(wrong: Wrong, **settings: Any) -> Evaluation:
    chosen = {"flip": False, **settings}
    return evaluate_clips(ToldTruth(wrong), clips(), views=OWN, progress=False, **chosen)


def shifted(pose: Tensor, badly: Tensor, _: Tensor) -> Tensor:
    return pose + badly * torch.tensor(OFFSET, dtype=torch.float32)


def rotated(pose: Tensor, badly: Tensor, _: Tensor) -> Tensor:
    cos, sin = math.cos(ANGLE), math.sin(ANGLE)
    return pose @ torch.tensor([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])


def scaled(pose: Tensor, badly: Tensor, _: Tensor) -> Tensor:
    return (1 + GROWTH * badly) * pose


def mirrored(pose: Tensor, badly: Tensor, _: Tensor) -> Tensor:
    return pose * torch.tensor([-1.0, 1.0, 1.0])


def about(value: float, rel: float = 2e-5) -> Any:
    return pytest.approx(value, rel=rel, abs=3e-3)


def procrustes(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Residual of each joint after the best similarity without reflection, by the textbook's singular values."""
    x, y = pred - pred.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(y.T @ x)
    sign = np.diag([1.0, 1.0, np.linalg.det(u @ vt)])
    scale = np.trace(np.diag(s) @ sign) / (x**2).sum()
    return np.linalg.norm(scale * x @ (u @ sign @ vt).T - y, axis=-1)


def n_scale(pred: np.ndarray) -> float:
    return float((pred * POSE).sum() / (pred * pred).sum())


def auc(errors: np.ndarray) -> float:
    return float(100 * np.mean([(errors < threshold - 1e-9).mean() for threshold in np.arange(0, 0.151, 0.005)]))


def expected(pred: np.ndarray) -> dict[str, np.ndarray | float]:
    """Every metric of one constant pose: a value for each joint where the metric has them, else one number."""
    errors = np.linalg.norm(pred - POSE, axis=-1)
    lengths = [np.linalg.norm(pred[child] - pred[parent]) for parent, child in H36M.bones]
    return {
        "mpjpe": 1000 * errors,
        "p_mpjpe": 1000 * procrustes(pred, POSE),
        "n_mpjpe": 1000 * np.linalg.norm(n_scale(pred) * pred - POSE, axis=-1),
        "mpjve": np.zeros(17),
        "acceleration_error": np.zeros(17),
        "pck": 100.0 * (errors < 0.15),
        "auc": np.array([auc(error[None]) for error in errors]),
        "bone_length_error": 1000 * float(np.abs(np.array(lengths) - BONES).mean()),
        "bone_length_variance": 0.0,
        "symmetry_error": 0.0,  # the pose is symmetric, and stays so
    }


PREDICTIONS: dict[str, tuple[Wrong, Callable[[int], np.ndarray]]] = {
    "identity": (lambda pose, badly, frame: pose, lambda badly: POSE),
    "offset": (shifted, lambda badly: POSE + badly * OFFSET),
    "rotated": (
        rotated,
        lambda badly: (
            POSE @ np.array([[math.cos(ANGLE), math.sin(ANGLE), 0], [-math.sin(ANGLE), math.cos(ANGLE), 0], [0, 0, 1]])
        ),
    ),
    "scaled": (scaled, lambda badly: (1 + GROWTH * badly) * POSE),
    "mirrored": (mirrored, lambda badly: POSE * np.array([-1.0, 1.0, 1.0])),
}


def averages(
    per_clip: Mapping[str, Mapping[str, Any]], counts: Mapping[str, int], chosen: set[str]
) -> dict[str, float]:
    """Each metric over some clips, weighing by the frames that count (bone variance, one value a clip: equally)."""
    found = {}
    for metric in next(iter(per_clip.values())):
        weights = {name: 1 if metric == "bone_length_variance" else counts[name] for name in chosen}
        total = sum(weights[name] * np.mean(per_clip[name][metric]) for name in chosen)
        found[metric] = float(total / sum(weights.values()))
    return found


@pytest.mark.parametrize("protocol", ["exact", "published"])
@pytest.mark.parametrize("name", PREDICTIONS)
def test_every_metric_of_every_table_is_the_analytic_one(name: str, protocol: str) -> None:
    wrong, pred = PREDICTIONS[name]
    per_clip = {clip: expected(pred(badly)) for clip, _, _, _, badly in CLIPS}
    counts = EXACT if protocol == "exact" else PUBLISHED
    result = evaluation(wrong, protocol=protocol)
    table = result.table()
    everything = {clip for clip, *_ in CLIPS}

    def same(found: Mapping[str, float], wanted: Mapping[str, float]) -> None:
        assert set(found) == set(wanted)
        for metric, value in wanted.items():
            assert found[metric] == about(value), metric

    frames = averages(per_clip, counts, everything)
    actions = {
        action: averages(per_clip, counts, {c for c, _, a, *_ in CLIPS if a == action}) for action in ("run", "walk")
    }
    subjects = {s: averages(per_clip, counts, {c for c, sub, *_ in CLIPS if sub == s}) for s in ("S1", "S2")}
    mean = {metric: (actions["run"][metric] + actions["walk"][metric]) / 2 for metric in frames}
    assert table.frames == sum(counts.values())
    same(table.frame_average(), frames)
    same(table.action_average(), mean)
    same(table.overall(), frames if protocol == "exact" else mean)
    for action, wanted in actions.items():
        same(table.by_action()[action], wanted)
    for subject, wanted in subjects.items():
        same(table.by_subject()[subject], wanted)
    for clip in everything:
        same(table.by_clip()[clip], averages(per_clip, counts, {clip}))
    joints = table.by_joint()
    for j, joint in enumerate(H36M.joints):
        for metric, value in joints[joint].items():
            weighed = sum(counts[c] * per_clip[c][metric][j] for c in everything) / sum(counts.values())
            assert value == about(weighed), (joint, metric)


def test_identity_is_perfect_with_flip_averaging_too() -> None:
    overall = evaluation(lambda pose, badly, frame: pose, flip=True).table().overall()
    assert overall["mpjpe"] == about(0.0) and overall["pck"] == 100.0


def test_a_rotation_is_two_sines_of_half_the_angle_and_a_mirror_twice_the_distance_from_the_plane() -> None:
    flat = np.linalg.norm(POSE[:, :2], axis=-1)
    assert evaluation(rotated).table().overall()["mpjpe"] == about(1000 * 2 * math.sin(ANGLE / 2) * flat.mean())
    found = evaluation(mirrored).table().overall()
    assert found["mpjpe"] == about(2000 * np.abs(POSE[:, 0]).mean())
    assert found["p_mpjpe"] > 10.0, "a reflection must not be aligned away"


def test_one_stretched_limb_is_an_asymmetry() -> None:
    def stretched(pose: Tensor, badly: Tensor, frame: Tensor) -> Tensor:
        out = pose.clone()
        elbow, wrist = H36M.index("Lelbow"), H36M.index("Lwrist")
        arm = pose[..., wrist, :] - pose[..., elbow, :]
        out[..., wrist, :] += 0.1 * arm / arm.norm(dim=-1, keepdim=True)
        return out

    overall = evaluation(stretched).table().overall()
    assert overall["symmetry_error"] == about(100 / 6)  # six pairs of bones
    assert overall["bone_length_error"] == about(100 / len(BONES))


@pytest.mark.parametrize("protocol", ["exact", "published"])
def test_velocity_and_acceleration_of_an_error_that_grows(protocol: str) -> None:
    """An error of 10 mm t^2 has the velocity error 10 |2 t + 1| and the acceleration error 20 between neighbours."""

    def growing(pose: Tensor, badly: Tensor, frame: Tensor) -> Tensor:
        return pose + 0.01 * frame**2 * torch.tensor([0.0, 0.0, 1.0])

    def places(length: int) -> np.ndarray:
        if protocol == "exact":
            return np.arange(length)
        starts = [*range(0, max(length - 4, 0) + 1, 4)]
        starts += [length - 4] if starts[-1] + 4 < length else []
        return np.minimum(np.concatenate([np.arange(s, s + 4) for s in starts]), length - 1)

    table = evaluation(growing, protocol=protocol).table()
    for order, metric in ((1, "mpjve"), (2, "acceleration_error")):
        clip_means = {c: np.abs(np.diff(10.0 * places(n) ** 2, order)).mean() for c, _, _, n, _ in CLIPS}
        weights = {c: len(places(n)) - (order if protocol == "exact" else 0) for c, _, _, n, _ in CLIPS}
        for clip, value in clip_means.items():
            assert table.by_clip()[clip][metric] == about(float(value), rel=1e-3)
        wanted = sum(weights[c] * clip_means[c] for c in weights) / sum(weights.values())
        assert table.frame_average()[metric] == about(float(wanted), rel=1e-3)


# -- alignment ---------------------------------------------------------------------------------------------------------


def test_a_scale_of_each_frame_takes_scaling_away_and_makes_mpjpe_n_mpjpe() -> None:
    overall = evaluation(scaled, alignment="scale").table().overall()
    assert all(overall[m] == about(0.0) for m in ("mpjpe", "n_mpjpe", "bone_length_error", "mpjve"))
    plain, aligned = (evaluation(shifted, alignment=how).table().by_clip() for how in ("root", "scale"))
    for clip, _, _, _, badly in CLIPS:
        pred = POSE + badly * OFFSET
        assert aligned[clip]["mpjpe"] == about(1000 * np.linalg.norm(n_scale(pred) * pred - POSE, axis=-1).mean())
        assert aligned[clip]["mpjpe"] == about(plain[clip]["n_mpjpe"])
        assert aligned[clip]["p_mpjpe"] == about(plain[clip]["p_mpjpe"])


@pytest.mark.parametrize("protocol", ["exact", "published"])
def test_a_scale_of_each_clip_is_one_for_all_its_frames(protocol: str) -> None:
    """p_t = s_t y has the best common scale a = sum s_t / sum s_t^2, and the error |a s_t - 1| |y|."""

    def breathing(pose: Tensor, badly: Tensor, frame: Tensor) -> Tensor:
        return (1 + 0.05 * frame) * pose

    result = evaluation(breathing, alignment="clip-scale", protocol=protocol)
    for clip, places in (("b", range(8)), ("a", range(6) if protocol == "exact" else (0, 1, 2, 3, 2, 3, 4, 5))):
        s = 1 + 0.05 * np.array(list(places))
        a = s.sum() / (s**2).sum()
        assert result.table().by_clip()[clip]["mpjpe"] == about(1000 * np.abs(a * s - 1).mean() * RADIUS.mean())
    assert evaluation(scaled, alignment="clip-scale").table().overall()["mpjpe"] == about(0.0)


def test_every_table_says_how_it_was_aligned() -> None:
    table = evaluation(scaled, alignment="clip-scale", common_joints=14).table()
    text, csv = table.to_text(), table.to_csv().splitlines()[0]
    assert text.splitlines()[0].startswith("protocol exact; 2D keypoints of the clips; flip off; alignment clip-scale")
    for scope in ("overall", "by action", "by subject", "by joint"):
        assert f"{scope} (alignment clip-scale, 14 common joints)" in text
    assert "mpjpe [mm; alignment clip-scale; 14 common joints]" in csv
    assert table.to_dict()["conditions"]["alignment"] == "clip-scale"
    assert "alignment root" in evaluation(scaled).table().to_text().splitlines()[0]


# -- common joints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [14, 16, 17])
def test_only_the_common_joints_are_measured(number: int) -> None:
    chosen = [H36M.index(joint) for joint in common_joints(H36M, number)]
    assert len(chosen) == number
    table = evaluation(scaled, common_joints=number).table()
    for clip, _, _, _, badly in CLIPS:
        assert table.by_clip()[clip]["mpjpe"] == about(1000 * GROWTH * badly * RADIUS[chosen].mean())
        assert table.by_clip()[clip]["n_mpjpe"] == about(0.0)
    assert list(table.by_joint()) == [H36M.joints[j] for j in chosen]
    inside = [i for i, (parent, child) in enumerate(H36M.bones) if parent in chosen and child in chosen]
    assert table.by_clip()["a"]["bone_length_error"] == about(1000 * GROWTH * np.array(BONES)[inside].mean())


def test_what_other_joints_do_reaches_no_figure() -> None:
    def wild(pose: Tensor, badly: Tensor, frame: Tensor) -> Tensor:
        out = shifted(pose, badly, frame)
        left_out = [H36M.index(joint) for joint in ("pelvis", "spine", "nose")]
        out[..., left_out, :] += 7.0
        return out

    calm, wildly = (evaluation(wrong, common_joints=14).table().overall() for wrong in (shifted, wild))
    assert wildly == pytest.approx(calm, rel=1e-6)
    for alignment in ("scale", "clip-scale"):
        calm, wildly = (
            evaluation(wrong, common_joints=14, alignment=alignment).table().overall() for wrong in (shifted, wild)
        )
        assert wildly == pytest.approx(calm, rel=1e-6)


def test_common_joints_that_the_skeleton_lacks_are_refused(walkers: list[Any]) -> None:
    from graphpose.models import create

    five = create("mixste", walkers[0].skeleton, frames=3, channels=8, depth=1, heads=2)
    with pytest.raises(SkeletonError, match="no common joints are named for skeleton 'five'"):
        evaluate_clips(five, walkers, progress=False, common_joints=14)
