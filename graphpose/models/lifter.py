"""What every lifter is: 2D keypoints of a clip in, 3D joints out, on one skeleton.

lift:    x [B, T, J, 2 or more] (normalised screen units, optional confidence) -> [B, T, J, 3] (metres, camera axes, root-relative)
forward: PoseGraph batch with N nodes in total                                  -> [N, 3], in the order of the nodes
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpose.errors import ConfigError, DataError
from graphpose.graph import grids, scatter_grids
from graphpose.skeleton import Skeleton

__all__ = ["Lifter", "LifterConfig"]

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
    """

    bound_to_skeleton: ClassVar[bool] = True
    bound_to_frames: ClassVar[bool] = True

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

    @abstractmethod
    def lift(self, x: Tensor) -> Tensor:
        """x [B, T, J, C_in] (normalised screen units) -> [B, T, J, 3] (metres, root-relative).

        Raises:
            DataError: a shape that this model cannot lift.
        """

    def forward(self, batch: Data) -> Tensor:
        """A PoseGraph or a batch of them, N nodes in total -> [N, 3].

        Clips are grouped by skeleton and length, each group is lifted at once.

        Raises:
            DataError: a clip whose skeleton or length the model's parameters do not fit.
        """
        groups = grids(batch)
        lifted = []
        for group in groups:
            if self.bound_to_skeleton and group.skeleton.joints != self.skeleton.joints:
                raise DataError(
                    f"{type(self).__name__} was built for skeleton {self.skeleton.name!r} ({len(self.skeleton)} joints), the batch "
                    f"holds a clip on {group.skeleton.name!r} ({len(group.skeleton)} joints): map it with clip.to(model.skeleton)"
                )
            lifted.append(self.lift(group.x))
        return scatter_grids(lifted, groups, int(batch.num_nodes or 0))

    def check_input(self, x: Tensor) -> None:
        """Refuses an input whose shape does not fit, naming what was expected."""
        joints = len(self.skeleton)
        frames = self.frames if self.bound_to_frames else (x.shape[1] if x.ndim == 4 else "T")
        expected = f"[B, {frames}, {joints if self.bound_to_skeleton else 'J'}, {self.in_features}]"
        if x.ndim != 4 or x.shape[3] != self.in_features:
            raise DataError(f"{type(self).__name__}: expected keypoints {expected} (got {list(x.shape)})")
        if (self.bound_to_frames and x.shape[1] != self.frames) or (self.bound_to_skeleton and x.shape[2] != joints):
            raise DataError(
                f"{type(self).__name__}: expected keypoints {expected} (got {list(x.shape)}); cut or pad the clip into windows "
                f"of {self.frames} frames and map it to skeleton {self.skeleton.name!r}"
            )
