"""Batches of a whole epoch, read ahead in the background."""

from __future__ import annotations

import warnings
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from jpegfreq.batch import aligned_empty
from jpegfreq.torch.dataset import Batch

__all__ = ["BatchSource", "FrequencyLoader"]


class BatchSource(Protocol):
    """What FrequencyLoader reads: a CropDataset, or anything that fills whole batches in the same two steps."""

    @property
    def seed(self) -> int:
        """Of all that is drawn."""

    def __len__(self) -> int:
        """How many images."""

    def prepare(self, indices: Sequence[int], *, epoch: int | None = None) -> list[Any]:
        """What `fill` takes for these images."""

    @property
    def thread_count(self) -> int:
        """How many threads may fill batches."""

    def fill(
        self,
        requests: Sequence[Any],
        *,
        epoch: int | None = None,
        out: npt.NDArray[Any] | None = None,
        threads: int | None = None,
    ) -> Batch:
        """The batch, written to `out` by so many threads; different batches at the same time."""

    def batch_shape(self, count: int) -> tuple[int, ...]:
        """Shape of the array that `fill` writes."""

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """Of that array."""


class FrequencyLoader:
    """One epoch of a data set in batches: shuffled, shared among processes, read ahead, and resumable at any batch.

    No worker processes: one thread reads files and draws crops, others have the native threads fill one tensor a
    batch, several batches at a time. An epoch's order depends on seed and epoch alone. Each step takes the next
    `batch_size * world_size` images of that order and every process its part of them, so that shards are disjoint, all
    processes take the same number of steps, and a step sees the same images however many processes share it.

    A complete pass moves on to the next epoch. A pass that was left starts its epoch again, unless `load_state_dict`
    says where to go on.

    >>> loader = FrequencyLoader(dataset, batch_size=64, seed=1)
    >>> for tensors, labels, indices, strays in loader: ...
    """

    def __init__(
        self,
        dataset: BatchSource,
        batch_size: int,
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        prefetch: int = 3,
        pin_memory: bool = False,
    ) -> None:
        """Nothing is read yet.

        Args:
            dataset: what to read; boxes and flips are drawn from its own seed.
            batch_size: images a batch of this process.
            shuffle: whether each epoch has an order of its own; else the data set's.
            drop_last: leave out the last images where they do not fill a batch in every process. Without it the last
                batch is smaller, and may be empty in some processes.
            seed: of the order.
            rank: this process's number; None for torch.distributed's where that is initialized, else 0.
            world_size: how many processes; None likewise, else 1.
            prefetch: how many batches to read ahead; all but one of them at the same time, where there are threads.
            pin_memory: whether batches lie in page-locked memory, for asynchronous copies to a GPU. Where there is none
                a warning says so, and they do not.
        """
        if rank is None or world_size is None:
            together = torch.distributed.is_available() and torch.distributed.is_initialized()
            rank = (torch.distributed.get_rank() if together else 0) if rank is None else rank
            world_size = (torch.distributed.get_world_size() if together else 1) if world_size is None else world_size
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must lie in 0 to {world_size - 1}, not {rank}")
        if batch_size < 1 or prefetch < 1:
            raise ValueError(f"batch_size and prefetch must be at least 1, not {batch_size} and {prefetch}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.prefetch = prefetch
        self.pin_memory = pin_memory and torch.cuda.is_available()
        if self.pin_memory < pin_memory:
            warnings.warn("pin_memory needs CUDA, and there is none: batches are not page-locked", stacklevel=2)
        self.epoch = 0
        self._step = 0
        self._first_step = 0
        self._free: list[npt.NDArray[Any]] = []

    def __len__(self) -> int:
        """Steps of an epoch."""
        count, together = len(self.dataset), self.batch_size * self.world_size
        return count // together if self.drop_last else -(-count // together)

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch's first batch, or to where `load_state_dict` has just said that this very epoch goes on."""
        if epoch != self.epoch:
            self._first_step = 0
        self.epoch, self._step = epoch, self._first_step

    def state_dict(self) -> dict[str, int | bool]:
        """Where the loop is: `load_state_dict` of it goes on after the batch that was handed out last."""
        return {"epoch": self.epoch, "step": self._step, **self._identity()}

    def load_state_dict(self, state: dict[str, int | bool]) -> None:
        """Let the next pass start where `state_dict` was taken.

        `set_epoch` of the same epoch before that pass keeps the place, so a loop over epochs may call it always:

        >>> loader.load_state_dict(state)
        >>> for epoch in range(loader.epoch, epochs):
        ...     loader.set_epoch(epoch)
        ...     for batch in loader: ...

        Raises:
            ValueError: the state is of another data set, seed or global batch, so that the order would not be the same.
        """
        for name, value in self._identity().items():
            if state[name] != value:
                raise ValueError(f"the state was taken with {name}={state[name]}, and this loader has {value}")
        self.epoch = int(state["epoch"])
        self._step = self._first_step = int(state["step"])

    def _identity(self) -> dict[str, int | bool]:
        """What the order of an epoch depends on."""
        return {
            "images": len(self.dataset),
            "global_batch_size": self.batch_size * self.world_size,
            "seed": self.seed,
            "dataset_seed": self.dataset.seed,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def step_indices(self, step: int) -> npt.NDArray[np.int64]:
        """The images that this process reads in a step of the current epoch."""
        return self._part(self._order(self.epoch), step)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        count = len(self.dataset)
        if not self.shuffle:
            return np.arange(count)
        return np.random.default_rng((self.seed, epoch)).permutation(count)

    def _part(self, order: npt.NDArray[np.int64], step: int) -> npt.NDArray[np.int64]:
        together = self.batch_size * self.world_size
        return np.array_split(order[step * together : (step + 1) * together], self.world_size)[self.rank]

    def __iter__(self) -> Iterator[Batch]:
        """The epoch's batches from its first one, or from where `load_state_dict` said.

        A batch of which every image was left out is passed over, unless other processes wait for this one's step.
        """
        epoch, steps = self.epoch, len(self)
        self._step, self._first_step = self._first_step, 0
        order = self._order(epoch)
        ahead: deque[Future[Batch]] = deque()
        planned = self._step
        # Threads that share a batch wait at its end for the last of them, and a thread that ends a batch for the next
        # one's files: so several are filled at a time, and one waits with its files read.
        threads = self.dataset.thread_count
        at_once = max(1, min(threads, self.prefetch - 1))
        files, decoder = ThreadPoolExecutor(1, "jpegfreq-files"), ThreadPoolExecutor(at_once, "jpegfreq-decoder")
        try:
            while self._step < steps:
                while planned < min(self._step + self.prefetch, steps):
                    requests = files.submit(self.dataset.prepare, self._part(order, planned).tolist(), epoch=epoch)
                    share = (threads + planned % at_once) // at_once  # sums up to `threads` over `at_once` batches
                    ahead.append(decoder.submit(self._fill, requests, epoch, share))
                    planned += 1
                batch = ahead.popleft().result()
                self._step += 1
                if len(batch.labels) or self.world_size > 1:
                    yield batch
                del batch  # while the next one is awaited, only the caller holds it
            self.set_epoch(epoch + 1)
        finally:
            for future in ahead:
                future.cancel()
            for pool in (files, decoder):
                pool.shutdown(cancel_futures=True)

    def _fill(self, requests: Future[list[Any]], epoch: int, threads: int) -> Batch:
        found = requests.result()
        return self.dataset.fill(found, epoch=epoch, out=self._memory(len(found)), threads=threads)

    def _memory(self, count: int) -> npt.NDArray[Any]:
        """An array for a batch.

        Its memory comes back once nobody holds the tensor or a view of it: fresh pages cost as much as a crop.
        Page-locked memory is kept by PyTorch's own allocator, which knows when a copy from it has ended.
        """
        shape = self.dataset.batch_shape(self.batch_size)
        if self.pin_memory:
            pinned = torch.empty(shape, dtype=getattr(torch, self.dataset.numpy_dtype.name), pin_memory=True)
            array: npt.NDArray[Any] = pinned.numpy()
            return array[:count]
        try:
            whole = self._free.pop()
        except IndexError:
            whole = aligned_empty(shape, self.dataset.numpy_dtype)
        lent = whole[:count]
        weakref.finalize(lent, self._free.append, whole).atexit = False
        return lent
