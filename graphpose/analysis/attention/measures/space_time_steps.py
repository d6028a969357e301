"""One window of a record as a chain of steps from the output tokens back to the input tokens; rollout and flow walk along it.

    M = r I + (1 - r) mean_h A_h          attention and the residual around it, [N, N], rows sum to 1

A step mixes along one axis only: over joints there is an M [J, J] for each of the T frames, over frames an M [T, T] for each of
the J joints; the matrix [T J, T J] of a whole layer is never made. What is no attention becomes a step as well:

- frames that the Hourglass Tokenizer prunes: an M [M, T] that reads each kept frame and no other;
- its recovery: the weights of the cross-attention [T, M] (its queries hold nothing of the input, so there is no residual), or
  those of the linear interpolation, or the one row of the centre frame where only that is lifted;
- parallel streams (DSTformer): a layer has several, and a token takes of each what the fusion gave it (`Record.fusions`); where
  that is not recorded, they count alike.

MLPs, norms, priors, convolutions and what attention does with the values are not followed, as in Abnar and Zuidema, "Quantifying
Attention Flow in Transformers", ACL 2020.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from graphpose.analysis.attention.chosen import frame_number, window_number
from graphpose.analysis.attention.record import Attention, Axis, Fusion, Record
from graphpose.errors import ConfigError, DataError
from graphpose.models import available, hosts
from graphpose.models.ktpformer import KTPFormer
from graphpose.models.registry import entry
from graphpose.structured import plain

__all__ = ["Layer", "SpaceTimeSteps", "Step", "space_time_steps"]

_STREAM = re.compile(r"(?:^|\.)streams\.\d+\.(\d+)\.")
"""Modules of a stream that runs beside others: `streams.LAYER.STREAM.` in their names."""

_CONVOLUTION = "a model that mixes frames by convolution (gla_gcn) has no rollout"


@dataclass(frozen=True)
class Step:
    """What each token reads of the tokens one step nearer to the input.

    Attributes:
        axis: along which tokens are mixed.
        weights: `[R, N, M]`, float64, rows sum to 1: N tokens read M. R is the other axis, 1 where it makes no difference.
        name: of the module.
    """

    axis: Axis
    weights: np.ndarray
    name: str

    def back(self, shares: np.ndarray) -> np.ndarray:
        """Shares of tokens `[..., T', J]` -> shares of the tokens that they read, `[..., T'', J]`."""
        if self.axis == "joints":
            return (shares[..., None, :] @ self.weights)[..., 0, :]
        turned = shares.swapaxes(-1, -2)  # [..., J, T']
        return (turned[..., None, :] @ self.weights)[..., 0, :].swapaxes(-1, -2)


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        streams: each a chain of steps from the output on; a layer without parallel streams has one.
        shares: `[S, T', J]` or broadcastable to it, float64, sums to 1 over S: how much of each stream an output token is made of.
    """

    streams: tuple[tuple[Step, ...], ...]
    shares: np.ndarray


