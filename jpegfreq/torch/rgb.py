"""The frequency data set's RGB twin, for fair baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from jpegfreq.resample import Filter
from jpegfreq.torch.dataset import CropDataset, ReadError, Request
from jpegfreq.torch.images import Images
from jpegfreq.torch.pixels import decode_rgb
from jpegfreq.torch.views import Crop, View

__all__ = ["RgbDataset"]


class RgbDataset(CropDataset):
    """JPEG files as RGB tensors through torchvision's decoder: crop, resize, flip, normalize.

    With the images and seed of a FrequencyDataset, and a view that differs in size alone (an EvaluationView: in size
    and shorter side alike), it sees the same boxes and flips.
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
        filter: Filter = "bilinear",
        antialias: bool = True,
        apply_orientation: bool = False,
    ) -> None:
        """As for CropDataset.

        Args:
            images: where the images lie.
            view: what is cut out of each.
            mean: subtracted from R, G and B of 0 to 1; the default is what torchvision's models were trained with.
            std: what they are divided by then.
            seed: of boxes and flips.
            errors: "raise" or "skip".
            fallback: "pixels" (Pillow), or None.
            filter: "bilinear" or "bicubic".
            antialias: widen the filter where a crop shrinks.
            apply_orientation: turn each image upright first.
        """
        super().__init__(
            images,
            view,
            seed=seed,
            errors=errors,
            fallback=fallback,
            filter=filter,
            antialias=antialias,
            apply_orientation=apply_orientation,
        )
        self.scale = torch.tensor(std).mul(255).reciprocal()[:, None, None]
        self.shift = -(torch.tensor(mean) / torch.tensor(std))[:, None, None]

    def batch_shape(self, count: int) -> tuple[int, ...]:
        """[N, 3, height, width]."""
        return (count, 3, *self.view.size)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def thread_count(self) -> int:
        """One: torchvision decodes an image at a time."""
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
                except RuntimeError as failure:
                    error = ValueError(str(failure))
            errors.append(error)
        return errors

    def _decoded(self, data: bytes | memoryview) -> torch.Tensor:
        return decode_rgb(data, apply_orientation=self.apply_orientation)

    def _from_pixels(self, pixels: torch.Tensor, crop: Crop) -> npt.NDArray[Any]:
        array: npt.NDArray[Any] = (self._resized(pixels, crop) * self.scale + self.shift).numpy()
        return array

    def _channels_first(self, tensors: torch.Tensor) -> torch.Tensor:
        return tensors
