"""A small JPEG writer for files that cjpeg cannot make: any coefficients, any scan script, any valid tables.

Sequential (T.81 F.1) and progressive (G.1) files, 8 and 12 bit, Huffman or arithmetic coding. Huffman-coded scans are
first written as tokens (symbols and plain bits), then tables are made that hold the symbols used, in a shape a random
generator picks; so any shape of code tree occurs, 16-bit codes and incomplete trees included.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tests.arithmetic_writer import ArithmeticInterval
from tests.huffman_writer import (
    HuffmanInterval,
    HuffmanTable,
    Key,
    Token,
    codes_of,
    dht_body,
    pack,
    random_huffman_table,
    symbols_used,
)
from tests.reference import ZIGZAG, ceiling

Mcu = list[tuple[int, list[int]]]  # (index in the scan, block) of each of its blocks


@dataclass(frozen=True)
class WrittenComponent:
    """A component of the frame header."""

    identifier: int
    horizontal_sampling_factor: int
    vertical_sampling_factor: int
    quantization_table_id: int


@dataclass(frozen=True)
class WrittenScan:
    """A scan header and the definitions before it: restart interval, quantization tables, arithmetic conditioning."""

    components: tuple[int, ...]  # indices into the frame
    Ss: int = 0
    Se: int = 63
    Ah: int = 0
    Al: int = 0
    restart_interval: int = 0
    dc_tables: tuple[int, ...] = (0, 1, 1, 0)
    ac_tables: tuple[int, ...] = (0, 1, 1, 0)
    quantization_tables: dict[int, list[int]] = field(default_factory=dict)  # zigzag order
    conditioning: dict[Key, int] = field(default_factory=dict)  # (Tc, Tb) -> Cs (B.2.4.3)


@dataclass(frozen=True)
class WrittenImage:
    """An image to write. Planes hold whole MCUs; the padding blocks beyond the component's own are written as well."""

    sof: int  # n of SOF_n: 0, 1, 2, 9 or 10
    precision: int
    height: int
    width: int
    components: tuple[WrittenComponent, ...]
    planes: tuple[npt.NDArray[np.int64], ...]  # [rows, columns, 64] per component, zigzag order
    quantization_tables: dict[int, list[int]]  # zigzag order
    scans: tuple[WrittenScan, ...]

    @property
    def maximum_sampling(self) -> tuple[int, int]:
        """(Hmax, Vmax)."""
        return (
            max(c.horizontal_sampling_factor for c in self.components),
            max(c.vertical_sampling_factor for c in self.components),
        )

    def blocks(self, c: WrittenComponent) -> tuple[int, int]:
        """(blocks_high, blocks_wide) (A.1.1)."""
        h_max, v_max = self.maximum_sampling
        return (
            ceiling(ceiling(self.height * c.vertical_sampling_factor, v_max), 8),
            ceiling(ceiling(self.width * c.horizontal_sampling_factor, h_max), 8),
        )

    def expected_planes(self) -> list[npt.NDArray[np.int16]]:
        """The planes that a decoder must read: [blocks_high, blocks_wide, 8, 8] per component."""
        out = []
        for c, plane in zip(self.components, self.planes, strict=True):
            high, wide = self.blocks(c)
            natural = np.zeros((high, wide, 64), np.int16)
            natural[:, :, ZIGZAG] = plane[:high, :wide]
            out.append(natural.reshape(high, wide, 8, 8))
        return out

    def expected_tables(self) -> list[npt.NDArray[np.uint16]]:
        """The tables that apply at each component's first scan: [8, 8] per component."""
        tables = dict(self.quantization_tables)
        latched: dict[int, list[int]] = {}
        for scan in self.scans:
            tables.update(scan.quantization_tables)
            for i in scan.components:
                latched.setdefault(i, tables[self.components[i].quantization_table_id])
        out = []
        for i in range(len(self.components)):
            natural = np.zeros(64, np.uint16)
            natural[ZIGZAG] = latched[i]
            out.append(natural.reshape(8, 8))
        return out


def padded_shape(
    picture_height: int, picture_width: int, component: WrittenComponent, h_max: int, v_max: int
) -> tuple[int, int]:
    """Count rows and columns of blocks with complete last MCUs (A.2.4)."""
    return (
        ceiling(picture_height, 8 * v_max) * component.vertical_sampling_factor,
        ceiling(picture_width, 8 * h_max) * component.horizontal_sampling_factor,
    )


def mcus(picture: WrittenImage, scan: WrittenScan) -> Iterator[Mcu]:
    """Yield the MCUs of a scan as (index in the scan, block) (A.2)."""
    components = [(picture.components[i], picture.planes[i]) for i in scan.components]
    if len(components) == 1:
        ((component, plane),) = components
        high, wide = picture.blocks(component)
        for y in range(high):
            for x in range(wide):
                yield [(0, plane[y, x].tolist())]
        return
    h_max, v_max = picture.maximum_sampling
    for row in range(ceiling(picture.height, 8 * v_max)):
        for column in range(ceiling(picture.width, 8 * h_max)):
            mcu = []
            for j, (c, plane) in enumerate(components):
                h, v = c.horizontal_sampling_factor, c.vertical_sampling_factor
                mcu += [(j, plane[row * v + y, column * h + x].tolist()) for y in range(v) for x in range(h)]
            yield mcu


def interleave(mcus_of_scan: Iterable[Mcu], restart_interval: int) -> Iterator[list[Mcu]]:
    """Divide the MCUs of a scan into restart intervals (E.1.4)."""
    rest = list(mcus_of_scan)
    step = restart_interval or len(rest)
    return (rest[n : n + step] for n in range(0, len(rest), step))


