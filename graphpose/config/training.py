"""A training: clips, model, optimiser and loss, length and machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from graphpose.config.checks import positive, require
from graphpose.config.data import DataConfig
from graphpose.errors import ConfigError
from graphpose.recipe_files import find_recipe, load_settings
from graphpose.structured import build, merge, plain

__all__ = ["ModelConfig", "OptimConfig", "RunConfig", "TrainConfig"]


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
        require(bool(self.name), "name", "the name of a model", self.name)


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
        positive("lr", self.lr)
        require(
            math.isfinite(self.weight_decay) and self.weight_decay >= 0, "weight_decay", "at least 0", self.weight_decay
        )
        require(all(0 <= beta < 1 for beta in self.betas), "betas", "two numbers in [0, 1)", list(self.betas))
        require(0 < self.gamma <= 1, "gamma", "a number in (0, 1]", self.gamma)
        require(self.warmup_steps >= 0, "warmup_steps", "at least 0", self.warmup_steps)


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
        save_every: steps between two saves of `last.ckpt` within an epoch: as many as a run that is killed can lose. A save writes
            the weights and the two numbers that AdamW keeps of each.
        keep_every: steps between two checkpoints that are all kept, in the folder `steps` of the run, from step 0 on; null keeps the
            best and the last alone.
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
    save_every: int = 100
    keep_every: int | None = None
    deterministic: bool = True
    output: str = "runs/train"
    imports: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("max_epochs", "max_steps", "patience", "keep_every"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, "at least 1, or null", value)
        require(
            self.max_epochs is not None or self.max_steps is not None,
            "max_epochs",
            "a limit here or in max_steps",
            None,
        )
        positive("clip_grad", self.clip_grad, optional=True)
        require(self.devices == "auto" or self.devices >= 1, "devices", 'at least 1, or "auto"', self.devices)
        require(self.nodes >= 1, "nodes", "at least 1", self.nodes)
        require(0 <= self.seed < 2**32, "seed", "a whole number in [0, 2^32)", self.seed)
        for name in ("log_every", "save_every"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        require(bool(self.output), "output", "the path of a folder", self.output)


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
        features = 3 if self.data.confidence else 2
        if (asked := self.model.options.get("in_features", features)) != features:
            raise ConfigError(
                f"model.options.in_features: expected {features}, as data.confidence is {str(self.data.confidence).lower()} "
                f"(got {asked!r}); the model takes what the data give: set data.confidence alone"
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
