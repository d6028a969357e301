"""Hourglass Tokenizer: any space-time Transformer of the zoo goes on with M of its T frames from one layer on.

    Z = layer_i(...layer_0(embed(x)))            [B, T, J, C],  i = layer - 1
    S = prune(Z)                                 [B, M], which frames are kept, rising
    Z = Z[S] + P                                 [B, M, J, C],  P [M, C] learned, starts at 0
    Z = layer_i(Z),  i = layer ... depth - 1     priors and positions are told which frames these are
    y = recover(Z, S)                            [B, T, J, 3];  or decode of the centre frame alone, [B, 1, J, 3]

`hourglass(model)` makes a trained model cheaper, at once with recover "interpolation"; "cross-attention" is to be trained. For one
frame of the window the published code ranks the others and adds the centre; here it takes the place of the nearest kept frame.

Li et al., "Hourglass Tokenizer for Efficient Transformer-Based 3D Human Pose Estimation", CVPR 2024.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from graphpose.errors import ConfigError, DataError, unknown_name
from graphpose.models.lifter import Lifter, LifterConfig
from graphpose.models.registry import create, entry, register
from graphpose.models.space_time import SpaceTimeTransformer, hosts
from graphpose.nn.token_pruning import create_pruning, keep_frame
from graphpose.nn.token_recovery import RECOVERIES, create_recovery
from graphpose.skeleton import Skeleton
from graphpose.structured import plain

__all__ = ["Hourglass", "HourglassConfig", "hourglass"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HourglassConfig(LifterConfig):
    """Options of the Hourglass Tokenizer.

    Attributes:
        frames: T, the receptive field; a clip is lifted in windows of this length.
        in_features: 2 (x, y) or 3 (x, y, confidence) a joint.
        host: the space-time Transformer that is wrapped, by name ("ktpformer", ...).
        host_options: its own options (channels, depth, heads, prior, ...), but frames and in_features.
        tokens: M, frames that are kept; the cost of the layers after the pruning shrinks to about M / T. None is a third of
            the frames: 81 of 243, as published.
        layer: number of the layer (from 0) before which frames are pruned; a later one costs more and loses less.
        prune: "density-peak" (published), "uniform", "motion", "attention", or a registered rule of one's own.
        recover: "cross-attention" (published; trained), or "interpolation" of the poses in time (no parameters).
        neighbours: k of "density-peak", the frame itself included.
        output: "sequence" (all frames of a window), or "centre" (the centre frame alone, which is always kept; nothing is recovered).
    """

    host: str = "mixste"
    host_options: dict[str, Any] = field(default_factory=dict)
    tokens: int | None = None
    layer: int = 3
    prune: str = "density-peak"
    recover: str = "cross-attention"
    neighbours: int = 2
    output: Literal["sequence", "centre"] = "sequence"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "tokens", self.kept)  # written out, as files hold it
        create_pruning(self.prune, self.kept, self.neighbours)  # refuses what does not fit
        if self.kept > self.frames:
            raise ConfigError(f"expected tokens <= frames (got tokens={self.kept}, frames={self.frames})")
        if self.layer < 0:
            raise ConfigError(f"expected layer >= 0 (got {self.layer})")
        if self.recover not in RECOVERIES:
            raise ConfigError(unknown_name("recover", self.recover, sorted(RECOVERIES)))
        if self.output not in ("sequence", "centre"):
            raise ConfigError(unknown_name("output", self.output, ("sequence", "centre")))
        if not issubclass(entry(self.host).model, SpaceTimeTransformer):
            raise ConfigError(f"expected host to be one of {', '.join(hosts())} (got {self.host!r})")
        if taken := sorted({"frames", "in_features"} & set(self.host_options)):
            raise ConfigError(f"host_options: expected no {' and '.join(taken)}, which the model sets (got both)")
        object.__setattr__(self, "host_options", plain(self.host_options))  # lists, as files hold them

    @property
    def kept(self) -> int:
        """M, the number of frames that are kept."""
        return max(1, self.frames // 3) if self.tokens is None else self.tokens


@register("hourglass", HourglassConfig, "Hourglass Tokenizer: any space-time Transformer on fewer frames (CVPR 2024)")
class Hourglass(Lifter):
    """The Hourglass Tokenizer around a host; `host` is an instance to wrap, by default a new one of the config."""

    def __init__(self, skeleton: Skeleton, config: HourglassConfig, host: SpaceTimeTransformer | None = None) -> None:
        super().__init__(skeleton, config)
        if host is None:
            options = config.host_options | {"in_features": config.in_features}
            made = create(config.host, skeleton, config.frames, **options)
            assert isinstance(made, SpaceTimeTransformer)  # the config has seen to it
            host = made
        if config.layer >= host.depth:
            raise ConfigError(
                f"model hourglass: expected layer in 0 ... {host.depth - 1}, one of the {host.depth} layers of the host {config.host!r} "
                f"(got layer={config.layer})"
            )
        self.host = host
        self.prune = create_pruning(config.prune, config.kept, config.neighbours)
        channels = host.config.channels
        self.token_embedding = nn.Parameter(torch.zeros(config.kept, channels))
        self.recovery = None
        self.bound_to_skeleton = host.bound_to_skeleton  # but bound to T: M of T frames are kept
        if config.output == "centre":
            self.lifts = "centre"
        else:
            self.recovery = create_recovery(config.recover, channels, host.config.heads, config.frames)

    def lift(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """See `Lifter`; `kept [B, M]` (int64, rising) says which frames to keep, in place of the pruning rule."""
        self.check_input(x)
        tokens = self.encode(x)
        if kept is None:
            kept = self.select(tokens)
        elif kept.shape != (len(x), self.config.kept):
            raise DataError(f"expected kept frames {[len(x), self.config.kept]} (got {list(kept.shape)})")
        tokens = torch.take_along_dim(tokens, kept[:, :, None, None], dim=1) + self.token_embedding[:, None]
        for index in range(self.config.layer, self.host.depth):
            tokens = self.host.layer(index, tokens, kept)
        if self.recovery is not None:
            return self.recovery(tokens, kept, x.shape[1], self.host.decode)
        centre = (kept == x.shape[1] // 2).long().argmax(dim=1)  # [B], where it stands among the kept
        return self.host.decode(torch.take_along_dim(tokens, centre[:, None, None, None], dim=1))

    def encode(self, x: Tensor) -> Tensor:
        """Keypoints [B, T, J, C_in] -> tokens of all frames [B, T, J, C], as they are when it is chosen which to keep."""
        tokens = self.host.embed(x)
        for index in range(self.config.layer):
            tokens = self.host.layer(index, tokens)
        return tokens

    def select(self, tokens: Tensor) -> Tensor:
        """Tokens [B, T, J, C] -> numbers of the kept frames [B, M], int64, rising."""
        kept = self.prune(tokens, self.host.temporal_block(self.config.layer))
        return keep_frame(kept, tokens.shape[1] // 2) if self.lifts == "centre" else kept

    def selected_frames(self, x: Tensor) -> Tensor:
        """Which frames of these clips are kept: keypoints [B, T, J, C_in] -> [B, M], int64, rising."""
        self.check_input(x)
        with torch.no_grad():
            return self.select(self.encode(x))


def hourglass(
    model: SpaceTimeTransformer,
    tokens: int | None = None,
    layer: int = 3,
    prune: str = "density-peak",
    recover: str = "cross-attention",
    neighbours: int = 2,
    output: Literal["sequence", "centre"] = "sequence",
) -> Hourglass:
    """Wraps a model, whose weights are used and not copied, in the Hourglass Tokenizer.

    >>> cheap = hourglass(graphpose.load("runs/walk/best.safetensors"), tokens=81, layer=3, recover="interpolation")

    A recovery with parameters ("cross-attention", published) starts untrained, whatever the model knows: it is warned of in the
    log. A trained model that is to be used as it is takes "interpolation", which has none.

    Args:
        model: a host, trained or not (`graphpose.models.hosts()`); mode, device and dtype are kept.
        tokens, layer, prune, recover, neighbours, output: see `HourglassConfig`.

    Raises:
        ConfigError: a model that is no host or not in the zoo, and options that do not fit it.
    """
    names = [name for name in hosts() if entry(name).model is type(model)]
    if not names:
        raise ConfigError(f"expected a model of one of {', '.join(hosts())} (got {type(model).__name__})")
    options = plain(model.config)
    shared = {name: options.pop(name) for name in ("frames", "in_features")}
    config = HourglassConfig(
        **shared,
        host=names[0],
        host_options=options,
        tokens=tokens,
        layer=layer,
        prune=prune,
        recover=recover,
        neighbours=neighbours,
        output=output,
    )
    wrapped = Hourglass(model.skeleton, config, model)
    new = 0 if wrapped.recovery is None else sum(parameter.numel() for parameter in wrapped.recovery.parameters())
    if new:
        log.warning(
            "hourglass: recover=%r has %s new parameters, which are not trained yet: train the model before its poses mean "
            "anything, or take recover='interpolation', which has none",
            recover,
            f"{new:,}",
        )
    return wrapped.to(next(model.parameters())).train(model.training)
