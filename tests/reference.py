"""A slow JPEG decoder straight from ITU-T T.81: the oracle's oracle.

Bytes to quantized DCT coefficients, one bit at a time, in the order and the words of the standard. Written from the
standard's text and flow charts, not from another decoder; it is strict (anything irregular raises IrregularJpegError),
and its only aim is to be read beside T.81. Sequential (SOF0, SOF1, SOF9) and progressive (SOF2, SOF10), Huffman and
arithmetic coding, 8 and 12 bit, restart intervals, DNL, interleaved or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Block = list[int]  # 64 coefficients in zigzag order

# T.81 figure A.6: zigzag index -> 8 * v + u, walked along the anti-diagonals.
ZIGZAG = sorted(range(64), key=lambda n: (n // 8 + n % 8, n // 8 if (n // 8 + n % 8) % 2 else n % 8))

SOF_NAMES = {0: "baseline", 1: "extended", 2: "progressive", 9: "arithmetic_extended", 10: "arithmetic_progressive"}


class IrregularJpegError(ValueError):
    """The reference decoder cannot read the file to its end."""


@dataclass
class Component:
    """One component of the frame (T.81 B.2.2) and its coefficients, padded to whole MCUs while decoding."""

    identifier: int  # C_i
    horizontal_sampling_factor: int  # H_i
    vertical_sampling_factor: int  # V_i
    quantization_table_id: int  # Tq_i
    blocks_high: int = 0
    blocks_wide: int = 0
    blocks: list[list[Block]] = field(default_factory=list)
    quantization_table: list[int] | None = None  # zigzag order, as in force at the component's first scan
    precision_left: list[int | None] = field(default_factory=lambda: [None] * 64)  # Al of each coefficient so far


@dataclass
class Frame:
    """The frame header (T.81 B.2.2)."""

    sof: int  # n of SOF_n
    precision: int  # P
    height: int  # Y
    width: int  # X
    components: list[Component]

    @property
    def progressive(self) -> bool:
        return self.sof in (2, 10)

    @property
    def arithmetic(self) -> bool:
        return self.sof in (9, 10)


@dataclass
class Scan:
    """The scan header (T.81 B.2.3)."""

    components: list[Component]
    dc_tables: list[int]  # Td_j
    ac_tables: list[int]  # Ta_j
    Ss: int
    Se: int
    Ah: int
    Al: int


@dataclass(frozen=True)
class Reference:
    """What the reference decoder read."""

    width: int
    height: int
    precision: int
    process: str
    planes: tuple[npt.NDArray[np.int16], ...]  # [blocks_high, blocks_wide, 8, 8] per component, natural order
    quantization_tables: tuple[npt.NDArray[np.uint16], ...]  # [8, 8] per component
    scans: int


@dataclass
class Tables:
    """Everything that DQT, DHT, DAC and DRI define (T.81 B.2.4). Their defaults stand at SOI."""

    quantization: dict[int, list[int]] = field(default_factory=dict)
    huffman: dict[tuple[int, int], dict[tuple[int, int], int]] = field(default_factory=dict)  # (Tc, Th) -> codes
    conditioning: dict[tuple[int, int], int] = field(default_factory=dict)  # (Tc, Tb) -> Cs
    restart_interval: int = 0


def decode(data: bytes) -> Reference:
    """Decode one JPEG file (T.81 E.2, F.2, G.2)."""
    if data[:2] != b"\xff\xd8":
        raise IrregularJpegError("no SOI (B.2.1)")
    position, tables, frame, scans = 2, Tables(), None, 0
    while True:
        marker, position = next_marker(data, position)
        if marker == 0xD9:  # EOI
            break
        body, position = segment_body(data, position)
        if marker == 0xDB:
            define_quantization_tables(body, tables)
        elif marker == 0xC4:
            define_huffman_tables(body, tables)
        elif marker == 0xCC:
            define_conditioning(body, tables)
        elif marker == 0xDD:
            if len(body) != 2:
                raise IrregularJpegError("DRI: Lr is not 4 (B.2.4.4)")
            tables.restart_interval = body[0] << 8 | body[1]
        elif marker - 0xC0 in SOF_NAMES:
            if frame is not None:
                raise IrregularJpegError("a second frame (B.2.1)")
            frame = frame_header(marker - 0xC0, body)
        elif marker == 0xDA:
            if frame is None:
                raise IrregularJpegError("SOS before SOF (B.2.1)")
            scan = scan_header(body, frame)
            intervals, position = entropy_coded_segments(data, position)
            if frame.height == 0:
                frame.height = number_of_lines(data, position)
            lay_out(frame)
            latch_quantization_tables(scan, tables)
            decode_scan(frame, scan, tables, intervals)
            scans += 1
        elif marker == 0xDC:
            if scans != 1 or body != bytes([frame.height >> 8, frame.height & 255] if frame else []):
                raise IrregularJpegError("DNL not after the first scan, or of another height (B.2.5)")
        elif 0xE0 <= marker <= 0xEF or marker == 0xFE:  # APPn, COM
            pass
        else:
            raise IrregularJpegError(f"marker {marker:02X} in a file of the DCT processes (B.1.1.3)")
    if frame is None or not all(c.precision_left[0] is not None for c in frame.components):
        raise IrregularJpegError("a component of the frame that no scan codes (B.2.3)")
    return Reference(
        width=frame.width,
        height=frame.height,
        precision=frame.precision,
        process=SOF_NAMES[frame.sof],
        planes=tuple(to_plane(component) for component in frame.components),
        quantization_tables=tuple(
            natural(component.quantization_table or []).astype(np.uint16) for component in frame.components
        ),
        scans=scans,
    )


def natural(zigzag: list[int]) -> npt.NDArray[np.int64]:
    """64 values in zigzag order to [v, u]."""
    out = np.zeros(64, np.int64)
    out[ZIGZAG] = zigzag
    return out.reshape(8, 8)


def to_plane(component: Component) -> npt.NDArray[np.int16]:
    plane = np.zeros((component.blocks_high, component.blocks_wide, 64), np.int16)
    rows = [row[: component.blocks_wide] for row in component.blocks[: component.blocks_high]]
    plane[:, :, ZIGZAG] = rows
    return plane.reshape(component.blocks_high, component.blocks_wide, 8, 8)


# ---------------------------------------------------------------------------------------------- markers (T.81 B)


def next_marker(data: bytes, position: int) -> tuple[int, int]:
    """Read a marker: FF and a byte other than 00 and FF, after any number of FF (B.1.1.2)."""
    if data[position : position + 1] != b"\xff":
        raise IrregularJpegError(f"no marker at byte {position} (B.1.1.2)")
    while data[position : position + 1] == b"\xff":
        position += 1
    if position >= len(data):
        raise IrregularJpegError("the data end where a marker should be (B.2.1)")
    return data[position], position + 1


def segment_body(data: bytes, position: int) -> tuple[bytes, int]:
    """Read the parameters after a segment's two length bytes (B.1.1.4)."""
    length = int.from_bytes(data[position : position + 2], "big")
    if length < 2 or position + length > len(data):
        raise IrregularJpegError(f"segment length {length} at byte {position} (B.1.1.4)")
    return data[position + 2 : position + length], position + length


