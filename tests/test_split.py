"""One image decoded in several lanes (native/src/split.cpp): the result is the plain path's, damaged files included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jpegfreq import TensorFormat, read_batch, read_coefficients, resample
from tests.digests import batch_digests, digests_on, single_digests
from tests.edits import find
from tests.images import make_jpeg


def files() -> Iterator[bytes]:
    """Make scans long enough to be split, whole and damaged: samplings, qualities, own Huffman tables, restarts."""
    rng = np.random.default_rng(7)
    for subsampling in (0, 1, 2):
        for quality, optimize, restart in ((40, True, 0), (90, False, 0), (97, True, 0), (90, True, 3)):
            options = {"quality": quality, "subsampling": subsampling, "optimize": optimize}
            whole = make_jpeg(700, 530, seed=quality, restart_marker_rows=restart, **options)
            yield whole
            sos = find(whole, "SOS")
            data = sos.offset + len(sos.raw)
            for _ in range(12):
                damaged = bytearray(whole)
                for place in rng.integers(data, len(whole) - 2, rng.integers(1, 4)):
                    damaged[place] ^= 1 << int(rng.integers(8))
                yield bytes(damaged)
            yield whole[: int(rng.integers(data, len(whole)))]
    yield make_jpeg(900, 700, mode="L", quality=95)
    yield make_jpeg(700, 530, mode="CMYK", quality=90)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("split")
    written = []
    for number, data in enumerate(files()):
        written.append(folder / f"{number}.jpg")
        written[-1].write_bytes(data)
    return written


@pytest.fixture(scope="module")
def plain(paths: list[Path]) -> list[str]:
    return digests_on("plain", paths)[0]


def test_one_image_in_lanes_reads_as_the_plain_path_reads_it(paths: list[Path], plain: list[str]) -> None:
    assert single_digests(paths) == plain


def test_damaged_images_in_a_batch_read_as_the_plain_path_reads_them(paths: list[Path], plain: list[str]) -> None:
    batch = batch_digests(paths, threads=2)
    assert [line.split(" ")[0] for line in batch] == [line.split(" ")[0] for line in plain]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_batches_read_as_the_plain_path_reads_them(paths: list[Path], plain: list[str], size: int) -> None:
    for start in range(0, len(paths), size):
        batch = batch_digests(paths[start : start + size], threads=1)
        assert [line.split(" ")[0] for line in batch] == [line.split(" ")[0] for line in plain[start : start + size]]


@pytest.mark.parametrize("size", [1, 2])
def test_crops_in_small_batches_are_those_of_the_whole_coefficients(size: int) -> None:
    jpegs = [
        make_jpeg(1100, 900, seed=seed, quality=93, subsampling=subsampling, restart_marker_rows=restart)
        for seed, (subsampling, restart) in enumerate([(0, 0), (1, 0), (2, 0), (2, 2)])
    ]
    format = TensorFormat()
    for box in ((200, 100, 300, 260), (0, 500, 700, 400), (580, 800, 300, 260)):
        want = [resample(read_coefficients(jpeg), box=box, size=(64, 64), format=format) for jpeg in jpegs]
        for start in range(0, len(jpegs), size):
            chosen = jpegs[start : start + size]
            got = read_batch(chosen, size=(64, 64), boxes=[box] * size, format=format, threads=1)
            np.testing.assert_array_equal(got, want[start : start + size])


def test_machines_without_code_of_their_own_read_in_lanes_alike(paths: list[Path], plain: list[str]) -> None:
    single, batch = digests_on("generic", paths)
    assert single == plain
    assert [line.split(" ")[0] for line in batch] == [line.split(" ")[0] for line in plain]
