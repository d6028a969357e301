"""GLA-GCN: adaptive graph convolutions in a strided temporal pyramid; a window of frames in, the pose of one frame out.

    h = U(BN(x))                                         x [B, T, J, C_in], h [B, T, J, C]
    for each width w:
        h = Drop(V_w(Drop(U(h)))) + h[w // 2 :: w]       every w frames become one; causal: h[w - 1 :: w]
    y = W h + b                                          [B, 1, J, 3], the same W for every joint

U is a unit of adaptive graph convolution, temporal convolution and residual (`nn/graph_temporal_unit.py`), V_w one of stride w
without a residual. The widths multiply to the receptive field R; the residual follows the frame that is lifted, the centre one
of the window (causal: the last one). The input's BatchNorm has its own statistics for each feature of each joint. The paper gives
the head of each joint weights of its own; the published code, followed here, shares them ("per-joint backtracing": a joint is
read from its own node alone). It also averages over the frames left, of which there is one here.

In the published model the data-dependent graph of a window is estimated from all of its frames (`data_graph="window"`), so no number
behind it is shared by two windows, and a whole clip costs as much as its windows. With `data_graph="frame"` each frame has a
graph of its own; then `lift_sequence` runs dilated over the clip and treats only the frames near a window's borders, where the
published convolutions pad with zeros, for each window. Both give, frame by frame, what `lift` gives on the window of that frame.

Yu, Zhang, Wang, Zhong and Chen: "GLA-GCN: Global-local Adaptive Graph Convolutional Network for 3D Human Pose Estimation from
Monocular Video", ICCV 2023. The causal form is ours: convolutions that read no frame after the one they stand for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.models.lifter import Lifter, LifterConfig
from graphpose.models.registry import register
from graphpose.nn.adaptive_graph_convolution import DataGraph, partition_topology
from graphpose.nn.batch_norm import JointNorm
from graphpose.nn.filter_widths import filter_widths
from graphpose.nn.graph_temporal_unit import GraphTemporalUnit
from graphpose.nn.linear import Linear
from graphpose.nn.normalised_unit import check_unit
from graphpose.nn.temporal_pyramid import PyramidLevel
from graphpose.nn.windowed_sequence import WindowedSequence
from graphpose.skeleton import Skeleton

__all__ = ["GLAGCN", "GLAGCNConfig"]

FRAMES_AT_ONCE = 8192
"""Frames of windows that `lift_sequence` holds at a time, about: bounds its memory."""


@dataclass(frozen=True)
class GLAGCNConfig(LifterConfig):
    """Options of GLA-GCN.

    Attributes:
        frames: T, the window whose centre (causal: last) frame is lifted. The receptive field is odd: of an even window the first
            frame is not read.
        in_features: 2 (x, y) or 3 (x, y, confidence) a joint.
        filter_widths: odd widths of the pyramid, whose product is the receptive field; null: the prime factors of `frames`
            (published: 3 each, for 27, 81 and 243 frames).
        channels: C, width of a token (published: 96 to 512).
        kernel_size: frames that a temporal convolution reads (published: 9).
        dropout: share of the numbers that are dropped after a unit while training (published: 0.25).
        graph_dropout: the same inside a graph convolution (published: 0.1).
        causal: lift the last frame of the window, by convolutions that read no later frame.
        data_graph: "window" (published): one data-dependent graph from all frames of a window; "frame": one for each frame, which
            makes whole clips cheaper.
    """

    filter_widths: tuple[int, ...] | None = None
    channels: int = 96
    kernel_size: int = 9
    dropout: float = 0.25
    graph_dropout: float = 0.1
    causal: bool = False
    data_graph: DataGraph = "window"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unit("channels", self.channels, self.dropout)
        if not 0 <= self.graph_dropout < 1:
            raise ConfigError(f"expected graph_dropout in [0, 1) (got {self.graph_dropout})")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ConfigError(f"expected an odd kernel_size (got {self.kernel_size})")
        if any(width < 3 or width % 2 == 0 for width in self.widths):
            raise ConfigError(f"expected filter_widths as odd numbers from 3 (got {list(self.widths)})")
        field = math.prod(self.widths)
        if field != self.frames - (self.frames % 2 == 0):
            raise ConfigError(
                f"expected filter_widths whose product is frames={self.frames} (got {list(self.widths)}, product {field}): "
                f"set frames={field}, or leave filter_widths out"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths given, or those of `frames`."""
        return filter_widths(self.frames) if self.filter_widths is None else self.filter_widths


