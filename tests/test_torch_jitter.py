"""Random strengths: repeatable, within their bounds, and equal to the same steps on pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jpegfreq import TensorFormat
from tests.support import unavailable

try:
    import torch

    from jpegfreq.torch.jitter import ColorJitter
    from tests.torch_pixels import FORMATS, assert_shows, frequency, grey, pixels
except ImportError:
    torch = None  # type: ignore[assignment]
    FORMATS = []


@pytest.fixture(autouse=True)
def _needs_torch() -> None:
    if torch is None:
        unavailable("torch is not installed (extra train)")


def strong() -> Any:
    ranges = {"brightness": (0.5, 1.5), "contrast": (0.3, 1.7), "saturation": (0.0, 2.0)}
    return ColorJitter(**ranges, grayscale=0.3, cut_out=0.6, cut_out_share=(0.1, 0.4))


@pytest.mark.parametrize("format", FORMATS)
def test_strengths_are_applied_as_in_pixels(format: TensorFormat) -> None:
    images, jitter = pixels(8), strong()
    strengths = jitter.draw(range(8), (4, 3), seed=0, epoch=2)
    batch = frequency(images, format)
    got = jitter(batch, strengths, format)
    want = images * strengths.brightness[:, None, None, None]
    contrast = strengths.contrast[:, None, None, None]
    want = contrast * want + (1 - contrast) * grey(want).mean((2, 3), keepdim=True)
    saturation = strengths.saturation[:, None, None, None]
    want = saturation * want + (1 - saturation) * grey(want)
    for image, box in zip(want, strengths.boxes, strict=True):
        if box is not None:
            top, left, height, width = (8 * side for side in box)
            image[:, top : top + height, left : left + width] = 128
    assert None in strengths.boxes
    assert any(strengths.boxes)
    assert 0.0 in strengths.saturation
    assert_shows(got, want, format)
    assert_shows(batch, images, format)  # nothing is changed in place


def test_an_image_keeps_its_draws_whatever_batch_it_is_in() -> None:
    jitter = strong()
    whole = jitter.draw(range(20), (56, 56), seed=3, epoch=1)
    part = jitter.draw([7, 3], (56, 56), seed=3, epoch=1)
    for field in range(3):
        assert part[field].tolist() == [whole[field][7], whole[field][3]]
    assert part.boxes == (whole.boxes[7], whole.boxes[3])
    for seed, epoch in ((4, 1), (3, 2)):
        assert not torch.equal(jitter.draw(range(20), (56, 56), seed=seed, epoch=epoch).contrast, whole.contrast)


def test_draws_keep_their_bounds_and_probabilities() -> None:
    jitter = strong()
    strengths = jitter.draw_from(np.random.default_rng(0), 2000, (56, 56))
    coloured = strengths.saturation[strengths.saturation > 0]
    for factors, (low, high) in (
        (strengths.brightness, jitter.brightness),
        (strengths.contrast, jitter.contrast),
        (coloured, jitter.saturation),
    ):
        assert low <= factors.min() < low + 0.05
        assert high - 0.05 < factors.max() <= high
    assert 0.27 < 1 - len(coloured) / 2000 < 0.33
    boxes = [box for box in strengths.boxes if box is not None]
    assert 0.56 < len(boxes) / 2000 < 0.64
    for top, left, height, width in boxes:
        assert 0 <= top <= top + height <= 56
        assert 0 <= left <= left + width <= 56
        assert 0.08 < height * width / 56**2 < 0.43


def test_default_jitter_changes_nothing_and_bounds_are_checked() -> None:
    batch, format = torch.rand(2, 1, 4, 3), TensorFormat([1])
    none = ColorJitter()
    assert torch.equal(none(batch, none.draw([0, 1], (4, 3), seed=0, epoch=0), format), batch)
    for wrong in ({"brightness": (1.2, 0.8)}, {"grayscale": 1.5}, {"cut_out_share": (0.0, 0.5)}):
        with pytest.raises(ValueError):
            ColorJitter(**wrong)
