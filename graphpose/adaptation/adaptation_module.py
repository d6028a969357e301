"""A lifter that is adapted: what Lightning calls.

Each step takes a batch of source windows with their 3D and makes new windows of them that look like the target:

    p  = R_x(- tilt of the source's camera) p    as a level camera would see it, so that yaw is about the vertical
    p' = R_x(tilt of the target's) augmentation(p)   local pose augmentation, after its warm-up
    q  = alignment(p', keypoints of the target) global position alignment with windows of the target drawn at random
    (x', y') = (image of q, q - root of q)
    loss = s L(lift(x), y) + (1 - s) L(lift(x'), y'),     s = source_share

The lifter has no more parameters than before; what learns beside it is left behind. Of the target only 2D keypoints are there.
Every draw follows from (seed, step), so a resumed run repeats the uninterrupted one. New windows are made in the precision of the
batch, mixed precision is for the lifter alone. Windows in which a joint would come nearer to the camera than `NEAREST`, or behind
it, are left out of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import roma
import torch
from torch import Tensor

from graphpose.adaptation.adversarial_augmentation import AdversarialAugmentation, Seen
from graphpose.adaptation.global_position_alignment import align, align_windows, project
from graphpose.adaptation.source_intrinsics import fit_intrinsics
from graphpose.adaptation.target_keypoints import TargetKeypoints, TargetWindows
from graphpose.config import AdaptConfig, DataConfig
from graphpose.datasets import flip_points
from graphpose.datasets.views import NEAREST
from graphpose.engine.lifting_module import LiftingModule
from graphpose.errors import DataError
from graphpose.graph import grids
from graphpose.models import Lifter
from graphpose.nn.modes import evaluating

__all__ = ["AdaptationModule"]

_PATIENCE = 50
"""Steps in a row without a single window that can be seen, after which there is no point in going on."""


class AdaptationModule(LiftingModule):
    """Adapts `model` to the 2D keypoints of `target`, on source batches (`x`, `y`, `root`).

    Logs `train/loss`, `train/source`, `train/adapted` (the losses of source and new windows), `train/left_out` (share of the new
    windows that came too close to the camera) and, with augmentation, `augment/<term>`.

    Args:
        model: any lifter that learns by gradients.
        config: of the adaptation.
        data: of the source; its noise and mirror images are those of the new windows too.
        target: the keypoints of the target.
        tilt_of: gives, for numbers of source windows `[B]`, how far their cameras look down `[B]`, radians.
        tilt: how far those of the target do; None for as far as the source's.
    """

    mirror: Tensor

    def __init__(
        self,
        model: Lifter,
        config: AdaptConfig,
        data: DataConfig,
        target: TargetKeypoints,
        tilt_of: Callable[[Tensor], Tensor],
        tilt: float | None = None,
    ) -> None:
        super().__init__(model, config.optim, config.run.seed, config.run.log_every, config.run.max_steps)
        self.config, self.target = config, target
        self.tilt_of, self.tilt = tilt_of, tilt
        self.noise = data.noise
        self.flip = data.flip and bool(model.skeleton.pairs)
        self.register_buffer("mirror", torch.from_numpy(model.skeleton.mirror.copy()), persistent=False)
        enabled = config.augmentation.enabled
        self.augmentation = AdversarialAugmentation(model.skeleton, config.resolved_augmentation()) if enabled else None
        self._saved_optimisers: dict[str, Any] = {}
        self.sample: dict[str, Tensor] = {}
        self._barren = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        [group] = grids(batch)
        x, y = self._window(batch, group)
        pose = y + batch.root.to(y.dtype).view(*y.shape[:2], 1, 3)
        with torch.autocast(x.device.type, enabled=False):
            new_x, new_y = self._new_windows(batch, x, pose)
        self._barren = 0 if len(new_x) else self._barren + 1
        if self._barren == _PATIENCE:
            raise DataError(
                f"in {_PATIENCE} steps no pose of the source could be put in the place of the target's people: with the target's "
                f"focal length and box sizes all come nearer to the camera than {NEAREST:g} m, or their cameras are not known; "
                "check the focal length (target.focal, target.view_angle) and the units of both sides (data.scale)"
            )
        share = self.config.source_share
        # a step in which no new window can be seen learns from the source alone
        shares = {"source": share if len(new_x) else 1.0, "adapted": (1.0 - share) * bool(len(new_x))}
        given = {"source": (x, y), "adapted": (new_x, new_y)}
        names = [name for name in given if shares[name]]
        xs, ys = (torch.cat([given[name][i] for name in names]) for i in (0, 1))
        pred = self.model.lift_for_loss(xs, ys)
        if self.model.lifted_frame is not None:
            ys = ys[:, self.model.lifted_frame][:, None]
        sizes = [len(given[name][0]) for name in names]
        losses = [self.loss(p, t) for p, t in zip(pred.split(sizes), ys.split(sizes), strict=True)]
        total = torch.stack([shares[name] * loss for name, loss in zip(names, losses, strict=True)]).sum()
        self.log("train/loss", total.detach(), batch_size=len(x), prog_bar=True)
        self.log("train/left_out", 1.0 - len(new_x) / len(x), batch_size=len(x))
        for name, loss in zip(names, losses, strict=True):
            self.log(f"train/{name}", loss.detach(), batch_size=len(x))
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return total

    def _new_windows(self, batch: Any, x: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints `[b, T, J, C]` and target `[b, T, J, 3]` of the windows made of the source's; b of those that can be seen."""
        drawn = self._draw(x, pose, batch)
        before = self.tilt_of(batch.window.cpu()).to(pose)
        after = before if self.tilt is None else torch.full_like(before, self.tilt)
        level = changed = self._tilted(pose, -before)
        if self.augmentation is not None:
            settings = self.config.augmentation
            if self.global_step % settings.every == 0:
                self._learn(x, pose, level, after, batch)
            if self.global_step >= settings.warmup_steps:
                changed = self.augmentation(level)
        placed = self._place(self._tilted(changed, after), drawn)
        keypoints = project(placed, drawn.intrinsics[:, None])  # NaN behind the camera; such windows are left out
        certain = self._certain(drawn, x.shape[-1] - 2).to(keypoints)
        if self.noise:
            e = torch.randn_like(keypoints)
            keypoints = keypoints + self.noise * e
            certain = certain * torch.exp(-0.5 * e.square().sum(-1, keepdim=True))  # as in the source's windows
        keypoints = torch.where(drawn.visible[..., None], keypoints, 0.0)
        keypoints = torch.cat([keypoints, certain], dim=-1)
        target = (
            drawn.keypoints if self.config.alignment.by != "none" else self._real(*x.shape[:2]).to(x.device).keypoints
        )
        upright = self._tilted(placed, -after)
        self.sample = {"source": level, "changed": upright, "keypoints": keypoints[..., :2], "target": target}
        made = self._relative(placed)
        if self.flip:
            mirrored = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
            keypoints = torch.where(mirrored, flip_points(keypoints, self.mirror), keypoints)
            made = torch.where(mirrored, flip_points(made, self.mirror), made)
        seen = (placed[..., 2].amin((1, 2)) > NEAREST) & keypoints.isfinite().flatten(1).all(1)
        return keypoints[seen], made[seen]

    def _tilted(self, pose: Tensor, tilt: Tensor) -> Tensor:
        """Poses `[B, T, J, 3]` as cameras would see them that look down further by `tilt [B]`, the middle root in its place."""
        zero = torch.zeros_like(tilt)
        turn = roma.rotvec_to_rotmat(torch.stack([tilt, zero, zero], dim=-1)).to(pose.dtype)
        root = pose[:, pose.shape[1] // 2, None, None, self.model.skeleton.root]
        return root + torch.einsum("bxy,btjy->btjx", turn, pose - root)

    def _draw(self, x: Tensor, pose: Tensor, batch: Any) -> TargetWindows:
        """Windows of the target to take place and camera from; the source's own where nothing is aligned."""
        if self.config.alignment.by != "none":
            return self._real(*x.shape[:2]).to(x.device)
        visible = x.new_ones(x.shape[:3], dtype=torch.bool)
        if getattr(batch, "visible", None) is not None:
            visible = batch.visible.view(x.shape[:3])
        return TargetWindows(x[..., :2], visible, fit_intrinsics(pose, x, visible))

    def _real(self, count: int, frames: int) -> TargetWindows:
        return self.target.draw(count, frames, usable=self.config.alignment.by == "frame")

    def _place(self, pose: Tensor, drawn: TargetWindows) -> Tensor:
        """The poses where the drawn windows are."""
        by, root = self.config.alignment.by, self.model.skeleton.root
        if by == "none":
            return pose
        if by == "window":
            return align_windows(pose, drawn.keypoints, drawn.intrinsics, root=root, visible=drawn.visible)
        b, t = pose.shape[:2]
        intrinsics = drawn.intrinsics[:, None].expand(b, t, 4).flatten(0, 1)
        flat = (pose.flatten(0, 1), drawn.keypoints.flatten(0, 1), intrinsics)
        return align(*flat, root=root, visible=drawn.visible.flatten(0, 1)).unflatten(0, (b, t))

    def _learn(self, x: Tensor, pose: Tensor, level: Tensor, after: Tensor, batch: Any) -> None:
        """A step of generator and discriminators."""
        assert self.augmentation is not None
        drawn, real = self._draw(x, pose, batch), self._real(*x.shape[:2]).to(x.device)
        seen = drawn.intrinsics.isfinite().all(-1)  # a source window of few keypoints does not tell its camera
        if not bool(seen.any()):
            return
        drawn, level, after = TargetWindows(*(values[seen] for values in drawn)), level[seen], after[seen]
        keypoints, visible = real.keypoints[seen].to(pose), real.visible[seen]
        if self.flip:  # source windows are mirrored as often
            mirrored = torch.rand(len(keypoints), 1, 1, device=x.device) < 0.5
            keypoints = torch.where(mirrored[..., None], flip_points(keypoints, self.mirror), keypoints)
            visible = torch.where(mirrored, visible[..., self.mirror], visible)

        def see(changed: Tensor) -> Seen:
            return self._image(self._place(self._tilted(changed, after), drawn), drawn), drawn.visible

        def error(poses: Tensor) -> Tensor:
            few = TargetWindows(*(values[: len(poses)] for values in drawn))
            return self._error(self._place(self._tilted(poses, after[: len(poses)]), few).to(x.dtype), few, x.shape[-1])

        terms = self.augmentation.learn(level, (keypoints, visible), see, error)
        if self.global_step % self.log_every == 0:
            self.log_dict({f"augment/{name}": value for name, value in terms.items()}, batch_size=len(x))

    def _image(self, placed: Tensor, drawn: TargetWindows) -> Tensor:
        """Keypoints `[B, T, J, 2]`, with finite gradients also of poses that reach behind the camera."""
        safe = torch.cat([placed[..., :2], placed[..., 2:].clamp(min=NEAREST)], dim=-1)
        return torch.where(drawn.visible[..., None], project(safe, drawn.intrinsics[:, None]), 0.0)

    def _error(self, placed: Tensor, drawn: TargetWindows, features: int) -> Tensor:
        """Mean error in metres of the lifter as it is now on poses `[b, T, J, 3]`."""
        keypoints = self._image(placed, drawn)
        made = self._relative(placed)
        with evaluating(self.model):
            pred = self.model.lift(torch.cat([keypoints, self._certain(drawn, features - 2).to(keypoints)], dim=-1))
        if self.model.lifted_frame is not None:
            made = made[:, self.model.lifted_frame][:, None]
        return torch.linalg.vector_norm(pred - made, dim=-1).mean()

    @staticmethod
    def _certain(drawn: TargetWindows, features: int) -> Tensor:
        """Confidence of projected keypoints `[B, T, J, features]` (none or one): 1, or 0 where the target shows none."""
        return drawn.visible[..., None].expand(*drawn.visible.shape, features)

    def _relative(self, pose: Tensor) -> Tensor:
        root = self.model.skeleton.root
        return pose - pose[:, :, root : root + 1]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.augmentation is not None:
            checkpoint["augmentation_optimisers"] = self.augmentation.optimiser_states()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._saved_optimisers = checkpoint.get("augmentation_optimisers", {})

    def on_train_start(self) -> None:
        if self.augmentation is not None:  # only now are its parts where they will stay
            self.augmentation.load_optimiser_states(self._saved_optimisers)
