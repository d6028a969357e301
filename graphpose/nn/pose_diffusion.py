"""Diffusion of poses in metres: scaled, held within a limit, noised for training, sampled with a denoiser for lifting.

    training   x = hold(sqrt(abar_t) s y + sqrt(1 - abar_t) e) / s,    t uniform in 0 ... S - 1, e ~ N(0, I)
    sampling   p(x, t) = hold(s D(hold(x) / s, t)) inside the sampler,  hold(x) = min(max(x, -s l), s l)

Symbols: y clean pose, D the denoiser, s scale, l limit (both published: 1 and 1.1). Shapes: poses `[B, ...]` and `[B, H, T, J, 3]`.

Shan et al., "Diffusion-Based 3D Human Pose Estimation with Multi-Hypothesis Aggregation" (D3DP), ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphpose.errors import ConfigError, unknown_name
from graphpose.nn.diffusion import NoiseSchedule
from graphpose.nn.diffusion_samplers import SAMPLERS

__all__ = ["Denoise", "PoseDiffusion", "mirrored"]

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(keypoints `[B, T, J, C]`, noisy poses `[B, H, T, J, 3]` in metres, steps `[B]`) -> clean poses in metres."""


class PoseDiffusion:
    """The forward diffusion and its samplers, for poses in metres.

    Args:
        timesteps: S of the schedule.
        scale: s, what metres are multiplied with before noise is added.
        limit: l, the largest coordinate of a pose in metres.

    Raises:
        ConfigError: numbers that are not above 0.
    """

    def __init__(self, timesteps: int = 1000, scale: float = 1.0, limit: float = 1.1) -> None:
        for name, value in (("scale", scale), ("limit", limit)):
            if not 0 < value < float("inf"):
                raise ConfigError(f"expected {name} > 0 (got {value})")
        self.schedule = NoiseSchedule(timesteps)
        self.scale = scale
        self.limit = limit

    def _held(self, x: Tensor) -> Tensor:
        bound = self.limit * self.scale
        return x.clamp(-bound, bound)

    def draw(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Clean poses `[B, ...]` (metres) -> noisy ones (metres), and the steps `[B]` drawn for them by torch's generator."""
        t = torch.randint(0, self.schedule.timesteps, (y.shape[0],), device=y.device)
        noisy = self.schedule.diffuse(self.scale * y, t, torch.randn_like(y))
        return self._held(noisy) / self.scale, t

    def sample(
        self,
        denoise: Denoise,
        x2d: Tensor,
        noise: Tensor,
        steps: int,
        sampler: str = "ddim",
        step_noises: Tensor | None = None,
    ) -> Tensor:
        """Noise `[B, H, T, J, 3]` -> the poses predicted at each of K `steps`, `[B, K, H, T, J, 3]` (metres).

        Raises:
            ConfigError: an unknown sampler, or one whose extra is not installed. DataError: step noises that do not fit.
        """
        if sampler not in SAMPLERS:
            raise ConfigError(unknown_name("sampler", sampler, SAMPLERS))

        def predict(x: Tensor, time: int) -> Tensor:
            t = torch.full((x.shape[0],), time, device=x.device)
            return self._held(self.scale * denoise(x2d, self._held(x) / self.scale, t))

        return SAMPLERS[sampler](self.schedule, predict, noise, steps, step_noises).transpose(0, 1) / self.scale


def mirrored(denoise: Denoise, mirror: Tensor) -> Denoise:
    """The mean of what `denoise` makes of its input and of the mirror image of keypoints and noisy poses, mirrored back.

    The first coordinate is negated and joints change places with their partners `mirror [J]`.
    """

    def flip(points: Tensor) -> Tensor:
        swapped = points.index_select(-2, mirror.to(points.device))
        return torch.cat([-swapped[..., :1], swapped[..., 1:]], dim=-1)

    def both(x2d: Tensor, x3d: Tensor, t: Tensor) -> Tensor:
        return 0.5 * (denoise(x2d, x3d, t) + flip(denoise(flip(x2d), flip(x3d), t)))

    return both
