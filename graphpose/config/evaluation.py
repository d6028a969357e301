"""How a checkpoint is evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from graphpose.config.checks import require
from graphpose.config.data import DataConfig
from graphpose.structured import build, merge, plain

__all__ = ["EvaluateConfig"]


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
            require(value is None or value >= 1, name, "at least 1", value)
        noise = self.keypoint_noise
        require(math.isfinite(noise) and noise >= 0, "keypoint_noise", "at least 0", noise)
        require(0 <= self.seed < 2**32, "seed", "a whole number in [0, 2^32)", self.seed)
        self.data_config(DataConfig())

    def data_config(self, trained: DataConfig) -> DataConfig:
        """The data settings of this evaluation: those of the training, with what `data` names replaced."""
        return build(DataConfig, merge(plain(trained), self.data), path="data")
