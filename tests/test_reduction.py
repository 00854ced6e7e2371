"""Where a component shrinks by three or more, output samples come straight from coefficients: the result is the same.

Large files are then read row by row (`Decoder::read_rows`), which must give what whole planes give.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jpegfreq import JpegError, TensorFormat, read_batch, read_coefficients, resample
from jpegfreq.blocks import upright
from tests import edits
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.images import make_jpeg
from tests.resample_reference import resample_reference
from tests.support import instruction_sets, run_on

TOLERANCE = 1e-3  # as in test_resample.py, on coefficients up to about 1000
FILTERS = ("bilinear", "bicubic", "box")
CHROMAS = ("fancy", "replicate", "direct")


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("filter", FILTERS)
def test_strong_reductions_equal_the_float64_reference(sampling: str, filter: Any) -> None:
    random = np.random.default_rng(len(sampling) + len(filter))
    for seed, (antialias, chroma) in enumerate(itertools.product((True, False), CHROMAS)):
        height, width = int(random.integers(100, 500)), int(random.integers(100, 500))
        coefficients = make_coefficients(height, width, SAMPLINGS[sampling], seed)
        top, left = int(random.integers(0, height // 4)), int(random.integers(0, width // 4))
        box = (
            top,
            left,
            int(random.integers(height // 2, height - top)),
            int(random.integers(width // 2, width - left)),
        )
        # From a third of the box downwards.
        size = tuple(8 * max(1, side // int(random.integers(24, 120))) for side in box[2:])
        options: dict[str, Any] = {"filter": filter, "antialias": antialias, "chroma": chroma}
        options |= {"flip": bool(seed & 1), "vertical_flip": bool(seed & 2)}
        want = resample_reference(coefficients, box, size, **options)  # type: ignore[arg-type]
        got = resample(coefficients, box, size, **options)  # type: ignore[arg-type]
        np.testing.assert_allclose(got[: len(want)], want, atol=TOLERANCE, rtol=0, err_msg=f"{box} {size} {options}")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_images_are_reduced_as_their_upright_coefficients(orientation: int) -> None:
    stored = make_coefficients(256, 384, SAMPLINGS["4:2:0"], 1, orientation)
    turned = upright(stored)
    header = turned.header
    box = (9, 14, header.height - 30, header.width - 20)
    for flip in (False, True):
        got = resample(stored, box, (32, 40), apply_orientation=True, flip=flip)
        np.testing.assert_allclose(got, resample(turned, box, (32, 40), flip=flip), atol=TOLERANCE, rtol=0)


def test_reduced_tensors_have_every_layout_and_type() -> None:
    coefficients = make_coefficients(400, 500, SAMPLINGS["4:2:0"])
    box = (0, 0, 400, 500)
    want = resample(coefficients, box, (64, 64))
    for channels, layout, dtype in itertools.product(("all", 24, 6), ("CHW", "HWC"), ("float32", "float16")):
        format = TensorFormat(channels, layout=layout, dtype=dtype)  # type: ignore[arg-type]
        got = resample(coefficients, box, (64, 64), format=format).astype(np.float32)
        if layout == "HWC":
            got = got.transpose(2, 0, 1)
        tolerance = 1.0 if dtype == "float16" else TOLERANCE
        np.testing.assert_allclose(got, want[list(format.channels.channels)], atol=tolerance, rtol=0)


def large(**options: Any) -> bytes:
    """Make an image that read_batch decodes row by row: 17280 blocks at 4:4:4."""
    return make_jpeg(640, 576 if options.get("subsampling") == 0 else 1152, **{"quality": 90, **options})


def exif(orientation: int) -> bytes:
    values = Image.Exif()
    values[0x0112] = orientation
    return values.tobytes()


WHOLE_ROWS = {
    "4:4:4": {"subsampling": 0},
    "4:4:4, few bits per block": {"subsampling": 0, "quality": 3},
    "4:2:0": {"subsampling": 2},
    "a restart marker every row": {"subsampling": 0, "restart_marker_rows": 1},
    "a restart marker every 13 MCUs": {"subsampling": 2, "restart_marker_blocks": 13},
    "a restart marker every 40 rows": {"subsampling": 0, "restart_marker_rows": 40},
    "progressive": {"subsampling": 0, "progressive": True},
    "progressive, 4:2:0": {"subsampling": 2, "progressive": True},
    "progressive, a restart marker every 13 MCUs": {"subsampling": 2, "progressive": True, "restart_marker_blocks": 13},
}


@pytest.mark.parametrize("kind", WHOLE_ROWS)
def test_an_image_that_is_read_row_by_row_is_that_of_its_coefficients(kind: str) -> None:
    data = large(**WHOLE_ROWS[kind])
    coefficients = read_coefficients(data)
    height = coefficients.header.height
    for box in ((0, 0, height, 640), (25, 30, height - 80, 600), (height // 2, 0, height // 2, 640)):
        # The second image is decoded in lanes meanwhile.
        got = read_batch([data, make_jpeg()], size=(64, 72), boxes=[box, (0, 0, 24, 40)], flips=[True, False])
        np.testing.assert_array_equal(got[0], resample(coefficients, box, (64, 72), flip=True))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_row_by_row_images_are_turned_upright(orientation: int) -> None:
    data = large(subsampling=0, exif=exif(orientation))
    coefficients = read_coefficients(data)
    assert coefficients.header.orientation == orientation
    size = (576, 640) if orientation == 3 else (640, 576)
    [got] = read_batch([data], size=(64, 72), apply_orientation=True)
    np.testing.assert_array_equal(got, resample(coefficients, (0, 0, *size), (64, 72), apply_orientation=True))


@pytest.mark.parametrize("kind", ["4:4:4", "a restart marker every row", "4:2:0", "progressive", "progressive, 4:2:0"])
def test_damage_of_an_image_that_is_read_row_by_row_is_that_of_its_coefficients(kind: str) -> None:
    whole = large(**WHOLE_ROWS[kind])
    raw = edits.find(whole, "scan data").raw
    box = (0, 0, read_coefficients(whole).header.height, 640)
    for at in (0, len(raw) // 2, len(raw) - 100):
        for data in (
            edits.replace_scan_data(whole, raw[:at] + b"\xff\x00" * 20 + raw[at + 40 :]),
            edits.cut_scan(whole, at),
        ):
            kept = read_coefficients(data, damage="keep")
            assert kept.damage is not None
            [got], [error] = read_batch([data], size=(64, 72), boxes=[box], damage="keep", errors="return")
            assert str(error) == f"image 0: {kept.damage}"
            np.testing.assert_array_equal(got, resample(kept, box, (64, 72)))
            with pytest.raises(JpegError) as caught:
                read_coefficients(data)
            [got], [error] = read_batch([data], size=(64, 72), boxes=[box], errors="return")
            assert str(error) == f"image 0: {caught.value}"
            assert not got.any()


@pytest.mark.parametrize("instruction_set", instruction_sets()[:-1])
def test_other_instruction_sets_reduce_alike(instruction_set: str) -> None:
    run_on(instruction_set, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "row or turned or layout")