@dataclass(frozen=True)
class SpaceTimeSteps:
    """Layers of a window from the output to the input.

    Attributes:
        layers: from the output on.
        frames: T of the window.
        joints: J.
        lifted: the frames that the model gives.
    """

    layers: tuple[Layer, ...]
    frames: int
    joints: int
    lifted: tuple[int, ...]

    def query_frame(self, frame: int | None) -> int:
        """The lifted frame that is asked for; None: the centre one of those lifted.

        Raises:
            DataError: a frame that the window or the output does not have.
        """
        if frame is None:
            return self.lifted[len(self.lifted) // 2]
        if frame_number(frame, self.frames) not in self.lifted:
            raise DataError(f"expected frame {self.lifted[0]}, the only one that this model lifts (got {frame})")
        return frame


def space_time_steps(record: Record, window: int = 0, residual: float = 0.5) -> SpaceTimeSteps:
    """The steps of one window.

    Args:
        record: with every layer, frame and joint of the attention, not their means; heads are averaged over those that are there.
        window: which of the B windows.
        residual: r, the share of the residual in each step.

    Raises:
        DataError: no attention, a window that is not there, attention that was recorded in part or is not over the joints and frames
            of one chain (convolutions that change the number of frames).
        ConfigError: a residual outside [0, 1].
    """
    if not 0 <= residual <= 1:
        raise ConfigError(f"expected residual in [0, 1] (got {residual})")
    attention = sorted(record.find(), key=lambda one: one.order)
    window_number(window, max(len(one.weights) for one in attention))
    for one in attention:
        _check_whole(one, window)
    body = [one for one in attention if one.key_frames is None]
    _check_layers(record, body)
    frames, joints = _frames(record, attention), len(record.skeleton)
    layers: list[Layer] = []
    present = np.arange(frames)  # which frames the tokens are
    for number in dict.fromkeys(one.layer for one in body):
        modules = [one for one in body if one.layer == number]
        kept = _present(modules[0].frames, window, np.arange(frames))
        if not np.array_equal(kept, present):
            layers.append(_alone(Step("frames", _picked(kept, present, modules[0].name)[None], "pruning")))
            present = kept
        streams: dict[int, list[Step]] = {}
        for one in modules:
            step = Step(one.axis, _mixed(one, window, residual, len(present), joints), one.name)
            stream = _STREAM.search(one.name)
            streams.setdefault(int(stream[1]) if stream else 0, []).insert(0, step)
        shares = _shares(record, number, window, (len(streams), len(present), joints))
        layers.append(Layer(tuple(tuple(streams[place]) for place in sorted(streams)), shares))
    lifted: tuple[int, ...] = tuple(range(frames))
    recovery = [one for one in attention if one.key_frames is not None]
    if recovery:
        [last, *more] = recovery
        if more:
            raise DataError(f"expected one attention to kept frames (got {', '.join(one.name for one in recovery)})")
        layers.append(_alone(Step("frames", _recovered(last, window, frames, present, joints), last.name)))
    elif len(present) < frames or record.options.get("output") == "centre":
        layers.append(_alone(Step("frames", _read_out(record, present, frames)[None], "recovery")))
        lifted = (frames // 2,) if record.options.get("output") == "centre" else lifted
    return SpaceTimeSteps(tuple(reversed(layers)), frames, joints, lifted)


def _alone(step: Step) -> Layer:
    return Layer(((step,),), np.ones((1, 1, 1)))


def _shares(record: Record, layer: int, window: int, shape: tuple[int, int, int]) -> np.ndarray:
    """How much of each stream goes on, `[S, T', J]`; alike where that was not recorded."""
    found: list[Fusion] = [one for one in record.fusions if one.layer == layer]
    if not found or shape[0] == 1:
        return np.full((shape[0], 1, 1), 1 / shape[0])
    if len(found) > 1:
        raise DataError(f"expected one fusion in layer {layer} (got {', '.join(one.name for one in found)})")
    [one] = found
    window_number(window, len(one.weights))
    shares: np.ndarray = one.weights[window].double().permute(2, 0, 1).cpu().numpy()
    if shares.shape != shape:
        streams, frames, joints = shape
        raise DataError(
            f"{one.name}: expected weights [T', J, S] = {[frames, joints, streams]} of each window (got "
            f"{list(one.weights.shape[1:])}): capture all streams, without reduce"
        )
    return shares / shares.sum(axis=0)


def _check_whole(one: Attention, window: int) -> None:
    """Refuses means and parts."""
    if one.across is None:
        raise DataError(
            f"{one.name}: expected the weights of each window, frame and joint (got one for all of them): capture without reduce; "
            + _CONVOLUTION
        )
    if one.across != tuple(range(one.weights.shape[1])):
        other = "frames" if one.axis == "joints" else "joints"
        raise DataError(
            f"{one.name}: expected the weights of all {other} (got those of {len(one.across)}): capture without choosing {other}; "
            + _CONVOLUTION
        )
    window_number(window, len(one.weights))


def _check_layers(record: Record, body: Sequence[Attention]) -> None:
    """Refuses a chain that lacks layers, or an axis of them."""
    numbers = sorted({one.layer for one in body})
    if numbers != list(range(len(numbers))):
        raise DataError(
            f"expected attention of every layer from 0 on (got those of {numbers or 'none'}): capture without choosing layers"
        )
    if len(numbers) < (depth := _depth(record)):
        raise DataError(f"expected attention of {depth} layers (got {len(numbers)}): capture without choosing layers")
    if not _attends_over_both(record.model):
        return
    for number in numbers:
        axes = {one.axis for one in body if one.layer == number}
        if len(axes) < 2:
            raise DataError(
                f"layer {number}: expected attention over joints and over frames, which {record.model!r} has (got {axes.pop()!r} "
                "alone): capture both axes"
            )


def _depth(record: Record) -> int:
    """Layers of a model of the zoo, by its options; 0 of others."""
    if not _attends_over_both(record.model):
        return 0
    options = {**plain(entry(record.model).config()), **record.options}
    host = entry(options.get("host") or options.get("denoiser") or record.model)
    inner = options.get("host_options", options.get("denoiser_options", options))
    # KTPFormer has a pair of prior blocks before those that its option counts.
    return int(inner.get("depth", plain(host.config())["depth"])) + issubclass(host.model, KTPFormer)


def _attends_over_both(name: str) -> bool:
    """Whether the model is one whose layers all attend over joints and over frames."""
    return name in available() and (name in hosts() or name in ("hourglass", "d3dp"))


def _frames(record: Record, attention: Sequence[Attention]) -> int:
    """T of the windows."""
    if record.keypoints is not None:
        return record.keypoints.shape[1]
    for one in attention:
        if one.key_frames is not None:
            return one.weights.shape[3]
        if one.frames is None:
            return one.weights.shape[3 if one.axis == "frames" else 1]
    frames = record.options.get("frames")
    if not isinstance(frames, int):
        raise DataError(
            "expected record.keypoints or record.options['frames'] to tell the length of a window (got neither)"
        )
    return frames


def _present(frames: Tensor | None, window: int, default: np.ndarray) -> np.ndarray:
    return default if frames is None else frames[window].cpu().numpy()


def _picked(kept: np.ndarray, present: np.ndarray, name: str) -> np.ndarray:
    """[M, M'] of zeros and ones: which of the tokens that were present is each one that is kept."""
    picked = (kept[:, None] == present).astype(np.float64)
    if not (picked.sum(axis=1) == 1).all():
        raise DataError(f"{name}: expected kept frames among {present.tolist()} (got {kept.tolist()})")
    return picked


def _weights(one: Attention, window: int) -> np.ndarray:
    """Mean over heads [R, N, M]; rows of float32 sum to 1 nearly, these do in float64."""
    mean: np.ndarray = one.weights[window].detach().cpu().double().mean(dim=1).numpy()
    total = mean.sum(axis=-1, keepdims=True)
    if (np.abs(total - 1) > 1e-2).any():  # 16 bits are good for two digits; NaN passes
        raise DataError(
            f"{one.name}: expected weights whose rows sum to 1 (got {total.min():.3g} to {total.max():.3g})"
        )
    weights: np.ndarray = mean / total
    return weights


def _mixed(one: Attention, window: int, residual: float, frames: int, joints: int) -> np.ndarray:
    """M of one attention module, see the module."""
    weights = _weights(one, window)
    expected = (frames, joints, joints) if one.axis == "joints" else (joints, frames, frames)
    if weights.shape != expected:
        raise DataError(
            f"{one.name}: expected weights [R, N, M] = {list(expected)} of {frames} frames and {joints} joints "
            f"(got {list(weights.shape)}); {_CONVOLUTION}"
        )
    return residual * np.eye(weights.shape[1]) + (1 - residual) * weights


def _recovered(one: Attention, window: int, frames: int, present: np.ndarray, joints: int) -> np.ndarray:
    """Weights [J, T, M] of the cross-attention to the kept frames."""
    weights = _weights(one, window)
    kept = _present(one.key_frames, window, present)
    if weights.shape != (joints, frames, len(present)) or not np.array_equal(kept, present):
        raise DataError(
            f"{one.name}: expected weights {[joints, frames, len(present)]} to the kept frames {present.tolist()} "
            f"(got {list(weights.shape)} to {kept.tolist()})"
        )
    return weights


def _read_out(record: Record, kept: np.ndarray, frames: int) -> np.ndarray:
    """[T, M]: how poses of all frames come from those of the kept ones, without attention."""
    if record.options.get("output") == "centre":
        rows = np.zeros((frames, len(kept)))
        rows[frames // 2] = kept == frames // 2
        return rows
    if record.options.get("recover") == "cross-attention":
        raise DataError(
            "expected the cross-attention that recovers pruned frames (got none): capture attention over frames"
        )
    columns = [np.interp(np.arange(frames), kept, unit) for unit in np.eye(len(kept))]  # held at both ends
    return np.stack(columns, axis=1)
