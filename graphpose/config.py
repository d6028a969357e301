"""What a training or an evaluation is told: typed, documented, validated settings that YAML and the command line share.

    TrainConfig = data (clips, cameras, windows, split) + model (name, options) + optim (steps, loss) + run (length,
    machine)

Nothing here imports torch. `TrainConfig.from_yaml("demo")` finds a bundled recipe, or a file by its path; `to_yaml`
writes the resolved settings that are kept beside the weights. Every fault is a `ConfigError` that names the key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from graphpose.errors import ConfigError
from graphpose.recipe_files import find_recipe, load_settings, recipes
from graphpose.structured import build, plain

__all__ = [
    "DataConfig",
    "EvaluateConfig",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "SplitConfig",
    "TrainConfig",
    "ViewsConfig",
    "find_recipe",
    "recipes",
]

_LONGEST = 1_000_000  # frames of a window, beyond which nothing fits into memory


def _require(condition: bool, name: str, expected: str, got: object) -> None:
    if not condition:
        raise ConfigError(f"{name}: expected {expected} (got {got!r})")


def _positive(name: str, value: float | None, *, optional: bool = False) -> None:
    if not (optional and value is None):
        _require(value is not None and math.isfinite(value) and value > 0, name, "a number above 0", value)


def _share(name: str, value: float) -> None:
    _require(math.isfinite(value) and 0 <= value < 1, name, "a share in [0, 1)", value)


@dataclass(frozen=True)
class ViewsConfig:
    """The cameras that see a clip which has 3D positions.

    Attributes:
        kind: "static" stands still around the mean root of the clip; "orbit" walks around it; "random" draws cameras;
            "clip" takes the camera (or the keypoints) of the file.
        azimuths: degrees around +Y of the static cameras, one view each; the starting angles of the orbits.
        distance: metres from the target.
        height: metres of the camera above y = 0.
        focal: focal length in normalised screen units.
        count: how many random cameras see a clip.
    """

    kind: Literal["static", "orbit", "random", "clip"] = "static"
    azimuths: tuple[float, ...] = (45.0, 135.0, 225.0, 315.0)
    distance: float = 5.0
    height: float = 1.5
    focal: float = 2.29
    count: int = 4

    def __post_init__(self) -> None:
        _require(len(self.azimuths) > 0, "azimuths", "at least one angle", list(self.azimuths))
        _require(all(map(math.isfinite, self.azimuths)), "azimuths", "finite degrees", list(self.azimuths))
        _positive("distance", self.distance)
        _require(math.isfinite(self.height), "height", "finite metres", self.height)
        _positive("focal", self.focal)
        _require(self.count >= 1, "count", "at least 1 camera", self.count)


@dataclass(frozen=True)
class SplitConfig:
    """Which clips test, validate and train.

    Attributes:
        by: what a group is: the clip's subject, action, file name without suffix, or its tag `split`.
        test: the groups to test on; never trained on. Empty: nothing is held back.
        val: the groups to validate on, or the share of the training clips drawn for it; 0 validates on nothing.
        seed: of the draw of validation clips.
    """

    by: Literal["subject", "action", "file", "tag"] = "subject"
    test: list[str] = field(default_factory=list)
    val: float | list[str] = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.val, (int, float)):
            _share("val", self.val)
        else:
            both = sorted(set(self.val) & set(self.test))
            _require(not both, "val", "no group that is in test too", both)


@dataclass(frozen=True)
class DataConfig:
    """Which clips, on which skeleton, seen by which cameras, in which windows.

    Attributes:
        paths: files, archives or folders (searched through) with clips; or one store (`graphpose data prepare`).
        skeleton: name or YAML file of the skeleton to train on; null takes the clips' own.
        mapping: YAML file of a joint mapping from the clips' skeleton to it; null looks among the bundled ones.
        scale: metres per unit of the files; null takes each format's own.
        recorded_fps: frames per second of the files, in place of what they say; null believes them.
        fps: frames per second to resample to; null keeps each clip's.
        frames: frames T of a window.
        stride: frames between the starts of training windows; null is `frames` (no overlap).
        sampling: where training windows lie: "random" anywhere in the clip, anew each epoch; "grid" from frame 0; "published" as
            the published training scripts place them.
        views: the cameras.
        noise: standard deviation of the Gaussian noise on training keypoints, in normalised screen units.
        missing: share of the training keypoints that are dropped (set to 0, marked invisible).
        confidence: give the model each keypoint's confidence as a third input.
        flip: mirror each training window with probability 1/2, through the skeleton's left/right pairs; without pairs, never.
        split: the split.
        batch_size: windows in a training step of each process; `run.devices` times as many in all.
        workers: loader processes; 0 loads in the training process.
        name_pattern: regular expression with the named groups `subject` and `action`, searched in each file's path.
        reader_options: options of the file format, such as `{allow_truncated: true}` for files that were cut short, or
            `{annotation: annot3}` for MPI-INF-3DHP.
    """

    paths: list[str] = field(default_factory=list)
    skeleton: str | None = None
    mapping: str | None = None
    scale: float | None = None
    recorded_fps: float | None = None
    fps: float | None = 30.0
    frames: int = 27
    stride: int | None = None
    sampling: Literal["random", "grid", "published"] = "random"
    views: ViewsConfig = field(default_factory=ViewsConfig)
    noise: float = 0.0
    missing: float = 0.0
    confidence: bool = False
    flip: bool = True
    split: SplitConfig = field(default_factory=SplitConfig)
    batch_size: int = 16
    workers: int = 0
    name_pattern: str | None = None
    reader_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {"scale", "fps", "skeleton", "nameless", "name_pattern", "progress"} & set(self.reader_options)
        _require(not known, "reader_options", "options of a format; these have a setting of their own", sorted(known))
        _positive("recorded_fps", self.recorded_fps, optional=True)
        _positive("scale", self.scale, optional=True)
        _positive("fps", self.fps, optional=True)
        _require(self.frames >= 1, "frames", "at least 1", self.frames)
        _require(self.frames <= _LONGEST, "frames", f"at most {_LONGEST}", self.frames)
        _require(self.stride is None or self.stride >= 1, "stride", "at least 1, or null", self.stride)
        _require(math.isfinite(self.noise) and self.noise >= 0, "noise", "at least 0", self.noise)
        _share("missing", self.missing)
        _require(self.batch_size >= 1, "batch_size", "at least 1", self.batch_size)
        _require(self.workers >= 0, "workers", "at least 0", self.workers)
        try:
            re.compile(self.name_pattern or "")
        except re.error as error:
            raise ConfigError(
                f"name_pattern: expected a regular expression (got {self.name_pattern!r}: {error})"
            ) from None


@dataclass(frozen=True)
class ModelConfig:
    """Which model of `graphpose model list`.

    Attributes:
        name: name of the model.
        options: its own settings (`graphpose model describe NAME`); those left out keep the model's defaults.
    """

    name: str = "ktpformer"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(bool(self.name), "name", "the name of a model", self.name)


@dataclass(frozen=True)
class OptimConfig:
    """AdamW, its learning rate over time, and the loss.

    At step s of S the rate is `lr * min(1, s / warmup_steps) * f`, with f = gamma^epoch ("exponential"),
    (1 + cos(pi s / S)) / 2 ("cosine") or 1 ("constant").

    Attributes:
        lr: highest learning rate.
        weight_decay: of AdamW.
        betas: of AdamW.
        schedule: how the rate falls.
        gamma: factor an epoch of the exponential schedule.
        warmup_steps: steps over which the rate rises from 0.
        loss: name of the loss.
        loss_options: its own settings.
    """

    lr: float = 8e-5
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["exponential", "cosine", "constant"] = "exponential"
    gamma: float = 0.99
    warmup_steps: int = 0
    loss: str = "ktpformer"
    loss_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _positive("lr", self.lr)
        _require(
            math.isfinite(self.weight_decay) and self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay
        )
        _require(all(0 <= beta < 1 for beta in self.betas), "betas", "two numbers in [0, 1)", list(self.betas))
        _require(0 < self.gamma <= 1, "gamma", "a number in (0, 1]", self.gamma)
        _require(self.warmup_steps >= 0, "warmup_steps", "at least 0", self.warmup_steps)


@dataclass(frozen=True)
class RunConfig:
    """How long, on which machine, with which seed, and where to.

    Attributes:
        max_epochs: epochs at most; null for no limit (then `max_steps` is one).
        max_steps: optimiser steps at most; null for no limit.
        precision: "32-true", or mixed precision.
        clip_grad: largest norm of the gradient; null clips nothing.
        patience: epochs without a better validation MPJPE before stopping early; null never stops early.
        devices: how many devices of a machine, or "auto"; each takes `data.batch_size` windows a step.
        nodes: how many machines train together (started by `torchrun` or SLURM).
        accelerator: "cpu", "gpu", "mps", or "auto".
        strategy: Lightning's strategy for several devices, e.g. "ddp".
        seed: of everything that is drawn.
        log_every: steps between two lines of the logs.
        deterministic: only algorithms that give the same result each time.
        output: folder for weights, settings and logs.
        imports: modules of one's own to import before anything else, for the models, priors, relations and pruning rules that
            they register; found on Python's path or in the current folder.
    """

    max_epochs: int | None = 200
    max_steps: int | None = None
    precision: Literal["32-true", "64-true", "16-mixed", "bf16-mixed"] = "32-true"
    clip_grad: float | None = None
    patience: int | None = None
    devices: int | Literal["auto"] = 1
    nodes: int = 1
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    strategy: str = "auto"
    seed: int = 0
    log_every: int = 50
    deterministic: bool = True
    output: str = "runs/train"
    imports: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("max_epochs", "max_steps", "patience"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "at least 1, or null", value)
        _require(
            self.max_epochs is not None or self.max_steps is not None,
            "max_epochs",
            "a limit here or in max_steps",
            None,
        )
        _positive("clip_grad", self.clip_grad, optional=True)
        _require(self.devices == "auto" or self.devices >= 1, "devices", 'at least 1, or "auto"', self.devices)
        _require(self.nodes >= 1, "nodes", "at least 1", self.nodes)
        _require(0 <= self.seed < 2**32, "seed", "a whole number in [0, 2^32)", self.seed)
        _require(self.log_every >= 1, "log_every", "at least 1", self.log_every)
        _require(bool(self.output), "output", "the path of a folder", self.output)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run.

    Attributes:
        data: the clips, cameras, windows and split.
        model: the model.
        optim: the optimiser and the loss.
        run: length, machine, seed and output folder.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        frames = self.model.options.get("frames", self.data.frames)
        if frames != self.data.frames:
            raise ConfigError(
                f"model.options.frames: expected data.frames, {self.data.frames} (got {frames!r}); the model is as long as the "
                "windows: set data.frames alone"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, source: str = "") -> TrainConfig:
        """The configuration of nested plain `values`; raises `ConfigError` that names `source` and every faulty key."""
        return build(cls, values, source=source)

    @classmethod
    def from_yaml(cls, name_or_path: str | Path) -> TrainConfig:
        """The configuration of a bundled recipe (by name) or a YAML file; raises `ConfigError` with file and key."""
        path = find_recipe(name_or_path)
        return cls.from_dict(load_settings(path), source=str(path))

    def overridden(self, values: Mapping[str, Any]) -> tuple[TrainConfig, dict[str, Any]]:
        """The same with nested `values` in place of its settings, key by key, and the model's options that fell away.

        Another `model.name` takes none of the options of the model here, whether it knows them or not: it has its own
        defaults, and the options among `values`. Empty options (`{}`, of the model too) clear those here.
        """
        base = self.to_dict()
        given = values.get("model", {})
        options = given.get("options")
        dropped: dict[str, Any] = {}
        if given.get("name", self.model.name) != self.model.name:
            dropped, base["model"]["options"] = base["model"]["options"], {}
        for section, key in (("model", "options"), ("optim", "loss_options"), ("data", "reader_options")):
            if values.get(section, {}).get(key, None) == {}:
                base[section][key] = {}
        return TrainConfig.from_dict(merge(base, values)), {} if options == {} else dropped

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionaries, lists and scalars; `from_dict` gives an equal configuration back."""
        return dict(plain(self))

    def to_yaml(self, path: str | Path | None = None) -> str:
        """The configuration as YAML text; written to `path` too when one is given."""
        text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text


