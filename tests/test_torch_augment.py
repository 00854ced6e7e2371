"""Augmentations of coefficients equal the same steps on pixels without clamping."""

from __future__ import annotations

from typing import Any

import pytest

from jpegfreq import TensorFormat
from tests.support import unavailable

try:
    import torch

    from jpegfreq.torch import augment
    from tests.torch_pixels import FORMATS, assert_shows, frequency, grey, pixels
except ImportError:
    torch = None  # type: ignore[assignment]
    FORMATS = []


@pytest.fixture(autouse=True)
def _needs_torch() -> None:
    if torch is None:
        unavailable("torch is not installed (extra train)")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7, "one per image"])
def test_colour_is_adjusted_as_in_pixels(format: TensorFormat, factor: Any) -> None:
    images = pixels()
    batch = frequency(images, format)
    if factor == "one per image":
        factor = torch.tensor([0.2, 1.0, 1.9])
    gain = torch.as_tensor(factor, dtype=torch.float64).reshape(-1, 1, 1, 1)
    mean = grey(images).mean((2, 3), keepdim=True)
    assert_shows(augment.adjust_brightness(batch, factor, format), gain * images, format)
    assert_shows(augment.adjust_contrast(batch, factor, format), gain * images + (1 - gain) * mean, format)
    assert_shows(augment.adjust_saturation(batch, factor, format), gain * images + (1 - gain) * grey(images), format)
    assert_shows(augment.to_grayscale(batch, format), grey(images).expand(-1, 3, -1, -1), format)
    assert_shows(batch, images, format)  # nothing is changed in place


@pytest.mark.parametrize("format", FORMATS)
def test_boxes_are_cut_and_mixed_as_in_pixels(format: TensorFormat) -> None:
    images, order, targets = pixels(), torch.tensor([2, 0, 1]), torch.eye(3)
    batch = frequency(images, format)
    box = (1, 0, 2, 2)  # blocks
    cut = images.clone()
    cut[:, :, 8:24, :16] = 128
    assert_shows(augment.cut_out(batch, box, format), cut, format)
    mixed = images.clone()
    mixed[:, :, 8:24, :16] = images[order][:, :, 8:24, :16]
    got, soft = augment.cut_mix(batch, targets, box, order)
    assert_shows(got, mixed, format)
    torch.testing.assert_close(soft, targets * (2 / 3) + targets[order] / 3)
    got, soft = augment.mix_up(batch, targets, 0.3, order)
    assert torch.equal(
        augment.mix_up(batch, targets.ceil().long(), 0.3, order)[1],
        augment.mix_up(batch, targets.ceil(), 0.3, order)[1],
    )
    assert_shows(got, 0.3 * images + 0.7 * images[order], format)
    torch.testing.assert_close(soft, 0.3 * targets + 0.7 * targets[order])


def test_arguments_are_checked() -> None:
    batch = frequency(pixels(), FORMATS[1])
    with pytest.raises(ValueError, match="needs the DC of its luma"):
        augment.adjust_contrast(batch[:, :1], 0.5, TensorFormat([1]))
    with pytest.raises(ValueError, match=r"is \[N, 192, H, W\]"):
        augment.adjust_brightness(batch, 0.5, TensorFormat())
    with pytest.raises(ValueError, match="not inside 4 x 3 blocks"):
        augment.cut_out(batch, (0, 2, 1, 2), FORMATS[1])
