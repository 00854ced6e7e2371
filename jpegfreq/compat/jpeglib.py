"""A drop-in for jpeglib's DCTJPEG: reading, changing and writing coefficients, tables and markers.

It is independent of libjpeg, so `version` accepts every version and changes nothing. Pixels are not decoded:
`read_spatial`, `from_spatial` and what belongs to them are missing.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jpegfreq._files import write_whole
from jpegfreq._quality import tables_of_quality
from jpegfreq.coefficients import Coefficients, read_coefficients
from jpegfreq.compat._common import COLORS, first_tables, image_of, tables_of, with_separate_tables
from jpegfreq.errors import JpegError
from jpegfreq.header import read_header
from jpegfreq.structure import HuffmanTable, Structure, read_structure
from jpegfreq.writer import write_jpeg

__all__ = [
    "DCTJPEG",
    "JCS_CMYK",
    "JCS_GRAYSCALE",
    "JCS_RGB",
    "JCS_UNKNOWN",
    "JCS_YCCK",
    "JPEG_APP0",
    "JPEG_APP1",
    "JPEG_COM",
    "Colorspace",
    "Huffman",
    "JCS_YCbCr",
    "Jab_to_factors",
    "Marker",
    "MarkerType",
    "from_dct",
    "read_dct",
    "version",
]

_QUALITY = 75  # libjpeg's default
_JFIF, _ADOBE = (0xE0, b"JFIF\0"), (0xEE, b"Adobe")
_ADOBE_TRANSFORMS = {"YCbCr": 1, "YCCK": 2}
# The table of each component, by how many components and by how many tables there are.
_TABLE_NUMBERS = {
    1: ((0,), (0,), (0,), (0,)),
    3: ((0, 0, 0), (0, 1, 1), (0, 1, 2), (0, 1, 2)),
    4: ((0, 0, 0, 0), (0, 1, 1, 1), (0, 1, 1, 2), (0, 1, 2, 3)),
}


class _Named(Enum):
    def __int__(self) -> int:
        return int(self.value)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


class Colorspace(_Named):
    """What the components are, by libjpeg's names and numbers."""

    JCS_UNKNOWN = 0
    JCS_GRAYSCALE = 1
    JCS_RGB = 2
    JCS_YCbCr = 3
    JCS_CMYK = 4
    JCS_YCCK = 5

    @property
    def channels(self) -> int:
        """How many components there are."""
        return (2, 1, 3, 3, 4, 4)[self.value]


JCS_UNKNOWN, JCS_GRAYSCALE, JCS_RGB, JCS_YCbCr, JCS_CMYK, JCS_YCCK = Colorspace


class MarkerType(_Named):
    """The markers of APPn and COM segments."""

    (
        JPEG_APP0, JPEG_APP1, JPEG_APP2, JPEG_APP3, JPEG_APP4, JPEG_APP5, JPEG_APP6, JPEG_APP7,
        JPEG_APP8, JPEG_APP9, JPEG_APP10, JPEG_APP11, JPEG_APP12, JPEG_APP13, JPEG_APP14, JPEG_APP15,
    ) = range(0xE0, 0xF0)  # fmt: skip
    JPEG_COM = 0xFE


JPEG_APP0, JPEG_APP1, JPEG_COM = MarkerType.JPEG_APP0, MarkerType.JPEG_APP1, MarkerType.JPEG_COM


@dataclass
class Marker:
    """An APPn or COM segment.

    Attributes:
        type: its MarkerType.
        length: of the content in bytes.
        content: what follows the length field.
    """

    type: MarkerType
    length: int
    content: bytes

    def __repr__(self) -> str:
        return f"<Marker {self.type} N={len(self.content)}>"

    def __len__(self) -> int:
        return self.length


@dataclass(eq=False)
class Huffman:
    """A Huffman table.

    Attributes:
        bits: int16 [17]: how many codes have each length; the first entry is 0.
        values: int16 [256]: the symbols in the order of their codes, then zeros.
    """

    bits: npt.NDArray[np.int16]
    values: npt.NDArray[np.int16]


