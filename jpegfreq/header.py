"""The frame header of a JPEG, without its image data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from jpegfreq import _native

if TYPE_CHECKING:
    import os

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Buffer

    # One JPEG file: contiguous bytes in memory, or the path of a file.
    Source: TypeAlias = Buffer | npt.NDArray[np.uint8] | str | os.PathLike[str]

__all__ = ["Component", "Header", "read_header"]


@dataclass(frozen=True, slots=True)
class Component:
    """One component of the frame (T.81 B.2.2).

    Attributes:
        identifier: C_i, as the scans name it.
        horizontal_sampling_factor: H_i, 1 to 4.
        vertical_sampling_factor: V_i, 1 to 4.
        quantization_table_id: Tq_i, 0 to 3.
        blocks_high: rows of 8 x 8 blocks (T.81 A.1.1), without the padding of the last MCUs.
        blocks_wide: columns of 8 x 8 blocks, likewise.
    """

    identifier: int
    horizontal_sampling_factor: int
    vertical_sampling_factor: int
    quantization_table_id: int
    blocks_high: int
    blocks_wide: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a JPEG says of itself before its first scan.

    Attributes:
        height: pixels; from the DNL segment where the frame header says 0 (T.81 B.2.5).
        width: pixels.
        precision: bits a sample, 8 or 12.
        process: "baseline", "extended", "progressive", "lossless", "arithmetic extended" or "arithmetic progressive".
        components: in the order of the frame header.
        restart_interval: MCUs between restart markers at the first scan; 0 for none.
        color: "grey", "YCbCr", "RGB", "CMYK", "YCCK" or "unknown", by libjpeg's rules.
        orientation: EXIF orientation, 1 to 8; 1 where the file does not say.
    """

    height: int
    width: int
    precision: int
    process: str
    components: tuple[Component, ...]
    restart_interval: int
    color: str
    orientation: int


def read_header(data: Source) -> Header:
    """Read a JPEG's markers up to its first scan; no image data.

    Args:
        data: one JPEG file: any contiguous bytes (not copied), or a path (only its beginning is read).

    Returns:
        The frame header, colour kind and orientation.

    Raises:
        MalformedJpegError: the data are no JPEG, or a segment before the first scan breaks T.81.
        TruncatedJpegError: the data end before the first scan.
        UnsupportedJpegError: hierarchical, lossless arithmetic, JPEG-LS.
        OSError: the path cannot be read.

    >>> read_header(gray_16x8).width
    16
    """
    return _native.read_header(data)
