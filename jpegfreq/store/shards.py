"""The tensors of a store: .npy shards, each with a JSON record that marks it as complete."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpegfreq._files import write_whole
from jpegfreq.failures import Failure
from jpegfreq.sources.file_memory import FileMemory
from jpegfreq.store.manifest import identity_of
from jpegfreq.store.npy_file import NpyFile
from jpegfreq.store.plan import INT16_STEP, Conversion, lines_json, shard_name
from jpegfreq.store.reading import failure_of, read_views

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["convert_shards"]

_BATCH = 64
_MOST_BATCHES = 4
"""How many batches are held at most: one is made while the others are written, so that the disk may pause."""


def convert_shards(
    conversion: Conversion,
    out: Path,
    shards: Iterable[int],
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda images, size_bytes: None,
) -> None:
    """Convert the files of some shards; each shard appears whole or not at all.

    Args:
        conversion: the plan.
        out: the store, after `begin`.
        shards: their numbers.
        threads: how many threads decode.
        progress: called after each batch with its number of images and bytes.

    Raises:
        WriteError: a shard cannot be written, or another process is writing it.
    """
    shape = conversion.format.shape(*conversion.view.size)
    files = FileMemory()
    with ThreadPoolExecutor(1) as writer:
        rows = _RowMemory(writer)
        writing: Future[None] | None = None
        for shard in shards:
            path = out / shard_name(shard)
            file = NpyFile(path, conversion.images_per_shard, shape, np.dtype(conversion.storage))
            try:
                record = _convert_shard(conversion, shard, file, rows, files, threads, progress)
                if writing is not None:
                    writing.result()
            except BaseException:
                writer.submit(file.abandon)  # once it has written the last rows
                raise
            writing = writer.submit(_finish_shard, conversion.complete_path(out, shard), file, record)
        if writing is not None:
            writing.result()


class _RowMemory:
    """Memory in which the rows of batches are made, in turn, while a thread writes those of earlier batches."""

    def __init__(self, writer: ThreadPoolExecutor) -> None:
        self._writer = writer
        self._made: npt.NDArray[np.uint8] | None = None
        self._written: deque[tuple[npt.NDArray[np.uint8], Future[None]]] = deque()

    def begin(self, file: NpyFile, first: int, count: int) -> npt.NDArray[Any]:
        """Return the array in which a batch of a file's rows is to be made; `first` rows come before."""
        if self._made is None and len(self._written) < _MOST_BATCHES:
            self._made = file.memory(_BATCH)
        elif self._made is None:
            self._made, written = self._written.popleft()
            written.result()
        return file.rows_in(self._made, first, count)

    def write(self, file: NpyFile, count: int) -> None:
        """Let the first `count` of these rows be written."""
        assert self._made is not None
        self._written.append((self._made, self._writer.submit(file.append, self._made, count)))
        self._made = None


def _convert_shard(
    conversion: Conversion,
    shard: int,
    file: NpyFile,
    rows: _RowMemory,
    memory: FileMemory,
    threads: int,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    label_of = {name: label for label, name in enumerate(conversion.classes)}
    files: list[dict[str, Any]] = []
    failures: list[Failure] = []
    paths = ((name, os.path.join(conversion.folder, name)) for name in conversion.shard_names(shard))
    as_steps = conversion.storage == "int16"
    format = replace(conversion.format, statistics=None) if as_steps else conversion.format

    def room(count: int) -> npt.NDArray[Any]:
        return rows.begin(file, len(files), count)

    batches = read_views(
        paths,
        conversion.view,
        format,
        threads,
        _BATCH,
        hashes=True,
        room=None if as_steps else room,
        memory=memory,
    )
    for names, loaded, tensors in batches:
        size_bytes, first = 0, len(files)
        tensor = iter(tensors)
        stored = room(len(tensors)) if as_steps else tensors
        for name, image in zip(names, loaded, strict=True):
            if isinstance(image, Exception):
                failures.append(failure_of(name, image))
                continue
            size_bytes += len(image.data)
            values = next(tensor)
            if as_steps:
                steps = np.rint(values / np.float32(INT16_STEP))
                if not np.abs(steps).max() <= 32767:
                    failures.append(
                        Failure(
                            name,
                            "unsupported",
                            "a coefficient is too large for --dtype int16, which holds -2048 to 2047",
                        )
                    )
                    continue
                stored[len(files) - first] = steps
            label = label_of.get(name.split("/")[0], -1) if "/" in name else -1
            files.append({"name": name, "size_bytes": len(image.data), "xxh3_128": image.xxh3_128, "label": label})
        rows.write(file, len(files) - first)
        progress(len(names), size_bytes)
    unread = [{"name": failure.name, **identity_of(conversion.folder / failure.name)} for failure in failures]
    failed = [vars(failure) for failure in failures]
    return {"shard": shard_name(shard), "files": files, "failures": failed, "unread": unread}


def _finish_shard(record_path: Path, file: NpyFile, record: dict[str, Any]) -> None:
    file.finish()
    write_whole(record_path, lines_json(record))  # last, because it marks the shard as complete
