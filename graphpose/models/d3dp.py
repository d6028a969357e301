"""D3DP: lifting by diffusion. A denoiser takes noise off 3D poses, conditioned on the 2D keypoints; many noises, many hypotheses.

    training   x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) e,   p = D(x_2D, x_t, t),   loss(p, x_0) with t and e drawn
    lifting    x ~ N(0, I); K steps of a sampler from t = S - 1 to 0, for each of H hypotheses; the hypotheses are aggregated

D is any space-time Transformer of the zoo on keypoints and noisy pose together (C_in + 3 features a joint), its priors
included, with the embedding of t added to every token; it predicts the clean pose. Poses are scaled by `scale` and held within
`limit` metres in each coordinate before and after D. `lift` uses noise fixed by `seed`, the same for every clip: its result
depends on nothing but the clip. Averaging over mirror images happens either outside (of `lift`, by predictions: the mirrored
clip gives exactly the mirrored poses) or inside each step, as published (`sample(flip=True)`, `propose(flip=True)`, by
evaluations), and never in both: `lift` does not flip.

Shan et al., "Diffusion-Based 3D Human Pose Estimation with Multi-Hypothesis Aggregation", ICCV 2023.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from graphpose.errors import DataError
from graphpose.models.d3dp_config import D3DPConfig
from graphpose.models.lifter import Lifter
from graphpose.models.registry import create, register
from graphpose.models.space_time import SpaceTimeTransformer
from graphpose.nn.aggregation import aggregate
from graphpose.nn.diffusion import check_steps
from graphpose.nn.fixed_noise import fixed_noise
from graphpose.nn.modes import evaluating
from graphpose.nn.pose_diffusion import PoseDiffusion, mirrored
from graphpose.nn.step_embedding import StepEmbedding
from graphpose.skeleton import Skeleton

__all__ = ["D3DP", "D3DPConfig"]

AT_ONCE = 64  # windows times hypotheses that are denoised at a time (at least one hypothesis): bounds the memory


@register("d3dp", D3DPConfig, "diffusion on any space-time Transformer: several hypotheses, aggregated (ICCV 2023)")
class D3DP(Lifter):
    """D3DP on any skeleton; x2d below is [B, T, J, C_in] (normalised), poses are in metres relative to the root."""

    free_options = ("hypotheses", "steps", "sampler", "aggregate", "focal", "seed")
    noise: Tensor  # [K, H, T, J, 3]

    def __init__(self, skeleton: Skeleton, config: D3DPConfig) -> None:
        super().__init__(skeleton, config)
        options = config.denoiser_options | {"in_features": config.in_features + 3}
        host = create(config.denoiser, skeleton, config.frames, **options)
        assert isinstance(host, SpaceTimeTransformer)  # the config has seen to it
        self.denoiser = host
        self.bound_to_skeleton, self.bound_to_frames = host.bound_to_skeleton, host.bound_to_frames
        self.step_embedding = StepEmbedding(host.config.channels)
        self.diffusion = PoseDiffusion(config.timesteps, config.scale, config.limit)
        self.diffusion.schedule.times(config.steps)  # looked up once, before anybody traces `lift`
        noise = fixed_noise(config.seed, skeleton.joints, config.steps, config.hypotheses, config.frames)
        self.register_buffer("noise", noise, persistent=False)

    def denoise(self, x2d: Tensor, x3d: Tensor, t: Tensor) -> Tensor:
        """Noisy poses x3d [B, T, J, 3], or of hypotheses [B, H, T, J, 3], at steps t [B] -> clean ones, of the same shape."""
        self.check_input(x2d)
        check_steps(t, self.config.timesteps)
        if x3d.ndim not in (4, 5) or (*x3d.shape[:1], *x3d.shape[-3:], *t.shape) != (*x2d.shape[:3], 3, x2d.shape[0]):
            raise DataError(
                f"expected noisy poses [B, (H,) T, J, 3] and steps [B] for keypoints {list(x2d.shape)} "
                f"(got {list(x3d.shape)} and {list(t.shape)})"
            )
        condition = self.step_embedding(t)
        if x3d.ndim == 5:  # hypotheses share keypoints and step
            x2d = x2d[:, None].expand(*x3d.shape[:-1], x2d.shape[-1]).flatten(0, 1)
            condition = condition.repeat_interleave(x3d.shape[1], dim=0)
        tokens = self.denoiser.embed(torch.cat([x2d, x3d.reshape(*x2d.shape[:3], 3)], dim=-1), condition)
        for index in range(self.denoiser.depth):
            tokens = self.denoiser.layer(index, tokens)
        return self.denoiser.decode(tokens).view(x3d.shape)

    def q_sample(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """The forward diffusion: scaled clean poses x0 [B, ...], steps t [B] and noise [B, ...] -> noisy poses [B, ...]."""
        return self.diffusion.schedule.diffuse(x0, t, noise)

    def lift_for_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Keypoints and the truth -> the clean poses predicted from the truth at drawn steps with drawn noise."""
        return self.denoise(x, *self.diffusion.draw(y))

    def sample(
        self,
        x2d: Tensor,
        noise: Tensor,
        steps: int | None = None,
        step_noises: Tensor | None = None,
        flip: bool = False,
        sampler: str | None = None,
    ) -> Tensor:
        """Noise [B, H, T, J, 3] -> the poses predicted at each step, [B, K, H, T, J, 3]; the last step's are the hypotheses.

        Args:
            steps, sampler: K and name; those of the config by default.
            step_noises: [K - 1 or more, B, H, T, J, 3] for DDIM; None draws from torch's generator.
            flip: average each prediction with that of the mirror image of keypoints and noisy pose, as published.
        """
        self.check_input(x2d)
        if noise.ndim != 5 or noise.shape[:1] + noise.shape[2:] != (*x2d.shape[:3], 3):
            raise DataError(f"expected noise [B, H, T, J, 3] for keypoints {list(x2d.shape)} (got {list(noise.shape)})")
        denoise = mirrored(self.denoise, torch.from_numpy(self.skeleton.mirror.copy())) if flip else self.denoise
        steps, sampler = self.config.steps if steps is None else steps, sampler or self.config.sampler
        return self.diffusion.sample(denoise, x2d, noise, steps, sampler, step_noises)

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return aggregate(self._hypotheses(x, self.config), self.config.aggregate, keypoints=x, camera=self.config.focal)

    @torch.inference_mode()
    def propose(
        self,
        x: Tensor,
        flip: bool = False,
        hypotheses: int | None = None,
        steps: int | None = None,
        sampler: str | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """All hypotheses of clips of any length: [V, L, J, C_in or more] -> [H, V, L, J, 3] on the CPU, in evaluation mode.

        What `graphpose.engine.evaluate_hypotheses(model, model.propose, clips)` takes.

        Args:
            flip: average each prediction of the denoiser with that of the mirror image, as in `sample`.
            hypotheses, steps, sampler, seed: H, K, name and seed of the noise; those of the config by default.

        Raises:
            ConfigError: a value that does not fit. DataError: keypoints that are no clips [V, L, J, C_in or more].
        """
        if x.ndim != 4:
            self.check_input(x)
        asked = {"hypotheses": hypotheses, "steps": steps, "sampler": sampler, "seed": seed}
        config = replace(self.config, **{name: value for name, value in asked.items() if value is not None})
        length = x.shape[1]
        frames = self.frames if self.bound_to_frames else min(length, self.frames)
        place = torch.arange(-(-length // frames) * frames).clamp(max=length - 1).view(-1, frames)  # the end repeated
        windows = x[:, place][..., : self.in_features].flatten(0, 1).to(self.noise)  # [V * n, T, J, C]
        with evaluating(self):
            found = [self._hypotheses(part, config, flip).float().cpu() for part in windows.split(AT_ONCE)]
        return torch.cat(found, dim=1).unflatten(1, (len(x), -1)).flatten(2, 3)[:, :, :length]

    def _hypotheses(self, x: Tensor, config: D3DPConfig, flip: bool = False) -> Tensor:
        """[B, T, J, C_in] -> [H, B, T, J, 3] from the noise of the seed, a few hypotheses at a time."""
        sizes, batch, noise = (config.steps, config.hypotheses, x.shape[1]), x.shape[0], self.noise
        if noise.shape[:3] != sizes or config.seed != self.config.seed:
            noise = fixed_noise(config.seed, self.skeleton.joints, *sizes)
        noise = noise.to(x).unsqueeze(1).expand(-1, batch, -1, -1, -1, -1)  # [K, B, H, T, J, 3]
        at_once = max(1, AT_ONCE // batch) if isinstance(batch, int) else config.hypotheses  # all while being traced
        found = []
        for part in noise.split(at_once, dim=2):
            fresh = part[1:] if config.sampler == "ddim" else None
            found.append(
                self.sample(x, part[0], config.steps, step_noises=fresh, flip=flip, sampler=config.sampler)[:, -1]
            )
        return torch.cat(found, dim=1).transpose(0, 1)