def dqt_body(tables: dict[int, list[int]], wide: bool = False) -> bytes:
    """Make the parameters of a DQT segment (B.2.4.1); values over 255, or `wide`, take 16 bits."""
    out = b""
    for identifier, values in tables.items():
        if wide or max(values) > 255:
            out += bytes([0x10 | identifier]) + b"".join(v.to_bytes(2, "big") for v in values)
        else:
            out += bytes([identifier, *values])
    return out


def segment(marker: int, body: bytes = b"") -> bytes:
    """Make a marker segment (B.1.1.4)."""
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def frame_body(picture: WrittenImage) -> bytes:
    """Make the parameters of SOF (B.2.2)."""
    head = bytes([picture.precision]) + picture.height.to_bytes(2, "big") + picture.width.to_bytes(2, "big")
    return (
        head
        + bytes([len(picture.components)])
        + b"".join(
            bytes(
                [
                    c.identifier,
                    c.horizontal_sampling_factor << 4 | c.vertical_sampling_factor,
                    c.quantization_table_id,
                ]
            )
            for c in picture.components
        )
    )


def scan_body(picture: WrittenImage, scan: WrittenScan) -> bytes:
    """Make the parameters of SOS (B.2.3)."""
    selectors = b"".join(
        bytes([picture.components[i].identifier, scan.dc_tables[j] << 4 | scan.ac_tables[j]])
        for j, i in enumerate(scan.components)
    )
    return bytes([len(scan.components)]) + selectors + bytes([scan.Ss, scan.Se, scan.Ah << 4 | scan.Al])


def _with_restart_markers(intervals: Iterable[bytes]) -> bytes:
    return b"".join((bytes([0xFF, 0xD0 + (n - 1) % 8]) if n else b"") + data for n, data in enumerate(intervals))


def _arithmetic_scans(picture: WrittenImage) -> Iterator[tuple[bytes, bytes]]:
    """Yield the DAC segments and the data of each scan."""
    conditioning: dict[Key, int] = {}
    for scan in picture.scans:
        conditioning.update(scan.conditioning)
        data = []
        for interval in interleave(mcus(picture, scan), scan.restart_interval):
            coder = ArithmeticInterval(scan, picture.sof == 10, conditioning)
            for mcu in interval:
                for j, block in mcu:
                    coder.block(block, j)
            data.append(coder.finish())
        dac = b"".join(bytes([key[0] << 4 | key[1], value]) for key, value in scan.conditioning.items())
        yield segment(0xCC, dac) if dac else b"", _with_restart_markers(data)


def _huffman_scans(picture: WrittenImage, rng: random.Random) -> Iterator[tuple[bytes, bytes]]:
    """Yield the DHT segments and the data of each scan."""
    tokens: list[list[list[Token]]] = []
    for scan in picture.scans:
        intervals = []
        for interval in interleave(mcus(picture, scan), scan.restart_interval):
            coder = HuffmanInterval(scan, picture.sof == 2, rng)
            for mcu in interval:
                for j, block in mcu:
                    coder.block(block, j)
            intervals.append(coder.finish())
        tokens.append(intervals)
    used = [symbols_used(intervals) for intervals in tokens]
    if rng.random() < 0.3:  # one set of tables for the whole file
        union: dict[Key, set[int]] = {}
        for symbols in used:
            for key, values in symbols.items():
                union.setdefault(key, set()).update(values)
        used = [union] + [{} for _ in used[1:]]
    codes: dict[Key, dict[int, str]] = {}
    for scan, intervals, symbols in zip(picture.scans, tokens, used, strict=True):
        # A table that a scan names must be defined even where every block of it is empty.
        for j in range(len(scan.components)):
            if scan.Ss == 0 and scan.Ah == 0:
                symbols.setdefault((0, scan.dc_tables[j]), set() if (0, scan.dc_tables[j]) in codes else {0})
            if scan.Se:
                symbols.setdefault((1, scan.ac_tables[j]), set() if (1, scan.ac_tables[j]) in codes else {0})
        tables: dict[Key, HuffmanTable] = {
            key: random_huffman_table(values, 256 if key[0] else 16, rng) for key, values in symbols.items() if values
        }
        codes.update(codes_of(tables))
        if rng.random() < 0.5 and tables:
            dht = segment(0xC4, dht_body(tables))
        else:
            dht = b"".join(segment(0xC4, dht_body({key: table})) for key, table in tables.items())
        yield dht, _with_restart_markers(pack(interval, codes) for interval in intervals)


def write(picture: WrittenImage, seed: int = 0) -> bytes:
    """Write the JPEG file. `seed` decides the shapes of Huffman tables and other choices an encoder has."""
    out = [
        b"\xff\xd8",
        segment(0xDB, dqt_body(picture.quantization_tables)),
        segment(0xC0 + picture.sof, frame_body(picture)),
    ]
    coded = _arithmetic_scans(picture) if picture.sof >= 9 else _huffman_scans(picture, random.Random(seed))
    interval_in_force = 0
    for scan, (tables, data) in zip(picture.scans, coded, strict=True):
        if scan.quantization_tables:
            out.append(segment(0xDB, dqt_body(scan.quantization_tables)))
        if scan.restart_interval != interval_in_force:
            interval_in_force = scan.restart_interval
            out.append(segment(0xDD, interval_in_force.to_bytes(2, "big")))
        out += [tables, segment(0xDA, scan_body(picture, scan)), data]
    return b"".join(out) + b"\xff\xd9"
