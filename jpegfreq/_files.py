"""Files that appear whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["NpyFile", "is_new", "name_complete", "opened_alone", "write_whole"]


def write_whole(path: Path, content: str | bytes, *, suffix: str = ".part") -> None:
    """Write a file under another name first; what it held before is there until all of the new content is.

    Args:
        path: the file.
        content: text is written as UTF-8.
        suffix: of the other name; processes that write one file need one each.
    """
    temporary = path.with_name(path.name + suffix)
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    name_complete(temporary, path)


def is_new(folder: Path, first: str) -> bool:
    """Whether a folder holds nothing but, perhaps, what a kill left of `write_whole` for its first file."""
    return not folder.exists() or all(path.name == f"{first}.part" for path in folder.iterdir())


def name_complete(temporary: Path, path: Path) -> None:
    """Give a complete file its name, once its bytes are on disk; then the name is, too."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def opened_alone(path: Path) -> IO[bytes]:
    """A file of this name, empty and locked: two processes that write one file would leave a mixture of both.

    Its time of modification is now by the file system's clock, which other files' st_ctime goes by too.

    Raises:
        OSError: another process holds it.
    """
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                file.truncate(0)
                os.utime(file.fileno())
                return file
        except OSError as error:
            file.close()
            if isinstance(error, BlockingIOError):
                raise OSError(f"{path} is being written by another process") from error
            raise
        file.close()  # the other process gave it its name meanwhile


class NpyFile:
    """An .npy array that appears whole or not at all, written rows at a time, each time to the disk.

    So the disk works while the next rows are made, and little is left to wait for at the end. The file's time of
    modification is when it was begun.
    """

    def __init__(self, path: Path, most_rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Nothing is written yet.

        Args:
            path: the file.
            most_rows: how many rows there will be at most.
            shape: of a row.
            dtype: of the values.

        Raises:
            OSError: it cannot be opened, or another process is writing the same file.
        """
        self._path = path
        self._temporary = path.with_name(path.name + ".part")
        self._file = opened_alone(self._temporary)
        self._begun_ns = os.fstat(self._file.fileno()).st_mtime_ns
        self._shape = shape
        self._dtype = dtype
        self._rows = 0
        self._error: Exception | None = None
        self._write_header(most_rows)
        self._start = self._file.tell()

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Write rows; an error is kept for `finish`."""
        if self._error is not None:
            return
        try:
            self._file.write(np.ascontiguousarray(rows).data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except Exception as error:
            self._error = error
        self._rows += len(rows)

    def finish(self) -> None:
        """Give the file its name, with the rows that were written.

        Raises:
            OSError: it, or rows before, could not be written.
        """
        with self._file:
            if self._error is not None:
                raise self._error
            self._file.seek(0)
            self._write_header(self._rows)
            assert self._file.tell() == self._start  # NumPy leaves room for a number of any length
            self._file.flush()
            os.utime(self._file.fileno(), ns=(self._begun_ns, self._begun_ns))
            name_complete(self._temporary, self._path)  # before the lock is given up

    def abandon(self) -> None:
        """Leave the file incomplete, for another to begin anew."""
        self._file.close()

    def _write_header(self, rows: int) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**header, "shape": (rows, *self._shape)})
