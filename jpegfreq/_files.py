"""Files that appear whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "WriteError",
    "check_not_special",
    "is_new",
    "name_complete",
    "opened_alone",
    "printable",
    "read_text",
    "reason_of",
    "write_npy",
    "write_whole",
    "written_whole",
]

_NAME_BYTES = 255  # that a file name may have on every common file system


class WriteError(OSError):
    """A file cannot be written; the message names the file and the reason."""

    @classmethod
    def of(cls, path: str | os.PathLike[str], error: OSError) -> WriteError:
        """Name the file that an error is about, unless the error names it already."""
        if isinstance(error, cls):
            return error
        named = cls(f"{os.fspath(path)}: cannot write: {error.strerror or error}")
        named.errno = error.errno
        return named


def reason_of(error: Exception) -> str:
    """Put an error in one line; an OSError is the file, if the error knows it, and the reason."""
    if not isinstance(error, OSError):
        return str(error)
    if error.filename is None or error.strerror is None:
        return str(error) if error.strerror is None else error.strerror
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def printable(text: str) -> str:
    r"""Show control characters, and bytes of a name that are not UTF-8, as escapes.

    Names come from archives and from other people's folders: printed as they are, they could move a terminal's cursor
    or break a line of a log in two.

    >>> printable("a\x1b[31m.jpg")
    'a\\x1b[31m.jpg'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def check_not_special(path: str | os.PathLike[str]) -> None:
    """Refuse a pipe, a socket or a device as an input, because a program that reads one may wait for ever.

    Whatever else is wrong with the path, such as that it does not exist, is left to whoever opens it.

    Raises:
        OSError: it is one.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    kinds = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    for is_kind, kind in kinds:
        if is_kind(mode):
            raise OSError(f"{os.fspath(path)} is {kind}, but a file is needed")


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a text file that a user names, or that lies in a folder which a user names.

    Raises:
        OSError: it cannot be read, or is a pipe, a socket or a device.
        ValueError: it is not UTF-8; the message names the file.
    """
    check_not_special(path)
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{os.fspath(path)} is not text in UTF-8: see its byte {error.start + 1:,}") from error


@contextmanager
def written_whole(path: Path, *, suffix: str = ".part", durable: bool = True) -> Iterator[Path]:
    """Let a file be written under a temporary name, and give it its own name once it is complete.

    Until then the file keeps its old content. After an error the temporary file is removed. Only the writing belongs
    into the `with` block, because every OSError of the block is reported as one of this file. A device or pipe, such
    as /dev/stdout, is written directly; a link stays, and the file it leads to is written.

    Args:
        path: the file.
        suffix: ends the temporary name; processes that write the same file need a different one each.
        durable: whether to wait until the file is on the disk, so that it outlasts a power failure.

    Yields:
        The path to write to.

    Raises:
        WriteError: the file cannot be written.
    """
    path = Path(os.path.realpath(path))
    temporary = path if path.exists() and not path.is_file() and not path.is_dir() else _temporary(path, suffix)
    try:
        yield temporary
        if temporary != path and durable:
            name_complete(temporary, path)
        elif temporary != path:
            temporary.replace(path)
    except BaseException as error:
        if temporary != path:
            with suppress(OSError):
                temporary.unlink()
        if isinstance(error, OSError):
            raise WriteError.of(path, error) from error
        raise


def _temporary(path: Path, suffix: str) -> Path:
    """Name the temporary file of a file; a name that the suffix would make too long is shortened."""
    name = os.fsencode(path.name)
    if len(name) + len(suffix) <= _NAME_BYTES:
        return path.with_name(path.name + suffix)
    return path.with_name(f"{hashlib.sha256(name).hexdigest()}{suffix}")


def write_whole(path: Path, content: str | bytes, *, suffix: str = ".part") -> None:
    """Write a file whole or not at all; see `written_whole`.

    Args:
        path: the file.
        content: text is written as UTF-8.
        suffix: ends the temporary name.

    Raises:
        WriteError: the file cannot be written.
    """
    with written_whole(path, suffix=suffix) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_npy(file: IO[bytes], array: npt.NDArray[Any]) -> None:
    """Write an array as np.save does; a full disk is an OSError that gives the reason, as np.save's does not."""
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data)


def is_new(folder: Path, first: str) -> bool:
    """Return whether a folder is missing or empty, but for what a killed `write_whole` left of its first file."""
    return not folder.exists() or all(path.name == f"{first}.part" for path in folder.iterdir())


def name_complete(temporary: Path, path: Path) -> None:
    """Flush a complete file to disk and give it its name; then flush the name."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def opened_alone(path: Path) -> IO[bytes]:
    """Open a file empty and locked, because two processes that write one file would leave a mixture of both.

    The file's time of modification becomes the file system's current time, which other files' st_ctime follows, too.

    Raises:
        WriteError: another process holds the file, or it cannot be opened.
    """
    while True:
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:
            raise WriteError.of(path, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                file.truncate(0)
                os.utime(file.fileno())
                return file
        except OSError as error:
            file.close()
            if isinstance(error, BlockingIOError):
                raise WriteError(f"{path} is being written by another process") from error
            raise WriteError.of(path, error) from error
        file.close()  # the other process completed or removed the file meanwhile
