"""A tiny JPEG writer: any coefficients, any scan script, any valid Huffman tables. The files cjpeg cannot make.

Huffman-coded sequential (T.81 F.1) and progressive (G.1) files, 8 and 12 bit. Scans are first written as tokens
(Huffman symbols and plain bits), then tables are made that hold the symbols used, in a shape a random generator picks;
so any shape of code tree occurs, 16-bit codes and incomplete trees included.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tests.reference import ZIGZAG, ceiling

Key = tuple[int, int]  # (Tc, Th): class and number of a Huffman table
Token = tuple[Key | None, int, int]  # (table, symbol, 0), or (None, bits, how many)


@dataclass(frozen=True)
class WrittenComponent:
    """A component of the frame header."""

    identifier: int
    horizontal_sampling_factor: int
    vertical_sampling_factor: int
    quantization_table_id: int


@dataclass(frozen=True)
class WrittenScan:
    """A scan header, the restart interval before it, and quantization tables (zigzag order) redefined before it."""

    components: tuple[int, ...]  # indices into the frame
    Ss: int = 0
    Se: int = 63
    Ah: int = 0
    Al: int = 0
    restart_interval: int = 0
    dc_tables: tuple[int, ...] = (0, 1, 1, 0)
    ac_tables: tuple[int, ...] = (0, 1, 1, 0)
    quantization_tables: dict[int, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """What is to be written. Planes hold whole MCUs: blocks beyond the component's own are padding, written too."""

    sof: int  # n of SOF_n: 0, 1 or 2
    precision: int
    height: int
    width: int
    components: tuple[WrittenComponent, ...]
    planes: tuple[npt.NDArray[np.int64], ...]  # [rows, columns, 64] a component, zigzag order
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
        """What a decoder must read: [blocks_high, blocks_wide, 8, 8] a component."""
        out = []
        for c, plane in zip(self.components, self.planes, strict=True):
            high, wide = self.blocks(c)
            natural = np.zeros((high, wide, 64), np.int16)
            natural[:, :, ZIGZAG] = plane[:high, :wide]
            out.append(natural.reshape(high, wide, 8, 8))
        return out

    def expected_tables(self) -> list[npt.NDArray[np.uint16]]:
        """[8, 8] a component: the table in force at the component's first scan."""
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


def padded_shape(picture_height: int, picture_width: int, component: WrittenComponent, h_max: int, v_max: int) -> Key:
    """Rows and columns of blocks when the last MCUs are whole (A.2.4)."""
    return (
        ceiling(picture_height, 8 * v_max) * component.vertical_sampling_factor,
        ceiling(picture_width, 8 * h_max) * component.horizontal_sampling_factor,
    )


# -------------------------------------------------------------------------------------------------- tokens


def magnitude_bits(value: int) -> tuple[int, int]:
    """(SSSS, the SSSS bits behind the code) (F.1.2.1)."""
    size = abs(value).bit_length()
    return size, value if value >= 0 else value + (1 << size) - 1


