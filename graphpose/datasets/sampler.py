"""Which windows are in which batch: shuffled by (seed, epoch), shared between processes, resumable.

    shuffled:   order = permutation(seed, epoch); process r of R takes order[r::R], the last n mod R windows rest this epoch
    in order:   process r of R takes its share of 0..n-1, sizes differing by 1 at most; nothing twice, nothing left out

All processes have the same number of batches, so that none waits for another (in order: where n >= R and the batch size is
above 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch.distributed

from graphpose.errors import DataError

__all__ = ["WindowSampler", "process_rank"]


def process_rank() -> tuple[int, int]:
    """(rank, number) of this process among those that train together; (0, 1) alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


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

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The windows of each batch of an epoch."""
        order = self.order(epoch)
        if not self.shuffle and self.place[1] > 1:
            # equal numbers of batches in all processes: shares of unequal size are cut into equally many pieces
            return np.array_split(order, len(self)) if len(order) else []
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.batches(self.epoch)[self.position :])
