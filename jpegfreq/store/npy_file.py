"""An .npy file that is written past the page cache while more of its rows are made."""

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
    """An .npy array that appears whole or not at all, written to the disk some rows at a time.

    Rows are made in memory in which they lie as in the file, relative to the boundaries of blocks. Where the system
    can, whole blocks of it go to the disk directly. To copy them into the page cache first takes twenty times the CPU
    time, and the rows of a large store would drive the files that it is made of out of the cache. The file's time of
    modification is when it was begun.

    `append`, `finish` and `abandon` are called by one thread; another may make further rows at the same time.
    """

    def __init__(self, path: Path, most_rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Open the file under its temporary name.

        Args:
            path: the file.
            most_rows: how many rows there will be at most.
            shape: of one row.
            dtype: of the values.

        Raises:
            WriteError: the file cannot be opened, or another process is writing it.
        """
        self._path = path
        self._temporary = path.with_name(path.name + ".part")
        self._shape = shape
        self._dtype = dtype
        self._row_bytes = int(np.prod(shape)) * dtype.itemsize
        self._rows = 0
        header = self._header(most_rows)
        self._header_bytes = len(header)
        self._rest = header  # what was appended since the last boundary of a block
        self._first_block = b""  # written last, because the header says how many rows there are
        self._error: Exception | None = None
        self._file = opened_alone(self._temporary)
        self._begun_ns = os.fstat(self._file.fileno()).st_mtime_ns
        self._is_direct = self._write_directly(True)

    def memory(self, most_rows: int) -> npt.NDArray[np.uint8]:
        """Return memory for rows of this or another file of the same shape and dtype.

        Args:
            most_rows: how many rows are made at a time, at most.
        """
        return _blocks(_BLOCK_BYTES + most_rows * self._row_bytes)

    def rows_in(self, memory: npt.NDArray[np.uint8], first: int, count: int) -> npt.NDArray[Any]:
        """Return the array in which some rows are to be made.

        Args:
            memory: where the array lies, for `append` later.
            first: the number of rows that come before these.
            count: how many rows are made.
        """
        place = (self._header_bytes + first * self._row_bytes) % _BLOCK_BYTES
        return np.ndarray((count, *self._shape), self._dtype, memory.data, place)

    def append(self, memory: npt.NDArray[np.uint8], count: int) -> None:
        """Write the first `count` rows of `rows_in`, whose memory is free afterwards; an error is kept for `finish`."""
        if self._error is not None:
            return
        try:
            end = len(self._rest) + count * self._row_bytes
            place = self._size_bytes() - len(self._rest)
            memory[: len(self._rest)] = np.frombuffer(self._rest, np.uint8)
            whole = end // _BLOCK_BYTES * _BLOCK_BYTES
            begin = 0
            if place == 0 and whole > 0:
                self._first_block = memory[:_BLOCK_BYTES].tobytes()
                begin = _BLOCK_BYTES
            self._write(memory[begin:whole], place + begin)
            self._rest = memory[whole:end].tobytes()
            self._rows += count
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
            header = self._header(self._rows)
            assert len(header) == self._header_bytes  # NumPy leaves room for a number of any length
            size_bytes = self._size_bytes()
            if self._first_block and self._rest:
                self._write_block(self._rest, size_bytes - len(self._rest))
            self._write_block(header + (self._first_block or self._rest)[len(header) :], 0)
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
        """Return the size of the file with the rows that were appended."""
        return self._header_bytes + self._rows * self._row_bytes

    def _write_block(self, content: bytes, place: int) -> None:
        """Write a block, or the beginning of one."""
        block = _blocks(_BLOCK_BYTES)
        block[: len(content)] = np.frombuffer(content, np.uint8)
        block[len(content) :] = 0
        self._write(block, place)

    def _write(self, content: npt.NDArray[np.uint8], place: int) -> None:
        done = 0
        while done < len(content):
            try:
                done += os.pwrite(self._file.fileno(), content.data[done:], place + done)
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


def _blocks(size_bytes: int) -> npt.NDArray[np.uint8]:
    """Return memory that begins on the boundary of a block."""
    room = empty((size_bytes + _BLOCK_BYTES,), np.dtype(np.uint8))
    start = -room.ctypes.data % _BLOCK_BYTES
    return room[start : start + size_bytes]