class _IntervalWriter:
    """The tokens of one restart interval of one scan."""

    def __init__(self, scan: WrittenScan, progressive: bool, rng: random.Random) -> None:
        self.scan = scan
        self.progressive = progressive
        self.rng = rng
        self.tokens: list[Token] = []
        self.prediction = [0] * len(scan.components)
        self.eob_run = 0
        self.pending: list[int] = []  # correction bits of the blocks in the run

    def symbol(self, table_class: int, j: int, symbol: int) -> None:
        table = self.scan.ac_tables[j] if table_class else self.scan.dc_tables[j]
        self.tokens.append(((table_class, table), symbol, 0))

    def bits(self, value: int, count: int) -> None:
        if count:
            self.tokens.append((None, value, count))

    def block(self, block: list[int], j: int) -> None:
        scan = self.scan
        if not self.progressive:
            self.dc(block[0], j)
            self.ac(block, j, 1, 63, 0)
        elif scan.Ss == 0:
            if scan.Ah:
                self.bits(block[0] >> scan.Al & 1, 1)
            else:
                self.dc(block[0] >> scan.Al, j)
        elif scan.Ah:
            self.refine(block, j)
        else:
            self.ac(block, j, scan.Ss, scan.Se, scan.Al)

    def dc(self, value: int, j: int) -> None:
        size, bits = magnitude_bits(value - self.prediction[j])
        self.prediction[j] = value
        self.symbol(0, j, size)
        self.bits(bits, size)

    def ac(self, block: list[int], j: int, first: int, last: int, shift: int) -> None:
        """F.1.2.2; G.1.2.2 with a band and runs of ended blocks."""
        run = 0
        for k in range(first, last + 1):
            value = abs(block[k]) >> shift
            if value == 0:
                run += 1
                continue
            self.flush_eob_run(j)
            while run > 15:
                self.symbol(1, j, 0xF0)
                run -= 16
            size, bits = magnitude_bits(value if block[k] > 0 else -value)
            self.symbol(1, j, run << 4 | size)
            self.bits(bits, size)
            run = 0
        if run > 15 and self.rng.random() < 0.1:  # ZRL before the block's end is wasteful, and legal
            self.flush_eob_run(j)
            self.symbol(1, j, 0xF0)
            run -= 16
        if run == 0:
            return
        if self.progressive:
            self.end_of_band(j, [])
        else:
            self.symbol(1, j, 0)

    def refine(self, block: list[int], j: int) -> None:
        """G.1.2.3."""
        scan, run = self.scan, 0
        corrections: list[int] = []
        values = [abs(v) >> scan.Al for v in block]
        last_new = max((k for k in range(scan.Ss, scan.Se + 1) if values[k] == 1), default=0)
        for k in range(scan.Ss, scan.Se + 1):
            if values[k] == 0:
                run += 1
                continue
            while run > 15 and k <= last_new:
                self.flush_eob_run(j)
                self.symbol(1, j, 0xF0)
                self.correct(corrections)
                run -= 16
            if values[k] > 1:
                corrections.append(values[k] & 1)
                continue
            self.flush_eob_run(j)
            self.symbol(1, j, run << 4 | 1)
            self.bits(int(block[k] > 0), 1)
            self.correct(corrections)
            run = 0
        if run or corrections:
            self.end_of_band(j, corrections)

    def correct(self, corrections: list[int]) -> None:
        for bit in corrections:
            self.bits(bit, 1)
        corrections.clear()

    def end_of_band(self, j: int, corrections: list[int]) -> None:
        self.eob_run += 1
        self.pending += corrections
        if self.eob_run == 0x7FFF or self.rng.random() < 0.05:  # an encoder may end a run where it likes
            self.flush_eob_run(j)

    def flush_eob_run(self, j: int) -> None:
        if self.eob_run:
            size = self.eob_run.bit_length() - 1
            self.symbol(1, j, size << 4)
            self.bits(self.eob_run - (1 << size), size)
            self.correct(self.pending)
            self.eob_run = 0


def _mcus(picture: Picture, scan: WrittenScan) -> Iterator[list[tuple[int, list[int]]]]:
    """The MCUs of a scan: (index in the scan, block) (A.2)."""
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


def _scan_tokens(picture: Picture, scan: WrittenScan, rng: random.Random) -> list[list[Token]]:
    """Tokens of each restart interval."""
    intervals: list[list[Token]] = []
    writer = None
    for n, mcu in enumerate(_mcus(picture, scan)):
        if writer is None or (scan.restart_interval and n % scan.restart_interval == 0):
            if writer is not None:
                writer.flush_eob_run(0)
            writer = _IntervalWriter(scan, picture.sof == 2, rng)
            intervals.append(writer.tokens)
        for j, block in mcu:
            writer.block(block, j)
    if writer is not None:
        writer.flush_eob_run(0)
    return intervals


# -------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True)
class HuffmanTable:
    """BITS and HUFFVAL (C.1)."""

    counts: tuple[int, ...]
    values: tuple[int, ...]

    def codes(self) -> dict[int, str]:
        """Symbol -> its code, as a string of bits (C.2)."""
        out, code, values = {}, 0, iter(self.values)
        for length, count in enumerate(self.counts, 1):
            for _ in range(count):
                out[next(values)] = f"{code:0{length}b}"
                code += 1
            code <<= 1
        return out


def random_huffman_table(symbols: set[int], limit: int, rng: random.Random) -> HuffmanTable:
    """A table that holds `symbols`, and others below `limit`, in a tree of random shape."""
    spare = [s for s in range(limit) if s not in symbols]
    values = [*symbols, *rng.sample(spare, min(len(spare), rng.choice([0, 0, 1, 20, 255])))]
    rng.shuffle(values)
    shape = rng.choice(["deep", "flat", "random"])
    leaves = [0]  # depths; the tree grows by splitting a leaf; one leaf, the deepest, stays free (all ones)
    while len(leaves) < len(values) + rng.choice([1, 1, 1, 2, 9]):
        open_leaves = [depth for depth in leaves if depth < 16]
        if shape == "deep":
            depth = max(open_leaves)
        elif shape == "flat":
            depth = min(open_leaves)
        else:
            depth = rng.choice(open_leaves)
        leaves.remove(depth)
        leaves += [depth + 1, depth + 1]
    leaves = sorted(leaves)[: len(values)] if rng.random() < 0.7 else sorted(sorted(leaves)[:-1])[-len(values) :]
    return HuffmanTable(tuple(leaves.count(length) for length in range(1, 17)), tuple(values))


