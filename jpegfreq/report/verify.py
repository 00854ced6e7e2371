"""Is it exact on these files? Every coefficient against other readers, and the inverse DCT against decoded planes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jpegfreq._dct import dct_matrix
from jpegfreq._words import counted
from jpegfreq.coefficients import Coefficients, read_coefficients
from jpegfreq.errors import JpegError
from jpegfreq.failures import message_of
from jpegfreq.report.facts import component_names
from jpegfreq.report.readers import CoefficientReader, NotReadError, PlaneReader
from jpegfreq.structure import read_structure

if TYPE_CHECKING:
    from jpegfreq.report.sampling import Files

__all__ = ["Entry", "Verification", "verify"]

JPEGFREQ = "jpegfreq"
_LEVELS = 1  # by which a decoded sample may differ: a decoder computes in whole numbers


@dataclass(frozen=True)
class Entry:
    """Something to report of one file and one reader.

    Attributes:
        file: the file's name.
        reader: the reader's.
        message: which component and block differ, or why the file was not read.
    """

    file: str
    reader: str
    message: str


@dataclass
class Verification:
    """What was compared; each file is counted once for each reader.

    Attributes:
        files: how many files there were.
        readers: the readers' names.
        equal: how many files each reader reads as jpegfreq does, by its name.
        different: the files that a reader reads otherwise.
        not_read: the files that a reader does not read, jpegfreq among them.
    """

    files: int = 0
    readers: tuple[str, ...] = ()
    equal: dict[str, int] = field(default_factory=dict)
    different: list[Entry] = field(default_factory=list)
    not_read: list[Entry] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Whether jpegfreq read every file, and no reader that read it found anything else."""
        return not self.different and not any(entry.reader == JPEGFREQ for entry in self.not_read)

    def count(self, reader: str) -> tuple[int, int, int]:
        """Return how many files are equal, different and not read, for one reader."""
        different = sum(entry.reader == reader for entry in self.different)
        return self.equal.get(reader, 0), different, sum(entry.reader == reader for entry in self.not_read)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""

        def entries(found: Sequence[Entry]) -> list[dict[str, str]]:
            return [{"file": each.file, "reader": each.reader, "message": each.message} for each in found]

        counts = {
            name: dict(zip(("equal", "different", "not_read"), self.count(name), strict=True)) for name in self.readers
        }
        return {
            "files": self.files,
            "exact": self.is_exact,
            "readers": counts,
            "different": entries(self.different),
            "not_read": entries(self.not_read),
        }


def verify(
    files: Files,
    indices: Sequence[int],
    readers: Sequence[CoefficientReader],
    planes: PlaneReader | None,
    progress: Callable[[int, int], None] = lambda count, size_bytes: None,
) -> Verification:
    """Compare what jpegfreq reads with what others read.

    Every quantized coefficient and, where the reader gives them, every quantization table must be equal. The inverse
    DCT of the dequantized coefficients, in floating point, must not differ by more than one level from the planes that
    a decoder makes in whole numbers.

    Args:
        files: the files.
        indices: which of them to compare.
        readers: the readers of coefficients.
        planes: the reader of decoded planes; None for none.
        progress: is told how many more files, and how many bytes, are done.
    """
    names = (JPEGFREQ, *(reader.name for reader in readers), *([planes.name] if planes else []))
    found = Verification(files=len(indices), readers=names)
    for index in indices:
        name, data = files.name(index), b""
        try:
            data = files.read(index)
            coefficients = read_coefficients(data)
        except (JpegError, OSError, MemoryError) as error:
            found.not_read.append(Entry(name, JPEGFREQ, message_of(error)))
            _others_alone(found, name, data, readers)
        else:
            found.equal[JPEGFREQ] = found.equal.get(JPEGFREQ, 0) + 1
            for reader in readers:
                _note(found, name, reader.name, partial(_difference, coefficients, data, reader))
            if planes is not None:
                _note(found, name, planes.name, partial(_plane_difference, coefficients, data, planes))
        progress(1, len(data))
    return found


