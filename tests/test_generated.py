"""Files made by cjpeg, jpegtran and Pillow: samplings, restarts, scan scripts, arithmetic coding, tiny sizes, CMYK."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from jpegfreq import read_coefficients, read_header
from tests import generate
from tests.agreement import equal
from tests.generate import FACTORS, Sampling, random_image, random_pixels
from tests.oracle import Oracle
from tests.writer import write

# The same coefficients in other codings, made by jpegtran.
TRANSCODES: dict[str, tuple[list[str], str | None]] = {
    "optimized": (["-optimize"], None),
    "restart every 2 MCUs": (["-restart", "2B"], None),
    "restart every MCU row": (["-restart", "1"], None),
    "progressive, long restart intervals": (["-progressive", "-restart", "700B"], None),
    "progressive": (["-progressive"], None),
    "progressive, restarts": (["-progressive", "-restart", "3B"], None),
    "arithmetic": (["-arithmetic"], None),
    "arithmetic, restarts": (["-arithmetic", "-restart", "1B"], None),
    "arithmetic progressive": (["-arithmetic", "-progressive"], None),
    "a scan a component": ([], "0; 1; 2;"),
    "chroma apart": ([], "0; 1 2;"),
    "progressive by successive bits": (
        [],
        "0 1 2: 0-0, 0, 3; 0 1 2: 0-0, 3, 2; 0: 1-63, 0, 2; 0 1 2: 0-0, 2, 1; 1: 1-20, 0, 1; 1: 21-63, 0, 0;"
        "2: 1-63, 0, 0; 0: 1-63, 2, 1; 1: 1-20, 1, 0; 0: 1-63, 1, 0; 0 1 2: 0-0, 1, 0;",
    ),
    "arithmetic by successive bits": (
        ["-arithmetic"],
        "0 1 2: 0-0, 0, 1; 0: 1-63, 0, 2; 1: 1-63, 0, 1; 2: 1-63, 0, 0; 0: 1-63, 2, 1; 1: 1-63, 1, 0; 0: 1-63, 1, 0;"
        "0 1 2: 0-0, 1, 0;",
    ),
}


def assert_equals_libjpeg(data: bytes, oracle: Oracle) -> None:
    theirs = oracle.read(data)
    assert theirs.clean, (theirs.error, theirs.warnings)
    ours = read_coefficients(data)
    assert equal(ours, theirs)
    assert ours.header.color.lower() == theirs.color


def samplings(luma: tuple[int, int]) -> list[Sampling]:
    """List the samplings that cjpeg can make with these factors of the first component: no fractional ratios."""
    out: list[Sampling] = []
    for chroma in FACTORS:
        h, v = max(luma[0], chroma[0]), max(luma[1], chroma[1])
        if any(h % factor[0] or v % factor[1] for factor in (luma, chroma)):
            continue
        out += [(luma, chroma, chroma), (luma, chroma, (1, 1))]
    return list(dict.fromkeys(out))


@pytest.mark.parametrize("luma", FACTORS, ids=lambda factors: "{}x{}".format(*factors))
def test_every_sampling(luma: tuple[int, int], oracle: Oracle) -> None:
    pixels = random_pixels(37, 45, 1)
    for sampling in samplings(luma):
        # With more than ten blocks per MCU, every component needs its own scan (B.2.3).
        scans = "0; 1; 2;" if sum(h * v for h, v in sampling) > 10 else None
        data = generate.cjpeg(pixels, "-quality", "85", sampling=sampling, scans=scans)
        factors = [(c.horizontal_sampling_factor, c.vertical_sampling_factor) for c in read_header(data).components]
        assert factors == list(sampling)
        assert_equals_libjpeg(data, oracle)
        if scans is None:
            assert_equals_libjpeg(generate.jpegtran(data, "-progressive", "-restart", "2B"), oracle)


@pytest.mark.parametrize("name", TRANSCODES)
@pytest.mark.parametrize("sampling", [((1, 1),) * 3, ((2, 2), (1, 1), (1, 1)), ((1, 2), (1, 2), (1, 1))], ids=str)
def test_every_coding_holds_the_same_coefficients(name: str, sampling: Sampling, oracle: Oracle) -> None:
    original = generate.cjpeg(random_pixels(403, 520, 2), "-quality", "92", sampling=sampling)
    arguments, scans = TRANSCODES[name]
    data = generate.jpegtran(original, *arguments, scans=scans)
    assert_equals_libjpeg(data, oracle)
    for plane, expected in zip(read_coefficients(data).planes, read_coefficients(original).planes, strict=True):
        np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("arguments", [(), ("-progressive",), ("-arithmetic",), ("-restart", "1B")], ids=str)
def test_tiny_sizes(arguments: tuple[str, ...], oracle: Oracle) -> None:
    for height, width in [(1, 1), (1, 17), (17, 1), (7, 8), (8, 8), (8, 9), (9, 8), (15, 16), (16, 17), (17, 17)]:
        pixels = random_pixels(height, width, height * 100 + width)
        assert_equals_libjpeg(generate.cjpeg(pixels, *arguments), oracle)
        assert_equals_libjpeg(generate.cjpeg(pixels, "-grayscale", *arguments), oracle)


@pytest.mark.parametrize("quality", [1, 5, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("coding", [(), ("-progressive",), ("-optimize",), ("-arithmetic",)], ids=str)
def test_every_quality(quality: int, coding: tuple[str, ...], oracle: Oracle) -> None:
    """Quality 1 has 16-bit quantization tables, quality 100 has coefficients of all sizes."""
    data = generate.cjpeg(random_pixels(64, 64, quality), "-quality", str(quality), *coding)
    assert_equals_libjpeg(data, oracle)
    if quality == 1:
        assert max(table.max() for table in read_coefficients(data).quantization_tables) > 255


@pytest.mark.parametrize("channels", [3, 1])
def test_noise_at_full_quality(channels: int, oracle: Oracle) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (96, 96, channels), np.uint8)
    original = generate.cjpeg(pixels, "-quality", "100", sampling=None if channels == 1 else ((1, 1),) * 3)
    for arguments in ([], ["-optimize"], ["-progressive"], ["-arithmetic"], ["-arithmetic", "-progressive"]):
        assert_equals_libjpeg(generate.jpegtran(original, *arguments), oracle)


@pytest.mark.parametrize(
    ("mode", "options", "color"),
    [
        ("L", {}, "grey"),
        ("RGB", {"subsampling": "4:2:0"}, "YCbCr"),
        ("RGB", {"progressive": True}, "YCbCr"),
        ("RGB", {"keep_rgb": True}, "RGB"),
        ("RGB", {"restart_marker_blocks": 3}, "YCbCr"),
        ("CMYK", {}, "CMYK"),
        ("CMYK", {"progressive": True}, "CMYK"),
    ],
)
def test_pillows_colour_kinds(mode: str, options: dict[str, object], color: str, oracle: Oracle) -> None:
    pytest.importorskip("PIL")
    pixels = random_pixels(50, 70, 3, {"L": 1, "RGB": 3, "CMYK": 4}[mode])
    data = generate.pillow_jpeg(pixels, mode, **options)
    assert read_header(data).color == color
    assert_equals_libjpeg(data, oracle)


@pytest.mark.long
@pytest.mark.parametrize("luma", FACTORS, ids=lambda factors: "{}x{}".format(*factors))
def test_all_samplings_of_three_components(luma: tuple[int, int]) -> None:
    """Include those that cjpeg cannot make, such as 3x2 with 2x3."""
    for n, (second, third) in enumerate(itertools.product(FACTORS, FACTORS)):
        picture = random_image(n, sof=(0, 1, 2, 9, 10)[n % 5], height=19, width=27, sampling=(luma, second, third))
        planes = read_coefficients(write(picture, n)).planes
        for plane, expected in zip(planes, picture.expected_planes(), strict=True):
            np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("shape", [(5, 65500), (65500, 5), (1, 65500)], ids=str)
@pytest.mark.parametrize("coding", [(), ("-progressive",), ("-arithmetic",), ("-restart", "1")], ids=str)
def test_longest_sides(shape: tuple[int, int], coding: tuple[str, ...], oracle: Oracle) -> None:
    assert_equals_libjpeg(generate.cjpeg(random_pixels(*shape, 4), *coding), oracle)


@pytest.mark.parametrize("coding", [("-progressive",), ("-arithmetic", "-progressive")], ids=str)
def test_runs_of_ended_blocks_longer_than_one_code_holds(coding: tuple[str, ...], oracle: Oracle) -> None:
    """An EOB run counts at most 32767 blocks (G.1.2.2); a large flat image has more."""
    pixels = np.full((1480, 1480, 3), 77, np.uint8)
    pixels[1200:1210, 900:] = 200
    data = generate.cjpeg(pixels, *coding, sampling=((1, 1),) * 3)
    assert_equals_libjpeg(data, oracle)