def dht_body(tables: dict[Key, HuffmanTable]) -> bytes:
    """Parameters of a DHT segment (B.2.4.2)."""
    return b"".join(bytes([key[0] << 4 | key[1], *t.counts, *t.values]) for key, t in tables.items())


def dqt_body(tables: dict[int, list[int]], wide: bool = False) -> bytes:
    """Parameters of a DQT segment (B.2.4.1); values over 255, or `wide`, take 16 bits."""
    out = b""
    for identifier, values in tables.items():
        if wide or max(values) > 255:
            out += bytes([0x10 | identifier]) + b"".join(v.to_bytes(2, "big") for v in values)
        else:
            out += bytes([identifier, *values])
    return out


# -------------------------------------------------------------------------------------------------- the file


def segment(marker: int, body: bytes = b"") -> bytes:
    """A marker segment (B.1.1.4)."""
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def frame_body(picture: Picture) -> bytes:
    """Parameters of SOF (B.2.2)."""
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


def scan_body(picture: Picture, scan: WrittenScan) -> bytes:
    """Parameters of SOS (B.2.3)."""
    selectors = b"".join(
        bytes([picture.components[i].identifier, scan.dc_tables[j] << 4 | scan.ac_tables[j]])
        for j, i in enumerate(scan.components)
    )
    return bytes([len(scan.components)]) + selectors + bytes([scan.Ss, scan.Se, scan.Ah << 4 | scan.Al])


def _pack(tokens: list[Token], codes: dict[Key, dict[int, str]]) -> bytes:
    """Bits to bytes, padded with ones (F.1.2.3), FF stuffed (B.1.1.5)."""
    bits = "".join(f"{value:0{count}b}" if key is None else codes[key][value] for key, value, count in tokens)
    bits += "1" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")


def write(picture: Picture, seed: int = 0) -> bytes:
    """The JPEG file. `seed` picks the shapes of its tables and the encoder's liberties."""
    rng = random.Random(seed)
    tokens = [_scan_tokens(picture, scan, rng) for scan in picture.scans]
    used: list[dict[Key, set[int]]] = []
    for intervals in tokens:
        symbols: dict[Key, set[int]] = {}
        for key, symbol, _ in (token for interval in intervals for token in interval):
            if key is not None:
                symbols.setdefault(key, set()).add(symbol)
        used.append(symbols)
    shared = rng.random() < 0.3
    if shared:  # one set of tables for the whole file
        union: dict[Key, set[int]] = {}
        for symbols in used:
            for key, values in symbols.items():
                union.setdefault(key, set()).update(values)
        used = [union] + [{} for _ in used[1:]]
    out = [
        b"\xff\xd8",
        segment(0xDB, dqt_body(picture.quantization_tables)),
        segment(0xC0 + picture.sof, frame_body(picture)),
    ]
    codes: dict[Key, dict[int, str]] = {}
    interval_in_force = 0
    for scan, intervals, symbols in zip(picture.scans, tokens, used, strict=True):
        if scan.quantization_tables:
            out.append(segment(0xDB, dqt_body(scan.quantization_tables)))
        if scan.restart_interval != interval_in_force:
            interval_in_force = scan.restart_interval
            out.append(segment(0xDD, interval_in_force.to_bytes(2, "big")))
        # A table that a scan names must be defined even where every block of it is empty.
        for j in range(len(scan.components)):
            if scan.Ss == 0 and scan.Ah == 0:
                symbols.setdefault((0, scan.dc_tables[j]), {0} if (0, scan.dc_tables[j]) not in codes else set())
            if scan.Se:
                symbols.setdefault((1, scan.ac_tables[j]), {0} if (1, scan.ac_tables[j]) not in codes else set())
        tables = {
            key: random_huffman_table(values, 256 if key[0] else 16, rng) for key, values in symbols.items() if values
        }
        codes.update({key: table.codes() for key, table in tables.items()})
        if rng.random() < 0.5:
            out += [segment(0xC4, dht_body(tables))] if tables else []
        else:
            out += [segment(0xC4, dht_body({key: table})) for key, table in tables.items()]
        out.append(segment(0xDA, scan_body(picture, scan)))
        for n, interval in enumerate(intervals):
            out.append((bytes([0xFF, 0xD0 + (n - 1) % 8]) if n else b"") + _pack(interval, codes))
    return b"".join(out) + b"\xff\xd9"
