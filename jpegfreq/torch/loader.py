"""A loader that reads the batches of an epoch ahead, in the background."""

from __future__ import annotations

import warnings
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from jpegfreq._arguments import whole_number
from jpegfreq._memory import empty
from jpegfreq.torch.dataset import Batch, Stray

__all__ = ["BatchSource", "FrequencyLoader"]


@runtime_checkable
class BatchSource(Protocol):
    """What FrequencyLoader reads: a CropDataset, or anything else that fills whole batches in the same two steps."""

    @property
    def seed(self) -> int:
        """The seed of everything that is drawn."""

    def __len__(self) -> int:
        """Return how many images there are."""

    def prepare(self, indices: Sequence[int], *, epoch: int | None = None) -> list[Any]:
        """Return what `fill` takes for these images."""

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
        """Write a batch to `out` with this many threads; several batches may be filled at the same time."""

    def batch_shape(self, count: int) -> tuple[int, ...]:
        """Return the shape of the array that `fill` writes."""

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype of that array."""


class FrequencyLoader:
    """Batches of a data set, epoch by epoch: shuffled, shared among processes, read ahead, resumable at any batch.

    It starts no worker processes: one thread reads files and draws crops, and others let the native threads fill one
    tensor per batch, several batches at a time. The order of an epoch depends on the seed and the epoch alone. Each
    step takes the next `batch_size * world_size` images of that order, and every process takes its part of them: the
    parts are disjoint, all processes take the same number of steps, and a step sees the same images however many
    processes share it.

    Every `iter(loader)` is a pass of its own through the current epoch, so that several may run side by side. The
    loader itself keeps the epoch, and the position of the batch that was handed out last, for `state_dict`:

    - A pass that ends moves the loader to the next epoch.
    - A pass that is left early changes nothing: the next pass reads the same epoch from its beginning. Call
      `set_epoch(loader.epoch + 1)` to leave the rest of the epoch out, or `load_state_dict(loader.state_dict())` to
      resume after the last batch.

    In a single process, a batch without one readable image is passed over, and its strays are in the batch before or
    after it: over an epoch, every image is in a row or in `Batch.strays`. With several processes, all of them take
    part in every step, so that a batch may have no rows: give it weight zero.

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
        """Check the arguments; nothing is read yet.

        Args:
            dataset: what to read; its own seed draws boxes and flips.
            batch_size: images per batch of this process.
            shuffle: whether each epoch has an order of its own; otherwise the order is the data set's.
            drop_last: leave out the last images where they do not fill a batch in every process. Without it the last
                batch is smaller, and may be empty in some processes.
            seed: the seed of the order.
            rank: this process's number; None takes it from torch.distributed where that is initialized, else 0.
            world_size: how many processes there are; None likewise, else 1.
            prefetch: how many batches to read ahead; all except one are read at the same time, where there are
                enough threads, and the files of as many more are read before they are needed.
            pin_memory: whether batches lie in page-locked memory, for asynchronous copies to a GPU. Without CUDA, a
                warning is given and they do not.

        Raises:
            TypeError: the data set cannot fill whole batches.
            ValueError: a number is out of range.
        """
        if not isinstance(dataset, BatchSource):
            raise TypeError(
                f"FrequencyLoader reads a FrequencyDataset or an RgbDataset, not {type(dataset).__name__}: it needs "
                "their prepare and fill; use torch's DataLoader with collate_fn=jpegfreq.torch.collate instead"
            )
        if rank is None or world_size is None:
            together = torch.distributed.is_available() and torch.distributed.is_initialized()
            rank = (torch.distributed.get_rank() if together else 0) if rank is None else rank
            world_size = (torch.distributed.get_world_size() if together else 1) if world_size is None else world_size
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must lie between 0 and {world_size - 1} (world_size {world_size}), not {rank}")
        self.dataset = dataset
        self.batch_size = whole_number("batch_size", batch_size, least=1)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.prefetch = whole_number("prefetch", prefetch, least=1)
        self.pin_memory = pin_memory and torch.cuda.is_available()
        if self.pin_memory < pin_memory:
            warnings.warn("pin_memory needs CUDA, and there is none: batches are not page-locked", stacklevel=2)
        self.epoch = 0
        self._step = 0
        self._first_step = 0
        self._free: list[npt.NDArray[Any]] = []

    def __repr__(self) -> str:
        """Say what is read, in batches of how many images, and where the loader is."""
        shared = f", rank {self.rank} of {self.world_size}" if self.world_size > 1 else ""
        where = f"epoch {self.epoch}, step {self._step} of {len(self)}"
        return f"FrequencyLoader({self.dataset!r}, batches of {self.batch_size}{shared}, {where})"

    def __len__(self) -> int:
        """Return the number of steps of an epoch."""
        count, together = len(self.dataset), self.batch_size * self.world_size
        return count // together if self.drop_last else -(-count // together)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch, or to the position in it that `load_state_dict` has set."""
        if epoch != self.epoch:
            self._first_step = 0
        self.epoch, self._step = epoch, self._first_step

    def state_dict(self) -> dict[str, int | bool]:
        """Return the position: a loader that loads it resumes after the batch that was handed out last."""
        return {"epoch": self.epoch, "step": self._step, **self._identity()}

    def load_state_dict(self, state: dict[str, int | bool]) -> None:
        """Let passes of the state's epoch start after the batch at which `state_dict` was taken.

        The position holds until a pass ends or another epoch is set, so that a loop over epochs may always set its
        epoch:

        >>> loader.load_state_dict(state)
        >>> for epoch in range(loader.epoch, epochs):
        ...     loader.set_epoch(epoch)
        ...     for batch in loader: ...

        Raises:
            ValueError: the state is of another data set, seed or global batch, so that the order would differ.
        """
        for name, value in self._identity().items():
            if state[name] != value:
                raise ValueError(f"the state was taken with {name}={state[name]}, and this loader has {name}={value}")
        self.epoch = int(state["epoch"])
        self._step = self._first_step = int(state["step"])

    def _identity(self) -> dict[str, int | bool]:
        """Return what the order of an epoch depends on."""
        return {
            "images": len(self.dataset),
            "global_batch_size": self.batch_size * self.world_size,
            "seed": self.seed,
            "dataset_seed": self.dataset.seed,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def step_indices(self, step: int) -> npt.NDArray[np.int64]:
        """Return the images that this process reads in a step of the current epoch: int64 [N]."""
        return self._part(self._order(self.epoch), step)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        count = len(self.dataset)
        if not self.shuffle:
            return np.arange(count)
        return np.random.default_rng((self.seed, epoch)).permutation(count)

    def _part(self, order: npt.NDArray[np.int64], step: int) -> npt.NDArray[np.int64]:
        together = self.batch_size * self.world_size
        images = order[step * together : (step + 1) * together]
        each, longer = divmod(len(images), self.world_size)  # the first `longer` processes read one more
        begin = self.rank * each + min(self.rank, longer)
        return images[begin : begin + each + (self.rank < longer)]

    def __iter__(self) -> Iterator[Batch]:
        """Begin a pass: the current epoch from its beginning, or from where `load_state_dict` said."""
        return self._pass(self.epoch, self._first_step)

    def _pass(self, epoch: int, first_step: int) -> Iterator[Batch]:
        """Go through an epoch; what a pass knows is in its own variables, so that passes do not disturb each other."""
        batches = self._read_ahead(epoch, first_step)
        if self.world_size == 1:
            batches = _without_empty(batches)
        for step, batch in batches:
            if self.epoch == epoch:
                self._step = step
            yield batch
            del batch  # while the next one is awaited, only the caller holds it
        if self.epoch == epoch:
            self.set_epoch(epoch + 1)

    def _read_ahead(self, epoch: int, first_step: int) -> Iterator[tuple[int, Batch]]:
        """Go through an epoch's batches, empty ones too, each with the number of steps that are done with it."""
        order, steps = self._order(epoch), len(self)
        requests: deque[Future[list[Any]]] = deque()
        ahead: deque[Future[Batch]] = deque()
        prepared = planned = first_step
        # Threads that share a batch wait at its end for the last of them, and a thread that ends a batch for the next
        # one's files: so several are filled at a time, and as many more wait with their files read.
        threads = self.dataset.thread_count
        at_once = max(1, min(threads, self.prefetch - 1))
        files, decoder = ThreadPoolExecutor(1, "jpegfreq-files"), ThreadPoolExecutor(at_once, "jpegfreq-decoder")
        try:
            for step in range(first_step, steps):
                while prepared < min(step + self.prefetch + at_once, steps):
                    images = self._part(order, prepared).tolist()
                    requests.append(files.submit(self.dataset.prepare, images, epoch=epoch))
                    prepared += 1
                while planned < min(step + self.prefetch, steps):
                    share = (threads + planned % at_once) // at_once  # sums up to `threads` over `at_once` batches
                    ahead.append(decoder.submit(self._fill, requests.popleft(), epoch, share))
                    planned += 1
                yield step + 1, ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
            for pool in (files, decoder):
                pool.shutdown(cancel_futures=True)

    def _fill(self, requests: Future[list[Any]], epoch: int, threads: int) -> Batch:
        found = requests.result()
        return self.dataset.fill(found, epoch=epoch, out=self._memory(len(found)), threads=threads)

    def _memory(self, count: int) -> npt.NDArray[Any]:
        """Return an array for a batch.

        Its memory is used again once nobody holds the tensor or a view of it: fresh pages cost as much as a crop.
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
            whole = empty(shape, self.dataset.numpy_dtype)
        lent = whole[:count]
        weakref.finalize(lent, self._free.append, whole).atexit = False
        return lent


def _without_empty(batches: Iterator[tuple[int, Batch]]) -> Iterator[tuple[int, Batch]]:
    """Pass over batches without a row, and move their strays to the next batch with one, or else to the one before.

    Each batch is held back until it is known that another with a row follows. If no batch has a row, the last one is
    handed out for its strays.
    """
    held: tuple[int, Batch] | None = None
    passed_over: tuple[int, Batch] | None = None
    strays: tuple[Stray, ...] = ()  # of the batches passed over since
    failure: Exception | None = None
    try:
        for step, batch in batches:
            if not len(batch.labels):
                passed_over, strays = (step, batch), strays + batch.strays
                continue
            if held is not None:
                yield held
            held, passed_over, strays = (step, batch._replace(strays=strays + batch.strays)), None, ()
            del batch
    except Exception as error:  # the batch before it is handed out first
        failure = error
    last = held or passed_over
    if last is not None:
        step = last[0] if passed_over is None or failure is not None else passed_over[0]
        yield step, last[1]._replace(strays=last[1].strays + strays if held else strays)
    if failure is not None:
        raise failure
