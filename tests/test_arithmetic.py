"""Arithmetic coding (SOF9, SOF10) equals libjpeg-turbo, survives data that end early, and bounds its work."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

import jpegfreq
from tests import edits, generate, writer
from tests.agreement import equal
from tests.oracle import Oracle
from tests.support import data_files


def assert_equal_planes(ours: jpegfreq.Coefficients, theirs: jpegfreq.Coefficients) -> None:
    for a, b in zip(ours.planes, theirs.planes, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_equals_oracle(data: bytes, oracle: Oracle) -> None:
    theirs = oracle.read(data)
    assert theirs.clean
    assert theirs.arithmetic
    ours = jpegfreq.read_coefficients(data)
    for a, component in zip(ours.planes, theirs.components, strict=True):
        np.testing.assert_array_equal(a, component.plane)


@pytest.mark.parametrize("sof", [9, 10])
@pytest.mark.parametrize("precision", [8, 12])
def test_any_coefficients_scripts_and_conditioning(sof: int, precision: int, oracle: Oracle) -> None:
    for seed in range(25):
        rng = random.Random(seed)
        sampling = generate.random_sampling(rng.randint(1, 4), rng)
        height, width = rng.randint(1, 70), rng.randint(1, 70)
        picture = generate.random_image(
            seed, sof=sof, height=height, width=width, sampling=sampling, precision=precision
        )
        assert_equals_oracle(writer.write(picture, seed), oracle)


@pytest.mark.parametrize(
    "options", [(), ("-progressive",), ("-restart", "3"), ("-progressive", "-restart", "7B"), ("-grayscale",)], ids=str
)
def test_photographs_keep_their_coefficients(options: tuple[str, ...], oracle: Oracle) -> None:
    for path in data_files("photos")[::40]:
        source = path.read_bytes()
        data = generate.jpegtran(source, "-arithmetic", *options)
        assert_equals_oracle(data, oracle)
        if "-grayscale" not in options:
            assert_equal_planes(jpegfreq.read_coefficients(data), jpegfreq.read_coefficients(source))


@pytest.mark.parametrize(
    "sampling", [((1, 1),) * 3, ((2, 2), (1, 1), (1, 1)), ((4, 1), (1, 1), (1, 1)), ((1, 1), (2, 2), (1, 4))]
)
@pytest.mark.parametrize(
    "scans",
    [None, "0; 1; 2;", "0,1: 0-0,0,1; 2: 0-0,0,0; 0: 1-9,0,2; 0: 10-63,0,1; 0: 1-9,2,1; 0,1: 0-0,1,0; 0: 1-63,1,0;"],
)
def test_any_sampling_and_script(sampling: generate.Sampling, scans: str | None, oracle: Oracle) -> None:
    pixels = generate.random_pixels(45, 83, seed=1)
    assert_equals_oracle(generate.cjpeg(pixels, "-arithmetic", sampling=sampling, scans=scans), oracle)


@pytest.mark.parametrize("options", [(), ("-progressive",), ("-restart", "1")], ids=str)
def test_a_flat_image_of_very_few_bytes_is_whole(options: tuple[str, ...], oracle: Oracle) -> None:
    pixels = np.full((2048, 3000, 3), 77, np.uint8)
    data = generate.cjpeg(pixels, "-arithmetic", *options)
    assert len(data) < pixels.size // 500
    assert_equals_oracle(data, oracle)


@pytest.fixture(scope="module")
def sequential() -> bytes:
    return generate.cjpeg(generate.random_pixels(64, 80, seed=2), "-arithmetic")


@pytest.fixture(scope="module")
def progressive() -> bytes:
    return generate.cjpeg(generate.random_pixels(64, 80, seed=2), "-arithmetic", "-progressive")


@pytest.mark.parametrize("process", ["sequential", "progressive"])
def test_every_truncation_is_reported(process: str, request: pytest.FixtureRequest) -> None:
    data: bytes = request.getfixturevalue(process)
    for size in range(0, len(data) - 1, 7):
        with pytest.raises(jpegfreq.TruncatedJpegError):
            jpegfreq.read_coefficients(data[:size])


def test_a_truncated_file_keeps_the_blocks_before_its_end(sequential: bytes) -> None:
    whole = jpegfreq.read_coefficients(sequential).planes[0].reshape(-1, 64)
    kept = jpegfreq.read_coefficients(sequential[:-40], damage="keep")
    assert isinstance(kept.damage, jpegfreq.TruncatedJpegError)
    plane = kept.planes[0].reshape(-1, 64)
    same = (plane == whole).all(axis=1)
    assert 0.7 < same.mean() < 1
    assert not plane[~same].any() or (~same).sum() < 4 * 4 + (~plane.any(axis=1)).sum()


def test_a_missing_restart_interval_is_malformed() -> None:
    data = generate.cjpeg(generate.random_pixels(64, 80, seed=2), "-arithmetic", "-restart", "1")
    with pytest.raises(jpegfreq.MalformedJpegError, match=r"RST1 belongs \(T.81 B.2.1\)"):
        jpegfreq.read_coefficients(edits.drop_restart_interval(data, 1))


def test_data_left_over_after_the_last_mcu_are_skipped_as_libjpeg_does(sequential: bytes, oracle: Oracle) -> None:
    data = edits.set_frame(sequential, height=40)
    assert equal(jpegfreq.read_coefficients(data), oracle.read(data))


def test_zeros_kept_at_the_end_are_legal(sequential: bytes) -> None:
    padded = sequential[:-2] + bytes(5) + sequential[-2:]
    assert_equal_planes(jpegfreq.read_coefficients(padded), jpegfreq.read_coefficients(sequential))


@pytest.mark.parametrize("process", ["sequential", "progressive"])
def test_a_small_file_that_declares_a_large_image_ends_quickly(process: str, request: pytest.FixtureRequest) -> None:
    data = edits.set_frame(request.getfixturevalue(process), height=8000, width=8000)
    began = time.thread_time()
    with pytest.raises(jpegfreq.JpegError):
        jpegfreq.read_coefficients(data)
    assert time.thread_time() - began < 2


def test_a_scan_in_the_wrong_order_is_malformed(progressive: bytes) -> None:
    with pytest.raises(jpegfreq.MalformedJpegError, match=r"T.81 G.1.1.1"):
        jpegfreq.read_coefficients(edits.set_scan(progressive, Al=3, index=1))


def test_files_of_the_shared_data_equal_libjpeg(oracle: Oracle) -> None:
    compared = 0
    for folder in ("odd", "hostile"):
        for path in data_files(folder):
            data = path.read_bytes()
            if b"\xff\xc9" not in data[:2000] and b"\xff\xca" not in data[:2000]:
                continue
            theirs = oracle.read(data)
            if theirs.clean and theirs.arithmetic:
                assert_equals_oracle(data, oracle)
                compared += 1
    assert compared >= 6
