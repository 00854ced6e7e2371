"""Long sequences of names and numbers in a few objects, so that forked workers share them.

A tuple of 600,000 strings is 600,000 objects whose reference counts change whenever one is looked at, and each change
makes a worker copy a page of memory that it had shared with its parent.
"""

from __future__ import annotations

import operator
import os
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import overload

from jpegfreq._words import counted

__all__ = ["PackedNames", "pack_numbers"]

# Those of os.fsdecode, which takes longer.
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


class PackedNames(Sequence[str]):
    """A sequence of strings in one buffer; names that are not UTF-8 keep their bytes, as in `os.fsdecode`."""

    def __init__(self, names: Iterable[str]) -> None:
        """Copy the names."""
        encoded = [os.fsencode(name) for name in names]
        self._bytes = b"".join(encoded)
        self._ends = array("q", accumulate(map(len, encoded), initial=0))

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        """Return one name, or a tuple of them for a slice."""
        if isinstance(index, slice):
            return tuple(self[n] for n in range(*index.indices(len(self))))
        count, place = len(self._ends) - 1, operator.index(index)
        place += count if place < 0 else 0
        if not 0 <= place < count:
            raise IndexError(f"there are {counted(count, 'name')}, so none has the index {index}")
        return self._bytes[self._ends[place] : self._ends[place + 1]].decode(_ENCODING, _ERRORS)

    def __iter__(self) -> Iterator[str]:
        """Go through the names in order."""
        return (self[n] for n in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Compare with another sequence of names."""
        if isinstance(other, PackedNames):
            return self._bytes == other._bytes and self._ends == other._ends
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        """Hash the names."""
        return hash((self._bytes, self._ends.tobytes()))

    def __repr__(self) -> str:
        """Name the first and the last."""
        if len(self) <= 2:
            return f"PackedNames({list(self)})"
        return f"PackedNames([{self[0]!r}, ... {self[-1]!r}], {counted(len(self), 'name')})"


def pack_numbers(numbers: Iterable[int]) -> array[int]:
    """Return the numbers as one array of 64-bit integers."""
    return numbers if isinstance(numbers, array) else array("q", map(int, numbers))
