"""What can be wrong with a JPEG: three classes, each saying what, where and which rule (T.81)."""

from __future__ import annotations

import os

__all__ = ["JpegError", "MalformedJpegError", "TruncatedJpegError", "UnsupportedJpegError"]


class JpegError(ValueError):
    """The data cannot be read as a JPEG.

    The text reads "DHT at byte 177: codes of length 9 overflow the tree (T.81 C.2)", after the file's name where the
    input was a path, and after "image 3" where it was one of a batch.

    Attributes:
        segment: the marker segment at fault ("DHT", "SOS", "scan data"), or "".
        offset_bytes: where in the file, or None where the error has no place.
        clause: the clause of T.81 that the file breaks ("C.2"), or "".
        path: the file, where the input was a path, else None.
        index: the image's place in a batch, else None.
    """

    segment: str
    offset_bytes: int | None
    clause: str
    path: str | None
    index: int | None

    def __init__(
        self,
        message: str,
        *,
        segment: str = "",
        offset_bytes: int | None = None,
        clause: str = "",
        path: str | None = None,
        index: int | None = None,
    ) -> None:
        """Keep the finished text and what it was made of; pickles with both."""
        super().__init__(message)
        self.segment = segment
        self.offset_bytes = offset_bytes
        self.clause = clause
        self.path = path
        self.index = index


class MalformedJpegError(JpegError):
    """The data break a rule of T.81, or are no JPEG at all."""


class TruncatedJpegError(JpegError):
    """The data end before the image does."""


class UnsupportedJpegError(JpegError):
    """A valid file of a kind this library does not read, or one larger than `max_pixels`."""


_CLASSES = {1: MalformedJpegError, 2: TruncatedJpegError, 3: UnsupportedJpegError}
_OUT_OF_MEMORY = 4


def _from_status(
    code: int,
    segment: str,
    message: str,
    clause: str,
    offset_bytes: int,
    path: str | os.PathLike[str] | None,
    index: int | None,
) -> JpegError | MemoryError:
    """The exception for a Status of the native core (native/include/jpegfreq.h)."""
    where = f"{segment} at byte {offset_bytes}" if segment else f"byte {offset_bytes}"
    text = f"{where}: {message}"
    if clause:
        text += f" (T.81 {clause})"
    file = None if path is None else os.fspath(path)
    if file is not None:
        text = f"{file}: {text}"
    if index is not None:
        text = f"image {index}: {text}"
    if code == _OUT_OF_MEMORY:
        return MemoryError(text)
    return _CLASSES[code](text, segment=segment, offset_bytes=offset_bytes, clause=clause, path=file, index=index)
