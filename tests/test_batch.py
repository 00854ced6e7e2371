"""read_coefficients_batch keeps the order, isolates failures and uses threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import jpegfreq
from jpegfreq import Coefficients, JpegError, TruncatedJpegError
from tests.images import make_jpeg
from tests.support import data_files, same_coefficients


def files(count: int) -> list[bytes]:
    """Make JPEGs of many sizes, kinds and processes, not sorted by size."""
    kinds: list[dict[str, Any]] = [
        {},
        {"progressive": True},
        {"subsampling": "4:2:0"},
        {"mode": "L"},
        {"restart_marker_blocks": 5},
        {"quality": 95, "subsampling": "4:4:4"},
    ]
    return [make_jpeg(8 + 37 * i % 300, 8 + 91 * i % 200, seed=i, **kinds[i % len(kinds)]) for i in range(count)]


@pytest.mark.parametrize("threads", [None, 1, 2, 7, 64])
def test_batch_equals_one_by_one_in_the_callers_order(threads: int | None) -> None:
    images = files(40)
    results = jpegfreq.read_coefficients_batch(images, threads=threads)
    assert len(results) == len(images)
    for data, result in zip(images, results, strict=True):
        assert same_coefficients(result, jpegfreq.read_coefficients(data))
        assert result.damage is None


@pytest.mark.parametrize("threads", [1, 2])
def test_non_temporal_stores_give_the_same_coefficients(threads: int) -> None:
    options: list[dict[str, Any]] = [{"subsampling": "4:2:0"}, {"restart_marker_blocks": 50}, {"subsampling": "4:2:2"}]
    images = files(12) + [make_jpeg(730, 601, seed=i, quality=100, **options[i % 3]) for i in range(9)]
    images.append(images[-1][: len(images[-1]) // 2])
    assert sum(map(len, images)) > 2 << 20
    results = jpegfreq.read_coefficients_batch(images, threads=threads, damage="keep")
    for data, result in zip(images, results, strict=True):
        assert same_coefficients(result, jpegfreq.read_coefficients(data, damage="keep"))


def test_bytes_and_paths_mix(tmp_path: Path) -> None:
    images = files(6)
    mixed: list[Any] = [bytearray(images[0]), memoryview(images[1])]
    for i in range(2, 6):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(images[i])
        mixed.append(path if i % 2 else str(path))
    for data, result in zip(images, jpegfreq.read_coefficients_batch(iter(mixed)), strict=True):
        assert same_coefficients(result, jpegfreq.read_coefficients(data))


def test_empty_batch() -> None:
    assert jpegfreq.read_coefficients_batch([]) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_a_bad_file_does_not_affect_the_others(tmp_path: Path, threads: int) -> None:
    images: list[Any] = list(files(20))
    images[3] = b"no JPEG"
    images[7] = make_jpeg(300, 300)[:3000]
    images[11] = tmp_path / "missing.jpg"
    images[19] = b""
    results = jpegfreq.read_coefficients_batch(images, threads=threads, errors="return")
    for i, result in enumerate(results):
        if i in (3, 7, 19):
            assert isinstance(result, JpegError)
            assert result.index == i
            assert str(result).startswith(f"image {i}: ")
        elif i == 11:
            assert isinstance(result, FileNotFoundError)
            assert result.filename == str(images[11])
            assert result.__notes__ == ["image 11 of the batch"]
        else:
            assert isinstance(result, Coefficients)
            assert same_coefficients(result, jpegfreq.read_coefficients(images[i]))


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_first_error_in_the_callers_order_is_raised(threads: int) -> None:
    images: list[Any] = list(files(30))
    images[25] = make_jpeg(2000, 2000)[:-2000]  # the largest file, so that it is decoded first
    images[12] = make_jpeg(300, 300)[:2000]
    images[18] = b"no JPEG"
    for _ in range(5):
        with pytest.raises(TruncatedJpegError) as caught:
            jpegfreq.read_coefficients_batch(images, threads=threads)
        assert caught.value.index == 12


def test_kept_damage_belongs_to_its_image() -> None:
    images = [make_jpeg(), make_jpeg(300, 300, quality=95)[:9000], make_jpeg(seed=2)]
    results = jpegfreq.read_coefficients_batch(images, damage="keep")
    assert [result.damage is None for result in results] == [True, False, True]
    assert same_coefficients(results[1], jpegfreq.read_coefficients(images[1], damage="keep"))
    assert isinstance(results[1].damage, TruncatedJpegError)
    assert results[1].damage.index == 1


def test_max_pixels_is_the_limit_of_each_image() -> None:
    small, large = make_jpeg(40, 24), make_jpeg(41, 24)
    results = jpegfreq.read_coefficients_batch([small, large], max_pixels=40 * 24, errors="return")
    assert isinstance(results[0], Coefficients)
    assert isinstance(results[1], jpegfreq.UnsupportedJpegError)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="threads"):
        jpegfreq.read_coefficients_batch([], threads=0)
    with pytest.raises(ValueError, match="errors"):
        jpegfreq.read_coefficients_batch([], errors="ignore")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="damage"):
        jpegfreq.read_coefficients_batch([], damage="ignore")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="buffer or a path"):
        jpegfreq.read_coefficients_batch([make_jpeg(), 7], errors="return")  # type: ignore[list-item]


def test_ctrl_c_ends_a_batch_between_images() -> None:
    code = """
