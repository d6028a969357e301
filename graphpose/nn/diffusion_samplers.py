"""From noise to poses with a denoiser that predicts the clean pose: DDIM and DPM-Solver++.

At times t_0 = S - 1 > t_1 > ... > t_K = -1 (clean), with p_k the clean pose predicted at t_k from x_k, a = abar at t_k, a' at t_k+1:

    DDIM          x_k+1 = sqrt(a') p_k + sqrt(1 - a' - s^2) e_k + s z_k,    s = eta sqrt((1 - a / a') (1 - a') / (1 - a))
    DPM-Solver++  the second-order multistep solver of the probability flow, deterministic (package `diffusers`)

`e_k` is the noise read off x_k, `z_k ~ N(0, I)` fresh noise; eta = 1 as published. DDIM's times are even, as published; those of
the solver are even in the logarithm of signal over noise, which is what it integrates over: at even times it gains nothing. After
the last step the prediction itself is the sample, so with K = 1 all samplers give p_0. Each returns the predictions of every
step, `[K, ...]` for noise `[...]`.

Song et al., "Denoising Diffusion Implicit Models", ICLR 2021; Lu et al., "DPM-Solver++", 2022.

Adding a sampler: one function with the signature of `Sampler`, and its row in `SAMPLERS`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from graphpose.errors import ConfigError, DataError
from graphpose.nn.diffusion import NoiseSchedule

__all__ = ["SAMPLERS", "ddim", "dpm_solver"]

Predict = Callable[[Tensor, int], Tensor]
"""Noisy poses and a time -> the clean poses in them, of the same shape."""
Sampler = Callable[[NoiseSchedule, Predict, Tensor, int, "Tensor | None"], Tensor]
"""(schedule, predict, noise, K steps, step noises or None) -> predictions of every step."""


def ddim(
    schedule: NoiseSchedule,
    predict: Predict,
    noise: Tensor,
    steps: int,
    step_noises: Tensor | None = None,
    eta: float = 1.0,
) -> Tensor:
    """Noise `[...]` -> predictions `[K, ...]`; `step_noises [K - 1 or more, ...]`, drawn from torch's generator if None.

    Raises:
        DataError: step noises of another shape, or too few. ConfigError: steps outside 1..S.
    """
    if step_noises is not None and (len(step_noises) < steps - 1 or step_noises.shape[1:] != noise.shape):
        raise DataError(
            f"expected step noises [{steps - 1} or more, {', '.join(map(str, noise.shape))}] for {steps} steps "
            f"(got {list(step_noises.shape)})"
        )
    x, predictions = noise, []
    for step, (time, following) in enumerate(pairwise(schedule.times(steps))):
        clean = predict(x, time)
        predictions.append(clean)
        if following < 0:
            break
        left, then = (schedule.scales(t)[0] ** 2 for t in (time, following))
        fresh = eta * math.sqrt((1 - left / then) * (1 - then) / (1 - left))
        kept = math.sqrt(max(1 - then - fresh**2, 0.0))
        x = math.sqrt(then) * clean + kept * schedule.noise_in(x, clean, time)
        if fresh:
            x = x + fresh * (torch.randn_like(x) if step_noises is None else step_noises[step])
    return torch.stack(predictions)


def dpm_solver(
    schedule: NoiseSchedule,
    predict: Predict,
    noise: Tensor,
    steps: int,
    step_noises: Tensor | None = None,
) -> Tensor:
    """Noise `[...]` -> predictions `[K, ...]`; the steps between two predictions are computed in float32.

    Raises:
        ConfigError: the extra `diffusion` is not installed, or steps outside 1..S. DataError: step noises, of which it takes none.
    """
    if step_noises is not None:
        raise DataError(
            "expected no step noises for dpm-solver++, which is deterministic once its first noise is drawn"
        )
    solver = _multistep()(
        num_train_timesteps=schedule.timesteps,
        trained_betas=schedule.betas.tolist(),
        algorithm_type="dpmsolver++",
        prediction_type="sample",
        solver_order=2,
    )
    times = schedule.times_by_signal(steps)[:-1]
    with warnings.catch_warnings():  # diffusers turns a tensor into an array in a way that NumPy 2 deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        solver.set_timesteps(timesteps=list(times))
    x, predictions = noise, []
    for time in times:
        clean = predict(x, time)
        predictions.append(clean)
        x = solver.step(clean, time, x, return_dict=False)[0]
    return torch.stack(predictions)


def _multistep() -> Any:
    """The solver's class; imported here because the package takes seconds to import and is an extra."""
    try:
        from diffusers import DPMSolverMultistepScheduler
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "diffusers":
            raise
        raise ConfigError(
            'sampler "dpm-solver++" needs the package diffusers: pip install "graphpose[diffusion]"'
        ) from None
    return DPMSolverMultistepScheduler


SAMPLERS: dict[str, Sampler] = {"ddim": ddim, "dpm-solver++": dpm_solver}
