"""Where a component shrinks by three or more, output samples come straight from coefficients: the result is the same.

Large sequential files are then read row by row (`Decoder::read_rows`), which must give what whole planes give.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from jpegfreq import TensorFormat, read_batch, read_coefficients, resample
from jpegfreq.blocks import upright
from tests import edits
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.images import make_jpeg
from tests.resample_reference import resample_reference

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
        box = (top, left, int(random.integers(height // 2, height - top)), int(random.integers(width // 2, width - left)))
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
