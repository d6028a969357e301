"""What every lifter is: 2D keypoints of a clip in, 3D joints out, on one skeleton.

lift:    x [B, T, J, 2 or more] (normalised screen units, optional confidence) -> [B, T, J, 3] (metres, camera axes, root-relative)
forward: PoseGraph batch with N nodes in total                                  -> [N, 3], in the order of the nodes
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from typing_extensions import Self

from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.graph import grids, scatter_grids
from graphpose.models.sharing import kept_twin, twin
from graphpose.skeleton import Skeleton

__all__ = ["Lifter", "LifterConfig"]

_WINDOWS_AT_ONCE = 64  # of a clip, one around each frame
_LARGEST = 2**31 - 1  # of any size; far beyond every memory, and what tensors can still be asked for


@dataclass(frozen=True)
class LifterConfig:
    """What all lifters share; each model adds its own fields.

    Attributes:
        frames: T, the receptive field in frames.
        in_features: input features a joint: 2 (x, y) or 3 (x, y, confidence).
    """

    frames: int = 243
    in_features: int = 2

    def __post_init__(self) -> None:
        for name in ("frames", "in_features"):
            if getattr(self, name) < 1:
                raise ConfigError(f"expected {name} >= 1 (got {getattr(self, name)})")
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int) and value > _LARGEST:
                raise ConfigError(f"expected {item.name} <= {_LARGEST} (got {value})")


class Lifter(nn.Module, ABC):
    """Base class: checks shapes and carries a batch of graphs to `lift` and back.

    Attributes:
        skeleton: the skeleton whose joints the model lifts.
        config: the resolved options.
        bound_to_skeleton: parameters belong to single joints; another skeleton is refused.
        bound_to_frames: parameters belong to single frames; another clip length is refused.
        whole_clips: the cost grows no faster than the length, so clips are lifted whole and not in windows of T frames.
        lifts: what `lift` gives of a window: all of its frames, or the centre one or the last one alone.
        free_options: options that a trained model can be given anew, since no parameter depends on them.
    """

    bound_to_skeleton: bool = True
    bound_to_frames: bool = True
    whole_clips: bool = False
    lifts: Literal["window", "centre", "last"] = "window"
    free_options: tuple[str, ...] = ()

    def __init__(self, skeleton: Skeleton, config: LifterConfig) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.config: Any = config

    @property
    def frames(self) -> int:
        return int(self.config.frames)

    @property
    def in_features(self) -> int:
        return int(self.config.in_features)

    @property
    def lifted_frame(self) -> int | None:
        """Which frame of a window `lift` gives; None for all."""
        return {"window": None, "centre": self.frames // 2, "last": self.frames - 1}[self.lifts]

    @abstractmethod
    def lift(self, x: Tensor) -> Tensor:
        """x [B, T, J, C_in] (normalised screen units) -> [B, T, J, 3] (metres, root-relative).

        A model that `lifts` one frame of the window gives [B, 1, J, 3].

        Raises:
            DataError: a shape that this model cannot lift.
        """

    def lift_sequence(self, x: Tensor) -> Tensor:
        """Every frame of a clip: x [B, L, J, C_in] -> [B, L, J, 3]; L is T for models bound to it that lift whole windows.

        A model that lifts one frame of a window lifts a window around each frame, the clip's ends repeated.
        """
        if self.lifted_frame is None:
            return self.lift(x)
        if x.ndim != 4:
            self.check_input(x)
        length = x.shape[1]
        place = torch.arange(length, device=x.device)[:, None] + torch.arange(self.frames, device=x.device)
        place = (place - self.lifted_frame).clamp(0, length - 1)  # [L, T]
        lifted = [
            self.lift(x[:, part].flatten(0, 1)).unflatten(0, (x.shape[0], len(part)))  # [B, ., 1, J, 3]
            for part in place.split(_WINDOWS_AT_ONCE)
        ]
        return torch.cat(lifted, dim=1).squeeze(2)

    def lift_for_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """What the loss compares with the target y [B, T, J, 3] (or its lifted frame) while training; shape as of `lift`."""
        return self.lift(x)

    def on(self, skeleton: Skeleton | str | None = None, frames: int | None = None) -> Self:
        """The same parameters (shared, not copied) on another skeleton, or for windows of another length.

        Training what comes back trains this model. Mode, device and dtype are those of each part now; what is changed on
        this model later (mode, device, a part replaced) is not followed.

        Args:
            skeleton: a `Skeleton`, or a name or path that `Skeleton.load` takes; default: this model's.
            frames: T of the windows in which clips are lifted; default: this model's.

        Raises:
            ConfigError: a model whose parameters belong to single joints, or single frames.
        """
        if skeleton is None:
            skeleton = self.skeleton
        elif isinstance(skeleton, str):
            skeleton = Skeleton.load(skeleton)
        if skeleton == self.skeleton and frames in (None, self.frames):
            return self
        if self.bound_to_skeleton and skeleton != self.skeleton:
            raise ConfigError(
                f"{type(self).__name__} has parameters of its own for each joint of {self.skeleton.name!r} and does not fit "
                f"{skeleton.name!r}: map the clips with clip.to(model.skeleton), or {self._unbound()}"
            )
        if self.bound_to_frames and frames not in (None, self.frames):
            raise ConfigError(
                f"{type(self).__name__} has parameters of its own for each of its {self.frames} frames and does not fit windows "
                f"of {frames}: {self._unbound()}"
            )
        config = self.config if frames is None else replace(self.config, frames=frames)
        return twin(self, lambda: type(self)(skeleton, config))

    def _unbound(self) -> str:
        """What to train to be bound to no skeleton and no length."""
        takes = any(item.name == "index_free" for item in fields(self.config))
        return (
            "train it with index_free=True"
            if takes
            else "train a model that is bound to neither (ktpformer_index_free)"
        )

    def with_options(self, **options: Any) -> Self:
        """The same parameters (shared, not copied) under other options, of those that need no training (`free_options`).

        As with `on`, what is changed on this model later is not followed. Saved, what comes back keeps its options.

        Raises:
            ConfigError: an option that belongs to the training, an unknown one, or a value that does not fit.
        """
        for name in options:
            if not self.free_options:
                raise ConfigError(
                    f"{type(self).__name__} has no option that can change after its training (got {name!r})"
                )
            if name not in self.free_options:
                raise ConfigError(unknown_name("option that can change after the training", name, self.free_options))
        config = replace(self.config, **options)
        return self if config == self.config else twin(self, lambda: type(self)(self.skeleton, config))

    def forward(self, batch: Data) -> Tensor:
        """A PoseGraph or a batch of them, N nodes in total -> [N, 3].

        Clips are grouped by skeleton and length, each group is lifted at once.

        Raises:
            DataError: a clip whose skeleton or length the model's parameters do not fit.
        """
        groups = grids(batch)
        lifted = []
        for group in groups:
            model: Lifter = self
            if group.skeleton.joints != self.skeleton.joints and self.bound_to_skeleton:
                raise DataError(
                    f"{type(self).__name__} was built for skeleton {self.skeleton.name!r} ({len(self.skeleton)} joints), the "
                    f"batch holds a clip on {group.skeleton.name!r} ({len(group.skeleton)} joints): map it with "
                    "clip.to(model.skeleton)"
                )
            if not self.bound_to_skeleton and group.skeleton != self.skeleton:
                model = kept_twin(self, group.skeleton, partial(self.on, group.skeleton))
            lifted.append(model.lift_sequence(group.x))
        return scatter_grids(lifted, groups, int(batch.num_nodes or 0))

    def check_input(self, x: Tensor) -> None:
        """Refuses an input whose shape does not fit, naming what was expected."""
        joints = len(self.skeleton)
        frames = self.frames if self.bound_to_frames else "T"
        expected = f"[B, {frames}, {joints}, {self.in_features}]"
        if x.ndim != 4 or x.shape[3] != self.in_features:
            raise DataError(f"{type(self).__name__}: expected keypoints {expected} (got {list(x.shape)})")
        if x.shape[0] == 0:
            raise DataError(f"{type(self).__name__}: expected at least one clip (got {list(x.shape)})")
        if (self.bound_to_frames and x.shape[1] != self.frames) or (self.bound_to_skeleton and x.shape[2] != joints):
            raise DataError(
                f"{type(self).__name__}: expected keypoints {expected} (got {list(x.shape)}); cut or pad the clip into windows "
                f"of {self.frames} frames and map it to skeleton {self.skeleton.name!r}"
            )
        if x.shape[2] != joints:
            raise DataError(
                f"{type(self).__name__}: expected keypoints {expected} of skeleton {self.skeleton.name!r} (got {list(x.shape)}); "
                "model.on(skeleton) lifts those of another"
            )
