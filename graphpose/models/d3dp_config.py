"""Options of D3DP: which denoiser, how its hypotheses are drawn, and how they become one pose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphpose.errors import ConfigError, unknown_name
from graphpose.models.lifter import LifterConfig
from graphpose.models.registry import available, entry
from graphpose.models.space_time import SpaceTimeTransformer
from graphpose.nn.aggregation import AGGREGATES
from graphpose.nn.diffusion_samplers import SAMPLERS
from graphpose.nn.pose_diffusion import PoseDiffusion

__all__ = ["D3DPConfig"]


@dataclass(frozen=True)
class D3DPConfig(LifterConfig):
    """Options of D3DP; lifting costs hypotheses times steps passes of the denoiser.

    Hypotheses, steps, sampler, aggregate, focal and seed may change after the training: `model.with_options(hypotheses=20)`.

    Attributes:
        frames: T, the receptive field; a clip is lifted in windows of this length.
        in_features: 2 (x, y) or 3 (x, y, confidence) a joint.
        denoiser: a space-time Transformer of the zoo ("ktpformer" has the priors).
        denoiser_options: its own options: channels, depth, heads, prior, ...
        hypotheses: H, poses that are proposed for each frame (published: up to 20).
        steps: K, steps of the sampler (published: up to 10).
        timesteps: S, steps of the forward diffusion.
        scale: metres are multiplied with it before noise is added.
        limit: largest coordinate of a pose, metres (published: 1.1, of people); larger bodies need more.
        sampler: "ddim" (published) or "dpm-solver++" (extra `diffusion`).
        aggregate: "mean", or by reprojection "jpma" (joint by joint) or "pose".
        focal: focal length of the camera in normalised screen units, which the reprojection needs; its centre is 0.
        seed: of the noise that `lift` and `propose` start from.
    """

    denoiser: str = "mixste"
    denoiser_options: dict[str, Any] = field(default_factory=dict)
    hypotheses: int = 5
    steps: int = 5
    timesteps: int = 1000
    scale: float = 1.0
    limit: float = 1.1
    sampler: str = "ddim"
    aggregate: str = "mean"
    focal: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        PoseDiffusion(self.timesteps, self.scale, self.limit).schedule.times(self.steps)  # refuses what does not fit
        if self.hypotheses < 1 or self.seed < 0:
            raise ConfigError(f"expected hypotheses >= 1 and seed >= 0 (got {self.hypotheses} and {self.seed})")
        for name, choices in (("sampler", list(SAMPLERS)), ("aggregate", list(AGGREGATES))):
            if getattr(self, name) not in choices:
                raise ConfigError(unknown_name(name, getattr(self, name), choices))
        if not (self.aggregate == "mean" if self.focal is None else 0 < self.focal < float("inf")):
            given = f"focal={self.focal}, aggregate={self.aggregate!r}"
            raise ConfigError(
                f"expected focal > 0, in normalised screen units, to aggregate by reprojection (got {given})"
            )
        if taken := sorted({"frames", "in_features"} & set(self.denoiser_options)):
            raise ConfigError(f"denoiser_options: expected no {' or '.join(taken)}: these are options of d3dp itself")
        if not issubclass(entry(self.denoiser).model, SpaceTimeTransformer):
            hosts = [name for name in available() if issubclass(entry(name).model, SpaceTimeTransformer)]
            raise ConfigError(f"expected denoiser to be one of {', '.join(hosts)} (got {self.denoiser!r})")
