"""The forward diffusion of poses: a cosine schedule, noise added in closed form, and the noise read back.

    f(s) = cos^2((s / S + 0.008) / 1.008 * pi / 2),     beta_t = min(1 - f(t + 1) / f(t), 0.999),    t = 0 ... S - 1
    abar_t = prod_{i <= t} (1 - beta_i)                        share of the signal's power that is left at step t
    x_t  = sqrt(abar_t) x_0 + sqrt(1 - abar_t) e                                          e ~ N(0, I)
    e    = (x_t - sqrt(abar_t) x_0) / sqrt(1 - abar_t)

Shapes: x_0, x_t, e `[B, ...]`, t int64 `[B]`. The tables are kept in float64 on the CPU, whatever the precision of a model.

Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphpose.errors import ConfigError, DataError

__all__ = ["NoiseSchedule", "check_steps"]

_NO_SIGNAL = -5.1
"""Logarithm of signal over noise that solvers for the cosine schedule start from (Lu et al., "DPM-Solver++", 2022)."""


class NoiseSchedule:
    """The cosine schedule over S steps.

    Args:
        timesteps: S (published: 1000).

    Attributes:
        betas, alphas_cumprod: float64 `[S]`, the shares of noise a step and of signal left.

    Raises:
        ConfigError: fewer than one step.
    """

    def __init__(self, timesteps: int = 1000) -> None:
        if timesteps < 1:
            raise ConfigError(f"expected timesteps >= 1 (got {timesteps})")
        self.timesteps = timesteps
        places = torch.linspace(0, timesteps, timesteps + 1, dtype=torch.float64) / timesteps
        signal = torch.cos((places + 0.008) / 1.008 * math.pi / 2).square()
        self.betas = (1 - signal[1:] / signal[:-1]).clamp(0, 0.999)
        self.alphas_cumprod = (1 - self.betas).cumprod(0)
        self._signal = self.alphas_cumprod.sqrt().tolist()
        self._noise = (1 - self.alphas_cumprod).sqrt().tolist()
        self._times: dict[int, tuple[int, ...]] = {}  # kept, so that a traced sampler finds numbers and no tensors

    def scales(self, t: int) -> tuple[float, float]:
        """sqrt(abar_t) and sqrt(1 - abar_t): what signal and noise are multiplied with at step t."""
        return self._signal[t], self._noise[t]

    def diffuse(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Clean poses and noise `[B, ...]` at steps t `[B]` -> noisy poses `[B, ...]`.

        Raises:
            DataError: shapes that do not fit each other, or steps that are not integers.
        """
        if x0.shape != noise.shape or t.shape != x0.shape[:1]:
            raise DataError(
                f"expected noise {list(x0.shape)} and steps {list(x0.shape[:1])} for poses {list(x0.shape)} "
                f"(got {list(noise.shape)} and {list(t.shape)})"
            )
        check_steps(t, len(self.alphas_cumprod))
        left, at = self.alphas_cumprod, (t.to(x0.device), *[None] * (x0.ndim - 1))
        signal, spread = (share.sqrt().to(x0.dtype).to(x0.device)[at] for share in (left, 1 - left))  # [B, 1, ...]
        return signal * x0 + spread * noise

    def noise_in(self, x: Tensor, x0: Tensor, t: int) -> Tensor:
        """The noise that `x` holds at step t when its clean pose is `x0`; any one shape."""
        signal, noise = self.scales(t)
        return (x - signal * x0) / noise

    def times(self, steps: int) -> tuple[int, ...]:
        """`steps` + 1 times of a sampler, falling from S - 1 to -1 (clean), evenly spaced and cut to integers.

        They are read off a float32 `linspace`, as the published sampler does.

        Raises:
            ConfigError: steps outside 1..S.
        """
        if steps not in self._times:
            self._check(steps)
            self._times[steps] = tuple(torch.linspace(-1, self.timesteps - 1, steps + 1).int().flip(0).tolist())
        return self._times[steps]

    def times_by_signal(self, steps: int) -> tuple[int, ...]:
        """`steps` + 1 times from S - 1 to -1, evenly spaced in the logarithm of signal over noise.

        The first stands at S - 1, the others where intervals of one length begin that lead from log(signal / noise) = -5.1 (below,
        there is next to no signal) to that of step 0.

        Raises:
            ConfigError: steps outside 1..S.
        """
        self._check(steps)
        ratios = [math.log(signal / noise) for signal, noise in zip(self._signal, self._noise, strict=True)]
        least, most = max(_NO_SIGNAL, ratios[-1]), ratios[0]
        times = [self.timesteps - 1]
        for k in range(1, steps):
            wanted = least + k * (most - least) / steps
            nearest = min(range(self.timesteps), key=lambda t: abs(ratios[t] - wanted))
            times.append(max(min(nearest, times[-1] - 1), steps - 1 - k))
        return (*times, -1)

    def _check(self, steps: int) -> None:
        if not 1 <= steps <= self.timesteps:
            raise ConfigError(f"expected steps in 1..{self.timesteps}, the timesteps of the diffusion (got {steps})")


def check_steps(t: Tensor, timesteps: int) -> None:
    """Refuses diffusion steps that are not integers from 0 to `timesteps` - 1 (the range is not looked at under compilation).

    Raises:
        DataError: as said.
    """
    if t.is_floating_point() or t.dtype == torch.bool:
        raise DataError(f"expected integer diffusion steps t (got {t.dtype})")
    if not torch.compiler.is_compiling() and t.numel() and not (int(t.min()) >= 0 and int(t.max()) < timesteps):
        raise DataError(f"expected diffusion steps t from 0 to {timesteps - 1} (got {int(t.min())} to {int(t.max())})")
