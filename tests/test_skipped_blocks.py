"""Without restart markers, blocks above and beside a crop are read, but neither kept nor moved; a crop must not notice.

Several files are read at once, for a file that is alone is soon read by another loop.
"""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from jpegfreq import read_batch, read_coefficients, resample
from jpegfreq.crops import Box
from tests import edits
from tests.generate import random_image
from tests.support import instruction_sets, run_on
from tests.writer import WrittenScan, write

HEIGHT, WIDTH = 150, 210
SIZE = (16, 24)
SAMPLINGS = (
    ((2, 2), (1, 1), (1, 1)),
    ((1, 1), (1, 1), (1, 1)),
    ((2, 1), (1, 1), (1, 1)),
    ((1, 2), (1, 1), (1, 1)),
    ((4, 1), (1, 1), (1, 1)),
    ((1, 1),),
)


@cache
def files() -> tuple[bytes, ...]:
    written = []
    for seed, sampling in enumerate(SAMPLINGS):
        image = random_image(seed, sof=0, height=HEIGHT, width=WIDTH, sampling=sampling)
        scan = WrittenScan(tuple(range(len(sampling))))
        written.append(write(dataclasses.replace(image, scans=(scan,)), 6))
    return tuple(written)


def boxes() -> list[Box]:
    edges = [(0, 0, HEIGHT, WIDTH), (0, 0, 9, 9), (HEIGHT - 1, WIDTH - 1, 1, 1), (0, WIDTH - 20, HEIGHT, 20)]
    edges += [(40, 0, 50, WIDTH), (0, 0, HEIGHT, 17)]
    random = np.random.default_rng(0)
    for _ in range(24):
        top, left = int(random.integers(HEIGHT)), int(random.integers(WIDTH))
        edges.append((top, left, int(random.integers(1, HEIGHT - top + 1)), int(random.integers(1, WIDTH - left + 1))))
    return edges


@pytest.mark.parametrize("threads", [1, 2])
def test_crops_are_those_of_the_whole_coefficients(threads: int) -> None:
    drawn = [(file, box) for box in boxes() for file in files()]
    whole = {file: read_coefficients(file) for file in files()}
    got = read_batch([file for file, _ in drawn], size=SIZE, boxes=[box for _, box in drawn], threads=threads)
    for tensor, (file, box) in zip(got, drawn, strict=True):
        np.testing.assert_array_equal(tensor, resample(whole[file], box, SIZE))


def test_damage_above_and_beside_a_crop_is_found() -> None:
    """Blocks that are only passed over are checked like all others: the error is that of the file read alone."""
    clean = files()[0]
    length = len(edits.find(clean, "scan data").raw)
    damaged = []
    for part in range(1, 12):
        raw = bytearray(edits.find(clean, "scan data").raw)
        at = length * part // 12
        raw[at : at + 40] = b"\xff\x00" * 20
        damaged.append(edits.replace_scan_data(clean, bytes(raw)))
    box = (HEIGHT - 40, WIDTH - 40, 40, 40)
    tensors, errors = read_batch(damaged, size=SIZE, boxes=[box] * len(damaged), damage="keep", errors="return")
    for number, data in enumerate(damaged):
        kept = read_coefficients(data, damage="keep")
        assert kept.damage is not None
        assert str(errors[number]) == f"image {number}: {kept.damage}"
        np.testing.assert_array_equal(tensors[number], resample(kept, box, SIZE))


@pytest.mark.parametrize("instruction_set", instruction_sets()[:-1])
def test_other_instruction_sets_pass_over_the_same_blocks(instruction_set: str) -> None:
    run_on(instruction_set, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "not instruction_sets")
