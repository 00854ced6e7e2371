"""JPEG bytes to quantized DCT coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jpegfreq import _native
from jpegfreq._arguments import check_choice, whole_number

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from jpegfreq.errors import JpegError
    from jpegfreq.header import Header, Source

__all__ = ["DEFAULT_MAX_PIXELS", "Coefficients", "read_coefficients"]

DEFAULT_MAX_PIXELS = 178_956_970  # Pillow's limit, so that both refuse the same files
_MOST_PIXELS = 2**64 - 1  # of a native uint64


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Coefficients:
    """The quantized DCT coefficients of one image, as its file stores them.

    Attributes:
        header: the frame header.
        planes: one per component: int16 [blocks_high, blocks_wide, 8, 8], quantized, natural order [.., v, u]
            (v = vertical frequency). All planes of an image share one block of memory.
        quantization_tables: one per component: uint16 [8, 8], natural order, the one in force at its first scan.
        damages: with `damage="keep"`, the error of every damaged restart interval, in the order of the file; for a scan
            without restart intervals, the error that ends it. The blocks that were lost are zero. At most 256 errors:
            if there are more, the last one says how many.
    """

    header: Header
    planes: tuple[npt.NDArray[np.int16], ...]
    quantization_tables: tuple[npt.NDArray[np.uint16], ...]
    damages: tuple[JpegError, ...] = ()

    @property
    def damage(self) -> JpegError | None:
        """The first of `damages`, or None if the file is undamaged."""
        return self.damages[0] if self.damages else None

    def __repr__(self) -> str:
        shapes = ", ".join(f"{plane.shape[0]} x {plane.shape[1]}" for plane in self.planes)
        damage = "" if self.damage is None else f"; damage: {self.damage}"
        return f"<Coefficients of {self.header.description}: planes of {shapes} blocks{damage}>"


def read_coefficients(
    data: Source,
    *,
    damage: Literal["raise", "keep"] = "raise",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Coefficients:
    """Entropy-decode a JPEG into its quantized DCT coefficients (T.81 F.2, G.2).

    It releases the GIL.

    Args:
        data: one JPEG file, from SOI to EOI: any contiguous bytes (not copied; do not write to them during the call),
            or a path.
        damage: what to do with a damaged file: "raise" its first error, or "keep" what can be decoded. Decoding then
            resumes at the next restart marker and at the next scan; lost blocks are zero, and `.damages` lists the
            errors.
        max_pixels: the most pixels an image may have; a larger one is refused before anything is allocated.

    Returns:
        Planes of int16 [blocks_high, blocks_wide, 8, 8], rows = vertical frequency.

    Raises:
        MalformedJpegError: the data break a rule of T.81.
        TruncatedJpegError: the data end before the image does.
        UnsupportedJpegError: the file is lossless, hierarchical or JPEG-LS, or has more than `max_pixels` pixels.
        OSError: the path cannot be read.
        MemoryError: there is no room for the planes.

    >>> read_coefficients(gray_16x8).planes[0].shape
    (1, 2, 8, 8)
    """
    return _native.read_coefficients(data, _keep_damage(damage), _pixel_limit(max_pixels))


def _keep_damage(damage: str) -> bool:
    check_choice("damage", damage, ("raise", "keep"))
    return damage == "keep"


def _pixel_limit(max_pixels: int) -> int:
    return whole_number("max_pixels", max_pixels, least=1, most=_MOST_PIXELS)
