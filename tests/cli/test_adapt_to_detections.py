"""Adapting to what 2D detectors write: from their files, by the command line, to a lifter on another skeleton."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from formats.detections import coco, write_coco, write_mmpose, write_openpose
from noted_engine import refused

import graphpose
from graphpose.adaptation import TargetKeypoints
from graphpose.cli.main import main
from graphpose.formats import write
from graphpose.geometry import Camera, denormalize_screen
from graphpose.motion import MotionClip
from graphpose.skeleton import Skeleton

TRAIN = """\
data: {fps: null, frames: 5, batch_size: 8, views: {azimuths: [30.0]}, split: {by: subject, test: [C], val: [B]}}
model: {name: mixste, options: {channels: 8, depth: 1, heads: 2}}
run: {max_epochs: 1, accelerator: cpu, log_every: 1}
"""
ADAPT = """\
augmentation: {warmup_steps: 1, channels: 8}
run: {max_epochs: null, max_steps: 1, accelerator: cpu, log_every: 1}
"""
WIDTH, HEIGHT, FRAMES, HIDDEN, EMPTY = 1280, 720, 20, 7, 11
CAMERA = Camera.look_at([0.0, 2.0, 5.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0], focal=1.7)
SIZE = "{image_size: [1280, 720]}"
DETECTORS = {"openpose": "openpose25", "coco": "coco17", "alphapose": "halpe26", "mmpose": "coco17"}


def strolling(name: str, frames: int, *, clip: str = "", subject: str = "A") -> MotionClip:
    """The rest pose of a skeleton, trembling while it goes to the side."""
    skeleton = Skeleton.load(name)
    random = torch.Generator().manual_seed(len(skeleton) + ord(subject))
    rest = torch.tensor(np.array(skeleton.rest), dtype=torch.float32)
    path = torch.zeros(frames, 1, 3)
    path[:, 0, 0] = torch.linspace(-0.5, 0.5, frames)
    positions = rest + path + 0.01 * torch.randn(frames, *rest.shape, generator=random)
    return MotionClip(skeleton, 25.0, positions=positions, name=clip, subject=subject)


def detected(name: str) -> tuple[list[list[Any]], MotionClip]:
    """What a detector sees of a person and of a smaller one behind, in each frame; and the person's own keypoints."""
    clip = strolling(name, FRAMES)
    seen, behind = (
        denormalize_screen(CAMERA.project(CAMERA.world_to_camera(clip.positions + torch.tensor(shift))), WIDTH, HEIGHT)
        for shift in ([0.0, 0.0, 0.0], [1.5, 0.0, -6.0])
    )
    people = []
    for frame in range(FRAMES):
        both = [np.concatenate([p[frame].numpy(), np.full((len(clip.skeleton), 1), 0.8)], -1) for p in (behind, seen)]
        people.append(both if frame % 2 else both[::-1])
    people[EMPTY] = []
    for person in people[HIDDEN]:
        person[0] = 0.0  # the nose of both
    bare = clip.seen_by(CAMERA).replace(positions=None, camera=None)
    return people, bare


def write_files(detector: str, folder: Path) -> Path:
    people, _ = detected(DETECTORS[detector])
    if detector == "openpose":
        return write_openpose(folder / "openpose", people)
    if detector == "mmpose":
        return write_mmpose(folder / "mmpose.json", people)
    names: list[Any] = [f"{i}.jpg" if detector == "alphapose" else i for i in range(FRAMES)]
    return write_coco(folder / f"{detector}.json", [coco(names[i], p) for i, both in enumerate(people) for p in both])


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_target_is_the_person_whom_the_detector_saw(detector: str, tmp_path: Path) -> None:
    path = write_files(detector, tmp_path)
    clips = graphpose.read_all(path, fps=25, image_size=(WIDTH, HEIGHT))
    h36m = Skeleton.load("h36m17")
    target = TargetKeypoints.from_clips(clips, h36m, fps=25, focal=1.7)
    truth = TargetKeypoints.from_clips([detected(DETECTORS[detector])[1]], h36m, fps=25, focal=1.7)
    seen = torch.ones(FRAMES, dtype=torch.bool)
    seen[EMPTY] = False
    assert torch.equal(target.usable, seen) and not target.visible[EMPTY].any()
    nose = h36m.index("nose")
    hidden = (~target.visible[HIDDEN]).nonzero()[:, 0].tolist()
    assert nose in hidden and len(hidden) <= 3  # joints that the mapping takes from the nose
    assert target.visible[seen].sum() == int(seen.sum()) * 17 - len(hidden)
    both = target.visible & truth.visible
    torch.testing.assert_close(target.keypoints[both], truth.keypoints[both], atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lifter of Human3.6M's joints, and the files of each detector."""
    folder = tmp_path_factory.mktemp("detections")
    (folder / "clips").mkdir()
    for subject in "ABC":
        write(strolling("h36m17", 30, clip=f"walk{subject}", subject=subject), folder / "clips" / f"walk{subject}.npz")
    (folder / "train.yaml").write_text(TRAIN)
    (folder / "adapt.yaml").write_text(ADAPT)
    words = ["train", "--config", "{w}/train.yaml", "--data", "{w}/clips", "--output", "{w}/source"]
    assert main([word.format(w=folder) for word in words]) == 0
    for detector in DETECTORS:
        write_files(detector, folder)
    return folder


def adapting(world: Path, output: str, target: str, *more: str) -> list[str]:
    words = [
        "adapt",
        "--config",
        "{w}/adapt.yaml",
        "--checkpoint",
        "{w}/source/last.safetensors",
        "--source",
        "{w}/clips",
    ]
    words += ["--target", f"{{w}}/{target}", "--output", f"{{w}}/{output}", "--target.view_angle", "61"]
    return [word.format(w=world) for word in words] + list(more)


@pytest.mark.parametrize("target", ["openpose", "alphapose.json"])
def test_a_lifter_is_adapted_to_them(world: Path, target: str) -> None:
    words = ["--target.recorded_fps", "25", "--target.reader_options", SIZE]
    assert main(adapting(world, f"to_{target}", target, *words)) == 0
    kept = yaml.safe_load((world / f"to_{target}" / "config.yaml").read_text())["target"]
    assert kept["recorded_fps"] == 25 and kept["reader_options"] == {"image_size": [1280, 720]}
    metadata = graphpose.models.read_metadata(world / f"to_{target}" / "last.safetensors")
    told = json.loads(metadata["data_statement"])["adapted_to"]
    assert told.startswith("TargetKeypoints(1 clip, 20 frames, 19 usable, h36m17 at 25 fps")
    assert told.endswith("), focal length 1.7 (given); tilt as the source's, source 6.4 on average"), told


def test_what_the_files_do_not_tell_is_asked_for_as_options_of_adapt(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, 1, *adapting(world, "asked", "openpose"))
    assert "adapt: --target.recorded_fps" in told and "--target.reader_options '{image_size: 1920x1080}'" in told
    words = ["--target.recorded_fps", "25", "--target.reader_options", "{image_size: 1280}"]
    assert "expected image_size as width and height" in refused(
        capsys, 1, *adapting(world, "asked", "coco.json", *words)
    )
