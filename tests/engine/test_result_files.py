"""A result file holds all that made it, gives the figures back, and a broken one is one clear line."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from told_truth import OWN, ToldTruth, told

import graphpose
from graphpose.config import EvaluateConfig, TrainConfig
from graphpose.datasets import Views
from graphpose.engine import Evaluation, evaluate, evaluate_clips, evaluate_hypotheses, read_result
from graphpose.engine.evaluated_input import detections_text
from graphpose.engine.provenance import repository_state
from graphpose.engine.result_file import SCHEMA
from graphpose.errors import ConfigError, DataError, FormatError, SkeletonError
from graphpose.formats import read, write
from graphpose.models import create, save
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton


def wrong(pose: torch.Tensor, badly: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
    return pose + 0.01 * badly * (1 + frame) * torch.tensor([0.0, 0.0, 1.0])


def evaluation(clips: list[MotionClip] | None = None, **settings: Any) -> Evaluation:
    clips = clips or [
        told("a", 6, 1, subject="S1", action="walk"),
        told("b", 9, 2, subject="S2", action="run"),
    ]
    return evaluate_clips(ToldTruth(wrong), clips, views=OWN, progress=False, **{"flip": False, **settings})


def saved(folder: Path, result: Evaluation) -> dict[str, Any]:
    return read_result(result.save(folder) / "evaluation.json")


# -- what is in it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["exact", "published"])
def test_the_views_add_up_to_the_tables(protocol: str, tmp_path: Path) -> None:
    result = evaluation(protocol=protocol)
    content = saved(tmp_path, result)
    assert (content["schema"], content["protocol"], content["flip"]) == (SCHEMA, protocol, False)
    for metric in content["metrics"]:
        errors = np.array([view["errors"][metric] for view in content["views"]])
        weights = np.array([view["weights"][metric] for view in content["views"]])
        whole = (errors * weights).sum() / weights.sum()
        assert whole == pytest.approx(content["frame_average"][metric], rel=1e-9), metric
        assert whole == pytest.approx(result.table().frame_average()[metric], rel=1e-9)
    assert content["overall"] == pytest.approx(result.table().overall())
    assert content["dataset"]["clips"] == 2
    assert content["dataset"]["frames_counted"] == content["frames"] == sum(v["frames"] for v in content["views"])
    assert content["versions"]["graphpose"] == graphpose.__version__
    assert set(content["versions"]) == {"graphpose", "torch", "torch-geometric", "numpy", "python"}
    assert read_result(tmp_path)["dataset"] == content["dataset"], "the folder stands for the file"


def test_what_is_not_a_number_is_null_in_the_file_and_nan_when_read(tmp_path: Path) -> None:
    result = evaluation([told("short", 1)])
    content = saved(tmp_path, result)
    assert json.loads((tmp_path / "evaluation.json").read_text())["views"][0]["errors"]["mpjve"] is None
    assert math.isnan(content["views"][0]["errors"]["mpjve"]) and content["views"][0]["weights"]["mpjve"] == 0
    assert content["measured"]["annotation"] is None, "null settings stay null"


def test_a_checkpoint_is_evaluated_into_a_complete_file(tmp_path: Path, walkers: list[MotionClip]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for clip in walkers:
        write(clip, folder / f"{clip.name}.npz")
    model = create("mixste", walkers[0].skeleton, frames=9, channels=8, depth=1, heads=2)
    data = {"paths": [str(folder)], "frames": 9, "split": {"by": "subject", "test": ["C"], "val": ["B"]}}
    config = TrainConfig.from_dict({"data": data})
    path = save(model, tmp_path / "m.safetensors", config=config.to_dict(), data_statement="walkers of A")
    asked = EvaluateConfig(accelerator="cpu", keypoint_noise=0.02, seed=7, data={"views": {"azimuths": [0.0, 90.0]}})
    content = saved(tmp_path / "out", evaluate(path, asked, progress=False))
    assert content["model"] == "mixste" and content["part"] == "test" and content["checkpoint"] == str(path)
    assert content["trained_on"] == "walkers of A" and content["trained_with"]["torch"] == torch.__version__
    assert content["trained_with"]["graphpose"] == content["versions"]["graphpose"] == graphpose.__version__
    assert content["config"]["data"]["views"]["azimuths"] == [0.0, 90.0]
    assert content["config"]["data"]["frames"] == 9, "resolved: what the training had and nobody replaced"
    assert (content["config"]["keypoint_noise"], content["config"]["seed"]) == (0.02, 7)
    assert content["measured"]["detections"] == ["projected"] and content["measured"]["keypoint_noise"] == 0.02
    assert len(content["views"]) == 4 and len({view["recording"] for view in content["views"]}) == 2
    moved = tmp_path / "moved" / "away"
    moved.parent.mkdir()
    folder.rename(moved)
    again = evaluate(path, EvaluateConfig(accelerator="cpu", part="test", data={**asked.data, "paths": [str(moved)]}))
    assert again.dataset["fingerprint"] == content["dataset"]["fingerprint"]


def test_the_repository_is_that_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert repository_state(tmp_path) is None
    assert repository_state(tmp_path / "absent") is None

    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    assert repository_state(tmp_path) is None, "no commit yet"
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--no-verify", "-m", "one")
    (tmp_path / "untracked").write_text("what a run leaves")
    assert repository_state(tmp_path) == {"revision": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("two")
    monkeypatch.chdir(tmp_path)
    content = saved(tmp_path / "out", evaluation())
    assert content["repository"] == {"revision": git("rev-parse", "HEAD"), "dirty": True}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert repository_state(tmp_path) is None, "git is not installed"


# -- how it was measured -----------------------------------------------------------------------------------------------


def test_annotations_are_named_in_every_table_and_never_mixed(tmp_path: Path) -> None:
    clips = [told(name, 5, tags={"annotation": "univ_annot3"}) for name in "ab"]
    result = evaluation(clips)
    text = result.table().to_text(["overall", "action", "subject", "clip", "joint"])
    assert text.splitlines()[0].endswith("annotation univ_annot3")
    for scope in ("overall", "by action", "by subject", "by clip", "by joint"):
        assert f"{scope} (univ_annot3)" in text
    assert "mpjpe [mm; univ_annot3]" in result.table().to_csv()
    assert saved(tmp_path, result)["measured"]["annotation"] == "univ_annot3"
    from graphpose.analysis.tables import tables_of

    assert all(table.title.endswith("(univ_annot3)") for table in tables_of(result.table()))
    with pytest.raises(DataError, match=r"one annotation \(got annot3: 1 clips, univ_annot3: 2 clips\)"):
        evaluation([*clips, told("c", 5, tags={"annotation": "annot3"})])
    with pytest.raises(DataError, match="none: 1 clips"):
        evaluation([*clips, told("c", 5)])


def test_the_2d_input_is_named(tmp_path: Path, walkers: list[MotionClip]) -> None:
    def seen(*clips: MotionClip) -> list[str]:
        return evaluation(list(clips)).measured["detections"]

    assert seen(told("a", 4, source="/somewhere/sh.npz")) == ["file somewhere/sh.npz"]
    assert seen(told("a", 4, source="sh.npz")) == ["file sh.npz"]
    assert seen(told("a", 4, source="x/y.npz", tags={"keypoints": "cpn_ft_h36m_dbb"}), told("b", 4)) == [
        "cpn_ft_h36m_dbb",
        "keypoints of the clips",
    ]
    five = create("mixste", walkers[0].skeleton, frames=9, channels=8, depth=1, heads=2)
    assert evaluate_clips(five, walkers[:1], progress=False).measured["detections"] == ["projected"]


def test_keypoints_are_named_after_the_file_that_holds_them_not_after_its_recording(tmp_path: Path) -> None:
    """A file that graphpose wrote keeps the recording as its source, and that may be a BVH, which holds no keypoints."""
    for folder in ("detA", "detB"):
        (tmp_path / folder).mkdir()
        write(told("jump", 4, source="mocap/jump.bvh"), tmp_path / folder / "jump.npz")
    clips = [read(tmp_path / folder / "jump.npz") for folder in ("detA", "detB")]
    assert [evaluation([clip]).measured["detections"] for clip in clips] == [
        ["file detA/jump.npz"],
        ["file detB/jump.npz"],
    ]
    assert clips[0].source == "mocap/jump.bvh", "what splits and seen clips go by"
    write(clips[0], tmp_path / "detB" / "again.npz")
    assert evaluation([read(tmp_path / "detB" / "again.npz")]).measured["detections"] == ["file detB/again.npz"]


def test_many_files_of_keypoints_are_counted_in_the_header_and_listed_in_the_file(tmp_path: Path) -> None:
    clips = [told(f"c{i:02d}", 4, source=f"x/det/c{i:02d}.npz") for i in range(40)]
    result = evaluation(clips)
    assert "; 2D 40 files of det; flip" in result.table().to_text().splitlines()[0]
    assert saved(tmp_path, result)["measured"]["detections"] == [f"file det/c{i:02d}.npz" for i in range(40)]
    assert detections_text(["file a/x.npz", "file b/x.npz", "file c/x.npz"]).count(" and ") == 2
    assert detections_text(["gt", *(f"file {f}/x.npz" for f in "abcd")]) == "gt and 4 files of 4 folders"
    assert detections_text([*(f"file {f}/{n}.npz" for f in "ab" for n in "xy")]) == "4 files of a and b"


def test_confidence_of_detections_reaches_the_model(tmp_path: Path) -> None:
    """Views of kind "clip" give the file's keypoints and confidence; another kind projects, with confidence 1."""
    seen: list[torch.Tensor] = []

    class Watching(ToldTruth):
        def lift(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return super().lift(x)

    clip = told("a", 4)
    evaluate_clips(Watching(wrong), [clip], views=OWN, progress=False, flip=False)
    torch.testing.assert_close(seen[0][0, ..., 2], clip.confidence)
    torch.testing.assert_close(seen[0][0, ..., :2], clip.keypoints)
    missing = clip.keypoints.clone()
    missing[1, 3] = math.nan
    evaluate_clips(Watching(wrong), [clip.replace(keypoints=missing)], views=OWN, progress=False, flip=False)
    assert seen[1][0, 1, 3].tolist() == [0.0, 0.0, 0.0]
    world = clip.replace(space="world", positions=clip.positions + torch.tensor([0.0, 1.0, 0.0]))
    evaluate_clips(Watching(wrong), [world], views=Views(azimuths=(0.0,)), progress=False, flip=False)
    assert (seen[2][..., 2] == 1).all() and not torch.allclose(seen[2][0, ..., :2], clip.keypoints, atol=1e-3)


def test_noise_has_its_size_and_belongs_to_the_clip_and_view(walkers: list[MotionClip]) -> None:
    model = create("mixste", walkers[0].skeleton, frames=9, channels=8, depth=1, heads=2)
    views = Views(azimuths=(30.0, 200.0))

    def inputs(clips: list[MotionClip], **settings: Any) -> dict[tuple[str, int], torch.Tensor]:
        found = evaluate_clips(model, clips, views=views, progress=False, **settings)
        return {(clip.name, clip.view): clip.x for clip in found.clips}

    clean = inputs(walkers)
    noisy = inputs(walkers, keypoint_noise=0.05)
    alone = inputs(walkers[::-1][:2], keypoint_noise=0.05)
    for key, x in alone.items():
        torch.testing.assert_close(x, noisy[key], rtol=0, atol=0)
    noise = torch.cat([(noisy[key] - clean[key]).flatten() for key in clean])
    assert float(noise.std()) == pytest.approx(0.05, rel=0.05) and abs(float(noise.mean())) < 0.005
    name = walkers[0].name
    one, other = (noisy[name, view] - clean[name, view] for view in (0, 1))
    assert not torch.allclose(one, other)
    other_seed = inputs(walkers[:1], keypoint_noise=0.05, seed=1)
    assert not torch.allclose(other_seed[name, 0], noisy[name, 0])
    with pytest.raises(ConfigError, match="keypoint_noise: expected at least 0"):
        inputs(walkers, keypoint_noise=-0.1)


def test_noise_leaves_missing_keypoints_missing() -> None:
    clip = told("a", 4)
    gone = clip.keypoints.clone()
    gone[2, 5] = math.nan
    [lifted] = evaluation([clip.replace(keypoints=gone)], keypoint_noise=0.1).clips
    assert lifted.x[2, 5].tolist() == [0.0, 0.0, 0.0]


def test_frames_without_any_position_are_lifted_but_not_measured() -> None:
    whole, marked = told("a", 6), told("a", 6)
    marked.positions[[1, 4]] = math.nan
    for protocol, counted in (("exact", 4), ("published", 5)):  # frames 0 1 2 3 and 2 3 4 5: without 1 and 4
        all_of_them = evaluation([whole], protocol=protocol)
        result = evaluation([marked], protocol=protocol)
        assert result.table().frames == counted + (0 if protocol == "exact" else 1)
        torch.testing.assert_close(result.clips[0].predicted, all_of_them.clips[0].predicted)
        assert result.clips[0].target[[1, 4]].isnan().all() and result.clips[0].target[[0, 2, 3, 5]].isfinite().all()
        frames = [0, 2, 3, 5] if protocol == "exact" else [0, 2, 3, 2, 3, 5]
        wanted = 10 * np.mean([frame + 1 for frame in frames])
        assert result.table().overall()["mpjpe"] == pytest.approx(wanted, rel=1e-4)
    half = told("a", 6)
    half.positions[1, 3] = math.nan
    with pytest.raises(DataError, match="frame 1: joint 'Rankle' has no position"):
        evaluation([half])
    marked.positions[:] = math.nan
    with pytest.raises(DataError, match="none in any frame"):
        evaluation([marked])


def test_clips_of_one_recording_are_one_unit_whatever_their_camera() -> None:
    tags = {"recording": "S9/Walking 1"}
    result = evaluation([told("a", 4, tags={**tags, "camera": "1"}), told("b", 4, tags={**tags, "camera": "2"})])
    assert {row.recording for row in result.table().rows} == {"S9/Walking 1"}


def test_data_of_another_skeleton_need_the_common_joints_themselves(tmp_path: Path) -> None:
    """Mapping makes a head of ears and shoulders for COCO; nobody annotated it, so it is in common with nothing."""
    model = create("mixste", Skeleton.load("h36m17"), frames=3, channels=8, depth=1, heads=2)
    path = save(model, tmp_path / "m.safetensors")

    def written(name: str) -> EvaluateConfig:
        skeleton = Skeleton.load(name)
        assert skeleton.rest is not None
        rest = torch.tensor(skeleton.rest, dtype=torch.float32).expand(6, -1, -1)
        write(MotionClip(skeleton, 30.0, positions=rest.clone(), name=name), tmp_path / f"{name}.npz")
        return EvaluateConfig(accelerator="cpu", common_joints=14, data={"paths": [str(tmp_path / f"{name}.npz")]})

    result = evaluate(path, written("cmu31"), progress=False)
    assert len(result.measured["joints"]) == 14 and math.isfinite(result.table().overall()["mpjpe"])
    with pytest.raises(SkeletonError, match="'coco17': it has no neck, head_top"):
        evaluate(path, written("coco17"), progress=False)


# -- several hypotheses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["exact", "published"])
def test_hypotheses_are_measured_by_their_mean_and_oracles_stand_beside(protocol: str, tmp_path: Path) -> None:
    lifter = ToldTruth(lambda pose, badly, frame: pose)
    offsets = torch.tensor([0.03, -0.01, 0.07])

    def propose(x: torch.Tensor) -> torch.Tensor:
        pose = torch.cat([x[..., :2], 2.0 * x[..., 2:] - 1.0], dim=-1)
        pose[..., 0, :] = 0.0
        return torch.stack([pose + offset * torch.tensor([0.0, 0.0, 1.0]) for offset in offsets])

    result = evaluate_hypotheses(lifter, propose, [told("a", 6)], views=OWN, progress=False, protocol=protocol)
    overall = result.table().overall()
    assert overall["mpjpe"] == pytest.approx(30.0, rel=1e-4)
    assert overall["oracle_p_best_mpjpe"] == pytest.approx(10.0, rel=1e-4)
    assert overall["oracle_j_best_mpjpe"] == pytest.approx(10.0, rel=1e-4)
    content = saved(tmp_path, result)
    kinds = {name: entry["oracle"] for name, entry in content["metrics"].items()}
    assert kinds["mpjpe"] is None and kinds["oracle_p_best_mpjpe"] == "p_best"
    assert all((entry["oracle"] is not None) == ("oracle" in entry["label"]) for entry in content["metrics"].values())
    torch.testing.assert_close(result.clips[0].error, torch.full((6, 17), 0.03), atol=1e-5, rtol=0)


# -- broken files ------------------------------------------------------------------------------------------------------


def test_broken_files_are_one_clear_line(tmp_path: Path) -> None:
    path = evaluation().save(tmp_path / "out") / "evaluation.json"
    whole = json.loads(path.read_text())

    def refused(content: str | bytes | dict[str, Any], match: str) -> None:
        broken = tmp_path / "broken.json"
        data = json.dumps(content) if isinstance(content, dict) else content
        broken.write_bytes(data if isinstance(data, bytes) else data.encode())
        with pytest.raises(FormatError, match=match) as caught:
            read_result(broken)
        assert "broken.json" in str(caught.value) and "\n" not in str(caught.value)

    refused(path.read_bytes()[:-200], "is the file complete")
    refused(b"", "expected JSON")
    refused(b"\xff\xfe{}", "byte 0")
    refused("[" * 100_000, "expected JSON")
    refused("[1, 2]", "expected the evaluation.json that `graphpose evaluate --out FOLDER` writes")
    refused({**whole, "format": "other"}, "got other JSON")
    refused({**whole, "schema": 99}, "schema 99, this graphpose reads 1: evaluate again")
    refused({key: value for key, value in whole.items() if key != "views"}, "views: expected list")
    refused({**whole, "views": [{**whole["views"][0], "errors": "none"}]}, r"views\[0\]\.errors: expected dict")
    refused({**whole, "views": [1]}, r"views\[0\]: no mapping")
    for weights in ({"mpjpe": -1.0}, {"mpjpe": "two"}, {}):
        view = {**whole["views"][0], "weights": {**whole["views"][0]["weights"], **weights} if weights else {}}
        refused({**whole, "views": [view]}, "errors and weights of mpjpe: expected numbers")
    for table in ("overall", "frame_average", "action_average"):
        lacking = {name: value for name, value in whole[table].items() if name != "mpjpe"}
        refused({**whole, table: lacking}, rf"{table}\.mpjpe: expected a number \(it is absent\)")
    for wrong_one, said in (("x", "got 'x'"), (True, "got True"), ([1], r"got \[1\]")):
        table = {**whole["by_action"], "walk": {**whole["by_action"]["walk"], "mpjpe": wrong_one}}
        refused({**whole, "by_action": table}, rf"by_action\.walk\.mpjpe: expected a number \({said}\)")
    for key, value in (("joints", 3), ("joints", [[]]), ("detections", [None])):
        refused({**whole, "measured": {**whole["measured"], key: value}}, rf"measured\.{key}: expected a list of texts")
    refused({**whole, "measured": {**whole["measured"], "keypoint_noise": "x"}}, "keypoint_noise: expected a number")
    refused({**whole, "measured": {"seed": math.inf}}, "expected JSON.*Infinity is no number of JSON")
    refused({**whole, "marks": 3}, "marks: expected a list of texts")
    refused({**whole, "views": [{**whole["views"][0], "errors": {}}]}, "errors and weights of mpjpe: expected numbers")
    refused({**whole, "by_action": {"walk": 3}}, r"by_action\.walk: no mapping")
    refused({**whole, "metrics": {"mpjpe": 1}}, r"metrics\.mpjpe: no mapping")
    refused({**whole, "metrics": {"mpjpe": {"label": "MPJPE", "unit": "mm"}}}, r"higher_is_better: expected bool")
    with pytest.raises(FormatError, match="cannot be read"):
        read_result(tmp_path / "absent.json")


def test_a_failing_write_leaves_the_old_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = evaluation()
    path = result.save(tmp_path) / "evaluation.json"
    before = path.read_bytes()
    result.info = {"model": object()}
    with pytest.raises(DataError, match="a result file cannot hold a object"):
        result.save(tmp_path)
    assert path.read_bytes() == before
    assert not [file.name for file in tmp_path.iterdir() if "part" in file.name]
