"""Images of float pixels and their frequency tensors, for tests of augmentations on coefficients."""

from __future__ import annotations

from typing import Any

import torch

from jpegfreq import ChannelStatistics, TensorFormat
from jpegfreq.torch.pixels import to_frequency

STATISTICS = ChannelStatistics(tuple(range(192)), tuple(1 + i / 50 for i in range(192)), "made up")
FORMATS = [TensorFormat(), TensorFormat(24), TensorFormat([64, 9, 0, 130], statistics=STATISTICS)]


def pixels(count: int = 3) -> Any:
    """Make random RGB images, [N, 3, 32, 24] of float64 from 0 to 255."""
    return torch.rand(count, 3, 32, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 255


def frequency(images: Any, format: TensorFormat) -> Any:
    """Convert images to their frequency tensors, [N, C, 4, 3]."""
    return torch.stack([torch.from_numpy(to_frequency(image, format)) for image in images])


def grey(images: Any) -> Any:
    """Compute the luma, [N, 1, 32, 24]."""
    return torch.einsum("c,nchw->nhw", torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64), images)[:, None]


def assert_shows(got: Any, images: Any, format: TensorFormat) -> None:
    """Check that a batch is the float32 frequency tensor of the images."""
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, frequency(images, format), atol=2e-3, rtol=1e-5)
