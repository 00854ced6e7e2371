"""The parts of a JPEG file: segments, scans and tables. They are for inspection; decoding does not need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jpegfreq import _native
from jpegfreq._words import counted
from jpegfreq.coefficients import _keep_damage

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.errors import JpegError
    from jpegfreq.header import Header, Source

__all__ = ["HuffmanTable", "Scan", "ScanComponent", "Segment", "Structure", "read_structure"]


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker segment (T.81 B.1.1.4).

    Attributes:
        name: "SOI", "APP0", "DQT", "SOF0", "DHT", "SOS", "EOI" and so on.
        offset_bytes: of the marker in the file.
        size_bytes: with marker and length, but without the entropy-coded data after an SOS.
    """

    name: str
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True, repr=False)
class HuffmanTable:
    """A Huffman table as a scan uses it (T.81 B.2.4.2).

    Attributes:
        kind: "DC" or "AC".
        identifier: Th, 0 to 3.
        code_counts: BITS: how many codes have length 1 to 16.
        values: HUFFVAL, in the order of the codes.
        offset_bytes: of the DHT segment; 0 for a table of K.3 that the file leaves out.
    """

    kind: Literal["DC", "AC"]
    identifier: int
    code_counts: tuple[int, ...]
    values: bytes
    offset_bytes: int

    def __repr__(self) -> str:
        return (
            f"<HuffmanTable {self.kind} {self.identifier}: {counted(len(self.values), 'code')}, at byte "
            f"{self.offset_bytes}>"
        )


@dataclass(frozen=True, slots=True)
class ScanComponent:
    """A component as a scan names it.

    Attributes:
        index: its position in `Header.components`.
        dc_table: the DC table it uses (Td).
        ac_table: the AC table it uses (Ta).
    """

    index: int
    dc_table: int
    ac_table: int


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan (T.81 B.2.3).

    Attributes:
        components: the components that the scan codes, in its order.
        Ss: first coefficient in zigzag order.
        Se: last coefficient.
        Ah: bit position of the previous scan of these coefficients, 0 for the first scan.
        Al: bit position of this scan.
        restart_interval: MCUs between restart markers; 0 for none.
        offset_bytes: of the SOS marker in the file.
        data_offset_bytes: of its entropy-coded data.
        data_size_bytes: size of that data, up to the next marker that is not an RSTn.
        huffman_tables: the tables it uses; none in an arithmetic-coded file.
    """

    components: tuple[ScanComponent, ...]
    Ss: int
    Se: int
    Ah: int
    Al: int
    restart_interval: int
    offset_bytes: int
    data_offset_bytes: int
    data_size_bytes: int
    huffman_tables: tuple[HuffmanTable, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Structure:
    """The parts of a file.

    Attributes:
        header: the frame header.
        segments: every marker segment up to EOI, except restart markers.
        scans: in the file's order.
        quantization_tables: one per component: uint16 [8, 8] in natural order, the one in force at its first scan;
            None where no scan names the component.
        damage: None, or where and why reading stopped (`damage="keep"`). Entropy-coded data are not checked.
    """

    header: Header
    segments: tuple[Segment, ...]
    scans: tuple[Scan, ...]
    quantization_tables: tuple[npt.NDArray[np.uint16] | None, ...]
    damage: JpegError | None

    def __repr__(self) -> str:
        damage = "" if self.damage is None else f"; damage: {self.damage}"
        return (
            f"<Structure of {self.header.description}: {counted(len(self.segments), 'segment')}, "
            f"{counted(len(self.scans), 'scan')}{damage}>"
        )


def read_structure(data: Source, *, damage: Literal["raise", "keep"] = "raise") -> Structure:
    """List a JPEG's segments, scans and tables without decoding it.

    Args:
        data: one JPEG file: any contiguous bytes, or a path.
        damage: "raise" an error where a segment after the first scan is at fault, or "keep" what precedes it.

    Returns:
        The parts of the file.

    Raises:
        JpegError: as for `read_header`, and for segments after the first scan.
        OSError: the path cannot be read.

    >>> [segment.name for segment in read_structure(gray_16x8).segments]
    ['SOI', 'APP0', 'DQT', 'SOF0', 'DHT', 'DHT', 'SOS', 'EOI']
    """
    header, segments, scans, tables, fault = _native.read_structure(data, _keep_damage(damage))
    return Structure(
        header=header,
        segments=tuple(Segment(_marker_name(marker), offset, size) for marker, offset, size in segments),
        scans=tuple(_scan(scan) for scan in scans),
        quantization_tables=tuple(
            np.frombuffer(tables[c], np.uint16).reshape(8, 8) if c in tables else None
            for c in range(len(header.components))
        ),
        damage=fault,
    )


def _scan(fields: tuple[Any, ...]) -> Scan:
    components, *numbers, tables = fields
    parts: list[Any] = [
        tuple(ScanComponent(*component) for component in components),
        *numbers,
        tuple(HuffmanTable(*table) for table in tables),
    ]
    return Scan(*parts)


# T.81 table B.1.
_NAMES = {
    0x01: "TEM",
    0xC4: "DHT",
    0xC8: "JPG",
    0xCC: "DAC",
    0xD8: "SOI",
    0xD9: "EOI",
    0xDA: "SOS",
    0xDB: "DQT",
    0xDC: "DNL",
    0xDD: "DRI",
    0xDE: "DHP",
    0xDF: "EXP",
    0xFE: "COM",
}


def _marker_name(marker: int) -> str:
    if marker in _NAMES:
        return _NAMES[marker]
    for first, last, name in ((0xC0, 0xCF, "SOF"), (0xE0, 0xEF, "APP"), (0xF0, 0xFD, "JPG")):
        if first <= marker <= last:
            return f"{name}{marker - first}"
    return f"RES{marker:02X}"
