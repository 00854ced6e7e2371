"""The frame header of a JPEG, and what its EXIF orientation means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from jpegfreq import _native

if TYPE_CHECKING:
    import os

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Buffer

    # One JPEG file: contiguous bytes in memory, or the path of a file.
    Source: TypeAlias = Buffer | npt.NDArray[np.uint8] | str | os.PathLike[str]

__all__ = ["Component", "Header", "Upright", "read_header"]


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


class Upright(NamedTuple):
    """How to turn a stored image upright: transpose it first, where needed, then mirror it.

    Attributes:
        transpose: exchange rows and columns.
        mirror_columns: mirror left to right.
        mirror_rows: mirror top to bottom.
    """

    transpose: bool
    mirror_columns: bool
    mirror_rows: bool

    @classmethod
    def of(cls, orientation: int) -> Upright:
        """Return what an EXIF orientation from 1 to 8 asks for."""
        return cls(orientation in (5, 6, 7, 8), orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8))


@dataclass(frozen=True, slots=True, repr=False)
class Header:
    """What a JPEG declares before its first scan.

    Attributes:
        height: pixels; from the DNL segment where the frame header says 0 (T.81 B.2.5).
        width: pixels.
        precision: bits per sample, 8 or 12.
        process: "baseline", "extended", "progressive", "lossless", "arithmetic extended" or "arithmetic progressive".
        components: in the order of the frame header.
        restart_interval: MCUs between restart markers at the first scan; 0 for none.
        color: "grey", "YCbCr", "RGB", "CMYK", "YCCK" or "unknown", by libjpeg's rules.
        orientation: EXIF orientation, 1 to 8; 1 where the file has none.
    """

    height: int
    width: int
    precision: int
    process: str
    components: tuple[Component, ...]
    restart_interval: int
    color: str
    orientation: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """(height, width) in pixels of the image that is turned upright, as `orientation` asks."""
        turned = Upright.of(self.orientation).transpose
        return (self.width, self.height) if turned else (self.height, self.width)

    def __repr__(self) -> str:
        turned = f", EXIF orientation {self.orientation}" if self.orientation != 1 else ""
        return f"<Header of {self.description}, {self.precision} bits per sample{turned}>"

    @property
    def grey_level(self) -> float:
        """What a dequantized coefficient is multiplied by, so that tensors have the grey levels of 8-bit images.

        It is 1, or 1/16 for the 12-bit images.
        """
        return float(2.0 ** (8 - self.precision))

    @property
    def description(self) -> str:
        """Size and kind in a few words: "a baseline YCbCr image of height 375 x width 500"."""
        article = "an" if self.process[0] in "ae" else "a"
        return f"{article} {self.process} {self.color} image of height {self.height} x width {self.width}"


def read_header(data: Source) -> Header:
    """Read a JPEG's markers up to its first scan, without decoding image data.

    Args:
        data: one JPEG file: any contiguous bytes (not copied), or a path (only its beginning is read).

    Returns:
        The frame header, the kind of colour and the orientation.

    Raises:
        MalformedJpegError: the data are not a JPEG, or a segment before the first scan breaks T.81.
        TruncatedJpegError: the data end before the first scan.
        UnsupportedJpegError: the file is hierarchical, lossless arithmetic or JPEG-LS.
        OSError: the path cannot be read.

    >>> read_header(gray_16x8).width
    16
    """
    return _native.read_header(data)
