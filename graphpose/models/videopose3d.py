"""VideoPose3D: dilated convolutions over time on all joints of a frame at once; time without a graph.

    h = U_1(x)                                 x [J C_in, T], convolution of width w_1
    h = h' + V_i(U_i(h)),  i = 2 .. n          U_i: width w_i, dilation w_1 ... w_(i-1); V_i: width 1; h' = the frames of h that are left
    y = W h + b                                [3 J, T], relative to the root

with U, V = Dropout(ReLU(BatchNorm(convolution))). The receptive field is R = w_1 w_2 ... w_n frames. Convolutions do not pad: the
clip is padded once, by repeating its first and last frame (R - 1) / 2 times, and every frame comes out. The causal form pads R - 1
frames on the left, shifts the residual likewise, and sees no later frame.

This is the published form for whole clips. The published training of single frames computes the same numbers with strides.
Training here lifts all frames of a window, of which those near its ends see repeated frames; the published code trains each
frame with its true neighbours.

Pavllo, Feichtenhofer, Grangier, Auli: "3D human pose estimation in video with temporal convolutions and semi-supervised training",
CVPR 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor, nn

from graphpose.errors import ConfigError
from graphpose.models.lifter import Lifter, LifterConfig
from graphpose.models.registry import register
from graphpose.nn.filter_widths import filter_widths
from graphpose.nn.normalised_unit import check_unit, normalised_unit
from graphpose.skeleton import Skeleton

__all__ = ["VideoPose3D", "VideoPose3DConfig"]


@dataclass(frozen=True)
class VideoPose3DConfig(LifterConfig):
    """Options of VideoPose3D.

    Attributes:
        frames: frames of a training window; clips of any length are lifted. Without `filter_widths` also the receptive field, which
            is odd: of an even number one less.
        in_features: 2 (x, y) or 3 (x, y, confidence) a joint.
        filter_widths: odd widths of the convolutions, whose product is the receptive field; null: the prime factors of `frames`
            (published: 3 each, for 27, 81 and 243 frames).
        channels: width of a layer (published: 1024).
        dropout: share of the hidden numbers that are dropped while training (published: 0.25).
        causal: see no later frame, as a live camera needs.
    """

    filter_widths: tuple[int, ...] | None = None
    channels: int = 1024
    dropout: float = 0.25
    causal: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unit("channels", self.channels, self.dropout)
        widths = self.filter_widths
        if widths is not None and (not widths or any(width < 1 or width % 2 == 0 for width in widths)):
            raise ConfigError(f"expected filter_widths as odd numbers (got {list(widths)})")

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths given, or those of `frames`; at least one."""
        return self.filter_widths or filter_widths(self.frames) or (1,)


@register("videopose3d", VideoPose3DConfig, "baseline: dilated convolutions over time (Pavllo et al., CVPR 2019)")
class VideoPose3D(Lifter):
    """`lift` takes `[B, T, J, C_in]` of any T and gives `[B, T, J, 3]`; frame t sees the `receptive_field` frames around (or up to) t."""

    bound_to_frames = False
    whole_clips = True

    def __init__(self, skeleton: Skeleton, config: VideoPose3DConfig) -> None:
        super().__init__(skeleton, replace(config, filter_widths=config.widths))  # they stay when `frames` changes
        self.widths = config.widths
        channels, joints = config.channels, len(skeleton)

        def unit(inputs: int, width: int = 1, dilation: int = 1) -> nn.Sequential:
            layer = nn.Conv1d(inputs, channels, width, dilation=dilation, bias=False)
            return normalised_unit(layer, channels, config.dropout)

        self.stem = unit(joints * config.in_features, self.widths[0])
        self.blocks = nn.ModuleList(
            nn.Sequential(unit(channels, width, math.prod(self.widths[:i])), unit(channels))
            for i, width in enumerate(self.widths[1:], 1)
        )
        self.head = nn.Conv1d(channels, joints * 3, 1)

    @property
    def receptive_field(self) -> int:
        """R, the frames that decide one frame of the output."""
        return math.prod(self.widths)

    def lift(self, x: Tensor) -> Tensor:
        self.check_input(x)
        context = self.receptive_field - 1
        before = context if self.config.causal else context // 2
        padded = F.pad(x.flatten(2).mT, (before, context - before), mode="replicate")
        hidden = self.stem(padded)  # [B, C, T + what the blocks lose]
        for block in self.blocks:
            deeper = block(hidden)
            lost = hidden.shape[2] - deeper.shape[2]
            start = lost if self.config.causal else lost // 2
            hidden = hidden[:, :, start : start + deeper.shape[2]] + deeper
        return self.head(hidden).mT.reshape(*x.shape[:3], 3)  # contiguous