def define_quantization_tables(body: bytes, tables: Tables) -> None:
    """B.2.4.1."""
    while body:
        precision, identifier = body[0] >> 4, body[0] & 15
        size = 64 * (precision + 1)
        if precision > 1 or identifier > 3 or len(body) < 1 + size:
            raise IrregularJpegError("DQT (B.2.4.1)")
        values, body = body[1 : 1 + size], body[1 + size :]
        tables.quantization[identifier] = [
            int.from_bytes(values[i : i + precision + 1], "big") for i in range(0, size, precision + 1)
        ]


def define_huffman_tables(body: bytes, tables: Tables) -> None:
    """B.2.4.2; the codes by C.2: ascending within a length, doubled from one length to the next."""
    while body:
        table_class, identifier = body[0] >> 4, body[0] & 15
        counts = body[1:17]
        values = body[17 : 17 + sum(counts)]
        if table_class > 1 or identifier > 3 or len(counts) < 16 or len(values) < sum(counts) or len(values) > 256:
            raise IrregularJpegError("DHT (B.2.4.2)")
        body = body[17 + sum(counts) :]
        codes: dict[tuple[int, int], int] = {}
        code, next_value = 0, iter(values)
        for length in range(1, 17):
            for _ in range(counts[length - 1]):
                codes[length, code] = next(next_value)
                code += 1
            if code > 1 << length:
                raise IrregularJpegError(f"DHT: codes of length {length} overflow the tree (C.2)")
            code <<= 1
        tables.huffman[table_class, identifier] = codes


