"""Arithmetic coding for tests/writer.py (T.81 D.1, F.1.4, G.1.3).

The interval's base is one integer of any length, so that no carry has to be resolved as in D.1.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.reference import PROBABILITIES

if TYPE_CHECKING:
    from tests.writer import WrittenScan


class ArithmeticInterval:
    """One restart interval of one scan."""

    def __init__(self, scan: WrittenScan, progressive: bool, conditioning: dict[tuple[int, int], int]) -> None:
        self.scan = scan
        self.progressive = progressive
        self.conditioning = conditioning
        self.base, self.size, self.shifts = 0, 0x10000, 0  # C, A, and how often both were doubled
        self.index: dict[tuple[int, int, int], int] = {}  # (class, table, statistic) -> Index(S)
        self.mps: dict[tuple[int, int, int], int] = {}
        self.prediction = [0] * len(scan.components)
        self.context = [0] * len(scan.components)

    def code(self, s: tuple[int, int, int], bit: int) -> None:
        """Code_1(S), Code_0(S) (figures D.1 to D.7)."""
        mps = self.mps.get(s, 0)
        qe, next_lps, next_mps, switch = PROBABILITIES[self.index.get(s, 0)]
        self.size -= qe
        likely = bit == mps
        if likely and self.size >= 0x8000:
            return
        if likely == (self.size < qe):  # the upper part, of size Qe: that of the LPS, or exchanged
            self.base += self.size
            self.size = qe
        if not likely and switch:
            self.mps[s] = 1 - mps
        self.index[s] = next_mps if likely else next_lps
        while self.size < 0x8000:
            self.size <<= 1
            self.base <<= 1
            self.shifts += 1

    def code_fixed(self, bit: int) -> None:
        """A decision of fixed probability (F.1.4.4.2)."""
        s = (2, 0, 0)
        self.index[s] = self.mps[s] = 0
        self.code(s, bit)

    def finish(self) -> bytes:
        """Flush (D.1.8): the number of the interval that has the most zeros at its end; they are left out."""
        top = self.base + self.size - 1
        zeros = max(n for n in range(17) if top >> n << n >= self.base)
        length = 16 + self.shifts
        value = (top >> zeros << zeros) << (-length % 8)
        data = value.to_bytes((length + 7) // 8, "big").rstrip(b"\0")
        return data.replace(b"\xff", b"\xff\0")

    def block(self, block: list[int], j: int) -> None:
        scan = self.scan
        if not self.progressive:
            self.dc(block[0], j)
            self.ac(block, j, 1)
        elif scan.Ss == 0 and scan.Ah == 0:
            self.dc(block[0] >> scan.Al, j)
        elif scan.Ss == 0:
            self.code_fixed(block[0] >> scan.Al & 1)
        elif scan.Ah == 0:
            self.ac(block, j, scan.Ss)
        else:
            self.refine(block, j)

    def magnitude(self, table: tuple[int, int], first: int, x2: int, size: int) -> None:
        """Encode_log2_Sz and Encode_Sz_bits (figures F.9, F.10) of Sz >= 1, from the decision X1 on."""
        s, m = first, 2
        while size >= m:
            self.code((*table, s), 1)
            s = x2 if m == 2 else s + 1
            m <<= 1
        self.code((*table, s), 0)
        for bit in range(m.bit_length() - 3, -1, -1):
            self.code((*table, s + 14), size >> bit & 1)

    def dc(self, value: int, j: int) -> None:
        """F.1.4.1."""
        table = (0, self.scan.dc_tables[j])
        difference, self.prediction[j] = value - self.prediction[j], value
        s0 = self.context[j]
        self.code((*table, s0), int(difference != 0))
        if difference:
            negative = difference < 0
            self.code((*table, s0 + 1), int(negative))
            size = abs(difference) - 1
            self.code((*table, s0 + 2 + negative), int(size > 0))
            if size:
                self.magnitude(table, 20, 21, size)
        bounds = self.conditioning.get(table, 0x10)
        lower, upper = bounds & 15, bounds >> 4
        if abs(difference) <= (1 << lower) >> 1:
            self.context[j] = 0
        elif abs(difference) <= 1 << upper:
            self.context[j] = 4 if difference > 0 else 8
        else:
            self.context[j] = 12 if difference > 0 else 16

    def ac(self, block: list[int], j: int, first: int) -> None:
        """F.1.4.2."""
        scan, table = self.scan, (1, self.scan.ac_tables[j])
        values = [0] * first + [abs(v) >> scan.Al for v in block[first : scan.Se + 1]]
        end = max((k for k, v in enumerate(values) if v), default=0) + 1
        k = first
        while k <= scan.Se:
            self.code((*table, 3 * (k - 1)), int(k >= end))
            if k >= end:
                return
            while values[k] == 0:
                self.code((*table, 3 * (k - 1) + 1), 0)
                k += 1
            self.code((*table, 3 * (k - 1) + 1), 1)
            self.code_fixed(int(block[k] < 0))
            size = values[k] - 1
            s = 3 * (k - 1) + 2
            self.code((*table, s), int(size > 0))
            if size:
                self.magnitude(table, s, 189 if k <= self.conditioning.get(table, 5) else 217, size)
            k += 1

    def refine(self, block: list[int], j: int) -> None:
        """G.1.3.3."""
        scan, table = self.scan, (1, self.scan.ac_tables[j])
        values = [abs(v) >> scan.Al for v in block]
        band = range(scan.Ss, scan.Se + 1)
        end = max((k for k in band if values[k]), default=0) + 1
        end_before = max((k for k in band if values[k] > 1), default=0)
        k = scan.Ss
        while k <= scan.Se:
            if k > end_before:
                self.code((*table, 3 * (k - 1)), int(k >= end))
                if k >= end:
                    return
            while values[k] == 0:
                self.code((*table, 3 * (k - 1) + 1), 0)
                k += 1
            if values[k] > 1:
                self.code((*table, 3 * (k - 1) + 2), values[k] & 1)
            else:
                self.code((*table, 3 * (k - 1) + 1), 1)
                self.code_fixed(int(block[k] < 0))
            k += 1
