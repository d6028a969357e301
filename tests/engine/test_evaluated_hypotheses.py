"""Evaluations of models that draw hypotheses: what is asked for is what is drawn, aggregated, named and kept in the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from told_truth import OWN, ToldTruth, told
from torch import Tensor
from zoo import FIVE, small

from graphpose.config import EvaluateConfig
from graphpose.datasets import Views, view_clip
from graphpose.engine import Evaluation, evaluate, evaluate_clips, evaluate_hypotheses, read_result
from graphpose.errors import ConfigError, DataError
from graphpose.formats import write
from graphpose.geometry import Camera
from graphpose.models import save
from graphpose.models.d3dp import D3DP
from graphpose.motion import MotionClip
from graphpose.nn.aggregation import aggregate

RULES = ("jpma", "pose", "jpma-true-root", "pose-true-root")


def d3dp(**options: Any) -> D3DP:
    model = small("d3dp", **{"hypotheses": 4, "steps": 2, **options})
    assert isinstance(model, D3DP)
    return model


def walk(frames: int = 9) -> MotionClip:
    generator = torch.Generator().manual_seed(0)
    positions = 0.3 * torch.randn(frames, 5, 3, generator=generator)
    positions[:, 0] = torch.tensor([0.2, 1.0, 0.1])
    return MotionClip(FIVE, positions=positions, fps=30.0, name="walk", subject="S1", action="Walk")


def run(model: Any, clip: MotionClip | None = None, **settings: Any) -> Evaluation:
    return evaluate_clips(model, [clip or walk()], progress=False, **settings)


def beside_the_truth(views: Views, offsets: Tensor) -> Callable[[Tensor], Tensor]:
    """Proposes the truth of the walk, which it knows by its keypoints, moved by offsets `[H, 5, 3]`."""
    seen = view_clip(walk(), views)
    truth = {
        tuple(keypoints.flatten().tolist()): pose
        for view in seen
        for keypoints, pose in zip(view.x[..., :2], view.y, strict=True)  # type: ignore[arg-type]
    }

    def propose(x: Tensor) -> Tensor:
        poses = [truth[tuple(frame.flatten().tolist())] for frame in x[..., :2].flatten(0, 1)]
        return torch.stack(poses).unflatten(0, x.shape[:2]) + offsets[:, None, None]

    return propose


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["static", "orbit"])
@pytest.mark.parametrize("protocol", ["exact", "published"])
def test_the_aggregate_is_that_of_the_camera_of_each_view(rule: str, kind: str, protocol: str) -> None:
    views = Views(kind=kind, azimuths=(30.0, 200.0), focal=1.7)
    propose = beside_the_truth(views, 0.1 * torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(1)))

    def result(**settings: Any) -> Evaluation:
        model, how = small("mixste"), {"views": views, "progress": False, "protocol": protocol, **settings}
        return evaluate_hypotheses(model, propose, [walk()], **how)

    chosen, mean = result(aggregate=rule), result()
    for lifted, view in zip(chosen.clips, view_clip(walk(), views), strict=True):
        hypotheses = propose(view.x[None])[:, 0]
        root = view.root if rule.endswith("-true-root") else None
        one = aggregate(hypotheses, rule.split("-")[0], keypoints=view.x, camera=view.camera, root=root)
        torch.testing.assert_close(lifted.predicted, one)
        assert not torch.allclose(one, hypotheses.mean(0), atol=1e-3)
    found, plain = chosen.errors.overall(), mean.errors.overall()
    oracles = {name: value for name, value in found.items() if name.startswith("oracle")}
    assert len(oracles) == 6 and oracles == {name: plain[name] for name in oracles}, "the truth picks among the same"
    assert found["mpjpe"] != plain["mpjpe"]


def test_a_root_that_is_told_is_marked_in_every_table() -> None:
    for rule in RULES:
        result = run(d3dp(), aggregate=rule)
        text, honest = result.table().to_text(), not rule.endswith("-true-root")
        assert ("overall (told the true root)" in text) != honest
        assert result.measured["hypotheses"]["true_root"] != honest
        assert f"hypotheses 4 in 2 steps of ddim, aggregate {rule}\n" in text


@pytest.mark.parametrize("protocol", ["exact", "published"])
def test_the_best_of_two_is_found_by_its_image(protocol: str) -> None:
    """One hypothesis is the truth, the other stands beside it: the mean errs by half, the one that is told does not err."""
    views = Views(azimuths=(0.0, 90.0))
    propose = beside_the_truth(views, torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.0, 0.0]])[:, None].expand(-1, 5, -1))

    def overall(**settings: Any) -> dict[str, float]:
        how = {"views": views, "progress": False, "protocol": protocol, **settings}
        return evaluate_hypotheses(small("mixste"), propose, [walk()], **how).table().overall()

    assert overall()["mpjpe"] == pytest.approx(50.0, rel=1e-4)
    told_root = overall(aggregate="jpma-true-root")
    assert told_root["mpjpe"] == pytest.approx(0.0, abs=1e-3)
    assert told_root["oracle_p_best_mpjpe"] == pytest.approx(0.0, abs=1e-3)
    estimated = overall(aggregate="pose")  # the root is estimated from the mean, between the two
    assert estimated["mpjpe"] > 1.0


def test_what_is_asked_for_replaces_what_the_checkpoint_has(tmp_path: Path) -> None:
    write(walk(), tmp_path / "walk.npz")
    path = save(d3dp(), tmp_path / "model.safetensors")

    def evaluated(**settings: Any) -> Evaluation:
        config = EvaluateConfig(accelerator="cpu", data={"paths": [str(tmp_path / "walk.npz")]}, **settings)
        return evaluate(path, config, progress=False)

    result = evaluated(hypotheses=6, steps=3, aggregate="jpma", flip=False)
    result.save(tmp_path / "out")
    content = read_result(tmp_path / "out")
    assert content["measured"]["hypotheses"] == {
        "hypotheses": 6,
        "steps": 3,
        "sampler": "ddim",
        "aggregate": "jpma",
        "true_root": False,
        "focal": None,
    }
    assert (content["config"]["hypotheses"], content["config"]["aggregate"]) == (6, "jpma")
    assert "flip off" in result.table().to_text().splitlines()[0]
    same = run(d3dp_of(path).with_options(hypotheses=6, steps=3), aggregate="jpma", flip=False)
    assert same.errors.overall() == pytest.approx(result.errors.overall(), nan_ok=True)
    plain = evaluated()
    assert "flip averaged in each step" in plain.table().to_text().splitlines()[0]
    assert plain.measured["hypotheses"]["hypotheses"] == 4
    assert plain.errors.overall()["oracle_p_best_mpjpe"] > result.errors.overall()["oracle_p_best_mpjpe"]


def d3dp_of(path: Path) -> D3DP:
    from graphpose import load

    model = load(path)
    assert isinstance(model, D3DP)
    return model


def test_the_models_own_aggregate_goes_by_its_own_lens() -> None:
    model = d3dp(aggregate="jpma", focal=1.7)
    result = run(model, flip=False)
    view = view_clip(walk(), Views())[0]
    hypotheses = model.propose(view.x[None])[:, 0]
    lens = Camera(torch.eye(3), torch.zeros(3), torch.tensor([1.7, 1.7]))
    one = aggregate(hypotheses, "jpma", keypoints=view.x, camera=lens)
    torch.testing.assert_close(result.clips[0].predicted, one, rtol=1e-4, atol=1e-5)
    assert "aggregate jpma with focal 1.7" in result.table().to_text()
    assert run(model, aggregate="mean", flip=False).measured["hypotheses"]["focal"] is None


def test_double_precision_and_alignment() -> None:
    model = d3dp()
    exact = run(model, precision="64-true").errors.overall()["mpjpe"]
    assert exact == pytest.approx(run(model).errors.overall()["mpjpe"], rel=1e-4)
    scaled = run(model, alignment="scale", aggregate="jpma").errors.overall()
    assert scaled["mpjpe"] == pytest.approx(run(model, aggregate="jpma").errors.overall()["n_mpjpe"], rel=1e-4)


@pytest.mark.parametrize(
    "setting",
    [{"hypotheses": 3}, {"steps": 2}, {"sampler": "ddim"}, {"aggregate": "mean"}],
    ids=lambda s: next(iter(s)),
)
def test_a_model_without_hypotheses_refuses_their_settings(setting: dict[str, Any]) -> None:
    name, value = next(iter(setting.items()))
    with pytest.raises(ConfigError, match=rf"{name}: MixSTE draws no hypotheses \(got {name}={value!r}\)"):
        run(small("mixste"), **setting)


def test_settings_that_do_not_fit_are_named() -> None:
    for setting, said in (
        ({"hypotheses": 0}, r"hypotheses: expected at least 1 \(got 0\)"),
        ({"steps": 1001}, r"steps in 1\.\.1000"),
        ({"sampler": "dim"}, "did you mean 'ddim'"),
        ({"aggregate": "jmpa"}, "did you mean 'jpma'"),
    ):
        with pytest.raises(ConfigError, match=said):
            run(d3dp(), **setting)


def test_a_clip_without_a_camera_has_no_reprojection() -> None:
    def propose(x: Tensor) -> Tensor:
        return torch.zeros(2, *x.shape[:3], 3)

    lifter = ToldTruth(lambda pose, badly, frame: pose)
    with pytest.raises(DataError, match=r"clip 'a': aggregate 'jpma' .* needs the camera of the clip \(got none\)"):
        evaluate_hypotheses(lifter, propose, [told("a", 6)], views=OWN, progress=False, aggregate="jpma")
