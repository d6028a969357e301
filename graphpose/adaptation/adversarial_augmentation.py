"""A generator of poses and the two discriminators that hold it to people as they are, learning side by side.

    G:  plausibility * LS(D3(G(p)), real) + likeness * LS(D2(image of G(p)), real) + diversity * ... + hardness * ...
    D3: poses of the source are real, changed ones are not              (ChainDiscriminator)
    D2: keypoints of the target are real, images of changed poses not   (KeypointDiscriminator)

From the paper: generator, adversarial training against an anchor set, diversity as the aim. Our reading: the anchors of the poses
are those of the source (no other 3D may be looked at) and those of the images the target's own 2D keypoints, which is what lets
turned poses learn the tilt of the target's cameras. Both discriminators judge single frames, drawn from the windows. Of keypoints only
those count that both of a pair show, or the gaps alone would tell which is real.

Chai et al., "Global Adaptation meets Local Generalization", ICCV 2023; Gong et al., "PoseAug", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphpose.adaptation.adversarial_losses import (
    discriminator_loss,
    diversity_loss,
    generator_loss,
    hardness_loss,
)
from graphpose.adaptation.chain_discriminator import ChainDiscriminator
from graphpose.adaptation.keypoint_discriminator import KeypointDiscriminator
from graphpose.adaptation.local_pose_augmentation import LocalPoseAugmentation
from graphpose.config import AugmentationConfig
from graphpose.skeleton import Skeleton

__all__ = ["AdversarialAugmentation"]

Seen = tuple[Tensor, Tensor]
"""Keypoints `[B, T, J, 2]` and which of them are visible `[B, T, J]`."""

_FRAMES = 4  # of each window that the discriminators judge
_WINDOWS = 4  # of a batch that the lifter judges, for `hardness`


class AdversarialAugmentation(nn.Module):
    """Generator and discriminators for `skeleton`, each with an optimiser of its own.

    Args:
        skeleton: of the poses.
        config: widths, limits, rates and weights of the terms.
    """

    def __init__(self, skeleton: Skeleton, config: AugmentationConfig) -> None:
        super().__init__()
        assert config.rotation is not None, "it follows from the tilt: AdaptConfig.resolved_augmentation"
        self.config = config
        self.generator = LocalPoseAugmentation(
            skeleton, channels=config.channels, angle=config.angle, rotation=config.rotation
        )
        self.poses = ChainDiscriminator(skeleton)
        self.keypoints = KeypointDiscriminator(skeleton)
        self._optimisers: dict[str, torch.optim.Optimizer] = {}

    def forward(self, pose: Tensor) -> Tensor:
        """Changed poses `[B, T, J, 3]` for poses `[B, T, J, 3]` (metres, camera space); no gradient."""
        with torch.no_grad():
            changed: Tensor = self.generator(pose.to(self.generator.spread.dtype)).pose
        return changed.to(pose.dtype)

    def learn(
        self,
        pose: Tensor,
        target: Seen,
        see: Callable[[Tensor], Seen],
        error: Callable[[Tensor], Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """One step of the generator, then one of the discriminators; gradients of nothing else are touched.

        Terms whose weight is 0 are left out, and a discriminator whose term is does not learn.

        Args:
            pose: `[B, T, J, 3]` of the source, metres, camera space.
            target: keypoints of the target, B windows.
            see: gives the image of changed poses, in the place of the target.
            error: gives the mean error of the lifter on poses `[b, T, J, 3]`; needed where `hardness` counts.

        Returns:
            The terms, detached, by name.
        """
        config, b = self.config, len(pose)
        pose = pose.to(self.generator.spread.dtype)
        noise, other = self.generator.draw_noise(b), self.generator.draw_noise(b)
        changed = self.generator(pose, noise)
        keypoints, visible = see(changed.pose)
        visible = visible & target[1]
        frames = torch.randint(pose.shape[1], (b, min(_FRAMES, pose.shape[1])), device=pose.device)
        terms = {}
        if config.plausibility:
            terms["plausibility"] = generator_loss(self.poses(_frames(changed.pose, frames)))
        if config.likeness:
            terms["likeness"] = generator_loss(self.keypoints(_frames(keypoints, frames), _frames(visible, frames)))
        if config.diversity:
            terms["diversity"] = diversity_loss(
                changed, self.generator(pose, other), (noise, other), self.generator.free
            )
        if config.hardness and error is not None:
            with torch.no_grad():
                easy = error(pose[:_WINDOWS])
            terms["hardness"] = hardness_loss(error(changed.pose[:_WINDOWS]), easy, config.wanted_hardness)
        if terms:
            self._descend("generator", self.generator, sum_of(terms, config))
        found = {f"generator_{name}": value for name, value in terms.items()}
        if config.plausibility:
            real, fake = self.poses(_frames(pose, frames)), self.poses(_frames(changed.pose.detach(), frames))
            found["poses"] = discriminator_loss(real, fake)
            self._descend("poses", self.poses, found["poses"])
        if config.likeness:
            seen = self.keypoints(_frames(target[0].to(pose), frames), _frames(visible, frames))
            made = self.keypoints(_frames(keypoints.detach(), frames), _frames(visible, frames))
            found["keypoints"] = discriminator_loss(seen, made)
            self._descend("keypoints", self.keypoints, found["keypoints"])
        return {name: value.detach() for name, value in found.items()}

    def optimiser_states(self) -> dict[str, Any]:
        """What the optimisers remember, for a checkpoint."""
        return {name: optimiser.state_dict() for name, optimiser in self._optimisers.items()}

    def load_optimiser_states(self, states: Mapping[str, Any]) -> None:
        """Takes up what `optimiser_states` gave; the parts must be on their device."""
        for name, state in states.items():
            self._optimiser(name).load_state_dict(state)

    def _optimiser(self, name: str) -> torch.optim.Optimizer:
        if name not in self._optimisers:
            self._optimisers[name] = torch.optim.Adam(
                getattr(self, name).parameters(), lr=self.config.lr, betas=(0.5, 0.999)
            )
        return self._optimisers[name]

    def _descend(self, name: str, part: nn.Module, loss: Tensor) -> None:
        """A step of one part alone: the loss runs through others too, and theirs are left as they are."""
        parameters = [p for p in part.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(loss, parameters)
        _clip(gradients)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self._optimiser(name).step()
        for parameter in parameters:
            parameter.grad = None


def sum_of(terms: Mapping[str, Tensor], config: AugmentationConfig) -> Tensor:
    """The terms by the weights of the settings that have their names."""
    weighted = [getattr(config, name) * value for name, value in terms.items()]
    return torch.stack(weighted).sum()


def _frames(values: Tensor, frames: Tensor) -> Tensor:
    """Frames `[B, n]` of `[B, T, ...]` -> `[B * n, ...]`."""
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, frames].flatten(0, 1)


def _clip(gradients: Iterable[Tensor], most: float = 1.0) -> None:
    """Scales gradients to a norm of at most `most`, in place (as PoseAug does)."""
    found = list(gradients)
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in found]))
    for gradient in found:
        gradient.mul_((most / (norm + 1e-6)).clamp(max=1.0))