class version:  # noqa: N801  # jpeglib's name
    """Stands in for the choice of a libjpeg: every version reads and writes the same coefficients."""

    _current = "6b"

    def __init__(self, version: str) -> None:
        """Choose a version for a `with` block."""
        self._next = version

    @classmethod
    def set(cls, version: str) -> None:
        """Remember a version."""
        cls._current = version

    @classmethod
    def get(cls) -> str:
        """Return the version that was set last."""
        return cls._current

    def __enter__(self) -> None:
        self._before = self.get()
        self.set(self._next)

    def __exit__(self, *error: object) -> None:
        self.set(self._before)


class DCTJPEG:
    """An image's coefficients, tables and markers, which can be changed and written.

    Attributes:
        path: of the file it was read from; None if it was made from arrays.
        content: the bytes of that file.
        height: pixels.
        width: pixels.
        block_dims: int32 [components, 2]: (rows, columns) of blocks.
        samp_factor: [components, 2]: (vertical, horizontal) factors; or text such as "4:2:0".
        jpeg_color_space: a Colorspace.
        num_scans: how many scans the file has.
        progressive_mode: whether it is progressive; it is written as a baseline file nevertheless, as by jpeglib.
        markers: a list of Marker; None if it was made from arrays.
        huffmans: of the first scan: for each of the four numbers, a dict with the Huffman tables "DC" and "AC".
        Y: int16 [blocks_high, blocks_wide, 8, 8]: the first component; like the others, read at its first use.
        Cb: the second component; None if there is none.
        Cr: the third.
        K: the fourth.
        qt: uint16 [tables, 8, 8]; or a quality from 1 to 100.
        quant_tbl_no: which of them each component has.
    """

    def __init__(self, path: str | None, content: bytes | None) -> None:
        """Begin with a file that is not decoded yet, or with nothing."""
        self.path, self.content = path, content
        self.height = self.width = 0
        self.block_dims: Any = None
        self.samp_factor: Any = None
        self.jpeg_color_space = JCS_UNKNOWN
        self.num_scans = 1
        self.progressive_mode: bool | None = None
        self.markers: list[Marker] | None = None
        self.huffmans: list[dict[str, Huffman]] | None = None
        self._planes: list[Any] = [None] * 4
        self._qt: Any = None
        self._quant_tbl_no: Any = None

    def __repr__(self) -> str:
        return f"<DCTJPEG {self.path}: height {self.height} x width {self.width}, {self.jpeg_color_space}>"

    def load(self) -> tuple[Any, tuple[Any, Any], Any]:
        """Decode what was not read or set yet; return Y, (Cb, Cr) and the tables.

        Raises:
            OSError: the file is damaged.
        """
        if self.content is None:
            return None, (None, None), None
        try:
            image = read_coefficients(self.content)
        except JpegError as error:
            raise OSError(f"reading of {self.path} DCT failed: {error}") from error
        self._planes = [
            plane if plane is not None or c >= len(image.planes) else image.planes[c]
            for c, plane in enumerate(self._planes)
        ]
        tables = tables_of(image)
        if self._quant_tbl_no is None:
            self._quant_tbl_no = np.array(tables.numbers)
        if self._qt is None:
            self._qt = np.zeros((max(tables.by_number) + 1, 8, 8), np.uint16)
            for number, table in tables.by_number.items():
                self._qt[number] = table
        return self.Y, (self.Cb, self.Cr), self.qt

    def _plane(self, c: int) -> Any:
        if self._planes[c] is None and c < self.num_components:
            self.load()
        return self._planes[c]

    @property
    def Y(self) -> Any:  # noqa: N802  # jpeglib's names
        """The first component."""
        return self._plane(0)

    @Y.setter
    def Y(self, plane: Any) -> None:  # noqa: N802
        self._planes[0] = plane

    @property
    def Cb(self) -> Any:  # noqa: N802
        """The second component."""
        return self._plane(1)

    @Cb.setter
    def Cb(self, plane: Any) -> None:  # noqa: N802
        self._planes[1] = plane

    @property
    def Cr(self) -> Any:  # noqa: N802
        """The third component."""
        return self._plane(2)

    @Cr.setter
    def Cr(self, plane: Any) -> None:  # noqa: N802
        self._planes[2] = plane

    @property
    def K(self) -> Any:  # noqa: N802
        """The fourth component."""
        return self._plane(3)

    @K.setter
    def K(self, plane: Any) -> None:  # noqa: N802
        self._planes[3] = plane

    @property
    def qt(self) -> Any:
        """The quantization tables."""
        if self._qt is None:
            self.load()
        return self._qt

    @qt.setter
    def qt(self, qt: Any) -> None:
        self._qt = qt

    @property
    def quant_tbl_no(self) -> Any:
        """The table of each component."""
        if self._quant_tbl_no is None:
            self.load()
        return self._quant_tbl_no

    @quant_tbl_no.setter
    def quant_tbl_no(self, numbers: Any) -> None:
        self._quant_tbl_no = numbers

    @property
    def num_components(self) -> int:
        """How many components there are."""
        return self.jpeg_color_space.channels

    @property
    def has_chrominance(self) -> bool:
        """Whether there is more than one component."""
        return self.num_components > 1

    @property
    def has_black(self) -> bool:
        """Whether there is a fourth component."""
        return self.num_components > 3

    @property
    def num_markers(self) -> int:
        """How many markers there are."""
        return len(self.markers or ())

    def height_in_blocks(self, component: int) -> int:
        """Return how many rows of blocks a component has."""
        return int(self.block_dims[component][0])

    def width_in_blocks(self, component: int) -> int:
        """Return how many columns of blocks a component has."""
        return int(self.block_dims[component][1])

    def get_component_qt(self, idx: int) -> Any:
        """Return the quantization table of a component."""
        return self.qt[self.quant_tbl_no[idx]]

    def write_dct(
        self, path: str | os.PathLike[str] | None = None, quality: int = -1, flags: Sequence[str] = ()
    ) -> None:
        """Write a baseline file with the Huffman tables of T.81 K.3, byte for byte as jpeglib with libjpeg 6b does.

        Args:
            path: the file; None for the one it was read from.
            quality: from 1 to 100, replaces the quantization tables by libjpeg's; -1 keeps them.
            flags: "+OPTIMIZE_CODING" for the Huffman tables that fit best; others change nothing.

        Raises:
            OSError: there is no path, the file cannot be written, or a value is out of range.
        """
        target = self.path if path is None else path
        if target is None:
            raise OSError("no destination file specified")
        try:
            data = write_jpeg(self._image(quality), optimize=_optimized(flags), restart_rows=0)
            write_whole(Path(target), with_separate_tables(data))
        except ValueError as error:
            raise OSError(f"writing DCT to {os.fspath(target)} failed: {error}") from error

    def _image(self, quality: int) -> Coefficients:
        planes = [self._plane(c) for c in range(self.num_components)]
        if any(plane is None for plane in planes):
            raise ValueError(f"{self.jpeg_color_space} needs {self.num_components} components, and one is None")
        color, count, qt = COLORS[self.jpeg_color_space.value], len(planes), self.qt
        if quality != -1 or qt is None or isinstance(qt, (int, np.integer)):
            wanted = quality if quality != -1 else _QUALITY if qt is None else int(qt)
            identifiers, numbers = _identifiers_and_tables(self.content, color)
            if not 0 <= wanted <= 100:
                raise ValueError(f"the quality must be from 0 to 100, not {wanted}")
            qt, numbers = tables_of_quality(max(wanted, 1)), [min(number, 1) for number in numbers]
        else:
            identifiers, numbers = range(count), [int(number) for number in self.quant_tbl_no]  # as jpeglib writes them
        factors = self.samp_factor
        if isinstance(factors, str):
            factors = Jab_to_factors([int(part) for part in factors.split(":")])
        return image_of(
            [np.asarray(plane) for plane in planes],
            [qt[number] for number in numbers[:count]],
            table_numbers=numbers[:count],
            sampling=[(int(horizontal), int(vertical)) for vertical, horizontal in np.reshape(factors, (-1, 2))],
            identifiers=identifiers[:count],
            color=color,
            size=(self.height, self.width),
            segments=self._segments(color),
        )

    def _segments(self, color: str) -> tuple[tuple[int, bytes], ...] | None:
        """Return the segments as jpeglib writes them: libjpeg's own for the colour, then all of `markers`."""
        if self.markers is None:
            return None
        kept = [(int(marker.type), bytes(marker.content)) for marker in self.markers]
        return (_color_segment(color, kept), *kept)

    def __add__(self, delta: Sequence[Any]) -> DCTJPEG:
        """Add an array to each component, in place."""
        for c in range(self.num_components):
            self._planes[c] = self._plane(c) + delta[c]
        return self

    def copy(self) -> DCTJPEG:
        """Return an independent copy."""
        return copy.deepcopy(self)

    def free(self) -> None:
        """Forget the arrays."""
        self._planes, self._qt = [None] * 4, None

    def close(self) -> None:
        """Do nothing: no file is open."""

    def __enter__(self) -> DCTJPEG:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_dct(path: str | os.PathLike[str]) -> DCTJPEG:
    """Read a JPEG file; its coefficients are decoded when they are first used.

    Raises:
        OSError: there is no such file, or it is not a JPEG.
    """
    content = Path(path).read_bytes()
    try:
        header = read_header(content)
        structure = read_structure(content, damage="keep")
    except JpegError as error:
        raise OSError(f"reading info of {os.fspath(path)} failed: {error}") from error
    image = DCTJPEG(os.fspath(path), content)
    image.height, image.width = header.height, header.width
    image.block_dims = np.array([(c.blocks_high, c.blocks_wide) for c in header.components], np.int32)
    image.samp_factor = np.array(
        [(c.vertical_sampling_factor, c.horizontal_sampling_factor) for c in header.components], np.int32
    )
    image.jpeg_color_space = Colorspace(COLORS.index(header.color))
    image.num_scans = len(structure.scans)
    image.progressive_mode = header.process.endswith("progressive")
    image.markers = list(_markers(content, structure))
    image.huffmans = [
        {kind: _huffman(table) for kind, table in sorted(slot.items())} for slot in first_tables(structure)
    ]
    return image