@dataclass(frozen=True)
class EvaluateConfig:
    """How a checkpoint is evaluated.

    Attributes:
        data: settings of `DataConfig` that differ from those the checkpoint was trained with, nested as in YAML.
        part: which part of the split to evaluate on; "all" is every clip of `data.paths`; null is "test" where the
            split names one, else "all".
        protocol: "exact" counts every frame once; "published" repeats the published scripts' habits, for comparison.
        flip: average with the mirrored prediction of the mirrored input; models that draw hypotheses average in each step.
        alignment: what the prediction is scaled by before it is measured: "root" nothing (relative to the true root
            joint, the published MPJPE); "scale" the least-squares scale of each frame (MPJPE becomes N-MPJPE);
            "clip-scale" one of each clip and view, for bodies of another size than those of the training.
        common_joints: measure only the 14, 16 or 17 joints that published skeletons have in common; null measures all.
        keypoint_noise: standard deviation of Gaussian noise on the 2D input, in normalised screen units.
        seed: of that noise; a clip and view get the same noise in whatever order and company they come.
        precision: as in training.
        accelerator: as in training.
        hypotheses: poses that are drawn for each frame by a model that draws several (d3dp); null: as in the checkpoint.
        steps: of the sampler that draws them; null: as in the checkpoint.
        sampler: its name, "ddim" or "dpm-solver++"; null: as in the checkpoint.
        aggregate: what makes one pose of them: "mean"; "jpma" (joint by joint what reprojects best) or "pose" (whole poses), by
            the clips' cameras and an estimated root; with "-true-root" by the true one, as published; null: as in the checkpoint.
    """

    data: dict[str, Any] = field(default_factory=dict)
    part: Literal["all", "train", "val", "test"] | None = None
    protocol: Literal["exact", "published"] = "exact"
    flip: bool = True
    alignment: Literal["root", "scale", "clip-scale"] = "root"
    common_joints: Literal[14, 16, 17] | None = None
    keypoint_noise: float = 0.0
    seed: int = 0
    precision: Literal["32-true", "64-true", "16-mixed", "bf16-mixed"] = "32-true"
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    hypotheses: int | None = None
    steps: int | None = None
    sampler: str | None = None
    aggregate: Literal["mean", "jpma", "pose", "jpma-true-root", "pose-true-root"] | None = None

    def __post_init__(self) -> None:
        for name in ("hypotheses", "steps"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "at least 1", value)
        noise = self.keypoint_noise
        _require(math.isfinite(noise) and noise >= 0, "keypoint_noise", "at least 0", noise)
        _require(0 <= self.seed < 2**32, "seed", "a whole number in [0, 2^32)", self.seed)
        self.data_config(DataConfig())

    def data_config(self, trained: DataConfig) -> DataConfig:
        """The data settings of this evaluation: those of the training, with what `data` names replaced."""
        return build(DataConfig, merge(plain(trained), self.data), path="data")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over` replaced, mapping by mapping."""
    out = dict(base)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out
