"""read_coefficients as Python sees it: inputs, memory, damage, limits, threads. Their values: test_exact.py."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jpegfreq
from jpegfreq import MalformedJpegError, TruncatedJpegError, UnsupportedJpegError
from tests.images import every_form, make_jpeg
from tests.support import same_coefficients


def promise(data: bytes, height: int, width: int) -> bytes:
    """The file with another image size in its frame header (T.81 B.2.2)."""
    sof = data.index(b"\xff\xc0")
    return data[: sof + 5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[sof + 9 :]


def test_shapes_and_types() -> None:
    coefficients = jpegfreq.read_coefficients(make_jpeg(40, 24, subsampling="4:2:0"))
    assert [plane.shape for plane in coefficients.planes] == [(3, 5, 8, 8), (2, 3, 8, 8), (2, 3, 8, 8)]
    assert all(plane.dtype == np.int16 for plane in coefficients.planes)
    assert [(table.shape, table.dtype) for table in coefficients.quantization_tables] == [((8, 8), np.uint16)] * 3
    assert coefficients.damage is None
    assert coefficients.header == jpegfreq.read_header(make_jpeg(40, 24, subsampling="4:2:0"))


def test_repr_is_short() -> None:
    data = make_jpeg(40, 24, subsampling="4:2:0")
    assert repr(jpegfreq.read_coefficients(data)) == (
        "<Coefficients of a baseline YCbCr image of height 24 x width 40: planes of 3 x 5, 2 x 3, 2 x 3 blocks>"
    )


def test_every_kind_of_input_is_decoded_alike(tmp_path: Path) -> None:
    data = make_jpeg()
    expected = jpegfreq.read_coefficients(data)
    for kind, value in every_form(data, tmp_path):
        assert same_coefficients(jpegfreq.read_coefficients(value), expected), kind


@pytest.mark.parametrize("size", [(8, 8), (40, 24), (1600, 1200)])
def test_planes_lie_in_one_aligned_allocation(size: tuple[int, int]) -> None:
    planes = jpegfreq.read_coefficients(make_jpeg(*size)).planes
    assert len({id(plane.base) for plane in planes}) == 1
    start = planes[0].ctypes.data
    assert start % 64 == 0
    for plane in planes:
        assert plane.ctypes.data == start
        assert plane.flags.c_contiguous
        assert plane.flags.writeable
        start += plane.nbytes


def test_planes_outlive_everything_else() -> None:
    data = bytearray(make_jpeg())
    coefficients = jpegfreq.read_coefficients(data)
    plane = coefficients.planes[1]
    copy = plane.copy()
    data[:] = bytes(len(data))
    del coefficients, data
    gc.collect()
    jpegfreq.read_coefficients(make_jpeg(seed=1))
    np.testing.assert_array_equal(plane, copy)


def test_damage_raises_unless_it_is_kept() -> None:
    whole = make_jpeg(400, 300, quality=95)
    short = whole[: len(whole) // 2]
    with pytest.raises(TruncatedJpegError) as caught:
        jpegfreq.read_coefficients(short)
    kept = jpegfreq.read_coefficients(short, damage="keep")
    assert isinstance(kept.damage, TruncatedJpegError)
    assert str(kept.damage) == str(caught.value)
    assert kept.damage.offset_bytes is not None
    assert kept.damage.offset_bytes <= len(short)
    complete = jpegfreq.read_coefficients(whole)
    flat, expected = (c.planes[0].reshape(-1, 64) for c in (kept, complete))
    decoded = int((flat == expected).all(1).argmin())
    assert 0.3 * len(flat) < decoded < 0.7 * len(flat)
    assert not flat[decoded + 64 :].any()
    assert "damage" in repr(kept)


def test_a_header_at_fault_raises_even_where_damage_is_kept() -> None:
    with pytest.raises(MalformedJpegError):
        jpegfreq.read_coefficients(b"no JPEG", damage="keep")


def test_damage_takes_two_words() -> None:
    with pytest.raises(ValueError, match="damage"):
        jpegfreq.read_coefficients(make_jpeg(), damage="ignore")  # type: ignore[arg-type]


def test_max_pixels_is_checked_before_anything_is_allocated() -> None:
    data = make_jpeg(40, 24)
    assert jpegfreq.read_coefficients(data, max_pixels=40 * 24).header.width == 40
    with pytest.raises(UnsupportedJpegError, match="960 pixels are more than max_pixels"):
        jpegfreq.read_coefficients(data, max_pixels=40 * 24 - 1)
    with pytest.raises(UnsupportedJpegError):
        jpegfreq.read_coefficients(promise(data, 65_000, 65_000))
    with pytest.raises(UnsupportedJpegError):
        jpegfreq.read_coefficients(promise(data, 65_000, 65_000), damage="keep")


@pytest.mark.parametrize("wrong", [-1, 2**64, 1.5, None])
def test_max_pixels_must_be_a_count(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        jpegfreq.read_coefficients(make_jpeg(), max_pixels=wrong)


def run(code: str, *arguments: str) -> str:
    """Runs Python code in a process of its own, for its peak of memory."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_promise_the_data_cannot_hold_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "promise.jpg"
    path.write_bytes(promise(make_jpeg(subsampling="4:4:4"), 13_000, 13_000))
    code = """
import resource, sys, jpegfreq, numpy
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    jpegfreq.read_coefficients(sys.argv[1])
except jpegfreq.TruncatedJpegError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    assert int(run(code, str(path))) < 20_000  # kilobytes; the planes would take a gigabyte


def test_no_room_is_a_memory_error(tmp_path: Path) -> None:
    path = tmp_path / "promise.jpg"
    path.write_bytes(promise(make_jpeg(subsampling="4:4:4"), 13_000, 13_000))
    code = """
import resource, sys, jpegfreq, numpy
jpegfreq.read_header(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (900_000_000, 900_000_000))
try:
    jpegfreq.read_coefficients(sys.argv[1], damage="keep")
except MemoryError as error:
    print(error)
[result] = jpegfreq.read_coefficients_batch([sys.argv[1]], damage="keep", errors="return", threads=1)
print(repr(result))
"""
    lines = run(code, str(path)).splitlines()
    assert lines[0].startswith(f"{path}: SOF at byte ")
    assert lines[1].startswith("MemoryError")


def test_memory_is_given_back() -> None:
    data = make_jpeg(2000, 2000, subsampling="4:4:4")
    for _ in range(3):
        jpegfreq.read_coefficients(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        jpegfreq.read_coefficients(data)
        with pytest.raises(TruncatedJpegError):
            jpegfreq.read_coefficients(data[: len(data) // 2])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes; 40 images take 960_000


def test_other_threads_run_and_the_buffer_stays_exported_while_decoding() -> None:
    data = bytearray(make_jpeg(3000, 3000, quality=95))
    results: list[jpegfreq.Coefficients] = []
    refused = 0
    thread = threading.Thread(target=lambda: results.append(jpegfreq.read_coefficients(data)))
    thread.start()
    while thread.is_alive() and not refused:
        try:
            data.append(0)
        except BufferError:
            refused += 1
    thread.join()
    assert refused, "the GIL was held, or the bytearray could be resized, during the whole decode"
    assert results[0].damage is None
    data.append(0)


def test_many_threads_decode_at_once() -> None:
    files = [make_jpeg(200 + 16 * i, 150, seed=i) for i in range(6)]
    expected = [jpegfreq.read_coefficients(data) for data in files]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(10):
            wrong.extend(
                i
                for i, data in enumerate(files)
                if not same_coefficients(jpegfreq.read_coefficients(data), expected[i])
            )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
