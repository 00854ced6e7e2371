"""The tensors of a store: .npy shards, each with a JSON record that marks it as complete."""

from __future__ import annotations

import os
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
    room: list[npt.NDArray[np.uint8]] = []
    memory = FileMemory()
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for number, shard in enumerate(shards):
            # One shard is written while one is made: memory stays bounded and is reused.
            used = room[number % 2] if number >= 2 else None
            path = out / shard_name(shard)
            file = NpyFile(path, conversion.images_per_shard, shape, np.dtype(conversion.storage), used)
            if used is None:
                room.append(file.memory)

            def write(count: int, file: NpyFile = file) -> None:
                writer.submit(file.append, count)

            try:
                record = _convert_shard(conversion, shard, file.rows, memory, threads, write, progress)
                if writing is not None:
                    writing.result()
            except BaseException:
                file.abandon()
                raise
            writing = writer.submit(_finish_shard, conversion.complete_path(out, shard), file, record)
        if writing is not None:
            writing.result()


def _convert_shard(
    conversion: Conversion,
    shard: int,
    stored: npt.NDArray[Any],
    memory: FileMemory,
    threads: int,
    write: Callable[[int], object],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    label_of = {name: label for label, name in enumerate(conversion.classes)}
    files: list[dict[str, Any]] = []
    failures: list[Failure] = []
    paths = ((name, os.path.join(conversion.folder, name)) for name in conversion.shard_names(shard))
    as_steps = conversion.storage == "int16"
    format = replace(conversion.format, statistics=None) if as_steps else conversion.format
    out = None if as_steps else stored
    batches = read_views(paths, conversion.view, format, threads, _BATCH, hashes=True, out=out, memory=memory)
    for names, loaded, tensors in batches:
        size_bytes, first = 0, len(files)
        tensor = iter(tensors)
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
                stored[len(files)] = steps
            label = label_of.get(name.split("/")[0], -1) if "/" in name else -1
            files.append({"name": name, "size_bytes": len(image.data), "sha256": image.sha256, "label": label})
        write(len(files) - first)
        progress(len(names), size_bytes)
    unread = [{"name": failure.name, **identity_of(conversion.folder / failure.name)} for failure in failures]
    failed = [vars(failure) for failure in failures]
    return {"shard": shard_name(shard), "files": files, "failures": failed, "unread": unread}


def _finish_shard(record_path: Path, file: NpyFile, record: dict[str, Any]) -> None:
    file.finish()
    write_whole(record_path, lines_json(record))  # last, because it marks the shard as complete