import os, signal, threading, jpegfreq, sys
data = sys.stdin.buffer.read()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell starts with SIGINT ignored
try:
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    jpegfreq.read_coefficients_batch([data] * 100_000, threads=2, max_pixels=1 << 40)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=make_jpeg(64, 64), capture_output=True, timeout=60, check=False
    )
    assert done.stdout == b"interrupted\n", done.stderr


def test_a_signal_handler_may_read_a_batch_while_one_is_read() -> None:
    code = """
import signal, jpegfreq, sys
sys.path.insert(0, ".")
from tests.images import make_jpeg
from tests.support import same_coefficients
outer = [make_jpeg(640, 480, seed=seed, quality=90) for seed in range(4)] * 200
inner = [make_jpeg(300, 200, seed=seed, subsampling=2) for seed in range(9)]
inside = []
signal.signal(signal.SIGALRM, lambda *_: inside.append(jpegfreq.read_coefficients_batch(inner, threads=1)))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.05)
outside = jpegfreq.read_coefficients_batch(outer, threads=1)
signal.setitimer(signal.ITIMER_REAL, 0)
assert inside
for read, data in [(outside, outer), *((batch, inner) for batch in inside)]:
    assert all(map(same_coefficients, read, map(jpegfreq.read_coefficients, data)))
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], timeout=60, check=True)


def test_photographs_in_a_batch_equal_single_reads() -> None:
    paths = data_files("photos")[::4]
    for path, result in zip(paths, jpegfreq.read_coefficients_batch(paths), strict=True):
        assert same_coefficients(result, jpegfreq.read_coefficients(path.read_bytes())), path.name


_WITH_HELPERS = """
import os, sys, time
from pathlib import Path
import jpegfreq
data = Path(sys.argv[1]).read_bytes()
images = [data] * 40

def read(threads):
    found = jpegfreq.read_coefficients_batch(images, threads=threads)
    assert len(found) == len(images)

def threads_now():
    return [int(name) for name in os.listdir("/proc/self/task")]
"""


def run_with_helpers(code: str, tmp_path: Path) -> None:
    file = tmp_path / "image.jpg"
    file.write_bytes(make_jpeg(64, 64))
    command = [sys.executable, "-c", _WITH_HELPERS + code, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_fork_starts_helper_threads_of_its_own(tmp_path: Path) -> None:
    code = """
read(3)
child = os.fork()
read(3)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    run_with_helpers(code, tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_helper_threads_are_kept_but_no_more_than_there_are_cores(tmp_path: Path) -> None:
    code = """
before = len(threads_now())
read(30)
for _ in range(1000):
    kept = len(threads_now()) - before
    if kept <= os.cpu_count():
        break
    time.sleep(0.01)
assert 1 <= kept <= os.cpu_count(), kept
"""
    run_with_helpers(code, tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets the cores of threads")
def test_helper_threads_use_the_cores_of_their_caller_and_change_none_of_its_own(tmp_path: Path) -> None:
    code = """
def helpers_cores():
    return {frozenset(os.sched_getaffinity(thread)) for thread in threads_now() if thread not in others}

others = set(threads_now())
cores = os.sched_getaffinity(0)
read(2)
assert os.sched_getaffinity(0) == cores
assert helpers_cores() == {frozenset(cores)}
one = {min(cores)}
os.sched_setaffinity(0, one)
read(2)
assert os.sched_getaffinity(0) == one
assert helpers_cores() == {frozenset(one)}
"""
    run_with_helpers(code, tmp_path)
