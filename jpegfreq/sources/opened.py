"""Files read at any place: those of this system, and through fsspec those of object stores, such as s3://photos/0.tar."""

from __future__ import annotations

import os
from typing import Any

from jpegfreq._extras import needs_extra
from jpegfreq._files import check_not_special

__all__ = ["Opened", "is_remote", "read_remote", "remote_exists"]


def is_remote(path: str) -> bool:
    """Return whether a path names a protocol of fsspec: "s3://bucket/0.tar", "memory://0.tar", "file:///data/0.tar"."""
    return "://" in path


class Opened:
    """A file that is open for reading.

    Attributes:
        size_bytes: how long it is.
    """

    def __init__(self, path: str) -> None:
        """Open a file.

        Raises:
            OSError: it cannot be opened, or is a pipe, a socket or a device.
            ImportError: fsspec, or its package for the protocol, is not installed.
        """
        self._remote: Any = None
        if is_remote(path):
            system, name = _system(path)
            self._remote = system.open(name, "rb")
            self._remote.seek(0, os.SEEK_END)
            self.size_bytes = int(self._remote.tell())
        else:
            check_not_special(path)
            self._file = os.open(path, os.O_RDONLY)
            self.size_bytes = os.fstat(self._file).st_size

    def __enter__(self) -> Opened:
        """Return the file."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._remote is not None:
            self._remote.close()
        else:
            os.close(self._file)

    def read(self, size_bytes: int, offset_bytes: int) -> bytes:
        """Read a part of the file; fewer bytes where the file ends before."""
        if self._remote is None:
            return os.pread(self._file, size_bytes, offset_bytes)
        self._remote.seek(offset_bytes)
        data: bytes = self._remote.read(size_bytes)
        return data


def read_remote(path: str, offset_bytes: int = 0, size_bytes: int | None = None) -> bytes:
    """Read a part of an object store's file in one request; fewer bytes where the file ends before.

    Raises:
        OSError: it cannot be read.
        ImportError: as for Opened.
    """
    system, name = _system(path)
    end = None if size_bytes is None else offset_bytes + size_bytes
    data: bytes = system.cat_file(name, start=offset_bytes, end=end)
    return data


def remote_exists(path: str) -> bool:
    """Return whether an object store has a file of this name; raises as `read_remote` does."""
    system, name = _system(path)
    return bool(system.isfile(name))


def _system(path: str) -> tuple[Any, str]:
    """Return fsspec's file system of a path, and the path within it.

    Raises:
        ImportError: fsspec, or its package for the protocol, is not installed.
        OSError: fsspec knows no such protocol.
    """
    with needs_extra(f"reading {path}"):
        from fsspec.core import url_to_fs
    try:
        system, name = url_to_fs(path)
    except ValueError as error:
        raise OSError(f"{path}: {error}") from error
    return system, name