def define_conditioning(body: bytes, tables: Tables) -> None:
    """B.2.4.3."""
    if len(body) % 2:
        raise IrregularJpegError("DAC (B.2.4.3)")
    for selector, value in zip(body[::2], body[1::2], strict=True):
        table_class, identifier = selector >> 4, selector & 15
        if table_class > 1 or identifier > 3:
            raise IrregularJpegError("DAC: Tc or Tb (B.2.4.3)")
        if (value & 15) > value >> 4 if table_class == 0 else not 1 <= value <= 63:
            raise IrregularJpegError("DAC: Cs (B.2.4.3)")
        tables.conditioning[table_class, identifier] = value


def frame_header(sof: int, body: bytes) -> Frame:
    """B.2.2."""
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise IrregularJpegError("SOF: Lf is not 8 + 3 Nf (B.2.2)")
    precision, height, width, count = body[0], body[1] << 8 | body[2], body[3] << 8 | body[4], body[5]
    if precision not in ((8,) if sof == 0 else (8, 12)) or width == 0 or count == 0:
        raise IrregularJpegError("SOF: P, X or Nf (B.2.2)")
    components = [
        Component(c, hv >> 4, hv & 15, tq) for c, hv, tq in zip(body[6::3], body[7::3], body[8::3], strict=True)
    ]
    for c in components:
        if not (1 <= c.horizontal_sampling_factor <= 4 and 1 <= c.vertical_sampling_factor <= 4):
            raise IrregularJpegError("SOF: H_i, V_i are 1 to 4 (B.2.2)")
    if len({c.identifier for c in components}) != count:
        raise IrregularJpegError("SOF: C_i are distinct (B.2.2)")
    return Frame(sof, precision, height, width, components)


def scan_header(body: bytes, frame: Frame) -> Scan:
    """B.2.3, with the restrictions of G.1.1.1 on a progressive scan."""
    count = body[0] if body else 0
    if not 1 <= count <= 4 or len(body) != 4 + 2 * count:
        raise IrregularJpegError("SOS: Ls is not 6 + 2 Ns (B.2.3)")
    by_identifier = {c.identifier: c for c in frame.components}
    if any(c not in by_identifier for c in body[1 : 1 + 2 * count : 2]):
        raise IrregularJpegError("SOS: C_s is in no component of the frame (B.2.3)")
    selectors = body[2 : 2 + 2 * count : 2]
    ss, se, a = body[1 + 2 * count :]
    components = [by_identifier[c] for c in body[1 : 1 + 2 * count : 2]]
    scan = Scan(components, [s >> 4 for s in selectors], [s & 15 for s in selectors], ss, se, a >> 4, a & 15)
    order = [frame.components.index(c) for c in components]
    if order != sorted(set(order)):
        raise IrregularJpegError("SOS: components in the order of the frame (B.2.3)")
    if count > 1 and sum(c.horizontal_sampling_factor * c.vertical_sampling_factor for c in components) > 10:
        raise IrregularJpegError("SOS: more than 10 data units an MCU (B.2.3)")
    if not frame.progressive and (scan.Ss, scan.Se, scan.Ah, scan.Al) != (0, 63, 0, 0):
        raise IrregularJpegError("SOS: Ss, Se, Ah, Al of a sequential scan (B.2.3)")
    if frame.progressive:
        if not (scan.Ss == scan.Se == 0 or (1 <= scan.Ss <= scan.Se <= 63 and count == 1)) or scan.Al > 13:
            raise IrregularJpegError("SOS: Ss, Se, Al (G.1.1.1.1)")
        for c in components:
            if scan.Ss and c.precision_left[0] is None:
                raise IrregularJpegError("SOS: AC before DC (G.1.1.1.1)")
            for left in c.precision_left[scan.Ss : scan.Se + 1]:
                if (scan.Ah, scan.Al) != ((0, scan.Al) if left is None else (left, left - 1)):
                    raise IrregularJpegError("SOS: Ah, Al do not go on where the last scan left (G.1.1.1.2)")
    for c in components:
        if not frame.progressive and c.precision_left[0] is not None:
            raise IrregularJpegError("SOS: a component coded twice (B.2.3)")
        c.precision_left[scan.Ss : scan.Se + 1] = [scan.Al] * (scan.Se + 1 - scan.Ss)
    return scan


