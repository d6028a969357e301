"""A training and an adaptation that are killed within an epoch go on from steps ago, as if they had not been killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from walkers import walker

import graphpose
from graphpose.cli.main import main
from graphpose.config import ViewsConfig
from graphpose.datasets import Views, view_clip
from graphpose.formats import write
from graphpose.motion import MotionClip

STEPS, SAVE_EVERY = 9, 3
RUN = f"run: {{max_epochs: null, max_steps: {STEPS}, save_every: {SAVE_EVERY}, accelerator: cpu, log_every: 1}}"
TRAIN = f"""\
data: {{frames: 5, batch_size: 2, views: {{azimuths: [30.0]}}, split: {{by: subject, test: [C], val: [B]}}}}
model: {{name: mixste, options: {{channels: 8, depth: 1, heads: 2, drop_path: 0.2}}}}
{RUN}
"""
ADAPT = f"""\
augmentation: {{warmup_steps: 1, channels: 8, samples_every: 2}}
{RUN}
"""
KILLED = """\
import os, signal, sys
import torch
from graphpose.cli.main import main
from graphpose.engine import LiftingModule

place, step, *words = sys.argv[1:]
save, start = torch.save, LiftingModule.on_train_batch_start

def killed_save(content, path):
    save(content, path)
    if content["global_step"] == int(step):
        os.truncate(path, os.path.getsize(path) // 2)  # as if only half of it had been written
        os.kill(os.getpid(), signal.SIGKILL)

def killed_step(self, batch, batch_idx):
    start(self, batch, batch_idx)
    if self.global_step == int(step):
        os.kill(os.getpid(), signal.SIGKILL)

if place == "in a save":
    torch.save = killed_save
else:
    LiftingModule.on_train_batch_start = killed_step
main(words)
"""
"""Runs a command, and kills itself by SIGKILL in the save after a step or in the step after it."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of three walkers, keypoints of another, and a run that was trained on the clips without a stop."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "clips").mkdir()
    for i, subject in enumerate("ABC"):
        write(walker(80, f"walk{i}", phase=i, subject=subject), folder / "clips" / f"walk{i}.npz")
    there = walker(30, "there", phase=0.7)
    [view] = view_clip(there, Views.from_config(ViewsConfig(azimuths=(80.0,), distance=7.0, height=3.5, focal=1.5)))
    seen = MotionClip(there.skeleton, 30.0, keypoints=view.x[..., :2], camera=view.camera, name="there")
    write(seen, folder / "there.npz")
    (folder / "train.yaml").write_text(TRAIN)
    (folder / "adapt.yaml").write_text(ADAPT)
    assert main(command("train", folder, "train_whole")) == 0
    return folder


def command(name: str, world: Path, output: str) -> list[str]:
    words = [name, "--config", f"{world}/{name}.yaml", "--output", f"{world}/{output}", "--no-progress"]
    if name == "train":
        return [*words, "--data", f"{world}/clips"]
    checkpoint = f"{world}/train_whole/last.safetensors"
    return [*words, "--checkpoint", checkpoint, "--source", f"{world}/clips", "--target", f"{world}/there.npz"]


@pytest.mark.parametrize(("name", "place", "step"), [("train", "in a save", 6), ("adapt", "in a step", 5)])
def test_a_killed_run_goes_on_from_few_steps_ago_and_ends_the_same(
    name: str, place: str, step: int, world: Path
) -> None:
    whole, cut = world / f"{name}_whole", world / f"{name}_cut"
    if not whole.exists():
        assert main(command(name, world, whole.name)) == 0
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, place, str(step), *command(name, world, cut.name)],
        env={**os.environ, "PYTHONPATH": str(Path(graphpose.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    checkpoint = torch.load(cut / "last.ckpt", weights_only=False)
    assert checkpoint["global_step"] == SAVE_EVERY, f"killed at step {step}, so no more than save_every are lost"
    assert checkpoint["epoch"] == 0, "no epoch had ended"
    assert not (cut / "last.safetensors").exists()

    assert main([name, "--resume", str(cut), "--no-progress"]) == 0
    assert not list(cut.glob(".*")), "what the kill left half written is gone"
    one, other = (graphpose.load(run / "last.safetensors").state_dict() for run in (whole, cut))
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key
    ends = [torch.load(run / "last.ckpt", weights_only=False) for run in (whole, cut)]
    assert [end["global_step"] for end in ends] == [STEPS, STEPS]
    for key, value in ends[0]["state_dict"].items():  # of generator and discriminators too, where there are
        assert torch.equal(value, ends[1]["state_dict"][key]), key
