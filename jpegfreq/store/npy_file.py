"""An .npy file that is made row by row in memory, and written past the page cache while more rows are made."""

from __future__ import annotations

import errno
import fcntl
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpegfreq._files import WriteError, name_complete, opened_alone
from jpegfreq._memory import empty

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["NpyFile"]

_BLOCK_BYTES = 4096
"""What direct writing needs the memory, the place in the file and the length to be a multiple of."""


class NpyFile:
    """An .npy array that appears whole or not at all, written to the disk while its next rows are made.

    The rows are made in memory of the file's own, which holds the file as it will be on the disk. Where the system can,
    whole blocks of it go to the disk directly. To copy them into the page cache first takes twenty times the CPU time,
    and the rows of a large store would drive the files that it is made of out of the cache. The file's time of
    modification is when it was begun.

    Attributes:
        rows: the array to fill, [most_rows, ...].
        memory: of the whole file; a file of the same size may be made in it once this one is finished.
    """

    def __init__(
        self,
        path: Path,
        most_rows: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        memory: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """Open the file under its temporary name.

        Args:
            path: the file.
            most_rows: how many rows there will be at most.
            shape: of one row.
            dtype: of the values.
            memory: of another NpyFile of the same most_rows, shape and dtype; None for new memory.

        Raises:
            WriteError: the file cannot be opened, or another process is writing it.
        """
        self._path = path
        self._temporary = path.with_name(path.name + ".part")
        self._shape = shape
        self._dtype = dtype
        self._header_bytes = len(self._header(most_rows))
        self._row_bytes = int(np.prod(shape)) * dtype.itemsize
        self.memory = self._blocks_for(most_rows) if memory is None else memory
        self.rows: npt.NDArray[Any] = np.ndarray((most_rows, *shape), dtype, self.memory.data, self._header_bytes)
        self._ready = 0  # rows
        self._written_bytes = _BLOCK_BYTES  # the block with the header is written last, when the rows are counted
        self._error: Exception | None = None
        self._file = opened_alone(self._temporary)
        self._begun_ns = os.fstat(self._file.fileno()).st_mtime_ns
        self._is_direct = self._write_directly(True)

    def append(self, count: int) -> None:
        """Write the blocks that the next `count` rows complete; an error is kept for `finish`."""
        self._ready += count
        if self._error is not None:
            return
        try:
            self._write_to(self._size_bytes() // _BLOCK_BYTES * _BLOCK_BYTES)
            if not self._is_direct:  # so that little is left to wait for at the end
                os.fsync(self._file.fileno())
        except Exception as error:
            self._error = error

    def finish(self) -> None:
        """Give the file its name, with the rows that were appended.

        Raises:
            WriteError: the file could not be written; it is removed.
        """
        try:
            if self._error is not None:
                raise self._error
            header = self._header(self._ready)
            assert len(header) == self._header_bytes  # NumPy leaves room for a number of any length
            self.memory[: len(header)] = np.frombuffer(header, np.uint8)
            size_bytes = self._size_bytes()
            self._write_to(_up(size_bytes))
            self._write(0, _BLOCK_BYTES)
            os.ftruncate(self._file.fileno(), size_bytes)
            os.utime(self._file.fileno(), ns=(self._begun_ns, self._begun_ns))
            name_complete(self._temporary, self._path)  # before the lock is given up
            self._file.close()
        except BaseException as error:
            self.abandon()
            if isinstance(error, OSError):
                raise WriteError.of(self._path, error) from error
            raise

    def abandon(self) -> None:
        """Remove the incomplete file, while its lock is still held."""
        with suppress(OSError):
            self._temporary.unlink()
        self._file.close()

    def _header(self, rows: int) -> bytes:
        file = io.BytesIO()
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (rows, *self._shape)})
        return file.getvalue()

    def _size_bytes(self) -> int:
        """Return the size of the file with the rows that are ready."""
        return self._header_bytes + self._ready * self._row_bytes

    def _blocks_for(self, most_rows: int) -> npt.NDArray[np.uint8]:
        """Return memory for whole blocks, on the boundary of one."""
        size_bytes = _up(self._header_bytes + most_rows * self._row_bytes)
        room = empty((size_bytes + _BLOCK_BYTES,), np.dtype(np.uint8))
        start = -room.ctypes.data % _BLOCK_BYTES
        return room[start : start + size_bytes]

    def _write_to(self, end_bytes: int) -> None:
        """Write the blocks from where the last ones ended."""
        if end_bytes > self._written_bytes:
            self._write(self._written_bytes, end_bytes)
            self._written_bytes = end_bytes

    def _write(self, place: int, end_bytes: int) -> None:
        while place < end_bytes:
            try:
                place += os.pwrite(self._file.fileno(), self.memory.data[place:end_bytes], place)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._is_direct:
                    raise
                # The file system wants larger blocks than ours, or it took a part of one.
                self._is_direct = self._write_directly(False)

    def _write_directly(self, directly: bool) -> bool:
        """Choose whether writes go past the page cache; return whether they do."""
        flag = getattr(os, "O_DIRECT", 0)  # macOS has none
        try:
            flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
            fcntl.fcntl(self._file, fcntl.F_SETFL, flags | flag if directly else flags & ~flag)
        except OSError:  # the file system cannot
            return False
        return directly and flag != 0


def _up(size_bytes: int) -> int:
    """Round up to whole blocks."""
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
