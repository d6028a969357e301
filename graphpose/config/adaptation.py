"""An adaptation: a trained lifter, the source it was trained on, the 2D of the target, and how the two are brought together."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from graphpose.config.checks import positive, require
from graphpose.config.data import DataConfig
from graphpose.config.training import OptimConfig, RunConfig
from graphpose.errors import ConfigError
from graphpose.recipe_files import find_recipe, load_settings
from graphpose.structured import build, merge, plain

__all__ = ["AdaptConfig", "AlignmentConfig", "AugmentationConfig", "TargetConfig"]


_LONGEST = 20.0
"""Focal length in normalised screen units, a field of view of 5.7 degrees: a longer one is taken for one in pixels."""


@dataclass(frozen=True)
class TargetConfig:
    """The 2D keypoints to adapt to; 3D in the same files is not looked at.

    Attributes:
        paths: files, archives or folders with keypoints.
        mapping: YAML file of a joint mapping from their skeleton to the lifter's; null looks among the bundled ones.
        min_confidence: keypoints below count as missing.
        focal: focal length of cameras that the files do not tell, in normalised screen units: f_pixels / (width / 2); null: see
            `view_angle`.
        view_angle: their horizontal field of view in degrees, in place of `focal`. Where both are null, the focal length is estimated
            from the keypoints.
        recorded_fps: frames per second of the files, in place of what they say; needed for files of 2D detectors, which say nothing.
        name_pattern: regular expression with the named groups `subject` and `action`, searched in each file's path.
        reader_options: options of the file format; for files of 2D detectors `{image_size: 1920x1080}`, and `keypoint_skeleton` where the
            number of keypoints does not tell whose joints they are.
    """

    paths: list[str] = field(default_factory=list)
    mapping: str | None = None
    min_confidence: float = 0.3
    focal: float | None = None
    view_angle: float | None = None
    recorded_fps: float | None = None
    name_pattern: str | None = None
    reader_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(0 <= self.min_confidence <= 1, "min_confidence", "a number in [0, 1]", self.min_confidence)
        positive("focal", self.focal, optional=True)
        unit = f"at most {_LONGEST:g}, in normalised screen units: f_pixels / (width / 2)"
        require(self.focal is None or self.focal <= _LONGEST, "focal", unit, self.focal)
        positive("recorded_fps", self.recorded_fps, optional=True)
        angle = self.view_angle
        require(angle is None or 0 < angle < 180, "view_angle", "degrees in (0, 180), or null", angle)
        if self.focal is not None and angle is not None:
            raise ConfigError(
                f"view_angle: expected one of focal and view_angle, which say the same (got focal {self.focal:g} and view_angle "
                f"{angle:g}); give one of them"
            )


@dataclass(frozen=True)
class AlignmentConfig:
    """Global position alignment: source poses take place and size of the target's 2D.

    Attributes:
        by: "window" places a window once, so that a moving person keeps a coherent path; "frame" places every frame by itself, as
            published; "none" leaves poses where the source's cameras saw them.
        tilt: how far the target's cameras look down, degrees; poses are then turned about their root as if the source's cameras
            looked down as far. "estimate" reads it off the keypoints of upright people; "source" leaves poses as the source's
            cameras saw them, as published.
    """

    by: Literal["window", "frame", "none"] = "window"
    tilt: float | Literal["estimate", "source"] = "source"

    def __post_init__(self) -> None:
        tilt = self.tilt
        require(isinstance(tilt, str) or -90 < tilt < 90, "tilt", 'degrees in (-90, 90), "estimate" or "source"', tilt)


@dataclass(frozen=True)
class AugmentationConfig:
    """Local pose augmentation: a generator changes source poses, discriminators keep them plausible.

    Attributes:
        enabled: whether poses are changed at all.
        warmup_steps: steps in which generator and discriminators learn before the lifter sees changed poses.
        channels: width of generator and discriminators.
        angle: largest turn of a bone, degrees.
        rotation: largest turn of the whole pose about the camera's x, y and z axes, degrees; null: [30, 180, 10] where
            `alignment.tilt` is "source", and [0, 180, 0] where the tilt is known, given or estimated, which turns about x and z
            would undo.
        lr: learning rate of generator and discriminators (Adam).
        every: steps of the lifter between two of theirs.
        plausibility: weight of the discriminator of poses, which compares with source poses; 0 leaves it out, as for all weights.
        likeness: weight of the discriminator of keypoints, which compares with the target's.
        diversity: weight of the term that wants different noise to give different poses.
        hardness: weight of the term that wants poses that the lifter finds `wanted_hardness` times as hard.
        wanted_hardness: see `hardness`.
        samples_every: steps between two files of samples, in the folder `samples` of the run.
    """

    enabled: bool = True
    warmup_steps: int = 100
    channels: int = 256
    angle: float = 20.0
    rotation: tuple[float, float, float] | None = None
    lr: float = 1e-3
    every: int = 1
    plausibility: float = 1.0
    likeness: float = 1.0
    diversity: float = 0.02
    hardness: float = 0.0
    wanted_hardness: float = 1.5
    samples_every: int = 200

    def __post_init__(self) -> None:
        require(self.warmup_steps >= 0, "warmup_steps", "at least 0", self.warmup_steps)
        for name in ("channels", "every", "samples_every"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        require(0 <= self.angle < 180, "angle", "degrees in [0, 180)", self.angle)
        turns = self.rotation or ()
        require(all(0 <= turn <= 180 for turn in turns), "rotation", "degrees in [0, 180]", list(turns))
        positive("lr", self.lr)
        positive("wanted_hardness", self.wanted_hardness)
        for name in ("plausibility", "likeness", "diversity", "hardness"):
            value = getattr(self, name)
            require(math.isfinite(value) and value >= 0, name, "at least 0", value)


@dataclass(frozen=True)
class AdaptConfig:
    """Everything that decides an adaptation.

    Attributes:
        checkpoint: the lifter to start from.
        data: source: settings of `DataConfig` that differ from those of the checkpoint's training, nested as in YAML.
        target: the 2D of the target.
        alignment: global position alignment.
        augmentation: local pose augmentation.
        source_share: weight of the source's own windows in the loss; the rest is that of the new ones.
        optim: the optimiser and the loss.
        run: length, machine, seed and output folder.
    """

    checkpoint: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    target: TargetConfig = field(default_factory=TargetConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    source_share: float = 0.5
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=5e-4, schedule="cosine", warmup_steps=50))
    run: RunConfig = field(default_factory=lambda: RunConfig(max_epochs=None, max_steps=1000, output="runs/adapt"))

    def __post_init__(self) -> None:
        if isinstance(self.checkpoint, os.PathLike):  # as scripts have them
            object.__setattr__(self, "checkpoint", os.fspath(self.checkpoint))
        require(0 <= self.source_share <= 1, "source_share", "a number in [0, 1]", self.source_share)
        if self.alignment == AlignmentConfig("none") and not self.augmentation.enabled:
            raise ConfigError(
                'alignment.by: expected "window" or "frame" where augmentation.enabled is false (got "none"): nothing would change'
            )
        for name in ("devices", "nodes"):
            if self.augmentation.enabled and (count := getattr(self.run, name)) != 1:
                raise ConfigError(
                    f"run.{name}: generator and discriminators learn in one process, expected 1 (got {count}); "
                    "set augmentation.enabled to false to align on several"
                )
        self.data_config(DataConfig())

    def data_config(self, trained: DataConfig) -> DataConfig:
        """The settings of the source: those of the checkpoint's training, with what `data` names replaced."""
        return build(DataConfig, merge(plain(trained), self.data), path="data")

    def with_data(self, data: DataConfig) -> AdaptConfig:
        """The same with all settings of the source written out."""
        return replace(self, data=plain(data))

    def resolved_augmentation(self) -> AugmentationConfig:
        """`augmentation` with the turns that follow from the tilt, where none were given."""
        if self.augmentation.rotation is not None:
            return self.augmentation
        known = self.alignment.tilt != "source"
        return replace(self.augmentation, rotation=(0.0, 180.0, 0.0) if known else (30.0, 180.0, 10.0))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, source: str = "") -> AdaptConfig:
        """The configuration of nested plain `values`; raises `ConfigError` that names `source` and every faulty key."""
        return build(cls, values, source=source)

    @classmethod
    def from_yaml(cls, name_or_path: str | Path) -> AdaptConfig:
        """The configuration of a bundled recipe of adaptations (by name) or a YAML file."""
        path = find_recipe(name_or_path, "adaptations")
        return cls.from_dict(load_settings(path), source=str(path))

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionaries, lists and scalars; `from_dict` gives an equal configuration back."""
        return dict(plain(self))