def _note(found: Verification, file: str, reader: str, difference: Callable[[], str]) -> None:
    """Note the result of one comparison."""
    try:
        message = difference()
    except NotReadError as error:
        found.not_read.append(Entry(file, reader, str(error)))
        return
    if message:
        found.different.append(Entry(file, reader, message))
    else:
        found.equal[reader] = found.equal.get(reader, 0) + 1


def _others_alone(found: Verification, file: str, data: bytes, readers: Sequence[CoefficientReader]) -> None:
    """Note whether others read a file that jpegfreq refuses; only readers that a damaged file cannot hurt are asked."""
    for reader in readers:
        try:
            if not reader.is_separate:
                raise NotReadError("not tried, because jpegfreq refuses the file")
            reader.read(data, None)
        except NotReadError as error:
            found.not_read.append(Entry(file, reader.name, str(error)))
        else:
            found.different.append(Entry(file, reader.name, "it reads the file, and jpegfreq does not"))


def _difference(ours: Coefficients, data: bytes, reader: CoefficientReader) -> str:
    """Describe the first difference from what a reader finds; "" if there is none."""
    theirs = reader.read(data, ours.header)
    if len(theirs.planes) != len(ours.planes):
        return f"{counted(len(theirs.planes), 'component')} instead of {len(ours.planes)}"
    names = component_names(ours.header)
    for name, plane, other in zip(names, ours.planes, theirs.planes, strict=True):
        if plane.shape != other.shape:
            return f"{name}: {_blocks(other)} instead of {_blocks(plane)}"
        if not np.array_equal(plane, other):
            different = np.argwhere(plane != other)
            row, column, v, u = different[0]
            return (
                f"{name}: {counted(len(different), 'coefficient')}, first in block ({row}, {column}), frequency ({v}, "
                f"{u}): {other[row, column, v, u]} instead of {plane[row, column, v, u]}"
            )
    for name, table, expected in zip(names, theirs.tables, ours.quantization_tables, strict=False):
        if table is not None and not np.array_equal(table, expected):
            return f"{name}: another quantization table"
    return ""


def _blocks(plane: npt.NDArray[Any]) -> str:
    return f"{plane.shape[0]} x {plane.shape[1]} blocks"


def _plane_difference(ours: Coefficients, data: bytes, planes: PlaneReader) -> str:
    """Describe where a decoded plane differs by more than one level; "" if none does."""
    header = ours.header
    if header.precision != 8 or header.color not in ("grey", "YCbCr"):
        raise NotReadError("planes are compared for grey and YCbCr images of 8 bits")
    if header.process.endswith("progressive") and not _is_complete(data):
        raise NotReadError("scans are missing, and a decoder then smooths the blocks")
    theirs = planes.read(data, header)
    if len(theirs) != len(ours.planes):
        return f"{counted(len(theirs), 'plane')} instead of {len(ours.planes)}"
    names = component_names(ours.header)
    for name, plane, table, other in zip(names, ours.planes, ours.quantization_tables, theirs, strict=True):
        samples = _samples(plane, table)[: other.shape[0], : other.shape[1]]
        distance = np.abs(samples - other[: samples.shape[0], : samples.shape[1]])
        if distance.max(initial=0) > _LEVELS:
            y, x = np.unravel_index(int(distance.argmax()), distance.shape)
            return f"{name}: {distance.max():.0f} levels in block ({y // 8}, {x // 8}), more than {_LEVELS}"
    return ""


def _is_complete(data: bytes) -> bool:
    """Tell whether the scans of a progressive file give every bit of every coefficient."""
    structure = read_structure(data)
    known = np.zeros((len(structure.header.components), 64), np.bool_)
    for scan in structure.scans:
        for part in scan.components:
            known[part.index, scan.Ss : scan.Se + 1] = scan.Al == 0
    return bool(known.all())


def _samples(plane: npt.NDArray[np.int16], table: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Return the samples of a component, [8 * blocks_high, 8 * blocks_wide], rounded and limited to 0 to 255."""
    dct = dct_matrix().astype(np.float32)
    blocks = dct.T @ (plane * table.astype(np.float32)) @ dct + 128
    high, wide = plane.shape[:2]
    samples: npt.NDArray[np.float32] = (
        np.clip(np.rint(blocks), 0, 255).transpose(0, 2, 1, 3).reshape(8 * high, 8 * wide)
    )
    return samples
