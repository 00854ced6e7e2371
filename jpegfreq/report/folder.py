"""What the files of a folder are: kinds, sizes, qualities, and which of them are damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jpegfreq.batch import read_coefficients_batch
from jpegfreq.errors import JpegError
from jpegfreq.failures import Failure
from jpegfreq.header import Header, read_header
from jpegfreq.report.facts import Quality, estimated_quality
from jpegfreq.report.sampling import kind_of

if TYPE_CHECKING:
    from jpegfreq.coefficients import Coefficients
    from jpegfreq.report.sampling import Files

__all__ = ["FolderSummary", "Spread", "sum_up"]

_BATCH = 64  # files that are decoded at a time


@dataclass(frozen=True)
class Spread:
    """The spread of a number over the files.

    Attributes:
        smallest: the least.
        median: half the files have less.
        largest: the most.
    """

    smallest: float
    median: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Describe some numbers; None if there are none."""
        return cls(min(values), float(np.median(values)), max(values)) if values else None

    def to_dict(self) -> dict[str, float]:
        """Return plain values that JSON can hold."""
        return {"smallest": self.smallest, "median": self.median, "largest": self.largest}


@dataclass
class FolderSummary:
    """What was found in some files; every file counts once, in each of the counters or among the failures.

    Attributes:
        files: how many files there are.
        size_bytes: of all of them.
        kinds: how many files there are of each process, sampling (or colour) and class of size.
        qualities: how many there are of each libjpeg quality; "other tables" for those that libjpeg does not make.
        markers: how many have restart markers.
        turned: how many have an EXIF orientation that is not upright.
        twelve_bits: how many have 12 bits per sample.
        failures: the files that are damaged, are not JPEGs or cannot be decoded.
        failed: how many of those there are of each reason.
    """

    files: int = 0
    size_bytes: int = 0
    kinds: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    qualities: Counter[str] = field(default_factory=Counter)
    markers: int = 0
    turned: int = 0
    twelve_bits: int = 0
    failures: list[Failure] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list, repr=False)
    _heights: list[int] = field(default_factory=list, repr=False)
    _widths: list[int] = field(default_factory=list, repr=False)

    @property
    def failed(self) -> Counter[str]:
        """Count the failures by reason."""
        return Counter(failure.reason for failure in self.failures)

    @property
    def spreads(self) -> dict[str, Spread | None]:
        """How the files differ in bytes, height, width and megapixels."""
        pixels = [height * width / 1e6 for height, width in zip(self._heights, self._widths, strict=True)]
        values: dict[str, Sequence[float]] = {
            "bytes": self._sizes,
            "height": self._heights,
            "width": self._widths,
            "megapixels": pixels,
        }
        return {name: Spread.of(numbers) for name, numbers in values.items()}

    def count(self, part: int) -> Counter[str]:
        """Count the files by one part of their kind: 0 for the process, 1 for the sampling, 2 for the size."""
        counted: Counter[str] = Counter()
        for kind, files in self.kinds.items():
            counted[kind[part]] += files
        return counted

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "files": self.files,
            "size_bytes": self.size_bytes,
            "processes": dict(self.count(0).most_common()),
            "samplings": dict(self.count(1).most_common()),
            "sizes": dict(self.count(2).most_common()),
            "kinds": [
                {"process": process, "sampling": sampling, "size": size, "files": files}
                for (process, sampling, size), files in self.kinds.most_common()
            ],
            "qualities": dict(self.qualities.most_common()),
            "restart_markers": self.markers,
            "turned_by_exif": self.turned,
            "twelve_bits": self.twelve_bits,
            **{name: spread and spread.to_dict() for name, spread in self.spreads.items()},
            "failed": dict(self.failed.most_common()),
            "failures": [
                {"file": failure.name, "reason": failure.reason, "message": failure.message}
                for failure in self.failures
            ],
        }

    def add(self, name: str, data: bytes, header: Header, result: Coefficients | Exception, quality: str) -> None:
        """Count a file whose header could be read."""
        self.kinds[kind_of(header)] += 1
        self._heights.append(header.height)
        self._widths.append(header.width)
        self.markers += header.restart_interval > 0
        self.turned += header.orientation != 1
        self.twelve_bits += header.precision == 12
        if isinstance(result, Exception):
            self.failures.append(Failure.of(name, result, data))
        elif quality:
            self.qualities[quality] += 1


def sum_up(files: Files, progress: Callable[[int, int], None] = lambda count, size_bytes: None) -> FolderSummary:
    """Read every file whole, and count what was found.

    Args:
        files: the files.
        progress: is told how many more files, and how many bytes, are done.
    """
    summary = FolderSummary(files=len(files))
    known: dict[bytes, str] = {}
    for start in range(0, len(files), _BATCH):
        chunk = range(start, min(start + _BATCH, len(files)))
        found: list[tuple[str, bytes, Header]] = []
        size_bytes = 0
        for index in chunk:
            name, data = files.name(index), b""
            try:
                data = files.read(index)
                size_bytes += len(data)
                summary._sizes.append(len(data))
                found.append((name, data, read_header(data)))
            except (JpegError, OSError, MemoryError) as error:
                summary.failures.append(Failure.of(name, error, data))
        summary.size_bytes += size_bytes
        results = read_coefficients_batch([data for _, data, _ in found], errors="return")
        for (name, data, header), result in zip(found, results, strict=True):
            quality = "" if isinstance(result, Exception) else _quality(result, known)
            summary.add(name, data, header, result, quality)
        progress(len(chunk), size_bytes)
    return summary


def _quality(coefficients: Coefficients, known: dict[bytes, str]) -> str:
    """Name the quality of an image's tables; "" for the colours that libjpeg has no tables for."""
    if coefficients.header.color not in ("grey", "YCbCr", "YCCK"):
        return ""
    tables = coefficients.quantization_tables
    key = b"".join(table.tobytes() for table in tables)
    if key not in known:  # a folder has few different tables, and comparing one with all qualities takes milliseconds
        found: Quality = estimated_quality(tables)
        known[key] = str(found.value) if found.exact else f"other tables, near {10 * round(found.value / 10)}"
    return known[key]
