"""Which windows are in which batch: shuffled by (seed, epoch), shared between processes, resumable.

    shuffled:   order = permutation(seed, epoch); process r of R takes order[r::R], the last n mod R windows rest this epoch
    in order:   process r of R takes its share of 0..n-1, sizes differing by 1 at most; nothing twice, nothing left out

All processes have the same number of batches, so that none waits for another (in order: where n >= R and the batch size is
above 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np
import torch.distributed

from graphpose.errors import DataError

__all__ = ["Batches", "WindowSampler", "process_rank"]


def process_rank() -> tuple[int, int]:
    """(rank, number) of this process among those that train together; (0, 1) alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


class Batches(Sequence[np.ndarray]):
    """Pieces `order[cuts[i]:cuts[i + 1]]` of an order of windows, cut out when they are asked for."""

    def __init__(self, order: np.ndarray, cuts: np.ndarray) -> None:
        self._order, self._cuts = order, cuts

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._order[begin:end] for begin, end in pairwise(self._cuts))

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> Batches: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | Batches:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError(f"expected batches that follow each other (got a step of {step})")
            return Batches(self._order, self._cuts[start : max(start, stop) + 1])
        if not -len(self) <= index < len(self):
            raise IndexError(f"expected a batch below {len(self)} (got {index})")
        index %= len(self)
        return self._order[self._cuts[index] : self._cuts[index + 1]]


class WindowSampler:
    """Batches of window numbers, epoch by epoch.

    Args:
        length: number of windows n.
        batch_size: windows in a batch; the last batch may be smaller.
        shuffle: another order every epoch; False: in order, every window exactly once over all processes.
        seed: of the orders.
        rank, world_size: this process and their number; None asks torch.distributed when a batch is first wanted.

    Raises:
        DataError: no windows, a batch size below 1, or a rank outside 0..world_size - 1.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        if length < 1 or batch_size < 1:
            raise DataError(f"expected at least 1 window and a batch size of 1 (got {length} and {batch_size})")
        if (rank is None) != (world_size is None) or (rank is not None and not 0 <= rank < (world_size or 0)):
            raise DataError(f"expected a rank below world_size, or neither (got {rank} of {world_size})")
        self.length, self.batch_size, self.shuffle, self.seed = length, batch_size, shuffle, seed
        self._given = None if rank is None or world_size is None else (rank, world_size)
        self.epoch = 0
        self.position = 0

    @property
    def place(self) -> tuple[int, int]:
        """(rank, world_size)."""
        return self._given or process_rank()

    def set_epoch(self, epoch: int) -> None:
        """Goes to the start of an epoch; the position within the current one is kept when `epoch` is the current one."""
        if epoch != self.epoch:
            self.epoch, self.position = int(epoch), 0

    def order(self, epoch: int) -> np.ndarray:
        """int64 windows of this process in an epoch, in order."""
        rank, world = self.place
        if not self.shuffle:
            return np.array_split(np.arange(self.length), world)[rank]
        if self.length < world:
            raise DataError(
                f"expected at least one training window a process (got {self.length} for {world} processes)"
            )
        key = [self.seed & 0xFFFFFFFFFFFFFFFF, epoch]
        everyone = np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64))).permutation(self.length)
        return everyone[: self.length // world * world][rank::world]

    def __len__(self) -> int:
        rank, world = self.place
        if self.shuffle:
            return math.ceil(self.length // world / self.batch_size)
        own = self.length // world + (rank < self.length % world)
        largest = math.ceil(self.length / world)
        return min(own, math.ceil(largest / self.batch_size))

    def batches(self, epoch: int) -> Batches:
        """The windows of each batch of an epoch."""
        order = self.order(epoch)
        cuts = np.append(np.arange(0, len(order), self.batch_size), len(order))
        if not self.shuffle and self.place[1] > 1 and len(order):
            # equal numbers of batches in all processes: shares of unequal size are cut into equally many pieces
            piece, larger = divmod(len(order), len(self))
            number = np.arange(len(self) + 1)
            cuts = number * piece + np.minimum(number, larger)
        return Batches(order, cuts)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.batches(self.epoch)[self.position :])
