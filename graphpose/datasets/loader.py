"""`PoseLoader`: batches of pose graphs from `PoseWindows`, in the main process or by workers, resumable within an epoch.

Workers gather arrays (`PoseWindows.fetch`) and hand each batch over as one buffer; the main process wraps it into a PyG `Batch`
by `pose_batch`, which shares the topology. The same seed gives the same batches with any number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch_geometric.data import Batch

from graphpose.datasets.packing import Packed, pack, unpack
from graphpose.datasets.sampler import Batches, WindowSampler
from graphpose.datasets.window_dataset import PoseWindows
from graphpose.errors import DataError
from graphpose.graph import pose_batch

__all__ = ["PoseLoader"]

Request = tuple[int, np.ndarray]


class PoseLoader:
    """Iterates over batches of pose graphs; `window [B]` and `counted [B, T]` say where each comes from and what counts.

    Used in a Lightning `Trainer` as it is: Lightning calls `sampler.set_epoch` and saves `state_dict`, so that a run that
    stopped within an epoch goes on with the batches that are left. Under DDP each process takes its share by itself (pass
    `use_distributed_sampler=False` to the Trainer to say so; it leaves loaders other than torch's alone in any case).

    Args:
        dataset: the windows.
        batch_size: windows in a batch and process; the last batch may be smaller.
        shuffle: training order, new every epoch. False: in order, each window once, and the draws stay those of epoch 0.
        seed: of the order (the draws within windows have `dataset.seed`).
        workers: processes that gather; 0 gathers in this one. They are kept between epochs.
        rank, world_size: as in `WindowSampler`.
    """

    def __init__(
        self,
        dataset: PoseWindows,
        batch_size: int = 16,
        *,
        shuffle: bool = False,
        seed: int = 0,
        workers: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        if workers < 0:
            raise DataError(f"expected 0 or more workers (got {workers})")
        self.dataset, self.batch_size, self.workers = dataset, batch_size, workers
        self.sampler = WindowSampler(
            len(dataset), batch_size, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size
        )
        self.batch_sampler = None  # looked at by Lightning; `sampler` hands out whole batches here
        self._resume = False
        self._requests = _Requests()
        self._inner: DataLoader[Packed] | None = None

    def __len__(self) -> int:
        """Batches in a whole epoch, also while one is resumed in its middle."""
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Goes to the start of an epoch, unless it is the current one."""
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Batch]:
        # A generator: the epoch is read at the first `next`, after whoever drives the loop has called set_epoch.
        sampler = self.sampler
        if not self._resume:
            sampler.position = 0
        self._resume = False
        epoch, start = sampler.epoch, sampler.position
        draws = epoch if sampler.shuffle else 0
        batches = sampler.batches(epoch)
        for number, arrays in enumerate(self._gather(draws, batches[start:]), start + 1):
            # Set before the yield, because whoever iterates may take the last batch and never ask again.
            if number == len(batches):
                sampler.set_epoch(epoch + 1)
            else:
                sampler.position = number
            yield self.wrap(arrays)

    def wrap(self, arrays: Mapping[str, Tensor]) -> Batch:
        """The stacked arrays of `PoseWindows.fetch` as a batch of graphs."""
        return pose_batch(self.dataset.graph, **arrays)

    def _gather(self, epoch: int, batches: Batches) -> Iterator[dict[str, Tensor]]:
        if self.workers == 0:
            step = self.dataset.at_once // self.batch_size
            if step < 2:
                for ids in batches:
                    yield self.dataset.fetch(ids, epoch)
                return
            for at in range(0, len(batches), step):
                yield from self._fetch(epoch, list(batches[at : at + step]))
            return
        if self._inner is None:
            self._inner = DataLoader(
                _Gatherer(self.dataset),
                batch_size=None,
                sampler=self._requests,
                num_workers=self.workers,
                collate_fn=_as_is,
                persistent_workers=True,
                prefetch_factor=4,
                generator=torch.Generator(),  # its own: torch's global random numbers stay untouched
            )
        self._requests.epoch, self._requests.batches = epoch, batches
        for packed in self._inner:
            yield unpack(packed)

    def _fetch(self, epoch: int, batches: Sequence[np.ndarray]) -> Iterator[dict[str, Tensor]]:
        """Several batches fetched at once; a draw depends on its window alone, so that makes no difference."""
        together = self.dataset.fetch(np.concatenate(batches), epoch)
        parts = [value.split([len(ids) for ids in batches]) for value in together.values()]
        for of_batch in zip(*parts, strict=True):
            yield dict(zip(together, of_batch, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Epoch, batches handed out in it, and what identifies the order they come in."""
        sampler = self.sampler
        return {"epoch": sampler.epoch, "batches": sampler.position, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next iteration goes on after the batches that `state` counts.

        Raises:
            DataError: the state is that of other data, another batch size, seed or number of processes.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise DataError(
                    f"cannot resume: expected {name} {state.get(name)!r} as when it was saved (got {value!r})"
                )
        self.sampler.epoch, self.sampler.position = int(state["epoch"]), int(state["batches"])
        self._resume = True

    def _identity(self) -> dict[str, Any]:
        sampler = self.sampler
        return {
            "windows": sampler.length,
            "batch_size": sampler.batch_size,
            "shuffle": sampler.shuffle,
            "seed": sampler.seed,
            "world_size": sampler.place[1],
        }


class _Gatherer(Dataset[Packed]):
    def __init__(self, dataset: PoseWindows) -> None:
        self.dataset = dataset

    def __getitem__(self, request: Request) -> Packed:
        epoch, ids = request
        return pack(self.dataset.fetch(ids, epoch))


class _Requests:
    """The sampler of the inner loader: hands out what is pending in this epoch."""

    def __init__(self) -> None:
        self.epoch, self.batches = 0, Batches(np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64))

    def __iter__(self) -> Iterator[Request]:
        return ((self.epoch, ids) for ids in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _as_is(packed: Any) -> Any:
    return packed
