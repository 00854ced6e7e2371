"""The errors of reading a JPEG: three classes, each naming what is wrong, where, and which rule of T.81 it breaks."""

from __future__ import annotations

import os

__all__ = ["JpegError", "MalformedJpegError", "TruncatedJpegError", "UnsupportedJpegError"]


class JpegError(ValueError):
    """The data cannot be read as a JPEG.

    `str(error)` puts the parts together: "image 3: photo.jpg: DHT at byte 177: codes of length 9 overflow the tree
    (T.81 C.2)". The image's number appears for an image of a batch, the file's name where the input was a path.

    Attributes:
        message: what is wrong, and nothing else: "codes of length 9 overflow the tree".
        segment: the marker segment at fault ("DHT", "SOS", "scan data"), or "".
        offset_bytes: where in the file, or None where the error has no position.
        clause: the clause of T.81 that the file breaks ("C.2"), or "".
        path: the file, where the input was a path, else None.
        index: the image's position in the batch, counted from 0, or None outside a batch.
    """

    message: str
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
        """Keep each part by itself; a pickled error keeps them all."""
        super().__init__(message)
        self.message = message
        self.segment = segment
        self.offset_bytes = offset_bytes
        self.clause = clause
        self.path = path
        self.index = index

    @property
    def description(self) -> str:
        """The fault, its position and its rule, without file and batch: "DHT at byte 177: ... (T.81 C.2)"."""
        position = "" if self.offset_bytes is None else f"byte {self.offset_bytes}"
        where = " at ".join(part for part in (self.segment, position) if part)
        rule = f" (T.81 {self.clause})" if self.clause else ""
        return f"{where}: {self.message}{rule}" if where else self.message + rule

    def __str__(self) -> str:
        place = None if self.index is None else f"image {self.index}"
        return ": ".join(part for part in (place, self.path, self.description) if part is not None)


class MalformedJpegError(JpegError):
    """The data break a rule of T.81, or are not a JPEG at all."""


class TruncatedJpegError(JpegError):
    """The data end before the image does."""


class UnsupportedJpegError(JpegError):
    """The file is valid but of a kind this library does not read, or it has more pixels than `max_pixels`."""


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
    """Make the exception for a Status of the native core (native/include/jpegfreq.h)."""
    error = _CLASSES.get(code, JpegError)(
        message,
        segment=segment,
        offset_bytes=offset_bytes,
        clause=clause,
        path=None if path is None else os.fsdecode(path),
        index=index,
    )
    return MemoryError(str(error)) if code == _OUT_OF_MEMORY else error
