"""Files read in batches, into memory that is reused."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np

from jpegfreq import _native
from jpegfreq._memory import empty
from jpegfreq.sources.opened import is_remote, read_remote

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BatchFiles", "FileMemory"]


class FileMemory:
    """Reusable memory for the files of batches: fresh pages cost three times as much as reading into them."""

    def __init__(self) -> None:
        """Begin without any memory."""
        self.free: list[npt.NDArray[np.uint8]] = []
        self.most_bytes = 0  # that the files of one batch needed so far

    def batch(self) -> BatchFiles:
        """Make room for the files of one batch."""
        return BatchFiles(self)

    def __reduce__(self) -> tuple[type[FileMemory], tuple[()]]:
        """Pickle without the memory: another process has its own."""
        return FileMemory, ()


class BatchFiles:
    """The files of one batch; their memory is returned once nobody holds any of them."""

    def __init__(self, memory: FileMemory) -> None:
        """Take memory that was returned, or allocate some."""
        try:
            whole = memory.free.pop()
        except IndexError:
            whole = np.empty(0, np.uint8)
        if whole.size < memory.most_bytes:
            whole = empty((memory.most_bytes + memory.most_bytes // 4,), np.dtype(np.uint8))
        lent = whole[:]
        weakref.finalize(lent, memory.free.append, whole).atexit = False
        self._room: memoryview = lent.data
        self._memory = memory
        self._wanted = 0

    def read(self, path: str, offset_bytes: int = 0, size_bytes: int | None = None) -> memoryview:
        """Read a file, or a part of it.

        Args:
            path: the file.
            offset_bytes: where the part begins.
            size_bytes: how long the part is; None for the rest of the file.

        Returns:
            The bytes; fewer than `size_bytes` where the file ends before.

        Raises:
            OSError: the file cannot be read.
            ImportError: as for Opened.
        """
        if is_remote(path):
            return memoryview(read_remote(path, offset_bytes, size_bytes))
        wanted = -1 if size_bytes is None else size_bytes
        start = self._wanted
        size, done = _native.read_file(path, self._room, start, offset_bytes, wanted)
        self._wanted += size
        self._memory.most_bytes = max(self._memory.most_bytes, self._wanted)
        if done >= 0:
            return self._room[start : start + done]
        place = memoryview(bytearray(size))  # the memory of the next batch will be large enough
        _, done = _native.read_file(path, place, 0, offset_bytes, size)
        return place[:done]
