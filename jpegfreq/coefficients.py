"""JPEG bytes to quantized DCT coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jpegfreq import _native
from jpegfreq._arguments import check_choice, check_flag, given, pixel_size, whole_number
from jpegfreq.header import Component, Header

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from jpegfreq.errors import JpegError
    from jpegfreq.header import Source

__all__ = ["DEFAULT_MAX_PIXELS", "Coefficients", "read_coefficients"]

DEFAULT_MAX_PIXELS = 178_956_970  # Pillow's limit, so that both refuse the same files
_MOST_PIXELS = 2**64 - 1  # of a native uint64
_MOST_SIDE = 65535  # that a frame header can tell (T.81 B.2.2)
# How many components each colour has.
COMPONENTS = {"grey": 1, "YCbCr": 3, "RGB": 3, "CMYK": 4, "YCCK": 4, "unknown": 2}


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
        segments: with `segments=True`, the APPn and COM segments of the file (EXIF, ICC profile, XMP, JFIF, Adobe,
            comments), in its order: the second byte of the marker, and what follows the length field. Otherwise None.
    """

    header: Header
    planes: tuple[npt.NDArray[np.int16], ...]
    quantization_tables: tuple[npt.NDArray[np.uint16], ...]
    damages: tuple[JpegError, ...] = ()
    segments: tuple[tuple[int, bytes], ...] | None = None

    @classmethod
    def from_planes(
        cls,
        planes: Sequence[npt.NDArray[Any]],
        quantization_tables: Sequence[npt.ArrayLike],
        *,
        sampling: Sequence[tuple[int, int]],
        color: Literal["grey", "YCbCr", "RGB", "CMYK", "YCCK", "unknown"],
        size: tuple[int, int] | None = None,
        precision: int = 8,
        orientation: int = 1,
    ) -> Coefficients:
        """Make the Coefficients of an image from arrays, for `write_jpeg` and everything else that takes Coefficients.

        Args:
            planes: one per component: whole numbers [blocks_high, blocks_wide, 8, 8], quantized, natural order.
            quantization_tables: one per component: [8, 8] whole numbers from 1 to 65535, natural order.
            sampling: (horizontal, vertical) sampling factors of each component, 1 to 4; 4:2:0 is
                ((2, 2), (1, 1), (1, 1)).
            color: what the components are: one for "grey", three for "YCbCr" and "RGB", four for "CMYK" and "YCCK",
                two for "unknown".
            size: (height, width) of the image in pixels; None for all samples of the blocks of the component with the
                largest factors.
            precision: bits per sample, 8 or 12.
            orientation: EXIF orientation, 1 to 8.

        Returns:
            Coefficients whose planes are int16. An int16 plane in one piece of memory is not copied. The process is
            "baseline", or "extended" for 12 bits or for a table with steps over 255.

        Raises:
            TypeError: an argument has the wrong type.
            ValueError: shapes, factors, colour and size do not fit each other, or a value is out of range; the message
                names the component, and the block and frequency of a coefficient.

        >>> Coefficients.from_planes(
        ...     [np.zeros((1, 2, 8, 8), np.int16)], [np.ones((8, 8))], sampling=[(1, 1)], color="grey"
        ... )
        <Coefficients of a baseline grey image of height 8 x width 16: planes of 1 x 2 blocks>
        """
        check_choice("color", color, COMPONENTS)
        if precision not in (8, 12):
            raise ValueError(f"precision must be 8 or 12 bits per sample, not {precision!r}")
        orientation = whole_number("orientation", orientation, least=1, most=8)
        count = COMPONENTS[color]
        for name, values in (("planes", planes), ("quantization_tables", quantization_tables), ("sampling", sampling)):
            if len(values) != count:
                raise ValueError(f"{name} must have {count} entries, one per component of {color}, not {len(values)}")
        factors = [_factors(c, pair) for c, pair in enumerate(sampling)]
        checked_planes = tuple(_checked_plane(c, plane, precision) for c, plane in enumerate(planes))
        tables = tuple(_checked_table(c, table) for c, table in enumerate(quantization_tables))
        height, width = _size_of_planes(checked_planes, factors) if size is None else pixel_size("size", size)
        if max(height, width) > _MOST_SIDE:
            raise ValueError(f"a JPEG has at most {_MOST_SIDE} x {_MOST_SIDE} pixels, not {height} x {width}")
        table_numbers = [min(i for i in range(count) if np.array_equal(tables[i], table)) for table in tables]
        identifiers = b"RGB" if color == "RGB" else range(1, count + 1)
        components = []
        for c, (horizontal, vertical) in enumerate(factors):
            high = _block_count(height, vertical, max(v for _, v in factors))
            wide = _block_count(width, horizontal, max(h for h, _ in factors))
            blocks = checked_planes[c].shape[:2]
            if blocks != (high, wide):
                raise ValueError(
                    f"planes[{c}] has {blocks[0]} x {blocks[1]} blocks, but a size of {height} x {width} and these "
                    f"sampling factors need {high} x {wide}"
                )
            components.append(Component(identifiers[c], horizontal, vertical, table_numbers[c], high, wide))
        extended = precision == 12 or any(int(table.max()) > 255 for table in tables)
        process = "extended" if extended else "baseline"
        header = Header(height, width, int(precision), process, tuple(components), 0, color, orientation)
        return cls(header, checked_planes, tables)

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
    segments: bool = False,
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
        segments: also return the APPn and COM segments, in `.segments`, so that `write_jpeg` can keep them.

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
    return _native.read_coefficients(
        data, _keep_damage(damage), _pixel_limit(max_pixels), check_flag("segments", segments)
    )


