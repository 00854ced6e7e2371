"""Files read as tensors of one view each, in batches; the next batch is read from disk while one is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xxhash

from jpegfreq.batch import read_batch
from jpegfreq.crops import Window
from jpegfreq.failures import Failure
from jpegfreq.format import TensorFormat
from jpegfreq.header import Header, read_header
from jpegfreq.sources.file_memory import BatchFiles, FileMemory
from jpegfreq.views import EvaluationView, read_size

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["LoadedImage", "UnreadableImageError", "failure_of", "read_views"]


@dataclass(frozen=True)
class LoadedImage:
    """A file that was read.

    Attributes:
        data: its bytes.
        xxh3_128: their hash in hexadecimal, or "" if it was not asked for.
        header: of the image.
        window: the part of the resized image that is read.
    """

    data: memoryview
    xxh3_128: str
    header: Header
    window: Window


class UnreadableImageError(Exception):
    """A file was read, but its bytes cannot be decoded."""

    def __init__(self, error: Exception, data: memoryview) -> None:
        """Keep the reason and the bytes."""
        super().__init__(str(error))
        self.error = error
        self.data = data


def failure_of(name: str, error: Exception) -> Failure:
    """Describe what `read_views` yielded in place of an image."""
    if isinstance(error, UnreadableImageError):
        return Failure.of(name, error.error, error.data)
    return Failure.of(name, error)


def _load(
    paths: Sequence[str], view: EvaluationView, hashes: bool, memory: FileMemory
) -> list[LoadedImage | Exception]:
    """Read files and find their windows; an error takes the place of a file that fails."""
    files = memory.batch()
    windows: dict[tuple[int, int], Window] = {}  # few sizes are shared by many images
    return [_load_one(files, path, view, windows, hashes) for path in paths]


def _load_one(
    files: BatchFiles, path: str, view: EvaluationView, windows: dict[tuple[int, int], Window], hashes: bool
) -> LoadedImage | Exception:
    try:
        data = files.read(path)
    except OSError as error:
        return error
    try:
        header = read_header(data)
        size = read_size(view, header)
        window = windows.get(size) or windows.setdefault(size, view.window(header))
    except (ValueError, MemoryError) as error:
        return UnreadableImageError(error, data)
    return LoadedImage(data, xxhash.xxh3_128_hexdigest(data) if hashes else "", header, window)


def read_views(
    paths: Iterable[tuple[str, str]],
    view: EvaluationView,
    format: TensorFormat,
    threads: int,
    batch: int,
    *,
    hashes: bool = False,
    room: Callable[[int], npt.NDArray[Any]] | None = None,
    memory: FileMemory | None = None,
) -> Iterator[tuple[list[str], list[LoadedImage | Exception], npt.NDArray[Any]]]:
    """Read files as tensors, in batches and in the files' order.

    Args:
        paths: the name and the path of each file.
        view: the part of each image.
        format: of the tensors.
        threads: how many threads read, and how many decode.
        batch: number of files per batch.
        hashes: whether to hash the files.
        room: returns the array for the tensors of a batch, by their number; None for new arrays.
        memory: where the files are read into, shared by successive calls; None for new memory.

    Yields:
        The names of a batch; for each name the loaded image, or the error in its place; and the tensors of the images
        without an error, in order.
    """
    files = list(paths)
    parts = [files[start : start + batch] for start in range(0, len(files), batch)]
    share = -(-batch // threads)
    memory = FileMemory() if memory is None else memory
    with ThreadPoolExecutor(threads) as pool:

        def begin_reading(number: int) -> list[Future[list[LoadedImage | Exception]]]:
            own = [path for _, path in parts[number]] if number < len(parts) else []
            shares = (own[start : start + share] for start in range(0, len(own), share))
            return [pool.submit(_load, few, view, hashes, memory) for few in shares]

        ahead = begin_reading(0)
        for number, part in enumerate(parts):
            loaded = [image for future in ahead for image in future.result()]
            ahead = begin_reading(number + 1)
            good = [image for image in loaded if isinstance(image, LoadedImage)]
            tensors, errors = read_batch(
                [image.data for image in good],
                size=view.size,
                boxes=[image.window for image in good],
                filter=view.filter,
                apply_orientation=view.apply_orientation,
                format=format,
                out=None if room is None else room(len(good)),
                threads=threads,
                errors="return",
            )
            slots = [index for index, image in enumerate(loaded) if isinstance(image, LoadedImage)]
            kept = [index for index, error in enumerate(errors) if error is None]
            for slot, image, error in zip(slots, good, errors, strict=True):
                if error is not None:
                    loaded[slot] = UnreadableImageError(error, image.data)
            if len(kept) < len(good):
                tensors[: len(kept)] = tensors[kept]
                tensors = tensors[: len(kept)]
            yield [name for name, _ in part], loaded, tensors