def entropy_coded_segments(data: bytes, position: int) -> tuple[list[bytes], int]:
    """Return a scan's restart intervals without byte stuffing (B.1.1.5), and the offset of the next marker."""
    intervals: list[bytes] = []
    current = bytearray()
    while position < len(data):
        byte, following = data[position], data[position + 1 : position + 2]
        if byte != 0xFF:
            current.append(byte)
            position += 1
        elif following == b"\x00":
            current.append(0xFF)
            position += 2
        elif following == b"\xff":  # a fill byte (B.1.1.2)
            position += 1
        elif following and 0xD0 <= following[0] <= 0xD7:
            if following[0] - 0xD0 != len(intervals) % 8:
                raise IrregularJpegError(f"RST{following[0] - 0xD0} is not the next restart marker (E.1.4)")
            intervals.append(bytes(current))
            current.clear()
            position += 2
        else:
            return [*intervals, bytes(current)], position
    raise IrregularJpegError("the data end inside a scan (B.2.1)")


def number_of_lines(data: bytes, position: int) -> int:
    """B.2.5: if the frame header says 0 lines, a DNL segment follows the first scan."""
    marker, position = next_marker(data, position)
    body, _ = segment_body(data, position)
    height = int.from_bytes(body, "big")
    if marker != 0xDC or len(body) != 2 or height == 0:
        raise IrregularJpegError("no lines in SOF and no DNL behind the first scan (B.2.5)")
    return height


def latch_quantization_tables(scan: Scan, tables: Tables) -> None:
    for c in scan.components:
        if c.quantization_table is None:
            if c.quantization_table_id not in tables.quantization:
                raise IrregularJpegError("SOS: no quantization table defined (B.2.4.1)")
            c.quantization_table = tables.quantization[c.quantization_table_id]