@register(
    "gla_gcn",
    GLAGCNConfig,
    "adaptive graph convolutions in a strided temporal pyramid, one frame of a window (ICCV 2023)",
)
class GLAGCN(Lifter):
    """`lift` takes `[B, T, J, C_in]` and gives `[B, 1, J, 3]`, the centre frame (causal: the last); `lift_sequence` gives every frame."""

    def __init__(self, skeleton: Skeleton, config: GLAGCNConfig) -> None:
        super().__init__(skeleton, config)
        self.lifts = "last" if config.causal else "centre"
        topology = partition_topology(skeleton)

        def unit(in_channels: int, stride: int | None = None) -> GraphTemporalUnit:
            return GraphTemporalUnit(
                in_channels,
                config.channels,
                topology,
                kernel_size=config.kernel_size,
                stride=stride,
                causal=config.causal,
                data_graph=config.data_graph,
                dropout=config.graph_dropout,
            )

        self.input_norm = JointNorm(len(skeleton), config.in_features)
        self.expand = unit(config.in_features)
        self.levels = nn.Sequential(
            *(
                PyramidLevel(unit(config.channels), unit(config.channels, width), config.dropout, config.causal)
                for width in config.widths
            )
        )
        self.head = Linear(config.channels, 3)

    @property
    def receptive_field(self) -> int:
        """R: frames that decide one lifted frame, the product of the widths."""
        return math.prod(self.config.widths)

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return self._lift_window(self.input_norm(x[:, self.frames - self.receptive_field :]))

    def lift_sequence(self, x: Tensor) -> Tensor:
        """Every frame of a clip of any length from its own window: x [B, L, J, C_in] -> [B, L, J, 3]; see the module.

        In training mode all windows are one batch for the BatchNorms; otherwise only some are held at a time.
        """
        if self.training or x.ndim != 4 or x.shape[2:] != (len(self.skeleton), self.in_features):
            return super().lift_sequence(x)  # which names what is wrong with a shape
        length, field = x.shape[1], self.receptive_field
        before = field - 1 if self.config.causal else field // 2
        place = torch.arange(length + field - 1, device=x.device) - before
        clip = self.input_norm(x[:, place.clamp(0, length - 1)])  # [B, L + R - 1, J, C_in]
        apart = self.config.data_graph == "window"
        kept = field if apart else min(field, 4 * self.config.kernel_size)  # frames of a window that are held
        count = max(1, FRAMES_AT_ONCE // (kept * max(1, x.shape[0])))
        parts = [clip[:, first : first + count + field - 1] for first in range(0, length, count)]
        return torch.cat([self._lift_apart(part) if apart else self._lift_together(part) for part in parts], dim=1)

    def _lift_window(self, x: Tensor) -> Tensor:
        """The pyramid: one window of R normalised frames [B, R, J, C_in] -> [B, 1, J, 3]."""
        return self.head(self.levels(self.expand(x)))

    def _lift_apart(self, clip: Tensor) -> Tensor:
        """All windows of R normalised frames, one by one: [B, W + R - 1, J, C_in] -> [B, W, J, 3]."""
        windows = clip.unfold(1, self.receptive_field, 1).permute(0, 1, 4, 2, 3)  # [B, W, R, J, C_in]
        return self._lift_window(windows.flatten(0, 1)).unflatten(0, windows.shape[:2]).squeeze(2)

    def _lift_together(self, clip: Tensor) -> Tensor:
        """The same numbers, dilated over the clip: what windows share is computed once."""
        hidden = self.expand.forward_windows(WindowedSequence.of(clip, self.receptive_field))
        for level in self.levels:
            assert isinstance(level, PyramidLevel)
            hidden = level.forward_windows(hidden)
        return self.head(hidden.take(0, 1).squeeze(2))
