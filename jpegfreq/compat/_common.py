"""What the drop-ins share: colours as libjpeg numbers them, tables by their numbers, and checked arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jpegfreq._segments import orientation_of
from jpegfreq.channels import ZIGZAG
from jpegfreq.coefficients import Coefficients
from jpegfreq.header import Component, Header
from jpegfreq.structure import read_structure

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from jpegfreq.structure import HuffmanTable, Structure

# libjpeg's J_COLOR_SPACE, by the words of `Header.color`.
_DHT, _DQT = 0xC4, 0xDB
COLORS = ("unknown", "grey", "RGB", "YCbCr", "CMYK", "YCCK")


@dataclass(frozen=True)
class Tables:
    """The quantization tables of an image.

    Attributes:
        numbers: the number of each component's table, as in the file where that is possible.
        by_number: uint16 [8, 8] each.
    """

    numbers: tuple[int, ...]
    by_number: dict[int, npt.NDArray[np.uint16]]


def tables_of(image: Coefficients) -> Tables:
    """Return an image's tables by their numbers; a table that the file redefines later gets a free number."""
    by_number: dict[int, npt.NDArray[np.uint16]] = {}
    numbers = []
    for component, table in zip(image.header.components, image.quantization_tables, strict=True):
        number = component.quantization_table_id
        if number in by_number and not np.array_equal(by_number[number], table):
            same = (n for n in sorted(by_number) if np.array_equal(by_number[n], table))
            used = {*by_number, *(c.quantization_table_id for c in image.header.components)}
            number = next(same, next(n for n in range(8) if n not in used))
        by_number[number] = table
        numbers.append(number)
    return Tables(tuple(numbers), by_number)


def unused_tables(data: bytes, structure: Structure, tables: Tables) -> dict[int, npt.NDArray[np.uint16]]:
    """Return the quantization tables that a file defines for no component, by number; the last definition counts.

    Args:
        data: the file.
        structure: of the file.
        tables: those that its components use.
    """
    found = {}
    for segment in structure.segments:
        if segment.name != "DQT":
            continue
        body = data[segment.offset_bytes + 4 : segment.offset_bytes + segment.size_bytes]
        while body:
            wide, number = divmod(body[0], 16)
            size = 129 if wide else 65
            if len(body) >= size and number not in tables.by_number:
                table = np.empty(64, np.uint16)
                table[list(ZIGZAG)] = np.frombuffer(body[1:size], ">u2" if wide else np.uint8)
                found[number] = table.reshape(8, 8)
            body = body[size:]
    return found


def first_tables(structure: Structure) -> list[dict[str, HuffmanTable]]:
    """Return the Huffman tables of a file's first scan: those of each of the four numbers, by "DC" and "AC"."""
    found: list[dict[str, HuffmanTable]] = [{} for _ in range(4)]
    for table in structure.scans[0].huffman_tables if structure.scans else ():
        found[table.identifier][table.kind] = table
    return found


def with_separate_tables(data: bytes) -> bytes:
    """Give every table a segment of its own, without those that are not used; a file of several scans stays as it is.

    libjpeg writes files in this way; `write_jpeg` puts tables together, which takes fewer bytes.
    """
    structure = read_structure(data)
    if len(structure.scans) > 1:
        return data
    used = {(table.identifier, int(table.kind == "AC")) for table in structure.scans[0].huffman_tables}
    head: list[bytes] = []
    restarts: list[bytes] = []
    huffman: list[tuple[tuple[int, int], bytes]] = []
    for segment in structure.segments:
        body = data[segment.offset_bytes + 4 : segment.offset_bytes + segment.size_bytes]
        if segment.name == "SOS":
            head += [_segment(_DHT, table) for place, table in sorted(huffman) if place in used]
            return b"".join([*head, *restarts]) + data[segment.offset_bytes :]
        if segment.name == "DHT":
            while body:
                size = 17 + sum(body[1:17])
                huffman.append(((body[0] & 15, body[0] >> 4), body[:size]))
                body = body[size:]
        elif segment.name == "DQT":
            while body:
                size = 129 if body[0] >> 4 else 65
                head.append(_segment(_DQT, body[:size]))
                body = body[size:]
        else:
            whole = data[segment.offset_bytes : segment.offset_bytes + segment.size_bytes]
            (restarts if segment.name == "DRI" else head).append(whole)
    return data


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def image_of(
    planes: Sequence[npt.NDArray[Any]],
    tables: Sequence[Any],
    *,
    table_numbers: Sequence[int],
    sampling: Sequence[tuple[int, int]],
    identifiers: Sequence[int],
    color: str,
    size: tuple[int, int],
    process: str = "baseline",
    restart_interval: int = 0,
    segments: tuple[tuple[int, bytes], ...] | None = None,
    precision: int = 8,
) -> Coefficients:
    """Make the image that a drop-in's object describes, for `write_jpeg`, which checks what is not checked here.

    Args:
        planes: whole numbers [blocks_high, blocks_wide, 8, 8], one per component.
        tables: [8, 8] whole numbers, one per component.
        table_numbers: of the components' tables in the file.
        sampling: (horizontal, vertical) factors, one pair per component.
        identifiers: of the components.
        color: as in `Header`.
        size: (height, width) in pixels.
        process: as in `Header`.
        restart_interval: in MCUs.
        segments: as in `Coefficients`.
        precision: bits per sample.

    Raises:
        ValueError: a value is out of range, or the sizes do not fit each other.
    """
    components = tuple(
        Component(identifier, horizontal, vertical, number % 4, plane.shape[0], plane.shape[1])
        for identifier, (horizontal, vertical), number, plane in zip(
            identifiers, sampling, table_numbers, planes, strict=True
        )
    )
    return Coefficients(
        Header(*size, precision, process, components, restart_interval, color, orientation_of(segments)),
        tuple(_whole(f"the coefficients of component {c}", plane, np.int16) for c, plane in enumerate(planes)),
        tuple(_whole(f"the quantization table of component {c}", table, np.uint16) for c, table in enumerate(tables)),
        segments=segments,
    )


def _whole(name: str, values: Any, kind: type[np.integer[Any]]) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" or not np.all(array == np.floor(array)):
        raise ValueError(f"{name} must be whole numbers, not {array.dtype}")
    limits = np.iinfo(kind)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise ValueError(f"{name} must be from {limits.min} to {limits.max}, not {array.min():g} to {array.max():g}")
    return np.ascontiguousarray(array, kind)