def ceiling(a: int, b: int) -> int:
    return -(-a // b)


def maximum_sampling(frame: Frame) -> tuple[int, int]:
    """(Hmax, Vmax)."""
    return (
        max(c.horizontal_sampling_factor for c in frame.components),
        max(c.vertical_sampling_factor for c in frame.components),
    )


def lay_out(frame: Frame) -> None:
    """A.1.1: size of every component; A.2.4: blocks to complete the last MCUs are decoded too."""
    h_max, v_max = maximum_sampling(frame)
    for c in frame.components:
        if not c.blocks:
            c.blocks_wide = ceiling(ceiling(frame.width * c.horizontal_sampling_factor, h_max), 8)
            c.blocks_high = ceiling(ceiling(frame.height * c.vertical_sampling_factor, v_max), 8)
            rows = ceiling(frame.height, 8 * v_max) * c.vertical_sampling_factor
            columns = ceiling(frame.width, 8 * h_max) * c.horizontal_sampling_factor
            c.blocks = [[[0] * 64 for _ in range(columns)] for _ in range(rows)]


# ------------------------------------------------------------------------------------------ scans (T.81 A.2, E.2)


def mcus_of(frame: Frame, scan: Scan) -> list[list[tuple[int, Block]]]:
    """The MCUs of a scan, each a list of (index of the component in the scan, block), in coding order (A.2)."""
    if len(scan.components) == 1:  # A.2.2: one block per MCU, without padding blocks
        (c,) = scan.components
        return [[(0, c.blocks[y][x])] for y in range(c.blocks_high) for x in range(c.blocks_wide)]
    h_max, v_max = maximum_sampling(frame)
    return [
        [
            (j, c.blocks[row * c.vertical_sampling_factor + y][column * c.horizontal_sampling_factor + x])
            for j, c in enumerate(scan.components)
            for y in range(c.vertical_sampling_factor)
            for x in range(c.horizontal_sampling_factor)
        ]
        for row in range(ceiling(frame.height, 8 * v_max))
        for column in range(ceiling(frame.width, 8 * h_max))
    ]


def decode_scan(frame: Frame, scan: Scan, tables: Tables, intervals: list[bytes]) -> None:
    """E.2.3, E.2.4: a scan is restart intervals, each decoded from a fresh state."""
    mcus = mcus_of(frame, scan)
    per_interval = tables.restart_interval or len(mcus)
    if len(intervals) != ceiling(len(mcus), per_interval):
        raise IrregularJpegError("the scan has more or fewer restart intervals than MCUs ask for (E.1.4)")
    coder: type[HuffmanInterval | ArithmeticInterval] = ArithmeticInterval if frame.arithmetic else HuffmanInterval
    for i, interval in enumerate(intervals):
        state = coder(interval, scan, tables)
        block_decoder = block_decoder_of(frame, scan, state)
        for mcu in mcus[i * per_interval : (i + 1) * per_interval]:
            for j, block in mcu:
                block_decoder(block, j)


def block_decoder_of(
    frame: Frame, scan: Scan, state: HuffmanInterval | ArithmeticInterval
) -> Callable[[Block, int], None]:
    if not frame.progressive:
        return state.sequential_block
    if scan.Ss == 0:
        return state.dc_refinement if scan.Ah else state.dc_first
    return state.ac_refinement if scan.Ah else state.ac_first


class HuffmanInterval:
    """One restart interval, Huffman-coded (F.2.2, G.2)."""

    def __init__(self, data: bytes, scan: Scan, tables: Tables) -> None:
        self.data = data
        self.bit = 0
        self.scan = scan
        self.prediction = [0] * len(scan.components)  # PRED (F.2.1.3.1)
        self.eob_run = 0  # EOBRUN (G.1.2.2)
        self.dc_codes: list[dict[tuple[int, int], int]] = []
        self.ac_codes: list[dict[tuple[int, int], int]] = []
        for td, ta in zip(scan.dc_tables, scan.ac_tables, strict=True):
            if scan.Ss == 0 and scan.Ah == 0:
                self.dc_codes.append(self.table(tables, 0, td))
            if scan.Se > 0:
                self.ac_codes.append(self.table(tables, 1, ta))

    @staticmethod
    def table(tables: Tables, table_class: int, identifier: int) -> dict[tuple[int, int], int]:
        if (table_class, identifier) not in tables.huffman:
            raise IrregularJpegError("SOS: no Huffman table defined (B.2.4.2)")
        return tables.huffman[table_class, identifier]

    def next_bit(self) -> int:
        """NEXTBIT (F.2.2.5)."""
        if self.bit >= 8 * len(self.data):
            raise IrregularJpegError("a restart interval ends before its last block (F.2.2.5)")
        bit = self.data[self.bit >> 3] >> (7 - (self.bit & 7)) & 1
        self.bit += 1
        return bit

    def receive(self, count: int) -> int:
        """RECEIVE (F.2.2.4)."""
        value = 0
        for _ in range(count):
            value = value << 1 | self.next_bit()
        return value

    def receive_extend(self, size: int) -> int:
        """EXTEND(RECEIVE(SSSS), SSSS) (F.2.2.1): values below 2^(SSSS-1) stand for the negative ones."""
        value = self.receive(size)
        return value if size == 0 or value >> (size - 1) else value - (1 << size) + 1

    def decode(self, codes: dict[tuple[int, int], int]) -> int:
        """DECODE (F.2.2.3)."""
        code = 0
        for length in range(1, 17):
            code = code << 1 | self.next_bit()
            if (length, code) in codes:
                return codes[length, code]
        raise IrregularJpegError("a code that the Huffman table does not hold (F.2.2.3)")

    def difference(self, j: int) -> int:
        size = self.decode(self.dc_codes[j])
        if size > 15:
            raise IrregularJpegError("a DC difference of more than 15 bits (F.1.2.1)")
        self.prediction[j] += self.receive_extend(size)
        return self.prediction[j]

    def sequential_block(self, block: Block, j: int) -> None:
        """F.2.2.1, F.2.2.2."""
        block[0] = self.difference(j)
        k = 1
        while k <= 63:
            run, size = divmod(self.decode(self.ac_codes[j]), 16)
            if size == 0:
                if run != 15:
                    return  # EOB
                k += 16  # ZRL
                continue
            k += run
            if k > 63:
                raise IrregularJpegError("a run beyond the block's end (F.2.2.2)")
            block[k] = self.receive_extend(size)
            k += 1

    def dc_first(self, block: Block, j: int) -> None:
        """G.1.2.1: as sequential, of values without their Al low bits."""
        block[0] = self.difference(j) << self.scan.Al

    def dc_refinement(self, block: Block, j: int) -> None:
        """G.1.2.1: one bit per block, without a code."""
        block[0] |= self.next_bit() << self.scan.Al

    def ac_first(self, block: Block, j: int) -> None:
        """G.1.2.2."""
        if self.eob_run:
            self.eob_run -= 1
            return
        k = self.scan.Ss
        while k <= self.scan.Se:
            run, size = divmod(self.decode(self.ac_codes[j]), 16)
            if size == 0 and run < 15:  # EOBn: this block and the next ones have ended
                self.eob_run = (1 << run) + self.receive(run) - 1
                return
            if size == 0:
                k += 16
                continue
            k += run
            if k > self.scan.Se:
                raise IrregularJpegError("a run beyond the band's end (G.1.2.2)")
            block[k] = self.receive_extend(size) * (1 << self.scan.Al)
            k += 1

    def ac_refinement(self, block: Block, j: int) -> None:
        """G.1.2.3: correction bits for what is non-zero, runs count what is still zero."""
        step, k = 1 << self.scan.Al, self.scan.Ss
        if self.eob_run == 0:
            while k <= self.scan.Se:
                run, size = divmod(self.decode(self.ac_codes[j]), 16)
                new = 0
                if size == 0 and run < 15:
                    self.eob_run = (1 << run) + self.receive(run)
                    break
                if size > 1:
                    raise IrregularJpegError("a newly non-zero coefficient of more than one bit (G.1.2.3)")
                if size == 1:
                    new = step if self.next_bit() else -step
                while k <= self.scan.Se and (run or block[k]):
                    if block[k]:
                        self.correct(block, k, step)
                    else:
                        run -= 1
                    k += 1
                if k > self.scan.Se:
                    if new:
                        raise IrregularJpegError("a run beyond the band's end (G.1.2.3)")
                    break
                block[k] = new  # 0 for the sixteenth zero of a ZRL
                k += 1
        if self.eob_run:
            for n in range(k, self.scan.Se + 1):
                if block[n]:
                    self.correct(block, n, step)
            self.eob_run -= 1

    def correct(self, block: Block, k: int, step: int) -> None:
        if self.next_bit():
            block[k] += step if block[k] > 0 else -step


# T.81 table D.3: Qe, Next_Index_LPS, Next_Index_MPS, Switch_MPS.
PROBABILITIES = [
    (int(qe, 16), int(lps), int(mps), int(switch))
    for qe, lps, mps, switch in re.findall(
        r"(\w{4}) (\d+) (\d+) (\d)",
        """
    5A1D 1 1 1, 2586 14 2 0, 1114 16 3 0, 080B 18 4 0, 03D8 20 5 0, 01DA 23 6 0, 00E5 25 7 0, 006F 28 8 0,
    0036 30 9 0, 001A 33 10 0, 000D 35 11 0, 0006 9 12 0, 0003 10 13 0, 0001 12 13 0, 5A7F 15 15 1, 3F25 36 16 0,
    2CF2 38 17 0, 207C 39 18 0, 17B9 40 19 0, 1182 42 20 0, 0CEF 43 21 0, 09A1 45 22 0, 072F 46 23 0, 055C 48 24 0,
    0406 49 25 0, 0303 51 26 0, 0240 52 27 0, 01B1 54 28 0, 0144 56 29 0, 00F5 57 30 0, 00B7 59 31 0, 008A 60 32 0,
    0068 62 33 0, 004E 63 34 0, 003B 32 35 0, 002C 33 9 0, 5AE1 37 37 1, 484C 64 38 0, 3A0D 65 39 0, 2EF1 67 40 0,
    261F 68 41 0, 1F33 69 42 0, 19A8 70 43 0, 1518 72 44 0, 1177 73 45 0, 0E74 74 46 0, 0BFB 75 47 0, 09F8 77 48 0,
    0861 78 49 0, 0706 79 50 0, 05CD 48 51 0, 04DE 50 52 0, 040F 50 53 0, 0363 51 54 0, 02D4 52 55 0, 025C 53 56 0,
    01F8 54 57 0, 01A4 55 58 0, 0160 56 59 0, 0125 57 60 0, 00F6 58 61 0, 00CB 59 62 0, 00AB 61 63 0, 008F 61 32 0,
    5B12 65 65 1, 4D04 80 66 0, 412C 81 67 0, 37D8 82 68 0, 2FE8 83 69 0, 293C 84 70 0, 2379 86 71 0, 1EDF 87 72 0,
    1AA9 87 73 0, 174E 72 74 0, 1424 72 75 0, 119C 74 76 0, 0F6B 74 77 0, 0D51 75 78 0, 0BB6 77 79 0, 0A40 77 48 0,
    5832 80 81 1, 4D1C 88 82 0, 438E 89 83 0, 3BDD 90 84 0, 34EE 91 85 0, 2EAE 92 86 0, 299A 93 87 0, 2516 86 71 0,
    5570 88 89 1, 4CA9 95 90 0, 44D9 96 91 0, 3E22 97 92 0, 3824 99 93 0, 32B4 99 94 0, 2E17 93 86 0, 56A8 95 96 1,
    4F46 101 97 0, 47E5 102 98 0, 41CF 103 99 0, 3C3D 104 100 0, 375E 99 93 0, 5231 105 102 0, 4C0F 106 103 0,
    4639 107 104 0, 415E 103 99 0, 5627 105 106 1, 50E7 108 107 0, 4B85 109 103 0, 5597 110 109 0, 504F 111 107 0,
    5A10 110 111 1, 5522 112 109 0, 59EB 112 111 1
    """,
    )
]


class Statistic:
    """One adaptive probability estimate: Index(S) and MPS(S) (D.1.5)."""

    def __init__(self) -> None:
        self.index = 0
        self.mps = 0


class ArithmeticInterval:
    """One restart interval, arithmetic-coded (D.2, F.2.4, G.2)."""

    def __init__(self, data: bytes, scan: Scan, tables: Tables) -> None:
        self.data = data
        self.position = 0
        self.scan = scan
        self.prediction = [0] * len(scan.components)
        self.context = [0] * len(scan.components)  # the first of the four statistics that the last difference chose
        self.bounds = [tables.conditioning.get((0, t), 0x10) for t in scan.dc_tables]  # U << 4 | L; default L 0, U 1
        self.kx = [tables.conditioning.get((1, t), 5) for t in scan.ac_tables]
        # One set of statistics per table, shared by the components that name it.
        dc_areas: dict[int, list[Statistic]] = {t: [Statistic() for _ in range(49)] for t in scan.dc_tables}
        ac_areas: dict[int, list[Statistic]] = {t: [Statistic() for _ in range(245)] for t in scan.ac_tables}
        self.dc_statistics = [dc_areas[t] for t in scan.dc_tables]
        self.ac_statistics = [ac_areas[t] for t in scan.ac_tables]
        # Initdec (figure D.22)
        self.A, self.C, self.CT = 0x10000, 0, 0
        self.byte_in()
        self.C <<= 8
        self.byte_in()
        self.C <<= 8

    def byte_in(self) -> None:
        """Figure D.19; zeros follow the last byte (D.2.6)."""
        if self.position < len(self.data):
            self.C += self.data[self.position] << 8
            self.position += 1

    def decode(self, s: Statistic) -> int:
        """Figures D.14 to D.18."""
        qe, next_lps, next_mps, switch = PROBABILITIES[s.index]
        self.A -= qe
        if self.C >> 16 < self.A:
            if self.A >= 0x8000:
                return s.mps
            more_probable = self.A >= qe
        else:
            more_probable = self.A < qe
            self.C -= self.A << 16
            self.A = qe
        if more_probable:
            decision = s.mps
            s.index = next_mps
        else:
            decision = 1 - s.mps
            if switch:
                s.mps = decision
            s.index = next_lps
        while self.A < 0x8000:
            if self.CT == 0:
                self.byte_in()
                self.CT = 8
            self.A <<= 1
            self.C <<= 1
            self.CT -= 1
        return decision

    def decode_fixed(self) -> int:
        """A decision of fixed probability 0.5: Qe = X'5A1D', MPS = 0 (F.1.4.4.2, G.1.3.1)."""
        return self.decode(Statistic())

    def magnitude(self, statistics: list[Statistic], first: int, x2: int) -> int:
        """Decode_log2_Sz and Decode_Sz_bits (figures F.23, F.24), from the decision X1 on: |V|, at least 2."""
        m, s = 2, first
        if self.decode(statistics[s]):
            m, s = 4, x2
            while self.decode(statistics[s]):
                m <<= 1
                s += 1
                if m > 0x8000:
                    raise IrregularJpegError("a value of more than 15 bits (F.1.4.4.1.3)")
        s += 14  # M_n belongs to X_n
        # Sz = |V| - 1 lies in [m / 2, m): its leading bit is known, the others follow.
        m >>= 1
        size = m
        while m > 1:
            m >>= 1
            if self.decode(statistics[s]):
                size |= m
        return size + 1

    def difference(self, j: int) -> int:
        """F.1.4.1, F.1.4.4.1."""
        statistics, s0 = self.dc_statistics[j], self.context[j]
        difference = 0
        if self.decode(statistics[s0]):
            negative = self.decode(statistics[s0 + 1])
            # Sz = 0 ends at SP or SN; X1 is 20 for DC, its next ones follow (table F.4).
            if self.decode(statistics[s0 + 3 if negative else s0 + 2]):
                difference = self.magnitude(statistics, 20, 21)
            else:
                difference = 1
            if negative:
                difference = -difference
        upper, lower = self.bounds[j] >> 4, self.bounds[j] & 15
        size = abs(difference)
        # F.1.4.4.1.2: zero up to 2^(L-1), small up to 2^U, large beyond.
        if size <= (1 << lower) >> 1:
            self.context[j] = 0
        else:
            self.context[j] = (4 if difference > 0 else 8) if size <= 1 << upper else (12 if difference > 0 else 16)
        self.prediction[j] += difference
        return self.prediction[j]

    def ac_band(self, block: Block, j: int, first: int) -> None:
        """Figure F.20, with Kmin = first (G.1.3.2 for a progressive band)."""
        statistics = self.ac_statistics[j]
        k = first
        while k <= self.scan.Se:
            if self.decode(statistics[3 * (k - 1)]):  # SE: end of block
                return
            while not self.decode(statistics[3 * (k - 1) + 1]):  # S0
                k += 1
                if k > self.scan.Se:
                    raise IrregularJpegError("zeros beyond the band's end (F.1.4.2)")
            negative = self.decode_fixed()
            s = 3 * (k - 1) + 2  # SP, SN and X1 are one (table F.5)
            value = self.magnitude(statistics, s, 189 if k <= self.kx[j] else 217) if self.decode(statistics[s]) else 1
            block[k] = (-value if negative else value) * (1 << self.scan.Al)
            k += 1

    def sequential_block(self, block: Block, j: int) -> None:
        block[0] = self.difference(j)
        self.ac_band(block, j, 1)

    def dc_first(self, block: Block, j: int) -> None:
        block[0] = self.difference(j) << self.scan.Al

    def dc_refinement(self, block: Block, j: int) -> None:
        """G.1.3.1."""
        block[0] |= self.decode_fixed() << self.scan.Al

    def ac_first(self, block: Block, j: int) -> None:
        self.ac_band(block, j, self.scan.Ss)

    def ac_refinement(self, block: Block, j: int) -> None:
        """G.1.3.3, figure G.10: no end-of-block decision up to EOBx, the last coefficient non-zero so far."""
        statistics, step, k = self.ac_statistics[j], 1 << self.scan.Al, self.scan.Ss
        eobx = max((n for n in range(self.scan.Ss, self.scan.Se + 1) if block[n]), default=0)
        while k <= self.scan.Se:
            if k > eobx and self.decode(statistics[3 * (k - 1)]):
                return
            while True:
                if block[k]:
                    if self.decode(statistics[3 * (k - 1) + 2]):  # SC
                        block[k] += step if block[k] > 0 else -step
                    break
                if self.decode(statistics[3 * (k - 1) + 1]):
                    block[k] = -step if self.decode_fixed() else step
                    break
                k += 1
                if k > self.scan.Se:
                    raise IrregularJpegError("zeros beyond the band's end (G.1.3.3)")
            k += 1