def from_dct(
    Y: npt.NDArray[Any],
    Cb: npt.NDArray[Any] | None = None,
    Cr: npt.NDArray[Any] | None = None,
    K: npt.NDArray[Any] | None = None,
    qt: Any = None,
    quant_tbl_no: Sequence[int] | None = None,
) -> DCTJPEG:
    """Make an image from arrays of coefficients; its size is that of Y.

    Args:
        Y: whole numbers [blocks_high, blocks_wide, 8, 8].
        Cb: the second component; with Cr, the image is YCbCr, and with K, too, YCCK.
        Cr: the third component.
        K: the fourth component.
        qt: [tables, 8, 8], a quality from 1 to 100, or None for quality 75.
        quant_tbl_no: which table each component has; None for the usual: Y has the first, Cb and Cr the second or, if
            there are three, one each.

    Raises:
        OSError: only one of Cb and Cr is given.
    """
    if (Cb is None) != (Cr is None):
        raise OSError("both Cb and Cr are needed, or none of them")
    planes = [plane for plane in (Y, Cb, Cr, K) if plane is not None]
    image = DCTJPEG(None, None)
    image.height, image.width = 8 * Y.shape[0], 8 * Y.shape[1]
    image.block_dims = np.array([plane.shape[:2] for plane in planes])
    image.samp_factor = _factors(planes)
    image.jpeg_color_space = {1: JCS_GRAYSCALE, 3: JCS_YCbCr, 4: JCS_YCCK}[len(planes)]
    image._planes = [*planes, *[None] * (4 - len(planes))]
    image.qt = qt
    if quant_tbl_no is not None:
        image.quant_tbl_no = np.asarray(quant_tbl_no)
    elif qt is not None and not isinstance(qt, (int, np.integer)):
        image.quant_tbl_no = np.array(_TABLE_NUMBERS[len(planes)][len(qt) - 1])
    return image


