"""Every command answers every kind of broken input with one line on stderr, an exit code and, with --debug, a traceback."""

from __future__ import annotations

import contextlib
import copy
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import graphpose
from graphpose.cli.main import main
from graphpose.engine.callbacks import StopTraining

SKELETON = """\
name: biped5
joints: {hip: null, l_knee: hip, l_foot: l_knee, r_knee: hip, r_foot: r_knee}
pairs: [[l_knee, r_knee], [l_foot, r_foot]]
"""
BVH = """\
HIERARCHY
ROOT hip
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  End Site
  {
    OFFSET 0 10 0
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 90 0 0 0 0
0 90 x 0 0 0
"""
SETTINGS: dict[str, Any] = {
    "data": {
        "frames": 5,
        "batch_size": 4,
        "views": {"azimuths": [30.0], "distance": 5.0},
        "split": {"by": "subject", "test": ["C"], "val": ["B"]},
        "noise": 0.0,
        "flip": True,
        "fps": 30.0,
    },
    "model": {"name": "mixste", "options": {"channels": 8, "depth": 1, "heads": 2}},
    "optim": {"lr": 0.001, "betas": [0.9, 0.99], "schedule": "constant", "loss": "ktpformer", "loss_options": {}},
    "run": {"max_epochs": 1, "accelerator": "cpu", "log_every": 1, "seed": 0, "precision": "32-true"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound files of each kind beside broken ones, and a finished run."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "biped.yaml").write_text(SKELETON)
    (folder / "clips").mkdir()
    rng = np.random.default_rng(0)
    rest = np.array([[0, 1, 0], [0.1, 0.5, 0], [0.1, 0.1, 0], [-0.1, 0.5, 0], [-0.1, 0.1, 0]])
    for subject in "ABC":
        np.savez(
            folder / "clips" / f"{subject}.npz",
            positions=(rest + 0.02 * rng.normal(size=(12, 5, 3))).astype(np.float32),
            fps=30.0,
            joints=np.array(["hip", "l_knee", "l_foot", "r_knee", "r_foot"]),
            parents=np.array([-1, 0, 1, 0, 3]),
            subject=subject,
            action="walk",
        )
    (folder / "good.yaml").write_text(yaml.safe_dump(SETTINGS))
    words = ["--config", folder / "good.yaml", "--data", folder / "clips", "--data.skeleton", folder / "biped.yaml"]
    assert main(["train", *map(str, words), "--output", str(folder / "run")]) == 0

    broken: dict[str, str] = {
        "unknown_key.yaml": "data: {framez: 3}",
        "wrong_type.yaml": "data: {frames: many}",
        "wrong_value.yaml": "data: {frames: 0}",
        "not_yaml.yaml": "data: {frames: 3",
        "twice.yaml": "data: {frames: 3, frames: 4}",
        "list.yaml": "- 1\n- 2\n",
        "itself.yaml": "data: &a {paths: *a}\n",
        "deep.yaml": "data: " + "[" * 1000 + "]" * 1000,
        "cycle.yaml": "name: c\njoints: {root: null, a: b, b: a}\n",
        "two_roots.yaml": "name: c\njoints: {a: null, b: null}\n",
        "stranger.yaml": "name: c\njoints: {a: null, b: nobody}\n",
        "no_joints.yaml": "name: c\n",
        "colour.yaml": "name: c\njoints: {a: null}\ncolour: red\n",
        "broken.bvh": BVH,
        "cut.bvh": BVH[:100],
        "empty.bvh": "",
        "text.npz": "no zip at all",
        "no_motion.asf": ":version 1.10\n",
    }
    for name, text in broken.items():
        (folder / name).write_text(text)
    (folder / "binary.yaml").write_bytes(b"data: \xff\xfe")
    (folder / "binary.bvh").write_bytes(bytes(range(256)))
    np.savez(folder / "nothing.npz", other=np.zeros(3))
    np.savez(folder / "nan.npz", positions=np.full((12, 17, 3), np.nan), fps=30.0)
    np.savez(folder / "nameless.npz", positions=np.zeros((12, 4, 3)), fps=30.0)
    np.savez(folder / "keypoints.npz", keypoints=np.zeros((12, 17, 2)), fps=30.0)
    (folder / "link.npz").symlink_to(folder / "keypoints.npz")
    for suffix in ("bin", "pth", "pt"):
        (folder / f"weights.{suffix}").write_bytes(b"\x80\x02}q\x00.")
    (folder / "empty").mkdir()
    (folder / "lonely").mkdir()
    (folder / "lonely" / "motion.amc").write_text(":FULLY-SPECIFIED\n:DEGREES\n1\nroot 0 0 0 0 0 0\n")
    (folder / "half_run").mkdir()
    shutil.copy(folder / "run" / "config.yaml", folder / "half_run" / "config.yaml")
    (folder / "other_run").mkdir()
    other = (folder / "run" / "config.yaml").read_text().replace("channels: 8", "channels: 16")
    (folder / "other_run" / "config.yaml").write_text(other)
    shutil.copy(folder / "run" / "last.ckpt", folder / "other_run" / "last.ckpt")
    (folder / "damaged_run").mkdir()
    shutil.copy(folder / "run" / "config.yaml", folder / "damaged_run" / "config.yaml")
    (folder / "damaged_run" / "last.ckpt").write_bytes((folder / "run" / "last.ckpt").read_bytes()[:500])
    published = graphpose.models.create("mixste", "h36m17", frames=3, channels=8, depth=1, heads=2)
    graphpose.models.save(published, folder / "published.safetensors", data_statement="by its authors")
    (folder / "damaged.safetensors").write_bytes((folder / "run" / "best.safetensors").read_bytes()[:500])
    return folder


TRAIN = "train --config {w}/good.yaml --data {w}/clips --data.skeleton {w}/biped.yaml --output {w}/new"
CASES = {
    # configuration
    "train --config {w}/unknown_key.yaml --data {w}/clips": "unknown key 'framez' (did you mean 'frames'?)",
    "train --config {w}/wrong_type.yaml --data {w}/clips": "data.frames: expected a whole number (got str 'many')",
    "train --config {w}/wrong_value.yaml --data {w}/clips": "data.frames: expected at least 1 (got 0)",
    "train --config {w}/not_yaml.yaml --data {w}/clips": "not_yaml.yaml:1: not valid YAML",
    "train --config {w}/twice.yaml --data {w}/clips": "'frames' stands twice",
    "train --config {w}/list.yaml --data {w}/clips": "expected a mapping of settings (got list)",
    "train --config {w}/binary.yaml --data {w}/clips": "binary.yaml: expected UTF-8 text",
    "train --config {w}/itself.yaml --data {w}/clips": "itself.yaml",
    "train --config {w}/deep.yaml --data {w}/clips": "nested too deeply",
    "train --config {w}/missing.yaml --data {w}/clips": "missing.yaml: no such file",
    "train --config {w}/empty --data {w}/clips": "empty: no such file",
    TRAIN + " --model.options.chanels 8": "did you mean 'channels'",
    TRAIN + " --model.options.channels 9": "channels divisible by heads",
    TRAIN + " --model.name mixst": "unknown model 'mixst' (did you mean 'mixste'?)",
    TRAIN + " --model.options.mlp_ratio inf": "expected mlp_ratio > 0, and channels times it below 2^31 (got inf)",
    TRAIN + " --model.options.channels 1" + "0" * 30: "expected channels <= 2147483647",
    TRAIN + " --data.frames 1" + "0" * 30: "data.frames: expected at most 1000000",
    TRAIN + " --model.options.skeleton h36m17": "set data.skeleton",
    TRAIN + " --model.options.frames 9": "model.options.frames: expected data.frames, 5 (got 9)",
    TRAIN + " --data.reader_options.fps 30": "data.reader_options: expected options of a format",
    TRAIN + " --model.options.name x": "unknown key 'name'",
    TRAIN + " --optim.loss_options.name x": "unknown option of loss 'ktpformer' 'name'",
    TRAIN + " --optim.loss_options.temporal null": "loss term 'temporal' (got None)",
    TRAIN + " --optim.loss ktp": "unknown loss 'ktp' (did you mean 'ktpformer'?)",
    TRAIN + " --run.strategy nonsense": "strategy 'nonsense'",
    TRAIN + " --run.accelerator mps": "accelerator 'mps' is not there",
    TRAIN.replace("{w}/new", "{w}/good.yaml"): "good.yaml: File exists",
    TRAIN + " --run.patience 2 --data.split.val 0": "run.patience: early stopping needs validation clips",
    # skeletons
    TRAIN + " --data.skeleton {w}/cycle.yaml": "cycle",
    TRAIN + " --data.skeleton h36m16": "did you mean 'h36m17'",
    TRAIN + " --data.skeleton h36m17": "no mapping from skeleton",
    TRAIN + " --data.mapping {w}/good.yaml": "good.yaml",
    "skeleton show {w}/two_roots.yaml": "two_roots.yaml",
    "skeleton show {w}/empty": "empty",
    "skeleton check {w}/cycle.yaml": "cycle.yaml",
    "skeleton check {w}/stranger.yaml": "nobody",
    "skeleton check {w}/no_joints.yaml": "no_joints.yaml",
    "skeleton check {w}/colour.yaml": "colour.yaml: unknown key 'colour'; choose from: name, ",
    "skeleton check {w}/binary.yaml": "binary.yaml",
    "skeleton check {w}/deep.yaml": "nested too deeply",
    "skeleton check {w}/missing.yaml": "missing.yaml",
    # clips
    **{
        f"data info {{w}}/{name}": f"{name}{where}"
        for name, where in {
            "broken.bvh": ":15: ",
            "cut.bvh": "",
            "empty.bvh": "",
            "binary.bvh": "",
            "lonely/motion.amc": ": an AMC file needs its skeleton",
            "text.npz": "",
            "nothing.npz": ": expected an array positions or keypoints",
            "nameless.npz": ": 4 joints without names",
            "no_motion.asf": "",
            "good.yaml": ": expected a motion file",
            "empty": ": no motion file in this folder",
            "missing.bvh": ": no such file",
        }.items()
    },
    "data check {w}/cut.bvh": "cut.bvh",
    "data check {w}/empty": "empty: no motion file",
    "data check {w}/clips/A.npz --skeleton h36m17": "no mapping from skeleton",
    "data check {w}/clips/A.npz --skeleton {w}/biped.yaml --mapping {w}/missing.yaml": "missing.yaml",
    "data info {w}/clips --scale -1": "expected scale above 0",
    "train --config {w}/good.yaml --data {w}/broken.bvh --output {w}/new": "broken.bvh:15: ",
    "train --config {w}/good.yaml --data {w}/empty --output {w}/new": "empty: no motion file",
    "train --config {w}/good.yaml --data {w}/nan.npz --data.split.test [] --data.split.val 0 --output {w}/new": "no position",
    TRAIN + " --data.fps 1000": "has 30 frames/s, data.fps asks for 1000",
    TRAIN + " --data.views.height 1e30": "line of sight",
    # splits
    TRAIN + " --data.split.test [D]": "unknown subject in the split 'D'",
    TRAIN + " --data.split.test [A,B,C] --data.split.val 0": "no clip is left to train on",
    TRAIN + " --data.split.by tag": "no clip has a tag to split by ('C' was asked for)",
    TRAIN + " --data.split.by file --data.split.test [A] --data.split.val [X]": "unknown file in the split 'X'",
    # resuming
    "train --resume {w}/empty": "expected a run folder with a config.yaml",
    "train --resume {w}/missing": "expected a run folder with a config.yaml",
    "train --resume {w}/half_run": "last.ckpt: no such checkpoint, the run was stopped before it wrote its first",
    "train --resume {w}/damaged_run": "last.ckpt: cannot be resumed, it is damaged",
    "train --resume {w}/other_run --run.max_epochs 2": "cannot be resumed with this model",
    # checkpoints
    "evaluate {w}/missing.safetensors": "missing.safetensors: no such checkpoint",
    "evaluate {w}/run": "a folder: name the checkpoint in it",
    "evaluate {w}/damaged.safetensors": "damaged.safetensors: not a readable safetensors file",
    "evaluate {w}/good.yaml": "good.yaml: expected a .safetensors file of a run folder (got a .yaml file)",
    "evaluate {w}/run/config.yaml": "/run/best.safetensors or ",
    "evaluate {w}/run/last.ckpt": "/run/last.safetensors (got the state to --resume a training from)",
    "predict {w}/run/last.ckpt {w}/keypoints.npz {w}/out.npz": "expected {w}/run/best.safetensors or ",
    "evaluate {w}/weights.bin": "not a checkpoint of graphpose; if these are published weights, read them in Python with "
    "graphpose.models.from_published",
    "evaluate {w}/weights.pth": "graphpose.models.from_published",
    "evaluate {w}/weights.pt": "graphpose.models.from_published",
    "evaluate {w}/published.safetensors": "published.safetensors: no training data are recorded in it, so there are no "
    "clips to evaluate on: give --data FILE_OR_FOLDER",
    "evaluate {w}/run/best.safetensors --data {w}/missing.npz": "missing.npz: no such file",
    "evaluate {w}/run/best.safetensors --data {w}/nothing.npz": "nothing.npz: expected an array",
    "evaluate {w}/run/best.safetensors --data {w}/keypoints.npz": "no mapping from skeleton 'h36m17' to 'biped5'",
    "evaluate {w}/run/best.safetensors --data {w}/clips --data.split.test [Q]": "unknown subject in the split 'Q'",
    "evaluate {w}/run/best.safetensors --part val --data.split.val 0": "no clips for part 'val'",
    "evaluate {w}/run/best.safetensors --data.frames 9": "best.safetensors lifts windows of 5 frames (got 9)",
    "evaluate {w}/run/best.safetensors --accelerator mps": "accelerator 'mps' is not there",
    "evaluate {w}/run/best.safetensors --out {w}/good.yaml": "good.yaml: File exists",
    "predict {w}/damaged.safetensors {w}/keypoints.npz {w}/out.npz": "damaged.safetensors",
    "predict {w}/run/best.safetensors {w}/keypoints.npz {w}/out.npz": "expected the 5 joints of "
    "skeleton 'biped5' (got keypoints [12, 17, 2]); name theirs with --skeleton",
    "predict {w}/run/best.safetensors {w}/missing.npz {w}/out.npz": "missing.npz: no such file",
    "predict {w}/run/best.safetensors {w}/text.npz {w}/out.npz": "text.npz",
    "predict {w}/run/best.safetensors {w}/clips/A.npz {w}/out.npz": "no 2D keypoints to lift",
    "predict {w}/run/best.safetensors {w}/keypoints.npz {w}/keypoints.npz": "keypoints.npz: expected another file than the "
    "input, which would be lost",
    "predict {w}/run/best.safetensors {w}/keypoints.npz {w}/clips/../keypoints.npz": "expected another file than the input",
    "predict {w}/run/best.safetensors {w}/link.npz {w}/keypoints.npz": "expected another file than the input",
    "predict {w}/run/best.safetensors {w}/keypoints.npz {w}/new/out.xyz": "expected a motion file",
    "predict {w}/run/best.safetensors {w}/keypoints.npz {w}/new/out.amc": "expected the 5 joints",
    "predict {w}/run/best.safetensors {w}/clips {w}/out.npz": "clips: expected one clip to lift (got 3: ",
    # models
    "model describe nothing": "unknown model 'nothing'",
}


@pytest.mark.parametrize("words", CASES, ids=lambda words: words.replace("{w}/", ""))
def test_bad_input_is_one_line_and_an_exit_code(
    words: str, world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "mps" in words:
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    message = CASES[words].replace("{w}", str(world))
    before = sorted(world.rglob("*"))
    given = words.format(w=world).split()
    assert main(given) == 1
    text = capsys.readouterr().err
    lines = [line for line in text.replace("\r", "\n").splitlines() if line and "evaluating" not in line]
    assert len(lines) == 1, text
    assert lines[0].startswith("graphpose: error: ")
    assert message in lines[0]
    assert "Traceback" not in text
    assert sorted(world.rglob("*")) == before, "nothing is written"
    assert main([*given, "--debug"]) == 1
    text = capsys.readouterr().err
    if not words.startswith(("skeleton check", "data check")):  # which gather faults rather than fail
        assert "Traceback (most recent call last)" in text
    assert text.splitlines()[-1].startswith("graphpose: error: ")


@pytest.mark.parametrize("message", ["CUDA out of memory. Tried to allocate 2 GiB", "can't allocate memory: 40 bytes"])
def test_too_little_memory_is_one_line_too(
    message: str, world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(L.Trainer, "fit", full)
    words = TRAIN.replace("/new", "/full").format(w=world).split()
    assert main(words) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("graphpose: error: out of memory; use a smaller data.batch_size, data.frames or model (")
    assert main([*words, "--debug"]) == 1
    assert "RuntimeError" in capsys.readouterr().err


# -- any configuration ------------------------------------------------------------------------------------------------

VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.sampled_from([10**30, -(10**30)]),
    st.floats(),
    st.sampled_from(
        ["", "auto", "C", "h36m17", "clips", "\x00", "a\nb", "\u20ac", "(", "1e-3", "nan", "~", "2020-01-01"]
    ),
    st.text(max_size=6),
    st.lists(st.integers(-2, 3) | st.text(max_size=2), max_size=3),
    st.dictionaries(st.sampled_from(["a", "frames", "channels"]), st.integers(-2, 9), max_size=2),
)
LEAVES = [
    *((section, key) for section in SETTINGS for key in SETTINGS[section]),
    *(("data", "views", key) for key in ("kind", "azimuths", "distance", "height", "focal", "count")),
    *(("data", "split", key) for key in ("by", "test", "val", "seed")),
    *(("model", "options", key) for key in ("channels", "depth", "heads", "drop_path", "prior", "mlp_ratio")),
    *(("data", key) for key in ("stride", "sampling", "missing", "confidence", "scale", "mapping", "name_pattern")),
    *(("data", key) for key in ("recorded_fps", "reader_options")),
    ("model", "options", "frames"),
    *(("optim", key) for key in ("weight_decay", "gamma", "warmup_steps")),
    *(("run", key) for key in ("max_steps", "clip_grad", "patience", "devices", "strategy", "deterministic", "output")),
    ("data",),
    ("optim", "loss_options", "temporal"),
]


@contextlib.contextmanager
def no_fitting() -> Iterator[None]:
    """Everything up to the first step of the training, which then ends as if Ctrl-C had been pressed."""

    def stop(*_: object, **__: object) -> None:
        raise StopTraining

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(L.Trainer, "fit", stop)
        yield


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=80)
@given(
    changes=st.lists(st.tuples(st.sampled_from(LEAVES), VALUES), min_size=1, max_size=2),
    stray=st.none() | st.tuples(st.sampled_from(["data", "model", "optim", "run"]), st.text(max_size=6)),
)
def test_no_configuration_ends_in_a_traceback(
    world: Path,
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[tuple[str, ...], Any]],
    stray: tuple[str, str] | None,
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    content = copy.deepcopy(SETTINGS)
    content["data"] |= {"paths": [str(world / "clips")], "skeleton": str(world / "biped.yaml")}
    content["run"]["output"] = str(folder / "run")
    for path, value in changes:
        below = content
        for key in path[:-1]:
            below = below[key] if isinstance(below.get(key), dict) else below.setdefault(key + "_", {})
        if path[-1] == "output" and isinstance(value, str):
            value = str(folder / value.strip("/.")) if value.strip("/.") else str(folder)
        below[path[-1]] = value
    if stray is not None and isinstance(content[stray[0]], dict):
        content[stray[0]][stray[1]] = 1
    (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with no_fitting(), contextlib.redirect_stderr(io.StringIO()) as stderr:
        code = main(["train", "--config", str(folder / "config.yaml")])
    text = stderr.getvalue()
    assert code in (1, 130), text
    lines = [line for line in text.splitlines() if not line.startswith("graphpose: warning: ")]
    assert len(lines) == 1 and lines[0].startswith("graphpose: error: "), text
