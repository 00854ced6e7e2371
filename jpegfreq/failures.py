"""Files that could not be read: their name, a reason to count them by, and what is wrong with them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from jpegfreq.errors import JpegError, MalformedJpegError, TruncatedJpegError, UnsupportedJpegError

__all__ = ["Failure", "reason_for"]

_JPEG_START = b"\xff\xd8"
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (MalformedJpegError, "malformed"),
    (TruncatedJpegError, "truncated"),
    (UnsupportedJpegError, "unsupported"),
    (OSError, "unreadable"),
    (MemoryError, "unreadable"),
)


@dataclass(frozen=True)
class Failure:
    """A file that gave no tensor.

    Attributes:
        name: the file's name, as the list of inputs has it.
        reason: "not a JPEG", "malformed", "truncated", "unsupported" or "unreadable".
        message: what is wrong, where, and which rule is broken; neither the file's name nor its position in a batch.
    """

    name: str
    reason: str
    message: str

    @classmethod
    def of(cls, name: str, error: Exception, data: bytes | memoryview = _JPEG_START) -> Failure:
        """Describe the error that a file raised.

        Args:
            name: the file's name.
            error: what reading it raised.
            data: the file's first bytes at least, where they are known: they tell a damaged JPEG from another file.
        """
        return cls(name, reason_for(error, data), message_of(error))

    @classmethod
    def of_file(cls, name: str, error: Exception, path: str | os.PathLike[str]) -> Failure:
        """Describe the error of a file that was read by its path; its first bytes are looked at again."""
        try:
            with open(path, "rb") as file:
                return cls.of(name, error, file.read(2))
        except OSError:
            return cls.of(name, error)


def reason_for(error: Exception, data: bytes | memoryview = _JPEG_START) -> str:
    """Name the kind of an error in the words of `Failure.reason`; arguments as for `Failure.of`."""
    if isinstance(error, JpegError) and data[:2] != _JPEG_START:
        return "not a JPEG"
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "unsupported")


def message_of(error: Exception) -> str:
    """Say what is wrong without the file's name and its position in a batch."""
    if isinstance(error, JpegError):
        return error.description
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error)