def Jab_to_factors(Jab: Sequence[int]) -> list[list[int]]:  # noqa: N802  # jpeglib's name
    """Return the (vertical, horizontal) factors of Y, Cb and Cr for a sampling such as (4, 2, 0).

    >>> Jab_to_factors((4, 2, 0))
    [[2, 2], [1, 1], [1, 1]]
    """
    J, a, b = Jab
    if a < 1 or J % a or b not in (a, 0):
        raise ValueError(f"no sampling is called {J}:{a}:{b}")
    return [[1 if b else 2, J // a], [1, 1], [1, 1]]


def _factors(planes: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int32]:
    """Guess the (vertical, horizontal) factors from the planes' numbers of blocks, odd ones included."""
    ratios = np.array(
        [[math.ceil(planes[0].shape[axis] / max(plane.shape[axis], 1)) for axis in (0, 1)] for plane in planes]
    )
    factors: npt.NDArray[np.int32] = (ratios.max(axis=0) // ratios).astype(np.int32)
    return factors


def _optimized(flags: Sequence[str]) -> bool:
    return any(flag.lstrip("+") == "OPTIMIZE_CODING" for flag in flags)


def _identifiers_and_tables(content: bytes | None, color: str) -> tuple[Sequence[int], Sequence[int]]:
    """Return the components' identifiers and tables' numbers: those of the file, or libjpeg's for the colour."""
    if content is not None:
        components = read_header(content).components
        return [c.identifier for c in components], [c.quantization_table_id for c in components]
    return {"RGB": b"RGB", "CMYK": b"CMYK"}.get(color, b"\1\2\3\4"), (0, 1, 1, 0) if color[:1] == "Y" else (0,) * 4


def _color_segment(color: str, kept: Sequence[tuple[int, bytes]]) -> tuple[int, bytes]:
    """Make the JFIF or Adobe segment that libjpeg writes, with the density of the file's own JFIF segment."""
    if color not in ("grey", "YCbCr"):
        return _ADOBE[0], _ADOBE[1] + bytes([0, 100, 0, 0, 0, 0, _ADOBE_TRANSFORMS.get(color, 0)])
    version, density = b"\1\1", bytes([0, 0, 1, 0, 1])
    for marker, body in kept:
        if marker == _JFIF[0] and body.startswith(_JFIF[1]) and len(body) >= 14:
            version, density = body[5:7] if body[5] == 1 else version, body[7:12]
    return _JFIF[0], _JFIF[1] + version + density + b"\0\0"


def _markers(content: bytes, structure: Structure) -> Iterator[Marker]:
    """Yield the APPn and COM segments before the first scan."""
    for segment in structure.segments:
        if segment.name == "SOS":
            return
        if segment.name == "COM" or segment.name.startswith("APP"):
            body = content[segment.offset_bytes + 4 : segment.offset_bytes + segment.size_bytes]
            yield Marker(MarkerType(content[segment.offset_bytes + 1]), len(body), body)


def _huffman(table: HuffmanTable) -> Huffman:
    values = np.zeros(256, np.int16)
    values[: len(table.values)] = list(table.values)
    return Huffman(np.array([0, *table.code_counts], np.int16), values)
