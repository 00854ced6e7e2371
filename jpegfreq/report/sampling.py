"""Which of a user's files are measured: a sample in which every common kind of file has its share."""

from __future__ import annotations

import os
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jpegfreq.failures import message_of
from jpegfreq.header import Header, read_header
from jpegfreq.report.facts import subsampling
from jpegfreq.sources.images import Images, open_images

__all__ = [
    "File",
    "Files",
    "FolderKind",
    "Scan",
    "even_sample",
    "kind_of",
    "kinds_of",
    "scan",
    "size_class",
    "spread_order",
]

# Megapixels at which another class of sizes begins.
_SIZES = (0.1, 0.5, 2, 8)


class Files:
    """The image files of several sources, as one sequence.

    Attributes:
        left_out: what the sources left out, in words, one entry per source that did.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        """Find the files of folders, .txt lists, .tar shards and single files; a source named twice counts once.

        Raises:
            FileNotFoundError: a source does not exist, or holds no JPEG file.
            OSError: a source cannot be read.
            ValueError: a source is of another kind.
        """
        self._parts: list[Images] = []
        self._starts: list[int] = []
        self._count = 0
        self.left_out: list[str] = []
        seen: set[str] = set()
        for path in paths:
            real = os.path.realpath(path)
            if real in seen:
                continue
            seen.add(real)
            named_file = os.path.isfile(path) and not os.fspath(path).endswith((".txt", ".tar"))
            images = Images([os.fspath(path)], [-1]) if named_file else open_images(path, labels=False)
            if images.left_out:
                self.left_out.append(f"left out of {os.fspath(path)}: {images.left_out}")
            self._parts.append(images)
            self._starts.append(self._count)
            self._count += len(images)

    def __len__(self) -> int:
        """Return how many files there are."""
        return self._count

    def _place(self, index: int) -> tuple[Images, int]:
        part = bisect_right(self._starts, index) - 1
        return self._parts[part], index - self._starts[part]

    def name(self, index: int) -> str:
        """Return the file's path, or its shard and member."""
        images, position = self._place(index)
        return images.name(position)

    def read(self, index: int) -> bytes:
        """Read a file.

        Raises:
            OSError: it cannot be read.
        """
        images, position = self._place(index)
        return images.read(position)

    def header(self, index: int) -> tuple[Header, int]:
        """Read a file's header, and find its size in bytes.

        Raises:
            JpegError: it is not a JPEG, or its header is damaged.
            OSError: it cannot be read.
        """
        images, position = self._place(index)
        if len(images.offsets_bytes):
            return read_header(images.read(position)), images.sizes_bytes[position]
        path = Path(images.paths[position])
        return read_header(path), path.stat().st_size


@dataclass(frozen=True)
class File:
    """A file whose header was read.

    Attributes:
        index: its position in `Files`.
        size_bytes: of the file.
        header: of the image.
    """

    index: int
    size_bytes: int
    header: Header

    @property
    def kind(self) -> tuple[str, str, str]:
        """Process, sampling and class of size, in words."""
        return kind_of(self.header)


@dataclass(frozen=True)
class Scan:
    """The files whose headers were read.

    Attributes:
        files: in the order of `Files`.
        failed: names of the files whose headers cannot be read, and why.
    """

    files: tuple[File, ...]
    failed: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FolderKind:
    """A kind of file.

    Attributes:
        process: "baseline", "progressive" ...
        sampling: "4:2:0" and so on; "grey", "CMYK", "YCCK" or "RGB" for images of other colours.
        size: class of the image's size, in megapixels.
        files: how many of the files whose headers were read are of this kind.
        share: what share of them that is.
        measured: how many of them were measured.
    """

    process: str
    sampling: str
    size: str
    files: int
    share: float
    measured: int

    @property
    def name(self) -> str:
        """The kind in words."""
        return f"{self.process}, {self.sampling}, {self.size}"


def kind_of(header: Header) -> tuple[str, str, str]:
    """Put an image's process, its sampling and its class of size in words; a colour stands for its sampling."""
    sampling = header.color if header.color in ("grey", "CMYK", "YCCK", "RGB") else subsampling(header)
    return header.process, sampling, size_class(header.height * header.width)


def size_class(pixels: int) -> str:
    """Put a number of pixels in words: "0.1 to 0.5 Mpx"."""
    megapixels = pixels / 1e6
    place = sum(megapixels >= bound for bound in _SIZES)
    if place == 0:
        return f"below {_SIZES[0]:g} Mpx"
    if place == len(_SIZES):
        return f"{_SIZES[-1]:g} Mpx or more"
    return f"{_SIZES[place - 1]:g} to {_SIZES[place]:g} Mpx"


def scan(files: Files, most: int, seed: int = 0) -> Scan:
    """Read the headers of all files, or of `most` that are drawn at random where there are more."""
    indices = range(len(files))
    chosen = indices if len(files) <= most else sorted(random.Random(seed).sample(indices, most))
    found: list[File] = []
    failed: list[tuple[str, str]] = []
    for index in chosen:
        try:
            header, size_bytes = files.header(index)
        except (ValueError, OSError, MemoryError) as error:
            failed.append((files.name(index), message_of(error)))
        else:
            found.append(File(index, size_bytes, header))
    return Scan(tuple(found), tuple(failed))


def even_sample(files: Sequence[File], count: int) -> list[File]:
    """Choose `count` files so that each kind has its share: sorted by kind, every n-th is taken; in the old order."""
    if count >= len(files):
        return list(files)
    ordered = sorted(files, key=_kind_first)
    chosen = [ordered[(2 * n + 1) * len(ordered) // (2 * count)] for n in range(count)]
    return sorted(chosen, key=lambda file: file.index)


def spread_order(files: Sequence[File]) -> list[File]:
    """Put files in an order of which every beginning has each kind in about its share."""
    ordered = sorted(files, key=_kind_first)
    digits = max(1, (len(ordered) - 1).bit_length())
    places = (int(f"{n:0{digits}b}"[::-1], 2) for n in range(1 << digits))  # 0, 1/2, 1/4, 3/4, 1/8 ... of the way
    return [ordered[place] for place in places if place < len(ordered)]


def _kind_first(file: File) -> tuple[tuple[str, str, str], int, int]:
    return file.kind, file.header.height * file.header.width, file.index


def kinds_of(files: Sequence[File], measured: Sequence[File]) -> tuple[FolderKind, ...]:
    """Count the kinds of file, the most frequent first."""
    counts = Counter(file.kind for file in files)
    taken = Counter(file.kind for file in measured)
    return tuple(
        FolderKind(*kind, files=count, share=count / len(files), measured=taken[kind])
        for kind, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