def _keep_damage(damage: str) -> bool:
    check_choice("damage", damage, ("raise", "keep"))
    return damage == "keep"


def _pixel_limit(max_pixels: int) -> int:
    return whole_number("max_pixels", max_pixels, least=1, most=_MOST_PIXELS)


def _block_count(size: int, factor: int, most: int) -> int:
    """Return how many blocks cover a side of the image (T.81 A.1.1)."""
    return -(-size * factor // (8 * most))


def _factors(component: int, pair: Any) -> tuple[int, int]:
    try:
        horizontal, vertical = pair
    except (TypeError, ValueError):
        raise TypeError(f"sampling[{component}] must be (horizontal, vertical), not {given(pair)}") from None
    name = f"sampling[{component}]"
    return whole_number(name, horizontal, least=1, most=4), whole_number(name, vertical, least=1, most=4)


def _size_of_planes(planes: tuple[npt.NDArray[np.int16], ...], factors: list[tuple[int, int]]) -> tuple[int, int]:
    highest = max(range(len(planes)), key=lambda c: factors[c][1])
    widest = max(range(len(planes)), key=lambda c: factors[c][0])
    height, width = 8 * planes[highest].shape[0], 8 * planes[widest].shape[1]
    if min(height, width) < 1:
        raise ValueError(f"the planes hold no blocks: {height} x {width} pixels")
    return height, width


def _checked_plane(component: int, plane: Any, precision: int) -> npt.NDArray[np.int16]:
    name = f"planes[{component}]"
    if not isinstance(plane, np.ndarray) or plane.dtype.kind not in "iu":
        raise TypeError(f"{name} must be a NumPy array of whole numbers, not {_kind(plane)}")
    if plane.ndim != 4 or plane.shape[2:] != (8, 8):
        raise ValueError(f"{name} must have the shape [blocks_high, blocks_wide, 8, 8], not {plane.shape}")
    most = 1023 if precision == 8 else 16383  # T.81 F.1.2.1.1, F.1.2.2.1: 10 and 14 bits
    outside = (plane > most) | (plane < -most)
    outside[:, :, 0, 0] &= plane[:, :, 0, 0] != -most - 1
    if outside.any():
        row, column, v, u = (int(n) for n in np.argwhere(outside)[0])
        least = -most - (v == u == 0)
        raise ValueError(
            f"{name}: the coefficient of block ({row}, {column}), frequency (v={v}, u={u}) must be from {least} to "
            f"{most} for {precision} bits per sample, not {plane[row, column, v, u]}"
        )
    return np.ascontiguousarray(plane, np.int16)


def _checked_table(component: int, table: Any) -> npt.NDArray[np.uint16]:
    name = f"quantization_tables[{component}]"
    try:
        values = np.asarray(table)
    except ValueError:
        values = np.empty(0, object)
    if values.shape != (8, 8) or values.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be 8 x 8 whole numbers, not {_kind(values)} of shape {values.shape}")
    if not (np.isfinite(values).all() and (values == np.floor(values)).all() and values.min() >= 1):
        raise ValueError(f"{name} must hold whole numbers from 1 to 65535")
    if values.max() > 65535:
        raise ValueError(f"{name} must hold whole numbers from 1 to 65535, not {values.max()}")
    return np.ascontiguousarray(values, np.uint16)


def _kind(value: Any) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else given(value)
