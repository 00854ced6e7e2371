"""Training sets written again in the form whose random crops decode fastest."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jpegfreq._segments import without_further_images, without_thumbnails
from jpegfreq.batch import read_batch
from jpegfreq.coefficients import read_coefficients
from jpegfreq.crops import random_resized_crop_box
from jpegfreq.header import read_header
from jpegfreq.sources.tar import Member, read_members
from jpegfreq.sources.walk import JPEG_EXTENSIONS, LeftOut, find_files, is_hidden
from jpegfreq.store.outputs import FileOutputs
from jpegfreq.writer import write_jpeg

__all__ = ["CROP", "Parts", "crop_speed_up", "find_parts", "prepare_jpeg", "read_member", "sample_pairs"]

CROP = (224, 224)  # height x width in pixels of the crops that are timed
_BATCH = 16


@dataclass(frozen=True)
class Parts:
    """What a training set consists of; each name is that of the output, below the set's folder.

    Attributes:
        images: JPEG files.
        shards: uncompressed tar files.
        members: the JPEG files in each shard that can be replaced.
        others: all other files.
        left_out: entries that are left out.
        unreadable: the error of each shard that is damaged, by its path.
    """

    images: Mapping[str, Path]
    shards: Mapping[str, Path]
    members: Mapping[str, Sequence[Member]]
    others: Mapping[str, Path]
    left_out: LeftOut
    unreadable: Mapping[Path, ValueError | OSError]

    @property
    def image_count(self) -> int:
        """How many images there are, in files and in shards."""
        return len(self.images) + sum(map(len, self.members.values()))


def find_parts(source: Path) -> Parts:
    """Find the files of a training set: a folder, or a single tar file.

    The outputs' own descriptions are left out where the folder was made by `jpegfreq prepare` itself.

    Raises:
        OSError: a folder cannot be listed.
    """
    if source.is_dir():
        found = find_files(source, None)
        paths = {path.relative_to(source).as_posix(): path for path in map(Path, found.files)}
        own = [name for name in paths if name in FileOutputs.reserved]
        left_out = replace(found.left_out, other_files=found.left_out.other_files + len(own))
        paths = {name: path for name, path in paths.items() if name not in own}
    else:
        paths, left_out = {source.name: source}, LeftOut()
    images, shards, others = {}, {}, {}
    members: dict[str, Sequence[Member]] = {}
    unreadable: dict[Path, ValueError | OSError] = {}
    for name, path in paths.items():
        if name.endswith(".tar"):
            try:
                members[name] = [member for member in read_members(path) if _is_image(member)]
                shards[name] = path
            except (ValueError, OSError) as error:
                unreadable[path] = error
        elif name.lower().endswith(JPEG_EXTENSIONS):
            images[name] = path
        else:
            others[name] = path
    return Parts(images, shards, members, others, left_out, unreadable)


def _is_image(member: Member) -> bool:
    hidden = any(map(is_hidden, member.name.split("/")))
    return member.name.lower().endswith(JPEG_EXTENSIONS) and not hidden and not member.is_link


def prepare_jpeg(data: bytes, *, thumbnails: bool = False) -> bytes:
    """Write a file anew, with the same coefficients, in the form whose random crops decode fastest.

    That is a sequential file with the best Huffman tables and a restart marker after every MCU row. It is baseline
    where T.81 allows that: not for samples of 12 bits, and not for quantization tables with entries above 255.

    Args:
        data: the file; of an MPO file, only the first image is kept.
        thumbnails: whether to keep smaller copies of the image in the segments.

    Raises:
        JpegError: the file cannot be read, or its coefficients do not fit into a sequential file.
    """
    image = read_coefficients(data, segments=True)
    segments = without_further_images(image.segments)
    image = replace(image, segments=segments if thumbnails else without_thumbnails(segments))
    eight_bits = image.header.precision == 8 and all(table.max() <= 255 for table in image.quantization_tables)
    return write_jpeg(image, process="baseline" if eight_bits else "extended", restart_rows=1)


def crop_speed_up(pairs: Sequence[tuple[bytes, bytes]], *, rounds: int = 5) -> float:
    """Measure how much faster random crops of prepared files are than those of the originals, on one thread.

    Args:
        pairs: an original and what was prepared from it.
        rounds: how often both are measured, in turn.

    Returns:
        The CPU time of `read_batch` on the originals divided by that on the prepared files; the median of the rounds.
    """
    random = np.random.default_rng(0)
    sides = list(zip(*pairs, strict=True))
    headers = [read_header(data) for data in sides[0]]
    ratios = []
    for turn in range(rounds + 1):
        boxes = [random_resized_crop_box(header.height, header.width, random) for header in headers]
        seconds = [0.0, 0.0]
        for start in range(0, len(pairs), _BATCH):
            part = slice(start, start + _BATCH)
            for side in ((0, 1), (1, 0))[turn % 2]:
                begin = time.process_time()
                read_batch(sides[side][part], size=CROP, boxes=boxes[part], threads=1)
                seconds[side] += time.process_time() - begin
        ratios.append(seconds[0] / max(seconds[1], 1e-9))
    return statistics.median(ratios[1:])  # the first round loads what is loaded at its first use


def sample_pairs(parts: Parts, out: Path, count: int) -> list[tuple[bytes, bytes]]:
    """Read some of the originals and what was prepared from each.

    Args:
        parts: of the training set.
        out: the folder of the prepared set.
        count: how many images at most, drawn at random, always the same ones.

    Returns:
        Pairs of an original and the prepared file; images that give no tensor are left out.
    """
    images: list[tuple[str, Member | None]] = [(name, None) for name in parts.images]
    images += [(name, member) for name, members in parts.members.items() for member in members]
    chosen = sorted(np.random.default_rng(0).permutation(len(images))[:count])
    tables: dict[str, dict[str, Member]] = {}
    pairs = []
    for name, member in (images[n] for n in chosen):
        try:
            if member is None:
                pair = parts.images[name].read_bytes(), (out / name).read_bytes()
            else:
                if name not in tables:
                    tables[name] = {each.name: each for each in read_members(out / name)}
                pair = read_member(parts.shards[name], member), read_member(out / name, tables[name][member.name])
            read_batch(list(pair), size=CROP, threads=1)
        except (OSError, ValueError):
            continue
        pairs.append(pair)
    return pairs


def read_member(path: Path, member: Member) -> bytes:
    """Read the content of a tar file's member.

    Raises:
        OSError: the file cannot be read, or became shorter.
    """
    with path.open("rb") as file:
        data = os.pread(file.fileno(), member.size_bytes, member.offset_bytes)
    if len(data) < member.size_bytes:
        raise OSError(f"{path} ends before its member {member.name} does")
    return data
