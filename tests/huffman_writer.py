"""Huffman coding for tests/writer.py (T.81 F.1, G.1): from blocks to tokens, to tables of any shape, to bits."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.writer import WrittenScan

Key = tuple[int, int]  # (Tc, Th): class and number of a Huffman table
Token = tuple[Key | None, int, int]  # (table, symbol, 0), or (None, bits, how many)


def magnitude_bits(value: int) -> tuple[int, int]:
    """Return (SSSS, the SSSS bits after the code) (F.1.2.1)."""
    size = abs(value).bit_length()
    return size, value if value >= 0 else value + (1 << size) - 1


class HuffmanInterval:
    """The tokens of one restart interval of one scan."""

    def __init__(self, scan: WrittenScan, progressive: bool, rng: random.Random) -> None:
        self.scan = scan
        self.progressive = progressive
        self.rng = rng
        self.tokens: list[Token] = []
        self.prediction = [0] * len(scan.components)
        self.eob_run = 0
        self.pending: list[int] = []  # correction bits of the blocks in the run

    def finish(self) -> list[Token]:
        self.flush_eob_run(0)
        return self.tokens

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
        if run > 15 and self.rng.random() < 0.1:  # ZRL before the block's end is wasteful but legal
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
        if self.eob_run == 0x7FFF or self.rng.random() < 0.05:  # an encoder may end a run anywhere
            self.flush_eob_run(j)

    def flush_eob_run(self, j: int) -> None:
        if self.eob_run:
            size = self.eob_run.bit_length() - 1
            self.symbol(1, j, size << 4)
            self.bits(self.eob_run - (1 << size), size)
            self.correct(self.pending)
            self.eob_run = 0


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
    """Make a table with `symbols`, and others below `limit`, in a tree of random shape."""
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
    """Make the parameters of a DHT segment (B.2.4.2)."""
    return b"".join(bytes([key[0] << 4 | key[1], *t.counts, *t.values]) for key, t in tables.items())


def codes_of(tables: dict[Key, HuffmanTable]) -> dict[Key, dict[int, str]]:
    return {key: table.codes() for key, table in tables.items()}


def symbols_used(intervals: list[list[Token]]) -> dict[Key, set[int]]:
    """Collect the symbols that a scan's tokens use from each table."""
    symbols: dict[Key, set[int]] = {}
    for key, symbol, _ in (token for interval in intervals for token in interval):
        if key is not None:
            symbols.setdefault(key, set()).add(symbol)
    return symbols


def pack(tokens: list[Token], codes: dict[Key, dict[int, str]]) -> bytes:
    """Pack bits into bytes, padded with ones (F.1.2.3) and with FF stuffed (B.1.1.5)."""
    bits = "".join(f"{value:0{count}b}" if key is None else codes[key][value] for key, value, count in tokens)
    bits += "1" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
