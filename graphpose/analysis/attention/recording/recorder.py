"""Takes in what a model attends to, pass by pass, and makes a record of it: windows one after the other, or reduced as they come.

The passes tell it where they are (`Place`): which layer, which frames are left, and what is to be skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from graphpose.analysis.attention.record import Attention, Axis, Fusion, Record
from graphpose.analysis.attention.recording.selection import Selection
from graphpose.errors import ConfigError, DataError
from graphpose.nn.attention import attention_weights

__all__ = ["Place", "Recorder", "Reduce", "aside"]

Reduce = Literal["mean"] | Callable[[Tensor], Tensor]
"""What is kept in place of the weights: their mean over windows and R, or what a function makes of those `[B, R, H, N, M]` of a pass."""


@contextmanager
def aside() -> Iterator[None]:
    """What is computed beside a pass: ordinary tensors without gradients, in the precision of their inputs."""
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast("cuda", enabled=False),
        torch.autocast("cpu", enabled=False),
    ):
        yield


@dataclass
class Place:
    """Where in a pass the model is.

    Attributes:
        layer: number of the layer, None outside of any.
        kept: `[B, T']`, frames that are left, None: all.
        every: of so many samples that follow each other the first one counts (hypotheses of one window).
        skip: nothing is recorded.
        recovery: number of the layer that the recovery of pruned frames counts as, None outside of it.
    """

    layer: int | None = None
    kept: Tensor | None = None
    every: int = 1
    skip: bool = False
    recovery: int | None = None


@dataclass
class _Entry:
    """What has come of one module so far."""

    attention: Attention
    weights: list[Tensor]
    frames: list[Tensor] = field(default_factory=list)
    key_frames: list[Tensor] = field(default_factory=list)
    windows: int = 0

    def made(self, reduced: bool) -> Attention:
        """All windows together, or their mean."""

        def whole(parts: list[Tensor]) -> Tensor | None:
            return _joined(parts) if parts else None

        weights = self.weights[0].float() if reduced else _joined(self.weights)
        return replace(self.attention, weights=weights, frames=whole(self.frames), key_frames=whole(self.key_frames))


def _joined(parts: list[Tensor]) -> Tensor:
    """Windows of all passes `[B, ...]`; the list is emptied, so that nothing is held twice."""
    whole = parts[0] if len(parts) == 1 else torch.cat(parts)
    parts.clear()
    return whole


def _own(tensor: Tensor) -> Tensor:
    """An ordinary tensor that holds no more memory than it has numbers; the very one where it is that already."""
    larger = tensor.untyped_storage().nbytes() > tensor.nbytes
    return tensor.clone(memory_format=torch.contiguous_format) if larger or tensor.is_inference() else tensor


def _require_same(name: str, held: list[Tensor], frames: Tensor | None) -> None:
    """Refuses windows whose tokens are other frames than those before, since their weights have no mean."""
    if frames is not None and bool((frames != (held[0] if held else frames[:1])).any()):
        raise ConfigError(
            f"reduce='mean': expected the same frames of every window in {name!r} (got windows that keep different ones, which have no "
            "mean): capture without reduce, with a reduce of your own, or layers= that have all frames"
        )


class Recorder:
    """Fills a record.

    Args:
        record: what is filled.
        selection: what is kept.
        reduce: what becomes of it.
    """

    def __init__(self, record: Record, selection: Selection, reduce: Reduce | None = None) -> None:
        if not (reduce is None or reduce == "mean" or callable(reduce)):
            raise ConfigError(
                f"reduce: expected None, 'mean' or a function of weights [B, R, H, N, M] (got {reduce!r})"
            )
        self.record = record
        self.selection = selection
        self.reduce = reduce
        self.place = Place()
        self._entries: dict[tuple[str, Axis], _Entry] = {}
        self._numbers: dict[str, int] = {}
        self._layers: set[int] = set()
        self._priors: dict[str, list[Tensor]] = {}
        self._prior_windows: dict[str, int] = {}
        self._fusions: dict[str, tuple[int, list[Tensor]]] = {}
        self._fused: dict[str, int] = {}
        self._kept: list[Tensor] = []
        self._calls: dict[str, int] = {}
        self._depth = 0

    @contextmanager
    def a_pass(self, always: bool = True) -> Iterator[None]:
        """One run of the model, in which calls of one module are told apart; `always` False: part of the run that goes on, if any."""
        if always or not self._depth:
            self._calls.clear()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def called(self, name: str) -> str:
        """`name` of a module that is called for the first time in this pass, then `name:1`, `name:2`."""
        if not self._depth or self.place.skip:
            return name
        count = self._calls[name] = self._calls.get(name, -1) + 1
        return f"{name}:{count}" if count else name

    @property
    def passes(self) -> bool:
        """Whether anything has attended at all."""
        return bool(self._layers)

    def layer_of(self, name: str) -> int:
        """Number of the layer that a module belongs to: where the pass is, else the place of the module in order of first use."""
        number = self._numbers.setdefault(name, len(self._numbers))
        layer = number if self.place.layer is None else self.place.layer
        self._layers.add(layer)
        return layer

    def products(
        self, name: str, axis: Axis, q: Tensor, k: Tensor, bias: Tensor | None = None, key_frames: Tensor | None = None
    ) -> None:
        """Attention by queries `[B, R, H, N, d]` and keys `[B, R, H, M, d]`, bias `[H, N, M]` or `[B, R, H, N, M]`."""

        def weights(choose: Callable[[Tensor], Tensor], heads: list[int] | None) -> Tensor:
            added = bias
            if added is not None:
                if added.ndim == 5:
                    added = choose(added[:: self.place.every])
                added = added if heads is None or added.shape[-3] == 1 else added[..., heads, :, :]
            first, second = (choose(one[:: self.place.every]) for one in (q, k))
            if heads is not None:
                first, second = first[:, :, heads], second[:, :, heads]
            if first.dtype not in (torch.float32, torch.float64):
                first, second = first.float(), second.float()
            return attention_weights(first, second, added)

        self._take(name, axis, q.shape[1], q.shape[2], weights, key_frames=key_frames)

    def weights(
        self,
        name: str,
        axis: Axis,
        weights: Tensor,
        numbers: tuple[int, ...] | None = None,
        layer: int | None = None,
        shared: bool = False,
    ) -> None:
        """Weights `[B, R, H, N, M]` as they are; `numbers` of the R, `shared`: R = 1 stands for all frames or joints together."""

        def chosen(choose: Callable[[Tensor], Tensor], heads: list[int] | None) -> Tensor:
            part = choose(weights[:: self.place.every])
            return part if heads is None else part[:, :, heads]

        self._take(name, axis, weights.shape[1], weights.shape[2], chosen, numbers, layer, shared)

    def _take(
        self,
        name: str,
        axis: Axis,
        rows: int,
        count: int,
        weights: Callable[[Callable[[Tensor], Tensor], list[int] | None], Tensor],
        numbers: tuple[int, ...] | None = None,
        layer: int | None = None,
        shared: bool = False,
        key_frames: Tensor | None = None,
    ) -> None:
        if self.place.skip:
            return
        found = self.layer_of(name)
        layer = found if layer is None else layer
        self._layers.add(layer)
        if not self.selection.wants(axis, layer):
            return
        heads = self.selection.heads_of(count, name)
        kept = self.place.kept
        kept = None if kept is None or key_frames is not None else kept[:: self.place.every]
        across: tuple[int, ...] | None = None

        def choose(tensor: Tensor) -> Tensor:
            return tensor

        if not shared:
            of_rows = kept if axis == "joints" else None
            there = range(rows) if numbers in (None, tuple(range(rows))) else numbers
            chosen = self.selection.rows_of(axis, there or range(rows), of_rows, name)
            choose, across = chosen.of, chosen.across
            kept = chosen.of(kept) if of_rows is not None and kept is not None else kept
        with aside():
            made = _own(weights(choose, None if len(heads) == count else list(heads)).float().cpu())
        if not isinstance(self.reduce, str) and self.reduce is not None:
            self.record.reduced.setdefault(name, []).append(self.reduce(made))
            return
        with aside():
            self._store(name, axis, layer, made, heads, across, kept, key_frames)

    def _store(
        self,
        name: str,
        axis: Axis,
        layer: int,
        weights: Tensor,
        heads: tuple[int, ...],
        across: tuple[int, ...] | None,
        frames: Tensor | None,
        key_frames: Tensor | None,
    ) -> None:
        windows = len(weights)
        numbers = [None if one is None else one.cpu() for one in (frames, key_frames)]
        if self.reduce == "mean":
            rows = weights.shape[1]
            weights = weights.sum(dim=1).double().sum(dim=0)[None, None]
            across = None
        key = (name, axis)
        if key not in self._entries:
            made = Attention(name, layer, axis, weights[:0], heads, across, order=len(self._entries))
            self._entries[key] = _Entry(made, [])
        entry = self._entries[key]
        if entry.weights and (entry.weights[0].shape[1:] != weights.shape[1:] or entry.attention.across != across):
            raise DataError(
                f"{name!r}: expected passes of one shape, weights [B, {', '.join(map(str, entry.weights[0].shape[1:]))}] (got "
                f"{list(weights.shape)}): capture clips of another length or skeleton into a record of their own"
            )
        if self.reduce == "mean":
            _require_same(name, entry.frames, numbers[0])
            _require_same(name, entry.key_frames, numbers[1])
        entry.windows += windows
        parts = [(entry.weights, weights), (entry.frames, numbers[0]), (entry.key_frames, numbers[1])]
        for place, (held, part) in enumerate(parts):
            if part is None:
                continue
            if self.reduce != "mean":
                held.append(part)
                continue
            if place == 0:  # a running mean
                share = windows / entry.windows
                held[:] = [part / (windows * rows) if not held else torch.lerp(held[0], part / (windows * rows), share)]
                continue
            held[:] = [part[:1]]

    def prior(self, name: str, tokens: Tensor) -> None:
        """Output of a prior, tokens `[B, T', J, C]`; with `reduce` their mean over the windows."""
        if self.place.skip:
            return
        with aside():
            part = tokens[:: self.place.every].detach().float()
            if self.reduce is None and part.data_ptr() == tokens.data_ptr():
                part = part.clone()
        windows = self._prior_windows[name] = self._prior_windows.get(name, 0) + len(part)
        held = self._priors.setdefault(name, [])
        if held and held[0].shape[1:] != part.shape[1:]:
            raise DataError(f"{name!r}: expected tokens {list(held[0].shape)} in every pass (got {list(part.shape)})")
        if self.reduce is None:
            held.append(part.cpu())
        else:
            mean = part.mean(dim=0, keepdim=True).cpu()
            held[:] = [torch.lerp(held[0], mean, len(part) / windows) if held else mean]

    def fusion(self, name: str, layer: int, weights: Tensor) -> None:
        """Weights `[B, T', J, S]` of parallel streams; with `reduce` their mean over windows and frames."""
        if self.place.skip or not (self.selection.layers is None or layer in self.selection.layers):
            return
        with aside():
            part = weights[:: self.place.every].detach().float().cpu().clone()
            windows = self._fused[name] = self._fused.get(name, 0) + len(part)
            held = self._fusions.setdefault(name, (layer, []))[1]
            if self.reduce is None:
                held.append(part)
            else:
                mean = part.double().mean(dim=(0, 1), keepdim=True)
                held[:] = [torch.lerp(held[0], mean, len(part) / windows) if held else mean]

    def bias(self, name: str, bias: Tensor) -> None:
        """The bias `[H, n, n]` that a prior gives the attention; the same in every pass."""
        if not self.place.skip:
            self.record.priors[name] = bias.detach().float().cpu().clone()

    def keep(self, kept: Tensor) -> None:
        """Frames `[B, M]` that the Hourglass Tokenizer kept."""
        if not self.place.skip:
            self._kept.append(kept[:: self.place.every].detach().cpu().clone())

    def finish(self) -> None:
        """Fills the record."""
        reduced = self.reduce == "mean"
        with aside():
            self.record.attention.extend(entry.made(reduced) for entry in self._entries.values())
            self.record.priors.update({name: _joined(parts) for name, parts in self._priors.items()})
            fusions = self._fusions.items()
            self.record.fusions.extend(Fusion(name, layer, _joined(parts).float()) for name, (layer, parts) in fusions)
            if self._kept:
                self.record.kept = _joined(self._kept)
        self._entries.clear()

    def require_layers(self) -> None:
        """Raises ConfigError where a layer was asked for that no pass had."""
        asked = self.selection.layers
        if asked and self._layers and (missing := sorted(asked - self._layers)):
            there = ", ".join(map(str, sorted(self._layers)))
            raise ConfigError(f"layers: expected layers that attend, {there} (got {missing[0]})")
