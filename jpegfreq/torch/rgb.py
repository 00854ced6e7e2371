"""The RGB twin of the frequency data set, for fair baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from jpegfreq.assembly.checks import check_color
from jpegfreq.coefficients import DEFAULT_MAX_PIXELS
from jpegfreq.errors import JpegError, MalformedJpegError, TruncatedJpegError, UnsupportedJpegError
from jpegfreq.format import TensorFormat
from jpegfreq.header import read_header
from jpegfreq.sources.images import Images
from jpegfreq.torch.dataset import CropDataset, ReadError, Request
from jpegfreq.torch.pixels import decode_rgb
from jpegfreq.views import Crop, View

__all__ = ["RgbDataset"]


class RgbDataset(CropDataset):
    """JPEG files as RGB tensors through torchvision's decoder: crop, resize, flip, normalize.

    With an EvaluationView, the whole image is resized and the centre is cropped, as torchvision's Resize and CenterCrop
    do. The pixels are floating-point numbers from the resize on, unless they are to be rounded to 8 bits, as those
    transforms round them; that is also faster.

    With the same images and seed as a FrequencyDataset, and a view that differs in size alone (an EvaluationView: in
    size and shorter side by the same factor), it sees the same boxes and flips.

    It also takes the same images, and names the same reasons for strays, as far as headers tell: an image that is
    neither YCbCr nor grey, or larger than `read_batch` takes, is a stray in both, and so is a file that ends within
    its crop. Three things differ. torchvision decodes whole images, so that a file that ends below its crop is left
    out here and seen by the FrequencyDataset. torchvision does not notice damage inside the scan data, whereas the
    FrequencyDataset does, down to the crop's last row. And torchvision reads neither 12-bit JPEGs nor files whose
    height is in a DNL segment.
    """

    has_box_filter = False

    def __init__(
        self,
        images: Images,
        view: View,
        *,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
        seed: int = 0,
        errors: Literal["raise", "skip"] = "raise",
        fallback: Literal["pixels"] | None = None,
        antialias: bool = True,
        rounded: bool = False,
    ) -> None:
        """Check the options, which are those of CropDataset and three more.

        Args:
            images: where the images lie.
            view: what is cut out of each.
            mean: what is subtracted from R, G and B, which are between 0 and 1; torchvision's models were trained with
                the default.
            std: what R, G and B are then divided by.
            seed: the seed of boxes and flips.
            errors: "raise" or "skip".
            fallback: "pixels" (Pillow), or None.
            antialias: widen the filter where a crop shrinks.
            rounded: round the resized pixels to 8 bits.
        """
        super().__init__(
            images,
            view,
            seed=seed,
            errors=errors,
            fallback=fallback,
            antialias=antialias,
        )
        self.rounded = rounded
        self.scale = torch.tensor(std).mul(255).reciprocal()[:, None, None]
        self.shift = -(torch.tensor(mean) / torch.tensor(std))[:, None, None]

    def batch_shape(self, count: int) -> tuple[int, ...]:
        """Return [N, 3, height, width]."""
        return (count, 3, *self.view.size)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def thread_count(self) -> int:
        """One: torchvision decodes one image at a time."""
        return 1

    def _read(
        self, requests: Sequence[Request], out: npt.NDArray[Any], threads: int | None
    ) -> Sequence[ReadError | None]:
        errors: list[ReadError | None] = []
        for slot, request in enumerate(requests):
            error = request.error
            if error is None:
                try:
                    out[slot] = self._from_pixels(self._decoded(request.data), request.crop)
                except JpegError as failure:
                    error = failure
            errors.append(error)
        return errors

    def _decoded(self, data: bytes | memoryview) -> torch.Tensor:
        header = read_header(data)
        check_color(header, TensorFormat())
        if header.height * header.width > DEFAULT_MAX_PIXELS:
            raise UnsupportedJpegError(f"{header.height * header.width} pixels are more than {DEFAULT_MAX_PIXELS}")
        try:
            return decode_rgb(data, apply_orientation=self.view.apply_orientation)
        except RuntimeError as failure:
            raise _jpeg_error(str(failure)) from failure

    def _from_pixels(self, pixels: torch.Tensor, crop: Crop) -> npt.NDArray[Any]:
        resized = self._resized(pixels, crop, rounded=self.rounded)
        array: npt.NDArray[Any] = (resized * self.scale + self.shift).numpy()
        return array

    def _channels_first(self, tensors: torch.Tensor) -> torch.Tensor:
        return tensors


def _jpeg_error(message: str) -> JpegError:
    """Turn torchvision's message about a JPEG into the error that jpegfreq's decoder would raise."""
    if "truncated" in message:
        return TruncatedJpegError(message)
    return UnsupportedJpegError(message) if "support" in message else MalformedJpegError(message)
