"""One level of a strided temporal pyramid: every w frames become one.

    y = Drop(V_w(Drop(U(x)))) + x[w // 2 :: w]       causal: x[w - 1 :: w]

U is a unit of stride 1, V_w one of stride w without a residual of its own. The frames that the residual goes on with are those on the
way to the frame that is lifted: the centre one of the window, or the last.

Yu et al., GLA-GCN, ICCV 2023; the strided pyramid is from Pavllo et al., VideoPose3D, CVPR 2019.
"""

from __future__ import annotations

from torch import Tensor, nn

from graphpose.nn.graph_temporal_unit import GraphTemporalUnit
from graphpose.nn.windowed_sequence import WindowedSequence

__all__ = ["PyramidLevel"]


class PyramidLevel(nn.Module):
    """`[B, n w, J, C] -> [B, n, J, C]`.

    Args:
        unit: U.
        strided: V_w; its stride is the width w.
        dropout: probability that a number is dropped after each of the two while training.
        causal: the residual is the last of w frames and not the one in the middle.
    """

    def __init__(self, unit: GraphTemporalUnit, strided: GraphTemporalUnit, dropout: float, causal: bool) -> None:
        super().__init__()
        self.unit = unit
        self.strided = strided
        self.dropout = nn.Dropout(dropout)
        self.width = strided.temporal.stride
        self.kept = self.width - 1 if causal else self.width // 2

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(self.strided(self.dropout(self.unit(x))))
        return x[:, self.kept :: self.width] + y

    def forward_windows(self, x: WindowedSequence) -> WindowedSequence:
        """The same for all windows of a clip at once; see `GraphTemporalUnit.forward_windows`."""
        y = self.strided.forward_windows(self.unit.forward_windows(x))
        return y.plus(x, self.width, self.kept)

    def extra_repr(self) -> str:
        return f"width={self.width}, kept={self.kept}"
