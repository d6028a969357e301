"""What was recorded while a model ran: attention weights, priors, topologies and kept frames, with the clip they belong to.

Letters: B windows, T frames of a window, J joints, H heads, R the axis that is not attended over (frames for attention over joints,
joints for attention over frames), N queries, M keys (M = N but in cross-attention).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from graphpose.errors import DataError
from graphpose.skeleton import Skeleton

__all__ = ["Attention", "Axis", "Fusion", "Record", "Topology", "Window"]

Axis = Literal["joints", "frames"]


@dataclass(frozen=True)
class Attention:
    """The weights of one attention module in one pass of the model.

    Attributes:
        name: of the module within the model, dotted.
        layer: number of the layer that it belongs to, from 0; for models that have no such steps, its number in order of first use.
        axis: what it attends over.
        weights: `[B, R, H, N, M]`, float32 on the CPU; each row (over M) sums to 1. R is 1 where `across` is None.
        heads: numbers of the H heads that are here.
        across: numbers of the R frames or joints that are here; None where the weights are their mean.
        order: place among the attention modules of one pass, from 0.
        frames: `[B, N or R]`, int64: which frames of the window the tokens are, where some were pruned; None: all T.
        key_frames: `[B, M]`, int64: which frames the keys are, where they differ from the queries; None: as the queries.
    """

    name: str
    layer: int
    axis: Axis
    weights: Tensor
    heads: tuple[int, ...]
    across: tuple[int, ...] | None
    order: int = 0
    frames: Tensor | None = None
    key_frames: Tensor | None = None

    def mean(self) -> Tensor:
        """Mean over windows and R -> [H, N, M]."""
        return self.weights.mean(dim=(0, 1))


@dataclass(frozen=True)
class Fusion:
    """How much of each of the streams that run beside each other (DSTformer) goes on after a layer.

    Attributes:
        name: of the module within the model, dotted.
        layer: number of the layer that the streams belong to.
        weights: `[B, T', J, S]`, float32 on the CPU; rows (over the S streams) sum to 1. T' are the frames that the attention of
            the layer has. With a `reduce` their mean over windows and frames, `[1, 1, J, S]`.
    """

    name: str
    layer: int
    weights: Tensor


@dataclass(frozen=True)
class Topology:
    """A graph that the model passes messages along.

    Attributes:
        name: of the module within the model, dotted.
        axis: what its nodes are.
        relation: name of the relation ("kinematic", "trajectory", ...), or of the partition of a GLA-GCN layer.
        local: `[n, n]`, what the graph gives.
        total: `[n, n]`, what is passed along: local and learned together.
    """

    name: str
    axis: Axis
    relation: str
    local: Tensor
    total: Tensor


@dataclass(frozen=True)
class Window:
    """Where one window of the record comes from.

    Attributes:
        clip: name of the clip.
        subject, action: as the clip has them, "" where unknown.
        view: number of the camera.
        start: frame of the clip that is frame 0 of the window.
        frames: how many frames of the window are real; those after them repeat the last one.
        fps: frames per second.
        up: the world's up in camera axes (at frame 0 of the window), so that a tilted camera does not draw people leaning; None
            where the camera is not known.
    """

    clip: str = ""
    subject: str = ""
    action: str = ""
    view: int = 0
    start: int = 0
    frames: int = 1
    fps: float = 30.0
    up: tuple[float, float, float] | None = None


@dataclass
class Record:
    """Everything that was seen of a model, window by window.

    Attributes:
        skeleton: J joints.
        attention: in order of use; the windows of all passes of one module together.
        priors: output of each prior by the name of its module: tokens `[B, T', J, C]` (T' frames where some were pruned), or the
            bias that it gives the attention, `[H, n, n]`.
        topologies: graphs that messages pass along.
        kept: `[B, M]`, int64: frames that the Hourglass Tokenizer kept; None where nothing is pruned.
        keypoints: `[B, T, J, 2 or 3]`, the input, normalised; None where the caller ran the model alone.
        prediction: `[B, T, J, 3]`, metres; as keypoints.
        target: `[B, T, J, 3]`, metres; None where it is not known.
        visible: `[B, T, J]`, bool: False where the keypoint was missing; None where it is not known.
        windows: one a window; empty where it is not known.
        model: name of the model.
        options: of the model.
        versions: of the packages.
        reduced: what a `reduce` of the caller made of the weights, by the name of the module, one a pass.
        fusions: weights of parallel streams, by layer; empty for models that have none.
    """

    skeleton: Skeleton
    attention: list[Attention] = field(default_factory=list)
    priors: dict[str, Tensor] = field(default_factory=dict)
    topologies: list[Topology] = field(default_factory=list)
    kept: Tensor | None = None
    keypoints: Tensor | None = None
    prediction: Tensor | None = None
    target: Tensor | None = None
    visible: Tensor | None = None
    windows: list[Window] = field(default_factory=list)
    model: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    reduced: dict[str, list[Tensor]] = field(default_factory=dict)
    fusions: list[Fusion] = field(default_factory=list)

    def find(self, axis: Axis | None = None, layer: int | None = None, name: str | None = None) -> list[Attention]:
        """The recorded attention that fits, in order of use.

        Raises:
            DataError: nothing fits; what is there is named.
        """
        found = [
            one
            for one in self.attention
            if axis in (None, one.axis) and layer in (None, one.layer) and name in (None, one.name)
        ]
        if not found:
            asked = ", ".join(
                f"{key}={value!r}"
                for key, value in (("axis", axis), ("layer", layer), ("name", name))
                if value is not None
            )
            there = "; ".join(f"{one.name} (axis {one.axis!r}, layer {one.layer})" for one in self.attention)
            raise DataError(
                f"expected recorded attention with {asked or 'any property'} (got none); recorded: {there or 'no attention at all'}"
            )
        return found
